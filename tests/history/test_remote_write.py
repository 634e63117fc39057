"""What goes over the wire, in which pieces, and what becomes of each answer."""

import cramjam
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.history import remote_write
from exporter.history.messages import WriteRequest
from exporter.history.receiver import Unavailable
from exporter.history.remote_write import batches, encode
from exporter.model import Series

PLAYS = Series((("query", "q"), ("__name__", "plays"), ("cdn", "Ä"), ("empty", "")), ((60_000, 1), (120_500, 2.5)))


def decoded(body):
    """Read a body as a receiver does: labels as a tuple, samples as milliseconds and value."""
    request = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    return [
        (
            tuple((label.name, label.value) for label in series.labels),
            [(sample.timestamp, sample.value) for sample in series.samples],
        )
        for series in request.timeseries
    ]


def test_labels_are_sorted_and_none_is_empty():
    assert decoded(encode([PLAYS])) == [
        ((("__name__", "plays"), ("cdn", "Ä"), ("query", "q")), [(60_000, 1.0), (120_500, 2.5)])
    ]


def test_the_messages_are_prometheus_own_bytes():
    """By hand after remote.proto and types.proto, so that a wrong field number is seen."""
    sample = b"\x09" + b"\x00\x00\x00\x00\x00\x00\xf8\x3f" + b"\x10" + b"\xe8\x07"
    label = b"\x0a\x08__name__" + b"\x12\x01m"
    series = b"\x0a" + bytes([len(label)]) + label + b"\x12" + bytes([len(sample)]) + sample
    body = encode([Series((("__name__", "m"),), ((1000, 1.5),))])
    assert bytes(cramjam.snappy.decompress_raw(body)) == b"\x0a" + bytes([len(series)]) + series


@given(st.lists(st.integers(0, 9000), max_size=8), st.integers(0, 100_000))
def test_batches_hold_everything_once_and_are_bounded(counts, length):
    series = [
        Series((("__name__", f"m{number}"), ("long", "x" * length)), tuple((at, at) for at in range(count)))
        for number, count in enumerate(counts)
    ]
    found = list(batches(series))
    for batch in found:
        assert 0 < sum(len(each.points) for each in batch) <= remote_write.MOST_SAMPLES
        assert len(cramjam.snappy.decompress_raw(encode(batch))) <= remote_write.MOST_BYTES
    gathered = {}
    for each in (each for batch in found for each in batch):
        gathered[each.labels] = gathered.get(each.labels, ()) + each.points
    assert gathered == {each.labels: each.points for each in series if each.points}


def test_a_series_whose_labels_alone_are_too_long_goes_alone():
    long = Series((("__name__", "m"), ("long", "x" * 2 * remote_write.MOST_BYTES)), ((1, 1), (2, 2)))
    assert [[len(each.points) for each in batch] for batch in batches([PLAYS, long, PLAYS])] == [[2], [1], [1], [2]]


async def test_headers_are_those_of_remote_write(sending):
    sender, receiver, attempts, _ = sending(204, headers={"X-Scope-OrgID": "video"})
    assert await sender.send([PLAYS]) is None
    (request,) = receiver.requests
    assert request.method == "POST"
    assert str(request.url) == "http://prometheus:9090/api/v1/write"
    assert request.headers["content-encoding"] == "snappy"
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert request.headers["user-agent"].startswith("video-analytics-exporter/")
    assert request.headers["x-scope-orgid"] == "video"
    assert decoded(request.content)[0][1] == [(60_000, 1.0), (120_500, 2.5)]
    assert [(each.code, each.samples, each.taken) for each in attempts] == [("204", 2, True)]


async def test_nothing_is_no_request(sending):
    sender, receiver, _, _ = sending()
    assert await sender.send([]) is None
    assert receiver.requests == []


@pytest.mark.parametrize(
    "passing",
    [500, 503, 429, 302, 600, httpx.ConnectError("refused"), httpx.ReadTimeout("late"), httpx.ReadError("broken")],
)
async def test_what_decides_nothing_is_sent_again_until_it_does(sending, passing):
    sender, receiver, attempts, waits = sending(*[passing] * 12, 204)
    assert await sender.send([PLAYS]) is None
    assert len(receiver.requests) == 13
    assert len({request.content for request in receiver.requests}) == 1
    assert [each.taken for each in attempts] == [False] * 12 + [True]
    assert len(waits) == 12
    assert 0 < max(waits) <= 30


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(sending, status):
    sender, _, _, waits = sending(httpx.Response(status, headers={"Retry-After": "17"}), 204)
    await sender.send([PLAYS])
    assert waits == [17.0]


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_a_4xx_drops_the_batch_and_only_that(sending, status):
    sender, receiver, attempts, waits = sending(httpx.Response(status, text="no, and here is why"), 204)
    refusal = await sender.send([Series((("__name__", "m"),), tuple((at, 0) for at in range(4000)))])
    assert (refusal.status, refusal.said) == (status, "no, and here is why")
    assert [(each.code, each.refused, each.taken) for each in attempts] == [
        (str(status), True, False),
        ("204", False, True),
    ]
    assert len(receiver.requests) == 2
    assert waits == []


@pytest.mark.parametrize(
    ("answers", "cause", "requests"),
    [
        (["label too long", "duplicate sample", "out of bounds"], "other", 3),
        (["duplicate sample", "out of bounds", "duplicate sample"], "late", 3),
        (["out of bounds", 401, "label too long"], "elsewhere", 2),
        ([401], "elsewhere", 1),
    ],
)
async def test_the_worst_of_all_refusals_is_told_and_a_wrong_log_in_ends_the_sending(sending, answers, cause, requests):
    said = [httpx.Response(400, text=each) if isinstance(each, str) else each for each in answers]
    sender, receiver, _, _ = sending(*said)
    many = [Series((("__name__", "m"),), tuple((at, 0) for at in range(3 * remote_write.MOST_SAMPLES)))]
    assert (await sender.send(many)).cause == cause
    assert len(receiver.requests) == requests


async def test_a_wrong_log_in_ends_the_halves_too(sending):
    sender, receiver, _, _ = sending(httpx.Response(400, text="duplicate sample"), 403)
    assert (await sender.send(one_time(1000))).cause == "elsewhere"
    assert len(receiver.requests) == 2


def one_time(count, at=1000):
    return [Series((("__name__", "m"), ("n", str(number))), ((at, number),)) for number in range(count)]


def rolling_back(words, objects):
    """Make a receiver that takes nothing of a request if it objects to anything in it; gives it and what it has."""
    has = set()

    def answer(body):
        samples = {(int(labels[1][1]), at) for labels, points in decoded(body) for at, _ in points}
        if any(objects(number) for number, _ in samples):
            return httpx.Response(400, text=words)
        has.update(samples)
        return httpx.Response(204)

    return answer, has


@pytest.mark.parametrize("words", ["duplicate sample for timestamp", "out of order sample"])
async def test_a_sample_that_is_refused_takes_no_other_with_it(sending, words):
    answer, has = rolling_back(words, {3, 1700}.__contains__)
    sender, receiver, attempts, _ = sending(answer)
    refusal = await sender.send(one_time(2000))
    assert refusal.said == words
    assert has == {(number, 1000) for number in range(2000)} - {(3, 1000), (1700, 1000)}
    assert sum(each.samples for each in attempts if each.taken) == 1998
    assert sum(each.samples for each in attempts if each.refused) == 2
    assert len(receiver.requests) < 50


async def test_what_is_too_old_for_its_time_is_not_tried_series_by_series(sending):
    answer, has = rolling_back("out of bounds", lambda _: True)
    sender, receiver, attempts, _ = sending(answer)
    assert (await sender.send(one_time(2000))).cause == "late"
    assert len(receiver.requests) == 1
    assert [(each.samples, each.refused) for each in attempts] == [(2000, True)]
    await sender.send([*one_time(10), *one_time(10, 2000)])
    assert len(receiver.requests) == 4, "one of both times, and one of each"
    assert has == set()


async def test_a_night_of_failures_is_a_line_and_not_a_thousand(sending):
    refused, down = httpx.Response(400, text="out of order sample"), httpx.ConnectError("away")
    sender, *_ = sending(refused, refused, refused, 204, down, down, down, 204)
    with capture_logs() as lines:
        for _ in range(5):
            await sender.send([PLAYS])
    assert [line["event"] for line in lines] == [
        "the receiver refuses samples",
        "the receiver takes samples again",
        "the receiver takes no samples; they wait, and are sent again",
        "the receiver answers again",
    ]
    assert "out_of_order_time_window" in lines[0]["error"]


async def test_patience_ends_the_repeats_and_not_the_sending(sending):
    sender, receiver, *_ = sending(503, 503, 204)
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(Unavailable, match="HTTP 503"):
                await sender.send([PLAYS], "one", patience=0)
        assert await sender.send([PLAYS], "one", patience=0) is None
    assert len(receiver.requests) == 3
    assert lines == []


async def test_a_wait_that_would_end_after_the_patience_is_not_begun(sending):
    """Meanwhile one of few places is held that others want."""
    sender, receiver, _, waits = sending(httpx.Response(503, headers={"Retry-After": "30"}), 204)
    with pytest.raises(Unavailable, match="HTTP 503"):
        await sender.send([PLAYS], patience=29)
    assert (len(receiver.requests), waits) == (1, [])
    assert await sender.send([PLAYS], patience=29) is None


async def test_a_query_that_is_always_refused_is_a_line_beside_one_that_is_taken(sending):
    sender, *_ = sending(*[httpx.Response(400, text="label too long"), 204] * 10)
    with capture_logs() as lines:
        for _ in range(10):
            await sender.send([PLAYS], "one")
            await sender.send([PLAYS], "other")
    assert [line["event"] for line in lines] == ["the receiver refuses samples"]


async def test_a_receiver_that_fails_for_one_query_alone_answers_again_once_it_does_for_all(sending):
    down = httpx.Response(500, text="no space left")
    sender, *_ = sending(down, down, 204, down, 204)
    seen = []

    async def sleep(_):
        seen.append(dict(sender.waits))
        if len(seen) == 1:
            await sender.send([PLAYS], "other")

    sender._retrying.sleep = sleep
    with capture_logs() as lines:
        await sender.send([PLAYS], "one")
    assert [line["event"] for line in lines] == [
        "the receiver takes no samples; they wait, and are sent again",
        "the receiver answers again",
    ]
    assert seen[1].keys() == {"one", "other"}
    assert sender.waits == {}

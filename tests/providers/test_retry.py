"""Through the real client, in virtual time: what is asked again, when, how often, and which error is told."""

import asyncio
import gzip
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import Bounds
from exporter.providers import retry
from exporter.providers.decode import decode
from exporter.providers.errors import (
    AuthError,
    BadRequest,
    BadResponse,
    Broken,
    NetworkError,
    OutOfTime,
    RateLimited,
    ServerError,
    TimedOut,
    VendorError,
)
from exporter.providers.http import Client

pytestmark = pytest.mark.usefixtures("repeats")

NOW = 1_775_764_800.0
ROUNDING = 1e-6
BODY = b'{"response": []}'
GOOD = httpx.Response(200, content=BODY)
FOR_EVER = 10**9


async def whole(body):
    return body


async def decoded(body):
    return decode(body)


@dataclass
class Told:
    """What the client told its observer."""

    codes: list = field(default_factory=list)
    waits: list = field(default_factory=list)
    retries: int = 0

    def requested(self, exchange):
        self.codes.append(exchange.code)

    def throttled(self, _, seconds):
        self.waits.append(seconds)

    def logged_in(self, *_): ...

    def remaining(self, *_): ...

    def retried(self, _):
        self.retries += 1


class Vendor:
    """Answers by a script of (seconds, response or error); the last one again and again. Notes when it was asked."""

    def __init__(self, time, *script):
        self.time, self.script, self.spans, self.paths = time, list(script), [], []
        self.began = time()

    async def __call__(self, request):
        latency, answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        start = self.time() - self.began
        self.paths.append(request.url.path)
        try:
            await asyncio.sleep(latency)
        finally:
            self.spans.append((start, self.time() - self.began))
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def starts(self):
        return [start for start, _ in self.spans]


@pytest.fixture(scope="session")
def play(ask, virtual):
    """Ask a scripted vendor once, with a tick ``tick`` seconds away; give the vendor, what was told, how it ended."""

    def play(*script, tick=60.0, timeout=90.0, read=decoded, vendor="smartsight", **source):
        told, ended = Told(), []
        asked = ask(vendor, source=source or None, metrics=["views" if vendor == "smartsight" else "total_views"])

        async def main(time):
            peer = Vendor(time, *script)
            client = Client(
                "s",
                asked.provider,
                told,
                clock=time,
                now=lambda: NOW + time() - peer.began,
                transport=httpx.MockTransport(peer),
            )
            bounds = Bounds(timeout=timeout, max_response=2**16, interval=60, until=time() + tick)
            try:
                ended.append(await client.get(asked.request(), bounds, read))
            except VendorError as error:
                ended.append(error)
            ended.append(time() - peer.began)
            return peer

        return virtual(main), told, *ended

    return play


def fixed(monkeypatch, share):
    """Let every jitter be a share of its bound."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low + share * (high - low))


# --- What is asked again, and what is not -----------------------------------------------------------------------------

TRUNCATED = httpx.Response(200, content=b'{"response": [{"cdn": "Aka')


def zipped(body):
    """A response whose body is handed on as it is, and declared to be gzip."""

    class Raw(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield body

    return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Raw())


PASSING = {
    **{f"{status}": (httpx.Response(status), ServerError) for status in (500, 501, 502, 503, 504, 520, 599)},
    "429": (httpx.Response(429), RateLimited),
    **{
        error.__name__: (error("it broke"), NetworkError)
        for error in (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
    },
    "a time-out": (httpx.ReadTimeout("slow"), TimedOut),
    "truncated JSON": (TRUNCATED, Broken),
    "HTML": (httpx.Response(200, content=b"<html>"), Broken),
    "nothing": (httpx.Response(200, content=b""), Broken),
    "latin-1": (httpx.Response(200, content='{"cdn": "é"}'.encode("latin-1")), Broken),
}
LASTING = {
    **{f"{status}": (httpx.Response(status), BadRequest) for status in (400, 402, 404, 405, 408, 410, 413, 422, 451)},
    **{f"{status}": (httpx.Response(status), AuthError) for status in (401, 403)},
    **{
        f"{status}": (httpx.Response(status, headers={"location": "/"}), BadResponse) for status in (301, 302, 307, 308)
    },
    "too large": (httpx.Response(200, content=b" " * 2**17), BadResponse),
    "too deep": (httpx.Response(200, content=b"[" * 40 + b"]" * 40), BadResponse),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_may_pass_is_asked_for_five_times_in_all(play, kind):
    answer, error = PASSING[kind]
    vendor, told, ended, _ = play((0, answer), tick=FOR_EVER)
    assert isinstance(ended, error)
    assert len(vendor.spans) == len(told.codes) == 5
    assert told.retries == 4


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("failures", [1, 4])
def test_what_passes_is_an_answer(play, kind, failures):
    vendor, told, ended, _ = play(*[(0, PASSING[kind][0])] * failures, (0, GOOD), tick=FOR_EVER)
    assert ended == {"response": []}
    assert (len(vendor.spans), told.retries) == (failures + 1, failures)


@pytest.mark.parametrize("kind", LASTING)
def test_what_does_not_pass_is_asked_for_once(play, kind):
    answer, error = LASTING[kind]
    vendor, told, ended, _ = play((0, answer), (0, GOOD), tick=FOR_EVER)
    assert isinstance(ended, error)
    assert (len(vendor.spans), told.retries) == (1, 0)


def test_another_shape_is_asked_for_once(play):
    async def read(_):
        raise BadResponse("the answer has no list `response`")

    vendor, told, ended, _ = play((0, GOOD), tick=FOR_EVER, read=read)
    assert str(ended) == "metricquery: the answer has no list `response`"
    assert (len(vendor.spans), told.retries) == (1, 0)


def test_a_fault_of_the_reader_s_own_is_no_reason_to_ask_again(play):
    async def read(_):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        play((0, GOOD), tick=FOR_EVER, read=read)


@pytest.mark.parametrize(
    "body",
    [gzip.compress(BODY, mtime=0)[:-12], gzip.compress(BODY, mtime=0)[:15], b"no gzip at all"],
    ids=["cut", "cut early", "plain text"],
)
def test_broken_gzip_is_asked_for_again(virtual, ask, body):
    told, answers = Told(), [zipped(body), zipped(body), zipped(gzip.compress(BODY, mtime=0))]
    asked = ask("smartsight", metrics=["views"])

    async def main(time):
        transport = httpx.MockTransport(lambda _: answers.pop(0))
        client = Client("s", asked.provider, told, clock=time, now=time, transport=transport)
        bounds = Bounds(timeout=90, max_response=2**16, interval=60, until=time() + FOR_EVER)
        assert await client.get(asked.request(), bounds, decoded) == {"response": []}

    virtual(main)
    assert told.retries == 2


def test_an_absurdly_deep_answer_is_asked_for_once(play):
    vendor, *_ = play((0, httpx.Response(200, content=b"[" * 8_000 + b"]" * 8_000)), tick=FOR_EVER)
    assert len(vendor.spans) == 1


TOKEN = httpx.Response(200, json={"access_token": "t0ken", "expires_in": 86400})


def test_a_401_is_one_new_log_in_and_then_the_end(play):
    refused = httpx.Response(401)
    vendor, told, ended, _ = play((0, TOKEN), (0, refused), (0, TOKEN), (0, refused), tick=FOR_EVER, vendor="ibm_video")
    assert isinstance(ended, AuthError)
    assert [path.rpartition("/")[2] for path in vendor.paths] == ["token", "summary", "token", "summary"]
    assert told.retries == 0


def test_a_log_in_that_fails_in_passing_is_tried_again_before_the_request_is_sent(play):
    vendor, told, ended, _ = play(
        (0, httpx.Response(503)), (0, httpx.ConnectError("down")), (0, TOKEN), (0, GOOD), vendor="ibm_video"
    )
    assert ended == {"response": []}
    assert [path.rpartition("/")[2] for path in vendor.paths] == ["token", "token", "token", "summary"]
    assert told.retries == 2


@pytest.mark.parametrize("status", [400, 401, 403, 429])
def test_a_refused_log_in_is_not_tried_again(play, status):
    vendor, told, ended, _ = play((0, httpx.Response(status)), tick=FOR_EVER, vendor="ibm_video")
    assert isinstance(ended, AuthError)
    assert (len(vendor.spans), told.retries) == (1, 0)


# --- When -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", range(1, 8))
def test_the_jitter_is_full_up_to_twice_as_much_each_time(attempt):
    longest = min(2.0 ** (attempt - 1), 30)
    drawn = sorted(retry.JITTER(SimpleNamespace(attempt_number=attempt)) for _ in range(2000))
    assert drawn[0] >= 0
    assert drawn[-1] <= longest
    # Uniform: each tenth of the range has about 200 of 2000; 100 and 300 are seven standard deviations away.
    tenths = [sum(tenth <= 10 * each / longest < tenth + 1 for each in drawn) for tenth in range(10)]
    assert all(100 < count < 300 for count in tenths), tenths


def test_waits_double(play, monkeypatch):
    fixed(monkeypatch, 1.0)
    vendor, *_ = play((0, httpx.Response(500)))
    assert vendor.starts == pytest.approx([0, 1, 3, 7, 15])


latencies = st.floats(0, 100)
answers = st.sampled_from([answer for answer, _ in (*PASSING.values(), *LASTING.values())] + [GOOD]).filter(
    lambda answer: not (isinstance(answer, httpx.Response) and answer.status_code == 429)
)


@given(
    script=st.lists(st.tuples(latencies, answers), min_size=1, max_size=6),
    tick=st.floats(0, 200),
    timeout=st.floats(0.5, 120),
    advised=st.none() | st.floats(0.1, 100),
)
@settings(max_examples=300)
def test_no_repeat_begins_or_runs_at_the_next_tick(play, script, tick, timeout, advised):
    if advised is not None:
        script = [(latency, with_advice(answer, advised)) for latency, answer in script]
    vendor, told, ended, end = play(*script, tick=tick, timeout=timeout)
    first, *more = vendor.spans
    assert len(vendor.spans) <= 5
    assert first[1] <= timeout + ROUNDING
    assert all(start < tick and stop <= tick + ROUNDING for start, stop in more)
    assert all(stop - start <= timeout + ROUNDING for start, stop in vendor.spans)
    assert end <= max(tick, first[1]) + ROUNDING
    assert told.retries == len(more)
    assert not isinstance(ended, OutOfTime)  # what the tick cut is never what is told


def with_advice(answer, seconds):
    if isinstance(answer, Exception):
        return answer
    return httpx.Response(answer.status_code, headers={**answer.headers, "retry-after": str(seconds)}, content=b"{}")


@given(count=st.integers(2, 6), tick=st.floats(1, 120), latency=st.floats(0, 20))
@settings(max_examples=60)
def test_of_many_at_once_none_repeats_beyond_the_tick_although_they_are_limited(ask, virtual, count, tick, latency):
    asked = ask("smartsight", source={"limits": {"concurrency": 2, "requests_per_minute": 5}}, metrics=["views"])

    async def main(time):
        vendor, told = Vendor(time, (latency, httpx.Response(429))), Told()
        client = Client("s", asked.provider, told, clock=time, now=lambda: NOW, transport=httpx.MockTransport(vendor))
        bounds = Bounds(timeout=90, max_response=2**16, interval=60, until=time() + tick)
        calls = (client.get(asked.request(), bounds, whole) for _ in range(count))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, RateLimited) for error in found), found
        # Everybody's first request waits for the limits as long as it takes; repeats do not.
        assert sum(start >= tick for start in vendor.starts) <= count - 1

    virtual(main)


def test_a_repeat_that_the_limits_admit_too_late_fails_at_once(play):
    _, _, ended, end = play((0, httpx.Response(500)), tick=20, limits={"requests_per_minute": 1})
    assert isinstance(ended, ServerError)
    assert end <= 20


# --- Advice -----------------------------------------------------------------------------------------------------------


def date(seconds):
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "17"},
        {"RETRY-AFTER": date(NOW + 17)},
        {"retry-after": date(NOW + 3617), "date": date(NOW + 3600)},
        {"retry-after": date(NOW - 3583), "date": date(NOW - 3600)},
    ],
    ids=["seconds", "date", "vendor's clock fast", "vendor's clock slow"],
)
def test_advice_stands_in_the_place_of_the_jitter(play, status, headers):
    vendor, _told, ended, _ = play((0, httpx.Response(status, headers=headers)), (0, GOOD))
    assert ended == {"response": []}
    assert vendor.starts == pytest.approx([0, 17])


def test_the_rate_limit_s_reset_is_advice_too(play):
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + 23)}
    vendor, *_ = play((0, httpx.Response(429, headers=headers)), (0, GOOD))
    assert vendor.starts == pytest.approx([0, 23])


@pytest.mark.parametrize("after", ["60", "61", "3600", "1e300", "99999999999999", date(NOW + 90), str(int(NOW * 1000))])
def test_advice_beyond_the_tick_is_the_end_at_once(play, after):
    vendor, told, ended, end = play((2, httpx.Response(429, headers={"retry-after": after})), (0, GOOD), tick=60)
    assert isinstance(ended, RateLimited)
    assert (len(vendor.spans), told.retries, end) == (1, 0, pytest.approx(2))


@pytest.mark.parametrize("after", ["-5", "NaN", "0", "soon", "inf"])
def test_absurd_advice_is_none(play, monkeypatch, after):
    fixed(monkeypatch, 1.0)
    vendor, *_ = play((0, httpx.Response(503, headers={"retry-after": after})), (0, GOOD))
    assert vendor.starts == pytest.approx([0, 1])


@pytest.mark.parametrize(("reset", "second"), [(25, 25), (61, None), (-5, 0)])
def test_after_the_last_admitted_request_nobody_asks_before_the_reset(virtual, ask, reset, second):
    asked = ask("smartsight", metrics=["views"])
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + reset)}

    async def main(time):
        vendor = Vendor(time, (0, httpx.Response(200, content=BODY, headers=headers)), (0, GOOD))
        client = Client("s", asked.provider, Told(), clock=time, now=lambda: NOW, transport=httpx.MockTransport(vendor))
        bounds = Bounds(timeout=90, max_response=2**16, interval=60, until=time() + 60)
        await client.get(asked.request(), bounds, whole)
        if second is None:
            with pytest.raises(RateLimited, match="another 61 s"):
                await client.get(asked.request(), bounds, whole)
            assert time() == vendor.began
        else:
            await client.get(asked.request(), bounds, whole)
            assert vendor.starts == pytest.approx([0, second])

    virtual(main)


# --- Which error is told ----------------------------------------------------------------------------------------------


def test_the_informative_error_is_told_and_not_the_repeat_that_the_tick_cut(play, monkeypatch):
    fixed(monkeypatch, 1.0)
    explained = httpx.Response(503, json={"detail": "the warehouse is being rebuilt"})
    vendor, told, ended, end = play((0, explained), (100, GOOD), tick=30)
    assert (type(ended), str(ended)) == (ServerError, "metricquery: HTTP 503: the warehouse is being rebuilt")
    assert vendor.spans == [(0, 0), (pytest.approx(1), pytest.approx(30))]
    assert told.codes == ["503", "timeout"]
    assert end == pytest.approx(30)


def test_of_several_failures_the_last_whole_one_is_told(play):
    _, _, ended, _ = play((0, httpx.Response(503)), (0, httpx.ConnectError("no route")), (100, GOOD), tick=30)
    assert (type(ended), str(ended)) == (NetworkError, "metricquery: smartsight.mediamelon.com: ConnectError: no route")


def test_a_first_request_may_take_longer_than_the_tick_and_is_not_repeated(play):
    vendor, told, ended, end = play((200, GOOD), tick=30, timeout=90)
    assert (type(ended), str(ended)) == (TimedOut, "metricquery: no whole answer within 90 s")
    assert (len(vendor.spans), told.retries, end) == (1, 0, pytest.approx(90))


def test_a_first_answer_after_the_tick_is_an_answer(play):
    _, _, ended, end = play((80, GOOD), tick=30, timeout=90)
    assert (ended, end) == ({"response": []}, pytest.approx(80))


def test_without_a_tick_nothing_is_repeated(play):
    vendor, told, ended, _ = play((0, httpx.Response(503)), (0, GOOD), tick=float("-inf"))
    assert isinstance(ended, ServerError)
    assert (len(vendor.spans), told.retries) == (1, 0)


# --- Being cancelled --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0.0, 0.5, 5.0, 12.0])
def test_a_poll_that_is_cancelled_is_not_asked_again(virtual, ask, monkeypatch, moment):
    fixed(monkeypatch, 1.0)
    asked = ask("smartsight", metrics=["views"])

    async def main(time):
        vendor = Vendor(time, (4, httpx.Response(500)))
        client = Client("s", asked.provider, Told(), clock=time, now=lambda: NOW, transport=httpx.MockTransport(vendor))
        bounds = Bounds(timeout=90, max_response=2**16, interval=60, until=time() + 60)
        task = asyncio.create_task(client.get(asked.request(), bounds, whole))
        await asyncio.sleep(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = len(vendor.spans)
        await asyncio.sleep(100)
        assert len(vendor.spans) == before
        await client.retire()

    virtual(main)


def test_two_sources_share_neither_pauses_nor_gaps(virtual, ask):
    asked = ask("smartsight", metrics=["views"])

    async def main(time):
        vendors = [Vendor(time, (0, httpx.Response(429, headers={"retry-after": "50"}))), Vendor(time, (0, GOOD))]
        clients = [
            Client(name, asked.provider, Told(), clock=time, now=lambda: NOW, transport=httpx.MockTransport(vendor))
            for name, vendor in zip("ab", vendors, strict=True)
        ]
        bounds = Bounds(timeout=90, max_response=2**16, interval=60, until=time() + 40)
        for _ in range(3):
            with pytest.raises(RateLimited):
                await clients[0].get(asked.request(), bounds, whole)
            await clients[1].get(asked.request(), bounds, whole)
        assert [len(vendor.spans) for vendor in vendors] == [1, 3]
        assert time() == vendors[0].began

    virtual(main)


def test_json_s_nan_is_no_reason_to_ask_again(play):
    vendor, *_ = play((0, httpx.Response(200, content=json.dumps({"response": [float("nan")]}).encode())))
    assert len(vendor.spans) == 1

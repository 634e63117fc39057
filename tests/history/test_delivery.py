"""One query to one receiver: what is read when, what is sent, and where the watermark stands after everything."""

import asyncio
from collections import Counter, defaultdict

import msgspec
import pytest
from structlog.testing import capture_logs

from exporter.config import load
from exporter.history.delivery import Delivery, Shared, Task
from exporter.history.receiver import Unavailable
from exporter.history.refusal import Refusal
from exporter.history.watermark import SUFFIX, Watermarks
from exporter.providers.errors import ServerError

T = 1_700_000_040
"""A minute's beginning."""

DELAY, INTERVAL, MINUTE, HOUR = 120, 60, 60, 3600
DUE = T - DELAY
FILE = """\
sources: {{mm: {{type: smartsight, customer_id: 1, auth: {{api_key: k}}}}}}
remote_write: {{url: "http://p/w"}}
queries: [{{name: q, source: mm, metrics: [viewercount], dimensions: [cdn], history: true{more}}}]
"""


class Killed(BaseException):
    """The process dies here."""


class Vendor:
    """Answers time series of two CDNs; ``values`` gives a value by CDN, bucket and time of asking."""

    def __init__(self, world):
        self._world = world
        self.asked = []
        self.error = None
        self.values = lambda cdn, start, _: start % 1000 + (cdn == "a")

    async def get(self, request, _, read):
        start, end = (int(part.split("=")[1]) for part in dict(request.params)["period"].split(","))
        self.asked.append((start, end))
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        rows = [
            {"cdn": cdn, "timestamp": at, "viewercount": value}
            for at in range(start, end, MINUTE)
            for cdn in ("a", "b")
            if (value := self.values(cdn, at, self._world.now)) is not None
        ]
        return await read(msgspec.json.encode({"totalrecords": len(rows), "response": rows}))


class World:
    """A delivery and all around it; its clocks stand still until a test moves them."""

    def __init__(self, directory):
        self.directory = directory
        self.now, self.steady = T, 1000.0
        self.vendor = Vendor(self)
        self.sent = defaultdict(list)
        self.refusal = None
        self.counts = Counter()
        self.revisions = []
        self.last = None
        self.waits = []
        self.locks = defaultdict(asyncio.Lock)

    def delivery(self, more="", identity="i"):
        config = load(FILE.format(more=more), name="c.yaml", env={})
        (query,) = config.queries
        provider = config.sources["mm"].provider
        shared = Shared(
            Watermarks(self.directory),
            lambda: self.now,
            lambda: self.steady,
            self.locks.__getitem__,
            asyncio.Semaphore(4),
        )
        return Delivery(Task(query, query.history, provider, self.vendor, identity), "r", self.send, self, shared)

    def pass_(self, seconds):
        self.now += seconds
        self.steady += seconds

    async def send(self, series):
        if isinstance(self.refusal, BaseException):
            raise self.refusal
        if not self.refusal:
            for each in series:
                for at, value in each.points:
                    self.sent[at // 1000].append((dict(each.labels)["cdn"], value))
        return self.refusal

    # What is told of buckets.

    def expected(self, buckets):
        self.counts["expected"] += buckets

    def waiting(self, buckets):
        self.waits.append(buckets)

    def newest(self, end):
        self.last = end

    def delivered(self, end, *, late):
        self.last = end
        self.counts["delivered"] += 1
        self.counts["late"] += late

    def given_up(self, buckets):
        self.counts["given_up"] += buckets

    def revised(self, revision, age):
        self.counts["revised"] += 1
        self.revisions.append((sorted(each.points[0][1] for each in revision.changed), revision.largest, age))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def values(end):
    return [("a", (end - MINUTE) % 1000 + 1), ("b", (end - MINUTE) % 1000)]


async def test_the_first_turn_delivers_the_newest_bucket_at_its_end(world):
    await world.delivery().deliver()
    assert world.sent == {DUE: values(DUE)}
    assert world.vendor.asked == [(DUE - MINUTE, DUE)]
    assert world.counts == {"expected": 1, "delivered": 1, "late": 0}


async def test_what_waits_is_told_while_it_does(world):
    delivery = world.delivery()
    await delivery.deliver()
    world.vendor.error = ServerError("down")
    world.pass_(3 * MINUTE)
    await delivery.deliver()
    assert world.waits == [1, 0, 3]
    world.vendor.error, world.last = None, None
    again = world.delivery()
    await again.deliver()
    assert world.waits[3:] == [3, 2, 1, 0]


async def test_each_bucket_is_read_and_sent_once(world):
    delivery = world.delivery()
    for _ in range(5):
        await delivery.deliver()
        await delivery.deliver()
        world.pass_(INTERVAL)
    assert world.sent == {end: values(end) for end in range(DUE, DUE + 5 * MINUTE, MINUTE)}
    assert len(world.vendor.asked) == 5
    assert world.counts == {"expected": 5, "delivered": 5, "late": 0}


async def test_after_an_outage_of_the_vendor_nothing_is_missing(world):
    delivery = world.delivery()
    await delivery.deliver()
    world.vendor.error = ServerError("down")
    for _ in range(10):
        world.pass_(INTERVAL)
        await delivery.deliver()
    assert delivery.trouble == "server_error: down"
    world.vendor.error = None
    world.pass_(INTERVAL)
    await delivery.deliver()
    assert delivery.trouble == ""
    assert world.sent == {end: values(end) for end in range(DUE, DUE + 12 * MINUTE, MINUTE)}
    assert world.counts == {"expected": 12, "delivered": 12, "late": 8}


async def test_the_watermark_moves_only_when_the_receiver_has_decided(world):
    delivery = world.delivery()
    await delivery.deliver()
    world.refusal = Killed("before the receiver's answer")
    world.pass_(INTERVAL)
    with pytest.raises(Killed):
        await delivery.deliver()
    world.refusal = None
    await world.delivery().deliver()
    assert world.sent == {end: values(end) for end in (DUE, DUE + MINUTE)}


async def test_a_kill_before_the_first_answer_does_not_move_the_beginning(world):
    world.refusal = Killed()
    with pytest.raises(Killed):
        await world.delivery().deliver()
    world.refusal = None
    world.pass_(10 * MINUTE)
    await world.delivery().deliver()
    assert set(world.sent) == set(range(DUE, DUE + 10 * MINUTE + 1, MINUTE))


async def test_a_fault_of_the_exporter_is_told_once_and_tried_again(world):
    delivery = world.delivery()
    world.vendor.values = lambda *_: 1 / 0
    with capture_logs() as lines:
        for _ in range(3):
            await delivery.deliver()
            assert delivery.trouble == "ZeroDivisionError in the exporter; please report it with the traceback"
        world.vendor.values = lambda *_: 1
        await delivery.deliver()
    assert delivery.trouble == ""
    assert [line["event"] for line in lines] == ["delivery broke", "history waits", "history is delivered again"]
    assert lines[0]["exc_info"]


async def test_another_process_goes_on_where_this_one_stopped(world):
    await world.delivery().deliver()
    world.pass_(HOUR)
    await world.delivery().deliver()
    assert world.sent == {end: values(end) for end in range(DUE, DUE + HOUR + 1, MINUTE)}
    assert world.counts["expected"] == world.counts["delivered"] == 61


@pytest.mark.parametrize("damage", [b"", b"junk", lambda content: content[:-3], lambda content: content[:40] + content])
async def test_a_damaged_watermark_is_set_aside_and_what_can_be_is_delivered_again(world, damage):
    await world.delivery(", catch_up: 2h").deliver()
    (file,) = world.directory.glob(f"*{SUFFIX}")
    file.write_bytes(damage(file.read_bytes()) if callable(damage) else damage)
    world.pass_(HOUR)
    await world.delivery(", catch_up: 2h").deliver()
    assert set(range(DUE - HOUR + 3 * MINUTE, DUE + HOUR + 1, MINUTE)) <= set(world.sent)
    assert len(list(world.directory.glob("*.damaged"))) == 1


async def test_a_directory_that_can_not_be_written_stops_nothing(world):
    world.directory = world.directory / "file" / "below"
    (world.directory.parent).write_text("no directory")
    delivery = world.delivery()
    for _ in range(2):
        await delivery.deliver()
        world.pass_(INTERVAL)
    assert set(world.sent) == {DUE, DUE + MINUTE}


@pytest.mark.parametrize("words", ["out of order sample", "label name too long"])
async def test_what_the_receiver_refuses_is_given_up_and_the_next_bucket_is_sent(world, words):
    delivery = world.delivery()
    world.refusal = Refusal(400, words)
    await delivery.deliver()
    world.refusal = None
    world.pass_(INTERVAL)
    await delivery.deliver()
    assert set(world.sent) == {DUE + MINUTE}
    assert world.counts == {"expected": 2, "delivered": 1, "given_up": 1, "late": 0}


async def test_a_bucket_that_the_receiver_has_already_is_delivered(world):
    delivery = world.delivery()
    world.refusal = Refusal(400, "duplicate sample for timestamp")
    await delivery.deliver()
    assert delivery.mark.newest == DUE
    assert world.counts == {"expected": 1, "delivered": 1, "late": 0}


async def test_what_is_refused_for_another_reason_than_its_samples_waits(world):
    delivery = world.delivery()
    world.refusal = Refusal(401, "Unauthorized")
    for _ in range(3):
        await delivery.deliver()
        world.pass_(INTERVAL)
    assert "check `url` and the log-in" in delivery.trouble
    world.refusal = None
    await delivery.deliver()
    assert set(world.sent) == {DUE + minute * MINUTE for minute in range(4)}
    assert world.counts["given_up"] == 0


async def test_a_receiver_that_does_not_decide_ends_the_turn_and_not_the_history(world):
    delivery = world.delivery()
    world.refusal = Unavailable("status", "HTTP 500: no space left")
    await delivery.deliver()
    assert delivery.trouble == "the receiver takes no samples: HTTP 500: no space left"
    world.refusal = None
    world.pass_(INTERVAL)
    await delivery.deliver()
    assert (set(world.sent), delivery.trouble) == ({DUE, DUE + MINUTE}, "")


async def test_what_is_older_than_catch_up_is_given_up(world):
    delivery = world.delivery(", catch_up: 1h")
    await delivery.deliver()
    world.pass_(3 * HOUR)
    await delivery.deliver()
    oldest = world.now - HOUR
    assert set(world.sent) == {DUE} | set(range(oldest + MINUTE, DUE + 3 * HOUR + 1, MINUTE))
    assert world.counts["given_up"] == (oldest - DUE) // MINUTE
    assert world.counts["expected"] == world.counts["delivered"] + world.counts["given_up"] == 181


async def test_catching_up_keeps_to_its_budget(world):
    delivery = world.delivery(", catch_up_requests: 3, settle: 1m")
    await delivery.deliver()
    world.pass_(23 * HOUR)
    requests = []
    while len(world.sent) < 23 * 60 + 1:
        before = len(world.vendor.asked)
        await delivery.deliver()
        requests.append(len(world.vendor.asked) - before)
    # A request has 100 buckets, and one is free each turn.
    assert requests[0] == 4
    assert set(requests[1:]) == {1}
    world.pass_(2 * HOUR)
    before = len(world.vendor.asked)
    await delivery.deliver()
    assert len(world.vendor.asked) - before == 2


async def test_a_vendor_that_is_down_costs_a_request_an_interval_and_the_budget(world):
    delivery = world.delivery(", catch_up_requests: 5")
    await delivery.deliver()
    world.pass_(6 * HOUR)
    before, world.vendor.error = len(world.vendor.asked), ServerError("down")
    for _ in range(20):
        await delivery.deliver()
    assert len(world.vendor.asked) - before == 20 + 5


async def test_a_clock_that_was_ahead_has_its_buckets_delivered_again(world):
    delivery = world.delivery()
    truth = {"now": T}
    world.vendor.values = lambda _cdn, start, _: None if start + MINUTE > truth["now"] else values(start + MINUTE)[0][1]
    await delivery.deliver()
    world.now += 10 * HOUR
    for _ in range(3):
        await delivery.deliver()
        world.pass_(INTERVAL)
        truth["now"] += INTERVAL
    assert set(world.sent) == {DUE, *range(DUE + MINUTE, T + 3 * MINUTE, MINUTE)} - {T + 2 * MINUTE, T + MINUTE}
    world.now -= 10 * HOUR
    await delivery.deliver()
    assert delivery.mark.delivered == world.now - DELAY
    world.pass_(HOUR)
    truth["now"] += HOUR
    await delivery.deliver()
    assert set(range(DUE, world.now - DELAY + 1, MINUTE)) <= set(world.sent)
    counted = world.counts["delivered"] + world.counts["given_up"]
    assert world.counts["expected"] == counted


async def test_a_clock_that_goes_back_a_little_only_waits(world):
    delivery = world.delivery()
    await delivery.deliver()
    world.now -= 45
    await delivery.deliver()
    world.now += 45 + INTERVAL
    await delivery.deliver()
    assert {end: len(found) for end, found in world.sent.items()} == {DUE: 2, DUE + MINUTE: 2}


async def test_a_longer_delay_only_waits(world):
    await settled(world, world.delivery(), 10)
    sent, asked = {end: len(found) for end, found in world.sent.items()}, len(world.vendor.asked)
    delivery = world.delivery(more=", delay: 8m")
    await settled(world, delivery, 5)
    assert {end: len(found) for end, found in world.sent.items()} == sent
    assert len(world.vendor.asked) == asked
    await settled(world, delivery, 10)
    assert set(Counter(map(len, world.sent.values()))) == {2}
    assert delivery.mark.delivered == world.now - INTERVAL - 8 * MINUTE


async def test_a_clock_that_goes_back_after_a_quiet_hour_repeats_only_what_is_ahead_of_it(world):
    delivery = world.delivery(", settle: 1d")
    await settled(world, delivery, 90)
    before = len(world.vendor.asked)
    world.now -= 6 * MINUTE
    await settled(world, delivery, 8)
    again = {end for end, found in world.sent.items() if len(found) == 4}
    assert len(again) == 5, "those that end after what is due now"
    assert len(world.vendor.asked) - before == 7
    assert world.counts["expected"] == world.counts["delivered"]


async def settled(world, delivery, minutes):
    for _ in range(minutes):
        await delivery.deliver()
        world.pass_(INTERVAL)


async def test_settled_buckets_are_read_again_once_and_equal_ones_are_not_sent(world):
    delivery = world.delivery(", settle: 8m")
    await settled(world, delivery, 30)
    assert all(len(found) == 2 for found in world.sent.values())
    asked = Counter(start for begin, end in world.vendor.asked for start in range(begin, end, MINUTE))
    assert set(asked.values()) == {1, 2}
    assert all(asked[start] == 2 for start in range(DUE - MINUTE, DUE + 10 * MINUTE, MINUTE))
    assert len(world.vendor.asked) < 45, "settled ones are read together"
    assert (delivery.mark.settled.revised, delivery.mark.settled.buckets) == (0, sum(n == 2 for n in asked.values()))
    assert "revised" not in world.counts


async def test_what_is_remembered_is_bounded(world, monkeypatch):
    monkeypatch.setattr("exporter.history.delivery.MOST_KEPT", 4 * 2 * 16)
    delivery = world.delivery(", settle: 8m")
    await settled(world, delivery, 8)
    assert [reading.end for reading in delivery.mark.unsettled] == [DUE + minute * MINUTE for minute in range(4)]
    assert len(world.sent) == 8


async def test_a_changed_bucket_is_sent_again_and_counted(world):
    delivery = world.delivery(", settle: 8m")

    def late(cdn, start, now):
        """The value of one CDN of one bucket grows from 100 to 125 five minutes after the bucket's end."""
        return 125 if (cdn, start) == ("a", DUE) and now >= DUE + 6 * MINUTE else 100

    world.vendor.values = late
    await settled(world, delivery, 20)
    assert world.sent[DUE + MINUTE] == [("a", 100), ("b", 100), ("a", 125)]
    assert all(len(found) == 2 for end, found in world.sent.items() if end != DUE + MINUTE)
    ((changed, largest, age),) = world.revisions
    assert (changed, largest) == ([125], 0.2)
    assert 8 * MINUTE <= age <= 12 * MINUTE
    assert delivery.mark.settled.revised == 1


async def test_a_changed_bucket_waits_for_a_log_in_and_is_counted_once(world):
    world.vendor.values = lambda _cdn, _start, now: 100 if now < T + HOUR // 2 else 50
    delivery = world.delivery()
    await delivery.deliver()
    world.pass_(DELAY)
    await delivery.deliver()
    world.now += HOUR // 2
    due = delivery.mark.delivered = world.now - DELAY
    world.refusal = Refusal(401, "Unauthorized")
    for _ in range(3):
        await delivery.deliver()
    assert "check `url` and the log-in" in delivery.trouble
    assert (world.revisions, len(delivery.mark.unsettled)) == ([], 3)
    world.refusal = None
    await delivery.deliver()
    assert (delivery.trouble, delivery.mark.delivered, delivery.mark.unsettled) == ("", due, [])
    assert [changed for changed, *_ in world.revisions] == [[50, 50]] * 3
    assert world.sent[DUE] == [("a", 100), ("b", 100), ("a", 50), ("b", 50)]


async def test_what_is_to_settle_survives_a_restart(world):
    world.vendor.values = lambda _cdn, _start, now: 100 if now < T + HOUR // 2 else 50
    await world.delivery().deliver()
    world.pass_(HOUR // 2)
    await world.delivery().deliver()
    assert world.revisions == [([50, 50], 0.5, HOUR // 2 + DELAY)]


async def test_a_query_that_asks_for_other_things_goes_on_and_compares_nothing(world):
    await world.delivery().deliver()
    world.pass_(HOUR // 2)
    world.vendor.values = lambda *_: 7
    await world.delivery(identity="other").deliver()
    assert world.revisions == []
    assert set(world.sent) == set(range(DUE, DUE + HOUR // 2 + 1, MINUTE))


async def test_a_bucket_without_rows_is_delivered_too(world):
    world.vendor.values = lambda *_: None
    await world.delivery().deliver()
    assert world.counts == {"expected": 1, "delivered": 1, "late": 0}
    assert world.last == DUE

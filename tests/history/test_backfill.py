"""Pieces of several queries: each bucket once, no request twice, however often the process dies."""

import asyncio
import gc
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import load
from exporter.history.backfill import Backfill, all_wanted, wanted
from exporter.history.fetch import pieces
from exporter.history.openmetrics import text
from exporter.history.spool import Spool
from exporter.model import Bucket, Window
from exporter.providers.base import NoHistory
from exporter.providers.errors import BadRequest, NetworkError

HOUR = 3600
START = 1_775_764_800  # 2026-04-09 20:00 UTC
NOW = START + 400 * 24 * HOUR
PLAYS = {"name": "plays", "source": "mm", "metrics": ["viewercount"]}
BY_CDN = {"name": "by_cdn", "source": "mm", "metrics": ["viewercount"], "dimensions": ["cdn"]}
SESSIONS = {"name": "sessions", "source": "mm", "metrics": ["latency"], "endpoint": "listsessions"}


class Death(BaseException):
    """The process dies here."""


class Vendor:
    """Answers hourly plays, a page of 50 rows at a time; ``deadly`` are the numbers of requests that it dies at."""

    def __init__(self, deadly=(), broken="", *, counting=False):
        self.counting = counting
        self.deadly = set(deadly)
        self.broken = broken
        self.asked = Counter()
        self.answered = Counter()
        self.held = 0

    async def get(self, request, bounds, read):
        del bounds
        params = dict(request.params)
        self.asked[request] += 1
        if self.counting and self.asked.total() % 50 == 0:
            self.held = max(self.held, sum(isinstance(each, Bucket) for each in gc.get_objects()))
        await asyncio.sleep(0)
        if self.asked.total() in self.deadly:
            raise Death
        if self.broken and self.broken in params.get("aggby", ""):
            raise BadRequest("HTTP 422: no")
        value = await read(json.dumps(self.answer(params)).encode())
        self.answered[request] += 1
        return value

    def answer(self, params):
        start, end = (int(part.partition("=")[2]) for part in params["period"].split(","))
        names = ["a", "b"] if "cdn" in params["aggby"] else [""]
        if params["aggby"] == "sessionid":
            rows = [{"sessionid": str(start), "latency": 1}]
        else:
            hours = range(start, end, HOUR)
            rows = [{"timestamp": at, "cdn": name, "viewercount": at // HOUR} for at in hours for name in names]
        offset = int(params["offset"])
        return {"totalrecords": len(rows), "response": rows[offset : offset + 50]}


def configured(*queries, concurrency=4, **defaults):
    limits = {"concurrency": concurrency}
    sources = {
        "mm": {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "a-key"}, "limits": limits},
        "ibm": {"type": "ibm_video", "auth": {"client_id": "c", "client_secret": "s"}},
    }
    return load(json.dumps({"defaults": defaults, "sources": sources, "queries": list(queries)}), name="", env={})


def all_of(*queries, hours, since=START, concurrency=4):
    config = configured(*queries, concurrency=concurrency)
    found, without = all_wanted(config, (), HOUR, Window(since, since + hours * HOUR), NOW)
    assert without == ()
    return found


def die(backfill, found):
    """Run until the end or until the process dies, and say whether it did."""

    dead = False
    try:
        asyncio.run(backfill.run(found))
    except* Death:
        dead = True
    return dead


def written(spool):
    return b"".join(text(spool.blocks())).decode()


def expected(family, *labels, hours, since=START):
    numbers = range(since // HOUR, since // HOUR + hours)
    return [f"{family}{{{label}}} {hour} {(hour + 1) * HOUR}" for label in labels for hour in numbers]


HOURLY = configured(PLAYS)


@pytest.fixture
def open_(tmp_path):
    return lambda: Spool(tmp_path / "x.backfill", "identity", 0.0)


def test_each_bucket_of_each_query_is_there_once(open_):
    found = all_of(PLAYS, BY_CDN, hours=500)
    vendor, told = Vendor(), []
    with open_() as spool:
        asyncio.run(Backfill({"mm": vendor}, spool, lambda each, count: told.append((each.name, count))).run(found))
        lines = [line for line in written(spool).splitlines() if not line.startswith("#")]
    by_cdn = [f'source="mm",query="by_cdn",cdn="{name}"' for name in "ab"]
    assert lines == [
        *expected("smartsight_plays", *by_cdn, 'source="mm",query="plays"', hours=500),
    ]
    assert max(vendor.asked.values()) == 1
    assert Counter(name for name, _ in told) == {each.name: each.pieces for each in found}
    assert sum(count for _, count in told) == 1500


@settings(max_examples=15)
@given(
    deadly=st.lists(st.integers(1, 25), max_size=4, unique=True),
    hours=st.integers(1, 300),
    since=st.integers(0, 10).map(lambda number: START + number * 37 * HOUR),
    concurrency=st.integers(1, 5),
)
def test_however_often_it_dies_each_bucket_is_there_once_and_no_answer_came_twice(deadly, hours, since, concurrency):
    found = all_of(PLAYS, BY_CDN, hours=hours, since=since, concurrency=concurrency)
    vendor = Vendor(deadly)
    with tempfile.TemporaryDirectory() as place:
        path, dead = Path(place) / "x.backfill", True
        while dead:
            with Spool(path, "identity", 0.0) as spool:
                dead = die(Backfill({"mm": vendor}, spool, lambda *_: None), found)
                lines = [line for line in written(spool).splitlines() if not line.startswith("#")]
    by_cdn = [f'source="mm",query="by_cdn",cdn="{name}"' for name in "ab"]
    assert lines == expected("smartsight_plays", *by_cdn, 'source="mm",query="plays"', hours=hours, since=since)
    assert max(vendor.answered.values()) == 1


def test_a_query_that_fails_costs_no_other_and_is_not_asked_to_its_end(open_):
    found = all_of(PLAYS, BY_CDN, hours=500, concurrency=1)
    vendor = Vendor(broken="cdn")
    with open_() as spool:
        backfill = Backfill({"mm": vendor}, spool, lambda *_: None)
        asyncio.run(backfill.run(found))
        assert [(name, str(error)) for name, error in backfill.failures.items()] == [("mm/by_cdn", "HTTP 422: no")]
        assert spool.count_done("mm/plays") == found[0].pieces
        assert spool.count_done("mm/by_cdn") == 0
    assert sum(count for request, count in vendor.asked.items() if "cdn" in str(request)) == 1


def test_rows_that_are_dropped_are_counted_by_query_and_reason(open_):
    config = configured(BY_CDN, PLAYS, max_series=1)
    found, _ = all_wanted(config, (), HOUR, Window(START, START + 30 * HOUR), NOW)
    with open_() as spool:
        backfill = Backfill({"mm": Vendor()}, spool, lambda *_: None)
        asyncio.run(backfill.run(found))
    assert backfill.dropped == {("mm/by_cdn", "limit"): 30}


def test_what_is_delivered_comes_in_the_order_of_time_and_is_not_kept(open_):
    found = all_of(SESSIONS, hours=30, concurrency=5)
    order = []

    async def deliver(each, buckets):
        await asyncio.sleep(0.001 if len(order) % 2 else 0)
        order.extend((each.name, bucket.period.start) for bucket in buckets)

    with open_() as spool:
        asyncio.run(Backfill({"mm": Vendor()}, spool, lambda *_: None, deliver).run(found))
        assert spool.count_done("mm/sessions") == 30
        assert written(spool) == "# EOF\n"
    assert order == [("mm/sessions", START + number * HOUR) for number in range(30)]


def test_after_a_piece_that_failed_nothing_later_of_its_query_is_delivered(open_):
    found = all_of(SESSIONS, hours=30, concurrency=5)
    order = []

    class Gap(Vendor):
        async def get(self, request, bounds, read):
            if f"start={START + 7 * HOUR}," in str(request.params):
                raise NetworkError("no route")
            return await super().get(request, bounds, read)

    async def deliver(_, buckets):
        order.extend(bucket.period.start for bucket in buckets)

    with open_() as spool:
        backfill = Backfill({"mm": Gap()}, spool, lambda *_: None, deliver)
        asyncio.run(backfill.run(found))
    assert order == [START + number * HOUR for number in range(7)]
    assert list(backfill.failures) == ["mm/sessions"]


def test_what_is_held_does_not_grow_with_the_period(tmp_path):
    """Counted in buckets that are alive at any request: a longer past has more pieces, not larger ones."""
    most = []
    for hours in (100, 700):
        vendor = Vendor(counting=True)
        with Spool(tmp_path / str(hours), "identity", 0.0) as spool:
            asyncio.run(Backfill({"mm": vendor}, spool, lambda *_: None).run(all_of(SESSIONS, hours=hours)))
        assert vendor.answered.total() == hours
        most.append(vendor.held)
    assert most[1] <= most[0] + 4


# --- What is wanted -------------------------------------------------------------------------------------------------


def test_only_whole_buckets_that_have_settled_are_wanted():
    config = configured(PLAYS, delay="10m")
    late = START + 5 * HOUR
    for now, buckets in ((late + 599, 4), (late + 600, 5), (late - 10 * HOUR, 0)):
        each = wanted(config.queries[0], config, HOUR, Window(START - 1, late + 9 * HOUR), now)
        assert each.period.start == START - HOUR
        assert each.buckets == (buckets + 1 if buckets else 0)
        assert bool(each.pieces) == bool(each.buckets)


@given(since=st.integers(0, 5000), hours=st.integers(0, 2000))
def test_the_number_of_pieces_is_that_of_the_cuts(since, hours):
    each = wanted(HOURLY.queries[0], HOURLY, HOUR, Window(since * HOUR, (since + hours) * HOUR), NOW)
    assert each.pieces == len(list(pieces(each.past, each.period)))


def test_queries_without_history_are_named_with_the_reason():
    monthly = {"name": "monthly", "source": "ibm", "metrics": ["total_views"], "options": {"bucket": "month"}}
    config = configured(PLAYS, monthly)
    found, without = all_wanted(config, (), HOUR, Window(START, START + HOUR), NOW)
    assert [each.name for each in found] == ["mm/plays"]
    assert without == ("ibm: `monthly` has no history: `options: {bucket: month}` has no buckets of 1h",)
    with pytest.raises(NoHistory):
        wanted(config.queries[1], config, HOUR, Window(START, START + HOUR), NOW)

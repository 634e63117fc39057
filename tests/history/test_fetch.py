"""A bucket of the past is what a poll of its own period would have seen, whatever the way in which it is asked for."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.gather import Gatherer, Tick
from exporter.history.fetch import Fetcher, pieces
from exporter.model import Past, Window
from exporter.plan import plan
from exporter.providers.errors import AuthError, BadResponse, OutOfTime, RateLimited, ServerError, TimedOut

HOUR = 3600
START = 1_775_764_800  # 2026-04-09 20:00 UTC

QUERIES = [
    {"source": "mm", "metrics": ["viewercount", "latency", "p95_latency", "failurerate"]},
    {"source": "mm", "metrics": ["viewercount", "bufferingratio"], "dimensions": ["cdn", "country"]},
    {"source": "mm", "metrics": ["viewercount"], "dimensions": ["country"], "top": 3},
    {"source": "mm", "metrics": ["latency"], "dimensions": ["cdn"], "having": "latency>1.5"},
    {"source": "mm", "metrics": ["views"], "options": {"sessiontype": "started", "allstatus": 1}},
    {"source": "mm", "metrics": ["latency", "playdur"], "dimensions": ["cdn"], "endpoint": "listsessions"},
    {"source": "old", "metrics": ["errors"], "dimensions": ["errorcode", "cdn"], "endpoint": "error"},
    {"source": "old", "dimensions": ["severity"], "endpoint": "alerts"},
    {
        "source": "old",
        "metrics": ["viewercount"],
        "dimensions": ["assetname", "nextasset"],
        "endpoint": "smartquery",
        "options": {"queryname": "contentpaths"},
    },
    {"source": "old", "metrics": ["viewercount"], "dimensions": ["cdn"], "endpoint": "qbrdata"},
    {"source": "old", "metrics": ["viewercount"], "endpoint": "session"},
    {"source": "ibm", "metrics": ["total_views", "unique_devices"], "dimensions": ["content_type"]},
    {"source": "ibm", "metrics": ["total_views"], "dimensions": ["country"]},
    {"source": "ibm", "metrics": ["peak_viewers"], "dimensions": ["content_type", "content_id"]},
    {"source": "ibm", "metrics": ["viewer_seconds"], "dimensions": ["content_type", "content_id"]},
    {"source": "ibm", "metrics": ["viewer_seconds"], "filters": {"channel_id": 77569623}},
    {"source": "ibm", "metrics": ["view_segments", "view_sessions", "watched_seconds"], "dimensions": ["os"]},
    {"source": "ibm", "metrics": ["viewers", "videos_watched"], "dimensions": ["content_type"]},
]


def samples(table):
    """A table's samples: labels and line to the value."""
    found = {}
    for column in table.columns:
        cells = iter(column.values)
        for row in table.rows:
            for line in column.lines:
                if (cell := next(cells)) is not None:
                    found[column.family.name, line.suffix, line.label, row] = pytest.approx(cell)
    return found


async def beside(_, work, *args, **kwargs):
    return work(*args, **kwargs)


async def polled(house, query, period):
    """Take what a poll of the period takes."""
    [group] = [each for each in plan(house.config).groups if each.asked.source == query.source]
    take = await Gatherer(house.sources[query.source], Tick(group, period, query.bounds(float("inf"))), beside).gather()
    assert take[0].failure is None
    return take[0].tabulator.table()


RAW = ("listsessions", "smartquery", "alerts")
BY_VIEW = {"view_segments", "viewers"}
SERIES = [
    query for query in QUERIES if query.get("endpoint") not in RAW and not BY_VIEW & set(query.get("metrics", ()))
]


def name(query):
    """Name a test by what it asks for."""
    if not isinstance(query, dict):
        return None
    return "-".join(
        [query["source"], query.get("endpoint", ""), *query.get("metrics", ()), *query.get("dimensions", ())]
    )


@pytest.mark.parametrize(
    ("query", "step"), [*((query, 300) for query in QUERIES), *((query, HOUR) for query in SERIES)], ids=name
)
async def test_a_bucket_is_what_a_poll_of_its_period_sees(house, query, step):
    house = house({"name": "q", **query})
    [asked] = house.config.queries
    period = Window(START, START + 2 * step)
    found = await house.fetcher(asked, step).buckets(period)
    assert [each.period for each in found] == [Window(START, START + step), Window(START + step, START + 2 * step)]
    for bucket in found:
        live = await polled(house, asked, bucket.period)
        assert samples(bucket.table) == samples(live)
        assert (bucket.table.labels, bucket.table.names) == (live.labels, live.names)


# --- A vendor that a test scripts -----------------------------------------------------------------------------------


@dataclass
class Script:
    """A source that answers with what ``answer(params)`` gives: a value, or an error to raise."""

    answer: object
    asked: list = field(default_factory=list)

    async def get(self, request, bounds, read):
        del bounds
        params = dict(request.params)
        self.asked.append(params)
        found = self.answer(params)
        if isinstance(found, Exception):
            raise found
        return await read(json.dumps(found).encode())


def period(params):
    """The period that a request to SmartSight is about."""
    start, end = (int(part.partition("=")[2]) for part in params["period"].split(","))
    return range(start, end)


def hourly(params):
    """Answer with one row an hour: its number of hours since 1970 plays."""
    rows = [{"timestamp": at, "viewercount": at // HOUR} for at in period(params)[::HOUR]]
    return {"totalrecords": len(rows), "response": rows}


@pytest.fixture
def scripted(house):
    """Make a fetcher of hourly plays in front of a script, and the script."""

    def scripted(answer, **query):
        asked = house({"name": "q", "source": "mm", "metrics": ["viewercount"], **query})
        script = Script(answer)
        provider = asked.config.sources["mm"].provider
        return Fetcher(script, provider, provider.past(asked.config.queries[0], HOUR)), script

    return scripted


def plays(buckets):
    """The one value of each bucket, by the bucket's start."""
    return {each.period.start: list(each.table.columns[0].values) for each in buckets}


async def test_rows_in_any_order_and_on_any_page_find_their_bucket(scripted):
    hours = [START + number * HOUR for number in (3, 0, 2, 4)]

    def answer(params):
        offset = int(params["offset"])
        rows = [{"timestamp": at, "viewercount": at // HOUR} for at in hours[offset : offset + 2]]
        return {"totalrecords": len(hours), "response": rows}

    fetcher, script = scripted(answer)
    found = plays(await fetcher.buckets(Window(START, START + 5 * HOUR)))
    assert found == {START + n * HOUR: [] if n == 1 else [(START + n * HOUR) // HOUR] for n in range(5)}
    assert [params["offset"] for params in script.asked] == ["0", "2"]


@pytest.mark.parametrize("at", [START - HOUR, START + 3 * HOUR, START + 1800, START + 0.5])
async def test_a_row_of_another_period_or_between_two_buckets_fails_the_piece(scripted, at):
    fetcher, _ = scripted(lambda _: {"response": [{"timestamp": at, "viewercount": 1}]})
    with pytest.raises(BadResponse, match=r"metricquery: a (row|bucket)"):
        await fetcher.buckets(Window(START, START + 2 * HOUR))


@pytest.mark.parametrize("row", [None, 5, {"viewercount": 1}, {"timestamp": "soon", "viewercount": 1}])
async def test_a_row_without_a_time_is_counted_and_costs_no_other(scripted, row):
    fetcher, _ = scripted(lambda params: {"response": [row, *hourly(params)["response"]]})
    found = await fetcher.buckets(Window(START, START + 2 * HOUR))
    assert plays(found) == {START: [START // HOUR], START + HOUR: [START // HOUR + 1]}
    assert [dict(each.table.dropped) for each in found] == [{"invalid": 1}, {}]


async def test_a_page_that_repeats_rows_fails_the_piece(scripted):
    rows = [{"timestamp": START, "viewercount": 1}]
    fetcher, script = scripted(lambda _: {"totalrecords": 9, "response": rows})
    with pytest.raises(BadResponse, match="nothing new"):
        await fetcher.buckets(Window(START, START + HOUR))
    assert len(script.asked) == 2


async def test_each_bucket_has_max_series_of_its_own(scripted):
    names = ["a", "b", "c"]

    def answer(params):
        rows = [{"timestamp": at, "cdn": name, "viewercount": 1} for at in period(params)[::HOUR] for name in names]
        return {"totalrecords": len(rows), "response": rows}

    fetcher, _ = scripted(answer, dimensions=["cdn"], max_series=2)
    found = await fetcher.buckets(Window(START, START + 2 * HOUR))
    assert [each.table.rows for each in found] == [[("a",), ("b",)]] * 2
    assert [dict(each.table.dropped) for each in found] == [{"limit": 1}] * 2


async def test_rows_without_an_end_have_an_end(scripted):
    def answer(params):
        offset = int(params["offset"])
        rows = [{"timestamp": START + (n % 2) * HOUR, "cdn": str(offset + n), "viewercount": 1} for n in range(10)]
        return {"totalrecords": 10**9, "response": rows}

    fetcher, script = scripted(answer, dimensions=["cdn"], max_series=2, max_rows=50)
    with pytest.raises(BadResponse, match="max_rows"):
        await fetcher.buckets(Window(START, START + 2 * HOUR))
    assert len(script.asked) == 6


@pytest.mark.parametrize("error", [TimedOut("too long"), ServerError("HTTP 504")])
async def test_what_takes_too_long_is_asked_for_by_halves(scripted, error):
    fetcher, script = scripted(lambda params: error if len(period(params)) > 2 * HOUR else hourly(params))
    found = plays(await fetcher.buckets(Window(START, START + 5 * HOUR)))
    assert found == {START + n * HOUR: [START // HOUR + n] for n in range(5)}
    lengths = [len(period(params)) // HOUR for params in script.asked]
    assert lengths == [5, 2, 3, 1, 2]


@pytest.mark.parametrize("error", [AuthError("no"), RateLimited("no"), OutOfTime("the next tick"), BadResponse("what")])
async def test_what_a_shorter_period_does_not_heal_fails_at_once(scripted, error):
    fetcher, script = scripted(lambda _: error)
    with pytest.raises(type(error)):
        await fetcher.buckets(Window(START, START + 8 * HOUR))
    assert len(script.asked) == 1


async def test_a_vendor_that_is_down_is_not_asked_for_each_bucket(scripted):
    fetcher, script = scripted(lambda _: ServerError("HTTP 503"))
    with pytest.raises(ServerError):
        await fetcher.buckets(Window(START, START + 128 * HOUR))
    assert len(script.asked) == 8


# --- How a period is cut --------------------------------------------------------------------------------------------


@given(
    step=st.sampled_from([60, 300, HOUR, 86_400]),
    buckets=st.integers(1, 200),
    start=st.integers(0, 10**9),
    length=st.integers(0, 10**7),
)
def test_cuts_cover_each_whole_bucket_once_and_lie_on_one_grid(step, buckets, start, length):
    past = Past(None, None, (), step, step * buckets)
    length = length % (step * buckets * 20)
    found = list(pieces(past, Window(start, start + length)))
    covered = [at for piece in found for at in range(piece.start, piece.end, step)]
    first, last = -(-start // step) * step, (start + length) // step * step
    assert covered == list(range(first, last, step))
    assert all(0 < piece.end - piece.start <= past.span for piece in found)
    # Another period is cut at the same places, so that what is done of it stays done.
    assert all(piece.end % past.span == 0 for piece in found[:-1])


def test_nothing_is_left_running_by_a_piece_that_fails(scripted):
    async def main():
        fetcher, _ = scripted(lambda _: BadResponse("what"))
        with suppress(BadResponse):
            await fetcher.buckets(Window(START, START + HOUR))
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()

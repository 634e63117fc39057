import asyncio
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import httpx
import pytest
import structlog

from exporter import exposition, gather
from exporter.config import load
from exporter.exposition import Format, Renderer
from exporter.gzipped import inflate
from exporter.model import Window
from exporter.normalise import Tabulator
from exporter.plan import Group, plan
from exporter.poll import Poller
from exporter.providers.errors import (
    AuthError,
    BadRequest,
    BadResponse,
    NetworkError,
    RateLimited,
    ServerError,
    TimedOut,
)
from exporter.providers.http import Client
from exporter.store import Store

NOW = 1_775_764_830.5
SOURCES = {
    "mm": {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}},
    "ibm": {"type": "ibm_video", "auth": {"client_id": "id", "client_secret": "secret"}},
}


class Silent:
    def requested(self, _): ...

    def throttled(self, *_): ...

    def logged_in(self, *_): ...

    def retried(self, _): ...

    def remaining(self, *_): ...


@dataclass
class Source:
    """A vendor without a network: ``answer`` makes a body of a request's parameters, or raises."""

    answer: object
    asked: list = field(default_factory=list)

    async def get(self, request, bounds, read):
        self.asked.append((request, bounds))
        return await read(json.dumps(self.answer(dict(request.params))).encode())


@dataclass
class House:
    """A poller with its store, two vendors and a clock."""

    queries: list
    sources: dict
    now: float = NOW
    monotonic: float = 100.0

    def __post_init__(self):
        data = {"sources": SOURCES, "queries": self.queries}
        self.config = load(json.dumps(data), name="config.yaml", env={})
        self.jobs = {job.query.name: job for job in plan(self.config).jobs}
        self.store = Store(self.config.queries, lambda: self.monotonic)
        self.outcomes = []
        self.poller = Poller(
            self.sources, self.store, self.outcomes.append, now=lambda: self.now, clock=lambda: self.monotonic
        )

    async def poll(self, name="q"):
        await self.poller.poll(Group.of(self.jobs[name]))
        return self.outcomes[-1]

    def snapshot(self, name="q"):
        return self.store.get(self.jobs[name].query)

    def lines(self, name="q"):
        chunks = self.snapshot(name).chunks
        return [line for chunk in chunks for line in inflate(chunk.lines).decode().splitlines()]


def smartsight(answer, **query):
    query = {"name": "q", "source": "mm", "metrics": ["views"], "dimensions": ["cdn"], **query}
    return House([query], {"mm": Source(answer)})


def ibm(answer, **query):
    return House([{"name": "q", "source": "ibm", "metrics": ["total_views"], **query}], {"ibm": Source(answer)})


def rows(*names, total=None):
    found = [{"cdn": name, "views": number} for number, name in enumerate(names)]
    return {"totalrecords": len(found) if total is None else total, "response": found}


def paged(total, **lies):
    """Answer as SmartSight does with ``total`` rows."""

    def answer(params):
        first, limit = int(params["offset"]), int(params["limit"])
        found = [{"cdn": f"c{number}", "views": number} for number in range(total)][first : first + limit]
        return {"totalrecords": total, "response": found} | lies

    return answer


def scripted(script):
    """Answer, or raise, one after the other."""
    left = iter(script)

    def answer(_):
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    return answer


@pytest.fixture
def logged(monkeypatch):
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        None,
        processors=[structlog.contextvars.merge_contextvars, capture],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        context_class=dict,
    )
    monkeypatch.setattr("exporter.poll.log", logger)
    return capture.entries


# --- A good poll ----------------------------------------------------------------------------------------------------


async def test_a_poll_publishes_its_rows_and_tells_how_it_went():
    house = smartsight(lambda _: rows("Akamai", "", "Akamai", "Fastly"))

    def answer(_):
        house.monotonic += 2.5
        return rows("Akamai", "", "Akamai", "Fastly")

    house.sources["mm"].answer = answer
    outcome = await house.poll()
    assert house.lines() == [
        'smartsight_views{source="mm",query="q",cdn="Akamai"} 0',
        'smartsight_views{source="mm",query="q",cdn="unknown"} 1',
        'smartsight_views{source="mm",query="q",cdn="Fastly"} 3',
    ]
    assert outcome.succeeded
    assert (outcome.query, outcome.series, outcome.dropped) == (house.jobs["q"].query, 3, {"duplicate": 1})
    assert (outcome.ended, outcome.duration) == (NOW, pytest.approx(2.5))
    assert house.snapshot().taken == house.monotonic
    assert house.poller.last == {("mm", "q"): outcome}


@pytest.mark.parametrize(
    ("query", "window"),
    [
        ({}, Window(1_775_764_380, 1_775_764_680)),  # 20:00:30 less 2m, on the minute; 5m long
        ({"delay": 0, "window": "1m"}, Window(1_775_764_740, 1_775_764_800)),
        ({"interval": "1h", "window": "1d"}, Window(1_775_761_200 - 86400, 1_775_761_200)),
    ],
)
async def test_the_window_of_the_contract_is_asked_for_and_told(query, window):
    house = smartsight(lambda _: rows("Akamai"), **query)
    outcome = await house.poll()
    [(request, bounds)] = house.sources["mm"].asked
    assert dict(request.params)["period"] == f"start={window.start},end={window.end}"
    assert outcome.window == house.snapshot().window == window
    job = house.jobs["q"]
    assert bounds == job.query.bounds(100.0 + job.next_tick(NOW) - NOW)


async def test_the_window_is_that_of_the_beginning_on_every_page():
    def answer(params):
        house.now += 3600
        return paged(2500)(params)

    house = smartsight(answer)
    await house.poll()
    assert len({dict(request.params)["period"] for request, _ in house.sources["mm"].asked}) == 1


async def test_an_empty_answer_is_a_success_without_series():
    house = smartsight(lambda _: rows(), on_missing="zero")
    outcome = await house.poll()
    assert (outcome.succeeded, outcome.series, house.lines()) == (True, 0, [])


async def test_what_the_vendor_no_longer_returns_is_gone():
    answers = [rows("Akamai", "Fastly"), rows("Fastly")]
    house = smartsight(lambda _: answers.pop(0))
    await house.poll()
    await house.poll()
    assert house.lines() == ['smartsight_views{source="mm",query="q",cdn="Fastly"} 0']


async def test_all_parts_of_a_query_are_asked_and_meet_in_one_snapshot():
    house = ibm(
        lambda _: {"data": [{"attributes": {"point": "summary", "value": 11}}], "pagination": {}},
        metrics=["total_views", "unique_devices"],
        dimensions=["content_type"],
    )
    assert (await house.poll()).series == 4
    assert [request.path for request, _ in house.sources["ibm"].asked] == [
        "/total-views/live/summary",
        "/total-views/recorded/summary",
        "/unique-devices/live/summary",
        "/unique-devices/recorded/summary",
    ]


# --- Pages ----------------------------------------------------------------------------------------------------------


async def test_all_pages_are_taken():
    house = smartsight(paged(2500))
    outcome = await house.poll()
    assert (outcome.series, outcome.dropped) == (2500, {})
    assert [dict(request.params)["offset"] for request, _ in house.sources["mm"].asked] == ["0", "1000", "2000"]


@pytest.mark.parametrize(
    ("max_series", "pages", "dropped"),
    [(1500, 2, 1000), (1000, 1, 1500), (999, 1, 1501), (2499, 3, 1), (2500, 3, 0), (1, 1, 2499)],
)
async def test_max_series_ends_the_paging_and_the_rest_is_counted(max_series, pages, dropped):
    house = smartsight(paged(2500), max_series=max_series)
    outcome = await house.poll()
    assert outcome.succeeded
    assert outcome.series == max_series
    assert outcome.dropped == ({"limit": dropped} if dropped else {})
    assert len(house.sources["mm"].asked) == pages


async def test_max_series_drops_whole_rows():
    answer = {"totalrecords": 3, "response": [{"cdn": name, "views": 1, "errors": 2} for name in "abc"]}
    house = smartsight(lambda _: answer, metrics=["views", "errors"], max_series=5)
    outcome = await house.poll()
    assert (outcome.series, outcome.dropped) == (4, {"limit": 1})


@pytest.mark.parametrize("lie", [None, "many"])
async def test_rows_beyond_max_series_are_told_though_nobody_knows_how_many(lie):
    house = smartsight(paged(2500, totalrecords=lie), max_series=1000)
    outcome = await house.poll()
    assert outcome.series == 1000
    assert outcome.dropped.get("limit", 0) >= 1


async def test_ibm_s_pages_end_at_max_series_too():
    def answer(params):
        page = int(params["_page"])
        data = [{"attributes": {"point": f"d{page}-{number}", "value": number}} for number in range(10)]
        return {"data": data, "pagination": {"next": {"href": f"/total-views/device?_page={page + 1}&_limit=10"}}}

    house = ibm(answer, dimensions=["device"], max_series=25)
    outcome = await house.poll()
    assert outcome.series == 25
    assert outcome.dropped["limit"] >= 5
    assert len(house.sources["ibm"].asked) == 3


@pytest.mark.parametrize("totalrecords", [None, 10**9], ids=["unknown", "huge"])
async def test_a_smartsight_that_sends_the_same_page_again_and_again_is_not_asked_for_ever(totalrecords):
    def answer(_):
        if len(house.sources["mm"].asked) > 50:
            raise NetworkError("asked for ever")
        return paged(1000, totalrecords=totalrecords)({"offset": "0", "limit": "1000"})

    house = smartsight(answer)
    outcome = await house.poll()
    assert "asked for ever" not in outcome.error


async def test_an_ibm_that_sends_the_same_page_again_and_again_is_not_asked_for_ever():
    def answer(_):
        if len(house.sources["ibm"].asked) > 50:
            raise NetworkError("asked for ever")
        data = [{"attributes": {"point": "phone", "value": 1}}]
        return {"data": data, "pagination": {"next": {"href": "/total-views/device?_page=2&_limit=10"}}}

    house = ibm(answer, dimensions=["device"])
    outcome = await house.poll()
    assert "asked for ever" not in outcome.error


VIEWER = {"viewer_identifier": "a@example.com", "videos_watched": 1}
PEAK = {"content_type": "live", "content_id": 7, "time": "2026-04-09T15:50:00+00:00", "value": 1}


@pytest.mark.parametrize(("metric", "row"), [("viewers", VIEWER), ("peak_viewers", PEAK)])
async def test_the_same_page_again_and_again_of_what_is_aggregated_is_not_asked_for_for_ever(metric, row):
    def answer(_):
        if len(house.sources["ibm"].asked) > 50:
            raise NetworkError("asked for ever")
        return {"data": [{"attributes": row}], "pagination": {"next": {"href": "/viewers?_page=2&_limit=10"}}}

    house = ibm(answer, metrics=[metric], dimensions=["content_id"] if metric == "peak_viewers" else [])
    outcome = await house.poll()
    assert "asked for ever" not in outcome.error


@pytest.mark.parametrize("pages", [2, 3, 4])
async def test_a_row_that_slips_from_page_to_page_is_counted_once(pages):
    def answer(params):
        page = int(params["_page"])
        data = [{"attributes": {"viewer_identifier": name, "videos_watched": 1}} for name in (f"v{page}", "slips")]
        return {"data": data, "pagination": {"next": {"href": "?_page=2"}} if page < pages else {}}

    house = ibm(answer, metrics=["viewers"])
    outcome = await house.poll()
    assert house.lines()[0].endswith(f" {pages + 1}")
    assert outcome.dropped == {"duplicate": pages - 1}


async def test_rows_that_come_twice_are_kept_once_and_counted():
    def answer(params):  # a row slipped from the first page to the second between two requests
        first = int(params["offset"])
        start = first - 1 if first else 0
        return {"totalrecords": 1999, "response": [{"cdn": f"c{n}", "views": n} for n in range(start, start + 1000)]}

    outcome = await smartsight(answer).poll()
    assert (outcome.series, outcome.dropped) == (1999, {"duplicate": 1})


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_a_poll_of_which_one_page_fails_leaves_the_last_snapshot(failing):
    house = smartsight(paged(2500))
    await house.poll()
    before, lines, version = house.snapshot(), house.lines(), house.store.version
    good, house.sources["mm"].asked = house.sources["mm"].answer, []

    def answer(params):
        if len(house.sources["mm"].asked) == failing:
            raise NetworkError("broke")
        return good(params)

    house.sources["mm"].answer = answer
    outcome = await house.poll()
    assert (outcome.reason, outcome.error, outcome.series, outcome.dropped) == ("network", "broke", 0, {})
    assert house.snapshot() is before
    assert (house.lines(), house.store.version) == (lines, version)


async def test_a_poll_of_which_a_later_part_fails_publishes_nothing():
    answers = [{"data": [{"attributes": {"point": "summary", "value": 11}}]}, {"errors": []}]
    house = ibm(lambda _: answers.pop(0), metrics=["total_views", "unique_devices"])
    outcome = await house.poll()
    assert (outcome.reason, house.snapshot()) == ("bad_response", None)


@pytest.mark.parametrize(("max_rows", "succeeds"), [(6, True), (5, False)])
async def test_more_rows_to_aggregate_than_max_rows_fail_the_poll(max_rows, succeeds):
    def answer(params):
        page = int(params["_page"])
        data = [{"attributes": {"content_id": number, "time": f"{page}", "value": page}} for number in range(2)]
        return {"data": data, "pagination": {"next": {"href": "?_page=2"}} if page < 3 else {}}

    house = ibm(answer, metrics=["peak_viewers"], dimensions=["content_id"], max_rows=max_rows)
    outcome = await house.poll()
    assert outcome.reason == ("" if succeeds else "bad_response")
    if succeeds:
        assert house.lines()[0].endswith(" 3")
    else:
        assert "max_rows" in outcome.error


async def test_max_series_does_not_end_the_paging_of_what_is_aggregated():
    def answer(params):
        page = int(params["_page"])
        data = [{"attributes": {"content_id": number, "time": f"{page}", "value": page}} for number in range(2)]
        return {"data": data, "pagination": {"next": {"href": "?_page=2"}} if page < 3 else {}}

    house = ibm(answer, metrics=["peak_viewers"], dimensions=["content_id"], max_series=2)
    outcome = await house.poll()
    assert (outcome.series, outcome.dropped) == (2, {})
    assert [line.rpartition(" ")[2] for line in house.lines()] == ["3", "3"]


# --- A poll that fails ----------------------------------------------------------------------------------------------

OK = httpx.Response(200, json=rows("Akamai"))


def broken(error):
    def answer(_):
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        *((httpx.Response(status), "auth") for status in (401, 403)),
        (httpx.Response(429), "rate_limited"),
        *((httpx.Response(status), "server_error") for status in (500, 502, 503, 504)),
        *((httpx.Response(status), "bad_request") for status in (400, 404, 422)),
        *((httpx.Response(status, headers={"location": "/"}), "bad_response") for status in (301, 302, 307, 308)),
        (httpx.Response(200, content=b"<html>"), "bad_response"),
        (httpx.Response(200, content=b""), "bad_response"),
        (httpx.Response(200, json={"response": None}), "bad_response"),
        (httpx.Response(200, json={"detail": "no"}), "bad_response"),
        (httpx.Response(200, content=b" " * 3000), "bad_response"),
        (broken(httpx.ConnectError("no route")), "network"),
        (broken(httpx.ReadTimeout("slow")), "timeout"),
        (broken(ZeroDivisionError("oops")), "bug"),
        (httpx.Response(422, json={"detail": [{"loc": None, "msg": "a shape that nobody promised"}]}), "bad_request"),
    ],
)
async def test_each_kind_of_failure_has_its_reason_and_leaves_the_snapshot(answer, reason):
    house = smartsight(None, max_response="2000B")
    script = [OK, answer]

    def handle(request):
        found = script.pop(0)
        return found(request) if callable(found) else found

    provider = house.jobs["q"].provider
    client = Client("mm", provider, Silent(), clock=lambda: 0.0, now=lambda: NOW, transport=httpx.MockTransport(handle))
    house.sources["mm"] = client
    assert (await house.poll()).succeeded
    outcome = await house.poll()
    assert outcome.reason == reason
    assert outcome.error
    assert "oops" not in outcome.error
    assert len(house.lines()) == 1


@pytest.mark.parametrize("stage", ["request", "parse"])
async def test_a_fault_of_the_exporter_s_own_is_a_bug_with_one_traceback(stage, logged, monkeypatch):
    house = smartsight(lambda _: rows("Akamai"))

    def fault(*_):
        raise KeyError("secret detail")

    monkeypatch.setattr(type(house.jobs["q"].provider), stage, fault)
    for _ in range(3):
        outcome = await house.poll()
        assert (outcome.reason, house.snapshot()) == ("bug", None)
        assert "KeyError" in outcome.error
        assert "secret detail" not in outcome.error
    assert [entry["event"] for entry in logged if entry.get("exc_info")] == ["poll broke"]


async def test_one_vendor_s_failure_leaves_the_other_s_snapshot():
    def down(_):
        raise NetworkError("down")

    queries = [
        {"name": "a", "source": "mm", "metrics": ["views"], "dimensions": ["cdn"]},
        {"name": "b", "source": "ibm", "metrics": ["total_views"]},
    ]
    ibm_answer = {"data": [{"attributes": {"point": "summary", "value": 11}}], "pagination": {}}
    house = House(queries, {"mm": Source(lambda _: rows("Akamai")), "ibm": Source(lambda _: ibm_answer)})
    await asyncio.gather(house.poll("a"), house.poll("b"))
    house.sources["mm"].answer = down
    await asyncio.gather(house.poll("a"), house.poll("b"))
    assert [(outcome.query.name, outcome.reason) for outcome in house.outcomes[2:]] in (
        [("a", "network"), ("b", "")],
        [("b", ""), ("a", "network")],
    )
    assert (len(house.lines("a")), len(house.lines("b"))) == (1, 1)


async def test_a_poll_that_is_cancelled_ends_as_such_and_tells_nothing():
    house, arrived = smartsight(None), asyncio.Event()

    class Waiting:
        async def get(self, *_):
            arrived.set()
            await asyncio.Event().wait()

    house.sources["mm"] = Waiting()
    task = asyncio.create_task(house.poll())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (house.outcomes, house.snapshot(), house.poller.last) == ([], None, {})


# --- What is logged -------------------------------------------------------------------------------------------------


async def test_only_a_change_of_state_is_logged(logged):
    good, twice = rows("a", "b"), rows("a", "a", "b")
    script = [good, good, NetworkError("one"), NetworkError("two"), good, twice, twice, good]
    house, lines = smartsight(scripted(script)), []
    for _ in range(len(script)):
        logged.clear()
        await house.poll()
        lines.append([(entry["log_level"], entry["event"], entry.get("reason")) for entry in logged])
    assert lines == [
        [("info", "query works", None)],
        [],
        [("error", "query fails", "network")],
        [],
        [("info", "query works again", None)],
        [("warning", "rows dropped", "duplicate")],
        [],
        [],
    ]


async def test_another_reason_is_another_state(logged):
    house = smartsight(scripted([NetworkError("down"), {"detail": "?"}, {"detail": "?"}]))
    for _ in range(3):
        await house.poll()
    told = [entry for entry in logged if entry["event"] == "query fails"]
    assert [entry["reason"] for entry in told] == ["network", "bad_response"]
    assert all((entry["source"], entry["query"]) == ("mm", "q") for entry in told)


async def test_a_line_says_what_went_wrong_and_never_the_key(logged):
    house = smartsight(None)

    def refuse(request):
        assert parse_qsl(request.url.query.decode())
        return httpx.Response(403, json={"detail": f"no access with {request.headers['x-api-key']}-key"})

    provider = house.jobs["q"].provider
    house.sources["mm"] = Client(
        "mm", provider, Silent(), clock=lambda: 0.0, now=lambda: NOW, transport=httpx.MockTransport(refuse)
    )
    outcome = await house.poll()
    assert outcome.error == "metricquery: HTTP 403: no access with <secret>-<secret>"
    assert [entry["error"] for entry in logged] == [outcome.error]


# --- The circuit ----------------------------------------------------------------------------------------------------


async def ticks(house, count, name="q"):
    """Let so many ticks come; give those on which the vendor was asked."""
    found = []
    for tick in range(count):
        before = len(house.outcomes)
        await house.poller.tick(Group.of(house.jobs[name]))
        if len(house.outcomes) > before:
            found.append(tick)
    return found


def down(_):
    raise NetworkError("down")


async def test_a_dead_source_is_asked_less_and_less_often_and_its_snapshot_stays():
    house = smartsight(lambda _: rows("Akamai"))
    await house.poll()
    before, house.sources["mm"].answer = house.snapshot(), down
    assert await ticks(house, 50) == [0, 1, 2, 4, 8, 16, 26, 36, 46]
    assert house.snapshot() is before
    assert house.poller.circuit("mm").open


async def test_the_first_success_brings_every_tick_back():
    house = smartsight(down)
    await ticks(house, 20)
    house.sources["mm"].answer = lambda _: rows("Akamai")
    assert await ticks(house, 12) == [6, 7, 8, 9, 10, 11]
    assert not house.poller.circuit("mm").open


async def test_while_a_circuit_is_open_nothing_is_asked_again():
    house = smartsight(down)
    await ticks(house, 10)
    tick = 100.0 + house.jobs["q"].next_tick(NOW) - NOW
    assert [bounds.until for _, bounds in house.sources["mm"].asked] == [tick, tick, tick, float("-inf"), float("-inf")]


@pytest.mark.parametrize(
    "fault", [{"detail": "another shape"}, NetworkError("down"), TimedOut("slow"), AuthError("no")]
)
async def test_whatever_is_the_source_s_fault_opens_its_circuit(fault):
    house = smartsight(scripted([fault] * 100))
    assert await ticks(house, 8) == [0, 1, 2, 4]


@pytest.mark.parametrize("fault", [BadRequest("HTTP 422"), ZeroDivisionError()])
async def test_a_fault_of_the_query_or_the_exporter_s_own_opens_nothing(fault):
    house = smartsight(scripted([fault] * 100))
    assert await ticks(house, 20) == list(range(20))
    assert not house.poller.circuit("mm").open


TWO = [
    {"name": "a", "source": "mm", "metrics": ["views"], "dimensions": ["cdn"]},
    {"name": "b", "source": "mm", "metrics": ["views"], "dimensions": ["country"]},
]


async def test_a_dead_query_among_healthy_ones_costs_nobody_a_tick():
    def answer(params):
        return down(params) if params["aggby"] == "cdn" else rows()

    house = House(TWO, {"mm": Source(answer)})
    for _ in range(30):
        for name in "ab":
            assert await ticks(house, 1, name) == [0]
    assert not house.poller.circuit("mm").open


async def test_sources_have_circuits_of_their_own():
    queries = [TWO[0], {"name": "b", "source": "ibm", "metrics": ["total_views"]}]
    good = {"data": [{"attributes": {"point": "summary", "value": 11}}], "pagination": {}}
    house = House(queries, {"mm": Source(down), "ibm": Source(lambda _: good)})
    for _ in range(10):
        await ticks(house, 1, "a")
        assert await ticks(house, 1, "b") == [0]
    assert (house.poller.circuit("mm").open, house.poller.circuit("ibm").open) == (True, False)
    assert {bounds.until > 0 for _, bounds in house.sources["ibm"].asked} == {True}


async def test_a_tick_that_is_left_out_tells_nothing(logged):
    house = smartsight(down)
    await ticks(house, 3)
    told, last = len(house.outcomes), house.poller.last["mm", "q"]
    logged.clear()
    assert await ticks(house, 1) == []
    assert (len(house.outcomes), house.poller.last["mm", "q"], logged) == (told, last, [])


async def test_the_circuit_s_changes_are_logged_once(logged):
    house = smartsight(scripted([NetworkError("down")] * 5 + [rows("a")] * 5))
    await ticks(house, 40)
    events = [entry["event"] for entry in logged]
    assert [event for event in events if "circuit" in event] == [
        "circuit opens: the source's queries are polled less often",
        "circuit closes",
    ]


async def test_what_a_reload_changes_begins_with_a_closed_circuit():
    house = smartsight(down)
    await ticks(house, 4)
    house.poller.configure({"mm": Source(down)}, kept=())
    assert await ticks(house, 4) == [0, 1, 2]
    assert house.poller.last.keys() == {("mm", "q")}


async def test_what_a_reload_keeps_keeps_its_circuit():
    house = smartsight(down)
    await ticks(house, 4)
    house.poller.configure(house.sources, kept={("mm", "q")})
    assert await ticks(house, 3) == [0]


async def test_a_poll_that_ends_after_a_cancelled_one_counts_for_itself():
    house, arrived = smartsight(down), asyncio.Event()

    class Waiting:
        async def get(self, *_):
            arrived.set()
            await asyncio.Event().wait()

    await ticks(house, 2)
    house.poller.configure({"mm": Waiting()}, kept={("mm", "q")})
    task = asyncio.create_task(house.poller.tick(Group.of(house.jobs["q"])))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not house.poller.circuit("mm").open


# --- Several queries of one request -----------------------------------------------------------------------------------


def together(source, *queries):
    kind = "ibm" if source == "ibm" else "mm"
    house = House([{"source": kind, **query} for query in queries], {})
    [house.group] = plan(house.config).groups
    return house


BY_CDN = {"dimensions": ["cdn"]}


async def test_queries_of_one_request_are_answered_once_each_with_its_own():
    house = together(
        "mm",
        {"name": "views", "metrics": ["views"], **BY_CDN},
        {"name": "both", "metrics": ["views", "latency"], "on_missing": "zero", **BY_CDN},
    )
    answer = {"totalrecords": 2, "response": [{"cdn": "A", "views": 1, "latency": 2}, {"cdn": "B", "views": 3}]}
    house.sources["mm"] = Source(lambda _: answer)
    await house.poller.poll(house.group)
    [(request, _)] = house.sources["mm"].asked
    assert dict(request.params)["metrics"] == "views,latency"
    assert [outcome.query.name for outcome in house.outcomes] == ["views", "both"]
    assert {name: [line.partition("{")[0] + line[-2:] for line in house.lines(name)] for name in house.jobs} == {
        "views": ["smartsight_views 1", "smartsight_views 3"],
        "both": [
            "smartsight_views 1",
            "smartsight_views 3",
            "smartsight_startup_time_seconds 2",
            "smartsight_startup_time_seconds 0",
        ],
    }
    assert len({(outcome.window, outcome.ended) for outcome in house.outcomes}) == 1


async def test_pages_end_for_each_query_at_its_own_limit():
    house = together(
        "mm",
        {"name": "few", "metrics": ["views"], "max_series": 1000, **BY_CDN},
        {"name": "all", "metrics": ["views"], **BY_CDN},
    )
    house.sources["mm"] = Source(paged(2500))
    await house.poller.poll(house.group)
    few, every = house.outcomes
    assert (few.series, few.dropped, every.series, every.dropped) == (1000, {"limit": 1500}, 2500, {})
    assert len(house.sources["mm"].asked) == 3


async def test_no_page_is_asked_for_that_no_query_has_room_for():
    house = together(
        "mm",
        {"name": "few", "metrics": ["views"], "max_series": 1000, **BY_CDN},
        {"name": "fewer", "metrics": ["views"], "max_series": 10, **BY_CDN},
    )
    house.sources["mm"] = Source(paged(2500))
    await house.poller.poll(house.group)
    assert [outcome.dropped for outcome in house.outcomes] == [{"limit": 1500}, {"limit": 2490}]
    assert len(house.sources["mm"].asked) == 1


@pytest.mark.parametrize("failing", ["total-views", "unique-devices"])
async def test_a_request_that_fails_is_a_failure_of_those_queries_that_need_it(failing):
    house = together(
        "ibm",
        {"name": "views", "metrics": ["total_views"]},
        {"name": "devices", "metrics": ["unique_devices"]},
        {"name": "both", "metrics": ["total_views", "unique_devices"]},
    )

    class Half(Source):
        async def get(self, request, bounds, read):
            if request.endpoint == failing:
                self.asked.append((request, bounds))
                raise AuthError("not for you")
            return await super().get(request, bounds, read)

    house.sources["ibm"] = Half(lambda _: {"data": [{"attributes": {"value": 7}}], "pagination": {}})
    await house.poller.poll(house.group)
    well = {outcome.query.name for outcome in house.outcomes if outcome.succeeded}
    assert well == {"views" if failing == "unique-devices" else "devices"}
    assert sorted(request.endpoint for request, _ in house.sources["ibm"].asked) == ["total-views", "unique-devices"]


async def test_what_is_refused_together_is_asked_apart_until_a_reload(logged):
    house = together(
        "mm",
        {"name": "good", "metrics": ["views"], **BY_CDN},
        {"name": "bad", "metrics": ["nonsense"], **BY_CDN},
    )

    def answer(params):
        if "nonsense" in params["metrics"]:
            raise BadRequest("no such metric")
        return rows("A")

    source = house.sources["mm"] = Source(answer)
    for _ in range(3):
        house.outcomes.clear()
        await house.poller.poll(house.group)
        assert {outcome.query.name: outcome.reason for outcome in house.outcomes} == {"good": "", "bad": "bad_request"}
    asked = [dict(request.params)["metrics"] for request, _ in source.asked]
    assert asked == ["views,nonsense", *["views", "nonsense"] * 3]
    warnings = [entry for entry in logged if entry["log_level"] == "warning"]
    assert [entry["queries"] for entry in warnings] == ["good,bad"]
    house.poller.configure(house.sources, {query.key for query in house.config.queries})
    await house.poller.poll(house.group)
    assert dict(source.asked[-3][0].params)["metrics"] == "views,nonsense"


@pytest.mark.parametrize("problem", [BadRequest("404"), BadResponse("too large"), ServerError("500"), TimedOut("slow")])
async def test_what_each_gets_alone_no_query_loses_for_the_others(problem):
    house = together("mm", {"name": "x", "metrics": ["views"]}, {"name": "y", "metrics": ["latency"]})

    def answer(params):
        if "," in params["metrics"]:
            raise problem
        return {"totalrecords": 1, "response": [{"views": 1, "latency": 2}]}

    source = house.sources["mm"] = Source(answer)
    for _ in range(2):
        await house.poller.poll(house.group)
    assert [outcome.reason for outcome in house.outcomes] == [""] * 4
    assert len(source.asked) == 5, "together once"


async def test_a_failure_that_passes_divides_no_group():
    house = together("mm", {"name": "x", "metrics": ["views"]}, {"name": "y", "metrics": ["latency"]})
    down = [True]

    def answer(_):
        if down:
            raise BadRequest("HTTP 404")
        return {"totalrecords": 1, "response": [{"views": 1, "latency": 2}]}

    source = house.sources["mm"] = Source(answer)
    await house.poller.poll(house.group)
    assert {outcome.reason for outcome in house.outcomes} == {"bad_request"}
    down.clear()
    source.asked.clear()
    await house.poller.poll(house.group)
    assert len(source.asked) == 1


async def test_a_request_that_only_one_needs_divides_no_group():
    house = together(
        "ibm",
        {"name": "views", "metrics": ["total_views"]},
        {"name": "both", "metrics": ["total_views", "unique_devices"]},
    )

    class Half(Source):
        async def get(self, request, bounds, read):
            if request.endpoint == "unique-devices":
                raise BadRequest("no")
            return await super().get(request, bounds, read)

    source = house.sources["ibm"] = Half(lambda _: {"data": [{"attributes": {"value": 7}}], "pagination": {}})
    for _ in range(2):
        await house.poller.poll(house.group)
    assert [outcome.reason for outcome in house.outcomes] == ["", "bad_request"] * 2
    assert len(source.asked) == 2


async def test_which_rows_stay_is_for_a_query_s_own_order_to_say():
    house = together(
        "mm",
        {"name": "slow", "metrics": ["latency"], **BY_CDN},
        {"name": "most", "metrics": ["views"], "max_series": 2, **BY_CDN},
    )
    found = [{"cdn": str(number), "latency": 10 - number, "views": number} for number in range(10)]

    def answer(params):
        return {"totalrecords": 10, "response": sorted(found, key=lambda row: -row[params["orderby"]])}

    house.sources["mm"] = Source(answer)
    await house.poller.poll(house.group)
    assert [line.rpartition(" ")[2] for line in house.lines("most")] == ["9", "8"]
    assert len(house.lines("slow")) == 10


async def test_a_query_that_is_refused_for_good_leaves_its_group_s_circuit_alone():
    house = together("mm", {"name": "bad", "metrics": ["nonsense"]}, {"name": "down", "metrics": ["views"]})

    def answer(params):
        raise BadRequest("no") if "nonsense" in params["metrics"] else ServerError("down")

    source = house.sources["mm"] = Source(answer)
    for _ in range(8):
        await house.poller.tick(house.group)
    down = house.jobs["down"].query
    assert house.poller.circuit("mm").open
    assert house.poller.left(house.group, down) == 0, "with its group it is asked as often as the other"
    source.asked.clear()
    await house.poller.tick(house.group)
    assert [dict(request.params)["metrics"] for request, _ in source.asked] == ["nonsense,views"]


async def test_a_reload_between_two_pages_goes_on_with_the_new_client():
    house = smartsight(paged(2500))
    old = house.sources["mm"]

    class Leaving(Source):
        async def get(self, request, bounds, read):
            house.poller.configure({"mm": new}, {("mm", "q")})
            return await super().get(request, bounds, read)

    new, house.sources["mm"] = Source(old.answer), Leaving(old.answer)
    outcome = await house.poll()
    assert (outcome.reason, outcome.series) == ("", 2500)
    assert [len(source.asked) for source in (house.sources["mm"], new)] == [1, 2]


@pytest.mark.parametrize("reason", [RateLimited("busy"), NetworkError("gone"), AuthError("no")])
async def test_what_fails_otherwise_is_no_reason_to_ask_apart(reason):
    house = together("mm", {"name": "x", "metrics": ["views"]}, {"name": "y", "metrics": ["latency"]})

    def answer(_):
        raise reason

    house.sources["mm"] = Source(answer)
    for _ in range(2):
        await house.poller.poll(house.group)
    assert len(house.sources["mm"].asked) == 2
    assert {outcome.reason for outcome in house.outcomes} == {reason.reason}


async def test_a_group_is_left_in_peace_as_one():
    house = together("mm", {"name": "x", "metrics": ["views"]}, {"name": "y", "metrics": ["latency"]})

    def answer(_):
        raise NetworkError("gone")

    house.sources["mm"] = Source(answer)
    for _ in range(9):
        await house.poller.tick(house.group)
    assert len(house.sources["mm"].asked) == 5, "three, then two and four intervals apart"


async def test_rows_that_are_aggregated_are_shared_too():
    house = together(
        "ibm",
        {"name": "segments", "metrics": ["view_segments"], "dimensions": ["country"]},
        {"name": "sessions", "metrics": ["view_sessions", "view_segments"], "dimensions": ["country"]},
    )
    view = {"view_id": 1, "view_session_id": "s", "country": "US", "started_at": "2026-04-09T20:00:00Z"}
    data = [{"attributes": {**view, "view_id": number}} for number in range(3)]
    house.sources["ibm"] = Source(lambda _: {"data": data, "pagination": {}})
    await house.poller.poll(house.group)
    assert len(house.sources["ibm"].asked) == 1
    assert [line.rpartition(" ")[2] for line in house.lines("segments")] == ["3"]
    assert [line.rpartition(" ")[2] for line in house.lines("sessions")] == ["1", "3"]


# --- Beside the event loop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "threads"), [(20, set()), (2000, {"cpu_0"})])
async def test_only_work_that_would_hold_up_a_scrape_leaves_the_event_loop(monkeypatch, count, threads):
    seen = set()

    def spied(real):
        def spy(*args):
            seen.add(threading.current_thread().name)
            return real(*args)

        return spy

    monkeypatch.setattr("exporter.gather.decode", spied(gather.decode))
    monkeypatch.setattr("exporter.poll.Renderer.render", spied(Renderer.render))
    monkeypatch.setattr("exporter.gather.Tabulator.add", spied(Tabulator.add))
    house = smartsight(lambda _: rows(*map(str, range(count))))
    await house.poll()
    assert house.outcomes[-1].series == count
    assert seen == (threads or {threading.current_thread().name})


# --- How often work is done -------------------------------------------------------------------------------------------


@pytest.fixture
def work(monkeypatch):
    """How often texts were compressed, and how often pieces were joined."""
    done = Counter()

    def counting(name):
        real = getattr(exposition, name)

        def counted(*args):
            done[name] += 1
            return real(*args)

        monkeypatch.setattr(exposition, name, counted)

    counting("deflate")
    counting("join")
    return done


async def test_a_poll_compresses_what_changed_and_nothing_else(work):
    values = [[1, 2.5], [1, 2.5], [1, 3.5], [2, 4.5]]
    script = scripted({"response": [{"cdn": "a", "views": a, "latency": b}]} for a, b in values)
    house = smartsight(script, metrics=["views", "latency"])
    body = exposition.Exposition(house.store).body
    polls, scrapes = [], []
    for _ in values:
        work.clear()
        await house.poll()
        polls.append(dict(work))
        work.clear()
        body(Format.TEXT)
        scrapes.append(dict(work))
    assert polls == [{"deflate": 2}, {}, {"deflate": 1}, {"deflate": 2}]
    # What stands above a family is compressed once for all times.
    assert scrapes == [{"deflate": 2, "join": 1}] + [{"join": 1}] * 3
    assert len(house.sources["mm"].asked) == len(values), "one request a tick"


async def test_a_scrape_of_what_was_scraped_before_does_no_work(work):
    house = smartsight(lambda _: rows("a", "b"))
    body = exposition.Exposition(house.store).body
    for _ in range(2):
        await house.poll()
        for form in Format:
            body(form)
        work.clear()
        for _ in range(3):
            for form in Format:
                body(form)
        assert work == {}

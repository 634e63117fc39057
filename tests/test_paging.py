"""Pages of any size, any number of rows, rows that come and go between two pages, and vendors that lie about it all."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import load
from exporter.gzipped import inflate
from exporter.plan import plan
from exporter.poll import Poller
from exporter.providers import ibm_video, smartsight
from exporter.providers.errors import (
    AuthError,
    BadRequest,
    BadResponse,
    Broken,
    NetworkError,
    RateLimited,
    ServerError,
    TimedOut,
)
from exporter.store import Store

SOURCES = {
    "mm": {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}},
    "ibm": {"type": "ibm_video", "auth": {"client_id": "id", "client_secret": "secret"}},
}
QUERIES = {
    "mm": {"metrics": ["views"], "dimensions": ["cdn"]},
    "ibm": {"metrics": ["total_views"], "dimensions": ["device"]},
}
FOR_EVER = 300
"""Requests after which a poll has no end, where a few dozen rows are all there are."""


class Endless(Exception):
    """The poll asks for ever."""


@dataclass
class House:
    """A poller in front of one vendor: ``answer(number, params)`` gives an answer's value, or raises."""

    source: str
    answer: object
    options: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def __post_init__(self):
        query = {"name": "q", "source": self.source, **QUERIES[self.source], **self.options}
        config = load(json.dumps({"sources": SOURCES, "queries": [query]}), name="", env={})
        [self.group] = plan(config).groups
        self.store = Store(config.queries, lambda: 0.0)
        self.outcomes = []
        self.poller = Poller(
            {self.source: self}, self.store, self.outcomes.append, now=lambda: 1_775_764_830.5, clock=lambda: 0.0
        )

    async def get(self, request, _, read):
        self.asked.append(dict(request.params))
        if len(self.asked) > FOR_EVER:
            raise Endless
        return await read(json.dumps(self.answer(len(self.asked), self.asked[-1])).encode())

    async def poll(self):
        self.asked.clear()
        await self.poller.poll(self.group)
        assert "Endless" not in self.outcomes[-1].error, "the poll asks for ever"
        return self.outcomes[-1]

    @property
    def snapshot(self):
        return self.store.get(self.group.asked)

    @property
    def values(self):
        lines = [line for chunk in self.snapshot.chunks for line in inflate(chunk.lines).decode().splitlines()]
        found = [(line.rpartition('="')[2].partition('"')[0], float(line.rpartition(" ")[2])) for line in lines]
        assert len(dict(found)) == len(found), "each label set stands once"
        return dict(found)


def page_of(source, rows, *, total=None, more=False):
    """Write a page as its vendor does; ``rows`` are names and values."""
    if source == "mm":
        found = [{"cdn": name, "views": value} for name, value in rows]
        return {"response": found} | ({} if total is None else {"totalrecords": total})
    data = [{"attributes": {"point": name, "value": value}} for name, value in rows]
    return {"data": data, "pagination": {"next": {"href": "?_page=2"}} if more else {}}


def place(source, params):
    """Give the first row and the number of rows that a request asks for."""
    if source == "mm":
        return int(params["offset"]), int(params["limit"])
    return (int(params["_page"]) - 1) * int(params["_limit"]), int(params["_limit"])


class Rows:
    """A vendor with rows; before each request but the first, ``moves`` may add or remove one."""

    def __init__(self, source, count, moves=(), lie=lambda total: total):
        self.source, self.moves, self.lie = source, dict(moves), lie
        self.rows = [(f"c{number}", number) for number in range(count)]
        self.always, self.ever = set(self.rows), set(self.rows)
        self.gone = self.new = 0

    def __call__(self, number, params):
        if number > 1 and (move := self.moves.get(number)) is not None:
            self.move(number, *move)
        first, limit = place(self.source, params)
        found = self.rows[first : first + limit]
        return page_of(self.source, found, total=self.lie(len(self.rows)), more=first + len(found) < len(self.rows))

    def move(self, number, appears, at):
        at %= len(self.rows) + 1
        if appears:
            row = (f"new{number}", -number)
            self.rows.insert(at, row)
            self.ever.add(row)
            self.new += 1
        elif self.rows:
            self.always.discard(self.rows.pop(at % len(self.rows)))
            self.gone += 1


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """Write no tracebacks of bugs that are meant."""
    monkeypatch.setattr("exporter.poll.log", structlog.wrap_logger(None, processors=[lambda *_: _drop()]))


def _drop():
    raise structlog.DropEvent


@pytest.fixture(scope="module")
def with_pages():
    """Make the vendors' pages so small that a few rows are many of them."""

    def with_pages(size, work):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(smartsight, "PAGE", size)
            patch.setattr(ibm_video, "PAGE", size)
            # A thread for each page would take most of the time; here is nothing else that could go on meanwhile.
            patch.setattr(Poller, "_apart", beside)
            return asyncio.run(work)

    return with_pages


async def beside(_, __, work, *args, **kwargs):
    return work(*args, **kwargs)


sizes, counts = st.integers(1, 7), st.integers(0, 40)
sources = st.sampled_from(["mm", "ibm"])
moves = st.dictionaries(st.integers(2, 30), st.tuples(st.booleans(), st.integers(0, 60)), max_size=6)


@given(source=sources, size=sizes, count=counts)
def test_all_rows_come_once_whatever_the_size_of_a_page(with_pages, source, size, count):
    house = House(source, vendor := Rows(source, count))
    outcome = with_pages(size, house.poll())
    assert (outcome.reason, outcome.dropped) == ("", {})
    assert house.values == dict(vendor.rows)
    assert len(house.asked) == max(-(-count // size), 1)


@given(source=sources, size=sizes, count=counts, moves=moves)
@settings(max_examples=300)
def test_rows_that_come_and_go_between_pages_cost_no_more_than_themselves(with_pages, source, size, count, moves):
    house = House(source, vendor := Rows(source, count, moves))
    outcome = with_pages(size, house.poll())
    if not outcome.succeeded:
        assert (outcome.reason, house.snapshot) == ("bad_response", None)
        return
    found = set(house.values.items())
    assert found <= vendor.ever
    # A row that goes draws the one behind it onto a page that was read already: no paging by offset can see that.
    assert len(vendor.always - found) <= vendor.gone
    assert set(outcome.dropped) <= {"duplicate"}


lies = st.sampled_from(
    [
        lambda _: None,
        lambda total: total + 1,
        lambda total: total + 1000,
        lambda _: 10**18,
        lambda _: -1,
        str,
        lambda _: "many",
        lambda _: [],
        lambda total: total + 0.5,
    ]
)


@given(size=sizes, count=counts, moves=moves, lie=lies)
@settings(max_examples=200)
def test_a_total_that_is_none_or_too_large_costs_no_row(with_pages, size, count, moves, lie):
    house = House("mm", vendor := Rows("mm", count, moves, lie))
    outcome = with_pages(size, house.poll())
    if outcome.succeeded:
        assert len(vendor.always - set(house.values.items())) <= vendor.gone
    else:
        assert (outcome.reason, house.snapshot) == ("bad_response", None)
    assert len(house.asked) <= count + len(moves) + 2


@given(source=sources, size=st.integers(1, 5), pages=st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_a_vendor_that_turns_in_circles_is_left(with_pages, source, size, pages):
    """Pages come in an order that the vendor pleases, the last one for ever, and more is promised with each."""

    def answer(number, _):
        page = pages[min(number, len(pages)) - 1]
        rows = [(f"c{page * size + each}", page) for each in range(size)]
        return page_of(source, rows, total=10**9, more=True)

    house = House(source, answer)
    outcome = with_pages(size, house.poll())
    assert (outcome.reason, house.snapshot) == ("bad_response", None)
    assert "missing" in outcome.error
    assert len(house.asked) <= len(pages) + 1


# --- A page that fails ------------------------------------------------------------------------------------------------

FAULTS = [
    AuthError("HTTP 403"),
    RateLimited("HTTP 429", 5.0),
    TimedOut("slow"),
    NetworkError("broke"),
    ServerError("HTTP 502"),
    BadRequest("HTTP 400"),
    BadResponse("a redirect"),
    Broken("no JSON"),
    KeyError("a bug"),
    MemoryError(),
    {"detail": "an error with 200"},
    {"response": None, "data": None},
    [],
    None,
    7,
]


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("source", ["mm", "ibm"])
def test_a_page_that_fails_in_any_way_leaves_the_last_answer_whole(with_pages, source, fault, page):
    house = House(source, Rows(source, 25))
    assert with_pages(10, house.poll()).succeeded
    before, version = house.snapshot, house.store.version
    good = Rows(source, 27)

    def answer(number, params):
        if number == page and isinstance(fault, Exception):
            raise fault
        return fault if number == page else good(number, params)

    house.answer = answer
    outcome = with_pages(10, house.poll())
    assert outcome.reason
    assert (outcome.series, outcome.dropped) == (0, {})
    assert house.snapshot is before
    assert house.store.version == version
    house.answer = good
    assert with_pages(10, house.poll()).succeeded
    assert house.values == dict(good.rows)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_an_empty_page_where_rows_are_promised_is_no_whole_answer(with_pages, page):
    house = House("mm", Rows("mm", 25))
    assert with_pages(10, house.poll()).succeeded
    before, good = house.snapshot, Rows("mm", 25)

    def answer(number, params):
        return page_of("mm", [], total=25) if number == page else good(number, params)

    house.answer = answer
    outcome = with_pages(10, house.poll())
    assert not outcome.succeeded
    assert house.snapshot is before


# --- Rows that are none -----------------------------------------------------------------------------------------------


def junk(source, kind):
    if source == "mm":
        return {"no object": None, "no label": {"cdn": [], "views": 1}}[kind]
    return {"no object": None, "no label": {"attributes": {"point": {}, "value": 1}}}[kind]


@pytest.mark.parametrize("kind", ["no object", "no label"])
@pytest.mark.parametrize("neighbour", [False, True], ids=["nothing else", "with a good row"])
@pytest.mark.parametrize("source", ["mm", "ibm"])
def test_the_same_page_with_a_row_of_junk_is_not_asked_for_for_ever(with_pages, source, kind, neighbour):
    page = page_of(source, [("c1", 1)] if neighbour else [], total=10**9, more=True)
    page["response" if source == "mm" else "data"].append(junk(source, kind))
    house = House(source, lambda *_: page)
    assert with_pages(2, house.poll()).reason == "bad_response"


# --- max_series -------------------------------------------------------------------------------------------------------


@given(source=sources, size=sizes, count=counts, most=st.integers(1, 45), moves=moves)
@settings(max_examples=200)
def test_max_series_is_never_exceeded_and_what_it_costs_is_counted(with_pages, source, size, count, most, moves):
    house = House(source, vendor := Rows(source, count, moves), {"max_series": most})
    outcome = with_pages(size, house.poll())
    if not outcome.succeeded:
        return
    assert len(house.values) == outcome.series <= most
    if len(vendor.always) - vendor.gone > most:
        assert outcome.dropped["limit"] >= 1
    if not moves and source == "mm":
        assert Counter(outcome.dropped) == Counter(limit=max(count - most, 0))

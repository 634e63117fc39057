"""Aggregating page by page gives what a naive reader of all rows at once would: any paging, any groups, any junk."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.aggregate import Aggregate
from exporter.model import ROW_ID, ROW_TIME, Family, Metric, Part
from exporter.normalise import Tabulator

BOUNDS = (0.0, 0.25, 1.0, 10.0)
FOLDS = (("total", "sum"), ("peak", "max"), ("last", "newest"), ("who", "distinct"), ("spread", "distribution"))
SCALE = 0.01
"""Of ``spread``: a ratio that comes in percent."""

NUMBERS = st.integers(-50, 2000) | st.integers(-200, 8000).map(lambda quarters: quarters / 4)
MISSING = st.sampled_from([None, "", "NaN", math.nan, math.inf, "-Infinity"])
JUNK = st.sampled_from(["n/a", [], {}, [1]])
VALUES = NUMBERS | NUMBERS.map(str) | st.booleans() | MISSING | JUNK
LABELS = st.sampled_from(["a", "b", "", None, 1, 2.5, True]) | st.sampled_from(["a", "b", [], {}])
WHO = st.sampled_from(["", None, "x", "y", "z", 7, 8])
ROWS = st.fixed_dictionaries(
    {ROW_TIME: st.integers(0, 9).map(float)},
    optional={
        "one": LABELS,
        "two": LABELS,
        "total": VALUES,
        "peak": VALUES,
        "last": VALUES,
        "who": WHO,
        "spread": VALUES,
    },
)
NO_ROWS = st.sampled_from([None, 7, "row", [], True])
DIMENSIONS = st.sampled_from([(), ("one",), ("one", "two")])


@st.composite
def paged(draw):
    """Give rows, each with an id or without one, and pages of them; some rows come again on the next page."""
    rows = draw(st.lists(ROWS | NO_ROWS, max_size=40))
    rows = [row | {ROW_ID: str(n)} if isinstance(row, dict) and n % 7 else row for n, row in enumerate(rows)]
    pages, start, again = [], 0, 0
    while start < len(rows) or not pages:
        size = draw(st.integers(1, 9))
        back = min(draw(st.integers(0, 3)), len(pages[-1])) if pages else 0
        slipped = [row for row in rows[max(start - back, 0) : start] if isinstance(row, dict) and row.get(ROW_ID)]
        again += len(slipped)
        pages.append(slipped + rows[start : start + size])
        start += size
    return rows, pages, again


def text(value):
    """Give a label's value, ``None`` for junk."""
    if isinstance(value, list | dict):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return "unknown" if value in (None, "") else str(value)


def read(value, on_missing):
    """Give a number; ``None`` for what has none, and whether it is junk."""
    if isinstance(value, list | dict) or value == "n/a":
        return None, True
    value = float(value) if isinstance(value, str) and value else value
    if value is None or value == "" or not math.isfinite(value):
        return (0 if on_missing == "zero" else None), False
    return value, False


def naive(rows, dimensions, on_missing):
    """Give what is expected: values by labels, and how many rows were invalid."""
    groups, invalid = {}, 0
    for row in rows:
        if not isinstance(row, dict):
            invalid += 1
            continue
        cells = {field: read(row.get(field), on_missing) for field, fold in FOLDS if fold != "distinct"}
        if (cells["spread"][0] or 0) < 0:  # no session has a negative time or share
            cells["spread"] = None, True
        key = tuple(text(row.get(name)) for name in dimensions)
        invalid += None in key or any(junk for _, junk in cells.values())
        if None not in key:
            groups.setdefault(key, []).append(({field: cell for field, (cell, _) in cells.items()}, row))
    return {key: summary(found) for key, found in groups.items()}, invalid


def summary(found):
    def of(field):
        return [cells[field] for cells, _ in found if cells[field] is not None]

    newest, _ = max(reversed(found), key=lambda pair: pair[1][ROW_TIME])  # the last of those that are as new
    spread = [value * SCALE for value in of("spread")]
    return {
        "total": sum(of("total")) if of("total") else None,
        "peak": max(of("peak"), default=None),
        "last": newest["last"],
        "who": len({row["who"] for _, row in found if row.get("who") not in (None, "")}),
        **{f"spread\0{bound}": sum(value <= bound + 1e-12 for value in spread) for bound in BOUNDS},
        "spread\0+Inf": len(spread),
        "spread\0sum": sum(spread),
        "spread\0count": len(spread),
    }


def nearly(cells):
    """Admit that a sum of products is not to the last digit what the sum of decimals is."""
    return {**cells, "spread\0sum": pytest.approx(cells["spread\0sum"])}


@pytest.fixture(scope="session")
def make(make_query):
    """Make a query with a metric of each kind, and the part that asks for it."""
    fields = [Metric(field, Family(f"ibm_video_{field}", "Help.")) for field, fold in FOLDS if fold != "distribution"]
    spread = Metric("spread", Family("smartsight_session_spread", "Help.", "histogram"), SCALE, BOUNDS)

    def make(dimensions, **more):
        query = make_query(dimensions=dimensions, **{"exemplars": False, **more})
        query = replace(query, metrics=(*fields, spread))
        return query, Part("views", "/views", tuple(field for field, _ in FOLDS), folds=FOLDS)

    return make


def gathered(query, part, pages):
    aggregate, tabulator = Aggregate(query, part), Tabulator(query)
    for page in pages:
        aggregate.add(page)
    aggregate.finish(tabulator)
    return aggregate, tabulator


def values(table):
    """Give a table's values by labels and field."""
    found = {}
    for column in table.columns:
        cells = iter(column.values)
        for row in table.rows:
            found.setdefault(row, {}).update((line.field, next(cells)) for line in column.lines)
    return found


@pytest.mark.parametrize("on_missing", ["absent", "zero"])
@given(paged(), DIMENSIONS)
def test_any_paging_gives_what_all_rows_at_once_would(make, on_missing, rows_and_pages, dimensions):
    rows, pages, again = rows_and_pages
    query, part = make(dimensions, on_missing=on_missing)
    aggregate, tabulator = gathered(query, part, pages)
    expected, invalid = naive(rows, dimensions, on_missing)
    table = tabulator.table()
    assert values(table) == {key: nearly(cells) for key, cells in expected.items()}
    assert list(table.rows) == list(expected)  # in the order in which they came first
    assert table.dropped == {k: v for k, v in {"invalid": invalid, "duplicate": again}.items() if v}
    assert aggregate.rows == sum(map(len, pages))


@given(st.lists(st.tuples(NUMBERS.map(abs), st.integers(0, 99).map(str)), min_size=1, max_size=30))
def test_each_bucket_s_exemplar_is_the_first_of_its_largest(make, found):
    query, part = make((), exemplars=True)
    rows = [{"spread": value, ROW_ID: name} for value, name in {n: (v, n) for v, n in reversed(found)}.values()]
    _, tabulator = gathered(query, part, [rows])
    marks = {field: (exemplar.value, exemplar.session) for (_, field), exemplar in tabulator.exemplars.items()}
    below = -math.inf
    for bound in (*BOUNDS, math.inf):
        inside = [row for row in rows if below + 1e-12 < row["spread"] * SCALE <= bound + 1e-12]
        name = "spread\0+Inf" if bound == math.inf else f"spread\0{bound}"
        if inside:
            largest = max(inside, key=lambda row: row["spread"])
            assert marks.pop(name) == (pytest.approx(largest["spread"] * SCALE), largest[ROW_ID])
        below = bound
    assert marks == {}


def test_a_row_without_a_time_is_no_candidate_for_the_newest(make):
    query, part = make(())
    _, tabulator = gathered(query, part, [[{"last": 1, ROW_TIME: 5.0}, {"last": 2, ROW_TIME: None}, {"last": 3}]])
    assert values(tabulator.table())[()]["last"] == 1


@pytest.mark.parametrize("time", [1531765200, 1531765200.0])
def test_the_newest_row_s_time_may_be_any_number(make, time):
    query, part = make(())
    _, tabulator = gathered(query, part, [[{"last": 1, ROW_TIME: time - 60.5}, {"last": 2, ROW_TIME: time}]])
    assert values(tabulator.table())[()]["last"] == 2


def test_nothing_gives_no_series(make):
    for on_missing in ("absent", "zero"):
        query, part = make(("one",), on_missing=on_missing)
        _, tabulator = gathered(query, part, [[], []])
        assert tabulator.table().rows == []
        assert tabulator.table().dropped == {}


def test_groups_beyond_max_series_are_dropped_whole_and_counted(make):
    query, part = make(("one",), max_series=25)  # a group has 4 gauges, 5 buckets, a sum and a count
    row = {"total": 1, "peak": 1, "last": 1, "who": "x", "spread": 1, ROW_TIME: 0.0}
    _, tabulator = gathered(query, part, [[row | {"one": name}] for name in "abcdabc"])
    assert values(tabulator.table()).keys() == {("a",), ("b",)}
    assert tabulator.table().dropped == {"limit": 2}


def test_rows_that_come_again_later_than_on_the_next_page_are_not_remembered(make):
    """What is kept must not grow with the rows."""
    query, part = make(())
    aggregate = Aggregate(query, part)
    for page in range(100):
        aggregate.add([{"total": 1, ROW_ID: f"{page}-{number}"} for number in range(10)])
    assert len(aggregate._ids) + len(aggregate._ids_before) <= 20


def test_sums_of_integers_are_exact_beyond_floats(make):
    query, part = make(())
    _, tabulator = gathered(query, part, [[{"total": 2**53}, {"total": "1"}, {"total": True}]])
    assert values(tabulator.table())[()]["total"] == 2**53 + 2


def test_what_overflows_is_no_sample(make):
    query, part = make(())
    _, tabulator = gathered(query, part, [[{"total": 1e308, "spread": 1}, {"total": 1e308, "spread": 1}]])
    cells = values(tabulator.table())[()]
    assert cells["total"] is None
    assert cells["spread\0count"] == 2


def test_a_row_whose_time_can_t_be_read_is_invalid(make):
    query, part = make(())
    aggregate, _ = gathered(query, part, [[{"last": 1, ROW_TIME: None}]])
    assert aggregate.invalid == 1

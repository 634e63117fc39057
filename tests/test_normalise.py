import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import normalise
from exporter.normalise import Keys, Tabulator, first, scaled

JUNK = object()
MISSING = None

INFINITE = 10**400
DIGITS = "9" * 5000


@pytest.fixture(autouse=True, scope="module", params=[500, 2])
def step(request):
    """Pages here are small; where two rows are a step, they are of several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalise, "STEP", request.param)
        yield


def tabulate(query, *pages, fields=None):
    tabulator = Tabulator(query)
    for page in pages:
        tabulator.add(page, fields or query.fields)
    return tabulator.table()


def values(table, column=0):
    return dict(zip(table.rows, table.columns[column].values, strict=True))


# --- Every fate of a value ------------------------------------------------------------------------------------------

NUMBERS = [
    (5, 5),
    (0, 0),
    (-3, -3),
    (1.5, 1.5),
    (-0.0, 0),
    (5e-324, 5e-324),
    (2**63, 2**63),
    (2**64, 2**64),
    (-(2**70), -(2**70)),
    (10**308, 10**308),
    (9007199254740993, 9007199254740993),
    ("5", 5),
    ("+5", 5),
    ("-5", -5),
    (" 5\n", 5),
    ("007", 7),
    ("1.5", 1.5),
    (".5", 0.5),
    ("5.", 5),
    ("1e3", 1000),
    ("1E-3", 0.001),
    ("9007199254740993", 9007199254740993),
    ("0" * 5000 + "5", 5),
    (True, 1),
    (False, 0),
]

NO_NUMBERS = [
    None,
    "",
    "  ",
    math.nan,
    math.inf,
    -math.inf,
    "NaN",
    "nan",
    "-nan",
    "inf",
    "-Infinity",
    "+INF",
    "1e999",
    "-1e999",
    INFINITE,
    -INFINITE,
    "9" * 309,
    DIGITS,
]

NONSENSE = [
    "abc",
    "n/a",
    "-",
    ".",
    "e5",
    "1e",
    "1_000",
    "1,5",
    "1 000",
    "0x10",
    "5%",
    "12:30",
    "١٢",
    "²",
    "5\x00",
    "\ud800",
    "infinite",
    "nan(1)",
    "null",
    "true",
    [],
    [5],
    {},
    {"value": 5},
    [[[[]]]],
]


@pytest.mark.parametrize("on_missing", ["absent", "zero"])
@pytest.mark.parametrize(("value", "number"), NUMBERS, ids=lambda value: repr(value)[:30])
def test_a_number_is_exported(make_query, value, number, on_missing):
    table = tabulate(make_query(on_missing=on_missing), [{"plays": value}])
    (cell,) = table.columns[0].values
    assert cell == number
    assert type(cell) in (int, float)
    assert table.dropped == {}


@pytest.mark.parametrize(("on_missing", "expected"), [("absent", None), ("zero", 0)])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: repr(value)[:30] if type(value) is not int else "huge")
def test_what_is_missing_follows_on_missing(make_query, value, on_missing, expected):
    table = tabulate(make_query(("plays", "errors"), on_missing=on_missing), [{"plays": value, "errors": 7}])
    assert [column.values[0] for column in table.columns] == [expected, 7]
    assert table.dropped == {}


@pytest.mark.parametrize(("on_missing", "expected"), [("absent", None), ("zero", 0)])
def test_a_field_that_is_not_there_is_missing(make_query, on_missing, expected):
    table = tabulate(make_query(("plays", "errors"), on_missing=on_missing), [{"errors": 7}])
    assert [column.values[0] for column in table.columns] == [expected, 7]


@pytest.mark.parametrize("on_missing", ["absent", "zero"])
@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_nonsense_drops_its_sample_and_the_rest_of_the_row_stays(make_query, value, on_missing):
    table = tabulate(make_query(("plays", "errors"), on_missing=on_missing), [{"plays": value, "errors": 7}])
    assert [column.values[0] for column in table.columns] == [None, 7]
    assert table.dropped == {"invalid": 1}


@pytest.mark.parametrize("on_missing", ["absent", "zero"])
def test_an_empty_answer_gives_no_series(make_query, on_missing):
    table = tabulate(make_query(on_missing=on_missing), [])
    assert list(table.rows) == []
    assert [list(column.values) for column in table.columns] == [[]]


def test_a_row_counts_as_invalid_once_however_much_of_it_is_nonsense(make_query):
    query = make_query(("plays", "errors"), ("cdn",))
    rows = [{"cdn": "a", "plays": [], "errors": {}}, {"cdn": ["b"], "plays": "x", "errors": 1}, {"cdn": "c"}]
    assert tabulate(query, rows).dropped == {"invalid": 2}


@pytest.mark.parametrize("row", [None, 5, "text", [], [{"plays": 5}], True, math.nan], ids=repr)
def test_a_row_that_is_no_object_is_invalid(make_query, row):
    table = tabulate(make_query(), [row, {"plays": 5}, row])
    assert list(table.columns[0].values) == [5]
    assert table.dropped == {"invalid": 2}


def test_an_absurdly_deep_value_is_nonsense(make_query):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    table = tabulate(make_query(("plays",), ("cdn",)), [{"cdn": deep, "plays": 1}, {"cdn": "a", "plays": deep}])
    assert table.dropped == {"invalid": 2}


# --- Labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Akamai", "Akamai"),
        (" Akamai ", " Akamai "),
        ("", "none"),
        (None, "none"),
        (5, "5"),
        (2**70, str(2**70)),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        ("a\0b", "a\ufffdb"),
        ("\ud83d", "\ufffd"),
        ("😀\u2028\r\n\t\x7f", "😀\u2028\r\n\t\x7f"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("neighbour", ["x", None], ids=["among texts", "among others"])
def test_a_dimension_becomes_a_label(make_query, value, text, neighbour):
    query = make_query(("plays",), ("cdn",), empty_label="none")
    table = tabulate(query, [{"cdn": value, "plays": 1}, {"cdn": neighbour and "neighbour", "plays": 2}])
    assert table.rows[0] == (text,)


def test_a_dimension_that_is_not_there_has_the_empty_label(make_query):
    assert tabulate(make_query(dimensions=("cdn",)), [{"plays": 1}]).rows == [("unknown",)]


@pytest.mark.parametrize("value", [[], ["a"], {}, {"a": 1}], ids=repr)
def test_a_row_whose_dimension_is_no_text_is_left_out_and_invalid(make_query, value):
    table = tabulate(make_query(dimensions=("cdn",)), [{"cdn": value, "plays": 1}, {"cdn": "a", "plays": 2}])
    assert values(table) == {("a",): 2}
    assert table.dropped == {"invalid": 1}


def test_label_names_are_sanitised_and_stand_in_the_order_of_the_query(make_query):
    query = make_query(dimensions=("b-c", "1st", "a"), labels=(("environment", "prod"),))
    table = tabulate(query, [{"b-c": "x", "1st": "y", "a": "z", "plays": 1}])
    assert table.labels == (("source", "mm"), ("query", "q"), ("environment", "prod"))
    assert table.names == ("b_c", "_1st", "a")
    assert table.rows == [("x", "y", "z")]


# --- Duplicates, limits, several requests ---------------------------------------------------------------------------


def test_of_rows_with_the_same_labels_the_first_is_kept(make_query):
    query = make_query(dimensions=("cdn",))
    rows = [{"cdn": "a", "plays": 1}, {"cdn": "a", "plays": 2}, {"cdn": None, "plays": 3}, {"cdn": "", "plays": 4}]
    table = tabulate(query, rows, [{"cdn": "a", "plays": 5}])
    assert values(table) == {("a",): 1, ("unknown",): 3}
    assert table.dropped == {"duplicate": 3}


def test_a_first_row_without_a_number_still_stands_before_its_duplicate(make_query):
    table = tabulate(make_query(dimensions=("cdn",)), [{"cdn": "a", "plays": None}, {"cdn": "a", "plays": 5}])
    assert values(table) == {("a",): None}
    assert table.dropped == {"duplicate": 1}


@pytest.mark.parametrize("pages", [1, 2, 5])
def test_max_series_cuts_whole_rows(make_query, pages):
    query = make_query(("plays", "errors"), ("cdn",), max_series=5)
    rows = [{"cdn": str(number), "plays": number, "errors": number} for number in range(5)]
    size = -(-len(rows) // pages)
    table = tabulate(query, *(rows[start : start + size] for start in range(0, len(rows), size)))
    assert table.rows == [("0",), ("1",)]
    assert [list(column.values) for column in table.columns] == [[0, 1], [0, 1]]
    assert table.dropped == {"limit": 3}


def test_max_series_counts_series_and_not_gaps(make_query):
    query = make_query(("plays", "errors"), ("cdn",), max_series=3)
    rows = [{"cdn": "a", "plays": 1}, {"cdn": "b", "plays": 1, "errors": 1}, {"cdn": "c", "plays": 1}]
    table = tabulate(query, rows)
    assert table.rows[:2] == [("a",), ("b",)]
    assert sum(cell is not None for column in table.columns for cell in column.values) == 3
    assert table.dropped == {"limit": 1}


def test_rows_that_stay_at_the_vendor_count_as_well(make_query):
    tabulator = Tabulator(make_query(dimensions=("cdn",), max_series=1))
    assert tabulator.room
    tabulator.add([{"cdn": "a", "plays": 1}], ("plays",))
    assert not tabulator.room
    assert not tabulator.full
    tabulator.leave(7)
    assert tabulator.full
    assert tabulator.table().dropped == {"limit": 7}


def test_a_field_with_two_names_is_two_series(make_query):
    query = make_query([("plays", "smartsight_plays", 1), ("plays", "smartsight_plays_kilo", 0.001)], max_series=3)
    query_by = make_query(
        [("plays", "smartsight_plays", 1), ("plays", "smartsight_plays_kilo", 0.001)], ("cdn",), max_series=3
    )
    assert [list(column.values) for column in tabulate(query, [{"plays": 1500}]).columns] == [[1500], [1.5]]
    table = tabulate(query_by, [{"cdn": "a", "plays": 1}, {"cdn": "b", "plays": 2}])
    assert table.rows == [("a",)]
    assert table.dropped == {"limit": 1}


def test_several_requests_are_merged_by_their_labels(make_query):
    tabulator = Tabulator(make_query(("views", "devices"), ("device",)))
    tabulator.add([{"device": "tv", "views": 1}, {"device": "web", "views": 2}], ("views",))
    tabulator.add([{"device": "web", "devices": 3}, {"device": "ios", "devices": 4}], ("devices",))
    table = tabulator.table()
    assert values(table, 0) == {("tv",): 1, ("web",): 2, ("ios",): None}
    assert values(table, 1) == {("tv",): None, ("web",): 3, ("ios",): 4}
    assert table.dropped == {}


def test_requests_that_carry_the_same_field_for_other_labels_are_merged(make_query):
    tabulator = Tabulator(make_query(("views",), ("content_type", "device")))
    for content_type, views in (("live", 1), ("recorded", 2)):
        tabulator.add([{"content_type": content_type, "device": "tv", "views": views}], ("views",))
    assert values(tabulator.table()) == {("live", "tv"): 1, ("recorded", "tv"): 2}
    assert tabulator.table().dropped == {}


# --- top and order_by -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "best"), [("desc", ["c", "a"]), ("asc", ["b", "a"])])
def test_top_keeps_the_first_rows_by_order_by(make_query, order, best):
    query = make_query(("plays", "errors"), ("cdn",), top=2, order_by="errors", order=order)
    rows = [{"cdn": cdn, "plays": 1, "errors": errors} for cdn, errors in zip("abc", (5, 1, 9), strict=True)]
    table = tabulate(query, rows)
    assert [cdn for (cdn,) in table.rows] == best
    assert all(len(column.values) == 2 for column in table.columns)


def test_top_puts_rows_without_a_value_last_and_leaves_equal_ones_as_they_stood(make_query):
    query = make_query(dimensions=("cdn",), top=4)
    rows = [{"cdn": cdn, "plays": plays} for cdn, plays in zip("abcde", (None, 1, 2, 1, -5), strict=True)]
    assert tabulate(query, rows).rows == [("c",), ("b",), ("d",), ("e",)]


cells = st.none() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(cells), st.integers(0, 10), st.booleans())
def test_first_is_a_stable_sort_with_what_is_missing_at_the_end(column, count, descending):
    sign = -1 if descending else 1
    rows = sorted(range(len(column)), key=lambda row: (column[row] is None, sign * (column[row] or 0)))
    assert first(column, count, descending=descending) == rows[:count]


# --- Scale ----------------------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
wholes = st.integers(-(2**1023), 2**1023) | st.integers(-(10**40), 10**40) | st.integers(-1000, 1000)


def shifted(cell, exponent):
    return None if cell is None else float(Fraction(repr(cell)) * Fraction(10) ** exponent)


@given(st.lists(st.none() | finite | wholes), st.integers(-30, -1))
def test_a_scale_like_0_01_is_exact_for_every_number(column, exponent):
    assert list(scaled(column, float(f"1e{exponent}"))) == [shifted(cell, exponent) for cell in column]


@pytest.mark.parametrize("neighbour", [1, 1e30], ids=["among short ones", "among long ones"])
def test_a_scale_like_0_01_is_exact_for_whole_numbers_beyond_28_digits(neighbour):
    cell = (2**53 + 1) * 2**30 * 10**10 + 1  # just above the middle of two floats
    assert scaled([cell, neighbour], 1e-10)[0] == shifted(cell, -10) != float((2**53) * 2**30)


@pytest.mark.parametrize("neighbour", [None, 0.5, 7, 1e30], ids=repr)
@pytest.mark.parametrize("cell", [10**308, -(10**308), 1e308], ids=["int", "negative int", "float"])
def test_what_overflows_by_a_scale_is_no_sample_and_harms_no_neighbour(cell, neighbour):
    product, other = scaled([cell, neighbour], 1000)
    assert product is None
    assert other == shifted(neighbour, 3)


@pytest.mark.parametrize(
    ("cell", "scale", "product"), [(1.001, 1000, 1001), (4.35, 100, 435), (1.1, 10, 11), (2.3, 1e6, 2.3e6)]
)
def test_a_scale_like_1000_moves_the_decimal_point_as_well(cell, scale, product):
    assert scaled([cell], scale) == [product]


@given(st.lists(st.none() | finite | wholes), st.sampled_from([60, 0.5, 2.5, -1, 3600, 0, 1024, 1 / 3]))
def test_any_other_scale_is_a_product_and_what_overflows_is_no_sample(column, scale):
    for cell, product in zip(column, scaled(column, scale), strict=True):
        if cell is None:
            assert product is None
            continue
        exact = Fraction(cell) * Fraction(scale)
        if product is None:
            assert abs(exact) > Fraction(2) ** 1023
        else:
            assert math.isfinite(product)
            assert float(product) == pytest.approx(float(exact), rel=1e-15, abs=5e-324)


@given(st.lists(st.none() | finite | wholes))
def test_scale_1_changes_nothing(column):
    assert list(scaled(column, 1)) == column


def test_minutes_become_seconds_and_per_cent_ratios(make_query):
    query = make_query([("avg", "smartsight_a_seconds", 60), ("rate", "smartsight_b_ratio", 0.01)])
    table = tabulate(query, [{"avg": 22.5, "rate": "1.1"}])
    assert [column.values[0] for column in table.columns] == [1350, 0.011]


def test_rows_that_several_requests_bring_are_cut_whole(make_query):
    """Half of a row would make a ratio of its two metrics wrong without a word."""
    tabulator = Tabulator(make_query(("plays", "errors"), ("cdn",), max_series=6))
    for field in ("plays", "errors"):
        tabulator.add([{"cdn": f"c{number}", field: number} for number in range(5)], (field,))
    table = tabulator.table()
    assert [list(column.values) for column in table.columns] == [[0, 1, 2], [0, 1, 2]]
    assert table.dropped == {"limit": 4}


def test_rows_without_a_sample_have_an_end_too(make_query):
    tabulator = Tabulator(make_query(("plays",), ("cdn",), max_series=10))
    tabulator.add([{"cdn": f"c{number}", "plays": None} for number in range(100)], ("plays",))
    assert tabulator.full
    assert len(tabulator.table().rows) == 10


@pytest.mark.parametrize("pages", [1, 2, 10])
def test_top_is_chosen_from_all_rows_and_then_cut_by_max_series(make_query, pages):
    tabulator = Tabulator(make_query(("plays",), ("cdn",), top=5, max_series=3))
    rows = [{"cdn": f"c{number}", "plays": number} for number in range(20)]
    for page in range(pages):
        tabulator.add(rows[page * 20 // pages : (page + 1) * 20 // pages], ("plays",))
        assert tabulator.room
        assert not tabulator.full
    for table in (tabulator.table(), tabulator.table()):
        assert values(table) == {("c19",): 19, ("c18",): 18, ("c17",): 17}
        assert table.dropped == {"limit": 2}


def test_samples_that_are_there_count_where_the_top_is_cut(make_query):
    tabulator = Tabulator(make_query(("plays", "errors"), ("cdn",), top=4, max_series=5))
    for field, there in (("plays", "abcd"), ("errors", "ab")):
        tabulator.add([{"cdn": cdn, field: 1} for cdn in there], (field,))
    assert tabulator.table().rows == [("a",), ("b",), ("c",)]
    assert tabulator.table().dropped == {"limit": 1}


def test_an_endless_answer_has_an_end_where_the_top_is_wanted_too(make_query):
    tabulator = Tabulator(make_query(("plays",), ("cdn",), top=5, max_series=3, max_rows=10))
    tabulator.add([{"cdn": f"c{number}", "plays": number} for number in range(12)], ("plays",))
    assert tabulator.full
    assert not tabulator.room
    assert tabulator.table().dropped == {"limit": 2 + 2}


def test_where_missing_is_zero_so_is_what_only_another_request_has_a_row_for(make_query):
    tabulator = Tabulator(make_query(("views", "devices", "viewers"), ("device",), on_missing="zero"))
    tabulator.add([{"device": "tv", "views": 1}, {"device": "web", "views": "junk"}], ("views",))
    tabulator.add([{"device": "ios", "devices": 4}], ("devices",))
    tabulator.add([], ("viewers",))
    table = tabulator.table()
    assert values(table, 0) == {("tv",): 1, ("web",): None, ("ios",): 0}
    assert values(table, 1) == {("tv",): 0, ("web",): 0, ("ios",): 4}
    assert values(table, 2) == {("tv",): 0, ("web",): 0, ("ios",): 0}


def test_where_missing_is_zero_an_empty_answer_has_no_series_all_the_same(make_query):
    tabulator = Tabulator(make_query(("views", "devices"), ("device",), on_missing="zero"))
    tabulator.add([], ("views",))
    tabulator.add([], ("devices",))
    assert tabulator.table().rows == []


# --- Against a naive reference ---------------------------------------------------------------------------------------


def fate(value):
    """The contract's sentence on values, read as simply as can be: a float, MISSING or JUNK."""
    if isinstance(value, str):
        value = value.strip() or None
    if value is None:
        return MISSING
    if not isinstance(value, str | int | float) or (isinstance(value, str) and ("_" in value or not value.isascii())):
        return JUNK
    try:
        number = float(value)
    except OverflowError:
        return MISSING
    except ValueError:
        return JUNK
    return number if math.isfinite(number) else MISSING


def text_of(value, empty):
    if isinstance(value, list | dict):
        return JUNK
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return empty
    text = "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in str(value))
    return text or empty


class Naive:
    """Rows, one by one, into a dictionary."""

    def __init__(self, query):
        self.query = query
        self.samples = {}
        self.seen = set()
        self.dropped = {}
        self.taken = 0

    def add(self, rows, fields):
        for row in rows:
            self.add_row(row, fields)

    def add_row(self, row, fields):
        if not isinstance(row, dict):
            return self.drop("invalid")
        key = tuple(text_of(row.get(name), self.query.empty_label) for name in self.query.dimensions)
        fates = {field: fate(row.get(field)) for field in fields}
        if JUNK in key or JUNK in fates.values():
            self.drop("invalid")
        if JUNK in key:
            return None
        zero = self.query.on_missing == "zero"
        found = {
            field: 0.0 if number is MISSING else number
            for field, number in fates.items()
            if number is not JUNK and (number is not MISSING or zero)
        }
        if (key, fields) in self.seen:
            return self.drop("duplicate")
        # A row of which other requests bring the rest takes room for all of it at once.
        whole = len(fields) == len(FIELDS)
        cost = len(found) if whole else len(FIELDS) * (key not in self.samples)
        if self.taken + cost > self.query.max_series:
            return self.drop("limit")
        if key not in self.samples and len(self.samples) >= self.query.max_series:
            return self.drop("limit")
        self.taken += cost
        self.seen.add((key, fields))
        self.samples.setdefault(key, {}).update(found)
        return None

    def drop(self, reason):
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


junk = st.sampled_from(["x", [], {}, "1_0", "٣"])
missing = st.sampled_from([None, "", math.nan, -math.inf, "nan", "Infinity", INFINITE])
numbers = st.integers(-9, 9) | finite | st.sampled_from(["5", "-1.5e3", " 7 ", True, False, 2**65])
sendable = st.integers(0, 9) | numbers | missing | junk
dimension = st.sampled_from(["a", "b", "c", "d", "", None, "a\0", "\ud800", 5, "5", True, 1.5, [], {}]) | st.text(
    max_size=2
)
FIELDS = ("plays", "errors", "views")


def rows_of(fields):
    regular = st.fixed_dictionaries(
        {"cdn": st.text(max_size=2), "country": dimension, **dict.fromkeys(fields, st.integers())}
    )
    wild = st.fixed_dictionaries(
        {}, optional={"cdn": dimension, "country": dimension, **dict.fromkeys(fields, sendable)}
    )
    return st.lists(regular, max_size=12) | st.lists(regular | wild | sendable, max_size=12)


# Requests as vendors need them: all carry the same fields, or each field is carried by one kind of request.
parts = st.sampled_from([[FIELDS], [("plays",), ("errors", "views")]]).flatmap(
    lambda kind: st.lists(
        st.sampled_from(kind).flatmap(lambda fields: st.tuples(rows_of(fields), st.just(fields))),
        min_size=1,
        max_size=4,
    )
)


def gathered(tabulator, asked, size):
    for rows, fields in asked:
        for start in range(0, len(rows), size):
            tabulator.add(rows[start : start + size], fields)
    return tabulator.table()


class OneByOne(Tabulator):
    def _place_all(self, *_):
        return False


def as_samples(table):
    found = {}
    for column in table.columns:
        for row, cell in zip(table.rows, column.values, strict=True):
            if cell is not None:
                found[row, column.family.name.removeprefix("smartsight_")] = float(cell)
    return found


def expected_samples(naive):
    found = {(key, field): value for key, there in naive.samples.items() for field, value in there.items()}
    if naive.query.on_missing == "zero":
        brought = {(key, field) for key, fields in naive.seen for field in fields}
        found |= {(key, field): 0.0 for key in naive.samples for field in FIELDS if (key, field) not in brought}
    return found


options = st.fixed_dictionaries(
    {
        "dimensions": st.sampled_from([(), ("cdn",), ("cdn", "country"), ("country",)]),
        "on_missing": st.sampled_from(["absent", "zero"]),
        "max_series": st.integers(1, 40),
    }
)


@given(parts, st.integers(1, 13), options)
def test_rows_paged_in_any_way_are_what_the_reference_says(make_query, asked, size, given_options):
    query = make_query(FIELDS, **given_options)
    naive = Naive(query)
    for rows, fields in asked:
        naive.add(rows, fields)
    table = gathered(Tabulator(query), asked, size)
    assert as_samples(table) == expected_samples(naive)
    assert dict(table.dropped) == naive.dropped
    assert len(set(table.rows)) == len(table.rows)


@given(rows_of(FIELDS), st.integers(1, 13), options, st.integers(1, 8), st.sampled_from(["asc", "desc"]))
def test_the_top_is_that_of_all_rows_whatever_max_series_is(make_query, rows, size, given_options, top, order):
    """Sorted as simply as can be; of what is first, what ``max_series`` has room for."""
    naive = Naive(make_query(FIELDS, **given_options | {"max_series": 10_000}))
    naive.add(rows, FIELDS)
    # Equal ones stand as they came, and those without a number come last.
    worth = {key: found.get("plays") for key, found in naive.samples.items()}
    sign = -1 if order == "desc" else 1
    best = sorted(worth, key=lambda key: (worth[key] is None, sign * (worth[key] or 0)))[:top]
    room, kept = given_options["max_series"], []
    for key in best:
        room -= len(naive.samples[key])
        if room < 0:
            break
        kept.append(key)
    table = gathered(Tabulator(make_query(FIELDS, top=top, order=order, **given_options)), [(rows, FIELDS)], size)
    assert as_samples(table) == {(key, field): number for key in kept for field, number in naive.samples[key].items()}
    left = {"limit": len(best) - len(kept)} if len(best) > len(kept) else {}
    assert dict(table.dropped) == naive.dropped | left


@given(parts, st.integers(1, 13), options)
def test_a_page_taken_whole_is_the_same_as_its_rows_one_by_one(make_query, asked, size, given_options):
    query = make_query(FIELDS, **given_options)
    table = gathered(Tabulator(query), asked, size)
    assert table == gathered(OneByOne(query), asked, len(FIELDS) + 9)
    assert sum(cell is not None for column in table.columns for cell in column.values) <= query.max_series


# --- Any value ------------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | missing | junk,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=2), each, max_size=3),
    max_leaves=5,
)


@given(st.lists(anything, max_size=8), st.sampled_from(["absent", "zero"]))
def test_each_value_of_a_metric_has_one_fate(make_query, column, on_missing):
    """A value is a finite number, is missing, or drops its sample and counts: nothing else, and no error."""
    query = make_query(("plays",), ("cdn",), on_missing=on_missing)
    table = tabulate(query, [{"cdn": f"c{number}", "plays": value} for number, value in enumerate(column)])
    fates = [fate(value) for value in column]
    for (_, cell), expected in zip(values(table).items(), fates, strict=True):
        if expected is JUNK:
            assert cell is None
        elif expected is MISSING:
            assert cell == (0 if on_missing == "zero" else None)
        else:
            assert type(cell) in (int, float)
            assert float(cell) == expected
    assert table.dropped == ({"invalid": junks} if (junks := fates.count(JUNK)) else {})


@given(st.lists(anything, max_size=8), st.integers(1, 5))
def test_each_value_of_a_dimension_has_one_fate(make_query, column, longest):
    """A value becomes a label that every reader takes, whole, or drops its row: none is cut."""
    query = make_query(("plays",), ("cdn",), max_label_length=longest, empty_label="-")
    table = tabulate(query, [{"cdn": value, "plays": 1} for value in column])
    # An integer beyond all floats is missing here too, as it is for a metric.
    texts = ["-" if type(value) is int and fate(value) is MISSING else text_of(value, "-") for value in column]
    good = [text for text in texts if text is not JUNK and len(text) <= longest]
    assert [cdn for (cdn,) in table.rows] == list(dict.fromkeys(good))
    for (cdn,) in table.rows:
        assert 0 < len(cdn) <= longest
        assert "\0" not in cdn
        cdn.encode()
    expected = {"invalid": len(texts) - len(good), "duplicate": len(good) - len(set(good))}
    assert table.dropped == {reason: count for reason, count in expected.items() if count}


@given(st.lists(anything, max_size=8), st.lists(anything, max_size=8))
def test_a_page_of_anything_is_told_apart_from_none(make_query, first_page, second_page):
    tabulator = Tabulator(make_query(("plays",), ("cdn",)))
    for page in (first_page, second_page):
        before = tabulator.table().dropped.get("duplicate", 0)
        new = tabulator.add(page, ("plays",))
        doubles = tabulator.table().dropped.get("duplicate", 0) - before
        assert 0 <= new <= len(page) - doubles
    objects = [row for row in [*first_page, *second_page] if isinstance(row, dict)]
    assert sum(tabulator.table().dropped.values()) + len(tabulator.table().rows) >= len(first_page) + len(second_page)
    assert len(tabulator.table().rows) <= len(objects)


# --- Label rows of the last poll --------------------------------------------------------------------------------------

CELLS = st.sampled_from(["a", "b", "", "long", None, 1, 1.0, True, [], "\ud800"])


@given(pages=st.lists(st.lists(st.tuples(CELLS, CELLS), max_size=4), min_size=2, max_size=5))
def test_what_is_remembered_of_the_last_poll_changes_no_table(make_query, pages):
    query, keys = make_query(("plays",), ("cdn", "country"), max_label_length=3), Keys()
    for page in pages:
        rows = [{"cdn": cdn, "country": country, "plays": number} for number, (cdn, country) in enumerate(page)]
        again, anew = Tabulator(query, keys), Tabulator(query)
        for tabulator in (again, anew):
            tabulator.add(rows, query.fields)
            tabulator.add(rows[:1], query.fields)
        assert again.table() == anew.table()


def test_label_rows_that_are_as_last_time_are_not_made_again(make_query, monkeypatch):
    made, real = [], normalise.keys_of
    monkeypatch.setattr(normalise, "keys_of", lambda *args: made.append(1) or real(*args))
    query, keys = make_query(("plays",), ("cdn",)), Keys()
    for values, names in ((1, "ab"), (2, "ab"), (3, "ac"), (4, "ac")):
        tabulator = Tabulator(query, keys)
        tabulator.add([{"cdn": name, "plays": values} for name in names], query.fields)
        assert tabulator.table().rows == [(name,) for name in names]
    assert len(made) == 2


@pytest.mark.parametrize("values", [[1, True, 1.0], [0, False], ["1", 1]])
def test_what_python_takes_for_the_same_is_not(make_query, values):
    query, keys = make_query(("plays",), ("cdn",)), Keys()
    for value in values:
        again, anew = Tabulator(query, keys), Tabulator(query)
        for tabulator in (again, anew):
            tabulator.add([{"cdn": value, "plays": 1}], query.fields)
        assert again.table() == anew.table()


def test_of_a_page_larger_than_the_query_nothing_is_remembered(make_query):
    query, keys = make_query(("plays",), ("cdn",), max_series=10), Keys()
    Tabulator(query, keys).add([{"cdn": f"c{number}", "plays": 1} for number in range(11)], query.fields)
    assert keys._keys == []
    Tabulator(query, keys).add([{"cdn": f"c{number}", "plays": 1} for number in range(10)], query.fields)
    assert len(keys._keys) == 10

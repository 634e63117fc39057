import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.providers.times import epoch

DOCUMENTED = 1531765230  # 2018-07-16T19:20:30+01:00
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "text",
    [
        "2018-07-16T19:20:30+01:00",
        "2018-07-16T18:20:30Z",
        "2018-07-16T18:20:30+00:00",
        "2018-07-16T11:20:30-07:00",
        "2018-07-17T00:05:30+05:45",
        "2018-07-16T19:20:30+0100",
        "2018-07-16 19:20:30.000+01:00",
        "20180716T182030Z",
        "1531765230",
        " 1531765230.0 ",
        "1.53176523e9",
        1531765230,
        1531765230.0,
    ],
)
def test_a_moment_however_it_is_written(text):
    assert epoch(text) == DOCUMENTED


def test_fractions_of_a_second_stay():
    assert epoch("2018-07-16T18:20:30.5Z") == DOCUMENTED + 0.5
    assert epoch("1531765230.25") == DOCUMENTED + 0.25


@pytest.mark.parametrize(
    "value",
    [
        "2018-07-16T19:20:30",  # Los Angeles for the vendor, something else for this machine
        "2018-07-16 19:20",
        "2018-07-16",
        "2018-13-45T19:20:30Z",
        "19:20:30+01:00",
        "yesterday",
        "",
        " ",
        None,
        True,
        False,
        [],
        ["2018-07-16T19:20:30+01:00"],
        {},
        b"1531765230",
    ],
)
def test_what_is_no_moment_or_no_certain_one(value):
    assert epoch(value) is None


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", math.nan, math.inf, "1e999"])
def test_what_is_not_finite_is_no_moment(value):
    assert epoch(value) is None


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)), OFFSETS)  # noqa: DTZ001
def test_any_offset_names_the_same_moment(moment, offset):
    moment = moment.replace(tzinfo=UTC)
    assert epoch(moment.astimezone(offset).isoformat()) == moment.timestamp()


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_calendar_s_ends_break_nothing(text):
    assert isinstance(epoch(text), float)


@given(st.text() | st.integers() | st.floats() | st.lists(st.text()) | st.none())
def test_whatever_comes_is_a_number_or_nothing(value):
    assert epoch(value) is None or isinstance(epoch(value), int | float)


@pytest.mark.parametrize(("text", "seconds"), [("2026-01", 1767225600), ("2026-01-01", 1767225600)])
def test_a_calendar_s_point_is_read_in_the_zone_that_is_given(text, seconds):
    assert epoch(text, zone=UTC) == seconds
    assert epoch(text) is None

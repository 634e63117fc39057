import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Window
from exporter.window import offset, window

TIMES = st.floats(0, 4e9)
INTERVALS = st.integers(1, 30 * 86400)
LENGTHS = st.integers(1, 366 * 86400)
DELAYS = st.integers(0, 7 * 86400)


@pytest.mark.parametrize(
    ("now", "interval", "length", "delay", "start", "end"),
    [
        (1000, 60, 300, 120, 540, 840),
        (1020, 60, 300, 120, 600, 900),
        (1019.999, 60, 300, 120, 540, 840),
        (1020.001, 60, 300, 120, 600, 900),
        (1000, 60, 300, 0, 660, 960),
        (86_400, 86_400, 3600, 0, 82_800, 86_400),
        (86_399.9, 86_400, 3600, 0, -3600, 0),
        (100, 7, 7, 1, 91, 98),
        (60, 60, 300, 120, -360, -60),
        (59, 60, 60, 120, -180, -120),
        (1_775_764_800, 1, 1, 0, 1_775_764_799, 1_775_764_800),
    ],
)
def test_the_contracts_formula(now, interval, length, delay, start, end):
    assert window(now, interval=interval, length=length, delay=delay) == Window(start, end)


@given(TIMES, INTERVALS, LENGTHS, DELAYS)
def test_a_window_ends_on_the_grid_and_at_the_last_point_that_is_old_enough(now, interval, length, delay):
    found = window(now, interval=interval, length=length, delay=delay)
    assert found.end % interval == 0
    assert found.end <= now - delay < found.end + interval
    assert found.end - found.start == length
    assert type(found.start) is type(found.end) is int


@given(st.integers(0, 4 * 10**9), INTERVALS, LENGTHS, DELAYS)
def test_a_window_is_the_formula_in_whole_numbers(now, interval, length, delay):
    end = (now - delay) // interval * interval
    assert window(float(now), interval=interval, length=length, delay=delay) == Window(end - length, end)


@given(TIMES, INTERVALS, DELAYS)
def test_the_windows_of_polls_an_interval_apart_follow_each_other(now, interval, delay):
    now = float(math.floor(now))  # a sum of floats could round over the edge of the grid
    first = window(now, interval=interval, length=interval, delay=delay)
    second = window(now + interval, interval=interval, length=interval, delay=delay)
    assert second.start == first.end


@given(st.text(), INTERVALS)
def test_a_poll_is_in_the_first_tenth_of_its_interval_and_in_its_first_ten_seconds(name, interval):
    assert 0 <= offset(name, interval) <= min(interval / 10, 10)


@given(st.text(), INTERVALS)
def test_a_query_keeps_its_place(name, interval):
    assert offset(name, interval) == offset(name, interval)


def test_the_place_is_the_same_in_every_process_and_version():
    # The first eight bytes of SHA-256 of the name are 0.2132 as a fraction: of 6 s that is 1.279 s, of 10 s 2.132 s.
    assert offset("qoe_by_cdn", 60) == 1.25
    assert offset("qoe_by_cdn", 100) == offset("qoe_by_cdn", 3600) == 2.0


def test_the_polls_of_many_queries_are_spread():
    places = Counter(offset(f"query_{number}", 60) for number in range(1000))
    assert sorted(places) == [quarter / 4 for quarter in range(24)]
    assert max(places.values()) < 1000 / 24 * 1.5

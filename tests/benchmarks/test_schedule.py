"""What schedule.py says of a grid, by moments that are made up."""

import pytest
from schedule import DRIFT, FIRST_DRIFT, INTERVAL, SETTLING, kept

BEGIN, TICKS, QUERIES = 1_000_000 * INTERVAL, 60, 20


def grid(moment):
    """Give the moments of queries, the first of them the first in each interval, by what each tick adds."""
    return {
        f"q{query}": [BEGIN + tick * INTERVAL + moment(query, tick) for tick in range(TICKS)]
        for query in range(QUERIES)
    }


def waiting(query, tick):
    """Give how long a query waits for those before it, on a machine that becomes slower."""
    return 0.02 + query * (0.01 if tick < TICKS / 2 else 0.04)


def test_waiting_for_others_moves_requests_and_not_the_first():
    found = kept(grid(waiting))
    assert (found.strays, found.first) == (0, 0)
    assert max(found.drifts) > DRIFT


@pytest.mark.parametrize("late", [0.002, 0.01, 0.1])
def test_a_grid_that_moves_by_little_each_time_is_found(late):
    found = kept(grid(lambda query, tick: waiting(query, tick) + late * tick))
    assert found.first > FIRST_DRIFT


def test_polls_that_begin_an_interval_after_the_last_has_ended_are_found():
    found = kept(grid(lambda _, tick: 0.2 * tick))
    assert found.strays > 0
    assert max(found.drifts) > DRIFT


def test_one_query_that_drifts_is_found():
    found = kept(grid(lambda query, tick: 0.5 + (0.02 * tick if query == QUERIES - 1 else 0)))
    assert found.first == 0
    assert [drift > DRIFT for drift in found.drifts] == [False] * (QUERIES - 1) + [True]


def test_a_query_that_is_asked_twice_is_found():
    moments = grid(waiting)
    moments["q3"].insert(20, moments["q3"][20] - 0.001)
    assert kept(moments).strays == 1


def test_a_query_that_stops_is_found():
    moments = grid(waiting)
    del moments["q3"][TICKS - 10 :]
    assert kept(moments).strays == 10 - 1


def test_what_has_not_settled_is_not_looked_at():
    moments = grid(waiting)
    moments["q0"][:SETTLING] = [BEGIN - 3.0, BEGIN - 2.0, BEGIN - 1.0]
    found = kept(moments)
    assert (found.strays, found.first) == (0, 0)

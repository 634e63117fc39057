import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.circuit import FARTHEST, OPENS_AT, OWN_FAULTS, Circuit, distance
from exporter.model import Outcome, Window

OTHERS_FAULTS = ("auth", "rate_limited", "timeout", "network", "server_error", "bad_response")


@pytest.fixture(scope="session")
def ended(make_query):
    def ended(name="q", reason=""):
        return Outcome(query=make_query(name=name), window=Window(0, 300), ended=0.0, duration=1.0, reason=reason)

    return ended


def polled(circuit, outcome, ticks):
    """Give the ticks, of so many, on which a query is polled that always ends alike."""
    found = []
    for tick in range(ticks):
        if circuit.due(outcome.query):
            found.append(tick)
            circuit.note(outcome)
    return found


@pytest.mark.parametrize("reason", OTHERS_FAULTS)
def test_it_opens_at_three_and_the_distance_grows_to_ten_intervals(ended, reason):
    circuit = Circuit()
    found = polled(circuit, ended(reason=reason), 60)
    assert found == [0, 1, 2, 4, 8, 16, 26, 36, 46, 56]


def test_two_failures_are_no_reason(ended):
    circuit = Circuit()
    for _ in range(OPENS_AT - 1):
        circuit.note(ended(reason="network"))
        assert not circuit.open
        assert circuit.due(ended().query)
    circuit.note(ended(reason="network"))
    assert circuit.open
    assert not circuit.due(ended().query)


@pytest.mark.parametrize("reason", OWN_FAULTS)
def test_the_exporter_s_own_faults_never_open_it(ended, reason):
    circuit = Circuit()
    assert polled(circuit, ended(reason=reason), 100) == list(range(100))
    assert not circuit.open


@pytest.mark.parametrize("own", OWN_FAULTS)
def test_own_faults_between_failures_neither_count_nor_excuse(ended, own):
    circuit = Circuit()
    for reason in ("network", own, "network", own):
        circuit.note(ended(reason=reason))
    assert not circuit.open
    circuit.note(ended(reason="network"))
    assert circuit.open


def test_one_success_closes_it_for_all_queries(ended):
    circuit = Circuit()
    for name in "abc":
        for _ in range(7):
            circuit.note(ended(name, "timeout"))
    assert circuit.left(ended("a").query) == FARTHEST - 1
    circuit.note(ended("b"))
    assert not circuit.open
    assert all(circuit.due(ended(name).query) for name in "abc")
    circuit.note(ended("a", "timeout"))
    assert not circuit.open


def test_a_dead_query_among_healthy_ones_never_opens_it(ended):
    circuit = Circuit()
    for _ in range(100):
        for name, reason in (("dead", "timeout"), ("healthy", "")):
            assert circuit.due(ended(name).query)
            circuit.note(ended(name, reason))
            assert not circuit.open


def test_a_query_s_distance_grows_with_its_own_failures_only(ended):
    circuit = Circuit()
    for _ in range(5):
        circuit.note(ended("often", "network"))
    circuit.note(ended("seldom", "network"))
    assert (circuit.left(ended("often").query), circuit.left(ended("seldom").query)) == (7, 0)


def test_a_query_that_is_forgotten_holds_it_open_no_more(ended):
    circuit = Circuit()
    for _ in range(5):
        circuit.note(ended("gone", "network"))
    circuit.forget(ended("gone").query)
    circuit.forget(ended("never polled").query)
    assert not circuit.open
    assert circuit.due(ended("gone").query)


def test_the_ticks_that_are_left_are_told_and_looking_changes_nothing(ended):
    circuit = Circuit()
    for _ in range(4):
        circuit.note(ended(reason="network"))
    assert [circuit.left(ended().query) for _ in range(3)] == [3, 3, 3]
    assert [circuit.due(ended().query) for _ in range(5)] == [False, False, False, True, True]


def test_the_distances():
    assert [distance(failures) for failures in range(10)] == [1, 1, 1, 2, 4, 8, 10, 10, 10, 10]
    assert distance(10**9) == FARTHEST


notes = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", *OTHERS_FAULTS, *OWN_FAULTS])), max_size=60)


@given(notes, st.integers())
def test_whatever_happens_nobody_waits_longer_than_ten_intervals(ended, told, seed):
    circuit, order, waited = Circuit(), random.Random(seed), dict.fromkeys("abc", 0)  # noqa: S311 - no secrets here
    for name, reason in told:
        waited[name] = 0
        circuit.note(ended(name, reason))
        assert circuit.open == any(circuit._failures[each] >= OPENS_AT for each in "abc")
        ticking = order.choice("abc")
        waited[ticking] = 0 if circuit.due(ended(ticking).query) else waited[ticking] + 1
        assert waited[ticking] < FARTHEST

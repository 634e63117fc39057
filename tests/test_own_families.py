"""Families of the exporter's own that may have many lines, held against what prometheus-client makes of the same."""

import math

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from exporter.own_families import Numbers, Observations

prometheus_client.disable_created_metrics()  # as Telemetry does

BY = ("source", "query")
LIMITS = (0.25, 1, 60)

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
keys = st.tuples(names, names)
numbers = st.floats(allow_nan=False) | st.integers(-(2**60), 2**60)
durations = st.floats(0, 1e6) | st.sampled_from([0, *LIMITS])
amounts = st.floats(0, 1e9) | st.integers(0, 10**9)


def lines(registry, write=generate_latest):
    return [line for line in write(registry).decode().split("\n") if line and not line.startswith("#")]


def told(family, text=""):
    """Give the lines of prometheus-client, and check that its way to read the family and ours are one."""
    registry = CollectorRegistry()
    registry.register(family)
    assert lines(registry) == lines(registry, openmetrics) == text.split("\n")[:-1]


def pairs(strategy):
    return st.lists(st.tuples(keys, strategy), max_size=20)


KINDS = {
    "gauges": (Numbers("m", "Help.", "gauge", BY), Numbers.set, Gauge, Gauge.set, numbers, {}),
    "counters": (Numbers("m", "Help.", "counter", BY), Numbers.add, Counter, Counter.inc, amounts, {}),
    "histograms": (
        Observations("m", "Help.", BY, LIMITS),
        Observations.observe,
        Histogram,
        Histogram.observe,
        durations,
        {"buckets": LIMITS},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_it_is_written_as_prometheus_client_writes_it(kind, data):
    ours, change, made, change_theirs, values, more = KINDS[kind]
    registry = CollectorRegistry()
    theirs = made("m", "Help.", BY, registry=registry, **more)
    ours.forget(lambda _: True)
    for key, value in data.draw(pairs(values)):
        change(ours, key, value)
        change_theirs(theirs.labels(*key), value)
    assert ours.text().split("\n")[:-1] == lines(registry)
    told(ours, ours.text())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 0.1, 1e21, 1_764_000_000.123])
def test_no_number_is_written_in_another_way(number):
    registry = CollectorRegistry()
    ours, theirs = (
        Numbers("g", "Help.", "gauge", ("source", "query", "reason")),
        Gauge("g", "", ["x"], registry=registry),
    )
    ours.set(("a", "b", "c"), number)
    theirs.labels("").set(number)
    assert ours.text().split()[-1] == lines(registry)[0].split()[-1]
    assert ours.text().startswith('g{query="b",reason="c",source="a"} ')


def test_what_is_forgotten_has_no_lines_whatever_its_other_labels_are():
    family = Numbers("c", "Help.", "counter", (*BY, "reason"))
    for key in (("s", "q", "a"), ("s", "q", "b"), ("s", "r", "a"), ("t", "q", "a")):
        family.add(key)
    family.forget(lambda key: key[:2] == ("s", "q"))
    assert [line.partition(" ")[0] for line in family.text().splitlines()] == [
        'c_total{query="r",reason="a",source="s"}',
        'c_total{query="q",reason="a",source="t"}',
    ]
    (collected,) = family.collect()
    assert len(collected.samples) == 2
    family.add(("s", "q", "a"))
    assert family.text().splitlines()[-1].endswith(" 1.0")


def test_a_line_is_written_when_it_changes_and_not_when_it_is_read():
    family = Numbers("g", "Help.", "gauge", BY)
    family.set(("s", "q"), 1)
    family.set(("s", "r"), 1)
    before, changes = dict(family._lines), []
    family.changed = lambda: changes.append(1)
    family.set(("s", "r"), 2)
    assert family._lines["s", "q"] is before["s", "q"]
    assert len(changes) == 1
    assert family.text() == 'g{query="q",source="s"} 1.0\ng{query="r",source="s"} 2.0\n'


def test_a_family_without_queries_has_its_head_all_the_same():
    (head,) = Numbers("g", "Help.", "gauge", BY).describe()
    assert (head.name, head.type, head.documentation, head.samples) == ("g", "gauge", "Help.", [])
    assert isinstance(head, Metric)

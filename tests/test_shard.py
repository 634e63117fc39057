import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import load
from exporter.plan import plan
from exporter.shard import ONLY, Shard, divide, ordinal_of

FEW = settings(max_examples=25)
METRICS = ("total_views", "unique_devices", "authenticated_viewers", "peak_viewers", "viewers")


def config(queries, **limits):
    """Load queries of two vendors; ``limits`` are those of all sources."""
    more = {"limits": limits} if limits else {}
    smartsight = {"type": "smartsight", "auth": {"api_key": "k"}, **more}
    ibm = {"type": "ibm_video", "auth": {"client_id": "c", "client_secret": "s"}, **more}
    sources = {f"mm{n}": smartsight | {"customer_id": str(n)} for n in range(3)} | {"ibm": ibm}
    return load(json.dumps({"sources": sources, "queries": queries}), name="c.yaml", env={})


def asked(name, source="mm0", metrics=("latency",), **more):
    return {"name": name, "source": source, "metrics": list(metrics), **more}


def many(count, **more):
    """Queries of which each asks for rows of its own."""
    return [asked(f"q{n}", f"mm{n % 3}", dimensions=[f"d{n}"], **more) for n in range(count)]


def owners(whole, total):
    """The ordinals of the shards that have each query."""
    found = {}
    for ordinal in range(total):
        for query in Shard(ordinal, total).own(whole).queries:
            found.setdefault(query.key, []).append(ordinal)
    return found


def owner(whole, total):
    return {key: ordinal for key, [ordinal] in owners(whole, total).items()}


@st.composite
def configs(draw):
    """Queries for few different rows, so that many can be merged."""
    queries = []
    for n in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            metrics = draw(st.lists(st.sampled_from(METRICS), min_size=1, max_size=3, unique=True))
            by = [] if {"peak_viewers", "viewers"} & set(metrics) else draw(st.sampled_from([[], ["device"]]))
            filters = {"filters": {"content_type": "live", "content_id": 7}} if "peak_viewers" in metrics else {}
            queries.append(asked(f"q{n}", "ibm", metrics, dimensions=by, **filters))
        else:
            sources = draw(st.lists(st.sampled_from(["mm0", "mm1", "mm2"]), min_size=1, unique=True))
            metrics = draw(st.lists(st.sampled_from(["latency", "views", "errors"]), min_size=1, unique=True))
            by = draw(st.sampled_from([[], ["cdn"], ["cdn", "country"]]))
            interval = draw(st.sampled_from(["10s", "1m", "7m"]))
            queries.append(asked(f"q{n}", sources, metrics, dimensions=by, interval=interval))
    limits = {"concurrency": draw(st.integers(1, 9))}
    if draw(st.booleans()):
        limits["requests_per_minute"] = draw(st.integers(1, 120))
    return config(queries, **limits)


# --- Who does what ----------------------------------------------------------------------------------------------------


@FEW
@given(configs(), st.integers(2, 9))
def test_each_query_is_one_shards_own(whole, total):
    assert owner(whole, total).keys() == {query.key for query in whole.queries}


@FEW
@given(configs(), st.integers(2, 9))
def test_the_shards_requests_are_those_of_one_process_and_each_is_made_once(whole, total):
    shared = [group for ordinal in range(total) for group in plan(Shard(ordinal, total).own(whole)).groups]
    alone = plan(whole).groups
    assert Counter(group.identity for group in shared) == Counter(group.identity for group in alone)
    assert {group.identity: group.offset for group in shared} == {group.identity: group.offset for group in alone}


@FEW
@given(configs(), st.integers(2, 9))
def test_a_shard_has_the_sources_of_its_queries_and_these_in_the_order_of_the_file(whole, total):
    for ordinal in range(total):
        own = Shard(ordinal, total).own(whole)
        assert own.sources.keys() == {query.source for query in own.queries}
        assert [query for query in whole.queries if query in own.queries] == list(own.queries)
        assert all(source.provider.settings is source.settings for source in own.sources.values())


@FEW
@given(configs(), st.integers(2, 9))
def test_what_moves_when_a_shard_is_added_moves_to_it(whole, total):
    before, after = owner(whole, total), owner(whole, total + 1)
    assert {after[key] for key in before if after[key] != before[key]} <= {total}


@pytest.mark.parametrize("concurrency", [4, 100])
def test_about_one_in_n_plus_one_moves(concurrency):
    """Of few seats a source has, the new shard takes one or none: over many sources it comes to the same share."""
    sources = {
        f"s{n}": {
            "type": "smartsight",
            "customer_id": n,
            "auth": {"api_key": "k"},
            "limits": {"concurrency": concurrency},
        }
        for n in range(60)
    }
    queries = [asked(f"q{n}", list(sources), dimensions=[f"d{n}"]) for n in range(12)]
    whole = load(json.dumps({"sources": sources, "queries": queries}), name="c.yaml", env={})
    for total in (1, 3, 9):
        before, after = owner(whole, total), owner(whole, total + 1)
        moved = sum(after[key] != before[key] for key in before) / len(before)
        assert moved == pytest.approx(1 / (total + 1), rel=0.3)


def test_queries_are_spread_evenly():
    counts = Counter(owner(config(many(600), concurrency=8), 4).values())
    assert all(count == pytest.approx(150, rel=0.3) for count in counts.values())
    assert len(counts) == 4


def test_one_process_alone_has_the_configuration_as_it_is():
    whole = config([asked("q")])
    assert ONLY.own(whole) is whole


# --- What stays where it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": ["views", "latency"]},
        {"metrics": ["errors"]},
        {"on_missing": "zero"},
        {"max_series": 7},
        {"timeout": "10s"},
        {"order_by": "views", "top": 5},
        {"top": 5, "metrics": ["views", "latency"]},
    ],
)
def test_what_asks_for_the_same_rows_stays_on_its_shard(change):
    top = {"top": 5} if "top" in change else {}
    before, after = many(40, **top), many(40, **change)
    assert owner(config(before), 4) == owner(config(after), 4)


def test_a_query_more_moves_no_other_and_joins_those_of_its_rows():
    queries = many(40)
    before = owner(config(queries), 4)
    after = owner(config([*queries, asked("more", "mm1", ["views"], dimensions=["d1"]), asked("other")]), 4)
    assert {key: after[key] for key in before} == before
    assert after["mm1", "more"] == before["mm1", "q1"]


def test_a_query_that_merges_others_finds_them_together():
    """Two queries share no request until a third asks for what both ask."""
    apart = [asked("x", "ibm", ["total_views"]), asked("y", "ibm", ["unique_devices"])]
    both = [*apart, asked("both", "ibm", ["unique_devices", "total_views"])]
    for total in range(2, 12):
        before, after = owner(config(apart, concurrency=12), total), owner(config(both, concurrency=12), total)
        assert len(set(after.values())) == 1
        assert before.items() <= after.items()


def test_a_reload_of_the_same_file_with_another_secret_moves_nothing():
    whole = config(many(40))
    other = config(many(40))
    assert owner(whole, 4) == owner(replace(other, sources=dict(reversed(other.sources.items()))), 4)


# --- Limits -----------------------------------------------------------------------------------------------------------


@FEW
@given(configs(), st.integers(2, 9))
def test_the_parts_of_a_sources_limits_are_the_whole_and_one_at_least(whole, total):
    for name in {query.source for query in whole.queries}:
        owns = [Shard(ordinal, total).own(whole) for ordinal in range(total)]
        parts = [own.sources[name].settings.limits for own in owns if name in own.sources]
        limits = whole.sources[name].settings.limits
        assert sum(part.concurrency for part in parts) == limits.concurrency
        assert min(part.concurrency for part in parts) >= 1
        if limits.requests_per_minute is None:
            assert {part.requests_per_minute for part in parts} == {None}
        else:
            assert sum(part.requests_per_minute for part in parts) == limits.requests_per_minute
            assert min(part.requests_per_minute for part in parts) >= 1


@pytest.mark.parametrize("limits", [{"concurrency": 2}, {"concurrency": 9, "requests_per_minute": 2}])
def test_no_more_shards_work_for_a_source_than_it_admits_requests(limits):
    found = owner(config(many(60), **limits), 8)
    for source in ("mm0", "mm1", "mm2"):
        assert len({ordinal for key, ordinal in found.items() if key[0] == source}) == 2
    assert len(set(found.values())) > 2, "they are others for each source"


def test_a_limit_goes_where_the_requests_are():
    whole = config(many(90), concurrency=30, requests_per_minute=3000)
    for ordinal in range(3):
        own = Shard(ordinal, 3).own(whole)
        for name, source in own.sources.items():
            share = Fraction(sum(query.source == name for query in own.queries), 30)
            assert abs(source.settings.limits.concurrency - 30 * share) < 1
            assert abs(source.settings.limits.requests_per_minute - 3000 * share) < 1


LOADS = st.dictionaries(st.integers(0, 20), st.fractions(min_value=Fraction(1, 1000), max_value=50), min_size=1)


@given(LOADS, st.integers(0, 200))
def test_a_limit_is_divided_whole_with_one_for_each_at_least(loads, more):
    parts = divide(len(loads) + more, loads)
    assert parts.keys() == loads.keys()
    assert sum(parts.values()) == len(loads) + more
    assert min(parts.values()) >= 1


@given(LOADS, st.integers(0, 200))
def test_who_asks_more_has_no_smaller_part(loads, more):
    parts = divide(len(loads) + more, loads)
    assert all(parts[one] <= parts[other] for one in loads for other in loads if loads[one] < loads[other])


@given(st.dictionaries(st.integers(0, 20), st.integers(1, 50), min_size=1), st.integers(0, 200))
def test_where_all_requests_fit_none_has_to_wait(loads, more):
    parts = divide(sum(loads.values()) + more, {ordinal: Fraction(load) for ordinal, load in loads.items()})
    assert all(parts[ordinal] >= load for ordinal, load in loads.items())


@pytest.mark.parametrize(
    ("limit", "loads", "parts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (4, [3, 1], [3, 1]),
        (6, [5, 1], [5, 1]),
        (100, [53, 24, 23], [53, 24, 23]),
        (10, [100, 1, 1], [8, 1, 1]),
        (3, [100, 1, 1], [1, 1, 1]),
        (7, [3, 3, 1], [3, 3, 1]),
    ],
)
def test_the_largest_remainders_have_what_is_left(limit, loads, parts):
    assert divide(limit, dict(enumerate(map(Fraction, loads)))) == dict(enumerate(parts))


# --- Ordinals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "ordinal"),
    [
        ("exporter-0", 0),
        ("video-analytics-exporter-12", 12),
        ("exporter-3.exporter-headless.monitoring.svc.cluster.local", 3),
        ("localhost", None),
        ("node7", None),
        ("a1b2c3d4e5f6", None),
        ("exporter-", None),
        ("exporter-1a", None),
        ("exporter-٣", None),
        ("", None),
    ],
)
def test_the_ordinal_at_the_end_of_a_hosts_name(host, ordinal):
    assert ordinal_of(host) == ordinal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.gzipped import Piece
from exporter.model import Chunk, Family, Snapshot, Window
from exporter.store import Store


class Clock:
    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def queries(make_query):
    return [make_query(name=name, max_age=age) for name, age in (("b", 300), ("a", 60), ("c", 300))]


@pytest.fixture
def store(queries, clock):
    return Store(queries, clock)


def snapshot(query, taken, series=1):
    return Snapshot(query, (Chunk(Family("a", "A."), Piece(), series),), Window(0, 300), taken)


def test_a_store_begins_empty(store, queries):
    assert store.snapshots() == []
    assert store.get(queries[0]) is None


def test_a_swap_replaces_all_of_a_query_and_nothing_else(store, queries):
    b, a, _ = queries
    old, other, new = snapshot(b, 1000), snapshot(a, 1000), snapshot(b, 1000, series=2)
    for one in (old, other, new):
        store.swap(one)
    assert store.get(b) is new
    assert store.get(a) is other
    assert store.snapshots() == [new, other]


def test_snapshots_come_in_the_order_of_the_configuration(store, queries):
    found = {query.name: snapshot(query, 1000) for query in queries}
    for name in "acb":
        store.swap(found[name])
    assert [one.query.name for one in store.snapshots()] == ["b", "a", "c"]


def test_queries_of_the_same_name_at_two_sources_are_two(make_query, clock):
    one, two = make_query(source="one"), make_query(source="two")
    store = Store([one, two], clock)
    store.swap(snapshot(one, 1000))
    assert store.get(two) is None
    store.swap(snapshot(two, 1000))
    assert [found.query.source for found in store.snapshots()] == ["one", "two"]


def test_a_snapshot_is_served_until_max_age_and_gone_from_then_on(store, queries, clock):
    b, a, _ = queries
    store.swap(snapshot(a, 1000))
    store.swap(snapshot(b, 1000))
    clock.now = 1059.999
    assert len(store.snapshots()) == 2
    clock.now = 1060
    assert store.get(a) is None
    assert [one.query.name for one in store.snapshots()] == ["b"]
    clock.now = 1300
    assert store.snapshots() == []


def test_the_age_counts_from_when_the_answer_was_complete(store, queries, clock):
    store.swap(snapshot(queries[1], taken=950))
    clock.now = 1009
    assert store.get(queries[1])
    clock.now = 1010
    assert store.get(queries[1]) is None


def test_a_new_answer_begins_a_new_life(store, queries, clock):
    a = queries[1]
    store.swap(snapshot(a, 1000))
    clock.now = 1050
    new = snapshot(a, 1050)
    store.swap(new)
    clock.now = 1109
    assert store.get(a) is new
    clock.now = 1110
    assert store.get(a) is None
    again = snapshot(a, 1110)
    store.swap(again)
    assert store.get(a) is again


def test_the_version_changes_with_a_swap_and_an_expiry_and_at_no_other_time(store, queries, clock):
    versions = [store.version]
    store.swap(snapshot(queries[1], 1000))
    versions.append(store.version)
    clock.now = 1059
    store.snapshots()
    assert store.version == versions[-1]
    clock.now = 1060
    versions.append(store.version)
    clock.now = 9999
    assert store.version == versions[-1]
    assert len(set(versions)) == 3


def test_an_expiry_that_a_look_noticed_still_changes_the_version(store, queries, clock):
    store.swap(snapshot(queries[1], 1000))
    before = store.version
    clock.now = 1060
    assert store.snapshots() == []
    assert store.version != before


def test_a_snapshot_knows_its_series(queries):
    assert snapshot(queries[0], 0, series=7).series == 7


steps = st.lists(st.tuples(st.sampled_from(["swap", "wait"]), st.integers(0, 2), st.integers(0, 120)), max_size=30)


@given(steps)
def test_at_any_time_the_young_snapshots_are_served_and_changes_have_versions(make_query, steps):
    clock = Clock()
    queries = [make_query(name=str(number), max_age=30 * (number + 1)) for number in range(3)]
    store, taken, seen = Store(queries, clock), {}, {}
    for what, number, seconds in steps:
        if what == "swap":
            taken[number] = snapshot(queries[number], clock.now)
            store.swap(taken[number])
        else:
            clock.now += seconds
        young = [taken[key] for key in sorted(taken) if clock.now - taken[key].taken < queries[key].max_age]
        version = store.version
        assert store.snapshots() == young
        identities = tuple(map(id, young))
        assert seen.setdefault(version, identities) == identities


# --- Another configuration --------------------------------------------------------------------------------------------


def test_of_the_old_snapshots_those_stay_that_are_kept_in_the_new_order(store, queries, make_query):
    b, a, c = queries
    for query in queries:
        store.swap(snapshot(query, 1000))
    new = make_query(name="new")
    before = store.version
    store.configure([c, new, b], {c.key, b.key})
    assert [found.query.name for found in store.snapshots()] == ["c", "b"]
    assert store.get(a) is None
    assert store.version != before
    store.swap(snapshot(new, 1000))
    assert [found.query.name for found in store.snapshots()] == ["c", "new", "b"]


def test_a_changed_query_of_the_same_name_begins_without_a_snapshot(store, queries, make_query):
    b, *_ = queries
    store.swap(snapshot(b, 1000))
    changed = make_query(name="b", max_age=10)
    store.configure([changed], set())
    assert store.get(changed) is None
    assert store.snapshots() == []


def test_what_is_kept_still_ends_in_its_time_and_what_was_gone_does_not_come_back(store, queries, clock):
    b, a, _ = queries
    store.swap(snapshot(a, 1000))
    store.swap(snapshot(b, 1000))
    clock.now = 1060
    store.configure([a, b], {a.key, b.key})
    assert [found.query.name for found in store.snapshots()] == ["b"]
    clock.now = 1299
    version = store.version
    clock.now = 1300
    assert store.version != version
    assert store.snapshots() == []


def test_a_snapshot_from_before_the_start_is_as_old_as_it_is(store, queries, clock):
    a = queries[1]
    clock.now = 5.0  # the machine was started a moment ago
    store.swap(snapshot(a, taken=-50.0))
    assert store.get(a)
    clock.now = 10.0
    assert store.get(a) is None

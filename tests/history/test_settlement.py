"""What changed in a bucket, and which delay that asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.history.settlement import SURE, Reading, Revision, Settled, age_class, compare, difference, verdict
from exporter.model import Series


def bucket(values):
    return [Series((("__name__", "plays"), ("cdn", cdn)), ((60_000, value),)) for cdn, value in values.items()]


def reading(values, age=130):
    return Reading.of(bucket(values), 60, age)


@given(
    st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False)),
    st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_exactly_what_differs_is_sent_again(before, after):
    revision = compare(reading(before), bucket(after))
    changed = {dict(each.labels)["cdn"]: each.points[0][1] for each in revision.changed}
    assert changed == {cdn: value for cdn, value in after.items() if before.get(cdn) != value}
    assert revision.gone == len(before.keys() - after.keys())
    assert revision.any == (before != after)
    assert 0 <= revision.largest <= 2


def test_the_order_of_labels_does_not_matter():
    turned = [Series((("cdn", "a"), ("__name__", "plays")), ((60_000, 1),))]
    assert not compare(reading({"a": 1}), turned).any


@pytest.mark.parametrize(
    ("was", "value", "share"), [(100, 80, 0.2), (80, 100, 0.2), (0, 0, 0), (0, 5, 1), (None, 5, 1), (-1, 1, 2)]
)
def test_a_change_is_a_share_of_the_larger_value(was, value, share):
    assert difference(was, value) == share


def test_a_series_is_16_bytes():
    kept = reading({str(number): number for number in range(1000)})
    assert kept.size == 16_000


def test_ages_are_sorted_into_classes():
    assert [age_class(age) for age in (0, 59, 60, 119.9, 120, 10**6)] == [0, 0, 60, 60, 120, 86_400]


def noted(*seen):
    """Give what was seen: first readings of an age, how many, and how many of them changed."""
    settled = Settled()
    for age, buckets, revised in seen:
        for number in range(buckets):
            found = Revision(tuple(bucket({"a": 1})), 0, 0.25) if number < revised else Revision()
            settled.note(reading({"a": 1}, age), found, 900)
    return settled


@pytest.mark.parametrize(
    ("seen", "enough"),
    [
        ([], None),
        ([(130, SURE - 1, 0)], None),
        ([(130, SURE, 0)], 180),
        ([(130, SURE, 1)], None),
        ([(130, 100, 50), (290, 100, 3), (310, SURE, 0)], 360),
        ([(130, 100, 0), (310, 100, 1), (700, SURE, 0)], 720),
        ([(130, 100, 1), (310, SURE, 0), (700, 3, 0)], 360),
    ],
)
def test_the_delay_that_is_enough_is_the_shortest_after_which_nothing_changed(seen, enough):
    assert noted(*seen).enough == enough


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([], "No bucket has been read again yet."),
        ([(130, 340, 0)], "`delay: 2m` is enough: 0 of 340 buckets changed after they were read."),
        (
            [(130, 340, 12)],
            "`delay: 2m` is too short: 12 of 340 buckets changed after they were read, by up to 25.0%; ",
        ),
        ([(130, 340, 12), (310, 40, 0)], "by up to 25.0%; `delay: 6m` is enough."),
        ([(10, 340, 12), (130, 40, 0)], "`delay: 2m` is enough: 12 of 380 buckets changed after they were read, by up"),
    ],
)
def test_the_verdict_says_what_to_set(make_query, seen, words):
    said = verdict(noted(*seen), make_query(delay=120, interval=60))
    assert words in said
    assert ("--settle" in said) == (seen == [(130, 340, 12)])


def test_what_was_seen_adds_up():
    settled = noted((130, 40, 3), (310, 10, 0))
    assert (settled.buckets, settled.revised, settled.largest, settled.last) == (50, 3, 0.25, 900)

import pytest

from exporter.simulator import audience, grid, world
from exporter.simulator.places import PLACES

EVENING = 1_775_764_800
MINUTE = EVENING // 60


def total(start=EVENING, end=EVENING + 3600, **where):
    filters = tuple((name, frozenset({value})) for name, value in where.items())
    (group,) = world.aggregate(start, end, (), filters)
    return group.figures


def test_a_minute_is_the_same_whenever_it_is_asked_for():
    first = world.minute_cells(MINUTE)
    world.minute_cells.cache_clear()
    assert world.minute_cells(MINUTE) == first
    assert world.minute_cells(MINUTE + 1) != first


def test_the_figures_of_every_cell_are_consistent():
    for minute in range(MINUTE, MINUTE + 60):
        for one in world.minute_cells(minute):
            assert one.attempts == one.plays + one.failures + one.exits
            assert min(one) >= 0
            assert one.ended <= one.plays
            assert one.failures <= one.fatal <= one.errors
            assert one.ads_shown <= one.ads_asked
            assert one.buffering <= one.playtime


@pytest.mark.parametrize("length", [3600, 30 * 86400])
@pytest.mark.parametrize("dimension", ["cdn", "country", "device", "assetname"])
def test_the_groups_of_a_dimension_add_up_to_the_total(dimension, length):
    groups = world.aggregate(EVENING, EVENING + length, (dimension,))
    sums = [sum(column) for column in zip(*(group.figures for group in groups), strict=True)]
    assert sums == pytest.approx(list(total(end=EVENING + length)))


def test_buckets_add_up_to_the_total():
    groups = world.aggregate(EVENING, EVENING + 3600, (), (), "10minute")
    assert [group.timestamp for group in groups] == list(range(EVENING, EVENING + 3600, 600))
    assert sum(group.figures.attempts for group in groups) == total().attempts


def test_filters_hold_together():
    wanted = frozenset({"US", "Canada"})
    groups = world.aggregate(EVENING, EVENING + 600, ("country", "platform"), (("country", wanted),))
    assert {group.values[0] for group in groups} == wanted
    assert len(groups) == 10


def test_the_bad_cdn_is_visible_in_its_minutes_only():
    half_hour = next(start for start in range(EVENING, EVENING + 7200, 1800) if is_bad(start, "Akamai"))
    bad = total(half_hour + 600, half_hour + 960, cdn="Akamai")
    good = total(half_hour, half_hour + 600, cdn="Akamai")
    other = total(half_hour + 600, half_hour + 960, cdn="CloudFront")
    for calm in (good, other):
        assert bad.startup / bad.plays > 2 * calm.startup / calm.plays
        assert bad.buffering / bad.playtime > 5 * calm.buffering / calm.playtime
        assert bad.failures / bad.attempts > 5 * calm.failures / calm.attempts
        assert bad.score / bad.plays < calm.score / calm.plays - 15


def is_bad(start, cdn):
    return world.bad_cdn(start // 60 + 10) == cdn


def test_evening_is_busier_than_night():
    night = EVENING + 7 * 3600  # 03:00 UTC
    assert total(country="GB").attempts > 3 * total(night, night + 3600, country="GB").attempts


def test_a_long_period_is_close_to_the_sum_of_its_hours():
    day = total(end=EVENING + 86400).attempts
    hours = (total(EVENING + hour * 3600, EVENING + (hour + 1) * 3600).attempts for hour in range(24))
    assert day == pytest.approx(sum(hours), rel=0.1)


def test_every_place_has_every_dimension():
    assert all(place.keys() == PLACES[0].keys() for place in PLACES)
    assert len({place["ipaddress"] for place in PLACES}) == len(PLACES)


def test_months_and_samples_cover_a_period_without_gap():
    start, end = EVENING, EVENING + 200 * 86400
    pieces = list(grid.buckets(start, end, "month"))
    assert [pieces[0].start, *(piece.end for piece in pieces)] == [*(piece.start for piece in pieces), end]
    assert sum(weight for _, weight in grid.sampled(start, end, 240)) == 200 * 1440


@pytest.mark.parametrize("days", [1, 30, 365, 18250])
def test_a_long_period_is_told_from_few_minutes(days):
    end = EVENING + days * 86400
    step = grid.step(EVENING, end, world.MOST_SAMPLES)
    assert len(list(grid.sampled(EVENING, end, step))) <= 2 * world.MOST_SAMPLES + 10


@pytest.mark.parametrize("dimension", audience.BREAKDOWNS)
def test_a_breakdown_of_the_audience_adds_up(dimension):
    totals = [audience.views(content, EVENING, EVENING + 3600, 1) for content in audience.CONTENTS]
    assert sum(audience.broken_down(totals, dimension).values()) == sum(totals) > 0

"""What happened on a made-up streaming platform, minute by minute: a pure function of time.

A place (see ``places``) is a combination of CDN, country and device, its figures of one minute are additive,
and everything that SmartSight's API tells is computed from sums of them. Periods of up to three hours are
summed exactly, longer ones from about 180 sampled minutes (see ``grid.sampled``). A bucket of a time series is what
a period of its own would be, whatever the series it stands in.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from exporter.simulator import grid
from exporter.simulator.arithmetic import uniform, whole
from exporter.simulator.places import CDNS, COUNTRIES, DEVICES, KEYS, PLACES, SUSPECTS, Device

ATTEMPTS = 1500
"""Attempts a minute if it were evening everywhere."""
MEAN_VIEW = 22
"""Minutes that a view lasts."""
MOST_SAMPLES = 180
HOUR = 3600
INCIDENT = range(10, 16)
"""The minutes of every half hour in which one CDN is bad."""


class Conditions(NamedTuple):
    """How well a CDN works: a factor of the start-up time, then shares of time, attempts and plays."""

    startup: float
    buffering: float
    failing: float
    leaving: float
    switching: float


GOOD = Conditions(1, 0.005, 0.006, 0.015, 0.02)
BAD = Conditions(3, 0.07, 0.09, 0.06, 0.25)


class Figures(NamedTuple):
    """What can be added up. Times in seconds, ``concurrent`` in view-minutes, ``score`` summed over plays."""

    attempts: float
    plays: float
    failures: float
    exits: float
    ended: float
    startup: float
    concurrent: float
    playtime: float
    buffering: float
    errors: float
    fatal: float
    switches: float
    bytes: float
    ads_asked: float
    ads_shown: float
    score: float


@dataclass(frozen=True, slots=True)
class Group:
    """The sums of one group: its bucket (``None`` without any), its dimensions' values, minutes covered."""

    timestamp: int | None
    values: tuple[str, ...]
    figures: Figures
    minutes: int


Filters = tuple[tuple[str, frozenset[str]], ...]
"""Dimensions and the values they admit; all of them must hold."""


def bad_cdn(minute: int) -> str | None:
    """Name the CDN that is bad in a Unix minute, if any: the four take turns by the half hour."""
    return SUSPECTS[minute // 30 % len(SUSPECTS)] if minute % 30 in INCIDENT else None


def evening(minute: int, offset: float) -> float:
    """Give the viewers of a Unix minute as a share of the day's peak, at half past eight in the evening."""
    hours = minute / 60 + offset - 20.5
    return 0.15 + 0.85 * (0.5 + 0.5 * math.cos(hours * math.pi / 12)) ** 2


@lru_cache(maxsize=512)
def minute_cells(minute: int) -> tuple[Figures, ...]:
    """Give the figures of one Unix minute, one for each of ``PLACES`` in their order."""
    bad = bad_cdn(minute)
    levels = {name: ATTEMPTS * each.share * evening(minute, each.offset) for name, each in COUNTRIES.items()}
    chances = uniform(8 * len(KEYS), "cells", minute)
    return tuple(
        _cell(
            levels[country] * CDNS[cdn] * DEVICES[device].share,
            BAD if cdn == bad else GOOD,
            DEVICES[device],
            COUNTRIES[country].slowness,
            chances[8 * number : 8 * number + 8],
        )
        for number, (cdn, country, device) in enumerate(KEYS)
    )


@lru_cache(maxsize=200)
def hour_cells(hour: int) -> tuple[Figures, ...]:
    """Give the sums of one Unix hour, one for each of ``PLACES``: history is asked for hour by hour, query by query."""
    minutes = (minute_cells(minute) for minute in range(60 * hour, 60 * hour + 60))
    return tuple(Figures._make(map(sum, zip(*place, strict=True))) for place in zip(*minutes, strict=True))


def _cell(rate: float, now: Conditions, device: Device, slowness: float, u: tuple[float, ...]) -> Figures:
    """Make one place's minute from its attempts a minute, its conditions and eight chances."""
    attempts = whole(rate * (0.85 + 0.3 * u[0]), u[1])
    failures, exits = _unplayed(attempts, now, u[2], u[3])
    plays = attempts - failures - exits
    concurrent = whole(rate * MEAN_VIEW, u[4])
    startup = device.startup * slowness * now.startup * (0.9 + 0.2 * u[5])
    stalled = now.buffering * slowness * (0.7 + 0.6 * u[6])
    playtime = concurrent * 58.0
    fatal = failures + whole(concurrent * now.failing / 10, u[7])
    asked = whole(plays * 1.8, u[6])
    # In the order of the fields, for names cost a third of the time that a cell takes; there are 200 in each minute.
    return Figures(
        attempts,
        plays,
        failures,
        exits,
        plays - whole(plays * now.failing, u[7]),  # ended
        plays * startup,
        concurrent,
        playtime,
        playtime * stalled,
        fatal + whole(concurrent * now.buffering, u[5]),  # errors
        fatal,
        whole(plays * now.switching, u[4]),
        int(playtime * device.bitrate / 8),
        asked,
        asked - whole(asked * 0.06, u[2]),
        plays * max(0.0, 100 - 3 * startup - 300 * stalled),
    )


def _unplayed(attempts: int, now: Conditions, failing: float, leaving: float) -> tuple[int, int]:
    """Give how many attempts fail to start, and how many viewers leave before: never more than attempts."""
    failures = whole(attempts * now.failing, failing)
    return failures, min(attempts - failures, whole(attempts * now.leaving, leaving))


@lru_cache(maxsize=4)
def aggregate(
    start: int, end: int, dimensions: tuple[str, ...], filters: Filters = (), unit: str | None = None
) -> tuple[Group, ...]:
    """Sum the minutes that begin in ``[start, end)`` by dimensions and, with a unit of ``grid``, by buckets.

    Groups come sorted by bucket and values; one in which nobody tried or watched is left out. The cache is
    for paging, which asks for the same period again and again.
    """
    keys = [tuple(place[name] for name in dimensions) if _admits(filters, place) else None for place in PLACES]
    pieces: Iterator[grid.Bucket] | list[grid.Bucket]
    pieces = grid.buckets(start, end, unit) if unit else [grid.Bucket(start, start, end)]
    return tuple(group for piece in pieces for group in _groups(piece, keys, timed=unit is not None))


def _admits(filters: Filters, place: Mapping[str, str]) -> bool:
    return all(place[name] in admitted for name, admitted in filters)


def _cells(piece: grid.Bucket) -> Iterator[tuple[tuple[Figures, ...], int]]:
    """Give what is to be summed, place by place, and how often it counts."""
    if (piece.start % HOUR, piece.end - piece.start) == (0, HOUR):
        yield hour_cells(piece.start // HOUR), 1
        return
    step = grid.step(piece.start, piece.end, MOST_SAMPLES)
    for minute, weight in grid.sampled(piece.start, piece.end, step):
        yield minute_cells(minute), weight


def _groups(piece: grid.Bucket, keys: Collection[tuple[str, ...] | None], *, timed: bool) -> Iterator[Group]:
    """Sum one bucket by the keys of the places (``None``: not wanted)."""
    cells: defaultdict[tuple[str, ...], list[Figures]] = defaultdict(list)
    for places, weight in _cells(piece):
        for key, figures in zip(keys, places, strict=True):
            if key is not None and (figures.attempts or figures.concurrent):
                cells[key].append(figures if weight == 1 else Figures(*(weight * one for one in figures)))
    covered = len(grid.minutes(piece.start, piece.end))
    for key in sorted(cells):
        total = Figures._make(map(sum, zip(*cells[key], strict=True)))
        yield Group(piece.label if timed else None, key, total, covered)

"""Who watched which channel and video of the made-up broadcaster: a pure function of time.

Each content has views that begin and viewers at the same time, minute by minute; its views are then split
by fixed shares of places, devices and sources, so a breakdown always adds up to the total. Periods of up to a
day are summed exactly; longer ones from about 1440 sampled minutes (see ``grid.sampled``). A bucket is what a period
of its own would be, whatever the period that was asked for.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from exporter.simulator import grid
from exporter.simulator.arithmetic import distinct, split, uniform, whole
from exporter.simulator.world import evening

MOST_SAMPLES = 1440
MEAN_VIEW = 18
"""Minutes that a view lasts."""

Kind = Literal["live", "recorded"]
Point = str | tuple[str, str]
"""What a breakdown is by: a name, or country and region."""


@dataclass(frozen=True, slots=True)
class Content:
    """A live channel or a recorded video: its viewers at the day's peak, and the hours it is ahead of UTC."""

    kind: Kind
    viewers: float
    offset: float


CONTENTS: Mapping[int, Content] = {
    77569623: Content("live", 900, -8),
    238589: Content("live", 350, 1),
    24116370: Content("live", 120, 9),
    112342345: Content("recorded", 160, -5),
    129880012: Content("recorded", 80, 0),
    130215577: Content("recorded", 40, 1),
    131004960: Content("recorded", 6, 5.5),
}
CHANNELS: Mapping[int, tuple[int, ...]] = {
    77569623: (112342345, 129880012),
    238589: (130215577,),
    24116370: (131004960,),
}
"""The recorded videos of each live channel."""

PLACES: Mapping[Point, float] = {
    ("US", "California"): 0.24,
    ("US", "Texas"): 0.13,
    ("US", "New York"): 0.11,
    ("Canada", "Ontario"): 0.10,
    ("GB", "England"): 0.12,
    ("Germany", "Bavaria"): 0.08,
    ("Hungary", "Budapest"): 0.07,
    ("India", "Karnataka"): 0.06,
    ("Japan", "Kansai"): 0.05,
    ("Brazil", "Bahia"): 0.04,
}
DEVICES: Mapping[Point, float] = {"desktop": 0.44, "mobile": 0.36, "tablet": 0.11, "tv": 0.09}
# The unnamed source is what is left when a player does not say where it is embedded.
SOURCES: Mapping[Point, float] = {"video.ibm.com": 0.46, "embed": 0.38, "mobile-app": 0.14, "": 0.02}


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The shares that views are split by, and the point that a share counts for."""

    shares: Mapping[Point, float]
    point: Callable[[Point], Point]


BREAKDOWNS: Mapping[str, Breakdown] = {
    "location": Breakdown(PLACES, lambda place: place),
    "country": Breakdown(PLACES, lambda place: place[0]),
    "region": Breakdown(PLACES, lambda place: place[1]),
    "device": Breakdown(DEVICES, lambda device: device),
    "view-source": Breakdown(SOURCES, lambda source: source),
}


@lru_cache(maxsize=16384)
def watching(content_id: int, minute: int) -> int:
    """Count the viewers of a content in a Unix minute."""
    content = CONTENTS[content_id]
    jitter, chance = uniform(2, "watching", content_id, minute)
    return whole(content.viewers * evening(minute, content.offset) * (0.9 + 0.2 * jitter), chance)


def started(content_id: int, minute: int) -> int:
    """Count the views of a content that begin in a Unix minute."""
    (chance,) = uniform(1, "started", content_id, minute)
    return whole(watching(content_id, minute) / MEAN_VIEW, chance)


def step(start: int, end: int) -> int:
    """Choose the sampling of a period."""
    return grid.step(start, end, MOST_SAMPLES)


@lru_cache(maxsize=4096)
def views(content_id: int, start: int, end: int, step: int) -> int:
    """Count the views that begin in ``[start, end)``."""
    return sum(weight * started(content_id, minute) for minute, weight in grid.sampled(start, end, step))


@lru_cache(maxsize=4096)
def peak(content_id: int, start: int, end: int, step: int) -> int:
    """Give the most viewers at the same time in ``[start, end)``."""
    return max((watching(content_id, minute) for minute, _ in grid.sampled(start, end, step)), default=0)


def broken_down(totals: Iterable[int], dimension: str) -> Mapping[Point, int]:
    """Split each content's views by one of ``BREAKDOWNS`` and add up the contents; empty points are out."""
    breakdown = BREAKDOWNS[dimension]
    found: defaultdict[Point, int] = defaultdict(int)
    for total in totals:
        parts = split(total, tuple(breakdown.shares.values()))
        for name, part in zip(breakdown.shares, parts, strict=True):
            found[breakdown.point(name)] += part
    return {point: count for point, count in found.items() if count}


def _logged_in(count: int, minutes: int) -> int:
    return distinct(count, minutes) * 6 // 10


MEASURES: Mapping[str, Callable[[int, int], int]] = {
    "total-views": lambda count, _: count,
    "unique-devices": distinct,
    "authenticated-viewers": _logged_in,
}
"""What each endpoint counts, from the views of a group and the minutes of the period."""

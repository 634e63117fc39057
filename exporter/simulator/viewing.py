"""The single views behind the audience's figures, and the segments that pausing cuts them into.

As many views begin in a minute as ``audience`` counts, and they last as long in the mean as it says, so that there
are as many viewers at a time, too. Periods of up to a day are exact; of longer ones only the views that begin
in about 1440 sampled minutes are known (see ``grid.sampled``).
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from exporter.simulator import audience, grid
from exporter.simulator.arithmetic import uniform

LONGEST = 3 * audience.MEAN_VIEW * grid.MINUTE
"""Seconds from the beginning of a view to its end, at most."""
PAUSE = 15
"""Seconds between two segments of a view."""
WORTH_PAUSING = 180
"""Seconds below which a view has a single segment."""
LOST = 0.01
"""Share of the views whose end is never reported: their last segment stays unfinished."""
CHANCES = 4


class Segment(NamedTuple):
    """An uninterrupted part of a view; times in Unix seconds, ``position`` those into the video."""

    start: int
    content_id: int
    minute: int
    number: int
    part: int
    end: int
    position: int
    lost: bool

    @property
    def view(self) -> tuple[int, int, int]:
        """What the segments of one view have in common."""
        return self.content_id, self.minute, self.number

    def within(self, start: int, end: int) -> int:
        """Give the seconds of the segment that lie in ``[start, end)``."""
        return max(0, min(self.end, end) - max(self.start, start))


@lru_cache(maxsize=16)
def overlapping(contents: tuple[int, ...], start: int, end: int, step: int) -> tuple[tuple[Segment, int], ...]:
    """Give the segments that have a part in ``[start, end)``, oldest first, and for how many each stands."""
    minutes = grid.sampled(start - LONGEST - grid.MINUTE, end, step)
    found = [
        (segment, weight)
        for minute, weight in minutes
        for content_id in contents
        for segment in begun(content_id, minute)
        if segment.start < end and segment.end > start
    ]
    return tuple(sorted(found))


@lru_cache(maxsize=4096)
def begun(content_id: int, minute: int) -> tuple[Segment, ...]:
    """Give the segments of the views of a content that begin in a Unix minute."""
    count = audience.started(content_id, minute)
    chances = uniform(CHANCES * count, "segments", content_id, minute)
    return tuple(
        segment
        for number in range(count)
        for segment in _segments(content_id, minute, number, chances[CHANCES * number : CHANCES * (number + 1)])
    )


def _segments(content_id: int, minute: int, number: int, u: tuple[float, ...]) -> Iterator[Segment]:
    """Cut one view at its pauses, from four chances."""
    start = grid.MINUTE * minute + int(grid.MINUTE * u[0])
    length = max(5, int(LONGEST * u[1] ** 2))
    parts = 1 + int(3 * u[2] ** 2) if length >= WORTH_PAUSING else 1
    for part in range(parts):
        position = length * part // parts
        begin = start + position + (PAUSE if part else 0)
        end = start + length * (part + 1) // parts
        yield Segment(begin, content_id, minute, number, part, end, position, u[3] < LOST and part == parts - 1)

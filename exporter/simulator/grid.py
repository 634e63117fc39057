"""Time as both vendors cut it: buckets of the UTC calendar, and minutes that speak for a long period."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.simulator.arithmetic import uniform

MINUTE = 60
SECONDS = {"minute": 60, "5minute": 300, "10minute": 600, "hour": 3600, "day": 86400}
STEPS = (1, 2, 3, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440)
DECEMBER = 12


@dataclass(frozen=True, slots=True)
class Bucket:
    """A piece ``[start, end)`` of a period, in Unix seconds; ``label`` is where its calendar unit begins."""

    label: int
    start: int
    end: int


def buckets(start: int, end: int, unit: str) -> Iterator[Bucket]:
    """Cut ``[start, end)`` at the beginnings of a unit: one of ``SECONDS``, or ``month``."""
    label = _floor(start, unit)
    while max(label, start) < end:
        following = _next(label, unit)
        yield Bucket(label, max(label, start), min(following, end))
        label = following


def _floor(second: int, unit: str) -> int:
    if unit == "month":
        moment = datetime.fromtimestamp(second, UTC)
        return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp())
    return second - second % SECONDS[unit]


def _next(label: int, unit: str) -> int:
    if unit == "month":
        moment = datetime.fromtimestamp(label, UTC)
        year, month = (moment.year + 1, 1) if moment.month == DECEMBER else (moment.year, moment.month + 1)
        return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
    return label + SECONDS[unit]


def minutes(start: int, end: int) -> range:
    """Give the Unix minutes that begin in ``[start, end)``."""
    return range(-(-start // MINUTE), -(-end // MINUTE))


def step(start: int, end: int, most: int) -> int:
    """Choose how many minutes one sampled minute stands for, so that about ``most`` of them are looked at."""
    length = len(minutes(start, end))
    return next((step for step in STEPS if step * most >= length), -(-length // most))


def sampled(start: int, end: int, step: int) -> Iterator[tuple[int, int]]:
    """Give ``(minute, how many minutes it stands for)`` for ``[start, end)``.

    Step 1 gives every minute. Otherwise each block of ``step`` minutes has one, at a place that its hash
    chooses: at a fixed distance the half-hourly incident would be seen always or never.
    """
    all_minutes = minutes(start, end)
    for block in range(all_minutes.start // step, -(-all_minutes.stop // step)):
        low, high = max(all_minutes.start, block * step), min(all_minutes.stop, (block + 1) * step)
        (chance,) = uniform(1, "sampled", block) if step > 1 else (0.0,)
        if low < high:
            yield low + int(chance * (high - low)), high - low

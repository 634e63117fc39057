"""Whether a bucket changed after it was first read: by how much, how often, and after how long. Pure."""

import hashlib
import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from exporter.config.shown import duration
from exporter.model import Labels, Query, Series

KEY = 8
"""Bytes that stand for a series' labels: among a million series two are alike with a chance of one to 30 million."""

AGES = (60, 120, 300, 600, 900, 1800, 3600, 10_800, 43_200, 86_400)
"""Seconds by which first readings are sorted: those of the last class are that old or older."""

TOGETHER = 0.25
"""Settled buckets are read again together: once the first of them has been so for this share of ``settle``."""

MINUTE = 60

SURE = 30
"""Buckets without a change from which on an age counts as late enough."""


class Reading(msgspec.Struct, frozen=True):
    """What a bucket held when it was read, 16 bytes a series: ``end`` in Unix seconds, ``age`` in seconds after it."""

    end: int
    age: float
    keys: bytes
    values: bytes

    @classmethod
    def of(cls, series: Iterable[Series], end: int, age: float) -> "Reading":
        """Keep the values of a bucket's series."""
        found = {_key(each.labels): float(each.points[-1][1]) for each in series}
        return cls(end, age, b"".join(found), array("d", found.values()).tobytes())

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return len(self.keys) + len(self.values)

    @property
    def _values(self) -> dict[bytes, float]:
        values = array("d")
        values.frombytes(self.values)
        keys = (self.keys[at : at + KEY] for at in range(0, len(self.keys), KEY))
        return dict(zip(keys, values, strict=True))


@dataclass(frozen=True, slots=True)
class Revision:
    """How a bucket differs from what it was: series to send again, how many are gone, the largest change."""

    changed: tuple[Series, ...] = ()
    gone: int = 0
    largest: float = 0.0

    @property
    def any(self) -> bool:
        """Whether it differs at all."""
        return bool(self.changed or self.gone)


def compare(before: Reading, series: Iterable[Series]) -> Revision:
    """Say what changed in a bucket since it was read."""
    old, largest = before._values, 0.0  # noqa: SLF001 - the reading of this module
    changed = []
    for each in series:
        value, was = float(each.points[-1][1]), old.pop(_key(each.labels), None)
        if value != was:
            changed.append(each)
            largest = max(largest, difference(was, value))
    return Revision(tuple(changed), len(old), max(largest, 1.0 if old else 0.0))


def difference(was: float | None, value: float) -> float:
    """Give a change as a share of the larger of the two: 0 to 1, or to 2 where the sign changes."""
    if was is None:
        return 1.0
    most = max(abs(was), abs(value))
    return abs(value - was) / most if most else 0.0


class Class(msgspec.Struct):
    """Buckets whose first reading was of about one age, ``youngest`` at least: how many, and how many had changed."""

    buckets: int = 0
    revised: int = 0
    youngest: float = float("inf")


class Settled(msgspec.Struct):
    """What was seen of a query's buckets when they were read again; ``last`` is the age of the latest such reading."""

    classes: dict[int, Class] = msgspec.field(default_factory=dict)
    largest: float = 0.0
    last: float = 0.0

    def note(self, before: Reading, revision: Revision, age: float) -> None:
        """Take in a bucket that was read again at an age of so many seconds."""
        found = self.classes.setdefault(age_class(before.age), Class())
        found.buckets += 1
        found.revised += revision.any
        found.youngest = min(found.youngest, before.age)
        self.largest = max(self.largest, revision.largest)
        self.last = max(self.last, age)

    @property
    def buckets(self) -> int:
        """How many were read again."""
        return sum(each.buckets for each in self.classes.values())

    @property
    def revised(self) -> int:
        """How many of them had changed."""
        return sum(each.revised for each in self.classes.values())

    @property
    def enough(self) -> int | None:
        """The delay in whole minutes from which on no bucket changed; ``None`` where too few were read to tell."""
        sure = None
        for _, found in sorted(self.classes.items(), reverse=True):
            if found.revised:
                break
            if found.buckets >= SURE:
                sure = math.ceil(found.youngest / MINUTE) * MINUTE
        return sure


def verdict(settled: Settled, query: Query) -> str:
    """Say whether a query's delay is enough for what was seen, and which would be."""
    delay, name = duration(query.delay), query.name
    if not settled.buckets:
        return "No bucket has been read again yet."
    seen = f"{settled.revised} of {settled.buckets} buckets changed after they were read"
    if not settled.revised:
        return f"`delay: {delay}` is enough: {seen}."
    seen += f", by up to {settled.largest:.1%}"
    if settled.enough is None:
        return f"`delay: {delay}` is too short: {seen}; `query {name} --settle` measures which one is enough."
    # Polls come up to an interval after the delay.
    if settled.enough <= query.delay + query.interval:
        return f"`delay: {delay}` is enough: {seen}, none of them when it was read so late."
    return f"`delay: {delay}` is too short: {seen}; `delay: {duration(settled.enough)}` is enough."


def age_class(age: float) -> int:
    """Give the class of an age: the largest of ``AGES`` that it reaches, 0 where it reaches none."""
    return max((each for each in AGES if each <= age), default=0)


def _key(labels: Labels) -> bytes:
    text = "\0".join(f"{name}\1{value}" for name, value in sorted(labels))
    return hashlib.blake2b(text.encode(), digest_size=KEY).digest()

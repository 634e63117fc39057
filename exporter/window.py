"""When a poll happens, and which period it asks for (contract section 1, Windows)."""

import hashlib

from exporter.model import Window

MOST_SPREAD = 10.0
"""Seconds: the widest that the polls of one interval are spread."""

TOGETHER = 0.25
"""Seconds between two moments at which polls begin: the second poll after a wake-up costs half as much as the first."""


def window(now: float, *, interval: int, length: int, delay: int) -> Window:
    """Give the period to ask for at ``now`` (Unix seconds): it ends on the interval's grid, ``delay`` or more ago."""
    end = int((now - delay) // interval) * interval
    return Window(end - length, end)


def next_tick(now: float, *, interval: int, offset: float) -> float:
    """Give the first moment after ``now`` (Unix seconds) that is ``offset`` after a multiple of the interval."""
    return ((now - offset) // interval + 1) * interval + offset


def offset(name: str, interval: int) -> float:
    """Seconds after the interval's grid at which a query is polled: a hash of its name, the same on every machine."""
    digest = hashlib.sha256(name.encode()).digest()
    share: float = int.from_bytes(digest[:8]) / 2**64
    return share * min(interval / 10, MOST_SPREAD) // TOGETHER * TOGETHER

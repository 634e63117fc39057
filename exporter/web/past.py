"""The last polls of each query, for its chart, and when the last good one ended."""

from collections import Counter, deque
from collections.abc import Collection
from typing import NamedTuple

from exporter.model import Outcome

KEPT = 50
"""Polls of a query that are remembered."""

Key = tuple[str, str]


class Ended(NamedTuple):
    """How one poll ended; ``reason`` is empty for success. Small, for there are many."""

    at: float
    duration: float
    reason: str
    series: int


class Past:
    """Polls by query. Bounded: ``KEPT`` for each query that is configured."""

    def __init__(self) -> None:
        self._polls: dict[Key, deque[Ended]] = {}
        self._failed: Counter[Key] = Counter()
        self._good: dict[Key, float] = {}

    def note(self, outcome: Outcome) -> None:
        """Note how a poll ended."""
        key = outcome.query.key
        polls = self._polls.setdefault(key, deque(maxlen=KEPT))
        if len(polls) == KEPT:
            self._failed[key] -= bool(polls[0].reason)
        self._failed[key] += not outcome.succeeded
        polls.append(Ended(outcome.ended, outcome.duration, outcome.reason, outcome.series))
        if outcome.succeeded:
            self._good[key] = outcome.ended

    def restore(self, outcome: Outcome, good: float | None) -> None:
        """Take in a poll of before this process began, and when the last good answer came, in Unix seconds."""
        self.note(outcome)
        if good is not None:
            self._good[outcome.query.key] = good

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all queries but these."""
        self._polls = {key: polls for key, polls in self._polls.items() if key in keys}
        self._failed = Counter({key: failed for key, failed in self._failed.items() if key in keys})
        self._good = {key: at for key, at in self._good.items() if key in keys}

    def polls(self, key: Key) -> tuple[Ended, ...]:
        """Give a query's last polls, the oldest first."""
        return tuple(self._polls.get(key, ()))

    def counts(self, key: Key) -> tuple[int, int]:
        """Give how many polls of a query are remembered, and how many of them failed."""
        return len(self._polls.get(key, ())), self._failed[key]

    def last_success(self, key: Key) -> float | None:
        """Give when a query's last good poll ended, in Unix seconds; ``None`` if that is not known."""
        return self._good.get(key)

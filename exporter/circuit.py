"""When to leave a source in peace: after repeated failures its queries are polled less and less often."""

from collections import Counter

from exporter.model import Outcome, Query

OPENS_AT = 3
"""Polls of one query that fail in a row, with none of the source's succeeding meanwhile."""

FARTHEST = 10
"""Intervals between two polls of a query at most (issue 4)."""

OWN_FAULTS = ("bad_request", "bug")
"""Reasons that tell nothing of the source: the query is wrong, or the exporter."""


class Circuit:
    """Counts one source's failures, and ticks to leave out.

    The distance of a query's polls grows with its own failures: 2, 4, 8 and then 10 intervals. A poll of any of the
    source's queries that succeeds closes the circuit for all, so one slow query never opens it for the others.
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._left: dict[str, int] = {}

    @property
    def open(self) -> bool:
        """Whether polls are left out."""
        return any(failures >= OPENS_AT for failures in self._failures.values())

    def left(self, query: Query) -> int:
        """Give how many ticks of a query are still to be left out."""
        return self._left.get(query.name, 0)

    def due(self, query: Query) -> bool:
        """Count a tick of a query, and say whether it is polled."""
        if not (left := self.left(query)):
            return True
        self._left[query.name] = left - 1
        return False

    def note(self, outcome: Outcome) -> None:
        """Count how a poll ended."""
        name = outcome.query.name
        if outcome.succeeded:
            self._failures.clear()
            self._left.clear()
        elif outcome.reason not in OWN_FAULTS:
            self._failures[name] += 1
            self._left[name] = distance(self._failures[name]) - 1

    def forget(self, query: Query) -> None:
        """Let a query go that is no longer polled."""
        self._failures.pop(query.name, None)
        self._left.pop(query.name, None)


def distance(failures: int) -> int:
    """Give the intervals from the last of so many failures to the next poll."""
    doublings = min(max(failures - OPENS_AT + 1, 0), FARTHEST)
    return min(1 << doublings, FARTHEST)

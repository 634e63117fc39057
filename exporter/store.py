"""The last good answer of each query. One immutable snapshot each, swapped whole, gone when it is too old."""

from collections.abc import Callable, Collection, Iterable

from exporter.model import Query, Snapshot


class Store:
    """Snapshots by query, in the order of the configuration.

    ``clock`` gives seconds that never step back (monotonic); ages are measured on it.
    """

    def __init__(self, queries: Iterable[Query], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._snapshots: dict[tuple[str, str], Snapshot | None] = {query.key: None for query in queries}
        self._next_expiry = float("inf")
        self._version = 0

    def swap(self, snapshot: Snapshot) -> None:
        """Put a snapshot in the place of its query's last one."""
        self._snapshots[snapshot.query.key] = snapshot
        self._next_expiry = min(self._next_expiry, _expiry(snapshot))
        self._version += 1

    def configure(self, queries: Iterable[Query], kept: Collection[tuple[str, str]]) -> None:
        """Hold these queries from now on; of the snapshots only those of ``kept`` stay."""
        self._snapshots = {
            query.key: self._snapshots.get(query.key) if query.key in kept else None for query in queries
        }
        self._version += 1

    @property
    def version(self) -> int:
        """A number that is another one after each change, be it a swap or an expiry."""
        self._expire()
        return self._version

    def snapshots(self) -> list[Snapshot]:
        """Give the snapshots that are in force."""
        self._expire()
        return [snapshot for snapshot in self._snapshots.values() if snapshot]

    def get(self, query: Query) -> Snapshot | None:
        """Give a query's snapshot, if one is in force."""
        self._expire()
        return self._snapshots.get(query.key)

    def _expire(self) -> None:
        """Let go what has passed its query's ``max_age``; costs one comparison while nothing has."""
        now = self._clock()
        if now < self._next_expiry:
            return
        for key, snapshot in self._snapshots.items():
            if snapshot and _expiry(snapshot) <= now:
                self._snapshots[key] = None
                self._version += 1
        self._next_expiry = min((_expiry(found) for found in self._snapshots.values() if found), default=float("inf"))


def _expiry(snapshot: Snapshot) -> float:
    return snapshot.taken + snapshot.query.max_age

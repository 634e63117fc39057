"""How many requests an hour catching up may cost."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from exporter.gather import Source
from exporter.model import Bounds, Request

T = TypeVar("T")

HOUR = 3600.0


class Budget:
    """At most so many requests in any hour. ``clock`` gives steady seconds."""

    def __init__(self, requests: int, clock: Callable[[], float]) -> None:
        self._requests = requests
        self._clock = clock
        self._spent: deque[float] = deque()

    @property
    def left(self) -> int:
        """Give how many requests it has left now."""
        while self._spent and self._spent[0] <= self._clock() - HOUR:
            self._spent.popleft()
        return max(self._requests - len(self._spent), 0)

    def spend(self, requests: int) -> None:
        """Take in how many were made; an answer of several pages may be more than were left."""
        self._spent.extend([self._clock()] * requests)


class Counting:
    """A source that counts its requests."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.requests = 0

    async def get(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Ask the source."""
        self.requests += 1
        return await self._source.get(request, bounds, read)

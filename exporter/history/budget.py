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

    def spend(self) -> None:
        """Take in a request; an answer of several pages may be more than were left."""
        self._spent.append(self._clock())


class Counting:
    """A source whose requests cost a budget, but those that are free."""

    def __init__(self, source: Source, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._free = 0

    def begin(self, free: int) -> None:
        """Let so many requests cost nothing."""
        self._free = free

    async def get(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Ask the source: what fails costs as much."""
        if self._free:
            self._free -= 1
        else:
            self._budget.spend()
        return await self._source.get(request, bounds, read)

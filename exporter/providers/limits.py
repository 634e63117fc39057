"""What a source may be asked: so many requests at a time, and so many in any minute."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from exporter.providers.shapes import Limits

MINUTE = 60.0


class Limiter:
    """Lets requests through in the order in which they came, as soon as both limits admit them.

    ``clock`` gives monotonic seconds, ``sleep`` waits for some; ``waited`` is told each wait, in seconds.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._starts: deque[float] | None = (
            deque(maxlen=limits.requests_per_minute) if limits.requests_per_minute else None
        )
        self._turn = asyncio.Lock()
        self._clock = clock
        self._sleep = sleep
        self._waited = waited

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and hold it."""
        arrived = self._clock()
        async with self._slots:
            if self._starts is not None:
                async with self._turn:
                    await self._minute(self._starts)
            if (waited := self._clock() - arrived) > 0:
                self._waited(waited)
            yield

    async def _minute(self, starts: deque[float]) -> None:
        """Wait until the oldest of the last so many requests is more than a minute ago."""
        while len(starts) == starts.maxlen and (rest := starts[0] + MINUTE - self._clock()) > 0:
            await self._sleep(rest)
        starts.append(self._clock())

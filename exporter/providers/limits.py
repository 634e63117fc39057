"""When a source may be asked: its limits by the configuration, and the pauses that the vendor asks for."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from exporter.providers.advice import Advice
from exporter.providers.errors import STATUS_OK, STATUS_TOO_MANY, RateLimited
from exporter.providers.shapes import Limits

MINUTE = 60.0
FIRST_GAP = 1.0
"""Seconds between two requests after a 429 that says nothing else; doubled by the next one."""
WIDEST_GAP = 60.0
NO_GAP = 0.05
"""Seconds below which a gap that shrinks is none."""
EASE = 0.8
"""What a request that is answered leaves of the gap."""


class Limiter:
    """Lets requests through in the order in which they came, as soon as all limits admit them.

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
        self._starts: deque[float] = deque(maxlen=limits.requests_per_minute or 1)
        self._limited = limits.requests_per_minute is not None
        self._gap = 0.0
        self._paused_until = float("-inf")
        self._turn = asyncio.Lock()
        self._clock = clock
        self._sleep = sleep
        self._waited = waited

    @property
    def paused_until(self) -> float | None:
        """When the pause that the vendor asked for ends, by the clock; ``None`` while there is none."""
        return self._paused_until if self._paused_until > self._clock() else None

    @asynccontextmanager
    async def slot(self, until: float) -> AsyncIterator[None]:
        """Wait for a slot, and hold it.

        Raises:
            RateLimited: the vendor asked for a pause that is not over at ``until``, by the clock.
        """
        arrived = self._clock()
        async with self._slots:
            try:
                async with self._turn:
                    await self._admitted(until)
            finally:
                if (waited := self._clock() - arrived) > 0:
                    self._waited(waited)
            yield

    def heed(self, status: int, advice: Advice) -> None:
        """Take in an answer: pause as it advises, slow down after a 429 that advises nothing, else speed up again."""
        if advice.wait is not None:
            self._paused_until = max(self._paused_until, self._clock() + advice.wait)
        elif status == STATUS_TOO_MANY:
            self._gap = min(max(FIRST_GAP, 2 * self._gap), WIDEST_GAP)
        elif status in STATUS_OK:
            self._gap = self._gap * EASE if self._gap * EASE > NO_GAP else 0.0

    async def _admitted(self, until: float) -> None:
        while (rest := max(self._pause(until), self._rest())) > 0:
            await self._sleep(rest)
        self._starts.append(self._clock())

    def _pause(self, until: float) -> float:
        pause = self._paused_until - self._clock()
        if pause > 0 and self._paused_until > until:
            raise RateLimited(f"the vendor asked for no request for another {pause:.0f} s", pause)
        return pause

    def _rest(self) -> float:
        """Give the seconds until the gap to the last request is wide enough, and a minute has fewer than allowed."""
        if not self._starts:
            return 0.0
        rest = self._starts[-1] + self._gap - self._clock()
        if self._limited and len(self._starts) == self._starts.maxlen:
            rest = max(rest, self._starts[0] + MINUTE - self._clock())
        return rest

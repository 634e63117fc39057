"""When a source may be asked: its limits by the configuration, and the pauses that the vendor asks for."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from exporter.providers.advice import Advice
from exporter.providers.errors import STATUS_OK, STATUS_TOO_MANY, OutOfTime, RateLimited, VendorError
from exporter.providers.shapes import Limits

MINUTE = 60.0
FIRST_GAP = 1.0
"""Seconds between two requests after a 429 that says nothing else; doubled by the next one."""
WIDEST_GAP = 60.0
NO_GAP = 0.05
"""Seconds below which a gap that shrinks is none."""
EASE = 0.8
"""What a request that is answered leaves of the gap."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request that waits: what tells it that it may go, and the moments of the clock that it can't wait for."""

    turn: asyncio.Future[None]
    until: float
    end: float

    def refuse(self, error: VendorError) -> None:
        """Let it fail."""
        if not self.turn.done():
            self.turn.set_exception(error)


class Limiter:
    """Lets requests through in the order in which they came, as soon as all limits admit them.

    ``clock`` gives steady seconds; ``waited`` is told each wait, in seconds.
    """

    def __init__(
        self, limits: Limits, *, clock: Callable[[], float], waited: Callable[[float], None] = lambda _: None
    ) -> None:
        self._free = limits.concurrency
        self._starts: deque[float] = deque(maxlen=limits.requests_per_minute or 1)
        self._limited = limits.requests_per_minute is not None
        self._gap = 0.0
        self._paused_until = float("-inf")
        self._line: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._clock = clock
        self._waited = waited

    @property
    def paused_until(self) -> float | None:
        """By the clock, when the pause that the vendor asked for is over; ``None`` where there is none."""
        return self._paused_until if self._paused_until > self._clock() else None

    @asynccontextmanager
    async def slot(self, until: float, end: float = float("inf")) -> AsyncIterator[None]:
        """Wait for a slot, and hold it. ``until`` and ``end`` are moments of the clock.

        Raises:
            RateLimited: the vendor asked for a pause that is not over at ``until``.
            OutOfTime: the limits admit no request before ``end``.
        """
        arrived, loop = self._clock(), asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future(), until, end)
        self._line.append(waiting)
        self._admit()
        late = OutOfTime("the limits admit no request before the next poll is due")
        bell = loop.call_later(max(end - arrived, 0), waiting.refuse, late) if end < float("inf") else None
        try:
            await waiting.turn
        except BaseException:
            self._leave(waiting)
            raise
        finally:
            if bell:
                bell.cancel()
        if (waited := self._clock() - arrived) > 0:
            self._waited(waited)
        try:
            yield
        finally:
            self._free += 1
            self._admit()

    def inherit(self, old: "Limiter") -> None:
        """Take over what another one knows of the same vendor: its last requests, and the pause that it asked for."""
        self._starts.extend(old._starts)  # noqa: SLF001 - one of this class
        self._gap, self._paused_until = old._gap, old._paused_until  # noqa: SLF001 - as above

    def heed(self, status: int, advice: Advice) -> None:
        """Take in an answer: pause as it advises, slow down after a 429 that advises nothing, else speed up again."""
        if advice.wait is not None:
            self._paused_until = max(self._paused_until, self._clock() + advice.wait)
            self._admit()
        elif status == STATUS_TOO_MANY:
            self._gap = min(max(FIRST_GAP, 2 * self._gap), WIDEST_GAP)
        elif status in STATUS_OK:
            self._gap = self._gap * EASE if self._gap * EASE > NO_GAP else 0.0

    def _admit(self) -> None:
        """Let go who may, refuse who can't wait so long, and look again when the next one may go."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if pause := self.paused_until:
            for waiting in self._line:
                if pause > waiting.until:
                    left = pause - self._clock()
                    waiting.refuse(RateLimited(f"the vendor asked for no request for another {left:.0f} s", left))
        while self._line and self._free:
            now, first = self._clock(), self._line[0]
            rest = max(self._paused_until - now, self._rest(now))
            if not first.turn.done() and rest > 0 and now + rest >= first.end:
                first.refuse(OutOfTime("the limits admit no request before the next poll is due"))
            if not first.turn.done() and rest > 0:
                self._timer = asyncio.get_running_loop().call_later(rest, self._admit)
                return
            self._line.popleft()
            if not first.turn.done():
                self._free -= 1
                self._starts.append(now)
                first.turn.set_result(None)

    def _leave(self, waiting: _Waiting) -> None:
        """Let go of one that gave up: out of the line, or with the slot that it had just been given."""
        if waiting in self._line:
            self._line.remove(waiting)
        elif waiting.turn.done() and not waiting.turn.cancelled() and not waiting.turn.exception():
            self._free += 1
        self._admit()

    def _rest(self, now: float) -> float:
        """Give the seconds until the gap to the last request is wide enough, and a minute has fewer than allowed."""
        if not self._starts:
            return 0.0
        rest = self._starts[-1] + self._gap - now
        if self._limited and len(self._starts) == self._starts.maxlen:
            rest = max(rest, self._starts[0] + MINUTE - now)
        return rest

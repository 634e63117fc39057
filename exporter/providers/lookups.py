"""Facts that a source's requests need, each asked for once."""

import asyncio
from collections.abc import Awaitable, Callable

from exporter.model import Lookup
from exporter.providers.auth import PUNCTUAL
from exporter.providers.errors import AuthError, VendorError


class Lookups:
    """Facts by what asks for them. ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._facts: dict[Lookup, str] = {}
        self._asking = asyncio.Lock()
        self._failures = 0
        self._failed_at = 0.0
        self._failure: VendorError | None = None

    async def fact(self, lookup: Lookup, ask: Callable[[], Awaitable[str]], interval: float) -> str:
        """Give a fact; ``ask`` is awaited where it is not known yet.

        A failure is shared by those that wait for it; a refusal rests for an interval, as that of a log-in does.
        """
        asked = self._failures
        async with self._asking:
            if lookup not in self._facts:
                began, failure = self._clock(), self._failure
                rest = interval - min(PUNCTUAL, interval / 10)
                resting = isinstance(failure, AuthError) and began - self._failed_at < rest
                if failure and (asked != self._failures or resting):
                    raise failure.saying(str(failure))
                try:
                    self._facts[lookup] = await ask()
                except VendorError as error:
                    self._failures, self._failed_at, self._failure = self._failures + 1, began, error
                    raise
                self._failure = None
        return self._facts[lookup]

    def forget(self) -> None:
        """Forget all facts: they may have changed with the account's rights."""
        self._facts.clear()

"""Facts that a source's requests need, each asked for once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from exporter.model import Lookup
from exporter.providers.auth import PUNCTUAL
from exporter.providers.errors import AuthError, VendorError

CONFIRMED = 3600.0
"""Seconds for which a fact stays that was looked up again and is the same: what was refused was not for it."""


@dataclass(frozen=True, slots=True)
class _Failure:
    at: float
    error: VendorError = field(repr=False)  # it may quote what the vendor echoed


class Lookups:
    """Facts by what asks for them. ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._facts: dict[Lookup, str] = {}
        self._doubted: dict[Lookup, str] = {}
        self._confirmed: dict[Lookup, float] = {}
        self._failures: dict[Lookup, _Failure] = {}
        self._asking = asyncio.Lock()

    async def fact(self, lookup: Lookup, ask: Callable[[], Awaitable[str]], interval: float) -> str:
        """Give a fact; ``ask`` is awaited where it is not known yet.

        A failure is shared by those that wait for it; a refusal rests for an interval, as that of a log-in does.
        """
        before = self._failures.get(lookup)
        async with self._asking:
            if lookup not in self._facts:
                began, failure = self._clock(), self._failures.get(lookup)
                rest = interval - min(PUNCTUAL, interval / 10)
                resting = failure and isinstance(failure.error, AuthError) and began - failure.at < rest
                if failure and (failure is not before or resting):
                    raise failure.error.saying(str(failure.error))
                try:
                    self._facts[lookup] = await ask()
                except VendorError as error:
                    self._failures[lookup] = _Failure(began, error)
                    raise
                self._failures.pop(lookup, None)
                if self._doubted.pop(lookup, None) == self._facts[lookup]:
                    self._confirmed[lookup] = began
        return self._facts[lookup]

    def forget(self) -> None:
        """Doubt all facts, which may have changed with the account's rights: they are looked up again.

        An endpoint that is always refused makes no look-up each time.
        """
        fresh = self._clock() - CONFIRMED
        for lookup in [each for each in self._facts if self._confirmed.get(each, fresh) <= fresh]:
            self._doubted[lookup] = self._facts.pop(lookup)

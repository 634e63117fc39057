"""Asking a source: its log-in, its limits, and what is asked again."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlencode

import httpx
import structlog

from exporter.model import Bounds, Exchange, Lookup, Request
from exporter.providers.advice import advice
from exporter.providers.auth import Flow, SourceAuth, flow
from exporter.providers.base import Provider
from exporter.providers.decode import decode_short
from exporter.providers.errors import (
    AuthError,
    BadResponse,
    OutOfTime,
    TimedOut,
    VendorError,
    from_status,
)
from exporter.providers.headers import SENT
from exporter.providers.limits import Limiter
from exporter.providers.lookups import Lookups
from exporter.providers.retry import retries
from exporter.providers.scrub import echoes, scrub, telling
from exporter.providers.standing import Standing
from exporter.providers.wire import Wire

log = structlog.get_logger(__name__)

T = TypeVar("T")

AT_ONCE = 1 << 14
"""Bytes up to which an answer is searched for secrets in the event loop: sooner than a thread would begin."""

SEARCHING = ThreadPoolExecutor(1, thread_name_prefix="secrets")
"""Searches answers; more at once would only delay scrapes."""


class Observer(Protocol):
    """Who is told what a client does."""

    def requested(self, exchange: Exchange) -> None:
        """Note an HTTP request that ended."""

    def throttled(self, source: str, seconds: float) -> None:
        """Note that a request waited for the source's limits."""

    def logged_in(self, source: str, life: float) -> None:
        """Note a new token that is good for so many seconds."""

    def retried(self, source: str) -> None:
        """Note that a request is made again."""

    def remaining(self, source: str, requests: float) -> None:
        """Note how many requests the vendor says are left."""


class Client:
    """Asks one source.

    ``clock`` gives steady seconds, ``now`` Unix ones; ``transport`` replaces the network in tests.
    """

    def __init__(  # noqa: PLR0913 - clocks and network are passed in
        self,
        source: str,
        provider: Provider,
        observer: Observer,
        *,
        clock: Callable[[], float],
        now: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._source = source
        self._provider = provider
        self._observer = observer
        self._clock = clock
        self._now = now
        self._wire = Wire(provider.settings.http, transport)
        self._auth: SourceAuth = flow(provider.credentials, clock, lambda life: observer.logged_in(source, life))
        self._limiter = Limiter(
            provider.settings.limits,
            clock=clock,
            waited=lambda seconds: observer.throttled(source, seconds),
        )
        self._lookups = Lookups(clock)
        self._asked = 0
        self._idle = asyncio.Event()
        self._remaining: float | None = None

    @property
    def standing(self) -> Standing:
        """How it stands with the vendor now."""
        return Standing(
            login=self._auth.state,
            token_expiry=self._unix(self._auth.expiry),
            remaining=self._remaining,
            paused_until=self._unix(self._limiter.paused_until),
        )

    async def get(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Ask for one page, logging in as need be, and give what ``read`` makes of its body.

        What may well come the second time is asked for again until ``bounds.until``.

        Args:
            request: what to ask.
            bounds: what each HTTP request may cost; waiting for the source's limits is not in its time-out.
            read: makes a value of a whole body, or raises :class:`Broken` for one that did not come through.

        Raises:
            VendorError: there is no answer that can be used.
        """
        self._asked += 1
        try:
            return await self._once(request, bounds, read)
        except VendorError as error:
            # What timed out with its tick, as many may at once, is told at once.
            if not error.passing or self._clock() >= bounds.until:
                raise
            return await self._again(error, request, bounds, read)
        finally:
            self._asked -= 1
            if not self._asked:
                self._idle.set()

    async def _again(
        self, failed: VendorError, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]
    ) -> T:
        """Ask again for what has ``failed``, after a while, and as often as it is worth it."""
        counted = False

        async def attempt() -> T:
            nonlocal failed, counted
            if not counted:
                # The library begins with a first try: that was made without it, for nearly all succeed.
                counted = True
                raise failed
            try:
                # A repeat ends with the tick; what ends so says less than the failure before it.
                return await self._once(request, replace(bounds, end=bounds.until), read)
            except OutOfTime:
                raise failed from None
            except VendorError as error:
                failed = error
                raise

        def again() -> None:
            self._observer.retried(self._source)

        return await retries(bounds.until, clock=self._clock, again=again)(attempt)

    def inherit(self, old: "Client") -> None:
        """Take over what the client before this one knows: of the same account its limits, and its log-in."""
        provider, before = self._provider, old._provider  # noqa: SLF001 - one of this class
        if provider.account == before.account:
            self._limiter.inherit(old._limiter)  # noqa: SLF001 - as above
        if provider.credentials == before.credentials:
            self._auth = old._auth  # noqa: SLF001 - as above

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.aclose()

    async def retire(self) -> None:
        """Close all connections once nobody waits for an answer any more."""
        while self._asked:
            self._idle.clear()
            await self._idle.wait()
        await self.aclose()

    async def _once(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        try:
            response = await self._logged_in(request, bounds)
            self._raise_for_status(response)
            if await _echoes(response.content, self._auth.secrets):
                raise BadResponse("the answer repeats a secret, and is not shown")
            return await read(response.content)
        except VendorError as error:
            if isinstance(error, AuthError):
                self._lookups.forget()
            raise self._told(request.endpoint, error) from None

    async def _logged_in(self, request: Request, bounds: Bounds) -> httpx.Response:
        """Send what the log-in flow gives, one request after the other; the last response is the answer."""
        params = request.params
        if lookup := request.lookup:
            params += ((lookup.name, await self._fact(lookup, bounds)),)
        url = self._provider.base_url + request.path + (f"?{urlencode(params)}" if params else "")
        extensions = {"endpoint": request.endpoint, "interval": bounds.interval}
        outgoing = httpx.Request("GET", url, headers=SENT, extensions=extensions)
        async with contextlib.aclosing(self._auth.async_auth_flow(outgoing)) as requests:
            sent: httpx.Request | None = await anext(requests)
            response = None
            while sent:
                try:
                    response = await self._exchange(sent, bounds)
                except VendorError as error:
                    # A flow may go on without the log-in that failed; all else it raises again.
                    sent = await requests.athrow(error)
                else:
                    sent = await _next(requests, response)
        if response is None:
            raise AssertionError("a log-in flow sends at least the request itself")
        return response

    async def _fact(self, lookup: Lookup, bounds: Bounds) -> str:
        async def ask() -> str:
            try:
                response = await self._logged_in(Request(lookup.endpoint, lookup.path, ()), bounds)
                self._raise_for_status(response)
                return self._provider.fact(lookup, decode_short(response.content))
            except VendorError as error:
                raise self._told(lookup.endpoint, error) from None

        return await self._lookups.fact(lookup, ask, bounds.interval)

    async def _exchange(self, request: httpx.Request, bounds: Bounds) -> httpx.Response:
        async with self._limiter.slot(bounds.until, bounds.end):
            left = bounds.end - self._clock()
            if left <= 0:
                raise OutOfTime("the next poll is due")
            started, code = self._clock(), "canceled"
            try:
                response = await self._wire.send(request, min(bounds.timeout, left), bounds.max_response)
            except VendorError as error:
                code = error.reason
                raise (
                    OutOfTime(str(error)) if isinstance(error, TimedOut) and left < bounds.timeout else error
                ) from None
            else:
                code = str(response.status_code)
                self._heed(response)
                return response
            finally:
                duration, endpoint = self._clock() - started, request.extensions["endpoint"]
                self._observer.requested(Exchange(self._source, endpoint, code, duration))
                if logging.getLogger(__name__).isEnabledFor(logging.DEBUG):
                    url = scrub(unquote(str(request.url)), self._auth.secrets)
                    log.debug("request", endpoint=endpoint, url=url, code=code, seconds=round(duration, 3))

    def _heed(self, response: httpx.Response) -> None:
        found = advice(response.status_code, response.headers, self._now())
        self._limiter.heed(response.status_code, found)
        if found.remaining is not None:
            self._remaining = found.remaining
            self._observer.remaining(self._source, found.remaining)

    def _unix(self, moment: float | None) -> float | None:
        return None if moment is None else self._now() + moment - self._clock()

    def _raise_for_status(self, response: httpx.Response) -> None:
        kind = from_status(response.status_code)
        if not kind:
            return
        if response.is_redirect:
            raise kind(f"HTTP {response.status_code}: a redirect, which is never followed; check `base_url`")
        try:
            explanation = self._provider.explain(decode_short(response.content))
        except BadResponse:
            explanation = ""
        wait = advice(response.status_code, response.headers, self._now()).wait
        raise kind(f"HTTP {response.status_code}" + (f": {explanation}" if explanation else ""), wait)

    def _told(self, endpoint: str, error: VendorError) -> VendorError:
        """Give an error as it is told: with its endpoint, and without secrets."""
        return error.saying(f"{endpoint}: {scrub(str(error), self._auth.secrets)}")


async def _echoes(body: bytes, secrets: tuple[str, ...]) -> bool:
    """Look for secrets in an answer; in a long one beside the event loop, and in one at a time."""
    if not (wanted := telling(secrets)):
        return False
    if len(body) <= AT_ONCE:
        return echoes(body, wanted)
    return await asyncio.get_running_loop().run_in_executor(SEARCHING, echoes, body, wanted)


async def _next(requests: Flow, response: httpx.Response) -> httpx.Request | None:
    """Give the request that a flow sends after a response, ``None`` if that was the last one."""
    try:
        return await requests.asend(response)
    except StopAsyncIteration:
        return None

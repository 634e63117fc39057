"""The only place that sends: limits, time-outs, bounds, and the translation of what goes wrong."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, quote_plus

import httpx

from exporter.model import Bounds, Exchange, Lookup, Request
from exporter.providers.auth import PUNCTUAL, Flow, SourceAuth, flow
from exporter.providers.base import Provider
from exporter.providers.decode import decode
from exporter.providers.errors import (
    LONGEST_EXPLANATION,
    AuthError,
    BadResponse,
    NetworkError,
    TimedOut,
    VendorError,
    from_status,
)
from exporter.providers.limits import Limiter

DECODED = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that no longer hold once a body is read."""


class Observer(Protocol):
    """Who is told what a client does."""

    def requested(self, exchange: Exchange) -> None:
        """Note an HTTP request that ended."""

    def throttled(self, source: str, seconds: float) -> None:
        """Note that a request waited for the source's limits."""

    def logged_in(self, source: str, life: float) -> None:
        """Note a new token that is good for so many seconds."""


class Client:
    """Asks one source. ``clock`` gives monotonic seconds; ``transport`` replaces the network in tests."""

    def __init__(
        self,
        source: str,
        provider: Provider,
        observer: Observer,
        *,
        clock: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._source = source
        self._provider = provider
        self._settings = provider.settings
        self._observer = observer
        self._clock = clock
        self._transport = transport
        self._auth: SourceAuth = flow(provider.credentials, clock, lambda life: observer.logged_in(source, life))
        self._limiter = Limiter(
            provider.settings.limits, clock=clock, waited=lambda seconds: observer.throttled(source, seconds)
        )
        self._http: httpx.AsyncClient | None = None
        self._facts: dict[Lookup, str] = {}
        self._asking = asyncio.Lock()
        self._lookups = 0
        self._lookup_failed_at = 0.0
        self._lookup_failure: VendorError | None = None

    async def get(self, request: Request, bounds: Bounds) -> bytes:
        """Ask for one page, logging in as need be, and give its body.

        Args:
            request: what to ask.
            bounds: what each HTTP request may cost; waiting for the source's limits is not in its time-out.

        Raises:
            VendorError: there is no answer that can be used.
        """
        try:
            response = await self._logged_in(request, bounds)
            self._raise_for_status(response)
        except VendorError as error:
            if isinstance(error, AuthError):
                # What was looked up for the account may have changed with its rights.
                self._facts.clear()
            raise type(error)(f"{request.endpoint}: {self._scrub(str(error))}") from None
        return response.content

    async def aclose(self) -> None:
        """Close all connections."""
        if self._http:
            await self._http.aclose()

    async def _logged_in(self, request: Request, bounds: Bounds) -> httpx.Response:
        """Send what the log-in flow gives, one request after the other; the last response is the answer."""
        http = self._opened()
        params = request.params
        if request.lookup:
            params += ((request.lookup.name, await self._fact(request.lookup, bounds)),)
        outgoing = http.build_request(
            "GET",
            self._provider.base_url + request.path,
            params=params,
            extensions={"endpoint": request.endpoint, "interval": bounds.interval},
        )
        async with contextlib.aclosing(self._auth.async_auth_flow(outgoing)) as requests:
            sent: httpx.Request | None = await anext(requests)
            response = None
            while sent:
                try:
                    response = await self._exchange(http, sent, bounds)
                except VendorError as error:
                    await requests.athrow(error)
                    raise
                sent = await _next(requests, response)
        if response is None:
            raise AssertionError("a log-in flow sends at least the request itself")
        return response

    async def _fact(self, lookup: Lookup, bounds: Bounds) -> str:
        """Give a fact that requests need; the vendor is asked once.

        A failure is shared by those that wait for it; a refusal rests for an interval, as that of a log-in does.
        """
        asked = self._lookups
        async with self._asking:
            if lookup not in self._facts:
                began, failure = self._clock(), self._lookup_failure
                rest = bounds.interval - min(PUNCTUAL, bounds.interval / 10)
                resting = isinstance(failure, AuthError) and began - self._lookup_failed_at < rest
                if failure and (asked != self._lookups or resting):
                    raise type(failure)(str(failure))
                try:
                    response = await self._logged_in(Request(lookup.endpoint, lookup.path, ()), bounds)
                    self._raise_for_status(response)
                    self._facts[lookup] = self._provider.fact(lookup, decode(response.content))
                except VendorError as error:
                    self._lookups, self._lookup_failed_at = self._lookups + 1, began
                    self._lookup_failure = type(error)(f"{lookup.endpoint}: {self._scrub(str(error))}")
                    raise self._lookup_failure from None
                self._lookup_failure = None
        return self._facts[lookup]

    async def _exchange(self, http: httpx.AsyncClient, request: httpx.Request, bounds: Bounds) -> httpx.Response:
        async with self._limiter.slot():
            started, code = self._clock(), "canceled"
            try:
                response = await _send(http, request, bounds)
            except VendorError as error:
                code = error.reason
                raise
            else:
                code = str(response.status_code)
                return response
            finally:
                self._observer.requested(
                    Exchange(self._source, request.extensions["endpoint"], code, self._clock() - started)
                )

    def _raise_for_status(self, response: httpx.Response) -> None:
        kind = from_status(response.status_code)
        if not kind:
            return
        if response.is_redirect:
            raise kind(f"HTTP {response.status_code}: a redirect, which is never followed; check `base_url`")
        try:
            explanation = self._provider.explain(decode(response.content))
        except BadResponse:
            explanation = ""
        raise kind(f"HTTP {response.status_code}" + (f": {explanation}" if explanation else ""))

    def _scrub(self, text: str) -> str:
        """Remove secrets, which a vendor may echo, and cut what is too long for a line."""
        # The longest first: one secret may stand in another.
        spelled = {spelling for secret in self._auth.secrets for spelling in _spellings(secret)}
        for secret in sorted(spelled, key=len, reverse=True):
            text = text.replace(secret, "<secret>")
        line = " ".join(text.split())
        return line if len(line) <= LONGEST_EXPLANATION else line[: LONGEST_EXPLANATION - 1] + "…"

    def _opened(self) -> httpx.AsyncClient:
        if self._http is None:
            http = self._settings.http
            try:
                verify = trust(http.ca_file)
            except OSError as error:
                raise NetworkError(
                    f"the CA file {http.ca_file} can't be used: {error.strerror or 'no certificates in it'}"
                ) from None
            # One time-out is for the whole request, in _send; the limiter bounds the connections.
            self._http = httpx.AsyncClient(
                verify=verify,
                proxy=http.proxy_url.get_secret_value() if http.proxy_url else None,
                http2=True,
                timeout=None,  # noqa: S113 - see above
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=120),
                transport=self._transport,
                follow_redirects=False,
            )
        return self._http


def _spellings(secret: str) -> tuple[str, ...]:
    """Give a secret as an echo may spell it: as it is, as a form or a URL has it, and as JSON does."""
    return secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]


async def _next(requests: Flow, response: httpx.Response) -> httpx.Request | None:
    """Give the request that a flow sends after a response, ``None`` if that was the last one."""
    try:
        return await requests.asend(response)
    except StopAsyncIteration:
        return None


@cache
def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Give the authorities to trust. Reading them takes tens of milliseconds, so all sources share them."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()


async def _send(http: httpx.AsyncClient, request: httpx.Request, bounds: Bounds) -> httpx.Response:
    """Send one request and read its whole body, within bounds of time and size.

    Raises:
        VendorError: there is no whole response.
    """
    try:
        async with asyncio.timeout(bounds.timeout):
            response = await http.send(request, stream=True, auth=None)
            try:
                # Of one coding a piece grows a thousandfold at most, of two a millionfold, before it can be measured.
                if "," in response.headers.get("content-encoding", ""):
                    raise BadResponse("the answer is compressed twice")
                body = await _read(response, bounds.max_response)
            finally:
                await response.aclose()
    except (TimeoutError, httpx.TimeoutException):
        raise TimedOut(f"no whole answer within {bounds.timeout:g} s") from None
    except httpx.DecodingError:
        raise BadResponse("the answer's compression is broken") from None
    except httpx.HTTPError as error:
        raise NetworkError(f"{type(error).__name__}: {error}".rstrip(": ")) from None
    headers = [(name, value) for name, value in response.headers.items() if name not in DECODED]
    return httpx.Response(response.status_code, headers=headers, content=body, request=request)


async def _read(response: httpx.Response, max_response: int) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > max_response:
            raise BadResponse(f"the answer is larger than `max_response` ({max_response} bytes)")
        parts.append(part)
    return b"".join(parts)

"""HTTP/1.1 for httpx, over aiohttp: with many requests in flight httpx's own transport costs several times as much."""

import select
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from yarl import URL

from exporter.providers.auth import basic

KEEP = 120.0
"""Seconds for which a connection is kept that nobody uses."""

LONGEST_HEADER, MOST_HEADERS = 16384, 2000
LARGEST_HEAD = 100_000
"""Bytes of all headers of an answer."""


class Http1(httpx.AsyncBaseTransport):
    """The connections of one source. ``proxy`` is for all requests; without one the environment's proxies are used."""

    def __init__(self, tls: ssl.SSLContext, proxy: str | None) -> None:
        self._proxies = {"all": proxy} if proxy else getproxies()
        self._bypass = not proxy
        # Time-outs, compression and redirects are httpx's and the caller's; the limiter bounds the connections.
        self._session = aiohttp.ClientSession(
            connector=_Connector(ssl=tls, limit=0, keepalive_timeout=KEEP),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            auto_decompress=False,
            middlewares=(_once,),
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and give the response once its head is there.

        Raises:
            httpx.TransportError: there is none.
        """
        proxy, login = self._proxy(request.url)
        headers = request.headers.multi_items()
        # Through a tunnel the vendor must not see it.
        within = request.url.scheme == "http"
        with TRANSLATED:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[*headers, *login] if within else headers,
                data=await request.aread() or None,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=None if within else dict(login),
            )
            if sum(len(name) + len(value) for name, value in response.raw_headers) > LARGEST_HEAD:
                response.close()
                raise httpx.RemoteProtocolError("the answer's headers are too large")
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    def direct(self, url: httpx.URL) -> bool:
        """Whether a URL is asked without a proxy."""
        return self._proxy(url)[0] is None

    def _proxy(self, url: httpx.URL) -> tuple[URL | None, list[tuple[str, str]]]:
        """Give the proxy for a URL, and the header that logs in there."""
        found = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not found or (self._bypass and proxy_bypass(url.host)):
            return None, []
        try:
            proxy = httpx.URL(found if "://" in found else f"http://{found}")
        except httpx.InvalidURL:
            proxy = httpx.URL()
        if proxy.scheme not in ("http", "https"):
            raise httpx.ProxyError("the proxy's address must be a URL that begins with http:// or https://")
        login = [("Proxy-Authorization", basic(proxy.username, proxy.password))] if proxy.userinfo else []
        return URL(str(proxy.copy_with(userinfo=b"")), encoded=True), login


class _Connector(aiohttp.TCPConnector):
    """Keeps connections, and closes those on which more came than was asked for.

    HTTP/1.1 numbers nothing: what is left over would be read as the answer to the next request, another query's.
    aiohttp looks for it when an answer ends, and not for what came later.
    """

    def __init__(self, *, ssl: ssl.SSLContext, limit: int, keepalive_timeout: float) -> None:
        super().__init__(ssl=ssl, limit=limit, keepalive_timeout=keepalive_timeout)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> aiohttp.connector.Connection:
        """Give a connection, a new one or one that was kept and is as it was left."""
        while True:
            connection = await super().connect(req, traces, timeout)
            handler = connection.protocol
            if handler is None or handler not in self._used or not _touched(handler):
                break
            connection.close()
        if handler is not None:
            self._used.add(handler)
        return connection


def _touched(handler: ResponseHandler) -> bool:
    """Whether something came on a kept connection, if only its end."""
    if handler.should_close or handler.transport is None:
        return True
    unread = select.poll()
    unread.register(handler.transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(unread.poll(0))


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once: aiohttp would repeat it unseen after errors of its own, to which these don't belong."""
    with TRANSLATED:
        return await send(request)


class _Body(httpx.AsyncByteStream):
    """The body of a response; its connection is kept if all of it was read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with TRANSLATED:
            async for part in self._response.content.iter_any():
                yield part

    async def aclose(self) -> None:
        self._response.close()


TRANSLATIONS: tuple[
    tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any], httpx.TransportError]], ...
] = (
    (aiohttp.ClientConnectorCertificateError, lambda error: httpx.ConnectError(str(error.certificate_error))),
    (aiohttp.ClientHttpProxyError, lambda error: httpx.ProxyError(f"the proxy answered {error.status}")),
    (aiohttp.ClientProxyConnectionError, lambda error: httpx.ProxyError(str(error.os_error))),
    (aiohttp.ClientConnectorError, lambda error: httpx.ConnectError(str(error.os_error))),
    (aiohttp.ClientResponseError, lambda error: httpx.RemoteProtocolError(error.message.partition("\n")[0])),
    (aiohttp.ClientPayloadError, lambda _: httpx.RemoteProtocolError("the answer is not whole")),
    (
        aiohttp.ServerDisconnectedError,
        lambda _: httpx.RemoteProtocolError("the server closed the connection without an answer"),
    ),
    (OSError, lambda error: httpx.ReadError(str(error))),
    ((aiohttp.ClientError, ValueError), lambda error: httpx.LocalProtocolError(type(error).__name__)),
)
"""httpx's errors for aiohttp's, the first that fits. No word holds an address: a proxy's may have a password in it."""


class _Translated:
    """Raises httpx's errors for aiohttp's; a class, for one made of a generator costs more, three times a request."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Translate what went wrong."""
        for kind, translation in TRANSLATIONS if error else ():
            if isinstance(error, kind):
                raise translation(error) from None


TRANSLATED = _Translated()

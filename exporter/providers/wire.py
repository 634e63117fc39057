"""The only place that sends: connections, time-outs, bounds, and the translation of what goes wrong."""

import asyncio
import ssl
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

import exporter
from exporter.providers.errors import BadResponse, Broken, NetworkError, TimedOut
from exporter.providers.shapes import HttpSettings

DECODED = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that no longer hold once a body is read."""


HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "user-agent": f"video-analytics-exporter/{exporter.__version__}",
}
"""Go along with each request."""


class Wire:
    """The connections to one source's hosts, opened at the first request; ``transport`` replaces them in tests."""

    def __init__(self, settings: HttpSettings, transport: httpx.AsyncBaseTransport | None) -> None:
        self._settings = settings
        self._transport = transport
        self._http: httpx.AsyncClient | None = None

    async def send(self, request: httpx.Request, timeout: float, max_response: int) -> httpx.Response:  # noqa: ASYNC109 - its error is ours
        """Send one request and read its whole body, within bounds of seconds and of bytes after decompression.

        Raises:
            VendorError: there is no whole response.
        """
        http = self._opened()
        request.headers.update(HEADERS)
        try:
            async with asyncio.timeout(timeout):
                response = await http.send(request, stream=True, auth=None)
                try:
                    # Of one coding a piece grows a thousandfold at most, of two a millionfold, before it is measured.
                    if "," in response.headers.get("content-encoding", ""):
                        raise BadResponse("the answer is compressed twice")
                    body = await _read(response, max_response)
                finally:
                    await response.aclose()
                    await _close_spoilt(http)
        except (TimeoutError, httpx.TimeoutException):
            raise TimedOut(f"no whole answer within {timeout:.3g} s") from None
        except httpx.DecodingError:
            raise Broken("the answer's compression is broken") from None
        except httpx.HTTPError as error:
            raise NetworkError(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        headers = [(name, value) for name, value in response.headers.items() if name not in DECODED]
        return httpx.Response(response.status_code, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._http:
            await self._http.aclose()

    def _opened(self) -> httpx.AsyncClient:
        if self._http is None:
            http = self._settings
            try:
                verify = trust(http.ca_file)
            except OSError as error:
                raise NetworkError(
                    f"the CA file {http.ca_file} can't be used: {error.strerror or 'no certificates in it'}"
                ) from None
            # One time-out is for the whole request, in send; the limiter bounds the connections.
            self._http = httpx.AsyncClient(
                verify=verify,
                proxy=http.proxy_url.get_secret_value() if http.proxy_url else None,
                http2=True,
                timeout=None,  # noqa: S113 - see above
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=120),
                transport=self._transport,
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # never sent, and so not to be kept
            )
        return self._http


@cache
def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Give the authorities to trust. Reading them takes tens of milliseconds, so all sources share them."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()


async def _close_spoilt(http: httpx.AsyncClient) -> None:
    """Close idle connections on which more has come than was asked for.

    HTTP/1.1 numbers nothing: what is left over would be read as the answer to the next request, another query's.
    The library gives no other access to it than this.
    """
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001 - see above
        for connection in getattr(getattr(transport, "_pool", None), "connections", ()):
            if connection.is_idle() and _left_over(connection):
                await connection.aclose()


def _left_over(connection: object) -> bool:
    state = getattr(connection, "_h11_state", None)
    if state is not None:
        return bool(state.trailing_data[0])
    # What a pool holds is wrapped, behind a proxy twice.
    within = getattr(connection, "_connection", None)
    return within is not None and _left_over(within)


async def _read(response: httpx.Response, max_response: int) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > max_response:
            raise BadResponse(f"the answer is larger than `max_response` ({max_response} bytes)")
        parts.append(part)
    return b"".join(parts)

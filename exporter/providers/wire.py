"""The only place that sends: connections, time-outs, bounds, and the translation of what goes wrong."""

import asyncio
import ssl
import zlib
from functools import cache
from pathlib import Path

import httpx

from exporter.providers.errors import BadResponse, Broken, NetworkError, TimedOut
from exporter.providers.shapes import HttpSettings
from exporter.providers.transport import Http1
from exporter.providers.unpack import unpacker

DECODED = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers that no longer hold once a body is read."""


class Wire:
    """The connections to one source's hosts, opened at the first request; ``given`` ones replace them in tests.

    Without httpx's client: redirects, cookies and log-ins by the URL, which it adds, are what is not wanted here.
    """

    def __init__(self, settings: HttpSettings, given: httpx.AsyncBaseTransport | None) -> None:
        self._settings = settings
        self._given = given
        self._transport: httpx.AsyncBaseTransport | None = None
        self._stamp = (0, 0)
        self._sending = 0

    async def send(self, request: httpx.Request, timeout: float, max_response: int) -> httpx.Response:  # noqa: ASYNC109 - its error is ours
        """Send one request and read its whole body, within bounds of seconds and of bytes after decompression.

        Raises:
            VendorError: there is no whole response.
        """
        transport = await self._opened()
        self._sending += 1
        try:
            async with asyncio.timeout(timeout):
                response = await transport.handle_async_request(request)
                try:
                    # Nobody needs it, and it grows a millionfold.
                    if "," in response.headers.get("content-encoding", ""):
                        raise BadResponse("the answer is compressed twice")
                    body = await _read(response, max_response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise TimedOut(f"no whole answer within {timeout:.3g} s") from None
        except zlib.error:
            raise Broken("the answer's compression is broken") from None
        except httpx.HTTPError as error:
            said = f"{request.url.host}: {type(error).__name__}: {error}".rstrip(": ")
            raise NetworkError(said) from None
        finally:
            self._sending -= 1
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in DECODED]
        return httpx.Response(response.status_code, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        transport, self._transport = self._transport, None
        if transport:
            await transport.aclose()

    async def _opened(self) -> httpx.AsyncBaseTransport:
        """Give the open connections, with the authorities of the file as it is now."""
        http = self._settings
        try:
            stamp = _stamp(http.ca_file)
            if self._transport and stamp != self._stamp and not self._sending:
                await self.aclose()
            if self._transport is None:
                self._transport, self._stamp = self._given or _transport(http, stamp), stamp
        except OSError as error:
            raise NetworkError(
                f"the CA file {http.ca_file} can't be used: {error.strerror or 'no certificates in it'}"
            ) from None
        return self._transport


def _stamp(ca_file: Path | None) -> tuple[int, int]:
    """Give what tells a file from the one that it replaced."""
    if ca_file is None:
        return 0, 0
    status = ca_file.stat()
    return status.st_mtime_ns, status.st_size


def _transport(http: HttpSettings, stamp: tuple[int, int]) -> httpx.AsyncBaseTransport:
    proxy = http.proxy_url.get_secret_value() if http.proxy_url else None
    first = Http1(trust(http.ca_file, stamp), proxy)
    if not http.http2:
        return first
    from exporter.providers.http2 import Http2  # noqa: PLC0415 - memory that only those pay who ask for it

    return Http2(trust(http.ca_file, stamp, ("h2", "http/1.1")), first)


@cache
def trust(ca_file: Path | None, _: tuple[int, int], protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Give the authorities to trust. Reading them takes tens of milliseconds, so all sources share them."""
    context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


async def _read(response: httpx.Response, max_response: int) -> bytes:
    parts, size, unpack = [], 0, unpacker(response.headers.get("content-encoding", ""))
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("only asynchronous transports are known")
    async for piece in response.stream:
        for step, part in enumerate(unpack(piece)):
            size += len(part)
            if size > max_response:
                raise BadResponse(f"the answer is larger than `max_response` ({max_response} bytes)")
            parts.append(part)
            if step:
                await asyncio.sleep(0)
    return b"".join(parts)

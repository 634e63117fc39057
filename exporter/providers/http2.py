"""HTTP/2 for httpx, over h2: one connection carries a vendor's requests, and no answer is hurt by another one.

httpx's own loses what is in flight when a vendor ends a connection in good order, and goes on with one on which an
answer was given up.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import defaultdict

import httpx
from aiohappyeyeballs import start_connection

from exporter.providers.h2_connection import Connection, Unseen
from exporter.providers.transport import Http1

ATTEMPTS = 3
"""Connections on which a request is tried if the vendor looks at no request at all."""

DELAY = 0.25
"""Seconds for which an address is waited for alone, before the next one is tried beside it (RFC 8305, section 5)."""

Origin = tuple[str, int]


class Http2(httpx.AsyncBaseTransport):
    """Asks those vendors over HTTP/2 that speak it, and others, or through proxies, over HTTP/1.1."""

    def __init__(self, tls: ssl.SSLContext, otherwise: Http1) -> None:
        self._tls = tls
        self._otherwise = otherwise
        self._unable: set[Origin] = set()
        self._connections: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._connecting: defaultdict[Origin, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and give the response once its head is there.

        Raises:
            httpx.TransportError: there is none.
        """
        await request.aread()
        fruitless = 0
        while fruitless < ATTEMPTS:
            connection = await self._connection(request.url)
            if connection is None:
                return await self._otherwise.handle_async_request(request)
            with contextlib.suppress(Unseen):
                return await connection.ask(request)
            fruitless += not connection.fruitful
        raise httpx.RemoteProtocolError("the vendor refuses to look at requests")

    async def aclose(self) -> None:
        """Close all connections."""
        for connections in self._connections.values():
            for connection in connections:
                connection.end(httpx.ReadError("closed"))
        await self._otherwise.aclose()

    async def _connection(self, url: httpx.URL) -> Connection | None:
        """Give a connection that has room for a request; ``None`` where HTTP/1.1 is to be spoken."""
        origin = url.raw_host.decode(), url.port or 443
        if url.scheme != "https" or origin in self._unable or not self._otherwise.direct(url):
            return None
        async with self._connecting[origin]:
            found = [connection for connection in self._connections[origin] if not connection.closed]
            for connection in found:
                if connection.room:
                    return connection
            connection = await _connect(origin, self._tls)
            if not connection.able:
                self._unable.add(origin)
                return None
            self._connections[origin] = [*found, connection]
            return connection


async def _connect(origin: Origin, tls: ssl.SSLContext) -> Connection:
    loop = asyncio.get_running_loop()
    try:
        # Not left to create_connection: uvloop's tries an address only once the one before it has failed.
        addresses = await loop.getaddrinfo(*origin, type=socket.SOCK_STREAM)
        connected = await start_connection(addresses, happy_eyeballs_delay=DELAY)
        transport, connection = await loop.create_connection(
            Connection, sock=connected, ssl=tls, server_hostname=origin[0]
        )
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(str(error)) from None
    try:
        await connection.greeted
    except BaseException:
        transport.abort()
        raise
    return connection

"""Addresses to listen on, and the HTTP server on them."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

BACKLOG = 2048
ADDRESS = re.compile(r"(?:(?P<host>[^\s:\[\]]+)|\[(?P<six>[^\s\[\]]+)\])?:(?P<port>[0-9]{1,5})", re.ASCII)
HIGHEST_PORT = 65535
PATIENCE = 2
"""Seconds that open requests have to end once the server stops."""


class AddressError(ValueError):
    """An address can't be listened on."""


def bind(address: str) -> socket.socket:
    """Open a listening socket on ``host:port``, ``[host]:port`` or ``:port`` (all interfaces, IPv6 too).

    Raises:
        AddressError: it is no such address, or it can't be had.
    """
    parts = ADDRESS.fullmatch(address)
    if not parts or int(parts["port"]) > HIGHEST_PORT:
        raise AddressError(f"`{address}` is no address to listen on; write it as host:port or :port")
    host, port = parts["host"] or parts["six"] or "", parts["port"]
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.encode("idna").decode(), int(port)), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such host"
        raise AddressError(f"can't listen on `{address}`: {reason}") from None


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon has its own, for it has more to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(app: ASGIApp, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Serve an application on sockets for as long as the context is open."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=list(sockets)))
    try:
        yield
    finally:
        server.should_exit = True
        await serving

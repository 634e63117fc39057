"""Addresses to listen on, and the HTTP server on them."""

import asyncio
import re
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from exporter.web.connection import Connection, Patience, Ready

BACKLOG = 2048
ADDRESS = re.compile(r"(?:(?P<host>[^\s:\[\]]+)|\[(?P<six>[^\s\[\]]+)\])?:(?P<port>[0-9]{1,5})", re.ASCII)
HIGHEST_PORT = 65535

PATIENCE = Patience()
LAST_RESORT = 3
"""Seconds after which requests are cancelled once the server stops. Clients have had ``Patience.stop`` before."""

KEEP_ALIVE = 90
"""Seconds between two requests of a connection: a Prometheus that scrapes once a minute needs no new one."""

MACOS_MOST_FILES = 10240
"""macOS calls the hard limit infinite, and refuses a soft one above this (OPEN_MAX)."""


class AddressError(ValueError):
    """An address can't be listened on."""


def host_and_port(address: str) -> tuple[str, int]:
    """Read ``host:port``, ``[host]:port`` or ``:port``, which has no host.

    Raises:
        AddressError: it is no such address.
    """
    parts = ADDRESS.fullmatch(address)
    if not parts or int(parts["port"]) > HIGHEST_PORT:
        raise AddressError(f"`{address}` is no address to listen on; write it as host:port or :port")
    return parts["host"] or parts["six"] or "", int(parts["port"])


def bind(address: str) -> socket.socket:
    """Open a listening socket on an address; without a host it is on all interfaces, IPv6 too.

    Raises:
        AddressError: it is no address, or it can't be had.
    """
    host, port = host_and_port(address)
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.encode("idna").decode(), port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such host"
        raise AddressError(f"can't listen on `{address}`: {reason}") from None


def raise_file_limit() -> None:
    """Let this process have as many open files, and so connections, as the system grants it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, max(soft, MACOS_MOST_FILES)):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon has its own, for it has more to stop."""

    def __init__(self, config: uvicorn.Config, patience: Patience, ready: Ready) -> None:
        super().__init__(config)
        self._patience = patience
        self._ready = ready
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Take no more requests."""
        self.should_exit = True
        self._stop.set()

    async def main_loop(self) -> None:
        """Keep the date of the answers; uvicorn itself wakes ten times a second to see whether it is to stop."""
        while not self._stop.is_set():
            await self.on_tick(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stop.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop, tls = asyncio.get_running_loop(), self.config.ssl
        self.servers = [
            await loop.create_server(
                lambda: Connection(self.config, self.server_state, self._patience, self._ready),
                sock=bound,
                ssl=tls,
                ssl_handshake_timeout=self._patience.request if tls else None,
                backlog=BACKLOG,
            )
            for bound in sockets or ()
        ]
        self.started = True


@asynccontextmanager
async def serve(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    tls: Callable[[], ssl.SSLContext] | None = None,
    patience: Patience = PATIENCE,
    ready: Ready = lambda _: None,
) -> AsyncIterator[None]:
    """Serve an application on sockets, with TLS where a context is given, for as long as the context is open.

    What is ``ready`` is answered without asking the application.
    """
    config = uvicorn.Config(
        app,
        interface="asgi3",  # uvicorn guesses, and takes a method for ASGI 2
        ws="none",
        log_config=None,
        log_level="error",  # what a client does wrong is no news: with a line for each it could fill the disk
        access_log=False,
        proxy_headers=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=LAST_RESORT,
        ssl_context_factory=(lambda _, __: tls()) if tls else None,
    )
    config.load()  # here, so that a context that can't be made is told at once
    server = _Server(config, patience, ready)
    serving = asyncio.create_task(server.serve(sockets=list(sockets)))
    try:
        yield
    finally:
        server.stop()
        await serving

"""An ASGI app on a loopback socket, in the event loop that is already running."""

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


@asynccontextmanager
async def serve(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve ``app`` and give its base URL; port 0 takes a free one. On exit open requests are cut off."""
    listener = socket.create_server((host, port))
    config = uvicorn.Config(_cuttable(app), lifespan="off", ws="none", log_config=None)
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        # The socket listens already: whoever connects before the server has started waits in its queue.
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def _cuttable(app: ASGIApp) -> ASGIApp:
    """Wrap the app so that cancelling a request ends it silently, not as an error of the app."""

    async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return cuttable


class _Server(uvicorn.Server):
    """uvicorn as a guest: signals stay with the process's owner, and it does not wait for open requests."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the connections hear of it, so that nobody answers the cancelled requests
        for task in list(self.server_state.tasks):
            task.cancel()
        await super().shutdown(sockets)

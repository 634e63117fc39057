"""Headers of the file on every answer."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = tuple[tuple[bytes, bytes], ...]


def add(app: ASGIApp, headers: Callable[[], Headers]) -> ASGIApp:
    """Give an application whose answers have these headers, in the place of its own of the same name."""

    async def adding(scope: Scope, receive: Receive, send: Send) -> None:
        added = headers() if scope["type"] == "http" else ()
        names = {name for name, _ in added}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
                message = {**message, "headers": [*own, *added]}
            await send(message)

        await app(scope, receive, with_headers if added else send)

    return adding

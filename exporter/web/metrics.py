"""``/metrics``: the joined pieces of the data, and the exporter's own metrics behind them."""

import asyncio
from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from exporter.exposition import Exposition, Format
from exporter.gzipped import deflate, file, inflate
from exporter.telemetry import Telemetry
from exporter.web.negotiate import format_for, wants_gzip

LARGE = 1 << 20
"""Bytes of text from which on inflating them would keep other requests waiting."""

VARY = (b"vary", b"accept, accept-encoding")


class Metrics:
    """An ASGI application. Raw, since a framework's request and response cost more than the scrape."""

    def __init__(self, exposition: Exposition, telemetry: Telemetry) -> None:
        self._exposition = exposition
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a GET or HEAD request; others are refused."""
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, [(b"allow", b"GET, HEAD")], ())
            return
        form = format_for(_header(scope, b"accept"))
        headers = [(b"content-type", form.value.encode()), VARY]
        if wants_gzip(_header(scope, b"accept-encoding")):
            headers.append((b"content-encoding", b"gzip"))
            body = file(self._exposition.body(form), deflate(self._telemetry.render(form)))
        else:
            body = await self._plain(form)
        headers.append((b"content-length", str(sum(map(len, body))).encode()))
        await _answer(send, 200, headers, body if scope["method"] == "GET" else ())

    async def _plain(self, form: Format) -> tuple[bytes, ...]:
        data, own = self._exposition.body(form), self._telemetry.render(form)
        return await asyncio.to_thread(inflate, data) if data.size > LARGE else inflate(data), own


def _header(scope: Scope, wanted: bytes) -> str:
    """Give a header that is a list; it may come in several lines."""
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: Iterable[bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in body:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})

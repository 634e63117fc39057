"""``/metrics``: the joined members of the data, and the exporter's own metrics behind them."""

import asyncio

from isal import igzip
from starlette.types import Receive, Scope, Send

from exporter.exposition import Exposition, Format, compress
from exporter.telemetry import Telemetry
from exporter.web.negotiate import format_for, wants_gzip

LARGE = 1 << 18
"""Bytes of compressed data from which on inflating them would keep other requests waiting."""


class Metrics:
    """An ASGI application. Raw, since a framework's request and response cost more than the scrape."""

    def __init__(self, exposition: Exposition, telemetry: Telemetry) -> None:
        self._exposition = exposition
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a GET or HEAD request; others are refused."""
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in WANTED}
        form = format_for(headers.get(b"accept", ""))
        zipped = wants_gzip(headers.get(b"accept-encoding", ""))
        body = await self._body(form, zipped=zipped)
        given = [(b"content-type", form.value.encode()), (b"content-length", str(len(body)).encode()), VARY]
        if zipped:
            given.append((b"content-encoding", b"gzip"))
        await _answer(send, 200, given, body if scope["method"] == "GET" else b"")

    async def _body(self, form: Format, *, zipped: bool) -> bytes:
        data, own = self._exposition.body(form), self._telemetry.render(form)
        if zipped:
            return data + compress(own)
        if not data:
            return own
        plain: bytes = await asyncio.to_thread(igzip.decompress, data) if len(data) > LARGE else igzip.decompress(data)
        return plain + own


WANTED = (b"accept", b"accept-encoding")
VARY = (b"vary", b"accept, accept-encoding")


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

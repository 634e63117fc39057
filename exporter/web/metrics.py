"""``/metrics``: the joined pieces of the data, and the exporter's own metrics behind them."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain

from isal import isal_zlib
from starlette.types import Receive, Scope, Send

from exporter.exposition import Exposition
from exporter.gzipped import RAW, Piece, deflate, file
from exporter.telemetry import Telemetry
from exporter.web.negotiate import format_for, wants_gzip

SHARE = 1 << 18
"""Bytes that are sent before other requests have their turn."""

PACKED_SHARE = 1 << 14
"""Compressed bytes that are inflated to about as many."""

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
        data, own = self._exposition.body(form), self._telemetry.render(form)
        body: Iterable[bytes | memoryview]
        if wants_gzip(_header(scope, b"accept-encoding")):
            headers.append((b"content-encoding", b"gzip"))
            parts = file(data, deflate(own))
            size, body = sum(map(len, parts)), chain.from_iterable(map(_shares, parts))
        else:
            size, body = data.size + len(own), chain(_inflated(data), (own,))
        headers.append((b"content-length", str(size).encode()))
        await _answer(send, 200, headers, body if scope["method"] == "GET" else ())


def _shares(part: bytes) -> Iterator[memoryview]:
    """Cut a part without copying it: all clients share its bytes, and TLS takes memory only for one share each."""
    view = memoryview(part)
    return (view[start : start + SHARE] for start in range(0, len(view), SHARE))


def _inflated(piece: Piece) -> Iterator[bytes]:
    """Give a piece's text bit by bit, so that a client that reads slowly holds little of it."""
    packed, inflater = memoryview(piece.blocks), isal_zlib.decompressobj(RAW)
    return (inflater.decompress(packed[start : start + PACKED_SHARE]) for start in range(0, len(packed), PACKED_SHARE))


def _header(scope: Scope, wanted: bytes) -> str:
    """Give a header that is a list; it may come in several lines."""
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


async def _answer(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: Iterable[bytes | memoryview]
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    sent = 0
    for part in body:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        sent += len(part)
        if sent >= SHARE:
            sent = 0
            await asyncio.sleep(0)  # sending does not wait for a client that reads fast
    await send({"type": "http.response.body"})

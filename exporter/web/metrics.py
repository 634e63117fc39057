"""``/metrics``: the joined pieces of the data, and the exporter's own metrics behind them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from isal import isal_zlib
from starlette.types import Receive, Scope, Send

from exporter.exposition import Exposition, Format
from exporter.gzipped import RAW, Piece, deflate, file
from exporter.telemetry import Telemetry, Told
from exporter.web.negotiate import format_for, wants_gzip

SHARE = 1 << 18
"""Bytes that are sent before other requests have their turn."""

PACKED_SHARE = 1 << 14
"""Compressed bytes that are inflated to about as many."""

VARY = (b"vary", b"accept, accept-encoding")

Headers = tuple[tuple[bytes, bytes], ...]

FRESH = 1.0
"""Seconds for which memory and processor time of the process are good, if nothing else has changed."""


@dataclass(frozen=True, slots=True)
class _Page:
    """All that is told at one moment: data, and what the exporter says of itself; and both as a gzip file in shares."""

    data: Piece
    own: bytes
    packed: tuple[memoryview, ...]
    packed_headers: Headers


@dataclass(frozen=True, slots=True)
class _Writing:
    """A page that is being written, or is; ``versions`` and ``at`` say what it tells of."""

    versions: tuple[int, int]
    at: float
    page: asyncio.Task[_Page]

    def good(self, versions: tuple[int, int], now: float) -> bool:
        """Whether it still tells what is so."""
        broke = self.page.done() and (self.page.cancelled() or self.page.exception())
        return self.versions == versions and now - self.at < FRESH and not broke


class Metrics:
    """An ASGI application. Raw, since a framework's request and response cost more than the scrape.

    ``clock`` gives monotonic seconds.
    """

    def __init__(
        self, exposition: Exposition, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._exposition = exposition
        self._telemetry = telemetry
        self._clock = clock
        self._pages: dict[Format, _Writing] = {}

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a GET or HEAD request; others are refused."""
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, [(b"allow", b"GET, HEAD")])
            return
        form, zipped = _wanted(*_wishes(scope["headers"]))
        page = await self._page(form)
        headers = page.packed_headers
        body: Iterable[bytes | memoryview] = page.packed
        if not zipped:
            headers = _headers(form, page.data.size + len(page.own))
            body = chain(_inflated(page.data), (page.own,))
        await _answer(send, 200, headers, body if scope["method"] == "GET" else ())

    async def _page(self, form: Format) -> _Page:
        """Give what is so now: data and own metrics of one moment, for the ones tell how old the others are.

        It is written once for all who ask until something changes.
        """
        versions, now = (self._telemetry.version, self._exposition.version), self._clock()
        writing = self._pages.get(form)
        if writing is None or not writing.good(versions, now):
            told = _write(self._exposition.body(form), self._telemetry.collect(), form)
            writing = self._pages[form] = _Writing(versions, now, asyncio.create_task(told))
        # A client that goes leaves the others their page.
        return writing.page.result() if writing.page.done() else await asyncio.shield(writing.page)


async def _write(data: Piece, told: Told, form: Format) -> _Page:
    """Write what the exporter says of itself beside the event loop: of thousands of queries it is megabytes."""

    def write() -> _Page:
        own = told.render(form)
        packed = tuple(_shares(file(data, deflate(own))))
        return _Page(data, own, packed, _headers(form, sum(map(len, packed)), (b"content-encoding", b"gzip")))

    return await asyncio.to_thread(write)


def _shares(parts: Iterable[bytes]) -> Iterator[memoryview]:
    """Put small parts together, for each is a system call, and cut large ones.

    The latter are not copied: all clients share their bytes, and TLS takes memory only for one share each.
    """
    small: list[bytes] = []
    for part in parts:
        if sum(map(len, small)) + len(part) <= SHARE:
            small.append(part)
            continue
        yield memoryview(b"".join(small))
        small, view = [], memoryview(part)
        yield from (view[start : start + SHARE] for start in range(0, len(view), SHARE))
    yield memoryview(b"".join(small))


def _inflated(piece: Piece) -> Iterator[bytes]:
    """Give a piece's text bit by bit, so that a client that reads slowly holds little of it."""
    packed, inflater = memoryview(piece.blocks), isal_zlib.decompressobj(RAW)
    return (inflater.decompress(packed[start : start + PACKED_SHARE]) for start in range(0, len(packed), PACKED_SHARE))


def _headers(form: Format, size: int, *more: tuple[bytes, bytes]) -> Headers:
    return (b"content-type", form.value.encode()), VARY, (b"content-length", str(size).encode()), *more


def _wishes(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Give the two headers that say what a client wants; they are lists, and may come in several lines."""
    accept, coding = b"", b""
    for name, value in headers:
        if name == b"accept":
            accept = b"%b,%b" % (accept, value) if accept else value
        elif name == b"accept-encoding":
            coding = b"%b,%b" % (coding, value) if coding else value
    return accept, coding


@lru_cache(maxsize=64)
def _wanted(accept: bytes, coding: bytes) -> tuple[Format, bool]:
    """Give the format, and whether it is compressed."""
    return format_for(accept.decode("latin-1")), wants_gzip(coding.decode("latin-1"))


async def _answer(
    send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: Iterable[bytes | memoryview] = ()
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    sent, last = 0, memoryview(b"")
    for part in body:
        if last:
            await send({"type": "http.response.body", "body": last, "more_body": True})
        sent, last = sent + len(part), memoryview(part)
        if sent > SHARE:
            sent = 0
            await asyncio.sleep(0)  # sending does not wait for a client that reads fast
    await send({"type": "http.response.body", "body": last})

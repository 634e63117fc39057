"""``/metrics``: the joined pieces of the data, and the exporter's own metrics behind them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from isal import isal_zlib
from starlette.types import Message, Receive, Scope, Send

from exporter.exposition import Exposition, Format
from exporter.gzipped import RAW, Piece, deflate, file
from exporter.telemetry import Telemetry
from exporter.told import END_OF_BODY, Told
from exporter.web.negotiate import format_for, wants_gzip

SHARE = 1 << 18
"""Bytes that are sent before other requests have their turn."""

PACKED_SHARE = 1 << 14
"""Compressed bytes that are inflated to about as many."""

VARY = (b"vary", b"accept, accept-encoding")
GZIP = (b"content-encoding", b"gzip")

END: Message = {"type": "http.response.body"}

Headers = tuple[tuple[bytes, bytes], ...]

HEAD_AND_BODY = 2
"""Messages of an answer in one piece."""

FRESH = 1.0
"""Seconds for which memory and processor time of the process are good, if nothing else has changed."""


@dataclass(frozen=True, slots=True)
class _Page:
    """All that is told at one moment, in the order of the body; and as an answer with gzip.

    ``own`` is what the exporter says of itself, ``passing`` what of that changes all the time, and the end.
    """

    data: Piece
    own: Piece
    passing: Piece
    packed: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class _Writing:
    """A page that is being written, or is; ``versions`` and ``at`` say what it tells of."""

    versions: tuple[int, int]
    at: float
    page: asyncio.Future[_Page]

    @property
    def broken(self) -> bool:
        """Whether it came to no page."""
        return self.page.done() and (self.page.cancelled() or self.page.exception() is not None)

    def good(self, versions: tuple[int, int], now: float) -> bool:
        """Whether it still tells what is so."""
        return self.versions == versions and now - self.at < FRESH and not self.broken

    def own(self, version: int) -> Piece | None:
        """Give what it tells of the exporter, if that is still so and written."""
        known = self.versions[0] == version and self.page.done() and not self.broken
        return self.page.result().own if known else None


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
        # One of its own: those that all else shares may all hang, on a disk that does.
        self._thread = ThreadPoolExecutor(1, "metrics")

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a GET or HEAD request; others are refused."""
        messages: Iterable[Message]
        if scope["method"] not in ("GET", "HEAD"):
            messages = _answer(405, ((b"allow", b"GET, HEAD"),), ())
        else:
            form, zipped = _wanted(*_wishes(scope["headers"]))
            writing = self._writing(form)
            # A client that goes leaves the others their page.
            page = writing.result() if writing.done() else await asyncio.shield(writing)
            messages = page.packed if zipped else _plain(form, page)
            if scope["method"] == "HEAD":
                messages = (next(iter(messages)), END)
        sent = 0
        for message in messages:
            await send(message)
            if message.get("more_body"):
                sent += len(message["body"])
                if sent >= SHARE:
                    sent = 0
                    await asyncio.sleep(0)  # sending does not wait for a client that reads fast

    def ready(self, scope: Scope) -> Sequence[Message] | None:
        """Give the answer to a request if it can be had at once and goes out in one piece, as most scrapes' do."""
        form, zipped = _wanted(*_wishes(scope["headers"]))
        writing = self._pages.get(form)
        if scope["method"] != "GET" or not zipped or writing is None or not writing.own(self._telemetry.version):
            return None
        messages = self._writing(form).result().packed
        return messages if len(messages) == HEAD_AND_BODY else None

    def _writing(self, form: Format) -> asyncio.Future[_Page]:
        """Give what is so now: data and own metrics of one moment, for the ones tell how old the others are.

        It is written once for all who ask until something changes.
        """
        versions, now = (self._telemetry.version, self._exposition.version), self._clock()
        writing = self._pages.get(form)
        if writing is None or not writing.good(versions, now):
            data, passing = self._exposition.body(form), self._telemetry.collect_passing()
            page: asyncio.Future[_Page]
            if own := writing.own(versions[0]) if writing else None:
                page = asyncio.get_running_loop().create_future()
                page.set_result(_page(data, own, passing, form))
            else:
                page = asyncio.create_task(self._written(data, self._telemetry.collect(), passing, form))
            writing = self._pages[form] = _Writing(versions, now, page)
        return writing.page

    async def _written(self, data: Piece, own: Told, passing: Told, form: Format) -> _Page:
        """Write what the exporter says of itself beside the event loop: of thousands of queries it is megabytes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: _page(data, deflate(own.render(form)), passing, form))


def at(path: str, metrics: Metrics) -> Callable[[Scope], Sequence[Message] | None]:
    """Give what says which requests have an answer already; none but those of a path have."""
    return lambda scope: metrics.ready(scope) if scope["path"] == path else None


def _page(data: Piece, own: Piece, passing: Told, form: Format) -> _Page:
    """Put a page together; what is to be written for it are a few lines."""
    rest = deflate(passing.render(form) + END_OF_BODY[form])
    packed = tuple(_shares(file(data, own, rest)))
    size = sum(map(len, packed))
    return _Page(data, own, rest, tuple(_answer(200, (*_headers(form, size), GZIP), packed)))


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


def _plain(form: Format, page: _Page) -> Iterator[Message]:
    pieces = page.data, page.own, page.passing
    headers = _headers(form, sum(piece.size for piece in pieces))
    return _answer(200, headers, chain.from_iterable(map(_inflated, pieces)))


def _headers(form: Format, size: int) -> Headers:
    return (b"content-type", form.value.encode()), VARY, (b"content-length", str(size).encode())


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


def _answer(status: int, headers: Headers, parts: Iterable[bytes | memoryview]) -> Iterator[Message]:
    """Give an answer's messages. The last part goes along with the end, for each message may be a system call."""
    yield {"type": "http.response.start", "status": status, "headers": headers}
    last: bytes | memoryview = b""
    for part in parts:
        if last:
            yield {"type": "http.response.body", "body": last, "more_body": True}
        last = part
    yield {"type": "http.response.body", "body": last}

"""Vendors that fail on command: just enough of SmartSight and IBM, over a bare socket so that nothing is too broken.

A vendor is healthy until it is told a fault by name. It notes which window it answered whole and when: the judge holds
the exporter to that.
"""

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import struct
import time
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import formatdate
from http import HTTPStatus
from random import Random
from urllib.parse import parse_qsl, urlsplit

from truth import ABSENT, Dataset, Row, rows

from exporter.model import Window

KEY, CLIENT, SECRET = "a-key", "a-client", "a-secret"
HEALTHY = "healthy"
REFUSED = "refused"
LONG = 20.0
"""Seconds that a slow vendor takes, far beyond the time-out."""
HUGE = 3 * 2**20
"""Bytes beyond any `max_response` of the run."""


@dataclass(frozen=True)
class Asked:
    """A request."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What goes back; ``true`` if it tells a page of the truth, so that it may be published."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    true: bool = False

    def head(self, length: int) -> bytes:
        """Give what stands in front of a body that claims to be so long."""
        lines = {"Content-Type": "application/json", "Content-Length": str(length), **self.headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n{text}\r\n".encode()


@dataclass(frozen=True)
class Page:
    """The page that a request asks for: ``first`` is the number of its first row."""

    vendor: "Vendor"
    asked: Asked
    dataset: Dataset
    window: Window
    first: int

    @property
    def all(self) -> Sequence[Row]:
        """Every row of the answer that it is a page of."""
        return rows(self.dataset, self.window)

    @property
    def rows(self) -> Sequence[Row]:
        """Its own rows."""
        return self.all[self.first : self.first + self.dataset.page]

    @property
    def last(self) -> bool:
        """Whether no row is left behind it."""
        return self.first + self.dataset.page >= len(self.all)

    @property
    def elsewhere(self) -> "Page":
        """The first page of another window: rows that nobody may see under this one's name."""
        return replace(self, window=Window(self.window.start - 3600, self.window.end - 3600), first=0)

    def body(self, *, total: object = ABSENT) -> bytes:
        """Encode it, with another number of rows in all than there are."""
        return self.vendor.encode(self, len(self.all) if total is ABSENT else total)


class Writer:
    """A connection's end to write on."""

    def __init__(self, stream: asyncio.StreamWriter) -> None:
        self.stream = stream

    async def write(self, data: bytes) -> None:
        """Write, and wait until the system has taken it."""
        self.stream.write(data)
        await self.stream.drain()

    def reset(self) -> None:
        """End it with a reset (RST) instead of an end (FIN)."""
        with contextlib.suppress(OSError):
            self.stream.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.stream.transport.abort()

    def close(self) -> None:
        """End it."""
        self.stream.close()


# --- What a reply says ----------------------------------------------------------------------------------------------


def truth(page: Page) -> Reply:
    """Say what is so; compressed, now and then."""
    return zipped(page) if page.vendor.random.random() < 0.3 else plain(page)  # noqa: PLR2004 - now and then


def plain(page: Page) -> Reply:
    """Say what is so."""
    return Reply(body=page.body(), true=True)


def zipped(page: Page) -> Reply:
    """Say what is so, compressed."""
    return Reply(body=gzip.compress(page.body(), 1), headers={"Content-Encoding": "gzip"}, true=True)


def status(code: int, **headers: Callable[[], object]) -> Callable[[Page], Reply]:
    """Make a refusal; header values are made when it is sent."""

    def refuse(_: Page) -> Reply:
        made = {name.replace("_", "-"): str(make()) for name, make in headers.items()}
        detail = {"detail": "not now", "errors": [{"status": str(code), "title": "not now", "detail": "chaos"}]}
        return Reply(code, json.dumps(detail).encode(), made)

    return refuse


def instead(body: bytes, **headers: str) -> Callable[[Page], Reply]:
    """Make a reply of status 200 that says something else."""
    return lambda _: Reply(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def latin1(page: Page) -> Reply:
    """Write text in another encoding; where it is ASCII nobody can tell."""
    text = json.dumps(json.loads(page.body()), ensure_ascii=False)
    return Reply(body=text.encode("latin-1", "replace"), true=text.isascii())


def utf16(page: Page) -> Reply:
    """Write it in UTF-16: who reads that reads the truth."""
    return Reply(body=page.body().decode().encode("utf-16"), true=True)


def cut(page: Page) -> Reply:
    """Leave out the end of the JSON text, and count the bytes right."""
    body = page.body()
    return Reply(body=body[: page.vendor.random.randrange(1, len(body) - 1)])


def last_page_fails(page: Page) -> Reply:
    """Break in the middle of paging."""
    return status(500)(page) if page.first and page.last else truth(page)


def totals(page: Page) -> Reply:
    """Say a number of rows that is wrong, in a way that paging to the end shows."""
    wrong: tuple[object, ...] = (len(page.all) + 1000,)
    if page.vendor.short_page_ends and page.dataset.page >= page.vendor.usual_page:
        wrong += (None, "many", 5, -1)
    return Reply(body=page.body(total=page.vendor.random.choice(wrong)), true=True)


def repeated(page: Page) -> Reply:
    """Send the first page's rows again, and promise more."""
    return _again(page) if page.first and not page.last else truth(page)


def repeated_at_the_end(page: Page) -> Reply:
    """Send the first page's rows again in place of the last page's, which nothing follows."""
    return _again(page) if page.first and page.last else truth(page)


def endless(page: Page) -> Reply:
    """Send the first page's rows whatever page is asked for, and always promise more: true where it is the first."""
    if not page.all:
        return truth(page)
    body = page.vendor.encode(page, page.first + 10_000, page.all[: page.dataset.page])
    return Reply(body=body, true=page.first == 0)


def _again(page: Page) -> Reply:
    """Give the first page's rows under this page's totals."""
    return Reply(body=page.vendor.encode(page, len(page.all), page.all[: len(page.rows)]))


def shrunken(page: Page) -> Reply:
    """Lie: say on the second page that there are no more."""
    ends = page.first + len(page.rows)
    return Reply(body=page.body(total=ends if page.first else len(page.all)), true=page.first == 0 or page.last)


def redirect(page: Page) -> Reply:
    """Point to a place where other numbers are."""
    where = f"{page.vendor.url}/elsewhere{page.asked.path}?" + "&".join(
        f"{k}={v}" for k, v in page.asked.params.items()
    )
    return Reply(page.vendor.random.choice((301, 302, 307)), headers={"Location": where})


def giant(page: Page) -> Reply:
    """Send more than `max_response`: other numbers, and spaces."""
    return Reply(body=page.elsewhere.body() + b" " * HUGE)


def bomb(page: Page) -> Reply:
    """Send more than `max_response` after decompression."""
    body = gzip.compress(page.elsewhere.body() + b" " * 16 * HUGE, 1)
    return Reply(body=body, headers={"Content-Encoding": "gzip"})


def broken_gzip(page: Page) -> Reply:
    """Cut a compressed body."""
    whole = zipped(page)
    return replace(whole, body=whole.body[: len(whole.body) // 2] + b"chaos", true=False)


def twice_zipped(page: Page) -> Reply:
    """Compress twice: who reads that reads the truth."""
    return Reply(body=gzip.compress(zipped(page).body), headers={"Content-Encoding": "gzip, gzip"}, true=True)


def one_query(page: Page) -> Reply:
    """Refuse one kind of query only."""
    return status(422)(page) if page.dataset.name == page.vendor.victim else truth(page)


# --- How it is sent -------------------------------------------------------------------------------------------------

Sent = Callable[[], None]
"""To be called just before the last bytes of a reply leave."""


async def at_once(writer: Writer, reply: Reply, sent: Sent) -> None:
    """Send it as vendors do."""
    sent()
    await writer.write(reply.head(len(reply.body)) + reply.body)


async def drip_whole(writer: Writer, reply: Reply, sent: Sent) -> None:
    """Send it in pieces, within the time-out."""
    step = len(reply.body) // 5 + 1
    await writer.write(reply.head(len(reply.body)))
    for start in range(0, len(reply.body), step):
        await asyncio.sleep(0.15)
        if start + step >= len(reply.body):
            sent()
        await writer.write(reply.body[start : start + step])


async def drip(writer: Writer, reply: Reply, _: Sent) -> None:
    """Send byte by byte, so that no single read ever waits long."""
    await writer.write(reply.head(len(reply.body)))
    for byte in reply.body:
        await asyncio.sleep(0.2)
        await writer.write(bytes([byte]))


async def slow(writer: Writer, reply: Reply, _: Sent) -> None:
    """Answer when nobody waits any more."""
    await asyncio.sleep(LONG)
    await writer.write(reply.head(len(reply.body)) + reply.body)


async def hang(writer: Writer, _: Reply, __: Sent) -> None:
    """Never answer, and let go long after whoever asked."""
    await asyncio.sleep(3 * LONG)
    writer.close()


async def reset(writer: Writer, reply: Reply, _: Sent) -> None:
    """Reset the connection in the middle."""
    await writer.write(reply.head(len(reply.body)) + reply.body[: len(reply.body) // 2])
    await asyncio.sleep(0.02)
    writer.reset()


async def truncate(writer: Writer, reply: Reply, _: Sent) -> None:
    """Close the connection in the middle."""
    await writer.write(reply.head(len(reply.body)) + reply.body[: len(reply.body) // 2])
    writer.close()


async def close(writer: Writer, _: Reply, __: Sent) -> None:
    """Close the connection without a word."""
    writer.close()


async def garbage(writer: Writer, _: Reply, __: Sent) -> None:
    """Send what is no HTTP."""
    await writer.write(b"\x16\x03\x01\x02\x00\x01\x00 chaos \r\n\r\n")
    writer.close()


async def bad_chunks(writer: Writer, reply: Reply, _: Sent) -> None:
    """Send chunks with lengths that are none."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    await writer.write(head + b"10\r\n" + reply.body[:16] + b"\r\nzz\r\n" + reply.body[16:])
    writer.close()


Make = Callable[[Page], Reply]
Send = Callable[[Writer, Reply, Sent], Awaitable[None]]

SHAPES = (b"null", b"[]", b'"text"', b"17", b'{"detail": "ok"}', b'{"response": {}, "data": {}}', b'{"response": null}')
SOON = 3
"""Seconds of the waiting that a refusal advises."""

FAULTS: dict[str, tuple[Make, Send]] = {
    REFUSED: (truth, close),
    "reset in the middle": (plain, reset),
    "truncated body": (plain, truncate),
    "closed at once": (plain, close),
    "slow drip": (plain, drip),
    "slow drip, whole": (truth, drip_whole),
    "20 s answer": (truth, slow),
    "hang": (truth, hang),
    "no HTTP": (truth, garbage),
    "broken chunks": (plain, bad_chunks),
    "500": (status(500), at_once),
    "502": (status(502), at_once),
    "503": (status(503), at_once),
    "503, retry after": (status(503, Retry_After=lambda: SOON), at_once),
    "429": (status(429), at_once),
    "429, retry after": (status(429, Retry_After=lambda: SOON), at_once),
    "429, retry after date": (status(429, Retry_After=lambda: formatdate(time.time() + SOON, usegmt=True)), at_once),
    "429, reset": (
        status(429, X_RateLimit_Remaining=lambda: 0, X_RateLimit_Reset=lambda: int(time.time()) + SOON),
        at_once,
    ),
    "401": (status(401), at_once),
    "403": (status(403), at_once),
    "404": (status(404), at_once),
    "422 for one query": (one_query, at_once),
    "204": (lambda _: Reply(204), at_once),
    "HTML": (instead(b"<html><body>Service unavailable</body></html>", Content_Type="text/html"), at_once),
    "empty body": (instead(b""), at_once),
    "another shape": (lambda page: Reply(body=page.vendor.random.choice(SHAPES)), at_once),
    "Latin-1": (latin1, at_once),
    "UTF-16": (utf16, at_once),
    "truncated JSON": (cut, at_once),
    "last page fails": (last_page_fails, at_once),
    "wrong totals": (totals, at_once),
    "repeated page": (repeated, at_once),
    "repeated last page": (repeated_at_the_end, at_once),
    "endless pages": (endless, at_once),
    "redirect": (redirect, at_once),
    "broken gzip": (broken_gzip, at_once),
    "compressed twice": (twice_zipped, at_once),
    "deep nesting": (instead(b"[" * 200_000), at_once),
    "giant": (giant, at_once),
    "gzip bomb": (bomb, at_once),
}
"""What can be wrong with an answer of any vendor."""

LIES: dict[str, tuple[Make, Send]] = {"shrunken totals": (shrunken, at_once)}
"""What an answer alone does not give away; whether an exporter should notice is a matter of taste."""

KNOWN = {**FAULTS, **LIES}

TOKEN_FAULTS: dict[str, tuple[Make, Send]] = {
    "token: hang": (truth, hang),
    "token: 503": (status(503), at_once),
    "token: 400": (lambda _: Reply(400, b'{"error": "invalid_client"}'), at_once),
    "token: HTML": (instead(b"<html>log in</html>"), at_once),
    "token: no token": (instead(b'{"expires_in": 60}'), at_once),
    "token: reset": (instead(b'{"access_token": "half'), reset),
}
"""What can be wrong with a log-in."""

REVOKED_EARLY = "tokens revoked early"


class Vendor:
    """One vendor on loopback, healthy until :meth:`troubled`. ``answers`` says when which window was answered whole."""

    usual_page = 10_000
    short_page_ends = False
    """Whether a page with fewer rows than were asked for means the end where no total is said."""

    def __init__(self, name: str, datasets: Sequence[Dataset], random: Random) -> None:
        self.name = name
        self.datasets = {dataset.name: dataset for dataset in datasets}
        self.random: Random = random
        self.fault = HEALTHY
        self.share = 1.0
        self.victim = ""
        self.answers: defaultdict[tuple[str, Window], list[float]] = defaultdict(list)
        self.hits: Counter[str] = Counter()
        self.active = 0
        """How many requests are being answered."""
        self.broken: list[str] = []
        """What it could not read, which is the benchmark's fault or the exporter's, and no chaos."""
        self.url = ""
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._served: defaultdict[tuple[str, Window], set[int]] = defaultdict(set)

    @abstractmethod
    def page(self, asked: Asked) -> Page | None:
        """Find what a request asks for; ``None`` if it may not."""

    @abstractmethod
    def encode(self, page: Page, total: object, those: Sequence[Row] | None = None) -> bytes:
        """Encode a page, with other rows than its own if they are given."""

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["Vendor"]:
        """Serve on a port that stays the same until the end."""
        self._port = port
        await self._listen()
        try:
            yield self
        finally:
            self._hang_up()

    @contextlib.asynccontextmanager
    async def troubled(self, fault: str, share: float = 1.0) -> AsyncIterator[None]:
        """Have a fault, in a share of the answers, for as long as the context is open."""
        self.fault, self.share, self.victim = fault, share, self.random.choice(sorted(self.datasets))
        if fault == REFUSED:
            self._hang_up()
        try:
            yield
        finally:
            self.fault = HEALTHY
            if fault == REFUSED:
                await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def _hang_up(self) -> None:
        if self._server:
            self._server.close()
        for stream in list(self._open):
            stream.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        self._open.add(stream)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not stream.is_closing():
                asked = await _request(reader)
                self.active += 1
                try:
                    await self._answer(asked, Writer(stream))
                except (AssertionError, LookupError, ValueError) as error:
                    self.broken.append(f"{type(error).__name__}: {error}, asked {asked}")
                    return
                finally:
                    self.active -= 1
        self._open.discard(stream)
        stream.close()

    async def _answer(self, asked: Asked, writer: Writer) -> None:
        page = self.page(asked)
        if page is None:
            await at_once(writer, Reply(401, b'{"detail": "who are you?"}'), lambda: None)
            return
        struck = self.fault in KNOWN and self.random.random() < self.share
        make, send = KNOWN[self.fault] if struck else (truth, at_once)
        self.hits[self.fault if struck else HEALTHY] += 1
        reply = make(page)
        await send(writer, reply, lambda: self._note(page) if reply.true else None)

    def _note(self, page: Page) -> None:
        """Note a page of the truth; once all pages of an answer have left, that it was whole."""
        if page.asked.path.startswith("/elsewhere"):
            return
        key = page.dataset.name, page.window
        self._served[key].add(page.first)
        if page.last and self._served[key] >= set(range(0, len(page.all), page.dataset.page)):
            self.answers[key].append(time.time())


class SmartSight(Vendor):
    """``metricquery`` with a key; the data set is named by the dimensions that are asked for."""

    usual_page = 1000
    short_page_ends = True

    def page(self, asked: Asked) -> Page | None:
        """Find the page by period, dimensions and offset."""
        if asked.headers.get("x-api-key") != KEY:
            return None
        dataset = self.datasets[asked.params.get("aggby", "")]
        if not set(asked.params["metrics"].split(",")) <= set(dataset.fields):
            raise AssertionError(f"asked for metrics that nobody configured: {asked.params}")
        start, end = (int(bound.partition("=")[2]) for bound in asked.params["period"].split(","))
        return Page(self, asked, dataset, Window(start, end), int(asked.params.get("offset", 0)))

    def encode(self, page: Page, total: object, those: Sequence[Row] | None = None) -> bytes:
        """Encode rows flat, with fields that nobody asked for."""
        found = [_flat(row, page.dataset.dimensions) for row in (page.rows if those is None else those)]
        counts = {"totalcount": total, "pagecount": len(found), "totalrecords": total}
        return json.dumps({**counts, "response": found}, ensure_ascii=page.first > 0).encode()


class Ibm(Vendor):
    """The counted series, with client credentials; the data set is named by the path."""

    def __init__(self, name: str, datasets: Sequence[Dataset], random: Random) -> None:
        super().__init__(name, datasets, random)
        self._tokens: dict[str, float] = {}
        self._logins = 0

    @contextlib.asynccontextmanager
    async def troubled(self, fault: str, share: float = 1.0) -> AsyncIterator[None]:
        """Revoke all tokens first where the log-in is in trouble: nobody would notice it."""
        if fault.startswith("token"):
            self._tokens.clear()
        async with super().troubled(fault, share):
            yield

    async def _answer(self, asked: Asked, writer: Writer) -> None:
        if asked.path != "/oauth2/token":
            await super()._answer(asked, writer)
            return
        if self.fault in TOKEN_FAULTS:
            self.hits[self.fault] += 1
            make, send = TOKEN_FAULTS[self.fault]
            nothing = Page(self, asked, next(iter(self.datasets.values())), Window(0, 1), 0)
            await send(writer, replace(make(nothing), true=False), lambda: None)
            return
        await at_once(writer, self._login(asked), lambda: None)

    def _login(self, asked: Asked) -> Reply:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        form = {"grant_type": "client_credentials", "client_id": CLIENT, "token_type": "jwt"}
        if asked.headers.get("authorization") != f"Basic {basic}" or dict(asked.form) != form:
            return Reply(400, b'{"error": "invalid_client"}')
        self._logins += 1
        token = f"jwt-{self._logins}"
        early = self.fault == REVOKED_EARLY
        self.hits[self.fault] += early
        self._tokens[token] = time.time() + (1.5 if early else 60)
        answer = {"access_token": token, "token_type": "jwt", "expires_in": 60, "refresh_token": "unused"}
        return Reply(body=json.dumps(answer).encode())

    def page(self, asked: Asked) -> Page | None:
        """Find the page by path, times and number."""
        if self._tokens.get(asked.headers.get("authorization", ""), 0) < time.time():
            return None
        dataset = self.datasets[asked.path.removeprefix("/elsewhere").removeprefix("/v1")]
        start, end = (
            int(datetime.fromisoformat(asked.params[f"date_time_{side}"]).timestamp()) for side in ("from", "to")
        )
        return Page(self, asked, dataset, Window(start, end), (int(asked.params["_page"]) - 1) * dataset.page)

    def encode(self, page: Page, total: object, those: Sequence[Row] | None = None) -> bytes:
        """Encode rows as points, with a link to the next page while there is one."""
        dataset = page.dataset
        data = [_point(row, dataset) for row in (page.rows if those is None else those)]
        more = isinstance(total, int) and page.first + dataset.page < total and bool(data)
        number = page.first // dataset.page + 1
        link = {"href": f"{dataset.name}?_page={number + 1}&_limit=10"} if more else None
        pagination = {"count": total, "next": link} if data else {}
        return json.dumps({"data": data, "pagination": pagination}).encode()


def _flat(row: Row, dimensions: Sequence[str]) -> object:
    if row.raw is not ABSENT:
        return row.raw
    pairs = {**dict(zip(dimensions, row.sent, strict=True)), **row.cells, "playdur": 17, "totalpages": "4"}
    return {name: value for name, value in pairs.items() if value is not ABSENT}


def _point(row: Row, dataset: Dataset) -> object:
    if row.raw is not ABSENT:
        return row.raw
    pairs = {"dimension_type": dataset.dimensions[0], "point": row.sent[0], "value": row.cells[dataset.fields[0]]}
    return {"type": "Series", "attributes": {name: value for name, value in pairs.items() if value is not ABSENT}}


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    _, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
    url = urlsplit(target)
    return Asked(url.path, dict(parse_qsl(url.query)), headers, dict(parse_qsl(body)))

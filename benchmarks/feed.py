"""A vendor that costs next to nothing: SmartSight's `metricquery`, answered from ready bytes.

    python benchmarks/feed.py '{"port": 8000, "rows": 5000, ...}'

It is asked for rows by a query's option `table`. A value of the first row is the moment of the answer, so that whoever
sees it scraped knows how old it is. `/stats` tells how many requests came, and how long each was kept waiting.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import uvicorn
from processes import answers, free_port, process
from samples import FAMILIES, Row, answer, table
from starlette.types import Receive, Scope, Send

STAMP = 1234567890.123456
"""Stands in the first row's first count, until the moment of an answer takes its place."""


@dataclass(frozen=True)
class Feed:
    """What is answered: ``rows`` of ``fields``, in pages as asked or (``whole``) in one, ``delay`` seconds late.

    There are so many ``versions`` of each table, in turns; with ``moving`` also the labels differ.
    """

    rows: int
    fields: Sequence[str] = tuple(FAMILIES)
    port: int = 0
    whole: bool = True
    delay: float = 0
    versions: int = 1
    moving: bool = False
    stamped: bool = False

    def body(self, name: str, version: int, offset: int, limit: int) -> bytes:
        """Give a page."""
        rows = table(name, self.rows, poll=version, other=f" {version}" if self.moving else "")
        if self.stamped:
            rows[0] = Row(rows[0].labels, (STAMP, *rows[0].sent[1:]))
        return answer(rows if self.whole else rows[offset : offset + limit], self.fields, self.rows)


class Vendor:
    """The ASGI application."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.waits: list[float] = []
        self.came: dict[str, list[float]] = {}
        self.requests = 0
        self._bodies: dict[tuple[str, int, int, int], bytes] = {}

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer anything with rows, but for what it is asked of itself."""
        began = time.perf_counter()
        if scope["path"] == "/stats":
            body = json.dumps({"requests": self.requests, "waits": self.waits, "came": self.came}).encode()
        else:
            body = self._page(scope["query_string"])
            if self.feed.delay:
                await asyncio.sleep(self.feed.delay)
            if self.feed.stamped:
                body = body.replace(str(STAMP).encode(), f"{time.time():.6f}".encode(), 1)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})
        if scope["path"] != "/stats":
            self.waits.append(time.perf_counter() - began)

    def _page(self, asked: bytes) -> bytes:
        params = parse_qs(asked.decode())
        key = (
            params.get("table", ["t"])[0],
            self.requests % self.feed.versions,
            int(params.get("offset", ["0"])[0]),
            int(params.get("limit", ["1000"])[0]),
        )
        self.requests += 1
        self.came.setdefault(key[0], []).append(time.time())
        if key not in self._bodies:
            self._bodies[key] = self.feed.body(*key)
        return self._bodies[key]


@asynccontextmanager
async def fed(feed: Feed, directory: Path) -> AsyncIterator[str]:
    """Run a vendor in a process of its own, and give its URL."""
    port = free_port()
    command = [sys.executable, __file__, json.dumps(asdict(feed) | {"port": port})]
    async with process(command, directory / "feed.log"):
        await answers(f"http://127.0.0.1:{port}/stats")
        yield f"http://127.0.0.1:{port}"


def arrivals(url: str) -> dict[str, list[float]]:
    """Give when a vendor was asked for each table."""
    came: dict[str, list[float]] = httpx.get(f"{url}/stats", trust_env=False, timeout=60).json()["came"]
    return came


def stats(url: str) -> tuple[int, list[float]]:
    """Give how many requests a vendor had, and the seconds that each took it."""
    said = httpx.get(f"{url}/stats", trust_env=False).json()
    return said["requests"], said["waits"]


def main() -> None:
    """Serve until killed."""
    feed = Feed(**json.loads(sys.argv[1]))
    uvicorn.run(Vendor(feed), port=feed.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()

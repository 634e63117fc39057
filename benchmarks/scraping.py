"""What a scrape costs: CPU of the server's whole process, and how long the client waits, at several sizes.

All servers are up at once with the same samples, which is shown first; each round visits them in another order.
"""

import asyncio
import contextlib
import gzip
import http.client
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import rivals
from figures import AGAIN, OURS, Costs, Section, Verdict, at_least, markdown, percentile, quiet
from rivals import CLIENT, FILLING, GO, LIMIT, Server
from samples import Holding, parsed

ALLOWED = {
    1_000: {CLIENT: 150},
    100_000: {CLIENT: 2000, GO: 300, LIMIT: 1 / 4},
    1_000_000: {CLIENT: 2500, GO: 500, LIMIT: 1 / 3},
}
"""How many times as much as ours the others must cost, gzip."""

MOST_SCRAPES, VISIT = 3000, 0.6
"""Scrapes of one server in a round, unless they would take longer than so many seconds."""

REST = 1.1
"""Seconds after which what the exporter tells of its own process is no longer as fresh as at the last scrape."""

PACKED, PLAIN = "gzip", "identity"
MAGIC = b"\x1f\x8b"
"""How a gzip file begins."""


class Scraper:
    """Scrapes a server over a connection that stays open, where the server leaves it so, as Prometheus does."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._connection = http.client.HTTPConnection(server.address, timeout=FILLING)
        self.packs = False
        """Whether it gives gzip when asked for it."""
        self.walls: dict[str, list[float]] = {PACKED: [], PLAIN: []}

    def scrape(self, encoding: str) -> bytes:
        """Give a body, as it is sent."""
        began = time.perf_counter()
        try:
            response = self._answer(encoding)
        except http.client.RemoteDisconnected:  # it was idle for too long
            response = self._answer(encoding)
        body = response.read()
        self.walls[encoding].append(time.perf_counter() - began)
        assert response.status == http.client.OK, response.status
        self.packs |= response.headers.get("Content-Encoding") == PACKED
        return body

    def _answer(self, encoding: str) -> http.client.HTTPResponse:
        headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": encoding}
        self._connection.request("GET", "/metrics", headers=headers)
        return self._connection.getresponse()

    def text(self, encoding: str = PACKED) -> str:
        """Give a body's text."""
        body = self.scrape(encoding)
        return (gzip.decompress(body) if body.startswith(MAGIC) else body).decode()

    @property
    def series(self) -> int:
        """How many series of the comparison it shows."""
        return f"\n{self.text(PLAIN)}".count("\nsmartsight_")

    async def until(self, series: int) -> None:
        """Wait until it shows so many."""
        async with asyncio.timeout(FILLING):
            while self.series < series:  # noqa: ASYNC110 - another process fills it
                await asyncio.sleep(1)

    def cpu(self, encoding: str) -> float:
        """Give the milliseconds of CPU that one scrape costs the server; fast ones are asked many times."""
        usual = statistics.median(self.walls[encoding])
        count = min(MOST_SCRAPES, max(1, int(VISIT / usual)))
        before = self.server.cpu
        for _ in range(count):
            self.scrape(encoding)
        return (self.server.cpu - before) / count * 1e3


@dataclass
class Measured:
    """What was found at one size."""

    series: int
    costs: dict[str, Costs] = field(default_factory=lambda: {PACKED: Costs(), PLAIN: Costs()})
    scrapers: list[Scraper] = field(default_factory=list)
    rested: list[float] = field(default_factory=list)


async def measure(series: int, rounds: int, directory: Path) -> Measured:
    """Start all servers, show that they are equal, and scrape them in turns."""
    holding, found = Holding.of(series), Measured(series)
    async with contextlib.AsyncExitStack() as stack:
        own = await stack.enter_async_context(rivals.ours(holding, directory, OURS, AGAIN))
        first = Scraper(own[0])
        files = {"metrics": first.text(PLAIN).encode(), "metrics.gz": first.scrape(PACKED)}
        others = [
            rivals.gauges(holding, directory),
            rivals.query_exporter(holding, directory),
            rivals.pushgateway(holding, directory),
            rivals.nginx(files, directory),
        ]
        servers = own + [await stack.enter_async_context(other) for other in others]
        found.scrapers = [Scraper(server) for server in servers]
        await _equal(found.scrapers, holding)
        _rounds(found, rounds)
        for _ in range(5):
            await asyncio.sleep(REST)
            before = own[0].cpu
            first.scrape(PACKED)
            found.rested.append((own[0].cpu - before) * 1e3)
    return found


async def _equal(scrapers: Sequence[Scraper], holding: Holding) -> None:
    """Show that all have the same series with the same values; query-exporter's come when it has asked SQLite."""
    expected = parsed(scrapers[0].text())
    assert len(expected) == holding.series, f"{len(expected)} series for {holding.series}"
    for scraper in scrapers:
        await scraper.until(holding.series)
        assert parsed(scraper.text()) == expected, f"{scraper.server.name} shows other samples"
        assert parsed(scraper.text(PLAIN)) == expected, f"{scraper.server.name} shows other samples without gzip"


def _rounds(found: Measured, rounds: int) -> None:
    chance = Random(found.series)  # noqa: S311 - no secrets
    for encoding, costs in found.costs.items():
        for number in range(-1, rounds):
            order = chance.sample(found.scrapers, len(found.scrapers))
            spent = {scraper.server.name: scraper.cpu(encoding) for scraper in order}
            if number >= 0:
                costs.add(spent)


def section(rounds: int, sizes: Sequence[int]) -> Section:
    """Measure every size."""
    lines: list[list[str]] = []
    verdicts: list[Verdict] = []
    for series in sizes:
        with tempfile.TemporaryDirectory() as directory:
            found = asyncio.run(measure(series, max(3, rounds // (1 + series // 200_000)), Path(directory)))
        for encoding in found.costs:
            lines += [_line(found, encoding, scraper) for scraper in found.scrapers]
        lines.append(
            [f"{series:,}", "gzip, the first in a second", OURS, f"{statistics.median(found.rested):.3f}", "", "", ""]
        )
        what = f"scrape of {series:,} series"
        costs = found.costs[PACKED]
        verdicts += [at_least(what, costs, rival, least) for rival, least in ALLOWED.get(series, {}).items()]
        verdicts.append(quiet(what, costs))
    head = ("series", "coding", "server", "CPU, ms", "ours of that", "p50, ms", "p99, ms")
    return Section("A scrape", markdown(head, lines), verdicts)


def _line(found: Measured, encoding: str, scraper: Scraper) -> list[str]:
    name, costs = scraper.server.name, found.costs[encoding]
    ratio = "" if name == OURS else f"1/{costs.ratio(name)[0]:,.1f}"
    walls = [percentile(scraper.walls[encoding], each) * 1e3 for each in (50, 99)]
    coding = encoding if scraper.packs or encoding == PLAIN else "gzip asked, none given"
    return [f"{found.series:,}", coding, name, f"{costs.median(name):.3f}", ratio, *(f"{wall:.2f}" for wall in walls)]

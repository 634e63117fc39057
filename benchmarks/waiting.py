"""How long things take.

A scrape while large pages arrive, and as a real Prometheus times it; a vendor's answer until it is scraped; a request
beside 63 others.
"""

import asyncio
import contextlib
import json
import os
import re
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import rivals
from feed import Feed, fed, stats
from figures import AGAIN, OURS, Section, Verdict, at_most, markdown, percentile
from processes import prometheus, samples
from rivals import CLIENT, configuration, exporter
from samples import Holding
from scraping import PACKED, Scraper

from exporter.clock import steady
from exporter.config import load
from exporter.model import Bounds, Request
from exporter.providers.http import Client
from exporter.telemetry import Telemetry

T = TypeVar("T")

FIELDS = ("attempts", "viewercount", "latency", "p95_latency", "bufferingratio", "failurerate")

BUSY = "pages arrive"
LARGE = 10_000
"""Rows of a large page."""
LONGER = 10
"""Milliseconds that the 99th percentile may be above an idle exporter's."""

HEAD = 1000
"""Bytes of a body that hold its first series."""

PAUSE = 0.03
"""Seconds between two scrapes of the same exporter."""

FLIGHT, EACH, DELAY = (8, 64), 20, 0.2
"""Requests in flight, how many each of them is followed by, and the seconds that the vendor takes."""
SLOWER = 1.2

SERIES, SCRAPE_INTERVAL, FASTER = 100_000, 10, 10
ARRIVING = (100, 1000, 10_000)


async def beside_pages(seconds: float, directory: Path) -> dict[str, list[float]]:
    """Give the times of scrapes, in seconds: of two idle exporters, and of one that has a large page every second."""
    async with contextlib.AsyncExitStack() as stack:
        scrapers = {}
        url = await stack.enter_async_context(fed(Feed(LARGE, FIELDS, versions=3), directory))
        for name, interval in ((OURS, 3600), (AGAIN, 3600), (BUSY, 1)):
            config = configuration(url, ["t"], interval=interval, metrics=FIELDS)
            scrapers[name] = Scraper(await stack.enter_async_context(exporter(name, config, directory)))
        before, _ = stats(url)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for scraper in scrapers.values():
                await asyncio.sleep(PAUSE / len(scrapers))
                scraper.scrape(PACKED)
        pages = stats(url)[0] - before
        assert pages >= 0.8 * seconds, f"only {pages} pages arrived in {seconds:g} s"
        return {name: scraper.walls[PACKED] for name, scraper in scrapers.items()}


async def until_scraped(rows: int, seconds: float, directory: Path) -> list[float]:
    """Give the times from a vendor's answer of so many rows until a scrape shows it."""
    found: dict[float, float] = {}
    async with fed(Feed(rows, FIELDS, versions=3, stamped=True), directory) as url:
        config = configuration(url, ["t"], interval=1, metrics=FIELDS)
        async with exporter(OURS, config, directory) as server:
            scraper, end = Scraper(server), time.monotonic() + seconds
            while time.monotonic() < end:
                await asyncio.sleep(0.001)
                head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(scraper.scrape(PACKED), HEAD)
                stamp = float(re.search(rb"^smartsight_\w+\{.*\} (\S+)$", head, re.MULTILINE)[1])
                found.setdefault(stamp, time.time() - stamp)
    return list(found.values())[1:]


async def in_flight(count: int, each: int, delay: float, directory: Path) -> tuple[list[float], list[float], float]:
    """Keep so many requests in flight at a slow vendor; give the client's times, the vendor's, and the CPU of one."""
    async with fed(Feed(100, FIELDS, delay=delay), directory) as url:
        text = json.loads(configuration(url, ["t"], metrics=FIELDS))
        text["sources"][rivals.SOURCE]["limits"] = {"concurrency": count}
        config = load(json.dumps(text), name="waiting", env={})
        source = config.sources[rivals.SOURCE]
        client = Client(rivals.SOURCE, source.provider, Telemetry(time.time), clock=steady, now=time.time)
        times: list[float] = []

        async def ask() -> None:
            for _ in range(each):
                began = time.perf_counter()
                await client.get(Request("metricquery", "/rows", (("table", "t"),)), Bounds(60, 2**26, 60), _read)
                times.append(time.perf_counter() - began)

        await asyncio.gather(*(ask() for _ in range(count)))
        began = time.process_time()
        times.clear()
        await asyncio.gather(*(ask() for _ in range(count)))
        spent = (time.process_time() - began) / len(times)
        await client.aclose()
        return times, stats(url)[1][-len(times) :], spent


async def _read(body: bytes) -> bytes:
    return body


async def by_prometheus(series: int, seconds: float, directory: Path) -> dict[str, float]:
    """Give the usual `scrape_duration_seconds` of a real Prometheus, of ours and of prometheus-client."""
    holding = Holding.of(series)
    async with contextlib.AsyncExitStack() as stack:
        [own] = await stack.enter_async_context(rivals.ours(holding, directory, OURS))
        other = await stack.enter_async_context(rivals.gauges(holding, directory))
        interval, cores = f"{SCRAPE_INTERVAL}s", os.cpu_count() or 1
        url = await stack.enter_async_context(
            prometheus(own.address, directory, other.address, interval=interval, cores=cores)
        )
        began = time.time()
        # Prometheus spreads its targets over the first interval, and the first scrape of all is not as the others.
        await asyncio.sleep(max(seconds, 4 * SCRAPE_INTERVAL))
        found = samples(url, "scrape_duration_seconds", began, time.time())
        counts = samples(url, "scrape_samples_scraped", began, time.time())
    assert all(value >= series for _, values in counts for _, value in values), "a scrape failed"
    names = {own.address: OURS, other.address: CLIENT}
    return {names[labels["instance"]]: statistics.median(value for _, value in values[1:]) for labels, values in found}


def _in_directory(measure: Callable[[Path], Coroutine[Any, Any, T]]) -> T:
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(measure(Path(directory)))


def _times(name: str, values: Sequence[float]) -> list[str]:
    """Give a line of a table: how many, and percentiles in milliseconds."""
    return [name, str(len(values)), *(f"{percentile(values, each) * 1e3:.2f}" for each in (50, 99))]


HEAD_OF_TIMES = ("", "times", "p50, ms", "p99, ms")


def pages(seconds: float) -> Section:
    """Measure scrapes while large pages arrive."""
    found = _in_directory(lambda directory: beside_pages(seconds, directory))
    lines = [_times(name, values) for name, values in found.items()]
    late = {name: percentile(values, 99) * 1e3 for name, values in found.items()}
    title = f"A scrape while {LARGE:,} rows arrive every second"
    verdicts = [
        at_most(f"{title}: p99 above an idle exporter's", late[BUSY] - late[OURS], LONGER, " ms"),
        at_most("noise: p99 of an idle exporter above another one's", abs(late[OURS] - late[AGAIN]), LONGER / 2, " ms"),
    ]
    return Section(title, markdown(HEAD_OF_TIMES, lines), verdicts)


def arrival(seconds: float) -> Section:
    """Measure how long an answer takes to be scraped."""
    found = {
        rows: _in_directory(lambda directory, rows=rows: until_scraped(rows, seconds, directory)) for rows in ARRIVING
    }
    lines = [_times(f"{rows:,} rows, {rows * len(FIELDS):,} series", values) for rows, values in found.items()]
    return Section("From a vendor's answer to its being scraped", markdown(HEAD_OF_TIMES, lines))


def flight() -> Section:
    """Measure requests in flight by the exporter's client."""
    lines: list[list[str]] = []
    verdicts: list[Verdict] = []
    for count in FLIGHT:
        own, vendors, spent = _in_directory(lambda directory, count=count: in_flight(count, EACH, DELAY, directory))
        lines += [[*_times(f"{count} in flight", own), f"{spent * 1e3:.2f}"], [*_times("the vendor", vendors), ""]]
        slower = percentile(own, 99) / percentile(vendors, 99)
        if count == max(FLIGHT):
            verdicts.append(at_most(f"{count} requests in flight: p99 of the vendor's own", slower, SLOWER, " x"))
    return Section("Requests in flight", markdown((*HEAD_OF_TIMES, "CPU a request, ms"), lines), verdicts)


def timed_by_prometheus(seconds: float) -> Section:
    """Let a real Prometheus measure scrapes."""
    found = _in_directory(lambda directory: by_prometheus(SERIES, seconds, directory))
    lines = [[name, f"{value * 1e3:.0f}"] for name, value in found.items()]
    title = f"`scrape_duration_seconds` of a real Prometheus, {SERIES:,} series"
    verdicts = [at_most(f"{title}, of {CLIENT}'s", found[OURS] / found[CLIENT], 1 / FASTER, " x")]
    return Section(title, markdown(("", "median, ms"), lines), verdicts)

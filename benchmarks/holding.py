"""What it costs to hold data and to do little: memory a series, requests, CPU and memory of an idle exporter."""

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import rivals
from feed import Feed, fed, stats
from figures import OURS, Section, Verdict, at_most, markdown
from rivals import CLIENT, GO, QUERIES, configuration, exporter
from samples import FAMILIES, Holding
from scraping import PACKED, PLAIN, Scraper

from exporter.providers.smartsight import PAGE

MOST_A_SERIES, AT = 250, 1_000_000
"""Bytes that a series may take, and of how many series."""

IDLE_QUERIES, IDLE_ROWS, IDLE_INTERVAL = 100, 10, 60
IDLE_FIELDS = ("attempts", "latency", "p95_latency", "bufferingratio")
MOST_IDLE_MEMORY, MOST_IDLE_CPU = 70, 0.5
"""MB, and percent of a core."""

SCRAPE_INTERVAL = 15
POLLS, POLL_INTERVAL = 3, 10
"""Polls after which memory is measured: after the first one it may still be as it was built."""


async def _ours(holding: Holding, directory: Path) -> tuple[int, int]:
    """Give what ours holds without a row, and with all of them after some polls that changed every value."""
    held = []
    for rows in (0, holding.rows):
        async with fed(Feed(rows, versions=2), directory) as url:
            interval = POLL_INTERVAL + 3 * holding.queries
            config = configuration(url, holding.names, interval=interval)
            async with exporter(OURS, config, directory) as server:
                scraper = Scraper(server)
                for _ in range(POLLS if rows else 1):
                    await asyncio.sleep(interval)
                    scraper.scrape(PLAIN)
                    scraper.scrape(PACKED)
                assert scraper.series == rows * holding.queries * len(FAMILIES), "all series are held"
                held.append(server.resident)
    return held[0], held[1]


async def _theirs(holding: Holding, directory: Path) -> dict[str, int]:
    """Give what each of the others holds with all series, once it has been scraped."""
    found = {}
    for other in (rivals.gauges, rivals.query_exporter, rivals.pushgateway):
        async with other(holding, directory) as server:
            scraper = Scraper(server)
            await scraper.until(holding.series)
            found[server.name] = server.resident
    return found


def memory(sizes: Sequence[int]) -> Section:
    """Measure the memory that a series takes; of ours above an idle process, of the others above one with no series."""
    lines: list[list[str]] = []
    verdicts: list[Verdict] = []
    for series in sizes:
        holding = Holding.of(series)
        with tempfile.TemporaryDirectory() as directory:
            empty, full = asyncio.run(_ours(holding, Path(directory)))
        with tempfile.TemporaryDirectory() as directory:
            none = asyncio.run(_theirs(Holding(1, 1), Path(directory)))
        with tempfile.TemporaryDirectory() as directory:
            theirs = asyncio.run(_theirs(holding, Path(directory)))
        each = [(full - empty) / series, *((theirs[name] - none[name]) / series for name in (CLIENT, QUERIES, GO))]
        lines.append([f"{series:,}", f"{empty / 1e6:.0f}", f"{full / 1e6:.0f}", *(f"{size:,.0f}" for size in each)])
        if series == AT:
            verdicts.append(at_most(f"memory at {series:,} series, a series", each[0], MOST_A_SERIES, " B"))
    head = (
        "series",
        "idle, MB",
        "ours, MB",
        "ours, B a series",
        *(f"{name}, B a series" for name in (CLIENT, QUERIES, GO)),
    )
    return Section("Memory", markdown(head, lines), verdicts)


async def _idle(seconds: float, directory: Path) -> tuple[float, float, float]:
    """Give the MB and the percent of a core that a hundred queries a minute take; the latter with scrapes, too."""
    names = [f"q{number}" for number in range(IDLE_QUERIES)]
    async with fed(Feed(IDLE_ROWS, IDLE_FIELDS, versions=2), directory) as url:
        config = configuration(url, names, interval=IDLE_INTERVAL, metrics=IDLE_FIELDS)
        async with exporter(OURS, config, directory) as server:
            scraper = Scraper(server)
            await asyncio.sleep(SCRAPE_INTERVAL)
            moments = [server.cpu]
            await asyncio.sleep(seconds)
            moments.append(server.cpu)
            for _ in range(int(seconds / SCRAPE_INTERVAL)):
                await asyncio.sleep(SCRAPE_INTERVAL)
                scraper.scrape(PACKED)
            moments.append(server.cpu)
            alone, scraped = (after - before for before, after in pairwise(moments))
            return server.resident / 1e6, alone / seconds * 100, scraped / seconds * 100


def idling(seconds: float) -> Section:
    """Measure whole minutes of an exporter with a hundred queries, without scrapes and with some."""
    whole = max(1, round(seconds / IDLE_INTERVAL)) * IDLE_INTERVAL
    with tempfile.TemporaryDirectory() as directory:
        held, alone, scraped = asyncio.run(_idle(whole, Path(directory)))
    lines = [
        ["memory, MB", f"{held:.1f}"],
        ["CPU, % of a core", f"{alone:.2f}"],
        [f"CPU with a scrape every {SCRAPE_INTERVAL} s, % of a core", f"{scraped:.2f}"],
    ]
    what = f"idle with {IDLE_QUERIES} queries at {IDLE_INTERVAL} s"
    verdicts = [
        at_most(f"{what}: memory", held, MOST_IDLE_MEMORY, " MB"),
        at_most(f"{what}: CPU", alone, MOST_IDLE_CPU, " %"),
    ]
    return Section("Idle", markdown(("", "found"), lines), verdicts)


async def _requests(holding: Holding, queries: Mapping[str, Sequence[str]], directory: Path) -> int:
    """Count what a vendor is asked for until all queries, by name with their metrics, have the rows of one table."""
    async with fed(Feed(holding.rows, whole=False), directory) as url:
        config = json.loads(configuration(url, list(queries), interval=rivals.EVERY, options={"table": "t"}))
        for query in config["queries"]:
            query["metrics"] = queries[query["name"]]
        async with exporter(OURS, json.dumps(config), directory):
            return stats(url)[0]


def requests() -> Section:
    """Count the requests until 100,000 series are fresh, in pages of 1,000 rows."""
    holding, fields = Holding.of(100_000), list(FAMILIES)
    counted = {}
    for what, queries in {
        f"ours, one query of {len(fields)} metrics": {"all": fields},
        f"ours, {len(fields)} queries of one metric each": {field: [field] for field in fields},
    }.items():
        with tempfile.TemporaryDirectory() as directory:
            counted[what] = asyncio.run(_requests(holding, queries, Path(directory)))
    counted["one request a metric and page, as by hand"] = -(-holding.rows // PAGE) * len(fields)
    counted[f"{QUERIES}: statements, of a database that knows no pages"] = holding.queries
    lines = [[what, str(count), f"{count / holding.series:.2g}"] for what, count in counted.items()]
    title = f"Requests until {holding.series:,} series are fresh"
    return Section(title, markdown(("", "requests", "requests a series"), lines))

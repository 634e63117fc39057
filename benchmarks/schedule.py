"""Do thousands of queries stay fresh, and what does it cost to start them?

The real exporter polls 2,000 queries of 50 sources every 10 s, from a vendor that takes 200 ms. Every second, all are
looked at: none may be older than 1.5 intervals. The vendor notes when each request comes: each query once in each
interval, at the end at the same moment within it as at the start. The CPU of scheduler and loop is that of the same
schedule with polls that only wait as long as the vendor takes. Exit code 1 if a bar is not kept.

    python benchmarks/schedule.py [--minutes 10] [--queries 2000] [--sources 50]
"""

import argparse
import asyncio
import itertools
import json
import math
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from feed import Feed, arrivals, fed
from figures import OURS, Section, Verdict, at_most, markdown, percentile
from rivals import Server, exporter

from exporter.config import load
from exporter.plan import Group, plan
from exporter.schedule import Schedule

INTERVAL, DELAY = 10, 0.2
FRESH, DRIFT, FIRST_DRIFT, CPU = 1.5, 0.5, 0.05, 25
"""Intervals, seconds, seconds, percent of a core."""

FIELDS = ("attempts", "latency")
ROWS = 5
SETTLING = 3
"""Intervals that are not looked at: all queries begin at once."""

LAST = re.compile(r"^video_analytics_exporter_query_last_success_timestamp_seconds\{.*\} (\S+)$", re.MULTILINE)


def configuration(url: str, queries: int, sources: int) -> str:
    """Give queries that are spread over sources, each of another account."""
    return json.dumps(
        {
            "defaults": {"interval": INTERVAL, "delay": 0},
            "sources": {
                f"s{number}": {
                    "type": "smartsight",
                    "base_url": url,
                    "customer_id": number,
                    "auth": {"api_key": f"key {number}"},
                    "limits": {"concurrency": queries // sources},
                }
                for number in range(sources)
            },
            "queries": [
                {
                    "name": f"q{number}",
                    "source": f"s{number % sources}",
                    "metrics": FIELDS,
                    "dimensions": ["cdn", "assetname"],
                    "options": {"table": f"q{number}"},
                }
                for number in range(queries)
            ],
        }
    )


async def ages(server: Server, seconds: float) -> list[float]:
    """Look at all queries once a second, and give the age of the oldest at each look."""
    found, end = [], time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=f"http://{server.address}", trust_env=False, timeout=60) as client:
        while time.monotonic() < end:
            await asyncio.sleep(1)
            now = time.time()
            text = (await client.get("/metrics")).text
            found.append(now - min(map(float, LAST.findall(text))))
    return found


@dataclass(frozen=True)
class Kept:
    """How well a grid was kept, by when the vendor was asked.

    A request that waits for others says nothing of the grid, and the first of an interval waits for none: where the
    grid stays, it stays.
    """

    strays: int
    """Intervals in which a query was not asked for exactly once, of all queries."""
    first: float
    """Seconds by which the first of all requests of an interval has moved."""
    drifts: Sequence[float]
    """Seconds by which each query's request has moved; how long it waits for others is in it."""


def kept(came: Mapping[str, Sequence[float]]) -> Kept:
    """Tell how well a grid was kept, after all have settled and until the last whole interval."""
    begin = max(int(moments[SETTLING] // INTERVAL) for moments in came.values())
    end = int(max(moments[-1] for moments in came.values()) // INTERVAL)
    asked = {
        name: [moment for moment in moments if begin <= moment // INTERVAL < end] for name, moments in came.items()
    }
    ticks = {name: Counter(int(moment // INTERVAL) for moment in moments) for name, moments in asked.items()}
    strays = sum(counts[tick] != 1 for counts in ticks.values() for tick in range(begin, end))
    first: dict[int, float] = {}
    for moment in sorted(itertools.chain.from_iterable(asked.values())):
        first.setdefault(int(moment // INTERVAL), moment)
    return Kept(strays, moved(list(first.values())), [moved(moments) for moments in asked.values()])


def moved(moments: Sequence[float]) -> float:
    """Give by how much a moment within the interval moves from the first third of them to the last."""
    phases, third = [moment % INTERVAL for moment in moments], len(moments) // 3
    if not third:
        return math.inf
    start, end = statistics.median(phases[:third]), statistics.median(phases[-third:])
    return abs((end - start + INTERVAL / 2) % INTERVAL - INTERVAL / 2)


def scheduling(queries: int, sources: int, seconds: float) -> float:
    """Give the percent of a core that scheduler and loop take, with polls that only wait."""
    planned = plan(load(configuration("http://localhost", queries, sources), name="schedule", env={}))

    async def poll(_: Group) -> None:
        await asyncio.sleep(DELAY)

    async def run() -> float:
        schedule = Schedule(poll, lambda _: None)
        schedule.start(planned.groups)
        await asyncio.sleep(SETTLING * INTERVAL)
        before = time.process_time()
        await asyncio.sleep(seconds)
        spent = time.process_time() - before
        schedule.stop()
        return spent / seconds * 100

    return asyncio.run(run())


async def measure(queries: int, sources: int, seconds: float, directory: Path) -> tuple[list[float], Kept, float]:
    """Give the ages, how the grid was kept, and the exporter's whole CPU in percent of a core."""
    async with fed(Feed(ROWS, FIELDS, delay=DELAY), directory) as url:
        async with exporter(OURS, configuration(url, queries, sources), directory) as server:
            await asyncio.sleep(SETTLING * INTERVAL)
            before = server.cpu
            old = await ages(server, seconds)
            spent = (server.cpu - before) / seconds * 100
        came = arrivals(url)
    assert len(came) == queries, "each query is asked for"
    return old, kept(came), spent


def section(queries: int, sources: int, seconds: float) -> Section:
    """Measure, and judge."""
    with tempfile.TemporaryDirectory() as directory:
        old, grid, cpu = asyncio.run(measure(queries, sources, seconds, Path(directory)))
    own = scheduling(queries, sources, min(seconds, 60))
    minutes = f"{seconds / 60:g} minutes"
    lines = [
        ["age of the oldest query, s: median, largest", f"{statistics.median(old):.1f}, {max(old):.1f}"],
        [f"drift in {minutes}, s: p50, p99", f"{percentile(grid.drifts, 50):.3f}, {percentile(grid.drifts, 99):.3f}"],
        ["drift of an interval's first request, s", f"{grid.first:.3f}"],
        ["CPU of the exporter, polls and scrapes included, % of a core", f"{cpu:.1f}"],
        ["CPU of scheduler and loop alone, % of a core", f"{own:.1f}"],
    ]
    verdicts: list[Verdict] = [
        at_most("the oldest of all queries at any time, in intervals", max(old) / INTERVAL, FRESH),
        at_most("intervals without a request of a query, or with two", grid.strays, 0),
        at_most(f"drift in {minutes}, p99", percentile(grid.drifts, 99), DRIFT, " s"),
        at_most("drift of an interval's first request", grid.first, FIRST_DRIFT, " s"),
        at_most("CPU of scheduler and loop", own, CPU, " %"),
    ]
    title = f"{queries:,} queries of {sources} sources, every {INTERVAL} s, of a vendor that takes {DELAY:g} s"
    return Section(title, markdown(["", "found"], lines), verdicts)


def main() -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--sources", type=int, default=50)
    asked = parser.parse_args()
    found = section(asked.queries, asked.sources, asked.minutes * 60)
    print(found)
    return 0 if found.kept else 1


if __name__ == "__main__":
    sys.exit(main())

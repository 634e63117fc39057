"""Do thousands of queries stay fresh, and what does it cost to start them?

The real exporter polls 2,000 queries of 50 sources every 10 s, from a vendor that takes 200 ms. Every second, all are
looked at: none may be older than 1.5 intervals. The vendor notes when each request comes: the moment within the
interval must be the same at the end as at the start. The CPU of scheduler and loop is that of the same schedule with
polls that only wait as long as the vendor takes. Exit code 1 if a bar is not kept.

    python benchmarks/schedule.py [--minutes 10] [--queries 2000] [--sources 50]
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from feed import Feed, arrivals, fed
from figures import OURS, Section, Verdict, at_most, markdown, percentile
from rivals import Server, exporter

from exporter.config import load
from exporter.plan import Group, plan
from exporter.schedule import Schedule

INTERVAL, DELAY = 10, 0.2
FRESH, DRIFT, CPU = 1.5, 0.5, 25
"""Intervals, seconds, percent of a core."""

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


def drifts(came: dict[str, list[float]]) -> list[float]:
    """Give by how much each query's moment within the interval has moved, from its first settled polls to its last."""
    found = []
    for moments in came.values():
        phases = [moment % INTERVAL for moment in moments[SETTLING:]]
        start, end = statistics.median(phases[:5]), statistics.median(phases[-5:])
        found.append(abs((end - start + INTERVAL / 2) % INTERVAL - INTERVAL / 2))
    return found


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


async def measure(
    queries: int, sources: int, seconds: float, directory: Path
) -> tuple[list[float], list[float], float]:
    """Give the ages, the drifts, and the exporter's whole CPU in percent of a core."""
    async with fed(Feed(ROWS, FIELDS, delay=DELAY), directory) as url:
        async with exporter(OURS, configuration(url, queries, sources), directory) as server:
            await asyncio.sleep(SETTLING * INTERVAL)
            before = server.cpu
            old = await ages(server, seconds)
            spent = (server.cpu - before) / seconds * 100
        came = arrivals(url)
    assert len(came) == queries, "each query is asked for"
    return old, drifts(came), spent


def section(queries: int, sources: int, seconds: float) -> Section:
    """Measure, and judge."""
    with tempfile.TemporaryDirectory() as directory:
        old, drift, cpu = asyncio.run(measure(queries, sources, seconds, Path(directory)))
    own = scheduling(queries, sources, min(seconds, 60))
    lines = [
        ["age of the oldest query, s: median, largest", f"{statistics.median(old):.1f}, {max(old):.1f}"],
        [
            f"drift after {seconds / 60:g} minutes, s: p50, p99",
            f"{percentile(drift, 50):.3f}, {percentile(drift, 99):.3f}",
        ],
        ["CPU of the exporter, polls and scrapes included, % of a core", f"{cpu:.1f}"],
        ["CPU of scheduler and loop alone, % of a core", f"{own:.1f}"],
    ]
    verdicts: list[Verdict] = [
        at_most("the oldest of all queries at any time, in intervals", max(old) / INTERVAL, FRESH),
        at_most(f"drift after {seconds / 60:g} minutes, p99", percentile(drift, 99), DRIFT, " s"),
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

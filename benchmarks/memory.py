"""Does the exporter's memory grow with the number of polls?

A changing set of 1,000 series goes through the real poller, store, exposition and telemetry, so many times; label
values change from poll to poll, some polls fail, and every so often somebody scrapes. Prints the resident memory after
1,000 polls and then every 5,000; exit code 1 if it ends more than 10 % above the first.

    python benchmarks/memory.py [POLLS]
"""

import asyncio
import gc
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

from exporter.config import load
from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate
from exporter.model import Bounds, Request
from exporter.plan import Group, plan
from exporter.poll import Poller
from exporter.providers.errors import NetworkError
from exporter.store import Store
from exporter.telemetry import Telemetry

T = TypeVar("T")

POLLS, FIRST, EVERY = 100_000, 1_000, 5_000
SERIES, METRICS = 1_000, ("viewercount", "bufferingratio")
LASTING = 0.8
"""Share of the labels that stay from poll to poll."""
FAILING, BREAKING, SCRAPING = 7, 11, 10
"""One poll in so many fails, answers no JSON, is followed by a scrape."""
ALLOWED = 1.10

CONFIG = {
    "sources": {"mm": {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}}},
    "queries": [{"name": "q", "source": "mm", "metrics": METRICS, "dimensions": ["cdn", "city"]}],
}


class Source:
    """A vendor without a network, that counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, _: Request, __: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Answer with rows of which a part was never seen before."""
        self.asked += 1
        if self.asked % FAILING == 0:
            raise NetworkError(f"poll {self.asked} is cut off")
        if self.asked % BREAKING == 0:
            return await read(b"<html>")
        count = SERIES // len(METRICS)
        rows = [
            {
                "cdn": f"cdn-{row % 5}",
                "city": f"city-{row}" if row < count * LASTING else f"city-{row} of poll {self.asked}",
                "viewercount": self.asked + row,
                "bufferingratio": (self.asked * 31 + row) % 10_000 / 100,
            }
            for row in range(count)
        ]
        return await read(json.dumps({"totalrecords": count, "response": rows}).encode())


def house(source: Source) -> tuple[Poller, Group, Callable[[], int]]:
    """Put the real parts together, as the daemon does, and give a function that scrapes them for its bytes."""
    config = load(json.dumps(CONFIG), name="memory.yaml", env={})
    telemetry, store = Telemetry(time.time), Store(config.queries, time.monotonic)
    telemetry.configured(config.queries)
    exposition = Exposition(store)
    poller = Poller({"mm": source}, store, telemetry.polled, now=time.time, clock=time.monotonic)

    def scrape() -> int:
        return sum(len(inflate(exposition.body(form))) + len(telemetry.render(form)) for form in Format)

    return poller, plan(config).groups[0], scrape


def resident() -> float:
    """Give the memory that the process holds now, in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def measure(polls: int) -> list[float]:
    """Poll so many times, and give the memory at each point of the table."""
    source = Source()
    poller, group, scrape = house(source)
    levels: list[float] = []
    for number in range(1, polls + 1):
        await poller.poll(group)
        if number % SCRAPING == 0:
            assert scrape() > SERIES, "the series are not served"
        if number in (FIRST, polls) or number % EVERY == 0:
            levels.append(resident())
            print(f"{number:8} polls  {levels[-1]:8.1f} MiB  {levels[-1] / levels[0]:6.3f}", flush=True)
    assert source.asked == polls, "a poll is one page"
    return levels


def main() -> int:
    """Measure, and give the exit code."""
    # A line for each failure would only be in the way of the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    levels = asyncio.run(measure(max(int(sys.argv[1]) if len(sys.argv) > 1 else POLLS, FIRST)))
    print(f"the end is {levels[-1] / levels[0]:.3f} x the level after {FIRST} polls; {ALLOWED} is allowed")
    return 0 if levels[-1] <= levels[0] * ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())

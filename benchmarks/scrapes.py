"""Does a scrape wait for a vendor?

Two exporters hold the same data. The vendor of the one takes 20 s for each answer, and never ends a log-in; all its
queries are in flight, over and over. The other one idles. Each is scraped 200 times, in turns, as Prometheus does it.
Prints median and 99th percentile of both; exit code 1 if the latter beside the slow vendor is above 10 times the
idle median.

    python benchmarks/scrapes.py [SCRAPES]
"""

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

from processes import OWN, PATIENCE, answers, free_port, process
from truth import Dataset, dice
from vendors import CLIENT, KEY, SECRET, Ibm, SmartSight

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.sharedctypes import Synchronized

SCRAPES = 200
PAUSE = 0.1
"""Seconds between two scrapes of one exporter: all of them last longer than one answer takes, so that some arrive."""
ALLOWED = 10
QUERIES = 20
SERIES_EACH = 1000
BUSY, IDLE = 5, 3600
"""Intervals of the two."""

ROWS = Dataset("assetname", ("assetname",), ("uniqueviewercount",), SERIES_EACH, SERIES_EACH + 1, 1000, empty=0)
DEVICES = Dataset("/total-views/device", ("device",), ("total_views",), 100, 101, 1000, points=True, empty=0)
TOKEN_SLOW = "token: hang"  # noqa: S105 - a fault, no secret


def configuration(smartsight: str, ibm: str, interval: int) -> str:
    """Give an exporter's configuration."""
    mm = {"type": "smartsight", "base_url": smartsight, "customer_id": 7, "auth": {"api_key": KEY}}
    auth = {"client_id": CLIENT, "client_secret": SECRET, "token_url": f"{ibm}/oauth2/token"}
    limits = {"limits": {"concurrency": QUERIES}}
    asked = [("mm", "uniqueviewercount", "assetname")] * QUERIES + [("ibm", "total_views", "device")] * QUERIES
    return json.dumps(
        {
            "defaults": {"interval": interval, "max_age": "1h", "delay": 0},
            "sources": {
                "mm": mm | limits,
                "ibm": {"type": "ibm_video", "base_url": f"{ibm}/v1", "auth": auth} | limits,
            },
            "queries": [
                {
                    "name": f"q{number}",
                    "source": source,
                    "metrics": [metric],
                    "dimensions": [dimension],
                    # Queries that differ in nothing could share a request.
                    "window": 60 + number,
                }
                for number, (source, metric, dimension) in enumerate(asked)
            ],
        }
    )


def vend(urls: "SimpleQueue[tuple[str, str]]", slow: Event, flying: "Synchronized[int]") -> None:
    """Serve both vendors until killed: at once, and slowly once that is asked for."""

    async def serve() -> None:
        mm, ibm = SmartSight("mm", [ROWS], dice("mm")), Ibm("ibm", [DEVICES], dice("ibm"))
        async with mm.running(), ibm.running():
            urls.put((mm.url, ibm.url))
            await asyncio.to_thread(slow.wait)
            async with mm.troubled("20 s answer"), ibm.troubled(TOKEN_SLOW):
                while True:
                    flying.value = mm.active + ibm.active
                    await asyncio.sleep(0.05)

    asyncio.run(serve())


class Scraper:
    """Scrapes one exporter over a connection that stays open, as Prometheus does."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=PATIENCE)

    def scrape(self, encoding: str = "gzip") -> tuple[float, bytes]:
        """Give how long a scrape took, in seconds, and its body."""
        began = time.perf_counter()
        self._connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
        body = self._connection.getresponse().read()
        return time.perf_counter() - began, body

    @property
    def series(self) -> int:
        """How many series of the vendors it shows."""
        text = self.scrape("identity")[1].decode()
        return len(re.findall(r"^(?:smartsight|ibm_video)_", text, re.MULTILINE))


async def measure(scrapes: int, directory: Path) -> dict[str, list[float]]:
    """Start everything, and give the times of the scrapes, in seconds."""
    spawn = multiprocessing.get_context("spawn")
    urls, slow, flying = spawn.SimpleQueue(), spawn.Event(), spawn.Value("i", 0)
    vendors = spawn.Process(target=vend, args=(urls, slow, flying), daemon=True)
    vendors.start()
    smartsight, ibm = await asyncio.to_thread(urls.get)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(vendors.kill)
        scrapers = {}
        for name, interval in (("idle", IDLE), ("slow vendor", BUSY)):
            address, config = f"127.0.0.1:{free_port()}", directory / f"{name}.yaml"
            config.write_text(configuration(smartsight, ibm, interval))
            command = [*OWN, "run", f"--config.file={config}", f"--web.listen-address={address}"]
            await stack.enter_async_context(process(command, directory / f"{name}.log"))
            await answers(f"http://{address}/-/ready")
            scrapers[name] = Scraper(address)
        slow.set()
        async with asyncio.timeout(PATIENCE):
            while flying.value <= QUERIES:  # noqa: ASYNC110 - another process counts
                await asyncio.sleep(0.1)
        counts = {name: scraper.series for name, scraper in scrapers.items()}
        print(f"{flying.value} requests in flight, series: {counts}")
        assert min(counts.values()) > 0.99 * max(counts.values()) > 0, "both must hold the same"
        times: dict[str, list[float]] = {name: [] for name in scrapers}
        for _ in range(scrapes):
            for name, scraper in scrapers.items():
                await asyncio.sleep(PAUSE / 2)
                times[name].append(scraper.scrape()[0])
        print(f"{flying.value} requests in flight at the end")
        return times


def main() -> int:
    """Measure, print, and give the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        times = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else SCRAPES, Path(directory)))
    for name, each in times.items():
        print(f"{name:12} median {statistics.median(each) * 1e3:7.2f} ms  p99 {p99(each) * 1e3:7.2f} ms")
    usual = statistics.median(times["idle"])
    ratio = p99(times["slow vendor"]) / usual
    print(f"idle p99 / idle median: {p99(times['idle']) / usual:.1f}, which is the machine's own noise")
    print(f"p99 beside the slow vendor / idle median: {ratio:.1f}; {ALLOWED} is allowed")
    return 0 if ratio <= ALLOWED else 1


def p99(times: list[float]) -> float:
    """Give the 99th percentile."""
    return statistics.quantiles(times, n=100, method="inclusive")[98]


if __name__ == "__main__":
    sys.exit(main())

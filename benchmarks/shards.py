"""Do shards make together the requests of one process, each once, and keep a vendor's limits?

Four exporters as four processes share 2,000 queries of 50 accounts, polled every 10 s. One of them is killed and
started again. The vendor notes who asks for what and when. Prints what each shard costs, and exits with 1 if a query is
in no shard or in two, a request was made twice, a limit was broken, or a period is missing that is neither of the
killed shard's own outage nor told as a skipped tick, as on a machine that is too busy.

    python benchmarks/shards.py [--minutes 3] [--sources 50] [--queries 40]
"""

import argparse
import asyncio
import contextlib
import json
import re
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
from processes import OWN, answers, process
from starlette.types import Receive, Scope, Send

from exporter.simulator.serve import serve

SHARDS, VICTIM = 4, 2
INTERVAL, DELAY = 10, 120
ROWS = 10
METRICS = ("latency", "viewercount")
CONCURRENCY = 4
TOOK = 0.02
"""Seconds that the vendor takes."""
OUTAGE = 15.0
"""Seconds that the victim is away."""
P = "video_analytics_exporter"
HEAD = (
    "| shard | queries | series | polls/s | CPU, cores | CPU ms a poll | resident MiB | ticks skipped |",
    "|---|---:|---:|---:|---:|---:|---:|---:|",
)

Key = tuple[str, str]
"""An account, and what rows are asked for."""


@dataclass
class Vendor:
    """Answers for every account at once, and notes the requests."""

    by: defaultdict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))
    asked: Counter[tuple[Key, int]] = field(default_factory=Counter)
    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    active: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)

    async def app(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        account, params = scope["path"].rpartition("/")[2], dict(parse_qsl(scope["query_string"].decode()))
        key = account, params["aggby"]
        end = int(re.findall(r"[0-9]+", params["period"])[1])
        self.by[key].add(dict(scope["headers"])[b"x-api-key"].decode())
        self.asked[key, end] += 1
        self.times[account].append(time.monotonic())
        self.active[account] += 1
        self.most[account] = max(self.most[account], self.active[account])
        await asyncio.sleep(TOOK)
        self.active[account] -= 1
        rows = [{params["aggby"]: f"value {row}", **dict.fromkeys(METRICS, end % 997 + row)} for row in range(ROWS)]
        body = json.dumps({"totalrecords": ROWS, "response": rows}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def busiest_minute(self) -> int:
        """Give the most requests that an account had in 60 s."""
        most = 0
        for times in self.times.values():
            first = 0
            for number, at in enumerate(times):
                while at - times[first] >= 60:  # noqa: PLR2004 - a minute
                    first += 1
                most = max(most, number - first + 1)
        return most


@dataclass(frozen=True)
class Run:
    """What is run: how many, and where."""

    sources: int
    queries: int
    minutes: float
    directory: Path

    @property
    def a_minute(self) -> int:
        """Requests a minute that an account admits: what it is asked for, and once more at the start."""
        return self.queries * 60 // INTERVAL + self.queries

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.directory / "config.json"

    def configure(self, url: str) -> None:
        """Write the configuration; every query asks for rows of its own."""
        limits = {"concurrency": CONCURRENCY, "requests_per_minute": self.a_minute}
        source = {"type": "smartsight", "base_url": url, "auth": {"api_key": "${KEY}"}, "limits": limits}
        names = [f"account{number}" for number in range(self.sources)]
        data = {
            "defaults": {"interval": INTERVAL, "window": "5m", "delay": DELAY, "max_age": "10m"},
            "sources": {name: source | {"customer_id": number} for number, name in enumerate(names)},
            "queries": [
                {"name": f"query{number}", "source": names, "metrics": METRICS, "dimensions": [f"d{number}"]}
                for number in range(self.queries)
            ],
        }
        self.file.write_text(json.dumps(data))


@contextlib.asynccontextmanager
async def shard(run: Run, ordinal: int, port: int) -> AsyncIterator[None]:
    """Run one shard from when it listens on."""
    url = f"127.0.0.1:{port}"
    flags = (f"--config.file={run.file}", f"--shard={ordinal}", f"--total-shards={SHARDS}")
    where = (f"--web.listen-address={url}", f"--storage.path={run.directory / str(ordinal)}")
    log = run.directory / f"shard-{ordinal}.log"
    async with process([*OWN, "run", *flags, *where], log, KEY=f"key-{ordinal}"):
        await answers(f"http://{url}/-/healthy")
        yield


def own(url: str) -> Mapping[str, float]:
    """Give the own metrics of a shard, those of the same name summed."""
    found: defaultdict[str, float] = defaultdict(float)
    for line in httpx.get(f"{url}/metrics", timeout=60, trust_env=False).text.splitlines():
        if match := re.match(rf"(?:{P}_)?([a-z_]+)(?:{{.*}})? (\S+)$", line):
            found[match[1]] += float(match[2])
    return found


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(180):
        while True:
            if await asyncio.to_thread(condition):
                print(what, flush=True)
                return
            await asyncio.sleep(0.5)


def ready(urls: Sequence[str]) -> bool:
    """Whether all shards have polled all their queries."""
    return all(httpx.get(f"{url}/-/ready", timeout=60, trust_env=False).is_success for url in urls)


@dataclass(frozen=True)
class Reading:
    """A shard's own metrics at one moment."""

    at: float
    own: Mapping[str, float]

    @classmethod
    def of(cls, url: str) -> "Reading":
        """Take it."""
        return cls(time.monotonic(), own(url))

    def line(self, before: "Reading", ordinal: int) -> str:
        """Give a line of the table: what the shard did since another one, and what that cost."""
        seconds, now = self.at - before.at, self.own
        polls, cpu, skipped = (
            now[name] - before.own[name]
            for name in ("query_polls_total", "process_cpu_seconds_total", "query_skipped_total")
        )
        return (
            f"| {ordinal} | {now['query_info']:,.0f} | {now['query_series']:,.0f} | {polls / seconds:.1f} "
            f"| {cpu / seconds:.3f} | {cpu / polls * 1000:.2f} | {now['process_resident_memory_bytes'] / 2**20:.0f} "
            f"| {skipped:.0f} |"
        )


async def readings(urls: Sequence[str]) -> list[Reading]:
    """Read the own metrics of shards."""
    return [await asyncio.to_thread(Reading.of, url) for url in urls]


def gaps(vendor: Vendor, victim: set[Key], since: float) -> tuple[int, int]:
    """Count the periods from ``since`` on that were never asked for: of the victim's queries, and of the others."""
    ends: defaultdict[Key, list[int]] = defaultdict(list)
    for key, end in vendor.asked:
        if end >= since:
            ends[key].append(end)
    missing = {key: (max(found) - min(found)) // INTERVAL + 1 - len(found) for key, found in ends.items()}
    lost = sum(count for key, count in missing.items() if key in victim)
    return lost, sum(missing.values()) - lost


@dataclass(frozen=True)
class Course:
    """How a run went: readings once all was polled, after the measured time, and in the end.

    Periods that end before ``since`` are of the start; ``busiest`` is an account's busiest minute before the restart.
    """

    since: float
    busiest: int
    before: list[Reading]
    after: list[Reading]
    last: list[Reading]

    @property
    def table(self) -> list[str]:
        """What each shard did, and what that cost."""
        pairs = enumerate(zip(self.before, self.after, strict=True))
        return [*HEAD, *(now.line(then, ordinal) for ordinal, (then, now) in pairs)]

    @property
    def skipped(self) -> tuple[int, int]:
        """Ticks that shards say they have left out, for the machine was too busy: the victim, the others."""
        told = [int(reading.own["query_skipped_total"]) for reading in self.last]
        before = int(self.after[VICTIM].own["query_skipped_total"])
        return before + told[VICTIM], sum(told) - told[VICTIM]


def judge(run: Run, vendor: Vendor, course: Course) -> list[tuple[str, bool]]:
    """Say what was promised, and whether it was kept."""
    victim = {key for key, keys in vendor.by.items() if f"key-{VICTIM}" in keys}
    lost, others = gaps(vendor, victim, course.since)
    twice, starts = sum(count - 1 for count in vendor.asked.values()), run.sources * run.queries + len(victim)
    own, skipped = course.skipped
    most = (int(OUTAGE // INTERVAL) + 3) * len(victim) + own
    return [
        (f"union: {len(vendor.by):,} queries asked for", len(vendor.by) == run.sources * run.queries),
        ("each by one shard alone", all(len(keys) == 1 for keys in vendor.by.values())),
        (
            f"requests: {vendor.asked.total():,}, of which {twice:,} again, for {starts:,} first polls",
            twice <= starts and max(vendor.asked.values()) <= 2,  # noqa: PLR2004 - a first poll, and its tick
        ),
        (f"at a time: {max(vendor.most.values())} of {CONCURRENCY}", max(vendor.most.values()) <= CONCURRENCY),
        (f"in a minute: {course.busiest} of {run.a_minute} before the restart", course.busiest <= run.a_minute),
        (f"lost to {OUTAGE:g} s of outage: {lost:,} periods of {len(victim):,} queries, {own:,} skipped", lost <= most),
        (f"lost by others: {others:,} periods, {skipped:,} skipped", others <= skipped),
    ]


def free_ports() -> list[int]:
    """Find a port for each shard."""
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(SHARDS)]
        return [each.getsockname()[1] for each in free]


async def take(run: Run, vendor: Vendor) -> Course:
    """Run all shards, kill one, and start it again."""
    ports, began = free_ports(), time.monotonic()
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    async with contextlib.AsyncExitStack() as stack, contextlib.AsyncExitStack() as victim:
        run.configure(await stack.enter_async_context(serve(vendor.app)))
        for ordinal, port in enumerate(ports):
            await (victim if ordinal == VICTIM else stack).enter_async_context(shard(run, ordinal, port))
        await until(lambda: ready(urls), "all queries are polled")
        print(f"  {time.monotonic() - began:.0f} s after the start")
        since, before = time.time() - DELAY, await readings(urls)
        await asyncio.sleep(run.minutes * 60)
        after, busiest = await readings(urls), vendor.busiest_minute()
        await victim.aclose()
        await asyncio.sleep(OUTAGE)
        await stack.enter_async_context(shard(run, VICTIM, ports[VICTIM]))
        await until(lambda: ready(urls), "the shard that was killed has polled again")
        await asyncio.sleep(3 * INTERVAL)
        return Course(since, busiest, before, after, await readings(urls))


async def main(run: Run) -> bool:
    """Run all of it, print the findings, and give whether they are good."""
    vendor = Vendor()
    course = await take(run, vendor)
    verdicts = judge(run, vendor, course)
    told = (f"{'kept' if kept else 'BROKEN'}: {what}" for what, kept in verdicts)
    print("\n".join(["", *course.table, "", *told]))
    return all(kept for _, kept in verdicts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3, help="how long the shards are measured")
    parser.add_argument("--sources", type=int, default=50)
    parser.add_argument("--queries", type=int, default=40, help="of each source")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        good = asyncio.run(main(Run(given.sources, given.queries, given.minutes, Path(directory))))
    sys.exit(0 if good else 1)

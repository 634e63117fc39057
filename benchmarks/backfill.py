"""Is what `backfill` brings to Prometheus the vendors' own answer, bucket by bucket?

Simulated vendors run in a process of their own. One command fetches the past of all of the example's queries, in
buckets of an hour; promtool makes blocks of its file, and a real Prometheus reads them. Then the vendors are asked
again, by plain requests and without the exporter's code (see `past.py`): each hour of each query as a period of its
own. Exit code 1 if one sample differs, is missing, or is there though the vendor has none.

    python benchmarks/backfill.py [--days 90] [--copies CORES] [--keep DIRECTORY]
"""

import argparse
import asyncio
import contextlib
import gc
import math
import multiprocessing
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING

import httpx
import yaml
from past import HOUR, Query, Samples, Vendors
from processes import OWN, answers, free_port, process, samples

from exporter import demo

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue as Pipe
    from multiprocessing.sharedctypes import SynchronizedArray

DAY = 24 * HOUR
WITHOUT = ("views_today",)
"""Queries that have no past by the hour: buckets of a day are all that this one has."""
TOLERANCE = 1e-9
"""Of a value: sums of floats depend on the order in which rows come."""
SLOW = 300.0
"""Seconds that a vendor may take for one answer."""


@dataclass
class Tally:
    """What was found of one query; ``held`` are all samples that Prometheus has of it, at whatever time."""

    buckets: int = 0
    same: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    held: int = 0
    example: str = ""

    def add(self, own: Mapping[tuple[object, float], float], found: Mapping[tuple[object, float], float]) -> None:
        """Compare what the vendor says with what Prometheus has."""
        for key, value in own.items():
            there = found.get(key)
            if there is not None and math.isclose(there, value, rel_tol=TOLERANCE, abs_tol=0):
                self.same += 1
                continue
            self.missing += there is None
            self.different += there is not None
            self.example = self.example or f"{key}: the vendor says {value}, Prometheus {there}"
        for key in found.keys() - own.keys():
            self.extra += 1
            self.example = self.example or f"{key}: the vendor has none, Prometheus {found[key]}"

    @property
    def good_so_far(self) -> bool:
        """Whether what was compared is as it should be."""
        return not (self.different or self.missing or self.extra)

    @property
    def good(self) -> bool:
        """Whether all is as it should be, and nothing lies elsewhere."""
        return self.good_so_far and self.held == self.same


class Phases:
    """Prints what each part took."""

    def __init__(self, vendors: "SynchronizedArray[float]") -> None:
        self._vendors = vendors

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time one part: all of it, and the CPU of the vendors, of what was started and ended in it, and of this."""
        before = self._now()
        yield
        wall, vendors, started, own = (now - was for now, was in zip(self._now(), before, strict=True))
        print(f"{name:42} {wall:7.1f} s; CPU: vendors {vendors:.1f}, commands {started:.1f}, own {own:.1f}", flush=True)

    def _now(self) -> tuple[float, ...]:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.monotonic(), sum(self._vendors[:]), ended.ru_utime + ended.ru_stime, time.process_time()


def vend(urls: "Pipe[dict[str, str]]", spent: "SynchronizedArray[float]", number: int) -> None:
    """Serve both vendors until killed."""
    # Each answer is thousands of rows without a cycle: to look for cycles every 700 objects costs a third of the time.
    gc.set_threshold(200_000, 20, 20)

    async def serve() -> None:
        async with demo.serving() as env:
            urls.put(dict(env))
            while True:
                spent[number] = time.process_time()
                await asyncio.sleep(0.5)

    asyncio.run(serve())


def configuration() -> str:
    """Give the example's configuration without its limit of requests a minute: the vendors are our own."""
    text, count = re.subn(r"requests_per_minute: \d+", "requests_per_minute: 1000000", demo.example())
    assert count == 1, "the example limits one source"
    return text


async def done(command: Sequence[str | Path], log: Path, **env: str) -> str:
    """Run a command to its end, which must be a good one, and give what it said last."""
    async with process([str(part) for part in command], log, **env) as started:
        code = await started.wait()
    said = (await asyncio.to_thread(log.read_text)).splitlines()
    return said[-1] if code == 0 else sys.exit("\n".join([f"{command[0]} failed:", *said[-20:]]))


@contextlib.asynccontextmanager
async def holding(directory: Path) -> AsyncIterator[str]:
    """Run a real Prometheus on the blocks in a directory, and give its URL; it scrapes nothing and deletes nothing."""
    config = directory / "prometheus.json"
    config.write_text("{}")
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    command += [f"--web.listen-address={address}", "--storage.tsdb.retention.time=10y"]
    async with process(command, directory / "prometheus.log"):
        await answers(f"http://{address}/-/ready")
        yield f"http://{address}"


async def fill(directory: Path, env: Mapping[str, str], start: int, end: int, phases: Phases) -> None:
    """Fetch the past of all queries by one command, and make blocks of it."""
    config, output = directory / "config.yaml", directory / "history.om"
    config.write_text(configuration())
    period = [f"--from={start}", f"--to={end}", "--step=1h"]
    with phases.of("video-analytics-exporter backfill"):
        command = [*OWN, "backfill", f"--config.file={config}", *period, f"--output={output}"]
        said = await done(command, directory / "backfill.log", **env)
    print(said.partition(";")[0])
    with phases.of("promtool tsdb create-blocks-from"):
        blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"]
        await done([*blocks, output, directory / "tsdb"], directory / "promtool.log")


def own(env: Mapping[str, str], queries: Sequence[Query], day: int) -> list[tuple[str, int, Samples]]:
    """Ask the vendors for each hour of a day, all queries for one hour before the next: they remember what they know.

    Some hours at a time, so that they are not idle while an answer is read.
    """
    # The simulated vendors close a connection that nobody has used for 5 s, maybe just when it is taken up again: no
    # connection is used twice.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(trust_env=False, timeout=SLOW, limits=limits) as http, ThreadPoolExecutor(4) as pool:
        vendors = Vendors(http, env)

        def hour(start: int) -> list[tuple[str, int, Samples]]:
            return [(query["name"], start + HOUR, vendors.hour(query, start)) for query in queries]

        return [each for some in pool.map(hour, range(day, day + DAY, HOUR)) for each in some]


def compare(
    url: str, envs: Sequence[Mapping[str, str]], queries: Sequence[Query], days: Sequence[int]
) -> dict[str, Tally]:
    """Compare day by day, so that memory does not grow with the period; each copy of the vendors has one at a time."""
    tallies = {query["name"]: Tally() for query in queries}
    free, counting = SimpleQueue[Mapping[str, str]](), Lock()
    for env in envs:
        free.put(env)

    def one(day: int) -> None:
        env = free.get()
        answer = own(env, queries, day)
        free.put(env)
        told: defaultdict[str, dict[tuple[object, float], float]] = defaultdict(dict)
        for name, at, found in answer:
            told[name].update({(labels, at): value for labels, value in found.items()})
        held = stored(url, day)
        with counting:
            for name, tally in tallies.items():
                tally.buckets += DAY // HOUR
                tally.add(told[name], held.pop(name, {}))
            good = all(tally.good_so_far for tally in tallies.values())
            print(f"{shown(day)} compared, {'nothing' if good else 'SOMETHING'} differs", file=sys.stderr, flush=True)
        assert not held, f"Prometheus has what nobody asked for: {list(held)}"

    with ThreadPoolExecutor(len(envs) + 1) as pool:
        list(pool.map(one, days))
    return tallies


def stored(url: str, day: int) -> dict[str, dict[tuple[object, float], float]]:
    """Give what Prometheus has of a day, by query."""
    held: defaultdict[str, dict[tuple[object, float], float]] = defaultdict(dict)
    for metric, values in samples(url, '{query=~".+"}', day, day + DAY):
        labels = frozenset(metric.items())
        held[metric["query"]].update({(labels, at): value for at, value in values})
    return held


def count(url: str, tallies: Mapping[str, Tally], start: int, end: int) -> None:
    """Count all samples that Prometheus has of each query, also those of other times."""
    length = end - start + 20 * DAY
    with httpx.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=SLOW) as http:
        # Name by name, for without their names two series may be one.
        for name in http.get("/label/__name__/values", params={"start": "0"}).raise_for_status().json()["data"]:
            query = f'sum by (query) (count_over_time({name}{{query=~".+"}}[{length}s]))'
            answer = http.get("/query", params={"query": query, "time": str(end + 10 * DAY)}).raise_for_status()
            for each in answer.json()["data"]["result"]:
                tallies[each["metric"]["query"]].held += int(each["value"][1])


def show(tallies: Mapping[str, Tally]) -> bool:
    """Print the table, and tell whether all is good."""
    columns = "buckets", "same", "different", "missing", "extra", "held"
    print(f"\n{'query':30}" + "".join(f"{name:>11}" for name in columns))
    rows = {name: [getattr(tally, column) for column in columns] for name, tally in tallies.items()}
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name, numbers in rows.items():
        print(f"{name:30}" + "".join(f"{number:11}" for number in numbers))
    for name, tally in tallies.items():
        if not tally.good:
            print(f"{name} is not the vendor's own answer: {tally.example or 'samples lie outside of the period'}")
        elif not tally.same:
            print(f"{name} has no samples: no hour as a whole meets its condition, says the vendor, too")
    return any(tally.same for tally in tallies.values()) and all(tally.good for tally in tallies.values())


async def prove(days: int, copies: int, directory: Path) -> bool:
    """Do it all, with so many copies of the vendors, which all know the same."""
    spawn = multiprocessing.get_context("spawn")
    urls, spent = spawn.SimpleQueue(), spawn.Array("d", copies)
    vendors = [spawn.Process(target=vend, args=(urls, spent, number), daemon=True) for number in range(copies)]
    for each in vendors:
        each.start()
    # What is asked for must have settled: a view lasts up to 54 minutes, and until then it is an unfinished one, which
    # `views_of_a_channel` leaves out. The example's `delay` does not wait for that.
    end = (int(time.time()) - HOUR) // DAY * DAY
    start, phases = end - days * DAY, Phases(spent)
    queries = [each for each in yaml.safe_load(demo.example())["queries"] if each["name"] not in WITHOUT]
    print(f"{len(queries)} queries from {shown(start)} to {shown(end)}, by the hour", flush=True)
    with contextlib.ExitStack() as stack:
        for each in vendors:
            stack.callback(each.kill)
        envs = [await asyncio.to_thread(urls.get) for _ in vendors]
        await fill(directory, envs[0], start, end, phases)
        async with holding(directory) as url:
            with phases.of("asking the vendors, and comparing"):
                tallies = await asyncio.to_thread(compare, url, envs, queries, range(start, end, DAY))
            count(url, tallies, start, end)
    return show(tallies)


def shown(moment: int) -> str:
    """Write a day."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def main() -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--copies", type=int, default=os.cpu_count(), help="of the vendors, for being asked again")
    parser.add_argument("--keep", type=Path, help="where files and blocks stay; a temporary directory without it")
    flags = parser.parse_args()
    for name in ("prometheus", "promtool"):
        if shutil.which(name) is None:
            sys.exit(f"there is no {name} on PATH")
    with tempfile.TemporaryDirectory() as temporary:
        directory = flags.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        good = asyncio.run(prove(flags.days, flags.copies, directory))
    print("the vendors' own answers, all of them" if good else "BROKEN")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

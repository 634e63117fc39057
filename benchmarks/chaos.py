"""Does the exporter ever show a wrong number, or none without saying so, whatever the vendors and the machine do?

Two scripted vendors fail in every way that is known of (`vendors.py`), the exporter is killed, stopped and reloaded
between, and a real Prometheus scrapes it every second. Afterwards each scrape is judged, sample by sample
(`judge.py`), by what the vendors really said (`truth.py`). Exit code 1 unless nothing was wrong, nothing was absent
unseen, the exporter never ended on its own, and at least half of the scrapes were right.

    python benchmarks/chaos.py [--minutes 10] [--seed 1] [--no-storage] [--reload] [--lies]
        [--fault NAME]... [--command "..."] [--directory DIRECTORY]
"""

import argparse
import asyncio
import bisect
import contextlib
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random

from judge import Finding, Rule, Seen, Verdict, judge
from processes import OWN, answers, free_port, process, prometheus, samples
from truth import Dataset, Part, Probe, Series, dice, expected
from vendors import CLIENT, FAULTS, HEALTHY, KEY, LIES, REVOKED_EARLY, SECRET, TOKEN_FAULTS, Ibm, SmartSight, Vendor

WINDOW, DELAY, MAX_AGE, TIMEOUT = 10, 2, 8, 3
CALM, TROUBLE = (7.0, 11.0), (5.0, 13.0)
"""Seconds that a vendor is well, and that it is not."""
BETWEEN_RESTARTS = (25.0, 45.0)
LAST_CALM = 15.0
"""Seconds at the end in which all are well, to see that everything comes back."""

SETTLING = 3.0
"""Seconds from the last scrape that is judged to the judgement."""
STOPS_WITHIN = 5.0
PIECE = 30
"""Seconds of samples that are read and judged at a time."""
ENOUGH = 0.5
"""Share of the scrapes that must be right: a run in which all is absent proves nothing."""
PRINTED = 20

CDN = Dataset("cdn", ("cdn",), ("viewercount", "attempts", "bufferingratio", "failurerate", "latency"), 8, 26, 7)
PLACE = Dataset(
    "country,city", ("country", "city"), ("qualityofexperience", "avg_playtime_by_audience", "p95_latency"), 10, 40, 12
)
ASSETS = Dataset("assetname", ("assetname",), ("uniqueviewercount",), 700, 2400, SmartSight.usual_page)
ALL = Dataset("", (), ("errors",), 1, 1, 10)
DEVICE = Dataset("/total-views/device", ("device",), ("total_views",), 8, 30, 8, points=True)
SPLIT = [
    (kind, Dataset(f"/{path}/{kind}/country", ("country",), (name,), 5, 25, 9, points=True))
    for path, name in (("unique-devices", "unique_devices"), ("total-views", "total_views"))
    for kind in ("live", "recorded")
]
LIVE = Dataset(
    "/authenticated-viewers/live/view-source", ("view_source",), ("authenticated_viewers",), 3, 9, 4, points=True
)

PROBES = (
    Probe("mm", "plays", (Part(CDN, ("viewercount", "attempts")),), 2),
    Probe("mm", "ratios", (Part(CDN, ("bufferingratio", "failurerate", "latency")),), 2),
    Probe("mm", "quality", (Part(PLACE, PLACE.fields),), 3, on_missing="zero"),
    Probe("mm", "assets", (Part(ASSETS, ASSETS.fields),), 3),
    Probe("mm", "errors", (Part(ALL, ALL.fields),), 2),
    Probe("ibm", "devices", (Part(DEVICE, DEVICE.fields),), 2),
    Probe("ibm", "places", tuple(Part(each, each.fields, (("content_type", kind),)) for kind, each in SPLIT), 3),
    Probe("ibm", "sources", (Part(LIVE, LIVE.fields),), 2),
)


def configuration(smartsight: str, ibm: str) -> dict[str, object]:
    """Give the exporter's configuration for vendors at these URLs."""
    return {
        "defaults": {"window": WINDOW, "delay": DELAY, "timeout": TIMEOUT, "max_age": MAX_AGE, "max_response": "1MiB"},
        "sources": {
            "mm": {"type": "smartsight", "base_url": smartsight, "customer_id": 7, "auth": {"api_key": KEY}},
            "ibm": {
                "type": "ibm_video",
                "base_url": f"{ibm}/v1",
                "auth": {"client_id": CLIENT, "client_secret": SECRET, "token_url": f"{ibm}/oauth2/token"},
            },
        },
        "queries": [
            {
                "name": probe.name,
                "source": probe.source,
                "metrics": probe.fields,
                "dimensions": probe.dimensions,
                "filters": probe.filters,
                "interval": probe.interval,
                "on_missing": probe.on_missing,
            }
            for probe in PROBES
        ],
    }


@dataclass
class Diary:
    """What happened when, printed at once and looked up by the judge's findings."""

    began: float = field(default_factory=time.time)
    lines: list[tuple[float, str]] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Note and print what happens."""
        self.lines.append((time.time(), text))
        print(f"{time.time() - self.began:7.1f} s  {text}", flush=True)

    def around(self, at: float) -> str:
        """Give the last few things before a moment."""
        last = bisect.bisect(self.lines, (at, "\U0010ffff"))
        return " | ".join(f"{at - when:.1f} s before: {text}" for when, text in self.lines[max(last - 4, 0) : last])


class Exporter:
    """The real exporter, started again whenever it ends; ``unexpected`` counts ends that nobody ordered."""

    def __init__(self, command: Sequence[str], config: Path, diary: Diary) -> None:
        self._command = command
        self._config = config
        self._diary = diary
        self._good = config.read_text()
        self._pid = 0
        self._ordered = False
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._ended = asyncio.Event()
        self.unexpected = 0

    async def keep_running(self) -> None:
        """Start it, again and again, until cancelled."""
        log = self._config.parent / "exporter.log"
        while True:
            await self._may_start.wait()
            self._ordered = False
            self._ended.clear()
            async with process(self._command, log) as running:
                self._pid = running.pid
                code = await running.wait()
            if not self._ordered:
                self.unexpected += 1
                self._diary.note(f"exporter: ENDED ON ITS OWN with {code}; see {log}")
                await asyncio.sleep(1)
            self._ended.set()

    def let_run(self) -> None:
        """Have it run with the good configuration, whatever was under way."""
        if self._config.read_text() != self._good:
            self._config.write_text(self._good)
            self._send(signal.SIGHUP)
        self._may_start.set()

    async def stop(self, number: signal.Signals, away: float) -> None:
        """End it with a signal, and let it start again some seconds later."""
        self._diary.note(f"exporter: {number.name}, back after {away:.1f} s")
        self._ordered = True
        self._may_start.clear()
        self._send(number)
        try:
            async with asyncio.timeout(STOPS_WITHIN + 1):
                await self._ended.wait()
        except TimeoutError:
            self.unexpected += 1
            self._diary.note(f"exporter: DID NOT STOP within {STOPS_WITHIN:g} s")
            self._send(signal.SIGKILL)
        await asyncio.sleep(away)
        self._may_start.set()

    def _send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has just ended on its own is counted elsewhere."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    async def reload_broken(self) -> None:
        """Have it read a broken configuration, and some time later the good one."""
        self._diary.note("exporter: reload of a broken configuration")
        self._config.write_text(self._good.replace('"metrics"', '"matrix"'))
        self._send(signal.SIGHUP)
        await asyncio.sleep(5)
        self._diary.note("exporter: reload of the good configuration")
        self._config.write_text(self._good)
        self._send(signal.SIGHUP)


async def trouble(vendor: Vendor, names: Iterable[str], random: Random, diary: Diary) -> None:
    """Give a vendor one fault after the other, each once before any comes twice, with calm between."""
    deck: list[str] = []
    while True:
        await asyncio.sleep(random.uniform(*CALM))
        if not deck:
            deck = random.sample(list(names), len(list(names)))
        fault, share = deck.pop(), random.choice((1.0, 1.0, 0.5))
        diary.note(f"{vendor.name}: {fault}" + (f", {share:.0%} of the answers" if share < 1 else ""))
        async with vendor.troubled(fault, share):
            await asyncio.sleep(random.uniform(*TROUBLE))
        diary.note(f"{vendor.name}: {HEALTHY}")


async def disturb(exporter: Exporter, random: Random, *, reload: bool) -> None:
    """Kill, stop and reload the exporter now and then."""
    while True:
        await asyncio.sleep(random.uniform(*BETWEEN_RESTARTS))
        what = random.choice(("kill", "stop", "reload") if reload else ("kill", "stop"))
        if what == "reload":
            await exporter.reload_broken()
        else:
            await exporter.stop(signal.SIGKILL if what == "kill" else signal.SIGTERM, random.uniform(0, 4))


async def troubled_time(seconds: float, jobs: Iterable[asyncio.Task[None]]) -> None:
    """Let the jobs run for so long; one that breaks ends the run."""
    tasks = list(jobs)
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


# --- Judging --------------------------------------------------------------------------------------------------------

OWN_METRICS = {
    "video_analytics_exporter_query_success": "success",
    "video_analytics_exporter_query_last_success_timestamp_seconds": "last_success",
    "video_analytics_exporter_query_window_end_timestamp_seconds": "window_end",
}
ABOUT_ITSELF = '{__name__=~"up|scrape_duration_seconds|process_start_time_seconds|' + "|".join(OWN_METRICS) + '"}'
DATA = '{__name__=~"smartsight_.*|ibm_video_.*"}'

Key = tuple[str, str]


def rules(vendors: Iterable[Vendor]) -> dict[Key, Rule]:
    """Give the rule for each query, by source and name."""
    told = {(vendor.name, name): vendor.answers for vendor in vendors for name in vendor.datasets}

    def rule(probe: Probe) -> Rule:
        parts = [part.dataset.name for part in probe.parts]
        return Rule(
            WINDOW,
            MAX_AGE,
            expected=lru_cache(maxsize=16)(lambda window: expected(probe, window)),
            answered=lambda window: whole([told[probe.source, name].get((name, window), []) for name in parts]),
        )

    return {(probe.source, probe.name): rule(probe) for probe in PROBES}


def whole(parts: Sequence[Sequence[float]]) -> list[float]:
    """Give when a query was answered whole, from when each of its requests was: all of them, each time anew."""
    moments: list[float] = []
    seen: set[int] = set()
    for moment, number in sorted((moment, number) for number, part in enumerate(parts) for moment in part):
        seen.add(number)
        if len(seen) == len(parts):
            moments.append(moment)
            seen.clear()
    return moments


def scrapes(url: str, start: float, end: float) -> Iterable[tuple[Key, Seen]]:
    """Read a piece of the run from Prometheus: what each scrape shows of each query."""
    itself: defaultdict[float, dict[str, float]] = defaultdict(dict)
    by_query: defaultdict[tuple[float, Key], dict[str, float]] = defaultdict(dict)
    data: defaultdict[tuple[float, Key], dict[Series, float]] = defaultdict(dict)
    for metric, values in samples(url, ABOUT_ITSELF, start, end):
        name, key = metric["__name__"], (metric.get("source", ""), metric.get("query", ""))
        for at, value in values:
            if name in OWN_METRICS:
                by_query[at, key][OWN_METRICS[name]] = value
            else:
                itself[at][name] = value
    for metric, values in samples(url, DATA, start, end):
        labels = tuple(sorted(pair for pair in metric.items() if pair[0] not in ("__name__", "job", "instance")))
        key = metric.get("source", ""), metric.get("query", "")
        for at, value in values:
            data[at, key][metric["__name__"], labels] = value
    keys = {(probe.source, probe.name) for probe in PROBES} | {key for _, key in data}
    for at in sorted(itself.keys() | {at for at, _ in data}):
        own = itself[at]
        took, born = own.get("scrape_duration_seconds", 0), own.get("process_start_time_seconds")
        for key in sorted(keys):
            told = by_query[at, key]
            yield key, Seen(at, took, own.get("up") == 1, data[at, key], born=born, **told)


@dataclass
class Tally:
    """The verdicts so far, by query and reason."""

    verdicts: defaultdict[Key, Counter[Verdict]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: Counter[tuple[Verdict, str]] = field(default_factory=Counter)
    bad: dict[tuple[Key, str], list[str]] = field(default_factory=dict)
    """What is bad, by query and reason: the first time at length, and each time it came."""

    def take(self, key: Key, seen: Seen, finding: Finding, diary: Diary) -> None:
        """Count a finding, and keep it if it is bad."""
        self.verdicts[key][finding.verdict] += 1
        if finding.verdict in (Verdict.WRONG, Verdict.UNSEEN):
            when = f"{'/'.join(key)} at {seen.at - diary.began:.1f} s ({seen.at:.3f})"
            text = f"{finding.verdict.value}: {when}: {finding.why}\n    {diary.around(seen.at)}"
            self.bad.setdefault((key, finding.why), []).append(text)
        else:
            self.reasons[finding.verdict, finding.why] += 1

    def count(self, verdict: Verdict) -> int:
        """Give how often a verdict came."""
        return sum(counts[verdict] for counts in self.verdicts.values())

    @property
    def all(self) -> int:
        """How much was judged."""
        return sum(counts.total() for counts in self.verdicts.values())


def judge_all(url: str, end: float, vendors: Iterable[Vendor], diary: Diary) -> Tally:
    """Judge the whole run, piece by piece."""
    tally, known, start = Tally(), rules(vendors), diary.began
    while start < end:
        for key, seen in scrapes(url, start, start + PIECE):
            nobodys = Finding(Verdict.WRONG, "series of a query that is not configured")
            tally.take(key, seen, judge(seen, known[key]) if key in known else nobodys, diary)
        start += PIECE
    return tally


def report(tally: Tally, vendors: Sequence[Vendor], unexpected: int, minutes: float) -> bool:
    """Print the tables, and give whether the exporter passed."""
    for texts in list(tally.bad.values())[:PRINTED]:
        print(texts[0] + (f"\n    and at {len(texts) - 1} scrapes more" if texts[1:] else ""))
    print(f"\n{'fault':30}" + "".join(f"{vendor.name + ' answers':>15}" for vendor in vendors))
    for name in dict.fromkeys(name for vendor in vendors for name in vendor.hits):
        print(f"{name:30}" + "".join(f"{vendor.hits[name] or '':>15}" for vendor in vendors))
    print(f"\n{'query':20}" + "".join(f"{verdict.value:>18}" for verdict in Verdict))
    for key, counts in sorted(tally.verdicts.items()):
        print(f"{'/'.join(key):20}" + "".join(f"{counts[verdict]:18}" for verdict in Verdict))
    print(f"{'all':20}" + "".join(f"{tally.count(verdict):18}" for verdict in Verdict))
    for (verdict, why), count in sorted(tally.reasons.items(), key=lambda item: -item[1]):
        print(f"{count:8} {verdict.value}: {why}" if why else f"{count:8} {verdict.value}")
    for vendor in vendors:
        for text in vendor.broken[:PRINTED]:
            print(f"{vendor.name} could not read a request: {text}")
    right, wanted = tally.count(Verdict.RIGHT), minutes * 60 * len(PROBES) * ENOUGH
    share = right / tally.all if tally.all else 0
    wrong, unseen = tally.count(Verdict.WRONG), tally.count(Verdict.UNSEEN)
    print(f"\nright {share:.1%}, wrong {wrong}, absent unseen {unseen}, unexpected restarts {unexpected}")
    return (
        not (wrong or unseen or unexpected or any(vendor.broken for vendor in vendors))
        and tally.all >= wanted
        and share >= ENOUGH
    )


# --- The run --------------------------------------------------------------------------------------------------------


async def run(options: argparse.Namespace, directory: Path) -> bool:
    """Run the chaos, and judge it."""
    mm = SmartSight("mm", [CDN, PLACE, ASSETS, ALL], dice(f"mm {options.seed}"))
    ibm = Ibm("ibm", [DEVICE, *(each for _, each in SPLIT), LIVE], dice(f"ibm {options.seed}"))
    known = [*FAULTS, *(LIES if options.lies else ())]
    faults = {mm: known, ibm: [*known, *TOKEN_FAULTS, REVOKED_EARLY]}
    if options.fault:
        faults = dict.fromkeys(faults, options.fault)
    target = f"127.0.0.1:{free_port()}"
    command = [*(shlex.split(options.command) or OWN), "run", f"--web.listen-address={target}"]
    if not options.no_storage:
        command.append(f"--storage.path={directory / 'storage'}")
    config = directory / "config.yaml"
    async with mm.running(), ibm.running():
        config.write_text(json.dumps(configuration(mm.url, ibm.url)))
        diary = Diary()
        exporter = Exporter([*command, f"--config.file={config}"], config, diary)
        async with running(exporter), prometheus(target, directory) as url:
            await answers(f"http://{target}/-/ready")
            diary.began = time.time()
            seconds = options.minutes * 60 - LAST_CALM
            jobs = [
                trouble(vendor, faults[vendor], dice(f"{vendor.name} faults {options.seed}"), diary)
                for vendor in faults
            ]
            jobs.append(disturb(exporter, dice(f"exporter {options.seed}"), reload=options.reload))
            await troubled_time(seconds, [asyncio.create_task(job) for job in jobs])
            exporter.let_run()
            diary.note("all are well for the rest")
            await asyncio.sleep(LAST_CALM)
            end = time.time()
            # A scrape that began before the end may still be on its way into Prometheus.
            await asyncio.sleep(SETTLING)
            print("judging", flush=True)
            tally = await asyncio.to_thread(judge_all, url, end, (mm, ibm), diary)
    return report(tally, (mm, ibm), exporter.unexpected, options.minutes)


@contextlib.asynccontextmanager
async def running(exporter: Exporter) -> AsyncIterator[None]:
    """Keep the exporter running for as long as the context is open."""
    keeper = asyncio.create_task(exporter.keep_running())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


def main() -> int:
    """Read the flags, run, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-storage", action="store_true", help="run without --storage.path")
    parser.add_argument("--reload", action="store_true", help="reload configurations with SIGHUP, too")
    parser.add_argument("--lies", action="store_true", help="tell lies that an answer alone does not give away, too")
    parser.add_argument("--fault", action="append", help="have this fault alone; may be given several times")
    parser.add_argument("--command", default="", help="another exporter, such as benchmarks/sabotaged.py")
    parser.add_argument("--directory", type=Path, help="keep logs and samples here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        good = asyncio.run(run(options, directory))
    print("passed" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

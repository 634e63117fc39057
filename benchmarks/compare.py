"""All figures of the exporter's costs, as ratios of what others cost, measured interleaved in the same run.

    python benchmarks/compare.py [--quick] [--only scrape,poll] [--series 1000,100000]

Prints Markdown for docs/performance.md. Exit code 1 if a promise is not kept, or the machine too noisy to say so.
Needs nginx, prometheus and prometheus-pushgateway on PATH; query-exporter is installed beside the virtual environment.
"""

import argparse
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import holding
import polling
import scraping
import structlog
import waiting
from figures import Section, markdown, promises

ROUNDS, QUICK_ROUNDS = 21, 5
SERIES, QUICK_SERIES = "1000,10000,100000,1000000", "1000,10000"
PAGES, QUICK_PAGES = (100, 1000, 10_000), (100, 10_000)
SECONDS, QUICK_SECONDS = 120, 20


def sections(asked: argparse.Namespace) -> Mapping[str, Callable[[], Section]]:
    """Give what can be measured, by the names of ``--only``."""
    rounds = QUICK_ROUNDS if asked.quick else ROUNDS
    seconds = QUICK_SECONDS if asked.quick else SECONDS
    sizes = [int(size) for size in (asked.series or (QUICK_SERIES if asked.quick else SERIES)).split(",")]
    return {
        "scrape": lambda: scraping.section(rounds, sizes),
        "poll": lambda: polling.section(rounds, QUICK_PAGES if asked.quick else PAGES),
        "memory": lambda: holding.memory(sizes),
        "idle": lambda: holding.idling(seconds),
        "requests": holding.requests,
        "arrival": lambda: waiting.arrival(seconds / 4),
        "pages": lambda: waiting.pages(seconds),
        "flight": waiting.flight,
        "prometheus": lambda: waiting.timed_by_prometheus(seconds),
    }


def machine() -> str:
    """Give where and when this is measured, and with which versions."""
    cpu = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    tools = [_said([*command, "--version"]) for command in (["prometheus"], ["prometheus-pushgateway"])]
    nginx = _said(["nginx", "-v"])
    query_exporter = _said([str(Path(__file__).parents[1] / ".venv/query-exporter/bin/query-exporter"), "--version"])
    lines = [
        ["date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"],
        ["machine", f"{os.cpu_count()} x {cpu}, {platform.system()} {platform.release()}"],
        ["load at the start", f"{os.getloadavg()[0]:.1f}"],
        ["Python", platform.python_version()],
        *([name, version(name)] for name in ("video-analytics-exporter", "prometheus-client", "uvicorn", "uvloop")),
        *(["others", text] for text in (*tools, nginx, query_exporter) if text),
    ]
    return markdown(["what", "which"], lines)


def _said(command: list[str]) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (ended.stdout + ended.stderr).partition("\n")[0].partition(" (branch")[0].strip()


def main() -> int:
    """Measure what is asked for, print, and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller sizes: for a first look")
    parser.add_argument("--only", default="", help="names of sections, with commas between them")
    parser.add_argument("--series", default="", help="sizes of a scrape, with commas between them")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    measures = sections(asked)
    wanted = asked.only.split(",") if asked.only else list(measures)
    if unknown := set(wanted) - measures.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(measures)}")
    print(machine(), flush=True)
    found = []
    for name in wanted:
        found.append(measures[name]())
        print(f"### {found[-1].title}\n\n{found[-1].text}", flush=True)
    print(f"### Promises\n\n{promises(verdict for section in found for verdict in section.verdicts)}")
    return 0 if all(section.kept for section in found) else 1


if __name__ == "__main__":
    sys.exit(main())

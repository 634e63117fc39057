"""The judge of the chaos run: what one scrape shows of one query, held against what the vendor said.

A judge that cannot say "wrong" is worth nothing; ``tests/benchmarks/test_judge.py`` makes it say everything it can.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from truth import Series

from exporter.model import Window

SCRAPE = 1.0
"""Seconds between two scrapes."""

SLACK = 1.0
"""Seconds that a busy machine may be late."""

FIRST_POLL = 45.0
"""Seconds of a process within which each query's first poll has ended, even if every request of it times out."""

SHOWN = 3
"""Series that a finding names."""


class Verdict(Enum):
    """What a scrape shows of a query."""

    RIGHT = "right"
    VISIBLE = "absent, visible"
    UNSEEN = "absent, unseen"
    WRONG = "wrong"


@dataclass(frozen=True)
class Seen:
    """One scrape's samples of one query, and what the exporter said of itself in the very same one.

    ``at`` and ``took`` are when it began and how long it took; ``born`` is when the exporter's process started.
    """

    at: float
    took: float
    up: bool
    series: Mapping[Series, float]
    success: float | None = None
    last_success: float | None = None
    window_end: float | None = None
    born: float | None = None


@dataclass(frozen=True)
class Rule:
    """What holds for a query: ``expected`` and ``answered`` tell a window's series, and when they were told whole."""

    window: int
    max_age: float
    expected: Callable[[Window], Mapping[Series, float]]
    answered: Callable[[Window], Sequence[float]]


@dataclass(frozen=True)
class Finding:
    """A verdict, and why."""

    verdict: Verdict
    why: str = ""


def judge(seen: Seen, rule: Rule) -> Finding:
    """Judge one query at one scrape."""
    if not seen.up:
        return Finding(Verdict.WRONG, "samples of a failed scrape") if seen.series else Finding(Verdict.VISIBLE, "down")
    return _present(seen, rule) if seen.series else _absent(seen, rule)


def _present(seen: Seen, rule: Rule) -> Finding:
    if seen.window_end is None:
        return Finding(Verdict.WRONG, f"{len(seen.series)} series that claim no window")
    window = Window(int(seen.window_end) - rule.window, int(seen.window_end))
    told = [moment for moment in rule.answered(window) if moment <= seen.at + seen.took]
    if not told:
        return Finding(Verdict.WRONG, f"{len(seen.series)} series of {window}, which nobody had answered whole")
    if difference := _difference(seen.series, rule.expected(window)):
        return Finding(Verdict.WRONG, f"not what was answered for {window}: {difference}")
    age = seen.at - max(told)
    if age > rule.max_age + SCRAPE + SLACK:
        return Finding(Verdict.WRONG, f"served {age:.1f} s after the answer, with max_age {rule.max_age:g} s")
    return Finding(Verdict.RIGHT)


def _absent(seen: Seen, rule: Rule) -> Finding:
    if seen.success is None:
        if seen.born is not None and seen.at - seen.born <= FIRST_POLL:
            return Finding(Verdict.VISIBLE, "before the first poll ended")
        return Finding(Verdict.UNSEEN, "no `query_success` long after the start")
    if seen.success == 0:
        return Finding(Verdict.VISIBLE, "the last poll failed")
    if seen.last_success is not None and seen.at + seen.took + SLACK - seen.last_success >= rule.max_age:
        return Finding(Verdict.VISIBLE, "the last success is too old")
    if seen.window_end is not None:
        window = Window(int(seen.window_end) - rule.window, int(seen.window_end))
        if rule.answered(window) and not rule.expected(window):
            return Finding(Verdict.RIGHT, "the answer was empty")
    return Finding(Verdict.UNSEEN, f"success {seen.success:g} at {seen.last_success}, window end {seen.window_end}")


def _difference(found: Mapping[Series, float], expected: Mapping[Series, float]) -> str:
    """Say how two sets of series differ; empty if they do not."""
    missing = [_text(series) for series in expected if series not in found]
    extra = [_text(series) for series in found if series not in expected]
    other = [
        f"{_text(series)} {found[series]!r} for {expected[series]!r}"
        for series in expected
        if series in found and found[series] != expected[series]
    ]
    words = (("missing", missing), ("too many", extra), ("other values", other))
    return "; ".join(f"{len(those)} {word}, such as {' and '.join(those[:SHOWN])}" for word, those in words if those)


def _text(series: Series) -> str:
    name, labels = series
    return (
        name + "{" + ",".join(f"{label}={value!r}" for label, value in labels if label not in ("query", "source")) + "}"
    )

"""Figures as ratios: the costs of several parties round by round, what is judged of them, and tables for people."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

OURS, AGAIN = "ours", "ours again"
"""The exporter, and a second one that shows how much of a difference is the machine's."""

NOISY = 1.5
"""Two of ours that are farther apart say that nothing else can be believed."""

RESAMPLES = 2000
SURE = 0.05
"""The share of resamples that may lie beyond a bound."""


@dataclass
class Costs:
    """What each party spent in each round, in one unit."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, spent: Mapping[str, float]) -> None:
        """Take one round."""
        for name, cost in spent.items():
            self.rounds.setdefault(name, []).append(cost)

    def median(self, name: str) -> float:
        """Give a party's usual cost."""
        return statistics.median(self.rounds[name])

    def ratio(self, rival: str) -> tuple[float, float]:
        """Give how many times as much as ours a rival costs: the median over the rounds, and its lower bound."""
        ratios = [theirs / ours for theirs, ours in zip(self.rounds[rival], self.rounds[OURS], strict=True)]
        chance = Random(rival)  # noqa: S311 - no secrets
        medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
        return statistics.median(ratios), medians[int(RESAMPLES * SURE)]

    @property
    def spread(self) -> float:
        """How far two of ours are apart in nine rounds of ten."""
        pairs = zip(self.rounds[OURS], self.rounds[AGAIN], strict=True)
        return percentile([max(a / b, b / a) for a, b in pairs], 90)


@dataclass(frozen=True)
class Verdict:
    """A promise, and whether it is kept."""

    what: str
    promised: str
    found: str
    kept: bool


@dataclass(frozen=True)
class Section:
    """A part of the report, in Markdown."""

    title: str
    text: str
    verdicts: Sequence[Verdict] = ()

    @property
    def kept(self) -> bool:
        """Whether all of its promises are."""
        return all(verdict.kept for verdict in self.verdicts)

    def __str__(self) -> str:
        return f"### {self.title}\n\n{self.text}\n{promises(self.verdicts)}"


def at_least(what: str, costs: Costs, rival: str, least: float) -> Verdict:
    """Judge how many times as much as ours a rival costs, by the lower bound."""
    found, bound = costs.ratio(rival)
    return Verdict(f"{what}, against {rival}", share(least), f"{share(found)} (at most {share(bound)})", bound >= least)


def at_most(what: str, found: float, most: float, unit: str = "") -> Verdict:
    """Judge a figure that has a limit."""
    return Verdict(what, f"{most:g}{unit}", f"{found:.3g}{unit}", found <= most)


def quiet(what: str, costs: Costs) -> Verdict:
    """Judge whether the machine is quiet enough to believe anything."""
    return at_most(f"noise: {what}, ours against ours", costs.spread, NOISY, " x")


def promises(verdicts: Iterable[Verdict]) -> str:
    """Give a table of promises."""
    head = ("promise", "at most", "found", "kept")
    lines = [[each.what, each.promised, each.found, "yes" if each.kept else "**no**"] for each in verdicts]
    return markdown(head, lines) if lines else ""


def share(times: float) -> str:
    """Write what ours costs of a rival that costs so many times as much."""
    return f"1/{times:,.0f}" if times >= 10 else f"{1 / times:.2g} x"  # noqa: PLR2004 - two digits are enough


def percentile(values: Sequence[float], percent: int) -> float:
    """Give a percentile; the only value of one."""
    return statistics.quantiles([*values, *values[:1]], n=100, method="inclusive")[percent - 1]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; numbers stand to the right, in all columns but the first."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

"""The rules as values: what is recorded, what alerts, and the numbers that an operator may want to be others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from exporter.model import Labels

Severity = Literal["critical", "warning"]
Category = Literal["qoe", "exporter"]
"""What an alert is about: the viewers' side, or whether the exporter can tell at all."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule. The labels tell rules of one name apart, for each query has its own."""

    name: str
    expr: str
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule; ``hold`` is its ``for``."""

    name: str
    expr: str
    severity: Severity
    category: Category
    summary: str
    description: str
    hold: str = "2m"
    extra: Labels = ()

    @property
    def labels(self) -> Labels:
        """The labels that Alertmanager routes by, and what tells alerts of one name apart."""
        return (("severity", self.severity), ("category", self.category), *self.extra)

    def annotations(self, runbooks: str) -> Mapping[str, str]:
        """What a person reads; ``runbooks`` is where the runbooks are."""
        url = f"{runbooks.rstrip('/')}/{self.name}.md"
        return {"summary": self.summary, "description": self.description, "runbook_url": url}


Rule = Recording | Alert


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that Prometheus evaluates one after the other."""

    name: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Burn:
    """One pair of windows of a burn-rate alert: both must spend the budget ``factor`` times too fast."""

    factor: float
    long: str
    short: str
    severity: Severity
    hold: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers of the rules that are not one signal's own.

    ``minimum`` is the volume guard: plays or attempts in a query's window, below which a ratio says nothing.
    ``span`` is what a baseline is the median of, ``offset`` how long before now it ends; ``season`` is when it was
    the same hour of the same weekday. The burn rates are those of Google's SRE workbook for a budget of 30 days.
    """

    minimum: int = 100
    span: str = "1h"
    offset: str = "15m"
    season: str = "1w"
    burns: tuple[Burn, ...] = (
        Burn(14.4, "1h", "5m", "critical", "2m"),
        Burn(6, "6h", "30m", "critical", "15m"),
        Burn(3, "1d", "2h", "warning", "1h"),
        Burn(1, "3d", "6h", "warning", "3h"),
    )

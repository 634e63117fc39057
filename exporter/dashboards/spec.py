"""A dashboard as values, before Grafana's words for it: what is asked, how it is shown, where a click leads."""

from dataclasses import dataclass
from typing import Literal

from exporter.dashboards.feeds import Feed

Kind = Literal["stat", "timeseries", "bargauge", "table"]

TAG = "video-analytics-exporter"
"""The tag that all dashboards share; the link drop-down lists what has it."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Where colours begin: the colour below all steps, then values, rising, and their colours."""

    base: str = "green"
    above: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """What a panel's description says: which question it answers, what is bad, and what is done then."""

    question: str
    bad: str
    next: str

    def text(self, *notes: str) -> str:
        """Write it as Markdown, with notes below."""
        said = (self.question, f"**Bad:** {self.bad}", f"**Next:** {self.next}", *notes)
        return "\n\n".join(dict.fromkeys(filter(None, said)))


@dataclass(frozen=True, slots=True)
class Target:
    """One expression; ``name`` is its column in a table."""

    expr: str
    legend: str = ""
    name: str = ""
    unit: str = ""
    steps: Steps | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click leads; a relative address, with what Grafana fills in."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. ``matrix`` shows the labels ``row`` and ``column`` of a table against each other."""

    kind: Kind
    title: str
    description: str
    unit: str
    targets: tuple[Target, ...]
    steps: Steps = Steps()
    width: int = 12
    height: int = 8
    link: Link | None = None
    feeds: tuple[Feed, ...] = ()
    matrix: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading; without panels there is no heading either."""

    title: str
    panels: tuple[Panel | None, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable of its own: of fixed ``options``, or of what ``query`` gives; the first option is chosen at first."""

    name: str
    label: str
    options: tuple[str, ...] = ()
    query: str = ""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; ``question`` is what it answers."""

    name: str
    title: str
    question: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()
    span: str = "now-6h"
    feeds: tuple[Feed, ...] = ()
    """Queries that its panels ask beside those of its panels."""

    @property
    def uid(self) -> str:
        """What links name it by; it never changes."""
        return uid(self.name)

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in their order."""
        return tuple(panel for row in self.rows for panel in row.panels if panel)

    @property
    def asked(self) -> tuple[Feed, ...]:
        """The queries whose data it shows."""
        return tuple(dict.fromkeys((*self.feeds, *(feed for panel in self.panels for feed in panel.feeds))))


def uid(name: str) -> str:
    """Give the uid of a dashboard by its name."""
    return f"vae-{name}"

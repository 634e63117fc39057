"""The values that pass between the stages. All frozen: a stage can keep one without fearing the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from exporter.gzipped import Piece

Cell = int | float | None
"""One value of a column; ``None`` where there is no sample."""

Fold = Literal["first", "max"]
"""What becomes of several rows with the same labels: the first one stands, or the largest value does."""

Labels = tuple[tuple[str, str], ...]
"""Label names and values, in the order in which they are exposed."""

Row = Mapping[str, object]
"""One row as a vendor sent it: field to value, nothing converted yet."""


@dataclass(frozen=True, slots=True)
class Window:
    """The period that a poll asks for: ``[start, end)``, in seconds of the Unix clock."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family as Prometheus sees it; every family of this exporter's data is a gauge."""

    name: str
    help: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One field of a vendor, the family that it becomes, and the factor from the vendor's unit to the base unit."""

    field: str
    family: Family
    scale: float = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one HTTP request of a query may cost, and for how long a refused log-in rests.

    ``timeout`` and ``interval`` are seconds, ``max_response`` bytes of a body after decompression.
    """

    timeout: float
    max_response: int
    interval: float


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the configuration against one source, defaults filled in. Durations in seconds."""

    source: str
    name: str
    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    having: str | None
    top: int | None
    order_by: str
    order: Literal["asc", "desc"]
    endpoint: str
    options: Labels
    interval: int
    window: int
    delay: int
    timeout: float
    max_age: float
    max_series: int
    max_rows: int
    max_response: int
    empty_label: str
    on_missing: Literal["absent", "zero"]
    labels: Labels
    """The source's own labels, which every series of the query carries."""

    @property
    def key(self) -> tuple[str, str]:
        """What the query is known by: its source and its name, as its own metrics' labels say it."""
        return self.source, self.name

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields to ask for, each once."""
        return tuple(dict.fromkeys(metric.field for metric in self.metrics))

    @property
    def bounds(self) -> Bounds:
        """What one of its HTTP requests may cost."""
        return Bounds(self.timeout, self.max_response, self.interval)

    def filter(self, dimension: str) -> tuple[str, ...]:
        """The values that the query admits for a dimension; empty where it admits all."""
        return dict(self.filters).get(dimension, ())


@dataclass(frozen=True, slots=True)
class Part:
    """One of the requests that answer a query; a vendor may need several (IBM: one a metric and content type).

    ``fields`` are the metrics that its rows carry, ``constants`` the dimensions that the request fixes.
    """

    endpoint: str
    path: str
    fields: tuple[str, ...]
    constants: Labels = ()
    fold: Fold = "first"


@dataclass(frozen=True, slots=True)
class Request:
    """A GET request, relative to the source's base URL; ``params`` are not yet URL-encoded."""

    endpoint: str
    path: str
    params: Labels


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer.

    ``rows`` may hold anything that JSON can: the vendors promise objects, and normalise counts what is none.
    ``next`` is the cursor of the page after this one, ``None`` on the last; ``missing`` is how many rows
    the vendor says are still to come.
    """

    rows: Sequence[object]
    next: int | None = None
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """One family's values, one for each label row of its table."""

    family: Family
    values: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """A query's samples: unique label rows, and a column of values for each family."""

    labels: Labels
    """The labels that all rows share, in front of those of ``names``."""
    names: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    columns: tuple[Column, ...]
    dropped: Mapping[str, int]
    """Vendor rows that were left out or lost a value, by reason: ``duplicate``, ``limit``, ``invalid``."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One family of one query: its exposition lines, compressed, without HELP and TYPE."""

    family: Family
    lines: Piece
    series: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a query's last good poll publishes: swapped in whole, never changed."""

    query: Query
    chunks: tuple[Chunk, ...]
    window: Window
    taken: float
    """When the answer was complete, on the store's clock."""

    @property
    def series(self) -> int:
        """How many series the snapshot holds."""
        return sum(chunk.series for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and how it ended: ``code`` is the status, or the reason where none came."""

    source: str
    endpoint: str
    code: str
    duration: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one poll ended. ``reason`` is empty for success, else one of the contract's failure reasons."""

    query: Query
    window: Window
    ended: float
    duration: float
    series: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the poll brought a whole answer."""
        return not self.reason

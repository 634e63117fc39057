"""The values that pass between the stages. All frozen: a stage can keep one without fearing the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from exporter.gzipped import Piece

Cell = int | float | None
"""One value of a column; ``None`` where there is no sample."""

Fold = Literal["max", "sum", "distinct", "newest", "distribution"]
"""What the exporter makes of one field of many rows: a number, or a number for each bucket of a histogram."""

ROW_ID, ROW_TIME = "\0id", "\0time"
"""Keys of a row that no vendor's field is called: a text that tells it from others, and the time that it is of."""

INTERVALS = 4
"""How many of a query's intervals its data may be behind its delay: one poll may fail."""

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
    """A metric family as Prometheus sees it."""

    name: str
    help: str
    kind: Literal["gauge", "histogram"] = "gauge"


@dataclass(frozen=True, slots=True)
class Line:
    """One of a metric's lines for each row: the field of its value, what follows the family's name, a label behind."""

    field: str
    suffix: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One field of a vendor, the family that it becomes, and the factor from the vendor's unit to the base unit."""

    field: str
    family: Family
    scale: float = 1
    bounds: tuple[float, ...] = ()
    """Of a distribution: the upper bounds of its buckets, in base units, without the infinite one."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """What it shows for each row: one line, or for a distribution its buckets, sum and count."""
        if self.family.kind == "gauge":
            return (Line(self.field),)
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        buckets = tuple(Line(f"{self.field}\0{bound}", "_bucket", f'le="{bound}"') for bound in bounds)
        return (*buckets, Line(f"{self.field}\0sum", "_sum"), Line(f"{self.field}\0count", "_count"))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one HTTP request of a query may cost, and for how long a refused log-in rests.

    ``timeout`` and ``interval`` are seconds, ``max_response`` bytes of a body after decompression. ``until`` is when
    the next tick is due, on the client's clock: no request is made again then; ``end`` when a request must have ended.
    """

    timeout: float
    max_response: int
    interval: float
    until: float = float("-inf")
    end: float = float("inf")


@dataclass(frozen=True, slots=True)
class History:
    """How a query's past is delivered: in buckets of ``step`` seconds, read again once after ``settle`` seconds.

    What is older than ``catch_up`` seconds is given up; ``requests`` is what an hour of catching up may cost.
    """

    step: int
    settle: int
    catch_up: int
    requests: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a query's history stands at one receiver. Times are Unix seconds, ``None`` where there are none yet.

    All buckets before ``until`` are delivered or given up. Of those that were ``read_again`` so many were ``revised``,
    by ``largest`` at most, as a share of the larger value; ``verdict`` says in words whether the query's delay does.
    """

    receiver: str
    newest: int | None
    until: int | None
    trouble: str
    read_again: int
    revised: int
    largest: float
    enough: int | None
    verdict: str


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
    exemplars: bool
    interval: int
    window: int
    delay: int
    timeout: float
    max_age: float
    max_series: int
    max_rows: int
    max_response: int
    max_nesting: int
    max_label_length: int
    empty_label: str
    on_missing: Literal["absent", "zero"]
    labels: Labels
    """The source's own labels, which every series of the query carries."""
    history: History | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What the query is known by: its source and its name, as its own metrics' labels say it."""
        return self.source, self.name

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields to ask for, each once."""
        return tuple(dict.fromkeys(metric.field for metric in self.metrics))

    @property
    def oldest(self) -> int:
        """Seconds after which what it brought is too old."""
        return self.delay + INTERVALS * self.interval

    def bounds(self, until: float) -> Bounds:
        """Give what one of its HTTP requests may cost; ``until`` is when its next tick is due."""
        return Bounds(self.timeout, self.max_response, self.interval, until)

    def filter(self, dimension: str) -> tuple[str, ...]:
        """The values that the query admits for a dimension; empty where it admits all."""
        return dict(self.filters).get(dimension, ())


@dataclass(frozen=True, slots=True)
class Part:
    """One of the requests that answer a query; a vendor may need several (IBM: one an endpoint and content type).

    ``fields`` are the metrics that its rows carry, ``constants`` the dimensions that the request fixes. Where the
    exporter aggregates the rows, ``folds`` says how, field by field.
    """

    endpoint: str
    path: str
    fields: tuple[str, ...]
    constants: Labels = ()
    folds: tuple[tuple[str, Fold], ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One page of one part, for one window; the first page has no cursor."""

    part: Part
    window: Window
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """A fact that a request needs, and that the vendor is asked for once: it becomes the parameter ``name``."""

    name: str
    endpoint: str
    path: str


@dataclass(frozen=True, slots=True)
class Request:
    """A GET request, relative to the source's base URL; ``params`` are not yet URL-encoded."""

    endpoint: str
    path: str
    params: Labels
    lookup: Lookup | None = None


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
class Exemplar:
    """One row that stands for many: the session with the largest value of a bucket."""

    session: str
    value: int | float


@dataclass(frozen=True, slots=True)
class Column:
    """One family's values: for each label row of its table, one for each of the metric's lines.

    ``exemplars`` go with a value in OpenMetrics, by the value's number.
    """

    family: Family
    lines: tuple[Line, ...]
    values: Sequence[Cell]
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)


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
class Past:
    """How the past of a query is asked for, in buckets of ``step`` seconds on the Unix clock's grid.

    ``asked`` is the query as the vendor is asked, ``query`` the same as its rows are read. Each of ``parts`` may be
    asked for ``span`` seconds at once, a multiple of the step; rows of more than one bucket have a ``ROW_TIME``.
    """

    query: Query
    asked: Query
    parts: tuple[Part, ...]
    step: int
    span: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a query was in one piece of the past."""

    period: Window
    table: Table


@dataclass(frozen=True, slots=True)
class Series:
    """A series' labels, the first of which is ``__name__``, and its points: Unix milliseconds and the value."""

    labels: Labels
    points: tuple[tuple[int, int | float], ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One family of one query: its exposition lines, compressed, without HELP and TYPE.

    ``with_exemplars`` are those of OpenMetrics, where they are others.
    """

    family: Family
    lines: Piece
    series: int
    with_exemplars: Piece | None = None


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

"""How the command ``query`` prints answers: as a table, as JSON, or as ``/metrics`` shows them."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from exporter.catalog import Catalog, sanitise
from exporter.commands import tables
from exporter.commands.asking import Answer
from exporter.exposition import Exposition, Format, header
from exporter.gzipped import inflate
from exporter.model import Chunk, Metric, Query, Snapshot

DIGITS = 4
"""Significant digits of the largest number of a column; the others have as many decimals, so that the points align."""

MOST_DECIMALS = 12
END = "# EOF\n"

Labels = tuple[str, ...]
Samples = Mapping[str, float]
"""The lines of one family for one row: by what follows the family's name, or a bucket's bound."""


def show(answers: Sequence[Answer], console: Console | None = None) -> None:
    """Print a table for each answer: the labels, and a column for each family in its base unit."""
    for answer in answers:
        rows, names = rows_of(answer), _names(answer.query)
        columns = [column for metric in answer.query.metrics for column in _columns(metric, answer.catalog, rows)]
        cells = [[*labels, *(column[1][row] for column in columns)] for row, labels in enumerate(rows)]
        heads = [head for head, _ in columns]
        tables.show(_title(answer, len(rows)), (*names, *heads), cells, right=heads, console=console)


def as_json(answers: Sequence[Answer]) -> str:
    """Give answers for programs; times are Unix seconds."""
    return json.dumps([_document(answer) for answer in answers], ensure_ascii=False, indent=2)


def as_openmetrics(answers: Sequence[Answer]) -> str:
    """Give what ``/metrics`` shows of them in OpenMetrics, with the end of file."""
    snapshots = _Snapshots([answer.snapshot for answer in answers if answer.snapshot])
    return inflate(Exposition(snapshots).body(Format.OPENMETRICS)).decode() + END


def rows_of(answer: Answer) -> dict[Labels, dict[str, Samples]]:
    """Give the samples by the dimensions' values and the family, in the order that the query asks for."""
    found: dict[Labels, dict[str, Samples]] = {}
    for chunk in answer.snapshot.chunks if answer.snapshot else ():
        for labels, samples in _samples(chunk, answer.query).items():
            found.setdefault(labels, {})[chunk.family.name] = samples
    by = _order_by(answer.query)
    # Two steps, for rows without a value come last in both orders.
    ranked = sorted(found.items(), key=lambda row: _value(row[1], by), reverse=answer.query.order == "desc")
    return dict(sorted(ranked, key=lambda row: by not in row[1]))


class _Snapshots:
    """What an exposition needs of a store."""

    version = 1

    def __init__(self, found: Sequence[Snapshot]) -> None:
        self._found = found

    def snapshots(self) -> Sequence[Snapshot]:
        return self._found


def _samples(chunk: Chunk, query: Query) -> dict[Labels, dict[str, float]]:
    """Read back what was rendered: then no number is shown that ``/metrics`` would not show."""
    text = (header(chunk.family, Format.TEXT) + inflate(chunk.lines)).decode()
    found: dict[Labels, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            row = found.setdefault(tuple(sample.labels[name] for name in _names(query)), {})
            row[sample.labels.get("le", sample.name.removeprefix(chunk.family.name))] = sample.value
    return found


def _names(query: Query) -> list[str]:
    return [sanitise(dimension) for dimension in query.dimensions]


def _order_by(query: Query) -> str:
    """Name the family to sort by: that of ``order_by``, else the first with one number a row."""
    numbers = [metric for metric in query.metrics if metric.family.kind == "gauge"]
    chosen = next((metric for metric in numbers if metric.field == query.order_by), next(iter(numbers), None))
    return chosen.family.name if chosen else ""


def _value(row: Mapping[str, Samples], family: str) -> float:
    return row.get(family, {}).get("", 0)


def _columns(
    metric: Metric, catalog: Catalog, rows: Mapping[Labels, Mapping[str, Samples]]
) -> list[tuple[str, list[str]]]:
    """Give heads and cells of a metric: one column, or of a distribution its count and its mean."""
    cells = [row.get(metric.family.name, {}) for row in rows.values()]
    known = catalog.known.get(metric.field) or catalog.counted.get(metric.field)
    unit = known.unit if known and known.unit and metric.family.name.endswith(f"_{known.unit}") else ""
    short = metric.family.name.removeprefix(catalog.prefix).removesuffix(f"_{unit}" if unit else "")
    of = f" ({unit})" if unit else ""
    if metric.family.kind == "gauge":
        return [(short + of, _written([cell.get("") for cell in cells]))]
    means = [cell["_sum"] / cell["_count"] if cell.get("_count") else None for cell in cells]
    return [
        (f"{short} count", _written([cell.get("_count") for cell in cells])),
        (f"{short} mean{of}", _written(means)),
    ]


def _written(values: Sequence[float | None]) -> list[str]:
    """Write a column so that it can be compared at a glance; ``-`` where there is no sample."""
    there = [value for value in values if value is not None]
    largest = max(map(abs, there), default=0)
    decimals = 0
    if any(value % 1 for value in there):
        decimals = min(max(DIGITS - 1 - math.floor(math.log10(largest)), 0), MOST_DECIMALS)
    return ["-" if value is None else f"{value:.{decimals}f}" for value in values]


def _title(answer: Answer, rows: int) -> str:
    query, outcome = answer.query, answer.outcome
    own = "".join(f", {name}={value}" for name, value in query.labels[2:])
    period = " to ".join(
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        for at in (outcome.window.start, outcome.window.end)
    )
    dropped = "".join(f", {count} dropped as {reason}" for reason, count in sorted(outcome.dropped.items()))
    size = f"{tables.count(rows, 'row')}, {outcome.series} series{dropped}"
    return tables.printable(f"{query.name} of {query.source}{own}: {period} UTC, {size}")


def _document(answer: Answer) -> dict[str, object]:
    query, outcome = answer.query, answer.outcome
    return {
        "source": query.source,
        "query": query.name,
        "labels": dict(query.labels[2:]),
        "window": {"start": outcome.window.start, "end": outcome.window.end},
        "series": outcome.series,
        "dropped": dict(outcome.dropped),
        "rows": [
            {
                "labels": dict(zip(_names(query), labels, strict=True)),
                "values": {family: _plain(samples) for family, samples in row.items()},
            }
            for labels, row in rows_of(answer).items()
        ],
    }


def _plain(samples: Samples) -> object:
    if "" in samples:
        return _number(samples[""])
    buckets = {bound: _number(value) for bound, value in samples.items() if not bound.startswith("_")}
    return {"count": _number(samples["_count"]), "sum": _number(samples["_sum"]), "buckets": buckets}


def _number(value: float) -> float | int:
    return int(value) if value % 1 == 0 else value

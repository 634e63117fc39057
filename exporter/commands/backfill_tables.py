"""How the command ``backfill`` prints what it would ask (``--dry-run``)."""

from collections.abc import Sequence

from rich.console import Console

from exporter.commands import tables
from exporter.commands.forecast import path
from exporter.commands.progress import in_words
from exporter.config import Config
from exporter.history.backfill import Wanted
from exporter.history.fetch import pieces
from exporter.model import Turn

HEADS = (
    "source",
    "query",
    "buckets",
    "requests",
    "samples a row",
    "samples at most",
    "first request: GET",
)
MINUTE = 60


def show(config: Config, wanted: Sequence[Wanted], without: Sequence[str], console: Console | None = None) -> None:
    """Print requests and samples of each query, how long each source takes at least, and what has no history."""
    tables.show(
        "Requests, one page each where there can be more, and the samples that they can bring",
        HEADS,
        [_row(each) for each in wanted],
        right=HEADS[2:-1],
        console=console,
    )
    sources = {each.query.source: 0 for each in wanted}
    for each in wanted:
        sources[each.query.source] += requests(each)
    tables.show(
        "Sources; log-ins and look-ups come on top",
        ("source", "requests", "limit a minute", "takes at least"),
        [(name, str(count), *_limit(config, name, count)) for name, count in sources.items()],
        right=("requests", "limit a minute", "takes at least"),
        console=console,
    )
    if without:
        tables.show("", ("without history",), [(line,) for line in without], console=console)


def requests(each: Wanted) -> int:
    """Give how many requests a query's past takes, pages aside."""
    return each.pieces * len(each.past.parts)


def _row(each: Wanted) -> tuple[str, ...]:
    query = each.query
    lines = sum(len(metric.lines) for metric in query.metrics)
    rows = min(query.max_series // lines, query.top or query.max_series) if query.dimensions else 1
    first = next(pieces(each.past, each.period), None)
    request = each.provider.request(each.past.asked, Turn(each.past.parts[0], first)) if first else None
    return (
        query.source,
        query.name,
        str(each.buckets),
        str(requests(each)),
        str(each.buckets * lines),
        str(each.buckets * lines * rows),
        path(request) if request else "nothing has settled yet",
    )


def _limit(config: Config, source: str, count: int) -> tuple[str, str]:
    limit = config.sources[source].settings.limits.requests_per_minute
    if limit is None:
        return "none", "-"
    return str(limit), in_words(max(count - limit, 0) / limit * MINUTE)

"""How the command ``plan`` prints a forecast."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from exporter.commands import tables
from exporter.commands.deliveries import Deliverable
from exporter.commands.forecast import Asked, Forecast, number
from exporter.config.shown import duration
from exporter.model import Window


def show(found: Forecast, console: Console | None = None) -> None:
    """Print a forecast as tables."""
    tables.show(
        "Queries",
        ("source", "query", "interval", "next poll (UTC)", "window (UTC)", "series at most"),
        [
            (
                each.source,
                each.query,
                f"{each.interval}s",
                _time(each.next_poll),
                _period(each.window),
                f"{each.series_at_most}",
            )
            for each in found.queries
        ],
        right=("interval", "series at most"),
        console=console,
    )
    tables.show(
        "Requests of the next polls, each for all queries that it answers; one page each, where there can be more",
        ("source", "query", "endpoint", "requests/hour", "requests/day", "pages at most", "GET"),
        [
            (
                each.source,
                ", ".join(each.queries),
                each.endpoint,
                number(each.requests_per_hour),
                number(each.requests_per_day),
                str(each.pages_at_most),
                each.path,
            )
            for each in found.requests
        ],
        right=("requests/hour", "requests/day", "pages at most"),
        console=console,
    )
    tables.show(
        "Sources; log-ins and look-ups come on top",
        (
            "source",
            "type",
            "log-in",
            "look-ups, once",
            "requests/minute",
            "limit",
            "at most",
            "requests/hour",
            "requests/day",
            "saved/day",
        ),
        [_asked_row(each) for each in found.sources],
        right=("requests/minute", "at most", "limit", "requests/hour", "requests/day", "saved/day"),
        console=console,
    )
    if found.history:
        tables.show(
            "History; its requests come on top, and those for catching up",
            ("source", "query", "receiver", "buckets", "requests/day", "newest bucket (UTC)", "delay"),
            [_history_row(each) for each in found.history],
            right=("buckets", "requests/day"),
            console=console,
        )
    warn(found.warnings, console)


def warn(warnings: Sequence[str], console: Console | None = None) -> None:
    """Print what is worth a second thought."""
    if warnings:
        tables.show("", (tables.count(len(warnings), "warning"),), [(text,) for text in warnings], console=console)


def _asked_row(each: Asked) -> tuple[str, ...]:
    limit = "none" if each.limit_per_minute is None else str(each.limit_per_minute)
    return (
        each.source,
        each.type,
        each.login,
        ", ".join(each.lookups) or "none",
        number(each.requests_per_minute),
        limit,
        number(each.requests_per_minute_at_most),
        number(each.requests_per_hour),
        number(each.requests_per_day),
        number(each.saved_per_day),
    )


def _history_row(each: Deliverable) -> tuple[str, ...]:
    return (
        each.source,
        each.query,
        each.receiver,
        duration(each.step),
        number(each.requests_per_day),
        _time(each.newest) if each.newest else "none yet",
        each.verdict,
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _period(period: Window) -> str:
    return f"{_time(period.start)} to {_time(period.end)}"

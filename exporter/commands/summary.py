"""What the command ``check`` prints of a configuration that has no errors."""

from collections import Counter

from rich.console import Console

from exporter.commands import forecast, forecast_tables, tables
from exporter.config import Config


def headline(config: Config) -> str:
    """Say in a sentence what a configuration holds, and what it needs beside itself."""
    queries = len({query.name for query in config.queries})
    need = "; `history: true` needs `run --storage.path DIR`" if config.delivers else ""
    return f"{tables.count(len(config.sources), 'source')}, {tables.count(queries, 'query')}, no errors{need}"


def show(config: Config, now: float, console: Console | None = None) -> None:
    """Print the sources, and what is worth a second thought; ``now`` is in Unix seconds."""
    asked = Counter(query.source for query in config.queries)
    tables.show(
        "Sources",
        ("source", "type", "log-in", "queries"),
        [
            (name, source.type, forecast.login(source.provider.credentials), str(asked[name]))
            for name, source in config.sources.items()
        ],
        right=("queries",),
        console=console,
    )
    forecast_tables.warn(forecast.forecast(config, now).warnings, console)

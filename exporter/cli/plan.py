"""``plan``: what ``run`` would ask."""

import time
from pathlib import Path

import click

from exporter.cli.flags import config_file, read
from exporter.cli.sharding import sharded
from exporter.commands import forecast, forecast_tables
from exporter.shard import Shard


@click.command(name="plan")
@config_file
@click.option(
    "--output",
    "output",
    default="table",
    show_default=True,
    type=click.Choice(("table", "json")),
    help="What is printed.",
)
@click.option(
    "--storage.path",
    "storage",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where `run` stores, for history.",
)
@sharded
def command(config_file: Path, output: str, storage: Path | None, shard: Shard) -> None:
    """Print what `run` would ask, when and how often; nothing is sent."""
    found = forecast.forecast(shard.own(read(config_file)), time.time(), storage)
    if output == "json":
        click.echo(forecast.as_json(found))
    else:
        forecast_tables.show(found)

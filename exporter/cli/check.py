"""``check``: every error of a configuration, or what it holds."""

import time
from pathlib import Path

import click

from exporter.cli.flags import config_file, read
from exporter.commands import summary


@click.command(name="check")
@config_file
def command(config_file: Path) -> None:
    """Read the configuration and print every error of it, or a summary."""
    config = read(config_file)
    click.echo(f"{config_file}: {summary.headline(config)}\n")
    summary.show(config, time.time())

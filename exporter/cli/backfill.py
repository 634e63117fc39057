"""``backfill``: the past of queries."""

import time
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.console import Console

from exporter import logs
from exporter.cli.flags import config_file, fail, query_names, read, url
from exporter.commands import backfill, backfill_tables
from exporter.commands.progress import Progress
from exporter.config.units import whole_seconds


def _moment(_: click.Context, __: click.Parameter, written: str) -> str:
    try:
        backfill.moment(written, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return written


def _step(_: click.Context, __: click.Parameter, written: str) -> int:
    try:
        step = whole_seconds(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not step:
        raise click.BadParameter("must be longer than 0s")
    return step


@click.command(name="backfill")
@config_file
@click.option("--from", "since", required=True, callback=_moment, help="RFC 3339, a date, Unix seconds, or 30d (ago).")
@click.option("--to", "until", default=backfill.NOW, show_default=True, callback=_moment, help="The same.")
@click.option("--step", "step", default="1h", show_default=True, callback=_step, help="Length of a bucket.")
@click.option(
    "--query", "names", multiple=True, shell_complete=query_names, help="Only this one; may be given several times."
)
@click.option("--output", "output", type=click.Path(path_type=Path, dir_okay=False), help="OpenMetrics for promtool.")
@click.option("--remote-write", "receiver", callback=url, help="URL of a receiver; log in as the configuration says.")
@click.option("--storage.path", "storage", type=click.Path(path_type=Path, file_okay=False), help="For the state.")
@click.option("--dry-run", "dry", is_flag=True, help="Print what would be asked; nothing is sent.")
def command(config_file: Path, *, dry: bool, **flags: Any) -> None:  # noqa: ANN401 - the fields of backfill.Options
    """Fetch the past of queries, in buckets; the same command continues where it was interrupted."""
    options = backfill.Options(**flags)
    if bool(options.output) + bool(options.receiver) != 1 and not dry:
        raise click.UsageError("needs one of --output and --remote-write")
    config = read(config_file)
    # What goes wrong is told in lines of this command's own.
    logs.configure("critical", "logfmt")
    try:
        if dry:
            found = backfill.find(config, options, time.time())
            backfill_tables.show(config, found.wanted, found.without)
        else:
            with Progress(Console(stderr=True), time.monotonic) as progress:
                click.echo(uvloop.run(backfill.fill(config, options, progress)))
    except backfill.BackfillError as error:
        fail(*error.lines)
    except KeyboardInterrupt:
        fail(f"interrupted; what has come is kept in {options.state}, and the same command continues")

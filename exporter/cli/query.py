"""``query``: one query, now."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from exporter import logs
from exporter.cli.flags import config_file, fail, query_names, read
from exporter.commands import answers, asking, settling

OUTPUTS: dict[str, Callable[[Sequence[asking.Answer]], None]] = {
    "table": answers.show,
    "json": lambda found: click.echo(answers.as_json(found)),
    "openmetrics": lambda found: click.echo(answers.as_openmetrics(found), nl=False),
}


@click.command(name="query")
@config_file
@click.argument("name", shell_complete=query_names)
@click.option("--source", "sources", multiple=True, help="Only this one of its sources; may be given several times.")
@click.option(
    "--output", "output", default="table", show_default=True, type=click.Choice(tuple(OUTPUTS)), help="What is printed."
)
@click.option(
    "--watch",
    "mode",
    flag_value="watch",
    default="once",
    show_default=False,
    help="Again every interval, until Ctrl-C.",
)
@click.option("--settle", "mode", flag_value="settle", help="See until which age its buckets change instead.")
def command(config_file: Path, name: str, sources: Sequence[str], output: str, mode: str) -> None:
    """Poll the query NAME now, and print what comes."""
    config = read(config_file)
    # A failure is one line of this command's own, and no line of a log.
    logs.configure("critical", "logfmt")

    def told(found: Sequence[asking.Answer]) -> None:
        if good := [answer for answer in found if answer.snapshot]:
            OUTPUTS[output](good)
            sys.stdout.flush()  # who reads a pipe must not wait until a buffer is full
        for line in filter(None, map(asking.error, found)):
            click.echo(line, err=True)

    try:
        jobs = asking.jobs(config, name, sources)
        if mode == "settle":
            settling.show(asyncio.run(asking.settle(config, jobs)))
            return
        succeeded = asyncio.run(asking.ask(config, jobs, told, again=mode == "watch"))
    except asking.AskError as error:
        fail(str(error))
    except KeyboardInterrupt:
        if mode == "once":
            raise
        succeeded = True
    sys.exit(0 if succeeded else 1)

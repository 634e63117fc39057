"""The command line (contract section 2)."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
import uvloop
from rich.console import Console

import exporter
from exporter import daemon, demo, logs, rules
from exporter.commands import (
    answers,
    asking,
    backfill,
    backfill_tables,
    examples,
    forecast,
    forecast_tables,
    listing,
    settling,
    summary,
)
from exporter.commands.progress import Progress
from exporter.commands.sharding import peers, sharded
from exporter.config import Config, ConfigError, jsonschema, load_file, load_to_run
from exporter.config.units import whole_seconds
from exporter.providers import PROVIDERS
from exporter.shard import Shard
from exporter.web.access import access
from exporter.web.app import PAGES
from exporter.web.listen import AddressError, bind, raise_file_limit
from exporter.web.systemd import Notifier, inherited

Command = Callable[..., None]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(exporter.__version__, prog_name="video-analytics-exporter")
def main() -> None:
    """Serve what MediaMelon SmartSight and IBM Video Streaming know as Prometheus gauges."""


def config_file(command: Command) -> Command:
    """Add the flag that names the configuration."""
    return click.option(
        "--config.file",
        "config_file",
        default="config.yaml",
        show_default=True,
        type=click.Path(path_type=Path),
        help="The configuration, YAML.",
    )(command)


def _free_path(_: click.Context, __: click.Parameter, path: str) -> str:
    if not path.startswith("/") or path in PAGES:
        raise click.BadParameter(f"must begin with / and be none of {', '.join(PAGES)}")
    return path


def _url(_: click.Context, __: click.Parameter, url: str) -> str:
    if url and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise click.BadParameter("must be a URL that begins with http:// or https://")
    return url


def serving(command: Command) -> Command:
    """Add the flags of a running exporter."""
    for flag in (
        click.option(
            "--storage.path",
            "storage",
            type=click.Path(path_type=Path, file_okay=False),
            help="Directory for the last snapshots, which a restart then serves at once.",
        ),
        click.option(
            "--web.enable-lifecycle", "lifecycle", is_flag=True, help="Let POST /-/reload reload the configuration."
        ),
        click.option(
            "--web.external-url",
            "external_url",
            default="",
            callback=_url,
            help="Where others reach this exporter, for /sd; without it the address that they ask at.",
        ),
        click.option(
            "--web.config.file",
            "web_config",
            type=click.Path(path_type=Path),
            help="TLS, basic auth and headers, in the format of Prometheus' exporters.",
        ),
        click.option(
            "--log.format",
            "log_format",
            default="logfmt",
            show_default=True,
            type=click.Choice(logs.FORMATS),
            help="How lines of the log are written.",
        ),
        click.option(
            "--log.level",
            "log_level",
            default="info",
            show_default=True,
            type=click.Choice(logs.LEVELS),
            help="The least that is logged.",
        ),
        click.option(
            "--web.telemetry-path",
            "metrics_path",
            default="/metrics",
            show_default=True,
            callback=_free_path,
            help="Where the metrics are.",
        ),
        click.option(
            "--web.listen-address",
            "addresses",
            default=(":10310",),
            show_default=True,
            multiple=True,
            help="Address to listen on; may be given several times.",
        ),
    ):
        command = flag(command)
    return sharded(peers(command))


@main.command()
@config_file
@serving
def run(config_file: Path, **flags: Any) -> None:  # noqa: ANN401 - the flags of `serving`
    """Poll the vendors and serve the answers."""
    load = partial(load_to_run, config_file, os.environ, flags["storage"])
    config = loaded(load)
    start(lambda sockets, options: daemon.run(load, config, sockets, options), **flags)


@main.command(name="demo")
@serving
def demo_(**flags: Any) -> None:  # noqa: ANN401 - the flags of `serving`
    """Run against simulated vendors, with the queries of the example; needs nothing else."""
    start(demo.run, **flags)


@main.command()
@config_file
def check(config_file: Path) -> None:
    """Read the configuration and print every error of it, or a summary."""
    config = read(config_file)
    click.echo(f"{config_file}: {summary.headline(config)}\n")
    summary.show(config, time.time())


@main.command()
@click.argument("word", default="")
def catalog(word: str) -> None:
    """Print the metrics, dimensions and endpoints that are known, or those that match WORD."""
    if not listing.show({name: provider.catalog for name, provider in PROVIDERS.items()}, word):
        fail(f"nothing in the catalogue matches `{word}`; SmartSight's other fields work too, under their own names")


def read(path: Path) -> Config:
    """Read the configuration, or say what is wrong with it and exit."""
    return loaded(partial(load_file, path, os.environ))


def loaded(load: Callable[[], Config]) -> Config:
    """Load a configuration, or say what is wrong with it and exit."""
    try:
        return load()
    except ConfigError as error:
        fail(*error.lines)


def start(
    main_: Callable[..., Any],
    *,
    addresses: Sequence[str],
    log_level: str,
    log_format: Any,  # noqa: ANN401
    web_config: Path | None,
    **options: Any,  # noqa: ANN401 - the fields of daemon.Options
) -> None:
    """Run a daemon on its addresses until it is stopped."""
    logs.configure(log_level, log_format)
    raise_file_limit()
    # Whoever sees the port open may signal; the daemon's own handler comes with its loop.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        try:
            guard = access(web_config, clock=time.monotonic) if web_config else None
            # Sockets that systemd has opened stand in the place of addresses.
            sockets = [stack.enter_context(bound) for bound in inherited(os.environ)]
            sockets = sockets or [stack.enter_context(bind(address)) for address in addresses]
        except AddressError as error:
            fail(str(error))
        except ConfigError as error:
            fail(*error.lines)
        notifier = stack.enter_context(contextlib.closing(Notifier(os.environ)))
        uvloop.run(main_(sockets, daemon.Options(**options, access=guard, notifier=notifier)))


def fail(*lines: str) -> NoReturn:
    """Print errors and exit as the contract says."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1)


@main.command()
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
def plan(config_file: Path, output: str, storage: Path | None, shard: Shard) -> None:
    """Print what `run` would ask, when and how often; nothing is sent."""
    found = forecast.forecast(shard.own(read(config_file)), time.time(), storage)
    if output == "json":
        click.echo(forecast.as_json(found))
    else:
        forecast_tables.show(found)


def _query_names(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Complete the name of a query from the file that the line names; a file that can't be read completes nothing."""
    path = context.params.get("config_file") or Path("config.yaml")
    try:
        return [name for name in asking.names(path.read_text("utf-8")) if name.startswith(begun)]
    except (OSError, UnicodeDecodeError):
        return []


OUTPUTS: dict[str, Callable[[Sequence[asking.Answer]], None]] = {
    "table": answers.show,
    "json": lambda found: click.echo(answers.as_json(found)),
    "openmetrics": lambda found: click.echo(answers.as_openmetrics(found), nl=False),
}


@main.command()
@config_file
@click.argument("name", shell_complete=_query_names)
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
def query(config_file: Path, name: str, sources: Sequence[str], output: str, mode: str) -> None:
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


def _moment(_: click.Context, __: click.Parameter, written: str) -> str:
    try:
        backfill.moment(written, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return written


def _step(_: click.Context, __: click.Parameter, written: str) -> int:
    try:
        return whole_seconds(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@main.command(name="backfill")
@config_file
@click.option("--from", "since", required=True, callback=_moment, help="RFC 3339, a date, Unix seconds, or 30d (ago).")
@click.option("--to", "until", default=backfill.NOW, show_default=True, callback=_moment, help="The same.")
@click.option("--step", "step", default="1h", show_default=True, callback=_step, help="Length of a bucket.")
@click.option(
    "--query", "names", multiple=True, shell_complete=_query_names, help="Only this one; may be given several times."
)
@click.option("--output", "output", type=click.Path(path_type=Path, dir_okay=False), help="OpenMetrics for promtool.")
@click.option("--remote-write", "receiver", callback=_url, help="URL of a receiver; log in as the configuration says.")
@click.option("--storage.path", "storage", type=click.Path(path_type=Path, file_okay=False), help="For the state.")
@click.option("--dry-run", "dry", is_flag=True, help="Print what would be asked; nothing is sent.")
def backfill_(config_file: Path, *, dry: bool, **flags: Any) -> None:  # noqa: ANN401 - the fields of backfill.Options
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


@main.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(jsonschema.schema(), indent=2))


@main.command()
@config_file
@click.option(
    "--output",
    "output",
    default="dashboards",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write to; it is made where there is none.",
)
def dashboards(config_file: Path, output: Path) -> None:
    """Write Grafana dashboards that fit the configuration's queries."""
    # Grafana's SDK is for this command alone: `run` must not pay for it.
    from exporter.dashboards import generate  # noqa: PLC0415

    files = generate(read(config_file))
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text, "utf-8")
            click.echo(output / name)
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}")


@main.command(name="rules")
@config_file
@click.option(
    "--output",
    "output",
    default="-",
    show_default=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="A file for all rules, or a directory (a name without a suffix) for recordings and alerts in two.",
)
@click.option(
    "--runbooks",
    "runbooks",
    default=rules.RUNBOOKS,
    show_default=True,
    help="Where your people read the runbooks (docs/runbooks): the URL that each `runbook_url` begins with.",
)
def rules_(config_file: Path, output: Path, runbooks: str) -> None:
    """Write Prometheus' recording and alerting rules for the queries of a configuration."""
    config = read(config_file)
    groups = {"recording.rules.yml": rules.recording(config), "alerts.rules.yml": rules.alerting(config)}
    try:
        if str(output) == "-":
            click.echo(rules.render(sum(groups.values(), ()), runbooks), nl=False)
        elif output.is_dir() or not output.suffix:
            output.mkdir(parents=True, exist_ok=True)
            for name, found in groups.items():
                (output / name).write_text(rules.render(found, runbooks), "utf-8")
        else:
            output.write_text(rules.render(sum(groups.values(), ()), runbooks), "utf-8")
    except OSError as error:
        fail(f"{output}: {error.strerror}")


@main.command(name="examples")
@click.option(
    "--output",
    "output",
    default="examples",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write to; it is made where there is none.",
)
def examples_(output: Path) -> None:
    """Write the example configuration with its dashboards, rules and runbooks."""
    try:
        for path in examples.write(output):
            click.echo(path)
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}")

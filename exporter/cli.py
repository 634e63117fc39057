"""The command line (contract section 2)."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
import uvloop

import exporter
from exporter import daemon, demo, listing, logs
from exporter.config import Config, ConfigError, load_file
from exporter.providers import PROVIDERS
from exporter.web.app import PAGES
from exporter.web.listen import AddressError, bind

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
            "--log.format", "log_format", default="logfmt", show_default=True, type=click.Choice(logs.FORMATS)
        ),
        click.option("--log.level", "log_level", default="info", show_default=True, type=click.Choice(logs.LEVELS)),
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
    return command


@main.command()
@config_file
@serving
def run(config_file: Path, **flags: Any) -> None:  # noqa: ANN401 - the flags of `serving`
    """Poll the vendors and serve the answers."""
    config = read(config_file)
    load = partial(load_file, config_file, os.environ)
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
    click.echo(f"{config_file}: {len(config.sources)} sources, {len(config.queries)} queries, no errors")


@main.command()
@click.argument("word", default="")
def catalog(word: str) -> None:
    """Print the metrics, dimensions and endpoints that are known, or those that match WORD."""
    if not listing.show({name: provider.catalog for name, provider in PROVIDERS.items()}, word):
        fail(f"nothing in the catalogue matches `{word}`; SmartSight's other fields work too, under their own names")


def read(path: Path) -> Config:
    """Read the configuration, or say what is wrong with it and exit."""
    try:
        return load_file(path, os.environ)
    except ConfigError as error:
        fail(*error.lines)


def start(
    main_: Callable[..., Any],
    *,
    addresses: Sequence[str],
    log_level: str,
    log_format: Any,  # noqa: ANN401
    **options: Any,  # noqa: ANN401 - the fields of daemon.Options
) -> None:
    """Run a daemon on its addresses until it is stopped."""
    logs.configure(log_level, log_format)
    with contextlib.ExitStack() as stack:
        try:
            sockets = [stack.enter_context(bind(address)) for address in addresses]
        except AddressError as error:
            fail(str(error))
        uvloop.run(main_(sockets, daemon.Options(**options)))


def fail(*lines: str) -> NoReturn:
    """Print errors and exit as the contract says."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1)

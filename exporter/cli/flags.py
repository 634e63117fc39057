"""What several commands share: flags, reading the configuration, and failing."""

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from exporter.config import Config, ConfigError, document, load_file

Command = Callable[..., None]


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


def url(_: click.Context, __: click.Parameter, written: str) -> str:
    """Take a URL, or nothing."""
    if written and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", written):
        raise click.BadParameter("must be a URL that begins with http:// or https://")
    return written


def read(path: Path) -> Config:
    """Read the configuration, or say what is wrong with it and exit."""
    return loaded(partial(load_file, path, os.environ))


def loaded(load: Callable[[], Config]) -> Config:
    """Load a configuration, or say what is wrong with it and exit."""
    try:
        return load()
    except ConfigError as error:
        fail(*error.lines)


def fail(*lines: str) -> NoReturn:
    """Print errors and exit as the contract says."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1)


def query_names(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Complete the name of a query from the file that the line names; a file that can't be read completes nothing."""
    path = context.params.get("config_file") or Path("config.yaml")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [name for name in _names(text) if name.startswith(begun)]


def _names(text: str) -> list[str]:
    """Give the names of a file's queries; what else is wrong with the file does not matter."""
    data = document.read(text).data
    queries = data.get("queries") if isinstance(data, dict) else None
    found = (query.get("name") for query in queries if isinstance(query, dict)) if isinstance(queries, list) else ()
    return [str(name) for name in found if name]

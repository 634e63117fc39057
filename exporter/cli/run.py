"""``run``: the daemon."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from exporter import daemon
from exporter.cli import serving
from exporter.cli.flags import config_file, loaded
from exporter.config import load_to_run


@click.command(name="run")
@config_file
@serving.flags
def command(config_file: Path, **flags: Any) -> None:  # noqa: ANN401 - the flags of `serving`
    """Poll the vendors and serve the answers."""
    load = partial(load_to_run, config_file, os.environ, flags["storage"])
    config = loaded(load)
    serving.start(lambda sockets, options: daemon.run(load, config, sockets, options), **flags)

"""``demo``: simulated vendors, and the daemon against them."""

from typing import Any

import click

from exporter import demo
from exporter.cli import serving


@click.command(name="demo")
@serving.flags
def command(**flags: Any) -> None:  # noqa: ANN401 - the flags of `serving`
    """Run against simulated vendors, with the queries of the example; needs nothing else."""
    serving.start(demo.run, **flags)

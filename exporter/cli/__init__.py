"""The command line (contract section 2).

A command is a module of this package, loaded when it is asked for: ``run`` must not pay for tables, generators and a
simulator. What a module holds under its own name is the command.
"""

from importlib import import_module
from typing import cast

import click

import exporter
from exporter import lean

COMMANDS = (
    "backfill",
    "catalog",
    "check",
    "dashboards",
    "demo",
    "examples",
    "plan",
    "query",
    "rules",
    "run",
    "schema",
)


class Commands(click.Group):
    """The commands, by name."""

    def list_commands(self, _: click.Context) -> list[str]:
        """Give their names."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Load one; ``None`` if there is none of this name."""
        if name not in COMMANDS:
            return None
        lean.load()
        if name == "run":  # the one that stays
            lean.load_transport()
        return cast("click.Command", import_module(f"{__name__}.{name}").command)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(exporter.__version__, prog_name="video-analytics-exporter")
def main() -> None:
    """Serve what MediaMelon SmartSight and IBM Video Streaming know as Prometheus gauges."""

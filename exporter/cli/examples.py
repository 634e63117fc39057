"""``examples``: what is shipped for the example configuration."""

from pathlib import Path

import click

from exporter.cli.flags import fail
from exporter.commands import examples


@click.command(name="examples")
@click.option(
    "--output",
    "output",
    default="examples",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write to; it is made where there is none.",
)
def command(output: Path) -> None:
    """Write the example configuration with its dashboards, rules and runbooks."""
    try:
        for path in examples.write(output):
            click.echo(path)
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}")

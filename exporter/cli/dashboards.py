"""``dashboards``: Grafana's, for a configuration."""

from pathlib import Path

import click

from exporter.cli.flags import config_file, fail, read
from exporter.dashboards import generate


@click.command(name="dashboards")
@config_file
@click.option(
    "--output",
    "output",
    default="dashboards",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write to; it is made where there is none.",
)
def command(config_file: Path, output: Path) -> None:
    """Write Grafana dashboards that fit the configuration's queries."""
    files = generate(read(config_file))
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text, "utf-8")
            click.echo(output / name)
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}")

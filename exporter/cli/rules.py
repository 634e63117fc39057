"""``rules``: Prometheus', for a configuration."""

from pathlib import Path

import click

from exporter import rules
from exporter.cli.flags import config_file, fail, read


@click.command(name="rules")
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
def command(config_file: Path, output: Path, runbooks: str) -> None:
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

"""``schema``: the shape of the configuration, for editors."""

import json

import click

from exporter.config import jsonschema


@click.command(name="schema")
def command() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(jsonschema.schema(), indent=2))

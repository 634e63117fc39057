"""``catalog``: what is known of the vendors."""

import click

from exporter.cli.flags import fail
from exporter.commands import listing
from exporter.providers import PROVIDERS


@click.command(name="catalog")
@click.argument("word", default="")
def command(word: str) -> None:
    """Print the metrics, dimensions and endpoints that are known, or those that match WORD."""
    if not listing.show({name: provider.catalog for name, provider in PROVIDERS.items()}, word):
        fail(f"nothing in the catalogue matches `{word}`; SmartSight's other fields work too, under their own names")

"""Writes docs/reference/: pages that are made from the schema, the catalogue and the commands, so that they agree.

Run by ``make reference``; a test fails where a committed page is out of date.
"""

import argparse
from pathlib import Path

from writers import commands, configuration, metrics

from exporter.cli import main
from exporter.config import jsonschema
from exporter.providers import PROVIDERS

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Give the pages: names of files, and Markdown."""
    return {
        "configuration.md": configuration.page(jsonschema.schema()),
        "metrics.md": metrics.page({name: provider.catalog for name, provider in PROVIDERS.items()}),
        "commands.md": commands.page(main),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=REFERENCE)
    output = parser.parse_args().output
    for name, text in pages().items():
        (output / name).write_text(f"{text.rstrip()}\n", "utf-8")

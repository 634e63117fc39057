"""The committed reference is what its script makes of the schema, the catalogue and the commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli import COMMANDS
from exporter.config.jsonschema import schema
from exporter.history.telemetry import Telemetry as HistoryTelemetry
from exporter.providers import PROVIDERS
from exporter.telemetry import Telemetry

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    name: (DOCS / "reference" / f"{name}.md").read_text("utf-8") for name in ("configuration", "metrics", "commands")
}


def test_it_is_up_to_date(tmp_path):
    subprocess.run([sys.executable, DOCS / "reference.py", "--output", tmp_path], check=True)
    made = {file.stem: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert made == PAGES, "run: make reference"


def test_every_section_of_the_file_is_there_and_every_key_says_what_it_is():
    page = PAGES["configuration"]
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == list(schema()["properties"])
    assert re.findall(r"^### type: (.*)$", page, re.MULTILINE) == list(PROVIDERS)
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \| .* \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 60
    assert [row for row in rows if not all(row)] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `interval` | duration | `1m` | How often a query is polled. |",
        "| `max_response` | size | `64MiB` | One answer at most, after decompression. |",
        "| `on_missing` | `absent` or `zero` | `absent` | What a metric without a number becomes. |",
        "| `auth.api_key` | secret |  | Key for the header X-API-Key. |",
        "| `name` | text | required | Becomes the label `query`. |",
        "| `metrics` | list of text or mapping |  | What is asked for. |",
        "| `metrics[].scale` | number |  | Factor from the vendor's unit to the exported one. |",
    ],
)
def test_a_key_is_told_in_plain_words(row):
    assert row in PAGES["configuration"].splitlines()


def test_every_metric_is_there():
    for provider in PROVIDERS.values():
        catalog = provider.catalog
        plain = [known for known in catalog.known.values() if not known.statistic]
        for known in (*plain, *catalog.counted.values()):
            assert f"`{known.family}`" in PAGES["metrics"]
    telemetry = Telemetry(lambda: 0.0)
    HistoryTelemetry(telemetry)
    for family in telemetry.registry.collect():
        assert f"`{family.name}" in PAGES["metrics"] or family.name.startswith(("process_", "python_"))


def test_every_command_is_there():
    assert re.findall(r"^## (.*)$", PAGES["commands"], re.MULTILINE) == list(COMMANDS)

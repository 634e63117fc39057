"""The version stands in one place, and what repeats it agrees."""

import re
import tomllib
from pathlib import Path

import yaml

import exporter

ROOT = Path(__file__).parents[2]


def test_the_package_has_it_from_the_module():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" in pyproject["project"]["dynamic"]
    assert pyproject["tool"]["hatch"]["version"] == {"path": "exporter/__init__.py"}


def test_it_is_a_semantic_one_and_the_changelog_begins_with_what_comes_next():
    assert re.fullmatch(r"\d+\.\d+\.\d+", exporter.__version__)
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_a_chart_runs_this_version():
    for chart in ROOT.glob("deploy/helm/*/Chart.yaml"):
        assert str(yaml.safe_load(chart.read_text("utf-8"))["appVersion"]) == exporter.__version__

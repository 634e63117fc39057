"""The rules of the example, as they are committed, and the configurations that rules are made for."""

from pathlib import Path

import pytest
import yaml

from exporter import demo
from exporter.config import load

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def example():
    """The example's configuration."""
    return load(demo.example(), name="config.example.yaml", env=demo.CREDENTIALS)


@pytest.fixture(scope="session")
def committed():
    """All rules of the repository, as Prometheus reads them."""
    files = sorted((ROOT / "prometheus/rules").glob("*.rules.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture(scope="session")
def alerts(committed):
    """Those that alert."""
    return [rule for rule in committed if "alert" in rule]

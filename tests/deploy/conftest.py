"""The repository, and the chart as helm renders it."""

import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml


@dataclass(frozen=True)
class Manifests:
    """What helm renders."""

    objects: tuple[dict, ...]

    def all(self, kind):
        return [found for found in self.objects if found["kind"] == kind]

    def only(self, kind):
        (one,) = self.all(kind)
        return one

    @property
    def pod(self):
        return self.only("StatefulSet")["spec"]["template"]["spec"]


ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/video-analytics-exporter"


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def chart():
    """The chart's directory."""
    return CHART


@pytest.fixture(scope="session")
def helm():
    """Run helm; what it says of the chart's links is left out."""

    def helm(*arguments):
        done = subprocess.run(["helm", *map(str, arguments)], capture_output=True, text=True, check=False)
        done.stderr = "".join(line for line in done.stderr.splitlines(keepends=True) if "symbolic link" not in line)
        return done

    return helm


@pytest.fixture(scope="session")
def render(helm, chart):
    """Render the chart with a file of values and further arguments."""

    @functools.cache
    def render(values, *arguments):
        done = helm("template", "release", chart, "--namespace", "video", "--values", values, *arguments)
        assert done.returncode == 0, done.stderr
        # The C library: a megabyte of dashboards takes PyYAML's own parser seconds.
        return Manifests(tuple(found for found in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if found))

    return render

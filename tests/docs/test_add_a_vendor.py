"""The page on adding a vendor, done to the letter: its files, its changes, its test, its configuration."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.providers.base import Provider

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-vendor.md").read_text("utf-8")
BLOCKS = re.findall(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
NEEDED = ("exporter", "pyproject.toml", "tests/conftest.py")


def changed(text, diff):
    """Apply the hunks of a diff, each of which must fit one place."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The parts of this repository that the page needs, with what the page adds."""
    place = tmp_path_factory.mktemp("house")
    for name in NEEDED:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, place / name)
    for language, name, text in BLOCKS:
        file = place / name
        assert file.exists() == (language == "diff"), name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(changed(file.read_text("utf-8"), text) if language == "diff" else text, "utf-8")
    return place


@pytest.fixture
def run(house):
    """Run Python in the house, whose package stands before this one's."""

    def run(*arguments, **env):
        env = {**os.environ, "PYTHONPATH": str(house), **env}
        words = [sys.executable, *arguments]
        return subprocess.run(words, cwd=house, env=env, capture_output=True, text=True, check=False)

    return run


def test_it_is_a_module_a_catalogue_a_line_a_simulator_and_their_tests():
    assert [name for _, name, _ in BLOCKS] == [
        "exporter/catalog/playmeter.yaml",
        "exporter/providers/playmeter.py",
        "exporter/providers/__init__.py",
        "pyproject.toml",
        "exporter/simulator/playmeter.py",
        "tests/fixtures/playmeter/stats.json",
        "tests/providers/test_playmeter.py",
        "config.yaml",
    ]


def test_its_tests_pass(run):
    found = run("-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/providers/test_playmeter.py")
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^\d\d passed", found.stdout, re.MULTILINE)


def test_the_module_has_every_method_of_a_provider(run):
    wanted = {name for name in vars(Provider) if not name.startswith("_")} | set(Provider.__annotations__)
    script = "from exporter.providers import PROVIDERS; print(*dir(PROVIDERS['playmeter']))"
    found = set(run("-c", script).stdout.split())
    assert wanted - found == {"settings"}


def test_its_configuration_is_right_and_its_metrics_are_known(run):
    found = run("-m", "exporter", "check", "--config.file", "config.yaml", PLAYMETER_KEY="k")
    assert (found.returncode, found.stderr) == (0, "")
    found = run("-m", "exporter", "catalog", "stall")
    assert "playmeter_stalled_ratio" in found.stdout


@pytest.mark.parametrize(
    "command", [("ruff", "check", "--no-cache", "."), ("ruff", "format", "--no-cache", "--check", ".")]
)
def test_linters_have_nothing_to_say(run, command):
    found = run("-m", *command)
    assert found.returncode == 0, found.stdout + found.stderr


def test_imports_still_point_one_way(run):
    found = run(Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Vendors never import each other KEPT" in found.stdout

"""``examples``: the example configuration and what belongs to it, which an installed package carries along."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

SHIPPED = ("config.example.yaml", "docs/runbooks", "grafana/dashboards", "grafana/provisioning", "prometheus")
"""Files and directories: those of pyproject.toml's `force-include`, with the paths that they have in the repository."""


def root() -> Traversable:
    """Give where the examples are: part of an installed package, beside the package in a checkout."""
    packaged = files("exporter").joinpath("examples")
    return packaged if packaged.is_dir() else Path(__file__).parents[2]


def write(output: Path) -> Iterator[Path]:
    """Write all of them below a directory, and give each path when it is there.

    Raises:
        OSError: something can't be written.
    """
    for name in SHIPPED:
        yield from _copied(root().joinpath(name), output / name)


def _copied(source: Traversable, target: Path) -> Iterator[Path]:
    if source.is_dir():
        for each in sorted(source.iterdir(), key=lambda each: each.name):
            yield from _copied(each, target / each.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    yield target

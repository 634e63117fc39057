"""Whether an SBOM has what a lock has for a Python: ``python deploy/image/compare.py SBOM LOCK python3.13``."""

import json
import re
import sys
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name
from packaging.version import Version

PINNED = re.compile(
    r"^(?P<name>[\w.-]+)(?:\[[^]]*\])?==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>[^\\]+))?", re.MULTILINE
)
OWN = "video-analytics-exporter"

Package = tuple[str, Version]


def locked(text: str, python: str) -> set[Package]:
    """Give the names and versions of a lock that hold on this kind of machine, with another Python (``3.13``)."""
    there = {"python_version": python, "python_full_version": f"{python}.0"}
    return {
        (canonicalize_name(found["name"]), Version(found["version"]))
        for found in PINNED.finditer(text)
        if not found["marker"] or Marker(found["marker"].strip()).evaluate(there)
    }


def listed(text: str) -> set[Package]:
    """Give the names and versions of an SBOM, but the project's own."""
    components = json.loads(text)["components"]
    return {
        (canonicalize_name(found["name"]), Version(found["version"])) for found in components if found["name"] != OWN
    }


if __name__ == "__main__":
    sbom, lock, python = sys.argv[1:]
    found = listed(Path(sbom).read_text("utf-8"))
    wanted = locked(Path(lock).read_text("utf-8"), python.removeprefix("python"))
    if found != wanted:
        different = ", ".join(f"{name} {version}" for name, version in sorted(found ^ wanted))
        sys.exit(f"{sbom}: only there, or only in {lock}: {different}")
    print(f"{len(found)} packages, as locked")

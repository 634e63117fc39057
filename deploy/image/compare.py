"""Whether an SBOM has exactly the packages of a lock: ``python deploy/image/compare.py SBOM LOCK``."""

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


def locked(text: str) -> set[Package]:
    """Give the names and versions of a lock that hold on this kind of machine."""
    return {
        (canonicalize_name(found["name"]), Version(found["version"]))
        for found in PINNED.finditer(text)
        if not found["marker"] or Marker(found["marker"].strip()).evaluate()
    }


def listed(text: str) -> set[Package]:
    """Give the names and versions of an SBOM, but the project's own."""
    components = json.loads(text)["components"]
    return {
        (canonicalize_name(found["name"]), Version(found["version"])) for found in components if found["name"] != OWN
    }


if __name__ == "__main__":
    sbom, lock = (Path(name).read_text("utf-8") for name in sys.argv[1:])
    found, wanted = listed(sbom), locked(lock)
    if found != wanted:
        different = ", ".join(f"{name} {version}" for name, version in sorted(found ^ wanted))
        sys.exit(f"{sys.argv[1]}: only there or only in {sys.argv[2]}: {different}")
    print(f"{len(found)} packages, as locked")

"""Writes docs/licenses.md, the licences of what the exporter runs on; one that is not allowed here is an error.

Run by ``make licenses``; with ``--check`` nothing is written, and a page that is out of date is an error too.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "run.txt"
PAGE = ROOT / "docs" / "licenses.md"

ALLOWED = {
    "Apache-2.0": ("Apache Software License",),
    "Apache-2.0 AND BSD-2-Clause": (),
    "Apache-2.0 AND MIT": (),
    "BSD-2-Clause": (),
    "BSD-3-Clause": ("3-Clause BSD License",),
    "MIT": ("MIT License",),
    "MIT OR Apache-2.0": (),
    "MPL-2.0": (),
    "PSF-2.0": (),
}
"""SPDX expressions that go with the project's own Apache-2.0, and what else packages call them."""

SOURCES = ("License-Expression", "License-Metadata", "License-Classifier")
"""Where a package says its licence, the most exact first."""

HEAD = """\
# Licences

The exporter is under Apache-2.0. What it runs on, from `requirements/run.txt`, as each package says it (made by
`make licenses`; CI refuses a licence that is not allowed):

| package | licence |
|---|---|
"""


class LicenseError(Exception):
    """Packages whose licence is not allowed or not known, one a line."""


def allowed(package: Mapping[str, str]) -> str | None:
    """Give a package's licence as an SPDX expression; ``None`` where it is not allowed, or not said."""
    names = {other: spdx for spdx, others in ALLOWED.items() for other in (spdx, *others)}
    return next((names[package[source]] for source in SOURCES if package[source] in names), None)


def page(packages: Iterable[Mapping[str, str]], wanted: Iterable[str]) -> str:
    """Write the page of pip-licenses' report on the packages that are wanted.

    Raises:
        LicenseError: licences are not allowed, or not known.
    """
    found = {package["Name"].lower().replace("_", "-"): (allowed(package), package) for package in packages}
    wrong = [f"{name}: is not installed" for name in wanted if name not in found]
    wrong += [
        f"{name}: {' / '.join(dict.fromkeys(package[source] for source in SOURCES))}"
        for name, (spdx, package) in found.items()
        if spdx is None
    ]
    if wrong:
        raise LicenseError("\n".join(wrong))
    return HEAD + "".join(f"| {name} | {spdx} |\n" for name, (spdx, _) in sorted(found.items()))


def names(lock: str) -> Iterator[str]:
    """Give the packages of a lock that are installed on Linux."""
    for name, marker in re.findall(r"^([a-z0-9._-]+)==[^\s;]+(.*)$", lock, re.MULTILINE):
        if "== 'win32'" not in marker:
            yield name


def reported(packages: Iterable[str]) -> list[dict[str, str]]:
    """Ask pip-licenses for packages that are installed here."""
    words = ("-m", "piplicenses", "--from=all", "--format=json", "--packages", *packages)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def main(*, check: bool) -> None:
    """Write the page, or compare it."""
    packages = tuple(names(LOCK.read_text("utf-8")))
    text = page(reported(packages), packages)
    if not check:
        PAGE.write_text(text, "utf-8")
    elif text != PAGE.read_text("utf-8"):
        sys.exit(f"licenses: {PAGE.relative_to(ROOT)} is out of date; run: make licenses")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    try:
        main(check=parser.parse_args().check)
    except LicenseError as error:
        sys.exit(f"licenses: not allowed by release/licenses.py:\n{error}")

"""Asks whether anything is known against the locked dependencies, and tells "nothing is" from "nobody could be asked".

Run by ``make audit``. pip-audit itself ends with "No known vulnerabilities found" where its service knows none of the
packages, as behind an index that has files only: what it skipped was not checked. Unchecked packages fail the run
only where ``REQUIRE_AUDIT=1``, for not every place where tests run reaches the service.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("run", "build")
"""What a user installs, and what builds it."""

UNREACHABLE = re.compile(
    r"\b(ConnectionError|ProxyError|SSLError|\w*Timeout|HTTPError|ServiceError)\b|Could not connect"
)
"""What pip-audit ends with where its service can't be reached; anything else is a fault of this run."""


class AuditError(Exception):
    """pip-audit did not work."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a lock's packages: ids of vulnerabilities by package, and why others could not be checked."""

    checked: int
    vulnerable: Mapping[str, tuple[str, ...]]
    unchecked: Mapping[str, str]


def verdict(report: str, error: str) -> Verdict:
    """Read what pip-audit has written: its report as JSON, or nothing, and then the error.

    Raises:
        AuditError: it is neither a report, nor that the service can't be reached.
    """
    try:
        found: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except ValueError:
        last = (error.strip().splitlines() or ["pip-audit said nothing"])[-1]
        if not UNREACHABLE.search(last):
            raise AuditError(last) from None
        return Verdict(0, {}, {"all": last})
    unchecked = {each["name"]: each["skip_reason"] for each in found if "skip_reason" in each}
    vulnerable = {each["name"]: tuple(vuln["id"] for vuln in each["vulns"]) for each in found if each.get("vulns")}
    return Verdict(len(found) - len(unchecked), vulnerable, unchecked)


def audit(lock: Path) -> Verdict:
    """Let pip-audit ask for a lock's packages."""
    words = ("pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off", "-f", "json", "-r", str(lock))
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    return verdict(done.stdout, done.stderr)


def lines(name: str, found: Verdict) -> Iterable[str]:
    """Say what was found, the worst first."""
    for package, ids in found.vulnerable.items():
        yield f"audit: VULNERABLE: {package}, in {name}: {', '.join(ids)}"
    if found.unchecked:
        number = "all packages" if not found.checked else f"{len(found.unchecked)} packages"
        reason = next(iter(found.unchecked.values()))
        yield f"audit: NOT CHECKED: {number} of {name}; no answer of the service: {reason}"
    if found.checked:
        yield f"audit: {found.checked} packages of {name} checked, {len(found.vulnerable)} vulnerable"


def failed(found: Iterable[Verdict], *, required: bool) -> bool:
    """Whether the run has to fail."""
    return any(each.vulnerable or (required and each.unchecked) for each in found)


if __name__ == "__main__":
    try:
        verdicts = {f"requirements/{name}.txt": audit(ROOT / "requirements" / f"{name}.txt") for name in LOCKS}
    except AuditError as error:
        sys.exit(f"audit: pip-audit failed: {error}")
    for name, found in verdicts.items():
        print(*lines(name, found), sep="\n")
    sys.exit(failed(verdicts.values(), required=os.environ.get("REQUIRE_AUDIT") == "1"))

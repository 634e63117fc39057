"""What pip-audit says, and what that means: a package that was not checked is not one that is clean."""

import json

import pytest
from audit import AuditError, Verdict, failed, lines, verdict

CLEAN = {"name": "click", "version": "8.5.1", "vulns": []}
VULNERABLE = {"name": "httpx", "version": "0.1", "vulns": [{"id": "PYSEC-1", "fix_versions": []}, {"id": "GHSA-2"}]}
SKIPPED = {"name": "rich", "skip_reason": "Dependency not found on PyPI and could not be audited: rich (15.0.0)"}


def report(*dependencies):
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_clean_packages_are_checked():
    assert verdict(report(CLEAN), "No known vulnerabilities found") == Verdict(1, {}, {})


def test_vulnerabilities_are_named():
    found = verdict(report(CLEAN, VULNERABLE), "Found 2 known vulnerabilities in 1 package")
    assert found == Verdict(2, {"httpx": ("PYSEC-1", "GHSA-2")}, {})
    assert list(lines("run.txt", found)) == [
        "audit: VULNERABLE: httpx, in run.txt: PYSEC-1, GHSA-2",
        "audit: 2 packages of run.txt checked, 1 vulnerable",
    ]


def test_a_package_that_the_service_does_not_know_is_not_checked_whatever_pip_audit_says():
    found = verdict(report(SKIPPED), "No known vulnerabilities found")
    assert (found.checked, list(found.unchecked)) == (0, ["rich"])
    (line,) = lines("run.txt", found)
    assert line.startswith(
        "audit: NOT CHECKED: all packages of run.txt; no answer of the service: Dependency not found"
    )


def test_some_that_are_not_checked_are_counted():
    assert next(iter(lines("run.txt", verdict(report(CLEAN, SKIPPED), "")))).startswith(
        "audit: NOT CHECKED: 1 packages"
    )


@pytest.mark.parametrize(
    "last",
    [
        "requests.exceptions.ProxyError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded",
        "requests.exceptions.ReadTimeout: read timed out",
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed",
    ],
)
def test_a_service_that_can_not_be_reached_checks_nothing(last):
    assert verdict("", f"Traceback (most recent call last):\n  ...\n{last}\n") == Verdict(0, {}, {"all": last})


@pytest.mark.parametrize("error", ["", "pip-audit: error: unrecognized arguments: --x", "KeyError: 'a'"])
def test_a_run_that_fails_otherwise_is_no_unreachable_service(error):
    with pytest.raises(AuditError):
        verdict("", error)


@pytest.mark.parametrize(
    ("found", "optional", "required"),
    [
        (Verdict(2, {}, {}), False, False),
        (Verdict(1, {}, {"rich": "?"}), False, True),
        (Verdict(0, {}, {"all": "?"}), False, True),
        (Verdict(2, {"httpx": ("PYSEC-1",)}, {}), True, True),
        (Verdict(1, {"httpx": ("PYSEC-1",)}, {"rich": "?"}), True, True),
    ],
)
def test_what_is_vulnerable_fails_and_what_is_unchecked_only_where_it_must_not_be(found, optional, required):
    assert failed([Verdict(9, {}, {}), found], required=False) is optional
    assert failed([Verdict(9, {}, {}), found], required=True) is required

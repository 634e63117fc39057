"""Licences: what packages call them, and those that are not allowed."""

import pytest
from licenses import LicenseError, allowed, names, page

LOCK = """\
click==8.5.1 \\
    --hash=sha256:00
    # via video-analytics-exporter (pyproject.toml)
tzdata==2026.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
uvloop==0.23.0 ; sys_platform != 'win32' \\
    --hash=sha256:00
"""


def package(name, expression="UNKNOWN", metadata="UNKNOWN", classifier="UNKNOWN"):
    return {
        "Name": name,
        "License-Expression": expression,
        "License-Metadata": metadata,
        "License-Classifier": classifier,
    }


@pytest.mark.parametrize(
    ("found", "spdx"),
    [
        (package("a", "MIT"), "MIT"),
        (package("a", metadata="MIT License"), "MIT"),
        (package("a", metadata="a whole text\nof many lines", classifier="Apache Software License"), "Apache-2.0"),
        (package("a", "GPL-3.0-only"), None),
        (package("a"), None),
    ],
)
def test_the_most_exact_that_is_allowed_counts(found, spdx):
    assert allowed(found) == spdx


def test_the_page_has_a_line_for_each_package():
    text = page([package("Type_Name", "MIT"), package("click", "BSD-3-Clause")], ["click", "type-name"])
    assert text.endswith("| package | licence |\n|---|---|\n| click | BSD-3-Clause |\n| type-name | MIT |\n")


def test_every_licence_that_is_not_allowed_and_every_package_that_is_missing_is_told_at_once():
    with pytest.raises(LicenseError) as error:
        page([package("a", "GPL-3.0-only", "GPL"), package("b", "MIT")], ["a", "b", "c"])
    assert str(error.value) == "c: is not installed\na: GPL-3.0-only / GPL / UNKNOWN"


def test_a_lock_says_what_is_installed():
    assert list(names(LOCK)) == ["click", "uvloop"]

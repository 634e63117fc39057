"""What is committed: made by the generator, approved by promtool, each alert tested both ways and explained."""

import re
import shutil
import subprocess

import pytest
import yaml

from exporter import rules

FILES = ("quality", "outliers", "audience", "weeks", "exporter", "history")
ROUTED = {"severity", "category"}
NAME = re.compile(r"[a-zA-Z_][\w:]+")
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def promtool(*arguments):
    return subprocess.run([shutil.which("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)


def test_they_are_what_the_generator_makes_of_the_example(root, example):
    made = {"recording": rules.recording(example), "alerts": rules.alerting(example)}
    for name, groups in made.items():
        there = (root / f"prometheus/rules/{name}.rules.yml").read_text("utf-8")
        assert there == rules.render(groups, rules.RUNBOOKS), (
            "run: video-analytics-exporter rules --config.file config.example.yaml --output prometheus/rules"
        )


@pytest.mark.real("promtool")
def test_promtool_finds_nothing(root):
    found = promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted((root / "prometheus/rules").iterdir()))
    assert (found.returncode, found.stderr) == (0, "")
    found = promtool("check", "config", root / "prometheus/prometheus.yml")
    assert found.returncode == 0, found.stderr


@pytest.mark.real("promtool")
@pytest.mark.parametrize("name", FILES)
def test_the_unit_tests_pass(root, name):
    found = promtool("test", "rules", root / f"prometheus/tests/{name}.test.yml")
    assert found.returncode == 0, found.stdout + found.stderr


def raw(rule, committed):
    """The metrics that a rule rests on in the end, behind all recordings."""
    recorded = {}
    for each in committed:
        recorded.setdefault(each.get("record"), []).append(each["expr"])
    found, names = set(), set(NAME.findall(rule["expr"]))
    while names:
        name = names.pop()
        if name in recorded:
            names |= {new for expr in recorded[name] for new in NAME.findall(expr)} - {name}
        else:
            found.add(name)
    return found


def lacking(alerts, committed, tests):
    """The alerts that no test has firing, or none that feeds them has silent."""
    found = set()
    for rule in alerts:
        cases = [
            (case, {NAME.match(series["series"])[0] for series in test["input_series"]})
            for test in tests
            for case in test.get("alert_rule_test", ())
            if case["alertname"] == rule["alert"]
        ]
        labels = rule["labels"].items()
        fires = any(labels <= alert["exp_labels"].items() for case, _ in cases for alert in case["exp_alerts"])
        silent = any(not case["exp_alerts"] and fed & raw(rule, committed) for case, fed in cases)
        if not (fires and silent):
            found.add((rule["alert"], *rule["labels"].values()))
    return found


@pytest.fixture(scope="module")
def tests(root):
    """The unit tests of all files."""
    assert {file.name for file in (root / "prometheus/tests").iterdir()} == {f"{name}.test.yml" for name in FILES}
    files = [root / f"prometheus/tests/{name}.test.yml" for name in FILES]
    return [test for file in files for test in yaml.safe_load(file.read_text())["tests"]]


def test_every_alert_has_a_firing_and_a_silent_case(alerts, committed, tests):
    assert lacking(alerts, committed, tests) == set()
    cases = [case for test in tests for case in test.get("alert_rule_test", ())]
    assert all("exp_annotations" in alert for case in cases for alert in case["exp_alerts"])


@pytest.mark.parametrize("fires", [True, False])
def test_an_alert_without_one_of_them_is_seen(alerts, committed, tests, fires):
    kept = [
        {
            **test,
            "alert_rule_test": [case for case in test.get("alert_rule_test", ()) if bool(case["exp_alerts"]) != fires],
        }
        for test in tests
    ]
    assert len(lacking(alerts, committed, kept)) == len(alerts)


def test_every_alert_says_what_a_person_needs(alerts):
    for rule in alerts:
        assert rule["labels"].keys() >= ROUTED, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["labels"]["category"] in {"qoe", "exporter"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
        if rule["labels"]["category"] == "qoe":
            assert "$value" in rule["annotations"]["description"]
            assert "$labels.source" in rule["annotations"]["summary"]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(root, alerts):
    runbooks = {file.stem: file.read_text("utf-8") for file in (root / "docs/runbooks").iterdir()}
    assert runbooks.keys() == {rule["alert"] for rule in alerts}
    for name, text in runbooks.items():
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
        assert "```promql\n" in text
        assert "```console\n" in text
        for link in re.findall(r"\]\(([^)]+)\)", text):
            assert (root / "docs/runbooks" / link).exists(), (name, link)


@pytest.mark.parametrize(("page", "runbooks"), [("README.md", "docs/runbooks"), ("docs/alerts.md", "runbooks")])
def test_the_documentation_has_every_alert_in_its_table(root, alerts, page, runbooks):
    row = rf"^\| \[(\w+)\]\({runbooks}/(\w+)\.md\) \| ([a-z, ]+) \| .+ \|$"
    shown = re.findall(row, (root / page).read_text("utf-8"), re.MULTILINE)
    assert all(name == file for name, file, _ in shown)
    severities = {}
    for rule in alerts:
        severities.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    assert len(shown) == len(severities)
    assert {name: set(severity.split(", ")) for name, _, severity in shown} == severities


def test_the_readme_says_of_each_alert_what_its_page_says(root):
    rows = [line for line in (root / "docs/alerts.md").read_text("utf-8").splitlines() if line.startswith("| [")]
    readme = (root / "README.md").read_text("utf-8").splitlines()
    assert [row for row in rows if row.replace("](runbooks/", "](docs/runbooks/") not in readme] == []

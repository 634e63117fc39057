"""What is committed: made by the generator, approved by promtool, each alert tested both ways and explained."""

import re
import shutil
import subprocess

import pytest
import yaml

from exporter import rules

FILES = ("quality", "outliers", "audience", "weeks", "exporter")
ROUTED = {"severity", "category"}
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


def test_every_alert_has_a_firing_and_a_silent_case(root, alerts):
    assert {file.name for file in (root / "prometheus/tests").iterdir()} == {f"{name}.test.yml" for name in FILES}
    cases = [
        case
        for name in FILES
        for group in yaml.safe_load((root / f"prometheus/tests/{name}.test.yml").read_text())["tests"]
        for case in group.get("alert_rule_test", ())
    ]

    def fires(case, rule):
        labels = [alert["exp_labels"].items() for alert in case["exp_alerts"]]
        return any(rule["labels"].items() <= found for found in labels)

    for rule in alerts:
        own = [case for case in cases if case["alertname"] == rule["alert"]]
        assert {fires(case, rule) for case in own} == {True, False}, rule["alert"]
        assert all("exp_annotations" in alert for case in own for alert in case["exp_alerts"])


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


def test_the_readme_has_every_alert_in_its_table(root, alerts):
    readme = (root / "README.md").read_text("utf-8")
    shown = re.findall(r"^\| \[(\w+)\]\(docs/runbooks/(\w+)\.md\)", readme, re.MULTILINE)
    assert all(name == file for name, file in shown)
    assert sorted(name for name, _ in shown) == sorted({rule["alert"] for rule in alerts})

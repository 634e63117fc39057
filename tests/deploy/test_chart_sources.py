"""The chart's rules and dashboards: the repository's own, and by default only what holds for every configuration."""

import json
import re
import tarfile

import pytest
import yaml

from exporter import demo, rules
from exporter.config import load
from exporter.dashboards import generate

pytestmark = pytest.mark.real("helm")


def test_the_demo_has_the_dashboards_and_rules_of_the_example(render, chart, root):
    found = render(chart / "ci/demo-values.yaml")
    boards = {name: text for made in found.all("ConfigMap") for name, text in made["data"].items()}
    assert {name.removeprefix("video-analytics-"): json.loads(text) for name, text in boards.items()} == {
        path.name: json.loads(path.read_text()) for path in (root / "grafana/dashboards").iterdir()
    }
    groups = [
        group
        for path in sorted((root / "prometheus/rules").iterdir())
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert found.only("PrometheusRule")["spec"]["groups"] == groups


# Times, vendors, names and labels that the example doesn't have.
OTHERS = (
    """
defaults: {interval: 1h, delay: 1d, window: 1h, max_age: 3h}
sources: {a: {type: smartsight, customer_id: 1, auth: {api_key: k}}}
queries: [{name: q, source: a, metrics: [latency]}]
""",
    """
sources: {b: {type: ibm_video, auth: {client_id: c, client_secret: s}, labels: {environment: prod}}}
queries: [{name: r, source: b, metrics: [total_views], dimensions: [country], interval: 10m}]
""",
)


def test_the_default_rules_are_those_that_every_configuration_has(render, chart, root):
    made = [
        {
            alert.name: alert.expr
            for group in rules.alerting(load(text, name="c", env=demo.CREDENTIALS))
            for alert in group.rules
        }
        for text in (demo.example(), *OTHERS)
    ]
    always = {name for name, expr in made[0].items() if all(other.get(name) == expr for other in made)}
    groups = render(chart / "ci/environment-values.yaml").only("PrometheusRule")["spec"]["groups"]
    assert {rule["alert"] for group in groups for rule in group["rules"]} == always
    page = (root / "docs/deploy/kubernetes.md").read_text()
    told = re.search(r"the alerts ([\w\s,]+), and\s+the dashboard", page)[1]
    assert sorted(re.findall(r"[A-Z]\w+", told)) == sorted(always)


def test_the_default_dashboard_is_the_one_that_every_configuration_has(render, chart, root):
    shipped = json.loads((root / "grafana/dashboards/health.json").read_text())
    for text in OTHERS:
        assert json.loads(generate(load(text, name="c", env={}))["health.json"]) == shipped
    maps = render(chart / "ci/environment-values.yaml").all("ConfigMap")
    boards = [text for made in maps for name, text in made["data"].items() if name.endswith(".json")]
    assert [json.loads(text) for text in boards] == [shipped]


def test_generated_rules_stand_in_the_place_of_the_default_ones(render, chart):
    groups = render(chart / "ci/shards-values.yaml").only("PrometheusRule")["spec"]["groups"]
    assert [group["name"] for group in groups] == ["video-analytics-quality-alerts", "own"]
    assert groups[0]["rules"][0]["annotations"]["summary"] == "{{ $labels.cdn }} starts slowly"


def test_what_the_commands_write_is_taken(render, chart, root):
    written, board = root / "prometheus/rules/alerts.rules.yml", root / "grafana/dashboards/overview.json"
    files = (f"prometheusRule.generated={written}", f"dashboards.generated.overview={board}")
    found = render(chart / "ci/environment-values.yaml", *(each for file in files for each in ("--set-file", file)))
    assert found.only("PrometheusRule")["spec"]["groups"] == yaml.safe_load(written.read_text())["groups"]
    boards = {name: text for made in found.all("ConfigMap") for name, text in made["data"].items()}
    assert boards["video-analytics-overview.json"] == board.read_text()


def test_a_package_has_what_the_links_lead_to(helm, chart, root, tmp_path):
    assert helm("package", chart, "--destination", tmp_path).returncode == 0
    (package,) = tmp_path.iterdir()
    with tarfile.open(package) as packed:
        files = {member.name.partition("/")[2]: packed.extractfile(member).read() for member in packed}
    linked = {name.removeprefix("files/"): text for name, text in files.items() if name.startswith("files/")}
    boards, written = (root / "grafana/dashboards").iterdir(), (root / "prometheus/rules").iterdir()
    assert linked == {f"{path.parent.name}/{path.name}": path.read_bytes() for path in (*boards, *written)}
    assert not any(name.startswith("ci/") for name in files)

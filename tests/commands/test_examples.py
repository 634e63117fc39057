"""`examples` writes what belongs to the example, with the paths that its files name each other by."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import main
from exporter.commands import examples

ROOT = Path(__file__).parents[2]


def test_what_is_written_is_what_the_checkout_has(tmp_path):
    result = CliRunner().invoke(main, ["examples", "--output", str(tmp_path / "to")])
    assert result.exit_code == 0, result.output
    written = [Path(line) for line in result.output.split()]
    for path in written:
        assert path.read_bytes() == (ROOT / path.relative_to(tmp_path / "to")).read_bytes()
    names = {str(path.relative_to(tmp_path / "to")) for path in written}
    assert names >= {
        "config.example.yaml",
        "docs/runbooks/DataTooOld.md",
        "grafana/dashboards/overview.json",
        "grafana/provisioning/datasources/datasources.yaml",
        "prometheus/alertmanager.yml",
        "prometheus/rules/alerts.rules.yml",
    }


def test_every_runbook_that_a_rule_names_is_written_too(tmp_path):
    written = {str(path.relative_to(tmp_path)) for path in examples.write(tmp_path)}
    groups = yaml.safe_load((tmp_path / "prometheus/rules/alerts.rules.yml").read_text("utf-8"))["groups"]
    named = {rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]}
    assert named
    assert named <= written


def test_where_nothing_can_be_written_one_line_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["examples", "--output", str(tmp_path / "file" / "below")])
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert str(tmp_path) in result.output


@pytest.mark.parametrize("name", examples.SHIPPED)
def test_the_wheel_is_built_with_it(name):
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'"{name}" = "exporter/examples/{name}"' in pyproject

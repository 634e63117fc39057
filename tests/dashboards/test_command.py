"""The command, the files that are shipped, and what Grafana is told of them."""

import json
import re
import subprocess
from pathlib import Path

import click.testing
import promql_parser
import pytest
import yaml
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from exporter import demo
from exporter.cli import main
from exporter.config import ConfigError, load
from exporter.dashboards import boards, generate

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "grafana" / "dashboards"


@pytest.fixture
def example():
    return load(demo.example(), name="config.example.yaml", env=demo.CREDENTIALS)


def run(*arguments, **env):
    return click.testing.CliRunner().invoke(main, ["dashboards", *map(str, arguments)], env=env)


def test_the_shipped_ones_are_those_of_the_example(example):
    shipped = {path.name: path.read_text("utf-8") for path in SHIPPED.iterdir()}
    assert shipped == generate(example), "run: python grafana/generate.py"
    assert len(shipped) == 8


def test_the_command_writes_the_same(tmp_path):
    output = tmp_path / "new" / "dashboards"
    result = run("--config.file", ROOT / "config.example.yaml", "--output", output, **demo.CREDENTIALS)
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == sorted(str(path) for path in output.iterdir())
    assert {path.name: path.read_text() for path in output.iterdir()} == {
        path.name: path.read_text() for path in SHIPPED.iterdir()
    }


def test_a_wrong_configuration_writes_nothing(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("sources: {}\n")
    result = run("--config.file", path, "--output", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(path) in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    config = ROOT / "config.example.yaml"
    result = run("--config.file", config, "--output", tmp_path / "file" / "out", **demo.CREDENTIALS)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"{tmp_path / 'file' / 'out'}: Not a directory"]


def test_grafana_is_told_where_they_are():
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    there = {target: (ROOT / "deploy" / source).resolve() for source, target in mounts.items()}
    (provider,) = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/dashboards.yaml").read_text())["providers"]
    assert there[provider["options"]["path"]] == SHIPPED
    assert there["/etc/grafana/provisioning"] == ROOT / "grafana" / "provisioning"
    sources = yaml.safe_load((ROOT / "grafana/provisioning/datasources/datasources.yaml").read_text())["datasources"]
    hosts = {source["type"]: source["url"].split("/")[2].split(":")[0] for source in sources}
    assert hosts == {"prometheus": "prometheus", "alertmanager": "alertmanager"}
    assert hosts.keys() <= compose["services"].keys()


@pytest.mark.real("promtool")
def test_promtool_takes_the_configuration_of_the_compose_file():
    command = ["promtool", "check", "config", "--syntax-only", str(ROOT / "deploy" / "prometheus.yml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@settings(max_examples=40)  # each makes all dashboards
@given(name=st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"]), min_size=1))
def test_any_name_of_a_query_gives_expressions_that_parse(name):
    source = {"type": "smartsight", "customer_id": 1, "auth": {"api_key": "k"}}
    query = {"name": name, "source": "mm", "metrics": ["latency", "viewercount"], "dimensions": ["cdn", "a-b"]}
    try:
        config = load(json.dumps({"sources": {"mm": source}, "queries": [query]}), name="config.yaml", env={})
    except ConfigError:
        reject()
    for board in boards(config):
        for target in (target for panel in board.panels for target in panel.targets):
            promql_parser.parse(re.sub(r"\$(__\w+|row|column)\b", "5m", target.expr.replace('"$row"', '"a"')))


@pytest.mark.parametrize("page", ["README.md", "docs/dashboards.md"])
def test_the_documentation_has_the_question_of_each(example, page):
    _, _, table = (ROOT / page).read_text("utf-8").partition("| dashboard | which question it answers |\n|---|---|\n")
    rows = {f"| {board.title} | {board.question} |" for board in boards(example)}
    assert set(table.partition("\n\n")[0].splitlines()) == rows


def test_the_boards_are_json_with_a_line_for_each_key():
    for path in SHIPPED.iterdir():
        text = path.read_text("utf-8")
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"

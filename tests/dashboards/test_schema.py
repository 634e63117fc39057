"""Grafana's own declarations take every dashboard; see README.md."""

import json
from pathlib import Path

import jsonschema
import pytest

SCHEMAS = json.loads(Path(__file__).with_name("grafana.schema.json").read_text("utf-8"))


def faults(kind, name, value):
    root = SCHEMAS[kind]
    schema = {**root, "$ref": None, **root["definitions"]["Root"]["properties"][name]}
    schema = {key: each for key, each in schema.items() if each is not None}
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(value)]


def test_the_dashboard(board):
    assert board["schemaVersion"] == 42
    assert faults("dashboard", "dashboard", board) == []


def test_the_options_of_its_panels(board, tools):
    for panel in tools.panels(board):
        assert faults(panel["type"], "options", panel["options"]) == []
        if panel["type"] in ("timeseries", "table"):
            assert faults(panel["type"], "custom", panel["fieldConfig"]["defaults"].get("custom", {})) == []


@pytest.mark.parametrize("wrong", [{"schemaVersion": "42"}, {"panel": []}, {"graphTooltip": 7}])
def test_a_wrong_one_is_seen(wrong):
    assert faults("dashboard", "dashboard", {"schemaVersion": 42, **wrong})

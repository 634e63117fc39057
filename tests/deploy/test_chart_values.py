"""The chart's values: schema, README and defaults agree, and what is wrong is refused before it is installed."""

import json
import re

import pytest
import yaml

import exporter


def test_its_version_is_the_exporter_s(chart):
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (exporter.__version__, exporter.__version__)


def leaves(schema, values, path=""):
    """Name the values as they are set; what has no keys of its own is one value."""
    for key, value in values.items():
        known = schema["properties"][key]
        if value and "properties" in known:
            yield from leaves(known, value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def test_values_schema_and_readme_have_the_same_keys(chart):
    values = yaml.safe_load((chart / "values.yaml").read_text())
    schema = json.loads((chart / "values.schema.json").read_text())
    assert values.keys() == schema["properties"].keys() - {"global"}
    for key, value in values.items():
        known = schema["properties"][key].get("properties", {})
        assert not value or not known or value.keys() == known.keys(), key
    shown = re.findall(r"^\| `([\w.]+)`", (chart / "README.md").read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(leaves(schema, values))


@pytest.mark.real("helm")
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "config.queries is empty"),
        ({"demo": True, "replicas": 2}, "demo runs as one process"),
        ({"config": {"queries": [1]}, "replicas": 2, "web": {"externalUrl": "https://a"}}, "web.externalUrl is where"),
        ({"demo": True, "replicas": 0}, "replicas"),
        ({"demo": True, "replica": 2}, "replica"),
        ({"demo": True, "service": {"prot": 1}}, "prot"),
        ({"demo": True, "log": {"level": "loud"}}, "level"),
        ({"demo": True, "web": {"externalUrl": "exporter"}}, "externalUrl"),
        ({"demo": True, "image": {"digest": "latest"}}, "digest"),
        ({"demo": True, "extraSecretMounts": [{"name": "x"}]}, "secretName"),
        ({"demo": True, "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "podDisruptionBudget"),
        ({"demo": True, "prometheusRule": {"enabled": True, "generated": "nothing"}}, "prometheusRule.generated"),
        ({"demo": True, "prometheusRule": {"enabled": True, "defaultRules": False}}, "prometheusRule has no rule"),
        ({"demo": True, "dashboards": {"enabled": True, "generated": {"A B": "{}"}}}, "A B"),
    ],
)
def test_wrong_values_are_refused(helm, chart, tmp_path, values, complaint):
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    done = helm("template", "release", chart, "--values", tmp_path / "values.yaml")
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.real("helm")
def test_long_names_are_cut_and_short_ones_kept(helm, chart):
    def names(*arguments):
        done = helm("template", "r" * 50, chart, "--set", "demo=true", *arguments)
        assert done.returncode == 0, done.stderr
        return {made["metadata"]["name"] for made in yaml.safe_load_all(done.stdout) if made}

    assert all(len(name) <= 63 for name in names())
    assert names("--set", "fullnameOverride=video") == {"video", "video-headless"}

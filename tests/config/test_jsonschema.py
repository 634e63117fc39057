"""The JSON Schema takes what `load` takes (see the fixture `configured`), and little more."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from exporter.config import ConfigError, document, load
from exporter.config.jsonschema import schema
from exporter.config.schema import Defaults, QueryShape
from exporter.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.example.yaml").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")

SOURCES = """\
sources:
  mm: {type: smartsight, customer_id: 1, auth: {api_key: k}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: s}}
queries:
"""


def test_the_file_beside_the_example_is_what_the_command_prints():
    committed = (ROOT / "config.schema.json").read_text("utf-8")
    assert committed == json.dumps(schema(), indent=2) + "\n", (
        "run: video-analytics-exporter schema > config.schema.json"
    )


def test_the_example_names_it_for_editors():
    assert EXAMPLE.splitlines()[0] == "# yaml-language-server: $schema=config.schema.json"


@pytest.mark.parametrize("text", [EXAMPLE, *re.findall(r"```yaml\n(sources:.*?)```", README, re.DOTALL)])
def test_the_examples_are_right(schema_faults, text):
    assert schema_faults(document.read(text).data) == []


def test_a_real_validator_says_the_same():
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    assert list(validator.iter_errors(document.read(EXAMPLE).data)) == []
    wrong = document.read(EXAMPLE.replace("interval: 1m", "intervall: 1m")).data
    assert [error.validator for error in validator.iter_errors(wrong)] != []


def test_it_says_which_dialect_it_is_and_knows_every_key():
    whole = schema()
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert whole["$defs"]["Defaults"]["properties"].keys() == Defaults.model_fields.keys()
    assert whole["$defs"]["QueryShape"]["properties"].keys() == QueryShape.model_fields.keys()
    for provider in PROVIDERS.values():
        shown = whole["$defs"][provider.Settings.__name__]
        assert shown["properties"].keys() == provider.Settings.model_fields.keys()


def test_a_key_of_a_query_is_described_as_in_defaults():
    whole = schema()["$defs"]
    for name in Defaults.model_fields:
        assert (
            whole["Defaults"]["properties"][name]["description"]
            in whole["QueryShape"]["properties"][name]["description"]
        )
    assert "``" not in json.dumps(whole)


TAKEN = [
    *[
        f"metrics: [x], interval: {each}"
        for each in ("60", "'60'", "1h30m", "1d12h", "60.0", "'${T}'", "1s500ms500ms")[:-1]
    ],
    *[f"metrics: [x], timeout: {each}" for each in ("1.5", "500ms", "'1.5'")],
    *[f"metrics: [x], max_response: {each}" for each in ("1000", "64MiB", "10 MB", "5B", "'${S}'")],
    *[f"metrics: [x], top: {each}" for each in ("5", "'5'", "5.0", "1_000", "'${N}'", "")],
    *[f"metrics: [x], allow_personal_data: {each}" for each in ("true", "yes", "'Off'", "1", "'${B}'")],
    *[f"metrics: [x], order: {each}" for each in ("asc", "'${O}'")],
    "metrics: [x, {field: y, name: z, scale: '1e-3', help: 7}, {field: '${F}'}]",
    "metrics: [x], filters: {cdn: a, n: 5, live: true, many: [a, 5, false, '${F}']}, options: {a: true, b: 1, c: x}",
    "metrics: [x], delay: 0, max_age: 1w",
    "metrics: [x], dimensions: ['${F}', b]",
]

REFUSED = [
    ("metrics: x", "metrics"),
    ("metrics: []", "metrics"),
    ("metrics: [x], intervall: 1m", "intervall"),
    *[
        (f"metrics: [x], interval: {each}", "interval")
        for each in ("10 s", "1.5m", "5min", "-1", "0", "true", "''", "[]")
    ],
    *[(f"metrics: [x], max_response: {each}", "max_response") for each in ("64M", "1.5GiB", "0")],
    *[(f"metrics: [x], top: {each}", "top") for each in ("0", "all", "1.5", "true")],
    *[(f"metrics: [x], on_missing: {each}", "on_missing") for each in ("skip", "0")],
    ("metrics: [x], exemplars: maybe", "exemplars"),
    ("metrics: [x], dimensions: [a b]", "dimensions"),
    ("metrics: [x], dimensions: cdn", "dimensions"),
    ("metrics: [x], filters: [a]", "filters"),
    ("metrics: [x], filters: {a: }", "filters"),
    ("metrics: [{name: x}]", "metrics"),
    ("metrics: [{field: x, scale: big}]", "metrics"),
    ("metrics: [{field: x, scal: 1}]", "metrics"),
]


@pytest.mark.parametrize("body", TAKEN)
def test_what_the_file_takes(configured, body):
    assert configured(f"{SOURCES}  - {{name: q, source: mm, {body}}}\n", T="1m", S="5MB", N="5", B="no", O="asc", F="f")


@pytest.mark.parametrize(("body", "key"), REFUSED)
def test_what_it_refuses(schema_faults, body, key):
    text = f"{SOURCES}  - {{name: q, source: mm, {body}}}\n"
    faults = schema_faults(document.read(text).data)
    assert faults
    assert all(fault[:3] == ("queries", 0, key) for fault in faults)
    with pytest.raises(ConfigError, match=key):
        load(text, name="c.yaml", env={})


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("customer_id: 1, ", "", ("sources", "mm")),
        ("customer_id: 1", "customer: 1", ("sources", "mm")),
        ("type: smartsight", "type: smart", ("sources", "mm", "type")),
        ("type: smartsight, ", "", ("sources", "mm")),
        ("type: smartsight", "type: ibm_video", ("sources", "mm", "auth")),
        ("api_key: k", "api_key: 5", ("sources", "mm", "auth", "api_key")),
        (", auth: {api_key: k}", "", ("sources", "mm")),
        ("queries:", "querys:", ()),
        ("sources:", "defaults: 5\nsources:", ("defaults",)),
    ],
)
def test_sources_by_their_type(schema_faults, old, new, fault):
    text = SOURCES.replace(old, new, 1) + "  - {name: q, source: ibm, metrics: [total_views]}\n"
    assert fault in schema_faults(document.read(text).data)
    with pytest.raises(ConfigError):
        load(text, name="c.yaml", env={})


def test_a_type_by_variable_is_not_judged(configured):
    text = SOURCES.replace("type: smartsight", "type: '${TYPE}'") + "  - {name: q, source: mm, metrics: [x]}\n"
    assert configured(text, TYPE="smartsight")

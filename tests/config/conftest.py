import re

import pytest

from exporter.config import ConfigError, document, load
from exporter.config.jsonschema import schema

TYPES = {
    "object": lambda data: isinstance(data, dict),
    "array": lambda data: isinstance(data, list),
    "string": lambda data: isinstance(data, str),
    "number": lambda data: isinstance(data, int | float) and not isinstance(data, bool),
    "integer": lambda data: TYPES["number"](data) and data % 1 == 0,
    "boolean": lambda data: isinstance(data, bool),
    "null": lambda data: data is None,
}
SCALARS = {
    "type": lambda data, kind: TYPES[kind](data),
    "const": lambda data, value: data == value and isinstance(data, bool) == isinstance(value, bool),
    "enum": lambda data, values: any(SCALARS["const"](data, value) for value in values),
    "pattern": lambda data, pattern: not isinstance(data, str) or re.search(pattern, data),
    "minLength": lambda data, least: not isinstance(data, str) or len(data) >= least,
    "minItems": lambda data, least: not isinstance(data, list) or len(data) >= least,
    "minProperties": lambda data, least: not isinstance(data, dict) or len(data) >= least,
    "minimum": lambda data, least: not TYPES["number"](data) or data >= least,
    "exclusiveMinimum": lambda data, bound: not TYPES["number"](data) or data > bound,
    "propertyNames": lambda data, rule: (
        not isinstance(data, dict) or all(len(key) >= rule["minLength"] for key in data)
    ),
}
KEYWORDS = {
    *SCALARS,
    *("$schema", "$defs", "$ref", "title", "description", "default", "format", "writeOnly"),
    *("anyOf", "allOf", "if", "then", "items", "required", "properties", "additionalProperties"),
}

SOURCES = """\
sources:
  mm: {type: smartsight, customer_id: 1, auth: {api_key: k}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: s}}
queries:
"""


@pytest.fixture
def configured(schema_faults):
    """Load a configuration with the variables that are given; none comes from the real environment.

    What loads is right by the JSON Schema too: so each good configuration of the tests is.
    """

    def configured(text, **env):
        config = load(text, name="c.yaml", env=env)
        assert schema_faults(document.read(text).data) == []
        return config

    return configured


@pytest.fixture
def query(configured):
    """Load one query, given as the inside of a flow mapping, and give it completed."""

    def query(body, source="mm", defaults="", **env):
        return configured(f"{defaults}{SOURCES}  - {{name: q, source: {source}, {body}}}\n", **env).queries[0]

    return query


@pytest.fixture
def errors(configured):
    """Load a wrong configuration and give the lines of its error."""

    def errors(text, **env):
        with pytest.raises(ConfigError) as caught:
            configured(text, **env)
        assert str(caught.value).splitlines() == list(caught.value.lines), "one error a line"
        return list(caught.value.lines)

    return errors


@pytest.fixture
def query_errors(errors):
    """Give the errors of one query (it stands on line 5), without the file, the line and the query's path."""

    def query_errors(body, source="mm", **env):
        lines = errors(f"{SOURCES}  - {{name: q, source: {source}, {body}}}\n", **env)
        return [line.removeprefix("c.yaml:5: queries[0].") for line in lines]

    return query_errors


@pytest.fixture(scope="session")
def schema_faults():
    """Say where data is not what the JSON Schema of the file asks for; empty where it is."""
    whole = schema()
    return lambda data: list(_faults(data, whole, whole, ()))


def _faults(data, rule, whole, path):
    """Judge by the keywords that the schema uses: a validator of a page, for none is among the dependencies."""
    unknown = set(rule) - KEYWORDS
    assert not unknown, f"the validator has to learn {unknown}"
    if not all(holds(data, rule[keyword]) for keyword, holds in SCALARS.items() if keyword in rule):
        yield path
    if "anyOf" in rule and all(list(_faults(data, one, whole, path)) for one in rule["anyOf"]):
        yield path
    also = [*rule.get("allOf", ())]
    if "$ref" in rule:
        also.append(whole["$defs"][rule["$ref"].removeprefix("#/$defs/")])
    if "if" in rule and not list(_faults(data, rule["if"], whole, path)):
        also.append(rule["then"])
    for each in also:
        yield from _faults(data, each, whole, path)
    yield from (path for key in rule.get("required", ()) if isinstance(data, dict) and key not in data)
    for step, value, inner in _inside(data, rule):
        yield from [(*path, step)] if inner is False else _faults(value, inner, whole, (*path, step))


def _inside(data, rule):
    """Give what is in a list or a mapping, each with its rule, which may be ``False``."""
    if isinstance(data, list):
        yield from ((index, item, rule.get("items", {})) for index, item in enumerate(data))
    if isinstance(data, dict):
        other, mine = rule.get("additionalProperties", {}), rule.get("properties", {})
        yield from ((key, value, mine.get(key, other)) for key, value in data.items())

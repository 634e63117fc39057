"""The page on the configuration file, made from its JSON Schema."""

import json
from collections.abc import Iterator
from typing import Any

from exporter.config import units
from exporter.config.jsonschema import FLAG, INTEGER, NUMBER, VARIABLE

Schema = dict[str, Any]

HEAD = """\
# Configuration

Made by `make reference` from the JSON Schema that `video-analytics-exporter schema` prints. Editors complete and check
the file by it: name it in the first line, `# yaml-language-server: $schema=config.schema.json`.

- A **duration** is Prometheus' (`30s`, `5m`, `1h30m`, `1d`) or a plain number of seconds, a **size** is `64MiB`, `10MB`
  or a number of bytes.
- `${NAME}` in any text is an environment variable, `${NAME:-default}` one that may be missing, `$$` a dollar sign.
- One value may stand for a list of one.
- `video-analytics-exporter check` tells all faults of a file at once, each with line, path and what is wrong.

A dot leads into a mapping (`auth.api_key` is `api_key` below `auth`), `[]` into each entry of a list.
"""

SECTIONS = {
    "defaults": "What holds for each query that does not say otherwise.",
    "sources": "The accounts to ask: a mapping of names to sources. A name becomes the label `source`.",
    "queries": "A list: what to ask, and how often. What a query leaves out comes from `defaults`.",
}
WIDER = (FLAG, INTEGER, NUMBER, VARIABLE, {"enum": [0, 1]})
"""What the schema takes beside the value itself: texts that read as one, variables."""
WORDS = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text", "null": ""}
FORMATS = {"password": "secret", "path": "path of a file", "file-path": "path of a file", "uri": "URL"}


def page(schema: Schema) -> str:
    """Write the page of a schema."""
    return "\n".join([HEAD, *(line for name in schema["properties"] for line in _section(schema, name))])


def _section(schema: Schema, name: str) -> Iterator[str]:
    section = schema["properties"][name]
    yield f"## {name}\n\n{SECTIONS.get(name, section.get('description', ''))}\n"
    if name != "sources":
        yield from _table(schema, _inside(section)[0])
        return
    for vendor in section["additionalProperties"]["allOf"]:
        yield f"### type: {vendor['if']['properties']['type']['const']}\n"
        yield from _table(schema, vendor["then"]["$ref"])


def _table(schema: Schema, place: str) -> Iterator[str]:
    yield "| key | value | default | what it is |\n|---|---|---|---|"
    yield from (f"| {' | '.join(cells)} |" for cells in _rows(schema, place, ""))
    yield ""


def _rows(schema: Schema, place: str, before: str) -> Iterator[tuple[str, ...]]:
    """Give the cells of each key of a definition, those of the definitions below it too."""
    definition = schema["$defs"][place.rpartition("/")[2]]
    for name, facts in definition["properties"].items():
        below, in_list = _inside(facts)
        words = _words(facts)
        if words or not below:
            default = "required" if name in definition.get("required", ()) else _default(facts, words)
            yield f"`{before}{name}`", words, default, facts.get("description", "")
        if below:
            yield from _rows(schema, below, f"{before}{name}{'[]' if in_list else ''}.")


def _inside(facts: Schema) -> tuple[str, bool]:
    """Give the definition that a value refers to, and whether it is that of a list's entries; empty if to none."""
    if "$ref" in facts:
        return facts["$ref"], False
    if "items" in facts:
        return _inside(facts["items"])[0], True
    found = (_inside(each) for each in facts.get("anyOf", facts.get("allOf", ())))
    return next(((place, in_list) for place, in_list in found if place), ("", False))


def _words(facts: Schema) -> str:
    """Say what a value may be; empty for a mapping whose keys are told one by one."""
    if "$ref" in facts:
        return ""
    if "enum" in facts or "const" in facts:
        return " or ".join(f"`{value}`" for value in facts.get("enum", [facts.get("const")]))
    if "anyOf" in facts:
        return _either(facts["anyOf"])
    if facts.get("type") == "array":
        return f"list of {_words(facts['items']) or 'mappings'}"
    if facts.get("type") == "object":
        return f"mapping of names to {_words(facts['additionalProperties'])}"
    return FORMATS.get(facts.get("format", "")) or WORDS.get(facts.get("type", ""), "")


def _either(alternatives: list[Schema]) -> str:
    patterns = "".join(each.get("pattern", "") for each in alternatives)
    if units.PLAIN.pattern in patterns:
        return "duration"
    if "KMG" in patterns:
        return "size"
    found = ["mapping" if "$ref" in each else _words(each) for each in alternatives if each not in WIDER]
    # A number may stand for a text, as it is written: that goes without saying. So does one value for a list of one.
    lists = [words for words in found if words.startswith("list of ")]
    if "text" in found or lists:
        found = [words for words in found if words not in {"number", "true or false"}]
    found = [words for words in found if f"list of {words}" not in lists]
    words = " or ".join(dict.fromkeys(filter(None, found)))
    return "" if words == "mapping" else words


def _default(facts: Schema, words: str) -> str:
    value = facts.get("default")
    if value in (None, {}, [], ""):
        return ""
    if words == "duration":
        return f"`{_duration(value)}`"
    if words == "size":
        return f"`{value >> 20}MiB`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _duration(seconds: float) -> str:
    unit, length = next(
        (unit, int(length)) for unit, length in units.SECONDS.items() if length >= 1 and seconds % length == 0
    )
    return f"{int(seconds) // length}{unit}"

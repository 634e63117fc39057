"""JSON Schema of the configuration file, for editors: what ``load`` takes, as far as JSON Schema can say it.

It is made from the models of the shape, and wider where the file is: a variable, ``${NAME}``, may stand in any text and
so give a number too, one value may stand for a list of one, and a number for a text.
"""

import json
from collections.abc import Callable
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from exporter.config.remote_write import Delivery
from exporter.config.schema import Defaults, QueryShape
from exporter.providers import PROVIDERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""A text that holds a variable: what it will be is known only where the exporter runs."""

INTEGER = {"type": "string", "pattern": r"^\s*[+-]?[0-9]+(_[0-9]+)*(\.0*)?\s*$"}
NUMBER = {"type": "string", "pattern": r"^\s*[+-]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"}
FLAGS = ("true", "false", "yes", "no", "on", "off", "t", "f", "y", "n")
FLAG = {
    "type": "string",
    "pattern": "^(" + "|".join("".join(f"[{char.upper()}{char}]" for char in word) for word in FLAGS) + "|[01])$",
}
"""Texts that stand for a number or a boolean."""


def _either(*schemas: JsonSchemaValue) -> JsonSchemaValue:
    return {"anyOf": list(schemas)}


WIDER: dict[str, Callable[[JsonSchemaValue], JsonSchemaValue]] = {
    "_text": lambda text: _either(text, {"type": "number"}),
    "_flag": lambda text: _either(text, {"type": "boolean"}),
    "_many": lambda items: _either(items["items"], items),
    "_one": lambda items: _either(items["items"], items),
    "_metric": lambda metric: _either({"type": "string", "minLength": 1}, metric),
}
"""What the file may have beside what a model has, by the function that makes the one of the other."""


class _Generator(GenerateJsonSchema):
    """pydantic's generator, with the words of the file."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        wider = WIDER.get(getattr(schema["function"]["function"], "__name__", ""))
        return wider(inner) if wider else inner

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        text = super().str_schema(schema)
        return _either(text, VARIABLE) if "pattern" in text else text

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return _either(super().int_schema(schema), INTEGER, VARIABLE)

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return _either(super().float_schema(schema), NUMBER, VARIABLE)

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        return _either(super().bool_schema(schema), {"enum": [0, 1]}, FLAG, VARIABLE)

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return _either(super().literal_schema(schema), VARIABLE)

    def field_title_should_be_set(self, _: Any) -> bool:  # noqa: ANN401 - pydantic's own signature names internals
        return False


def schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of the configuration file."""
    places, together = models_json_schema(
        [
            (Defaults, "validation"),
            (QueryShape, "validation"),
            (Delivery, "validation"),
            *((provider.Settings, "validation") for provider in PROVIDERS.values()),
        ],
        schema_generator=_Generator,
    )
    at = {model: place for (model, _), place in places.items()}
    # The models are described for readers of the code, whose markup doubles the backtick.
    definitions = json.loads(json.dumps(together["$defs"]).replace("``", "`"))
    _describe(definitions[Defaults.__name__]["properties"], definitions[QueryShape.__name__]["properties"])
    delivery = definitions.pop(Delivery.__name__)["properties"]
    vendors = {name: at[provider.Settings] for name, provider in PROVIDERS.items()}
    return {
        "$schema": DIALECT,
        "title": "video-analytics-exporter",
        "description": "The configuration file of video-analytics-exporter.",
        "type": "object",
        "properties": {
            "defaults": _either(at[Defaults], {"type": "null"}),
            "sources": {
                "description": "The accounts to ask. A name becomes the label `source`.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"minLength": 1},
                "additionalProperties": _source(vendors),
            },
            "queries": {
                "description": "What to ask, and how often.",
                "type": "array",
                "minItems": 1,
                "items": at[QueryShape],
            },
            **delivery,
        },
        "required": ["sources", "queries"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _source(vendors: dict[str, JsonSchemaValue]) -> JsonSchemaValue:
    """Give a source's schema: its type says which vendor's. With ``oneOf``, an editor would show the others' faults."""
    return {
        "type": "object",
        "properties": {"type": _either({"enum": list(vendors)}, VARIABLE)},
        "required": ["type", "auth"],
        "allOf": [
            {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": place}
            for name, place in vendors.items()
        ],
    }


def _describe(defaults: dict[str, Any], query: dict[str, Any]) -> None:
    """Let a query's keys say what those of ``defaults`` say."""
    for name, facts in defaults.items():
        query[name]["description"] = f"{facts['description']} Left out: that of `defaults`."

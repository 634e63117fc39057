"""Checking data against a pydantic model, with every fault in words for the person who wrote the file."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.providers.base import NAME, Fault, near

Path = tuple[str | int, ...]
Shape = typing.TypeVar("Shape", bound=BaseModel)

WORDS = {
    "missing": "is missing",
    "string_type": "must be a text; put it in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "path_type": "must be the path of a file",
    "too_short": "must have at least one entry",
}
"""pydantic's types of error in plain words. Its own messages are for programmers, and some quote the value."""


TEMPLATES = {
    "value_error": "{error}",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
}
"""The same, with what pydantic says of the bound."""

PATTERNS = {
    NAME: "must be one name, without spaces and without any of , [ ] | = &",
}
"""What a text that does not match a pattern should have been."""


def check(model: type[Shape], data: object, path: Path, report: Callable[[Fault], None]) -> Shape | None:
    """Give the data as the model, or report all that is wrong with it and give ``None``."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            place = (step for step in detail["loc"] if step != "[key]")  # pydantic marks what is wrong with a key
            report(Fault((*path, *place), _words(model, detail)))
        return None


def _words(model: type[BaseModel], detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = _keys(model, detail["loc"][:-1])
        return f"unknown key{near(str(detail['loc'][-1]), allowed)}; allowed: {', '.join(sorted(allowed))}"
    if kind in TEMPLATES:
        return TEMPLATES[kind].format(**context)
    if kind == "string_pattern_mismatch":
        return PATTERNS[context["pattern"]]
    return WORDS.get(kind, "has the wrong type")


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    """Give the keys that may stand at a path below a model."""
    for step in path:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        model = next(_models(field.annotation), model) if field else model
    return list(model.model_fields)


def _models(annotation: Any) -> typing.Iterator[type[BaseModel]]:  # noqa: ANN401 - any type can stand in an annotation
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)

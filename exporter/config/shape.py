"""Checking data against a pydantic model, with every fault in words for the person who wrote the file."""

import contextlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from copy import copy, deepcopy
from functools import cache
from typing import Any, cast

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails

from exporter.providers.base import Fault, near
from exporter.providers.shapes import NAME

Path = tuple[str | int, ...]
Keys = AbstractSet[str]
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
    "list_type": "must be a list; write it as [a, b]",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "path_type": "must be the path of a file",
    "too_short": "must have at least one entry",
}
"""pydantic's types of error in plain words. Its own messages are for programmers, and some quote the value."""


TEMPLATES = {
    "value_error": "{error}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
}
"""The same, with what pydantic says of the bound."""

PATTERNS = {
    NAME: "must be one name, without spaces and without any of , [ ] | = &",
}
"""What a text that does not match a pattern should have been."""


def check(model: type[Shape], data: object, path: Path, report: Callable[[Fault], None]) -> tuple[Shape, Keys]:
    """Give the data as the model, and the keys that are wrong; what is wrong is reported, and left out of the result.

    So what does not depend on it can be checked all the same.
    """
    try:
        return model.model_validate(data), frozenset()
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        report(Fault((*path, *_place(data, detail["loc"])), _words(model, detail)))
    wrong = {str(detail["loc"][0]) if detail["loc"] else "" for detail in details}
    places = [detail["loc"] for detail in details]
    for rest in (_without(data, places), _without(data, [place[:1] for place in places])):
        with contextlib.suppress(ValidationError):
            return cast("Shape", _lenient(model).model_validate(rest)), wrong
    return cast("Shape", _lenient(model).model_validate({})), wrong


def _without(data: object, places: list[Path]) -> object:
    """Give a copy of the data less the innermost key of each place; entries of a list keep their numbers."""
    copied = deepcopy(data) if isinstance(data, dict) else {}
    for place in places:
        at: object = copied
        mapping, key = copied, None
        for step in place:
            if isinstance(at, dict):
                mapping, key = at, step
                at = at.get(step)
            elif isinstance(at, list) and isinstance(step, int) and step < len(at):
                at = at[step]
        mapping.pop(key, None)
    return copied


@cache
def _lenient(model: type[BaseModel]) -> type[BaseModel]:
    """Give the model with every key optional: what is missing is its default, or ``None``."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if info.is_required():
            optional = copy(info)
            optional.default = None
            fields[name] = (info.annotation, optional)
    return create_model(f"Lenient{model.__name__}", __base__=model, **fields)


def _place(data: object, loc: Path) -> Iterator[str | int]:
    """Give the path in the file of a path in the model, where one value may stand for a list of one."""
    for step in loc:
        if isinstance(data, dict) and isinstance(step, str):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int):
            data = data[step]
        else:
            # pydantic names the step into a list that was one value, and marks what is wrong with a key.
            continue
        if step != "[key]":
            yield step


def _words(model: type[BaseModel], detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = _keys(model, detail["loc"][:-1])
        return f"unknown key{near(str(detail['loc'][-1]), allowed)}; allowed: {', '.join(sorted(allowed))}"
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        return f"must be {context['expected']}{near(str(detail['input']).lower(), words)}"
    if kind == "string_type":
        return _no_text(detail["input"])
    if kind in TEMPLATES:
        return TEMPLATES[kind].format(**context)
    if kind == "string_pattern_mismatch":
        return PATTERNS[context["pattern"]]
    return WORDS.get(kind, "has the wrong type")


def _no_text(value: object) -> str:
    if isinstance(value, list | dict):
        return f"must be a text, not a {'list' if isinstance(value, list) else 'mapping'}"
    return "must be a text, and is empty" if value is None else WORDS["string_type"]


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

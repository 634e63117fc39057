"""Durations and sizes as a person writes them."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
# Prometheus' grammar: each unit at most once, from the largest to the smallest. More than 15 digits mean nothing.
DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,15}}){unit})?" for unit in SECONDS))
PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
SIZE = re.compile(r"(?P<number>[0-9]{1,15})\s*(?P<unit>[KMG]i?B|B)?")
BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def seconds(value: object) -> float:
    """Read a duration: ``1h30m``, or a plain number of seconds.

    Raises:
        ValueError: it is none.
    """
    text = str(value)
    if not isinstance(value, bool):
        if PLAIN.fullmatch(text):
            return float(text)
        if text and (match := DURATION.fullmatch(text)):
            return sum(int(count) * SECONDS[unit] for unit, count in match.groupdict().items() if count)
    raise ValueError("is no duration; write it as 30s, 5m, 1h30m or 1d, or as a number of seconds")


def whole_seconds(value: object) -> int:
    """Read a duration without a fraction of a second: the vendors' periods are whole seconds."""
    number = seconds(value)
    if number % 1:
        raise ValueError("must be whole seconds")
    return int(number)


def size(value: object) -> int:
    """Read a number of bytes: ``64MiB``, ``10MB``, or a plain number."""
    match = None if isinstance(value, bool) else SIZE.fullmatch(str(value))
    if not match:
        raise ValueError("is no size; write it as 64MiB, 10MB, or as a number of bytes")
    return int(match["number"]) * BYTES[match["unit"] or "B"]


def _json(kind: str, least: Mapping[str, int], *patterns: str) -> WithJsonSchema:
    """Give what JSON Schema knows of it: a number, a text that reads as one, or a text with a variable."""
    text = "|".join(f"^{pattern}$" for pattern in patterns) + r"|\$\{"
    return WithJsonSchema({"anyOf": [{"type": kind, **least}, {"type": "string", "pattern": text}]})


_PARTS = "(?=.)" + "".join(f"([0-9]{{1,15}}{unit})?" for unit in SECONDS)
_SIZE = r"[0-9]{1,15}\s*([KMG]i?B|B)?"
_MORE, _NOT_LESS = {"exclusiveMinimum": 0}, {"minimum": 0}

Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0), _json("number", _MORE, _PARTS, PLAIN.pattern)]
WholeDuration = Annotated[
    int, BeforeValidator(whole_seconds), Field(gt=0), _json("integer", _MORE, _PARTS, PLAIN.pattern)
]
WholeDurationOrNone = Annotated[
    int, BeforeValidator(whole_seconds), Field(ge=0), _json("integer", _NOT_LESS, _PARTS, PLAIN.pattern)
]
Size = Annotated[int, BeforeValidator(size), Field(gt=0), _json("integer", _MORE, _SIZE)]

"""From the bytes of an answer to values."""

import json
import re
from contextlib import suppress
from functools import cache
from itertools import chain
from secrets import token_hex
from typing import Any

import msgspec

from exporter.providers.errors import BadResponse, Broken

CONTAINERS = frozenset((list, dict))


DEEPEST = 32
"""Levels of lists and objects in an answer, where a query does not say; the vendors' have six."""

LARGE = 1 << 18
"""Bytes from which on an answer is decoded in steps."""

PIECE = 1 << 16
"""Bytes that are decoded at once, and a row more: half a millisecond, in which no other thread has its turn."""

END = 1 << 12
"""Bytes at the end of an answer in which its rows have to end, for it to be decoded in steps."""

SHORT = 1 << 16
"""Bytes of an answer that is no data: of a log-in, a look-up, an error. It is decoded in the event loop."""

STEP = 500
"""Rows that are read or freed at once: less than that."""

USUAL = 8
"""Levels up to which an answer is measured while it is decoded. Each level more doubles what describes it."""


def decode(body: bytes, deepest: int = DEEPEST) -> object:
    """Decode JSON, Python's ``NaN`` and ``Infinity`` included: vendors that are written in Python send them.

    Raises:
        Broken: it is none.
        BadResponse: it is nested deeper than admitted.
    """
    levels = min(deepest, USUAL)
    try:
        if len(body) > LARGE and levels > 1:
            with suppress(ValueError):
                return _in_steps(body, levels)
        return _decoder(levels).decode(body)
    except (ValueError, RecursionError):
        answer = _decoded(body)
    if _deeper(answer, deepest):
        raise BadResponse(f"the answer is nested deeper than `max_nesting` ({deepest} levels)")
    return answer


def decode_short(body: bytes) -> object:
    """Decode an answer that has little to say.

    Raises:
        BadResponse: it can't be decoded, or is too long for that.
    """
    if len(body) > SHORT:
        raise BadResponse(f"the answer has {len(body)} bytes, and this kind has {SHORT} at most")
    return decode(body)


def _value(levels: int) -> Any:  # noqa: ANN401 - a type
    """Give the type of JSON of so many levels at most."""
    value = scalar = str | int | float | bool | None
    for _ in range(levels):
        value = scalar | list[value] | dict[str, value]  # type: ignore[valid-type]  # made at run time
    return value


@cache
def _decoder(levels: int) -> msgspec.json.Decoder[object]:
    """Give what decodes JSON of so many levels at most, and nothing else."""
    return msgspec.json.Decoder(_value(levels))


@cache
def _list(levels: int) -> msgspec.json.Decoder[list[object]]:
    """Give what decodes a list of so many levels, itself one of them."""
    return msgspec.json.Decoder(list[_value(levels - 1)])  # type: ignore[misc]  # made at run time


@cache
def _object(levels: int) -> msgspec.json.Decoder[dict[str, object]]:
    """Give what decodes an object of so many levels, itself one of them."""
    return msgspec.json.Decoder(dict[str, _value(levels - 1)])  # type: ignore[misc]  # made at run time


FIRST = re.compile(rb"\[\s*(?={)")
BETWEEN = re.compile(rb"(?<=})\s*,\s*(?={)")
LAST = re.compile(rb"(?<=})\s*\]")

STAND_IN = token_hex()
"""Stands for an answer's rows while the rest is decoded: no vendor's word, and its quotes a fault within a string."""


def _in_steps(body: bytes, levels: int) -> dict[str, object]:
    """Decode an answer whose rows are one list of objects some rows at a time, so that scrapes have turns in between.

    Where a row ends is guessed. What is between two wrong guesses is no JSON: a string or an object of it has no end.

    Raises:
        ValueError: it is another answer, or one that can't be cut like this.
    """
    first, lasts = FIRST.search(body), [*LAST.finditer(body, max(len(body) - END, 0))]
    if not first or not lasts:
        raise ValueError("there is no list of objects")
    start, end = first.end(), lasts[-1].start()
    rest = body[: first.start()], STAND_IN.encode(), body[lasts[-1].end() :]
    answer = _object(levels).decode(b'%b["%b"]%b' % rest)
    [name] = (name for name, value in answer.items() if value == [STAND_IN])
    rows: list[object] = []
    while start < end:
        between = BETWEEN.search(body, start + PIECE, end)
        stop, after = between.span() if between else (end, end)
        rows += _list(levels - 1).decode(b"[%b]" % body[start:stop])
        start = after
    return {**answer, name: rows}


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        # msgspec is strict, and some 4 times as fast: the other is asked only where it gives up.
        try:
            return json.loads(body)
        except RecursionError:
            raise BadResponse("the answer is nested too deep to be read") from None
        except ValueError:
            raise Broken(f"the answer is no JSON but {_kind(body)}") from None


def _deeper(answer: object, most: int) -> bool:
    """Whether an answer has more levels; looks at it level by level, and at the values of flat rows only by type."""
    level = [answer] if type(answer) in CONTAINERS else []
    for _ in range(most):
        lists = [each for each in level if type(each) is list]
        objects = [each.values() for each in level if type(each) is dict]
        children = list(chain.from_iterable(chain(lists, objects)))
        if CONTAINERS.isdisjoint(map(type, children)):
            return False
        level = [child for child in children if type(child) in CONTAINERS]
    return True


def _kind(body: bytes) -> str:
    if not body.strip():
        return "empty"
    if body.lstrip()[:1] == b"<":
        return "HTML"
    return f"{len(body)} bytes that can't be decoded"

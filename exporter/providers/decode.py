"""From the bytes of an answer to values."""

import json
from contextlib import suppress
from functools import cache
from itertools import chain

import msgspec

from exporter.providers.errors import BadResponse, Broken

CONTAINERS = frozenset((list, dict))


DEEPEST = 32
"""Levels of lists and objects in an answer, where a query does not say; the vendors' have six."""

LARGE = 1 << 18
"""Bytes from which on an answer is decoded in steps."""

STEP = 500
"""Rows that are decoded, read or freed at once: half a millisecond, in which no other thread has its turn."""

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
        if len(body) > LARGE and levels > OUTER:
            with suppress(ValueError):
                return _in_steps(body, levels)
        return _decoder(levels).decode(body)
    except (ValueError, RecursionError):
        answer = _decoded(body)
    if _deeper(answer, deepest):
        raise BadResponse(f"the answer is nested deeper than `max_nesting` ({deepest} levels)")
    return answer


@cache
def _decoder(levels: int) -> msgspec.json.Decoder[object]:
    """Give what decodes JSON of so many levels at most, and nothing else."""
    value = scalar = str | int | float | bool | None
    for _ in range(levels):
        value = scalar | list[value] | dict[str, value]  # type: ignore[valid-type]  # made at run time
    return msgspec.json.Decoder(value)


OUTER = 2
"""Levels of an answer that are not a row's: an object, and its lists."""


@cache
def _outline() -> msgspec.json.Decoder[dict[str, object]]:
    """Give what finds the rows in an answer that is an object, and leaves them as they are."""
    return msgspec.json.Decoder(dict[str, str | int | float | bool | list[msgspec.Raw] | dict[str, msgspec.Raw] | None])


def _in_steps(body: bytes, levels: int) -> dict[str, object]:
    """Decode an answer with many rows, so that scrapes have their turn between two steps.

    It takes half as long again as to decode it at once, which for 10,000 rows holds up all else for 20 ms.
    """
    answer, row = _outline().decode(body), _decoder(levels - OUTER).decode
    for name, value in answer.items():
        if type(value) is list:
            rows: list[object] = []
            for start in range(0, len(value), STEP):
                rows += map(row, value[start : start + STEP])
            answer[name] = rows
        elif type(value) is dict:
            answer[name] = {key: row(each) for key, each in value.items()}
    return answer


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

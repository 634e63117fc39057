"""From the bytes of an answer to values."""

import json
from functools import cache
from itertools import chain

import msgspec

from exporter.providers.errors import BadResponse, Broken

CONTAINERS = frozenset((list, dict))


DEEPEST = 32
"""Levels of lists and objects in an answer, where a query does not say; the vendors' have six."""

USUAL = 8
"""Levels up to which an answer is measured while it is decoded. Each level more doubles what describes it."""


def decode(body: bytes, deepest: int = DEEPEST) -> object:
    """Decode JSON, Python's ``NaN`` and ``Infinity`` included: vendors that are written in Python send them.

    Raises:
        Broken: it is none.
        BadResponse: it is nested deeper than admitted.
    """
    try:
        return _decoder(min(deepest, USUAL)).decode(body)
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

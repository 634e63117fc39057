"""From the bytes of an answer to values."""

import json

import msgspec

from exporter.providers.errors import BadResponse


def decode(body: bytes) -> object:
    """Decode JSON, Python's ``NaN`` and ``Infinity`` included: vendors that are written in Python send them.

    Raises:
        BadResponse: it is none.
    """
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        # msgspec is strict, and some 4 times as fast: the other is asked only where it gives up.
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise BadResponse(f"the answer is no JSON but {_kind(body)}") from None


def _kind(body: bytes) -> str:
    if not body.strip():
        return "empty"
    if body.lstrip()[:1] == b"<":
        return "HTML"
    return f"{len(body)} bytes that can't be decoded"

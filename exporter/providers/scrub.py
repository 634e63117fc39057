"""Removing secrets from what is shown: a vendor may echo them, spelled in many ways."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from urllib.parse import quote, quote_plus

import msgspec

from exporter.providers.errors import LONGEST_EXPLANATION

PERCENT = re.compile("%[0-9A-F]{2}")

TELLING = 12
"""Characters from which on a text is no word that data may hold."""


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Give a text as one line that can be shown anywhere, without secrets, and cut where it is too long."""
    spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
    # The longest first: one secret may stand in another.
    for secret in sorted(spelled, key=len, reverse=True):
        text = text.replace(secret, "<secret>")
    # A lone surrogate has no UTF-8, and a terminal obeys control characters.
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= LONGEST_EXPLANATION else line[: LONGEST_EXPLANATION - 1] + "…"


def echoes(body: bytes, secrets: Iterable[str]) -> bool:
    """Whether an answer repeats a secret, in a label for instance; shorter ones may stand there by chance."""
    long = {spelling for secret in secrets if len(secret) >= TELLING for spelling in (secret, json.dumps(secret)[1:-1])}
    return any(spelling.encode() in body for spelling in long)


def hidden(body: bytes) -> bool:
    """Whether an answer may spell a text in another way than UTF-8 does: escaped, or with two bytes a character."""
    return b"\\" in body or b"\0" in body


def unescaped(body: bytes) -> bytes:
    """Give JSON with as few escapes as can be; empty where it is none."""
    with suppress(ValueError, RecursionError):
        return msgspec.json.encode(msgspec.json.decode(body))
    # What msgspec does not take is seldom: NaN, half a character, two bytes for each.
    with suppress(ValueError, RecursionError):
        return json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
    return b""


def _spellings(secret: str) -> tuple[str, ...]:
    """Give a secret as it is, as a form or a URL has it, as JSON, HTML and Base64 do."""
    quoted = (quote(secret), quote(secret, safe=""), quote_plus(secret))
    lower = (PERCENT.sub(lambda found: found[0].lower(), each) for each in quoted)
    coded = b64encode(secret.encode()).decode()
    return secret, *quoted, *lower, json.dumps(secret)[1:-1], escape(secret), escape(secret, quote=False), coded

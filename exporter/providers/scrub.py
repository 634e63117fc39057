"""Removing secrets from what is shown: a vendor may echo them, spelled in many ways."""

import codecs
import json
import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from html import escape
from urllib.parse import quote, quote_plus

from exporter.providers.decode import PIECE
from exporter.providers.errors import LONGEST_EXPLANATION

PERCENT = re.compile("%[0-9A-F]{2}")

TELLING = 12
"""Characters from which on a text is no word that data may hold."""

LONGEST_SPELLING = 6
"""Bytes to which JSON may make one of UTF-8: a backslash, a letter and four digits."""

ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*+|.)", re.DOTALL)
"""One, or several of those by number, for a character may take two."""

LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Give a text as one line that can be shown anywhere, without secrets, and cut where it is too long."""
    spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
    # The longest first: one secret may stand in another.
    for secret in sorted(spelled, key=len, reverse=True):
        text = text.replace(secret, "<secret>")
    # A lone surrogate has no UTF-8, and a terminal obeys control characters.
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= LONGEST_EXPLANATION else line[: LONGEST_EXPLANATION - 1] + "…"


def telling(secrets: Iterable[str]) -> frozenset[bytes]:
    """Give those secrets that an answer is searched for; shorter ones may stand there by chance."""
    return frozenset(secret.encode(errors="surrogatepass") for secret in secrets if len(secret) >= TELLING)


def echoes(body: bytes, secrets: Collection[bytes]) -> bool:
    """Whether an answer repeats a secret, in a label for instance, however JSON spells it.

    It is read in pieces: each costs a fraction of a millisecond, in which no other thread has its turn.
    """
    most = LONGEST_SPELLING * max(map(len, secrets), default=0)
    return any(secret in piece for piece in _pieces(_utf8(body), most) for secret in secrets)


def _utf8(body: bytes) -> bytes:
    """Give an answer in UTF-8; JSON that has two or four bytes for each character is read, too."""
    coding = json.detect_encoding(body)
    if coding.startswith("utf-8"):
        return body
    pieces = (body[start : start + PIECE] for start in range(0, len(body), PIECE))
    return b"".join(text.encode() for text in codecs.iterdecode(pieces, coding, "replace"))


def _pieces(body: bytes, most: int) -> Iterator[bytes]:
    """Give a text piece by piece, and without escapes too; what has ``most`` bytes is whole in one of them."""
    start, step = 0, max(PIECE, most)
    while True:
        piece = body[start : start + step + most]
        yield piece
        if b"\\" in piece:
            yield _unescaped(piece)
        if start + len(piece) >= len(body):
            return
        # No piece begins between two backslashes that belong together, or what follows would be read as an escape.
        start += step - _backslashes(piece[:step]) % 2


def _backslashes(text: bytes) -> int:
    """Count those at the end."""
    return len(text) - len(text.rstrip(b"\\"))


def _unescaped(text: bytes) -> bytes:
    meant = cache(_meant)
    return ESCAPE.sub(lambda found: meant(found[0]), text)


def _meant(written: bytes) -> bytes:
    """Give what an escape stands for, halves of characters included."""
    if len(written) == 2:  # noqa: PLR2004 - the backslash and a letter, or a sign that stands for itself
        return LETTERS.get(written[1:], written[1:])
    units = bytes.fromhex(written.replace(rb"\u", b"").decode())
    return units.decode("utf-16-be", "surrogatepass").encode(errors="surrogatepass")


def _spellings(secret: str) -> tuple[str, ...]:
    """Give a secret as it is, as a form or a URL has it, as JSON, HTML and Base64 do."""
    quoted = (quote(secret), quote(secret, safe=""), quote_plus(secret))
    lower = (PERCENT.sub(lambda found: found[0].lower(), each) for each in quoted)
    coded = b64encode(secret.encode()).decode()
    return secret, *quoted, *lower, json.dumps(secret)[1:-1], escape(secret), escape(secret, quote=False), coded

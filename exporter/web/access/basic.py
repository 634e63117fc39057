"""Basic authentication: who is let in, and what the others are told."""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Mapping
from importlib import import_module

from starlette.types import ASGIApp, Receive, Scope, Send

LONGEST = 72
"""Bytes of a password that bcrypt looks at; htpasswd and the toolkit cut off the rest, too."""

REFUSAL = b"Unauthorized\n"
CHALLENGE = b'Basic realm="video-analytics-exporter", charset="UTF-8"'


class Users:
    """Names and the bcrypt hashes of their passwords; there is one at least."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {name.encode(): hashed.encode() for name, hashed in hashes.items()}
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, bytes] = {}
        self._one_at_a_time = asyncio.Lock()
        self._bcrypt = import_module("bcrypt")  # most have no users, and no need of its memory

    async def admit(self, authorization: bytes) -> bool:
        """Whether a header ``Authorization`` has a user's name and password.

        bcrypt is slow on purpose, a scrape should not be: of each user's last good credentials a keyed hash is kept.
        """
        credentials = _credentials(authorization)
        if credentials is None:
            return False
        user, password = credentials
        mark = hmac.digest(self._key, user + b":" + password, "sha256")
        if self._knows(user, mark):
            return True
        async with self._one_at_a_time:
            # Another request may have brought the same while this one waited.
            good = self._knows(user, mark) or await asyncio.to_thread(self._check, user, password)
        if good:
            self._known[user] = mark
        return good

    def _knows(self, user: bytes, mark: bytes) -> bool:
        return hmac.compare_digest(self._known.get(user, b""), mark)

    def _check(self, user: bytes, password: bytes) -> bool:
        # A name that nobody has must take as long as one that somebody has.
        hashed = self._hashes.get(user) or next(iter(self._hashes.values()))
        good: bool = self._bcrypt.checkpw(password, hashed)
        return good and user in self._hashes


def protect(app: ASGIApp, users: Callable[[], Users | None]) -> ASGIApp:
    """Let only users reach an application, whatever the path; everybody, while there are no users."""

    async def protected(scope: Scope, receive: Receive, send: Send) -> None:
        who = users() if scope["type"] != "lifespan" else None
        if who is None or await who.admit(_authorization(scope)):
            await app(scope, receive, send)
        elif scope["type"] == "http":
            await _refuse(send)
        else:
            await send({"type": "websocket.close"})

    return protected


def _authorization(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")


def _credentials(authorization: bytes) -> tuple[bytes, bytes] | None:
    """Give the user and what bcrypt looks at of the password (RFC 7617)."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password[:LONGEST]) if colon else None


async def _refuse(send: Send) -> None:
    headers = [
        (b"www-authenticate", CHALLENGE),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(REFUSAL)).encode()),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": REFUSAL})

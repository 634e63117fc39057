"""Reading what a token endpoint answers (RFC 6749, sections 5.1 and 5.2)."""

import math
from dataclasses import dataclass, field

from exporter.providers.decode import decode_short
from exporter.providers.errors import AuthError, BadRequest, BadResponse, RateLimited, from_status

EARLY = 60.0
"""Seconds before its end at which a token is replaced, or a tenth of its life where that is shorter."""

USUAL_LIFE = 3600.0
"""Seconds that a token is taken to live when the answer does not say."""

LONGEST_LIFE = 10 * 365 * 86_400.0
"""Seconds; some servers say the largest number that they know, which is no date any more."""


class TooMany(AuthError):
    """429: a log-in that is refused as by any 4xx, but not for good."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and what renews it; times are seconds of the clock that it was read by."""

    access: str = field(default="", repr=False)
    life: float = 0.0
    renew_at: float = 0.0
    refresh: str = field(default="", repr=False)
    refresh_until: float = 0.0

    @property
    def expiry(self) -> float:
        """When the access token ends."""
        return self.renew_at + _early(self.life)


def read(status: int, body: bytes, now: float) -> Token:
    """Take the tokens from an answer.

    Raises:
        VendorError: there are none: `auth` for a refused log-in, which is any 4xx.
    """
    kind = from_status(status)
    if kind:
        message = f"the log-in was answered with HTTP {status}{_explanation(body)}"
        raise (TooMany if kind is RateLimited else AuthError if refused(status) else kind)(message)
    try:
        answer = decode_short(body)
    except BadResponse as error:
        raise error.saying(f"the log-in: {error}") from None
    access = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(access, str) or not access or not sendable(access):
        raise BadResponse("the log-in brought no `access_token`")
    life, refresh, refresh_life = (answer.get(key) for key in ("expires_in", "refresh_token", "refresh_expires_in"))
    return Token(
        access,
        _seconds(life),
        now + _seconds(life) - _early(life),
        refresh if isinstance(refresh, str) and sendable(refresh) else "",
        now + _seconds(refresh_life) - _early(refresh_life),
    )


def refused(status: int) -> bool:
    """Whether the token endpoint refused: any 4xx."""
    kind = from_status(status)
    return kind is not None and issubclass(kind, (AuthError, BadRequest, RateLimited))


def sendable(text: str) -> bool:
    """Whether a text can stand in a header, as any token can."""
    return text.isascii() and text.isprintable()


def _seconds(life: object) -> float:
    if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life < math.inf:
        return USUAL_LIFE
    return float(min(life, LONGEST_LIFE))


def _early(life: object) -> float:
    return min(EARLY, _seconds(life) / 10)


def _explanation(body: bytes) -> str:
    """Give the error that an answer names, after a colon."""
    try:
        answer = decode_short(body)
    except BadResponse:
        return ""
    texts = [answer.get(key) for key in ("error", "error_description", "detail")] if isinstance(answer, dict) else []
    found = ": ".join(text for text in texts if isinstance(text, str) and text)
    return f": {found}" if found else ""

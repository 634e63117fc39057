"""What an answer says of when the next request may come: ``Retry-After`` and IBM's ``X-RateLimit-*``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from exporter.providers.errors import STATUS_SERVER, STATUS_TOO_MANY

LONGEST = 86_400.0
"""Seconds: no quota is of more than a day, so that a longer pause is a mistake."""

MISTAKEN = 3600.0
"""Seconds that are waited instead: a header that is wrong must not silence a source until somebody looks."""


@dataclass(frozen=True, slots=True)
class Advice:
    """For how many seconds the vendor wants no request, and how many it still admits; ``None`` where it is silent."""

    wait: float | None = None
    remaining: float | None = None


def advice(status: int, headers: Mapping[str, str], now: float) -> Advice:
    """Read what an answer advises.

    Points in time are compared with the vendor's own ``Date`` where it sends one: this machine's clock may be wrong.

    Args:
        status: of the answer; a success is no reason to wait, unless no request remains.
        headers: of the answer, names in any case.
        now: Unix seconds.
    """
    remaining = _number(headers.get("x-ratelimit-remaining", ""))
    failed = status == STATUS_TOO_MANY or status >= STATUS_SERVER
    if not failed and remaining != 0:
        return Advice(None, remaining)
    now, waits = _moment(headers.get("date", "")) or now, []
    if failed:
        after = headers.get("retry-after", "")
        moment = _moment(after)
        waits.append(_number(after) if moment is None else moment - now)
    if status == STATUS_TOO_MANY or remaining == 0:
        reset = _number(headers.get("x-ratelimit-reset", ""))
        waits.append(None if reset is None else reset - now)
    # Of two pieces of advice the longer is on the safe side; a moment that is past advises nothing.
    wait = max((each for each in waits if each is not None and each > 0), default=None)
    return Advice(MISTAKEN if wait is not None and wait > LONGEST else wait, remaining)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _moment(text: str) -> float | None:
    """Read an HTTP date (RFC 9110, section 5.6.7): always UTC, though its oldest form does not say so."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None

"""How a source's client stands with the vendor, for people to look at."""

from dataclasses import dataclass
from typing import Literal

Login = Literal["none", "ok", "expired", "refused", "failed"]
"""No log-in yet; a good one; one whose token has run out; a refused one; one that did not come through."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The log-in's state, when its token expires, the requests that remain, and a pause; times in Unix seconds."""

    login: Login = "none"
    token_expiry: float | None = None
    remaining: float | None = None
    paused_until: float | None = None

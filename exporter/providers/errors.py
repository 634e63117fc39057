"""What can go wrong with a vendor, split by what an operator does about it.

::

    VendorError
    ├── AuthError       auth           check the key, the password, the account
    ├── RateLimited     rate_limited   poll less often, or raise the limit
    ├── TimedOut        timeout        raise the time-out, or ask for less
    │   └── OutOfTime   timeout        the tick's time was up before that of the request
    ├── NetworkError    network        check the route, the name, the certificate
    ├── ServerError     server_error   wait; tell the vendor
    ├── BadRequest      bad_request    change the query
    └── BadResponse     bad_response   not what the API promises; report it
        └── Broken      bad_response   the same, and perhaps only this time

The second column is the contract's ``reason``. A message says what happened and never holds a secret.
"""

from typing import ClassVar, Self

LONGEST_EXPLANATION = 300


class VendorError(Exception):
    """A request to a vendor brought no answer that can be used; ``wait`` is what the vendor advises, in seconds."""

    reason: ClassVar[str]
    passing: ClassVar[bool] = False
    """Whether the same request may well have an answer soon."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait

    def saying(self, text: str) -> Self:
        """Give the same error in other words."""
        return type(self)(text, self.wait)


class AuthError(VendorError):
    """401 or 403, or the token endpoint refused the log-in."""

    reason = "auth"


class RateLimited(VendorError):
    """429: too many requests."""

    reason = "rate_limited"
    passing = True


class TimedOut(VendorError):
    """No whole answer within the query's time-out."""

    reason = "timeout"
    passing = True


class OutOfTime(TimedOut):
    """No whole answer before the next tick."""


class NetworkError(VendorError):
    """No connection, or one that broke; TLS failures too."""

    reason = "network"
    passing = True


class ServerError(VendorError):
    """5xx, the token endpoint's too."""

    reason = "server_error"
    passing = True


class BadRequest(VendorError):
    """Any other 4xx, 404 too: the vendor does not take this query."""

    reason = "bad_request"


class BadResponse(VendorError):
    """An answer that is not what the API promises: no JSON, another shape, too large, a redirect."""

    reason = "bad_response"


class Broken(BadResponse):
    """An answer that did not come through: it can't be decoded at all."""

    passing = True


STATUS_FORBIDDEN = (401, 403)
STATUS_TOO_MANY = 429
STATUS_SERVER = 500
STATUS_CLIENT = 400
STATUS_OK = range(200, 300)


def from_status(status: int) -> type[VendorError] | None:
    """Give the error that an HTTP status stands for, ``None`` for 2xx."""
    if status in STATUS_OK:
        return None
    if status in STATUS_FORBIDDEN:
        return AuthError
    if status == STATUS_TOO_MANY:
        return RateLimited
    if status >= STATUS_SERVER:
        return ServerError
    # A redirect is never followed: it could carry the key to another host.
    return BadRequest if status >= STATUS_CLIENT else BadResponse

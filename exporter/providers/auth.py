"""Logging in, as ``httpx.Auth`` flows. Each logs in once for all that wait, and repeats a request once after a 401."""

import asyncio
from abc import abstractmethod
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import httpx

from exporter.providers.base import ApiKey, ClientCredentials, Credentials, Secret
from exporter.providers.decode import decode
from exporter.providers.errors import (
    AuthError,
    BadRequest,
    BadResponse,
    RateLimited,
    VendorError,
    from_status,
)

UNAUTHORIZED = 401
EARLY = 60.0
"""Seconds before its end at which a token is replaced, or a tenth of its life where that is shorter."""

USUAL_LIFE = 3600.0
"""Seconds that a token is taken to live when the answer does not say."""

PUNCTUAL = 0.5
"""Seconds by which a tick may come early after the one before, a tenth of short intervals."""

Flow = AsyncGenerator[httpx.Request, httpx.Response]


class SourceAuth(httpx.Auth):
    """The base of the flows: what a source logs in with, and what must never be shown."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """The secrets now in memory, to be removed from whatever is shown."""

    @abstractmethod
    def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Give the requests to send, one after the other; the last one's response is the answer."""


def read(secret: Secret, what: str) -> str:
    """Read a secret that goes into a header.

    Raises:
        AuthError: its file can't be read, or it can't be sent.
    """
    try:
        text = secret.read()
    except OSError as error:
        raise AuthError(f"the {what} file {secret.file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AuthError(f"the {what} file {secret.file} is no text") from None
    if not text:
        raise AuthError(f"the {what} is empty")
    return text


def sendable(text: str) -> bool:
    """Whether a text can stand in a header."""
    return text.isascii() and text.isprintable()


class KeyAuth(SourceAuth):
    """A key in a header. One from a file is read again after a 401."""

    def __init__(self, credentials: ApiKey) -> None:
        self._header = credentials.header
        self._secret = credentials.key
        self._key = ""
        self._key_before = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key, and the one before: an answer to it may still be on its way."""
        return tuple(text for text in (self._key, self._key_before) if text)

    async def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Send the request with the key, and once more with the file's new one."""
        request.headers[self._header] = self._key or self._read()
        response = yield request
        if response.status_code == UNAUTHORIZED and self._secret.file:
            request.headers[self._header] = self._read()
            yield request

    def _read(self) -> str:
        key = read(self._secret, "API key")
        if not sendable(key):
            raise AuthError("the API key has characters that no HTTP header can carry")
        if key != self._key:
            self._key, self._key_before = key, self._key
        return key


@dataclass(frozen=True, slots=True)
class _Failure:
    at: float
    error: VendorError = field(repr=False)  # it may quote what the token endpoint echoed

    def again(self) -> VendorError:
        """Give the error for another request that it concerns too."""
        return type(self.error)(str(self.error))


class TokenAuth(SourceAuth):
    """OAuth2 client credentials (RFC 6749, section 4.4): a token, renewed before it expires.

    ``clock`` gives monotonic seconds; ``logged_in`` is told for how many seconds a new token is good. A request says in
    its extension ``interval`` for how many seconds a refused log-in rests.
    """

    def __init__(
        self, credentials: ClientCredentials, clock: Callable[[], float], logged_in: Callable[[float], None]
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._logged_in = logged_in
        self._lock = asyncio.Lock()
        self._secret = ""
        self._token = ""
        self._token_before = ""
        self._renew_at = 0.0
        self._logins = 0
        self._failure: _Failure | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The client secret, as itself and as Basic authentication writes it, the token and the one before."""
        written = basic(self._credentials.client_id, self._secret).removeprefix("Basic ") if self._secret else ""
        return tuple(text for text in (written, self._secret, self._token, self._token_before) if text)

    async def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Log in if need be, send the request, and once more with a new token if the vendor refuses this one."""
        rejected = ""
        for last in (False, True):
            if self._stale(rejected):
                logins = self._logins
                async with self._lock:
                    if logins == self._logins:
                        self._rest(float(request.extensions["interval"]))
                        began = self._clock()
                        try:
                            response = yield self._login()
                            self._take(response)
                        except VendorError as error:
                            self._token, self._failure = "", _Failure(began, error)
                            self._logins += 1
                            raise
                        self._logins += 1  # not if it was cancelled: then the next one that waits logs in
                    # Whoever held the lock has logged in, or failed to, for this request too.
                    elif self._failure:
                        raise self._failure.again()
            token = self._token
            request.headers["Authorization"] = f"{self._credentials.scheme} {token}".strip()
            response = yield request
            if last or response.status_code != UNAUTHORIZED:
                return
            rejected = token

    def _stale(self, rejected: str) -> bool:
        return not self._token or self._token == rejected or self._clock() >= self._renew_at

    def _rest(self, interval: float) -> None:
        """Let a refused log-in rest: asking again at once with the same secret only locks accounts."""
        failure = self._failure
        # Polls start on a grid, but not to the millisecond.
        rest = interval - min(PUNCTUAL, interval / 10)
        if failure and isinstance(failure.error, AuthError) and self._clock() - failure.at < rest:
            raise failure.again()

    def _login(self) -> httpx.Request:
        asked = self._credentials
        self._secret = read(asked.secret, "client secret")
        form = {"grant_type": "client_credentials", "client_id": asked.client_id, **dict(asked.form)}
        request = httpx.Request("POST", asked.token_url, data=form, extensions={"endpoint": "token"})
        request.headers["Authorization"] = basic(asked.client_id, self._secret)
        return request

    def _take(self, response: httpx.Response) -> None:
        """Take the token from an answer of the token endpoint.

        Raises:
            VendorError: there is none.
        """
        kind = from_status(response.status_code)
        if kind:
            refused = AuthError if issubclass(kind, (BadRequest, RateLimited)) else kind
            raise refused(f"the log-in was answered with HTTP {response.status_code}{_explanation(response.content)}")
        try:
            answer = decode(response.content)
        except BadResponse as error:
            raise BadResponse(f"the log-in: {error}") from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(token, str) or not token or not sendable(token):
            raise BadResponse("the log-in brought no `access_token`")
        life = answer.get("expires_in")
        life = float(life) if isinstance(life, int | float) and life > 0 else USUAL_LIFE
        self._token, self._token_before, self._failure = token, self._token, None
        self._renew_at = self._clock() + life - min(EARLY, life / 10)
        self._logged_in(life)


def basic(user: str, password: str) -> str:
    """Give the value of a header for Basic authentication (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _explanation(body: bytes) -> str:
    """Give the error that RFC 6749 section 5.2 puts into an answer, after a colon."""
    try:
        answer = decode(body)
    except BadResponse:
        return ""
    texts = [answer.get(key) for key in ("error", "error_description")] if isinstance(answer, dict) else []
    found = ": ".join(text for text in texts if isinstance(text, str) and text)
    return f": {found}" if found else ""


def flow(credentials: Credentials, clock: Callable[[], float], logged_in: Callable[[float], None]) -> SourceAuth:
    """Give the flow for a vendor's credentials."""
    if isinstance(credentials, ApiKey):
        return KeyAuth(credentials)
    return TokenAuth(credentials, clock, logged_in)

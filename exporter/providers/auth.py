"""Logging in, as ``httpx.Auth`` flows. Each logs in once for all that wait, and repeats a request once after a 401."""

import asyncio
from abc import abstractmethod
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

import httpx

from exporter.providers import token
from exporter.providers.base import ApiKey, ClientCredentials, Credentials, Password, Secret
from exporter.providers.errors import AuthError, VendorError, from_status
from exporter.providers.headers import SENT
from exporter.providers.standing import Login

UNAUTHORIZED = 401

PUNCTUAL = 0.5
"""Seconds by which a tick may come early after the one before, a tenth of short intervals."""

Flow = AsyncGenerator[httpx.Request, httpx.Response]


class SourceAuth(httpx.Auth):
    """The base of the flows: what a source logs in with, and what must never be shown."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """The secrets now in memory, to be removed from whatever is shown."""

    @property
    @abstractmethod
    def state(self) -> Login:
        """How the log-in stands."""

    @property
    def expiry(self) -> float | None:
        """When the access token ends, by the clock; ``None`` where there is none."""
        return None

    @abstractmethod
    def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Give the requests to send, one after the other; the last one's response is the answer."""


def read(secret: Secret, what: str) -> str:
    """Read a secret.

    Raises:
        AuthError: its file can't be read, or holds nothing.
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


class KeyAuth(SourceAuth):
    """A key in a header. One from a file is read again after a 401."""

    def __init__(self, credentials: ApiKey) -> None:
        self._header = credentials.header
        self._secret = credentials.key
        self._key = ""
        self._key_before = ""
        self._status = 0

    @property
    def state(self) -> Login:
        """Whether the last request with the key was refused."""
        if not self._status:
            return "none"
        return "refused" if from_status(self._status) is AuthError else "ok"

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
            response = yield request
        self._status = response.status_code

    def _read(self) -> str:
        key = read(self._secret, "API key")
        if not token.sendable(key):
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
        return self.error.saying(str(self.error))


class TokenAuth(SourceAuth):
    """OAuth2 (RFC 6749, sections 4.3, 4.4 and 6): a token, renewed before it expires.

    With a password, a refresh token renews it while one is good; else it takes a log-in. If that fails for now, the old
    token is used for as long as it is good, and the next poll tries again. ``clock`` gives monotonic seconds;
    ``logged_in`` is told for how many seconds a new token is good. A request says in its extension ``interval`` how far
    polls are apart: for so long a refused log-in rests.
    """

    def __init__(
        self,
        credentials: ClientCredentials | Password,
        clock: Callable[[], float],
        logged_in: Callable[[float], None],
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._logged_in = logged_in
        self._lock = asyncio.Lock()
        self._secret = ""
        self._token = token.Token()
        self._before = token.Token()
        self._renew_at = 0.0
        self._logins = 0
        self._failure: _Failure | None = None

    @property
    def state(self) -> Login:
        """How the last log-in ended, and whether its token is still good."""
        if self._failure:
            return "refused" if isinstance(self._failure.error, AuthError) else "failed"
        if not self._token.access:
            return "none"
        return "ok" if self._clock() < self._token.expiry else "expired"

    @property
    def expiry(self) -> float | None:
        """When the access token ends, by the clock; ``None`` where there is none."""
        return self._token.expiry if self._token.access else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password or client secret, as itself and as Basic authentication writes it, and the last tokens."""
        written = basic(self._credentials.client_id, self._secret).removeprefix("Basic ") if self._secret else ""
        tokens = (text for each in (self._token, self._before) for text in (each.access, each.refresh))
        return tuple(text for text in (written, self._secret, *tokens) if text)

    async def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Log in if need be, send the request, and once more with a new token if the vendor refuses this one."""
        rejected = ""
        for last in (False, True):
            if self._stale(rejected):
                logins = self._logins
                async with self._lock:
                    if logins == self._logins:
                        rest = _rest(float(request.extensions["interval"]))
                        began = self._begin(rest)
                        try:
                            refresh = self._refresh(rejected)
                            response = yield refresh or self._login()
                            if refresh and token.refused(response.status_code):
                                response = yield self._login()
                            self._take(token.read(response.status_code, response.content, self._clock()))
                        except VendorError as error:
                            if not self._kept(error, rejected, began + rest):
                                self._fail(_Failure(began, error))
                                raise
                    # Whoever held the lock has logged in, or failed to, for this request too.
                    elif self._failure:
                        raise self._failure.again()
            access = self._token.access
            request.headers["Authorization"] = f"{self._credentials.scheme} {access}".strip()
            response = yield request
            if last or response.status_code != UNAUTHORIZED:
                return
            rejected = access

    def _stale(self, rejected: str) -> bool:
        return self._token.access in ("", rejected) or self._clock() >= self._renew_at

    def _kept(self, error: VendorError, rejected: str, again: float) -> bool:
        """Say whether the old token does though a new one failed to come; if so, it is asked for ``again`` then."""
        passing = error.passing or isinstance(error, token.TooMany)
        does = passing and self._token.access not in ("", rejected) and self._clock() < self._token.expiry
        if does:
            self._renew_at = min(again, self._token.expiry)
            self._logins += 1
        return does

    def _take(self, new: token.Token) -> None:
        """End a log-in; one that is cancelled does not come here, and the next that waits begins another."""
        self._token, self._before, self._failure = new, self._token, None
        self._renew_at = new.renew_at
        self._logins += 1
        if new.access:
            self._logged_in(new.life)

    def _fail(self, failure: _Failure) -> None:
        self._take(token.Token())
        self._failure = failure

    def _begin(self, rest: float) -> float:
        """Begin a log-in, unless a refused one rests: asking again at once with the same secret only locks accounts."""
        failure, now = self._failure, self._clock()
        if failure and isinstance(failure.error, AuthError) and now - failure.at < rest:
            raise failure.again()
        return now

    def _login(self) -> httpx.Request:
        asked = self._credentials
        if isinstance(asked, Password):
            self._secret = read(asked.secret, "password")
            own = {"grant_type": "password", "username": asked.username, "password": self._secret}
            return self._token_request({**own, **dict(asked.form)})
        self._secret = read(asked.secret, "client secret")
        request = self._token_request({"grant_type": "client_credentials", **dict(asked.form)})
        request.headers["Authorization"] = basic(asked.client_id, self._secret)
        return request

    def _refresh(self, rejected: str) -> httpx.Request | None:
        now = self._token
        # A token that is refused early may belong to a session that is gone, and client credentials are as good as a
        # refresh token (RFC 6749, section 4.4.3).
        if rejected or not isinstance(self._credentials, Password):
            return None
        if not now.refresh or self._clock() >= now.refresh_until:
            return None
        return self._token_request({"grant_type": "refresh_token", "refresh_token": now.refresh})

    def _token_request(self, form: Mapping[str, str]) -> httpx.Request:
        asked = self._credentials
        data = {"client_id": asked.client_id, **form}
        return httpx.Request("POST", asked.token_url, data=data, headers=SENT, extensions={"endpoint": "token"})


def _rest(interval: float) -> float:
    """Give how long to wait for the next poll: they start on a grid, but not to the millisecond."""
    return interval - min(PUNCTUAL, interval / 10)


def basic(user: str, password: str) -> str:
    """Give the value of a header for Basic authentication (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def flow(credentials: Credentials, clock: Callable[[], float], logged_in: Callable[[float], None]) -> SourceAuth:
    """Give the flow for a vendor's credentials."""
    if isinstance(credentials, ApiKey):
        return KeyAuth(credentials)
    return TokenAuth(credentials, clock, logged_in)

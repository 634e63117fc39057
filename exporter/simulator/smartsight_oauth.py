"""SmartSight's log-in: the Keycloak realm that gives Bearer tokens, and the endpoint that came before it."""

import uuid
from abc import ABC
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple, TypedDict

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exporter.simulator.vendor import Clock, Endpoint, Refused, Vendor, form, is_form, jwt

TOKEN_PATH = "/realms/mediamelon/protocol/openid-connect/token"  # noqa: S105 - a place, no secret
OLDER_PATH = "/generateOAuthToken"
CLIENT = "smartsight-backend"
# The vendor calls all of these required. Keycloak itself would do without a scope.
REQUIRED = {
    "password": ("username", "password", "client_id", "scope"),
    "refresh_token": ("client_id", "refresh_token"),
}


class Login(TypedDict, total=False):
    """What a user of the OAuth generation has; without a name and a password nobody can log in."""

    username: str | None
    password: str | None
    plan_level: int
    access_life: int
    refresh_life: int


class _Problem(NamedTuple):
    status: int
    error: str
    description: str


class Accounts(Vendor, ABC):
    """A vendor with one user who logs in.

    Tests may change ``username``, ``password``, ``plan_level``, the lives (seconds) of what is issued next, and
    remove from ``tokens`` and ``refresh_tokens`` (token to expiry). ``logins`` and ``refreshes`` count those
    that succeeded. A refresh token stays good until it expires, however often it is used, as is Keycloak's default.
    """

    def __init__(self, routes: Mapping[str, tuple[str, Endpoint]], clock: Clock, login: Login) -> None:
        """Take the other routes, the clock (Unix seconds) and the user."""
        super().__init__({TOKEN_PATH: ("POST", self._token), OLDER_PATH: ("POST", self._older_token), **routes})
        self.username = login.get("username")
        self.password = login.get("password")
        self.plan_level = login.get("plan_level", 2735)
        self.access_life = login.get("access_life", 900)
        self.refresh_life = login.get("refresh_life", 1800)
        self.older_life = 18000
        self.tokens: dict[str, float] = {}
        self.refresh_tokens: dict[str, float] = {}
        self.logins = self.refreshes = 0
        self._issued = 0
        self._clock = clock

    def _knows(self, request: Request) -> bool:
        """Tell whether a request carries a Bearer token that is good now."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and self.tokens.get(token, 0) > self._clock()

    async def _token(self, request: Request) -> Response:
        fields = await form(request) if is_form(request) else {}
        problem = self._refusal(fields)
        if problem:
            return JSONResponse({"error": problem.error, "error_description": problem.description}, problem.status)
        if fields["grant_type"] == "refresh_token":
            self.refreshes += 1
            return JSONResponse(self._granted())
        self.logins += 1
        return JSONResponse(self._granted(), HTTPStatus.CREATED)

    def _refusal(self, fields: Mapping[str, str]) -> _Problem | None:
        """Give what Keycloak has against a token request, in its order; ``None`` for a good one."""
        grant = fields.get("grant_type")
        if grant and grant not in REQUIRED:
            return _Problem(400, "unsupported_grant_type", "Unsupported grant_type")
        missing = [name for name in ("grant_type", *REQUIRED.get(grant or "", ())) if not fields.get(name)]
        if missing:
            return _Problem(400, "invalid_request", f"Missing form parameter: {missing[0]}")
        if fields["client_id"] != CLIENT:
            return _Problem(401, "invalid_client", "Invalid client or Invalid client credentials")
        if grant == "refresh_token":
            alive = self.refresh_tokens.get(fields["refresh_token"], 0) > self._clock()
            return None if alive else _Problem(400, "invalid_grant", "Token is not active")
        if "openid" not in fields["scope"].split():
            return _Problem(400, "invalid_scope", f"Invalid scopes: {fields['scope']}")
        return None if self._is_user(fields) else _Problem(401, "invalid_grant", "Invalid user credentials")

    def _is_user(self, fields: Mapping[str, str]) -> bool:
        user = (self.username, self.password)
        return None not in user and user == (fields.get("username"), fields.get("password"))

    def _granted(self) -> Mapping[str, object]:
        return {
            "access_token": self._issue(self.tokens, "Bearer", self.access_life),
            "expires_in": self.access_life,
            "refresh_expires_in": self.refresh_life,
            "refresh_token": self._issue(self.refresh_tokens, "Refresh", self.refresh_life),
            "token_type": "Bearer",
            "id_token": self._signed("ID", self.access_life),
            "not-before-policy": 0,
            "session_state": str(uuid.uuid5(uuid.NAMESPACE_URL, f"session/{self.logins}")),
            "scope": "openid email profile",
        }

    def _issue(self, store: dict[str, float], kind: str, life: int) -> str:
        token = self._signed(kind, life)
        store[token] = self._clock() + life
        return token

    def _signed(self, kind: str, life: int) -> str:
        self._issued += 1
        now = int(self._clock())
        return jwt({"exp": now + life, "iat": now, "jti": self._issued, "typ": kind, "level": str(self.plan_level)})

    async def _older_token(self, request: Request) -> Response:
        """Answer the log-in before Keycloak: a long token, nothing to refresh it with."""
        fields = await form(request) if is_form(request) else {}
        for name in ("username", "password"):
            if not fields.get(name):
                raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "field required", name)
        if not self._is_user(fields):
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "Incorrect username or password")
        self.logins += 1
        token = self._issue(self.tokens, "Bearer", self.older_life)
        return JSONResponse({"access_token": token, "expires_in": self.older_life, "token_type": "Bearer"})

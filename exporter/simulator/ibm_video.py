"""IBM Video Streaming Analytics as its client sees it: token endpoint and API in one ASGI app."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exporter.simulator import audience, grid
from exporter.simulator.ibm_params import Question, question
from exporter.simulator.vendor import Clock, Endpoint, Refused, Vendor, form, params

Row = dict[str, object]

BASE = "/v1"
DAY = 86400
CALENDAR = ("month", "day", "hour")
TOKEN_FIELDS = frozenset({"grant_type", "client_id", "token_type", "scope", "device_name"})
CONTENT_TYPES = ("live", "recorded")


class IbmVideo(Vendor):
    """The simulated IBM Video Streaming with one OAuth client.

    Tests may change ``client_id`` and ``client_secret``, and remove from ``tokens`` (token to expiry).
    """

    def __init__(self, *, client_id: str, client_secret: str, clock: Clock, expires_in: int = DAY) -> None:
        """Take the client's credentials, the clock (Unix seconds) and for how long a token is good."""
        super().__init__({"/oauth2/token": ("POST", self._token), **self._api()})
        self.client_id = client_id
        self.client_secret = client_secret
        self.expires_in = expires_in
        self.tokens: dict[str, float] = {}
        self.tokens_issued = 0
        self._clock = clock

    def problem(self, error: HTTPException) -> Response:
        """Give the API's error object."""
        source = {"pointer": f"/{error.parameter}"} if isinstance(error, Refused) else {}
        title = HTTPStatus(error.status_code).phrase
        body = {"status": error.status_code, "title": title, "detail": error.detail, "source": source}
        return JSONResponse({"errors": [body]}, error.status_code, error.headers)

    def _api(self) -> Mapping[str, tuple[str, Endpoint]]:
        """Give the routes beneath ``/v1``, all behind the token."""
        series = {f"/{name}/{{dimension}}": self._series for name in audience.MEASURES}
        typed = {f"/{name}/{{content_type}}/{{dimension}}": self._series for name in audience.MEASURES}
        peaks = {"/peak-viewer-numbers": self._peaks, "/peak-viewer-numbers/{content_type}": self._peaks}
        return {BASE + path: ("GET", self._guarded(each)) for path, each in (series | typed | peaks).items()}

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """Wrap an endpoint so that it needs a token (nothing in front of it) and an existing content type."""

        async def guarded(request: Request) -> Response:
            if self.tokens.get(request.headers.get("authorization", ""), 0) <= self._clock():
                raise HTTPException(HTTPStatus.UNAUTHORIZED, "Missing, unknown or expired token")
            if request.path_params.get("content_type", CONTENT_TYPES[0]) not in CONTENT_TYPES:
                raise HTTPException(HTTPStatus.NOT_FOUND, "No such content type")
            return await endpoint(request)

        return guarded

    async def _token(self, request: Request) -> Response:
        params(request, (), HTTPStatus.BAD_REQUEST)
        fields = await form(request)
        error = self._token_error(request, fields)
        if error:
            unsupported = error == "unsupported_grant_type"
            status = HTTPStatus.NOT_IMPLEMENTED if unsupported else HTTPStatus.BAD_REQUEST
            return JSONResponse({"error": error}, status)
        self.tokens_issued += 1
        token = self._jwt()
        self.tokens[token] = self._clock() + self.expires_in
        answer = {
            "access_token": token,
            "refresh_token": f"refresh-{self.tokens_issued}",
            "token_type": "jwt",
        }
        return JSONResponse(answer | {"expires_in": self.expires_in})

    def _token_error(self, request: Request, fields: Mapping[str, str]) -> str | None:
        """Give the OAuth error of a token request, ``None`` for a good one."""
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        if not is_form or not {"grant_type", "client_id"} <= fields.keys() <= TOKEN_FIELDS:
            return "invalid_request"
        if fields["grant_type"] != "client_credentials":
            return "unsupported_grant_type"
        if fields.get("token_type") != "jwt":
            return "invalid_request"
        good = fields["client_id"] == self.client_id and request.headers.get("authorization") == f"Basic {basic}"
        return None if good else "invalid_client"

    def _jwt(self) -> str:
        claims = {"sub": self.client_id, "iat": int(self._clock()), "jti": self.tokens_issued}
        parts = (json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims, "signature"))
        return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)

    async def _series(self, request: Request) -> Response:
        dimension = request.path_params["dimension"]
        if dimension not in {"summary", *CALENDAR, *audience.BREAKDOWNS}:
            raise HTTPException(HTTPStatus.NOT_FOUND, "No such dimension")
        asked = question(request)
        path = request.url.path.removeprefix(BASE)
        measure = audience.MEASURES[path.split("/")[1]]
        rows = [
            {"dimension_type": dimension, "point": point, "value": measure(count, minutes)}
            for point, count, minutes in _counted(asked, dimension, self._clock())
        ]
        return JSONResponse(_page(path, asked, "Series", rows))

    async def _peaks(self, request: Request) -> Response:
        asked = question(request, granular=True)
        rows = list(_peak_rows(asked, self._clock()))
        return JSONResponse(_page(request.url.path.removeprefix(BASE), asked, "PeakSeries", rows))


def _counted(asked: Question, dimension: str, now: float) -> Iterator[tuple[object, int, int]]:
    """Give a point, its views and the minutes they were counted in, for each row of a series."""
    end = min(asked.end, int(now))  # nothing has happened yet after now
    step = audience.step(asked.start, end)
    if dimension in CALENDAR:
        for bucket in grid.buckets(asked.start, end, dimension):
            count = sum(audience.views(each, bucket.start, bucket.end, step) for each in asked.contents)
            yield _time(bucket.label), count, len(grid.minutes(bucket.start, bucket.end))
        return
    totals = [audience.views(each, asked.start, end, step) for each in asked.contents]
    minutes = len(grid.minutes(asked.start, end))
    if dimension == "summary":
        yield "summary", sum(totals), minutes
        return
    for point, count in audience.broken_down(totals, dimension).items():
        yield list(point) if isinstance(point, tuple) else point, count, minutes


def _peak_rows(asked: Question, now: float) -> Iterator[Row]:
    """Give a row for each bucket and content; the id is a number in one row and a string in the next."""
    end = min(asked.end, int(now))
    step = audience.step(asked.start, end) if asked.granularity != "minute" else 1
    for bucket in grid.buckets(asked.start, end, asked.granularity):
        for number, content_id in enumerate(asked.contents):
            yield {
                "content_type": audience.CONTENTS[content_id].kind,
                "content_id": str(content_id) if number % 2 else content_id,
                "time": _time(bucket.label),
                "value": audience.peak(content_id, bucket.start, bucket.end, step),
            }


def _page(path: str, asked: Question, kind: str, rows: list[Row]) -> dict[str, object]:
    """Give one page; its links name the page and the limit only, as in the vendor's examples."""
    first = (asked.page - 1) * asked.limit
    data = [{"type": kind, "attributes": row} for row in rows[first : first + asked.limit]]
    pages = -(-len(rows) // asked.limit)
    if pages <= 1:
        return {"data": data, "pagination": {}}

    def link(page: int) -> dict[str, str] | None:
        return {"href": f"{path}?_page={page}&_limit={asked.limit}"} if 1 <= page <= pages else None

    numbers = {"self": asked.page, "first": 1, "prev": asked.page - 1, "next": asked.page + 1, "last": pages}
    links = {name: link(page) for name, page in numbers.items()}
    return {"data": data, "pagination": {"count": len(rows), **links}}


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()

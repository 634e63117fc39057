"""IBM Video Streaming Analytics as its client sees it: token endpoint and API in one ASGI app."""

import base64
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exporter.simulator import audience, grid, ibm_views
from exporter.simulator.ibm_page import Json, Row, page, time
from exporter.simulator.ibm_params import Accepts, Question, question
from exporter.simulator.vendor import Clock, Endpoint, Refused, Vendor, form, is_form, jwt, params

BASE = "/v1"
DAY = 86400
CALENDAR = ("month", "day", "hour")
TOKEN_FIELDS = frozenset({"grant_type", "client_id", "token_type", "scope", "device_name"})
CONTENT_TYPES = ("live", "recorded")

PLAIN = Accepts()
PEAKS = Accepts(granularity=True)
# The parameter's own table calls it required and gives it a default; only the peaks insist here.
SECONDS = Accepts(granularity=True, granularity_default="month")
SECONDS_OF_CHANNEL = Accepts(granularity=True, granularity_default="month", channel=True)
VIEWS = Accepts(flags=("list_unfinished_segments", "inclusive_range"))
VIEWS_OF_CHANNEL = Accepts(flags=("list_unfinished_segments", "inclusive_range"), channel=True)
VIEWERS = Accepts(flags=("list_unfinished_segments",), search=True)
SUMMARY = Accepts(single=True)


class IbmVideo(Vendor):
    """The simulated IBM Video Streaming with one OAuth client.

    Tests may change ``client_id`` and ``client_secret``, and remove from ``tokens`` (token to expiry).
    ``spanning``: are segments listed that began before the period and end after it? The document's three
    criteria do not name them, and do not say that they are left out.
    """

    def __init__(self, *, client_id: str, client_secret: str, clock: Clock, expires_in: int = DAY) -> None:
        """Take the client's credentials, the clock (Unix seconds) and for how long a token is good."""
        super().__init__({"/oauth2/token": ("POST", self._token), **self._api()})
        self.client_id = client_id
        self.client_secret = client_secret
        self.expires_in = expires_in
        self.tokens: dict[str, float] = {}
        self.tokens_issued = 0
        self.spanning = True
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
        raw = {"peak-viewer-numbers": self._peaks, "viewer-seconds": self._seconds}
        raw |= {"views": self._views, "viewers": self._viewers}
        untyped = {f"/{name}": each for name, each in raw.items()}
        of_type = {f"/{name}/{{content_type}}": each for name, each in raw.items()}
        single = {
            "/peak-viewer-numbers/{content_type}/summary": self._peak_summary,
            "/viewer-seconds/{content_type}/summary": self._seconds_summary,
            "/viewer-seconds/recorded/channel": self._channel_seconds,
            "/views/recorded/channel": self._channel_views,
        }
        everything = series | typed | untyped | of_type | single
        return {BASE + path: ("GET", self._guarded(each)) for path, each in everything.items()}

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
        if not is_form(request) or not {"grant_type", "client_id"} <= fields.keys() <= TOKEN_FIELDS:
            return "invalid_request"
        if fields["grant_type"] != "client_credentials":
            return "unsupported_grant_type"
        if fields.get("token_type") != "jwt":
            return "invalid_request"
        good = fields["client_id"] == self.client_id and request.headers.get("authorization") == f"Basic {basic}"
        return None if good else "invalid_client"

    def _jwt(self) -> str:
        claims = {"sub": self.client_id, "iat": int(self._clock()), "jti": self.tokens_issued}
        return jwt(claims)

    async def _series(self, request: Request) -> Response:
        dimension = request.path_params["dimension"]
        if dimension not in {"summary", *CALENDAR, *audience.BREAKDOWNS}:
            raise HTTPException(HTTPStatus.NOT_FOUND, "No such dimension")
        asked = question(request, PLAIN)
        measure = audience.MEASURES[request.url.path.removeprefix(BASE).split("/")[1]]
        rows: list[Row] = [
            {"dimension_type": dimension, "point": point, "value": measure(count, minutes)}
            for point, count, minutes in _counted(asked, dimension, self._clock())
        ]
        return _sent(request, asked, "Series", rows)

    async def _peaks(self, request: Request) -> Response:
        asked = question(request, PEAKS)
        return _sent(request, asked, "PeakSeries", list(_peak_rows(asked, self._clock())))

    async def _peak_summary(self, request: Request) -> Response:
        asked = question(request, SUMMARY)
        return _sent(request, asked, "PeakSummary", list(_peak_summary(asked, self._clock())))

    async def _seconds(self, request: Request, accepts: Accepts = SECONDS) -> Response:
        asked = question(request, accepts)
        return _sent(request, asked, "ViewerSecondSeries", list(ibm_views.second_rows(asked, self._clock())))

    async def _channel_seconds(self, request: Request) -> Response:
        return await self._seconds(request, SECONDS_OF_CHANNEL)

    async def _seconds_summary(self, request: Request) -> Response:
        asked = question(request, SUMMARY)
        rows = list(ibm_views.second_summary(asked, self._clock()))
        return _sent(request, asked, "ViewerSecondSummary", rows)

    async def _views(self, request: Request, accepts: Accepts = VIEWS) -> Response:
        asked, now = question(request, accepts), self._clock()
        found = ibm_views.selected(asked, now, spanning=self.spanning)
        path = request.url.path.removeprefix(BASE)
        return Json(page(path, asked, "View", found, lambda segment: ibm_views.view(segment, now)))

    async def _channel_views(self, request: Request) -> Response:
        return await self._views(request, VIEWS_OF_CHANNEL)

    async def _viewers(self, request: Request) -> Response:
        asked, now = question(request, VIEWERS), self._clock()
        segments = ibm_views.selected(asked, now, spanning=self.spanning)
        found = ibm_views.viewers_of(segments, asked.viewer)
        path = request.url.path.removeprefix(BASE)
        return Json(page(path, asked, "Viewer", found, lambda viewer: ibm_views.viewer(viewer, now)))


def _sent(request: Request, asked: Question, kind: str, rows: list[Row]) -> Response:
    return Json(page(request.url.path.removeprefix(BASE), asked, kind, rows, dict))


def _counted(asked: Question, dimension: str, now: float) -> Iterator[tuple[object, int, int]]:
    """Give a point, its views and the minutes they were counted in, for each row of a series."""
    end = min(asked.end, int(now))  # nothing has happened yet after now
    if dimension in CALENDAR:
        for bucket in grid.buckets(asked.start, end, dimension):
            step = audience.step(bucket.start, bucket.end)
            count = sum(audience.views(each, bucket.start, bucket.end, step) for each in asked.contents)
            yield time(bucket.label), count, len(grid.minutes(bucket.start, bucket.end))
        return
    step = audience.step(asked.start, end)
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
    for bucket in grid.buckets(asked.start, end, asked.granularity):
        step = audience.step(bucket.start, bucket.end)
        for number, content_id in enumerate(asked.contents):
            yield {
                "content_type": audience.CONTENTS[content_id].kind,
                "content_id": str(content_id) if number % 2 else content_id,
                "time": time(bucket.label),
                "value": audience.peak(content_id, bucket.start, bucket.end, step),
            }


def _peak_summary(asked: Question, now: float) -> Iterator[Row]:
    """Give the highest peak and its minute, under the names that this endpoint alone has; nothing for no content."""
    end = min(asked.end, int(now))
    minutes = [minute for minute, _ in grid.sampled(asked.start, end, audience.step(asked.start, end))]
    for content_id in asked.contents if minutes else ():
        highest, minute = max((audience.watching(content_id, minute), minute) for minute in minutes)
        yield {
            "content_type": audience.CONTENTS[content_id].kind,
            "media_id": content_id,
            "timestamp": time(60 * minute),
            "value": highest,
        }

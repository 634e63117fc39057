"""IBM Video Streaming Analytics: counted series, peaks, seconds, and what the exporter makes of raw views and viewers.

The API is described in ``ibm-video-analytics.txt`` (version 1.0.3) and the vendor README, which adds the newer
dimensions. Each metric has a path, and a path is for all content, for live or for recorded; so a query may take
several requests, whose rows meet again by their labels.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from exporter import catalog as catalogue
from exporter.model import ROW_ID, ROW_TIME, Fold, Lookup, Metric, Page, Part, Past, Query, Request, Turn
from exporter.providers import ibm_faults as faults_of
from exporter.providers import ibm_past
from exporter.providers.base import Asked, ClientCredentials, Fault, Secret, inside, named, plain_metrics
from exporter.providers.errors import BadResponse
from exporter.providers.shapes import SourceSettings, Strict, Text, Url
from exporter.providers.times import epoch

PAGE = 10_000
"""Rows a page: the most that ``_limit`` takes."""

CONTENT_TYPES = ("live", "recorded")
SERIES = ("total-views", "unique-devices", "authenticated-viewers")
"""Endpoints with a path for each dimension; the others send what they have, to be split here."""

OPTIONS = {
    "granularity": ("peak-viewer-numbers", "viewer-seconds"),
    "list_unfinished_segments": ("views", "viewers"),
    "inclusive_range": ("views",),
    "viewer_identifier": ("viewers",),
    "bucket": (),
}
"""Parameters that only some endpoints take; ``bucket`` is a step of the path. Others go to every endpoint."""


class Auth(Strict):
    """OAuth2 client credentials."""

    client_id: Text = Field(description="Id of the client credentials.")
    client_secret: SecretStr | None = Field(default=None, description="Secret of the client credentials.")
    client_secret_file: Path | None = Field(
        default=None, description="File that holds the secret; read at each log-in."
    )
    token_url: Url = Field(default="https://video.ibm.com/oauth2/token", description="Where they get a token.")
    scope: str | None = Field(default=None, description="Sent along at the log-in, if given.")
    device_name: str | None = Field(default=None, description="Sent along at the log-in, if given.")


class IbmVideoSettings(SourceSettings):
    """A source of type ``ibm_video``."""

    type: Literal["ibm_video"] = Field(description="The vendor.")
    base_url: Url = Field(default="https://analytics-api.video.ibm.com/v1", description="The API with its version.")
    auth: Auth


class IbmVideo:
    """An IBM Video Streaming account."""

    Settings: ClassVar[type[SourceSettings]] = IbmVideoSettings
    catalog: ClassVar[catalogue.Catalog] = catalogue.load("ibm_video")

    def __init__(self, settings: IbmVideoSettings) -> None:
        self.settings = settings

    @property
    def base_url(self) -> str:
        """The API with its version."""
        return self.settings.base_url.rstrip("/")

    @property
    def account(self) -> tuple[str, ...]:
        """The API and the client whose token tells it the account."""
        return self.settings.type, self.base_url, self.settings.auth.client_id

    @property
    def credentials(self) -> ClientCredentials:
        """``token_type=jwt`` has to be in the body, and the API wants the token without ``Bearer``."""
        auth = self.settings.auth
        optional = (("scope", auth.scope), ("device_name", auth.device_name))
        return ClientCredentials(
            token_url=auth.token_url,
            client_id=auth.client_id,
            secret=Secret.of(auth.client_secret, auth.client_secret_file),
            form=(("token_type", "jwt"), *((name, value) for name, value in optional if value)),
        )

    @staticmethod
    def faults(settings: IbmVideoSettings) -> Iterator[Fault]:
        """Check that there is one client secret and no more."""
        auth = settings.auth
        if (auth.client_secret is None) == (auth.client_secret_file is None):
            yield Fault(("auth",), "needs exactly one of `client_secret` and `client_secret_file`")

    @staticmethod
    def query_faults(query: Asked, _: IbmVideoSettings | None) -> Iterator[Fault]:
        """Check that the API has a path for each metric with these dimensions and filters."""
        yield from faults_of.query(query, IbmVideo.catalog)

    @staticmethod
    def endpoint(query: Asked) -> str:
        """The paths' first parts, one for each metric."""
        return ",".join(dict.fromkeys(IbmVideo.catalog.known[field].endpoint for field in query.fields))

    @staticmethod
    def metrics(query: Asked) -> tuple[Metric, ...]:
        """The fields as they are."""
        return plain_metrics(query, IbmVideo.catalog)

    @staticmethod
    def advice(_: Query) -> str:
        """Nothing here is deprecated."""
        return ""

    def parts(self, query: Query) -> tuple[Part, ...]:
        """One request for each endpoint and content type."""
        together: dict[str, list[str]] = {}
        for field in query.fields:
            together.setdefault(self.catalog.known[field].endpoint, []).append(field)
        return tuple(
            _part(query, endpoint, tuple(fields), content_type)
            for endpoint, fields in together.items()
            for content_type in _content_types(query)
        )

    def past(self, query: Query, step: int) -> Past:
        """Many buckets a request where rows have a time, else one period a bucket."""
        return ibm_past.past(query, step, self.parts)

    def request(self, query: Query, turn: Turn) -> Request:
        """Give the request for a page; times carry an offset, for without one they would mean Los Angeles."""
        endpoint = turn.part.endpoint
        params = {
            "date_time_from": datetime.fromtimestamp(turn.window.start, UTC).isoformat(),
            "date_time_to": datetime.fromtimestamp(turn.window.end, UTC).isoformat(),
            "content_id": ",".join(query.filter("content_id")),
            "channel_id": ",".join(query.filter("channel_id")),
            "_page": str(turn.cursor or 1),
            "_limit": str(PAGE),
        }
        if endpoint in OPTIONS["granularity"]:
            params["granularity"] = "minute"
        params.update((name, value) for name, value in query.options if endpoint in OPTIONS.get(name, (endpoint,)))
        return Request(endpoint, turn.part.path, tuple((name, value) for name, value in params.items() if value))

    def parse(self, query: Query, turn: Turn, answer: object) -> Page:
        """Read a page. ``next`` only tells that there is one: its link lacks the query's other parameters."""
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(data, list):
            raise BadResponse("the answer has no list `data`")
        read = READERS.get(turn.part.endpoint, _point)
        rows = [_row(item, query, turn, read) for item in data]
        pagination = answer.get("pagination")
        more = bool(rows) and isinstance(pagination, dict) and bool(pagination.get("next"))
        return Page(inside(rows, turn.window), (turn.cursor or 1) + 1 if more else None, 1 if more else 0)

    def fact(self, lookup: Lookup, _: object) -> str:
        """Nothing has to be looked up here."""
        raise BadResponse(f"{lookup.endpoint}: unknown look-up")

    def explain(self, answer: object) -> str:
        """The documented ``errors``, each with title and detail."""
        errors = answer.get("errors") if isinstance(answer, dict) else None
        found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        return "; ".join(": ".join(str(error[key]) for key in ("title", "detail") if error.get(key)) for error in found)


Attributes = Mapping[str, object]
Reader = Callable[[Attributes, Query, Turn], Mapping[str, object]]
"""From a row's attributes to its dimensions and values."""


def _content_types(query: Query) -> tuple[str, ...]:
    """Give the content types to ask for, one by one; empty for all at once."""
    types = query.filter("content_type")
    if query.filter("channel_id"):
        return ("recorded",)
    if "content_type" in query.dimensions:
        return types or CONTENT_TYPES
    return types if len(types) == 1 else ("",)


def _part(query: Query, endpoint: str, fields: tuple[str, ...], content_type: str) -> Part:
    known = IbmVideo.catalog.known
    bucket = dict(query.options).get("bucket")
    steps = [endpoint, content_type, "channel" if query.filter("channel_id") else ""]
    folds: tuple[tuple[str, Fold], ...] = tuple((field, fold) for field in fields if (fold := known[field].fold))
    if endpoint in SERIES:
        by = [dimension for dimension in query.dimensions if dimension != "content_type"]
        steps.append(bucket or (by[0].replace("_", "-") if by else "summary"))
        folds = tuple((field, "newest") for field in fields) if bucket else ()
    constants = (("content_type", content_type),) if "content_type" in query.dimensions else ()
    return Part(endpoint, "".join(f"/{step}" for step in steps if step), fields, constants, folds)


def _row(item: object, query: Query, turn: Turn, read: Reader) -> object:
    """Flatten one element of ``data``; what is no object is handed on as nothing, to be counted as invalid."""
    attributes = item.get("attributes") if isinstance(item, dict) else None
    if not isinstance(attributes, dict):
        return None
    return {**read(attributes, query, turn), **dict(turn.part.constants)}


def _point(attributes: Attributes, query: Query, turn: Turn) -> Mapping[str, object]:
    """Read a ``Series``: its point is a bucket's time, or the dimension's value, a text or a list of texts."""
    point = attributes.get("point")
    value = {field: attributes.get("value") for field in turn.part.fields}
    if turn.part.folds:
        time = "-".join(map(str, point)) if isinstance(point, list) else point
        return {ROW_TIME: epoch(time, zone=UTC), ROW_ID: named(time), **value}
    if isinstance(point, list) and not any(isinstance(step, list | dict) for step in point):
        point = "/".join(str(step) if step not in (None, "") else query.empty_label for step in point)
    by = next((dimension for dimension in query.dimensions if dimension != "content_type"), "point")
    return {by: point, **value}


def _bucket(attributes: Attributes, _: Query, turn: Turn) -> Mapping[str, object]:
    """Read a ``PeakSeries`` or ``ViewerSecondSeries``: one bucket of one content."""
    content, time = attributes.get("content_id"), attributes.get("time")
    name = named(attributes.get("content_type"), content, time)
    value = {field: attributes.get("value") for field in turn.part.fields}
    return {"content_id": content, ROW_ID: name, ROW_TIME: epoch(time, zone=UTC), **value}


def _view(attributes: Attributes, _: Query, turn: Turn) -> Mapping[str, object]:
    """Read a ``View``: one segment, of which the part inside the window counts as watched."""
    device = attributes.get("device_info")
    families = {
        name: part.get("family")
        for name in ("browser", "os", "device")
        if isinstance(device, dict) and isinstance(part := device.get(name), dict)
    }
    unfinished = attributes.get("finished_at") in (None, "")
    began = epoch(attributes.get("started_at"))
    ended = turn.window.end if unfinished else epoch(attributes.get("finished_at"))
    watched = None
    if began is not None and ended is not None:
        watched = max(min(ended, turn.window.end) - max(began, turn.window.start), 0)
    return {
        **attributes,
        **families,
        ROW_ID: named(attributes.get("view_id")),
        "view_segments": 1,
        "active_view_segments": int(unfinished),
        "view_sessions": attributes.get("view_session_id"),
        "watched_seconds": watched,
    }


def _viewer(attributes: Attributes, _: Query, __: Turn) -> Mapping[str, object]:
    """Read a ``Viewer``: one person, whose name tells only that a row came twice."""
    return {
        ROW_ID: named(attributes.get("viewer_identifier")),
        "viewers": 1,
        "videos_watched": attributes.get("videos_watched"),
    }


READERS: dict[str, Reader] = {
    "peak-viewer-numbers": _bucket,
    "viewer-seconds": _bucket,
    "views": _view,
    "viewers": _viewer,
}
"""How the rows of an endpoint are read; those of the series as points."""

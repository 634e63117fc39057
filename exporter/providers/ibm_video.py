"""IBM Video Streaming Analytics: the counted series and the viewer peaks.

The API is described in ``ibm-video-analytics.txt`` (version 1.0.3) and the vendor README, which adds the newer
dimensions. Each metric has a path of its own, and a path is for all content, for live or for recorded; so a query may
take several requests, whose rows meet again by their labels.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from exporter import catalog as catalogue
from exporter.model import Page, Part, Query, Request, Window
from exporter.providers.base import (
    Asked,
    ClientCredentials,
    Fault,
    Secret,
    SourceSettings,
    Strict,
    Text,
    Url,
    near,
)
from exporter.providers.errors import BadResponse

PAGE = 10_000
"""Rows a page: the most that ``_limit`` takes."""

CONTENT_TYPES = ("live", "recorded")
FILTERS = ("content_type", "content_id")
PEAKS = "peak_viewers"

OWN_PARAMETERS = {
    "date_time_from": "window and delay",
    "date_time_to": "window and delay",
    "content_id": "filters",
    "_page": "max_series",
    "_limit": "max_series",
}
"""Parameters that the exporter sets, and the keys of a query that say them."""

SMARTSIGHT_ONLY = ("endpoint", "having")

Reader = Callable[[Mapping[str, object], Query, str], Mapping[str, object]]
"""From a row's attributes to its dimensions and the metric's value."""


class Auth(Strict):
    """OAuth2 client credentials."""

    client_id: Text
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = Field(
        default=None, description="File that holds the secret; read at each log-in."
    )
    token_url: Url = "https://video.ibm.com/oauth2/token"  # noqa: S105 - a place, no secret
    scope: str | None = None
    device_name: str | None = None


class IbmVideoSettings(SourceSettings):
    """A source of type ``ibm_video``."""

    type: Literal["ibm_video"]
    base_url: Url = "https://analytics-api.video.ibm.com/v1"
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
    def query_faults(query: Asked) -> Iterator[Fault]:
        """Check that the API has a path for each metric with these dimensions and filters."""
        for key in SMARTSIGHT_ONLY:
            if key in query.given:
                yield Fault((key,), "is for sources of type smartsight")
        for name in query.options:
            if name in OWN_PARAMETERS:
                yield Fault(("options", name), f"is set by the exporter; use `{OWN_PARAMETERS[name]}` of the query")
        yield from _filter_faults(query)
        for index, field in enumerate(query.fields):
            for message in _metric_faults(field, query):
                yield Fault(("metrics", index), message)

    @staticmethod
    def endpoint(query: Asked) -> str:
        """The paths' first parts, one for each metric."""
        return ",".join(dict.fromkeys(IbmVideo.catalog.known[field].endpoint for field in query.fields))

    def parts(self, query: Query) -> tuple[Part, ...]:
        """One request for each metric and content type."""
        types = query.filter("content_type")
        split = "content_type" in query.dimensions
        asked = types or CONTENT_TYPES if split else types if len(types) == 1 else ("",)
        return tuple(_part(query, field, content_type, split=split) for field in query.fields for content_type in asked)

    def request(self, query: Query, part: Part, window: Window, cursor: int | None) -> Request:
        """Give the request for page ``cursor``; times carry an offset, for without one they would mean Los Angeles."""
        params = {
            "date_time_from": datetime.fromtimestamp(window.start, UTC).isoformat(),
            "date_time_to": datetime.fromtimestamp(window.end, UTC).isoformat(),
            "content_id": ",".join(query.filter("content_id")),
            "_page": str(cursor or 1),
            "_limit": str(PAGE),
        }
        if part.fields == (PEAKS,):
            params["granularity"] = "minute"
        # Of a query with several metrics, only the buckets of the peaks have a granularity.
        params.update(
            (name, value) for name, value in query.options if name != "granularity" or "granularity" in params
        )
        return Request(part.endpoint, part.path, tuple((name, value) for name, value in params.items() if value))

    def parse(self, query: Query, part: Part, answer: object, cursor: int | None) -> Page:
        """Read a page. ``next`` only tells that there is one: its link lacks the query's other parameters."""
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(data, list):
            raise BadResponse(f"{part.endpoint}: the answer has no list `data`")
        read = _peak if part.fields == (PEAKS,) else _point
        rows = [_row(item, query, part, read) for item in data]
        pagination = answer.get("pagination")
        more = bool(rows) and isinstance(pagination, dict) and bool(pagination.get("next"))
        return Page(rows, (cursor or 1) + 1 if more else None, 1 if more else 0)

    def explain(self, answer: object) -> str:
        """The documented ``errors``, each with title and detail."""
        errors = answer.get("errors") if isinstance(answer, dict) else None
        found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        return "; ".join(": ".join(str(error[key]) for key in ("title", "detail") if error.get(key)) for error in found)


def _part(query: Query, field: str, content_type: str, *, split: bool) -> Part:
    known = IbmVideo.catalog.known[field]
    by = [dimension for dimension in query.dimensions if dimension != "content_type"]
    steps = [known.endpoint, content_type]
    if field != PEAKS:
        steps.append(by[0].replace("_", "-") if by else "summary")
    return Part(
        endpoint=known.endpoint,
        path="".join(f"/{step}" for step in steps if step),
        fields=(field,),
        constants=(("content_type", content_type),) if split else (),
        fold=known.fold,
    )


def _row(item: object, query: Query, part: Part, read: Reader) -> object:
    """Flatten one element of ``data``; what is no object stays as it is, to be counted as invalid."""
    attributes = item.get("attributes") if isinstance(item, dict) else None
    if not isinstance(attributes, dict):
        return None
    return {**dict(part.constants), **read(attributes, query, part.fields[0])}


def _point(attributes: Mapping[str, object], query: Query, field: str) -> Mapping[str, object]:
    """Read a ``Series``: its point is the value of the dimension in the path, a text or a list of texts."""
    point = attributes.get("point")
    if isinstance(point, list) and not any(isinstance(step, list | dict) for step in point):
        point = "/".join(str(step) if step not in (None, "") else query.empty_label for step in point)
    by = next((dimension for dimension in query.dimensions if dimension != "content_type"), "point")
    return {by: point, field: attributes.get("value")}


def _peak(attributes: Mapping[str, object], _: Query, field: str) -> Mapping[str, object]:
    """Read a ``PeakSeries``: one bucket of one content."""
    return {"content_id": attributes.get("content_id"), field: attributes.get("value")}


def _filter_faults(query: Asked) -> Iterator[Fault]:
    for name in query.filters:
        if name not in FILTERS:
            hint = near(name, FILTERS)
            yield Fault(("filters", name), f"the API can't filter by it{hint}; allowed: {', '.join(FILTERS)}")
    types = query.filters.get("content_type", ())
    for value in types:
        if value not in CONTENT_TYPES:
            message = f"`{value}` is no content type{near(value, CONTENT_TYPES)}; allowed: {', '.join(CONTENT_TYPES)}"
            yield Fault(("filters", "content_type"), message)
    for value in query.filters.get("content_id", ()):
        if "," in value:
            yield Fault(("filters", "content_id"), f"`{value}` is several ids; write a list")
    if query.filters.get("content_id") and len(types) != 1 and "content_type" not in query.dimensions:
        yield Fault(("filters", "content_id"), "needs one `content_type` beside it, or the dimension `content_type`")


def _metric_faults(field: str, query: Asked) -> Iterator[str]:
    metrics = IbmVideo.catalog.known
    known = metrics.get(field)
    if known is None:
        yield f"the API has no metric `{field}`{near(field, metrics)}; allowed: {', '.join(metrics)}"
        return
    by = [dimension for dimension in query.dimensions if dimension != "content_type"]
    for dimension in by:
        if dimension not in known.dimensions:
            allowed = ", ".join(("content_type", *known.dimensions))
            yield f"`{field}` can't be split by `{dimension}`{near(dimension, known.dimensions)}; allowed: {allowed}"
    if field != PEAKS and len(by) > 1:
        yield f"`{field}` can be split by one dimension besides `content_type`, not by {' and '.join(by)}"
    if field == PEAKS and "content_id" not in by and len(query.filters.get("content_id", ())) != 1:
        yield f"`{field}` of several contents is not their sum: add the dimension `content_id`, or filter by one id"

"""MediaMelon SmartSight: ``metricquery`` with an API key.

The API is described in ``smartsight-1-overview-x-api-key.txt`` (requests, answers) and, for the traps, in the vendor
README: ``pagecount`` can't be trusted, rows carry fields that nobody asked for, a dimension can be ``""``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from exporter import catalog as catalogue
from exporter.model import Page, Part, Query, Request, Window
from exporter.providers.base import ApiKey, Asked, Fault, Secret, SourceSettings, Strict, Text, Url, near
from exporter.providers.errors import BadResponse

PAGE = 1000
"""Rows a page: the API's own default."""

OWN_PARAMETERS = {
    "period": "window and delay",
    "metrics": "metrics",
    "aggby": "dimensions",
    "filter": "filters",
    "qoefilter": "having",
    "orderby": "order_by",
    "order": "order",
    "limit": "top",
    "offset": "top",
}
"""Parameters that the exporter sets, and the keys of a query that say them."""


class Auth(Strict):
    """How to log in: with an API key."""

    api_key: SecretStr | None = Field(default=None, description="Key for the header X-API-Key.")
    api_key_file: Path | None = Field(default=None, description="File that holds the key; read again after each 401.")


class SmartSightSettings(SourceSettings):
    """A source of type ``smartsight``."""

    type: Literal["smartsight"]
    base_url: Url = "https://smartsight.mediamelon.com"
    customer_id: Text = Field(description="User Icon > Settings > Environments > Env Details in SmartSight.")
    auth: Auth


class SmartSight:
    """A SmartSight account."""

    Settings: ClassVar[type[SourceSettings]] = SmartSightSettings
    catalog: ClassVar[catalogue.Catalog] = catalogue.load("smartsight")

    def __init__(self, settings: SmartSightSettings) -> None:
        self.settings = settings

    @property
    def base_url(self) -> str:
        """The SmartSight host."""
        return self.settings.base_url.rstrip("/")

    @property
    def credentials(self) -> ApiKey:
        """The key and its header."""
        return ApiKey("X-API-Key", Secret.of(self.settings.auth.api_key, self.settings.auth.api_key_file))

    @staticmethod
    def faults(settings: SmartSightSettings) -> Iterator[Fault]:
        """Check that there is one key and no more."""
        auth = settings.auth
        if (auth.api_key is None) == (auth.api_key_file is None):
            yield Fault(("auth",), "needs exactly one of `api_key` and `api_key_file`")

    @staticmethod
    def query_faults(query: Asked) -> Iterator[Fault]:
        """Check what the API refuses, or would read in another way than it is meant."""
        if query.endpoint not in (None, "metricquery"):
            hint = near(query.endpoint or "", ("metricquery",))
            yield Fault(("endpoint",), f"`{query.endpoint}` can't be reached{hint}; allowed: metricquery")
        for name in query.options:
            if name in OWN_PARAMETERS:
                yield Fault(("options", name), f"is set by the exporter; use `{OWN_PARAMETERS[name]}` of the query")
        yield from _concurrency_faults(query)

    @staticmethod
    def endpoint(query: Asked) -> str:
        """The endpoint's name in the contract."""
        return query.endpoint or "metricquery"

    def parts(self, query: Query) -> tuple[Part, ...]:
        """One request (of several pages) answers a query whole."""
        path = f"/mm-apis/{query.endpoint}/{self.settings.customer_id}"
        return (Part(query.endpoint, path, query.fields),)

    def request(self, query: Query, part: Part, window: Window, cursor: int | None) -> Request:
        """Give the request for the rows from offset ``cursor`` on."""
        offset = cursor or 0
        params = {
            "period": f"start={window.start},end={window.end}",
            "metrics": ",".join(part.fields),
            "aggby": ",".join(query.dimensions),
            "filter": "".join(f"[{name}={'|'.join(values)}]" for name, values in query.filters),
            "qoefilter": query.having or "",
            "orderby": query.order_by,
            "order": query.order,
            "limit": str(_limit(query, offset)),
            "offset": str(offset),
        }
        given = tuple((name, value) for name, value in params.items() if value)
        return Request(part.endpoint, part.path, given + query.options)

    def parse(self, query: Query, part: Part, answer: object, cursor: int | None) -> Page:
        """Read a page; ``totalrecords`` tells whether there is another one, or else a full page does."""
        rows = answer.get("response") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(rows, list):
            raise BadResponse(f"{part.endpoint}: the answer has no list `response`")
        offset = cursor or 0
        received = offset + len(rows)
        total = _count(answer.get("totalrecords"))
        if total is None or total < len(rows):
            # Nothing is said, or less than this page alone has: then a full page says that there may be another one.
            total, more = received, len(rows) >= _limit(query, offset)
        else:
            more = bool(rows) and received < total
        if query.top is not None:
            more = more and received < query.top
            rows, total = rows[: query.top - offset], min(total, query.top)
        return Page(rows, received if more else None, max(total - received, 0))

    def explain(self, answer: object) -> str:
        """FastAPI's ``detail``: a sentence, or a list of what is wrong with each parameter."""
        detail = answer.get("detail") if isinstance(answer, dict) else None
        if isinstance(detail, list):
            return "; ".join(_complaint(item) for item in detail)
        return detail if isinstance(detail, str) else ""


def _limit(query: Query, offset: int) -> int:
    return PAGE if query.top is None else min(PAGE, query.top - offset)


def _count(value: object) -> int | None:
    """Read ``totalrecords``, which may come as a numeric string."""
    try:
        return int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None


def _complaint(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    place = item.get("loc")
    where = ".".join(str(step) for step in place if step != "query") if isinstance(place, list) else ""
    return f"{where}: {item.get('msg', '')}" if where else str(item.get("msg", ""))


def _concurrency_faults(query: Asked) -> Iterator[Fault]:
    """``concurrency=1`` counts only what happened inside the period; the API has no such ad metrics and statistics."""
    if query.options.get("concurrency") not in ("1", "true"):
        return
    for index, field in enumerate(query.fields):
        known = SmartSight.catalog.known.get(field)
        kind = "a statistic" if SmartSight.catalog.is_statistic(field) else "an ad metric" if known and known.ad else ""
        if kind:
            yield Fault(("metrics", index), f"`{field}` is {kind}, which the API refuses with `concurrency: 1`")

"""MediaMelon SmartSight, with an API key or a name and a password.

The API is described in ``smartsight-1-overview-x-api-key.txt`` (requests, answers), ``smartsight-2-overview-oauth.txt``
(the log-in before, and its endpoints), ``smartsight-4-session-list.txt`` and, for the traps, in the vendor README:
``pagecount`` can't be trusted, rows carry fields that nobody asked for, a dimension can be ``""``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from exporter import catalog as catalogue
from exporter.model import ROW_ID, ROW_TIME, Fold, Lookup, Metric, Page, Part, Past, Query, Request, Row, Turn
from exporter.providers import smartsight_faults as faults_of
from exporter.providers import smartsight_past
from exporter.providers.base import ApiKey, Asked, Fault, Password, Secret, inside, named, plain_metrics
from exporter.providers.errors import BadResponse
from exporter.providers.shapes import Count, SourceSettings, Strict, Text, Url
from exporter.providers.times import epoch

PAGE = 1000
"""Rows a page: the API's own default."""

SENT = {
    "metricquery": ("metrics", "aggby", "filter", "qoefilter", "orderby", "order"),
    "listsessions": ("metrics", "aggby", "filter", "qoefilter", "orderby", "order"),
    "qbrdata": ("metrics", "aggby", "filter", "orderby", "order"),
    "session": ("metrics", "aggby", "filter", "orderby", "order"),
    "error": ("metrics", "aggby", "filter", "orderby", "order"),
    "smartquery": ("filter",),
    "alerts": (),
}
"""The parameters that each endpoint takes, besides period, limit, offset and planlevel."""

LEGACY_OPTIONS = ("dimension", "agg", "count", "queryId")
"""Parameters that ``metricquery`` does not have."""

LEVELS = ("planlevel", "planLevel", "level")
STARTS = ("starttime", "startTime", "start_time", "timestamp")
"""Where an alert may say when it began: the documents show no row."""


class Auth(Strict):
    """How to log in: with an API key, or with a name and a password."""

    api_key: SecretStr | None = Field(default=None, description="Key for the header X-API-Key.")
    api_key_file: Path | None = Field(default=None, description="File that holds the key; read again after each 401.")
    username: Text | None = Field(default=None, description="Name of the older log-in.")
    password: SecretStr | None = Field(default=None, description="Password of the older log-in.")
    password_file: Path | None = Field(default=None, description="File that holds it; read again at each log-in.")
    token_url: Url = Field(
        default="https://identity.mediamelon.com/realms/mediamelon/protocol/openid-connect/token",
        description="Where a name and a password get a token.",
    )
    client_id: Text = Field(default="smartsight-backend", description="What Keycloak knows the exporter as.")


class SmartSightSettings(SourceSettings):
    """A source of type ``smartsight``."""

    type: Literal["smartsight"] = Field(description="The vendor.")
    base_url: Url = Field(default="https://smartsight.mediamelon.com", description="The account's host.")
    customer_id: Text = Field(description="User Icon > Settings > Environments > Env Details in SmartSight.")
    plan_level: Count | None = Field(default=None, description="Of a log-in with a password; looked up if left out.")
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
    def account(self) -> tuple[str, ...]:
        """The host, the customer, and the plan or name by which a log-in sees its data."""
        own = self.settings
        return own.type, self.base_url, own.customer_id, str(own.plan_level or ""), own.auth.username or ""

    @property
    def credentials(self) -> ApiKey | Password:
        """The key and its header, or the password for Keycloak's log-in."""
        auth = self.settings.auth
        if auth.username is None:
            return ApiKey("X-API-Key", Secret.of(auth.api_key, auth.api_key_file))
        secret = Secret.of(auth.password, auth.password_file)
        return Password(auth.token_url, auth.client_id, auth.username, secret, (("scope", "openid"),))

    @staticmethod
    def faults(settings: SmartSightSettings) -> Iterator[Fault]:
        """Check that there is one log-in and no more."""
        yield from faults_of.auth(settings)

    @staticmethod
    def query_faults(query: Asked, settings: SmartSightSettings | None) -> Iterator[Fault]:
        """Check what the API refuses, or would read in another way than it is meant."""
        yield from faults_of.query(query, SmartSight.catalog, login(settings) if settings else None)

    @staticmethod
    def endpoint(query: Asked) -> str:
        """The endpoint's name in the contract."""
        return query.endpoint or "metricquery"

    @staticmethod
    def metrics(query: Asked) -> tuple[Metric, ...]:
        """Distributions and a count of sessions, counts of alerts, and elsewhere the fields as they are."""
        known = SmartSight.catalog
        if query.endpoint == "alerts":
            return known.count("alerts"), known.count("newest_alert")
        if query.endpoint != "listsessions":
            return plain_metrics(query, known)
        distributions = (
            known.distribution(
                each.field, name=each.name, text=each.help, scale=each.scale, bounds=query.buckets.get(each.field, ())
            )
            for each in query.metrics
        )
        return *distributions, known.count("sessions")

    @staticmethod
    def advice(query: Query) -> str:
        """Give the query that asks a deprecated endpoint's successor."""
        instead = SmartSight.catalog.endpoints[query.endpoint].instead
        if not instead:
            return ""
        better = json.dumps(_asked_anew(query), ensure_ascii=False).replace("$", "$$")
        return f"the endpoint `{query.endpoint}` is deprecated since July 2025; ask `{instead}`: {better}"

    def parts(self, query: Query) -> tuple[Part, ...]:
        """One request (of several pages) answers a query whole."""
        path = f"/mm-apis/{self.catalog.endpoints[query.endpoint].path}/{self.settings.customer_id}"
        if query.endpoint == "alerts":
            return (Part("alerts", path, (), folds=(("alerts", "sum"), ("newest_alert", "max"))),)
        if query.endpoint != "listsessions":
            return (Part(query.endpoint, path, query.fields),)
        fields = tuple(dict.fromkeys(each.field for each in query.metrics if each.family.kind == "histogram"))
        distributions: tuple[tuple[str, Fold], ...] = tuple((name, "distribution") for name in fields)
        return (Part("listsessions", path, fields, folds=(*distributions, ("sessions", "sum"))),)

    def past(self, query: Query, step: int) -> Past:
        """Time series where the endpoint has them, else one period a bucket."""
        return smartsight_past.past(query, step, self.parts)

    def request(self, query: Query, turn: Turn) -> Request:
        """Give the request for the rows from the turn's offset on."""
        offset = turn.cursor or 0
        sessions = query.endpoint == "listsessions"
        columns = (*turn.part.fields, *query.dimensions, "sessionid") if sessions else turn.part.fields
        all_ = {
            "metrics": ",".join(dict.fromkeys(columns)),
            "aggby": "sessionid" if sessions else ",".join(query.dimensions),
            "filter": "".join(f"[{name}={'|'.join(values)}]" for name, values in query.filters),
            "qoefilter": query.having or "",
            "orderby": query.order_by,
            "order": query.order,
        }
        params = {
            "period": f"start={turn.window.start},end={turn.window.end}",
            **{name: all_[name] for name in SENT[query.endpoint]},
            "limit": str(_limit(query, turn)),
            "offset": str(offset),
        }
        lookup = None
        if self.settings.auth.username is not None:
            params["planlevel"] = str(self.settings.plan_level or "")
            if self.settings.plan_level is None:
                lookup = Lookup("planlevel", "planlevel", f"/planLevelByCustId/{self.settings.customer_id}")
        given = tuple((name, value) for name, value in params.items() if value)
        return Request(turn.part.endpoint, turn.part.path, given + query.options, lookup)

    def parse(self, query: Query, turn: Turn, answer: object) -> Page:
        """Read a page; ``totalrecords`` tells whether there is another one, or else a full page does."""
        rows, said = _rows(answer, turn.part.endpoint)
        offset = turn.cursor or 0
        received = offset + len(rows)
        total = _count(said)
        if total and not rows and offset < total and not query.having:
            # What `having` leaves out may be counted all the same.
            raise BadResponse(f"a page has no rows, though only {offset} of the {total} that are promised have come")
        if total is None or total < len(rows):
            # Nothing is said, or less than this page alone has: then a full page says that there may be another one.
            total, more = received, len(rows) >= _limit(query, turn)
        else:
            more = bool(rows) and received < total
        if (top := _top(query, turn.part)) is not None:
            more = more and received < top
            rows, total = rows[: top - offset], min(total, top)
        if turn.part.endpoint == "alerts":
            rows = list(_numbered(rows))
        elif read := READERS.get(turn.part.endpoint):
            rows = [read(row) if isinstance(row, dict) else row for row in rows]
        elif smartsight_past.TIMESTAMP in query.dimensions:
            rows = inside((_timed(row) if isinstance(row, dict) else row for row in rows), turn.window)
        return Page(rows, received if more else None, max(total - received, 0))

    def fact(self, _: Lookup, answer: object) -> str:
        """Read the plan level: a number, or an object that holds it (contract section 1)."""
        value = next((answer[key] for key in LEVELS if key in answer), None) if isinstance(answer, dict) else answer
        if (level := _count(value)) is None:
            raise BadResponse("the answer holds no plan level; give the source a `plan_level`")
        return str(level)

    def explain(self, answer: object) -> str:
        """FastAPI's ``detail``: a sentence, or a list of what is wrong with each parameter."""
        detail = answer.get("detail") if isinstance(answer, dict) else None
        if isinstance(detail, list):
            return "; ".join(_complaint(item) for item in detail)
        return detail if isinstance(detail, str) else ""


def _asked_anew(query: Query) -> dict[str, object]:
    """Give a query of a deprecated endpoint as the file would have it for ``metricquery``."""
    better: dict[str, object] = {
        "name": query.name,
        "source": query.source,
        "metrics": [_at_length(metric) for metric in query.metrics],
        "dimensions": query.dimensions,
        "filters": dict(query.filters),
        "options": {name: value for name, value in query.options if name not in LEGACY_OPTIONS},
        "top": query.top,
        "order_by": "" if query.order_by == query.metrics[0].field else query.order_by,
        "order": "" if query.order == "desc" else query.order,
        "allow_personal_data": any(name.lower() in SmartSight.catalog.personal for name in query.dimensions),
    }
    return {key: value for key, value in better.items() if value}


def _at_length(metric: Metric) -> object:
    usual = SmartSight.catalog.metric(metric.field)
    if metric == usual:
        return metric.field
    given = {"name": metric.family.name, "help": metric.family.help, "scale": metric.scale}
    known = {"name": usual.family.name, "help": usual.family.help, "scale": usual.scale}
    return {"field": metric.field, **{key: value for key, value in given.items() if value != known[key]}}


def login(settings: SmartSightSettings) -> str:
    """Name how a source logs in, as the catalogue's endpoints do."""
    return "api_key" if settings.auth.username is None else "password"


def _session(row: Row) -> Mapping[str, object]:
    return {**row, ROW_ID: named(row.get("sessionid")), "sessions": 1}


def _timed(row: Row) -> Mapping[str, object]:
    return {**row, ROW_TIME: epoch(row.get(smartsight_past.TIMESTAMP))}


def _numbered(rows: Iterable[object]) -> Iterator[object]:
    """Read a page of alerts. Nothing names one, so that equal ones are told apart by their number within the page."""
    seen: Counter[str] = Counter()
    for row in rows:
        if not isinstance(row, dict):
            yield row
            continue
        text = json.dumps(row, sort_keys=True)
        seen[text] += 1
        began = next((row[key] for key in STARTS if key in row), None)
        yield {**row, ROW_ID: f"{seen[text]} {text}", "alerts": 1, "newest_alert": epoch(began)}


READERS = {"listsessions": _session}
"""What rows become that the exporter aggregates: what tells them apart, and what each counts for."""


def _rows(answer: object, endpoint: str) -> tuple[list[object], object]:
    """Give an answer's rows and what it says of their number. Alerts may come as a list of such answers."""
    answers = answer if isinstance(answer, list) and endpoint == "alerts" else [answer]
    found: list[object] = []
    for each in answers:
        rows = each.get("response") if isinstance(each, dict) else None
        if not isinstance(rows, list):
            raise BadResponse("the answer has no list `response`")
        found += rows
    return found, answer.get("totalrecords") if isinstance(answer, dict) else None


def _top(query: Query, part: Part) -> int | None:
    """Give how many rows the vendor need send: what is sorted or aggregated here has to come whole."""
    return query.top if "orderby" in SENT[query.endpoint] and not part.folds else None


def _limit(query: Query, turn: Turn) -> int:
    top = _top(query, turn.part)
    return PAGE if top is None else min(PAGE, top - (turn.cursor or 0))


MOST = 2**53
"""More rows than a vendor can have, and the last integer that a float holds exactly."""


def _count(value: object) -> int | None:
    """Read a count, which may come as a numeric text."""
    try:
        count = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None
    # Counters are floats: a number beyond them all would break what adds it up.
    return count if count is None or abs(count) < MOST else None


def _complaint(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    place = item.get("loc")
    where = ".".join(str(step) for step in place if step != "query") if isinstance(place, list) else ""
    return f"{where}: {item.get('msg', '')}" if where else str(item.get("msg", ""))

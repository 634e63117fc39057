"""MediaMelon SmartSight as its client sees it: an ASGI app that refuses what the real one refuses."""

from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Unpack

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exporter.simulator import smartsight_insights as insights
from exporter.simulator import smartsight_sessions as sessions
from exporter.simulator import world
from exporter.simulator.smartsight_metrics import value
from exporter.simulator.smartsight_oauth import Accounts, Login
from exporter.simulator.smartsight_page import Key, Row, ordered, page
from exporter.simulator.smartsight_query import LEGACY_PARAMETERS, PARAMETERS, MetricQuery, integer, parse
from exporter.simulator.vendor import Clock, Endpoint, Refused, params
from exporter.simulator.world import Group

# What rows carry beside what was asked, by the metric that was asked, as in the vendor's own examples.
CONTEXT = {
    "latency": ("viewercount",),
    "bufferingratio": ("playdur",),
    "sumbuffwaitcirr": ("playdur",),
    "vrtbufferingratio": ("playdur",),
    "startupabandonmentrate": ("viewercount", "attempts", "failurerate"),
    "qualityofexperience": ("viewercount", "attempts"),
}
TEXTUAL = frozenset({"cbrsize", "adfillrate"})
"""Metrics whose numbers arrive as strings."""


class SmartSight(Accounts):
    """The simulated SmartSight of one customer, who has one API key and may have one user (see ``Accounts``).

    ``/mm-apis/metricquery`` takes the key or a Bearer token, ``listsessions`` the key, the rest a token.
    """

    def __init__(self, *, api_key: str, customer_id: int | str, clock: Clock, **login: Unpack[Login]) -> None:
        """Take the key (an attribute that a test may change), the customer and the clock, in Unix seconds."""
        super().__init__(self._api(), clock, login)
        self.api_key = api_key
        self.customer_id = str(customer_id)
        self.plan_level_answer: object = None
        """What ``/planLevelByCustId`` answers; ``None``: the bare number."""

    def problem(self, error: HTTPException) -> Response:
        """Give FastAPI's body: a list for wrong parameters, else a sentence."""
        detail: object = error.detail
        if isinstance(error, Refused):
            where = ["query", error.parameter]
            detail = [{"type": "value_error", "loc": where, "msg": error.detail}]
        return JSONResponse({"detail": detail}, error.status_code, error.headers)

    def _api(self) -> Mapping[str, tuple[str, Endpoint]]:
        """Give the routes, each behind the customer's key or token."""
        by_path = {
            "/planLevelByCustId": self._guarded(self._plan_level, "token"),
            "/mm-apis/metricquery": self._guarded(self._metricquery, "key", "token"),
            "/mm-apis/listsessions": self._guarded(self._listsessions, "key"),
            "/mm-apis/qbrData/vod": self._guarded(self._legacy, "token"),
            "/mm-apis/session": self._guarded(self._legacy, "token"),
            "/mm-apis/smartQuery": self._guarded(self._smart_query, "token"),
            "/mm-apis/error": self._guarded(self._error, "token"),
            "/mm-apis/getAIAlerts": self._guarded(self._alerts, "token"),
        }
        return {f"{path}/{{customer_id}}": ("GET", endpoint) for path, endpoint in by_path.items()}

    def _guarded(self, endpoint: Endpoint, *ways: str) -> Endpoint:
        """Wrap an endpoint so that it answers only this customer, who shows what it takes: key or token."""

        async def guarded(request: Request) -> Response:
            if "key" in ways and ("token" not in ways or _shows_key(request)):
                if request.headers.get("x-api-key") != self.api_key:
                    raise HTTPException(HTTPStatus.UNAUTHORIZED, "Invalid or missing API key")
            elif not self._knows(request):
                raise HTTPException(HTTPStatus.UNAUTHORIZED, "Could not validate credentials")
            if request.path_params["customer_id"] != self.customer_id:
                raise HTTPException(HTTPStatus.FORBIDDEN, "Not allowed for this customer")
            return await endpoint(request)

        return guarded

    def _leveled(self, request: Request, allowed: Collection[str]) -> dict[str, str]:
        """Give the parameters of a token's user, who must name the right plan level."""
        found = params(request, {*allowed, "planlevel"}, HTTPStatus.UNPROCESSABLE_ENTITY)
        if integer(found, "planlevel", least=0) != self.plan_level:
            raise HTTPException(HTTPStatus.FORBIDDEN, "Not allowed for this plan level")
        return found

    def _until(self, end: int) -> int:
        """Give the end of what can be told: nothing has happened yet after now."""
        return min(end, int(self._clock()))

    async def _plan_level(self, request: Request) -> Response:
        params(request, (), HTTPStatus.UNPROCESSABLE_ENTITY)
        return JSONResponse(self.plan_level if self.plan_level_answer is None else self.plan_level_answer)

    async def _metricquery(self, request: Request) -> Response:
        if _shows_key(request):
            query = parse(params(request, PARAMETERS, HTTPStatus.UNPROCESSABLE_ENTITY))
        else:
            query = parse(self._leveled(request, PARAMETERS))
        return JSONResponse(_page(query, self._groups(query)))

    async def _legacy(self, request: Request) -> Response:
        query = parse(self._leveled(request, LEGACY_PARAMETERS), legacy=True)
        return JSONResponse(_page(query, self._groups(query)))

    def _groups(self, query: MetricQuery) -> Sequence[Group]:
        until = self._until(query.end)
        return world.aggregate(query.start, until, query.dimensions, query.filters, query.unit)

    async def _error(self, request: Request) -> Response:
        found = self._leveled(request, insights.ERROR_PARAMETERS)
        insights.check_query_id(found)
        query = parse(found, legacy=True, dimensions=insights.ERROR_DIMENSIONS)
        return JSONResponse(_page(query, insights.error_groups(query, self._until(query.end))))

    async def _listsessions(self, request: Request) -> Response:
        query = sessions.parse(params(request, sessions.SESSION_PARAMETERS, HTTPStatus.UNPROCESSABLE_ENTITY))
        return JSONResponse(sessions.answer(query, int(self._clock())))

    async def _smart_query(self, request: Request) -> Response:
        asked, rows = insights.smart_query(self._leveled(request, insights.SMART_PARAMETERS))
        found = rows(asked, self._until(asked.end))
        return JSONResponse(page(found, dict, limit=asked.limit, offset=asked.offset))

    async def _alerts(self, request: Request) -> Response:
        """Answer with the rows alone: the documents promise no counts here, unlike elsewhere."""
        asked = insights.alert_query(self._leveled(request, insights.ALERT_PARAMETERS))
        found = insights.sorted_alerts(asked, self._until(asked.end))
        return JSONResponse({"response": found[asked.offset : asked.offset + asked.limit]})


def _shows_key(request: Request) -> bool:
    return "x-api-key" in request.headers


def _column(query: MetricQuery, name: str, group: Group) -> Key:
    if name == "timestamp":
        return group.timestamp
    return group.values[query.dimensions.index(name)] if name in query.dimensions else value(name, group)


def _page(query: MetricQuery, groups: Sequence[Group]) -> Row:
    met = [g for g in groups if all(each.holds(value(each.metric, g)) for each in query.conditions)]
    name = query.order_by
    if name is not None:
        met = ordered(met, lambda group: _column(query, name, group), descending=query.descending)
    return page(met, lambda group: _row(query, group), limit=query.limit, offset=query.offset)


def _row(query: MetricQuery, group: Group) -> Row:
    extra = [name for metric in query.metrics for name in CONTEXT.get(metric, ())]
    row: Row = {name: _sent(name, value(name, group)) for name in dict.fromkeys((*query.metrics, *extra))}
    row.update({name: _code(name, each) for name, each in zip(query.dimensions, group.values, strict=True)})
    if query.unit:
        row["timestamp"] = group.timestamp
    return row


def _code(dimension: str, name: str) -> str | int:
    """Send a dimension's value as text, but the code of an error as a number where it is one."""
    return int(name) if dimension == insights.CODE and name.isdigit() else name


def _sent(metric: str, number: float | None) -> float | str | None:
    return str(number) if metric in TEXTUAL and number is not None else number

"""MediaMelon SmartSight as its client sees it: an ASGI app that refuses what the real one refuses."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exporter.simulator import world
from exporter.simulator.smartsight_metrics import value
from exporter.simulator.smartsight_query import PARAMETERS, MetricQuery, parse
from exporter.simulator.vendor import Clock, Endpoint, Refused, Vendor, params
from exporter.simulator.world import Group

Row = dict[str, object]

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


class SmartSight(Vendor):
    """The simulated SmartSight of one customer, who has one API key."""

    def __init__(self, *, api_key: str, customer_id: int | str, clock: Clock) -> None:
        """Take the key (an attribute that a test may change), the customer and the clock, in Unix seconds."""
        super().__init__({"/mm-apis/metricquery/{customer_id}": ("GET", self._guarded(self._metricquery))})
        self.api_key = api_key
        self.customer_id = str(customer_id)
        self._clock = clock

    def problem(self, error: HTTPException) -> Response:
        """Give FastAPI's body: a list for wrong parameters, else a sentence."""
        detail: object = error.detail
        if isinstance(error, Refused):
            where = ["query", error.parameter]
            detail = [{"type": "value_error", "loc": where, "msg": error.detail}]
        return JSONResponse({"detail": detail}, error.status_code, error.headers)

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """Wrap an endpoint so that it answers only this customer, with the right key."""

        async def guarded(request: Request) -> Response:
            if request.headers.get("x-api-key") != self.api_key:
                raise HTTPException(HTTPStatus.UNAUTHORIZED, "Invalid or missing API key")
            if request.path_params["customer_id"] != self.customer_id:
                raise HTTPException(HTTPStatus.FORBIDDEN, "Not allowed for this customer")
            return await endpoint(request)

        return guarded

    async def _metricquery(self, request: Request) -> Response:
        query = parse(params(request, PARAMETERS, HTTPStatus.UNPROCESSABLE_ENTITY))
        until = min(query.end, int(self._clock()))  # nothing has happened yet after now
        groups = world.aggregate(query.start, until, query.dimensions, query.filters, query.unit)
        met = [g for g in groups if all(each.holds(value(each.metric, g)) for each in query.conditions)]
        return JSONResponse(_page(query, _ordered(query, met)))


def _ordered(query: MetricQuery, groups: list[Group]) -> list[Group]:
    """Sort as asked; groups without a value come last in either order, ties keep the natural one."""
    name = query.order_by
    if name is None:
        return groups
    keys = [(_column(query, name, group), group) for group in groups]
    present = [(key, group) for key, group in keys if key is not None]
    present.sort(key=lambda pair: pair[0], reverse=query.descending)
    return [group for _, group in present] + [group for key, group in keys if key is None]


def _column(query: MetricQuery, name: str, group: Group) -> float | str | None:
    if name == "timestamp":
        return group.timestamp
    return group.values[query.dimensions.index(name)] if name in query.dimensions else value(name, group)


def _page(query: MetricQuery, groups: list[Group]) -> dict[str, object]:
    """Give one page. ``pagecount`` is as in the documents: pages of several, but rows of a single one."""
    total = len(groups)
    pages = -(-total // query.limit) if total > query.limit else total
    rows = [_row(query, group, pages) for group in groups[query.offset : query.offset + query.limit]]
    return {"totalcount": len(rows), "pagecount": pages, "totalrecords": total, "response": rows}


def _row(query: MetricQuery, group: Group, pages: int) -> Row:
    extra = [name for metric in query.metrics for name in CONTEXT.get(metric, ())]
    row: Row = {name: _sent(name, value(name, group)) for name in dict.fromkeys((*query.metrics, *extra))}
    row.update(zip(query.dimensions, group.values, strict=True))
    if query.unit:
        row["timestamp"] = group.timestamp
    return row | {"totalpages": pages}


def _sent(metric: str, number: float | None) -> float | str | None:
    return str(number) if metric in TEXTUAL and number is not None else number

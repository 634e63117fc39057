"""``listsessions``: its parameters, and one row a session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from exporter.simulator import sessions
from exporter.simulator.places import DIMENSIONS, PLACES
from exporter.simulator.sessions import Session
from exporter.simulator.smartsight_metrics import METRICS, value
from exporter.simulator.smartsight_page import Key, Row, ordered, page
from exporter.simulator.smartsight_query import (
    PAGING,
    Condition,
    check_choices,
    conditions,
    filters,
    integer,
    names,
    period,
    require,
)
from exporter.simulator.world import Filters

SESSION_PARAMETERS = PAGING | {
    "metrics",
    "aggby",
    "filter",
    "qoefilter",
    "orderby",
    "order",
    "sessiontype",
    "allstatus",
}
LEADING = DIMENSIONS | METRICS.keys()
"""What may stand first in ``metrics``: what is investigated."""
COLUMNS = LEADING | {"starttime", "endtime", "watchtime", "viewstatus"}


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """A query that is not refused."""

    start: int
    end: int
    columns: tuple[str, ...]
    started: bool
    every: bool
    filters: Filters
    conditions: tuple[Condition, ...]
    order_by: str | None
    descending: bool
    limit: int
    offset: int


def parse(params: Mapping[str, str]) -> SessionQuery:
    """Read the parameters; raises ``Refused`` (422) at the first that is wrong.

    ``metrics`` must lead with a metric or dimension, as the documents ask; a statistic (``p95_``) of one
    session is none. ``orderby`` takes every column.
    """
    check_choices(params)
    start, end = period(params)
    require(params.get("aggby") == "sessionid", "must be sessionid", "aggby")
    columns = names(params, "metrics", COLUMNS.__contains__)
    require(columns[0] in LEADING, "must lead with a metric or a dimension", "metrics")
    met = conditions(params)
    for condition in met:
        require(condition.metric in METRICS, f"no metric of a session: {condition.metric}", "qoefilter")
    order_by = params.get("orderby")
    require(order_by is None or order_by in COLUMNS, "no such column", "orderby")
    return SessionQuery(
        start=start,
        end=end,
        columns=columns,
        started=params.get("sessiontype") == "started",
        every=params.get("allstatus") == "1",
        filters=filters(params.get("filter", "")),
        conditions=met,
        order_by=order_by,
        descending=params.get("order", "desc") == "desc",
        limit=integer(params, "limit", default=1000, least=1),
        offset=integer(params, "offset", default=0, least=0),
    )


def answer(query: SessionQuery, now: int) -> Row:
    """Give the page that is asked for."""
    until = min(query.end, now)  # nothing has happened yet after now
    return page(
        _wanted(replace(query, columns=(), limit=0, offset=0), until),
        lambda session: {name: _column(session, name, until) for name in ("sessionid", *query.columns)},
        limit=query.limit,
        offset=query.offset,
    )


@lru_cache(maxsize=8)
def _wanted(query: SessionQuery, until: int) -> Sequence[Session]:
    """List what is admitted in the order that is asked for, once for all pages; their rows and place are left open."""
    found = sessions.listed(query.start, until, started=query.started, every=query.every)
    wanted = [session for session in found if _admits(query, session, until)]
    if query.order_by is None:
        return wanted
    name = query.order_by
    return ordered(wanted, lambda session: _column(session, name, until), descending=query.descending)


def _admits(query: SessionQuery, session: Session, until: int) -> bool:
    if not all(_column(session, name, until) in values for name, values in query.filters):
        return False
    return all(each.holds(_metric(session, each.metric, until)) for each in query.conditions)


def _metric(session: Session, name: str, until: int) -> float | None:
    number = value(name, sessions.group(session, until))
    # Of a session it is less what stalled; in seconds, as everywhere, whatever its label says.
    return number * (1 - session.stalled) if name == "playdur" and number is not None else number


def _column(session: Session, name: str, until: int) -> Key:
    return _metric(session, name, until) if name in METRICS else _field(session, name, until)


def _field(session: Session, name: str, until: int) -> Key:
    match name:
        case "sessionid":
            return session.identity
        case "starttime":
            return session.start
        case "endtime":
            return session.end if session.end < until else None
        case "watchtime":
            return sessions.watched(session, until)
        case "viewstatus":
            return sessions.status(session, until)
    return PLACES[session.place][name]

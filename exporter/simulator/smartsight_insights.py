"""What SmartSight's OAuth generation tells beside metrics: errors by code, content paths, subscribers, alerts."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from exporter.simulator import world
from exporter.simulator.arithmetic import split
from exporter.simulator.places import ASSETS, DIMENSIONS, SUSPECTS
from exporter.simulator.smartsight_page import Key, Row, ordered
from exporter.simulator.smartsight_query import (
    LEGACY_PARAMETERS,
    PAGING,
    MetricQuery,
    check_choices,
    filters,
    integer,
    period,
    require,
)
from exporter.simulator.vendor import Refused
from exporter.simulator.world import INCIDENT, Figures, Filters, Group

CODE = "errorcode"
CODES = {"2004": 0.46, "4001": 0.27, "MEDIA_ERR_NETWORK": 0.18, "3016": 0.09}
"""Made-up codes of errors, and the share of each."""
ERROR_PARAMETERS = LEGACY_PARAMETERS | {"queryId"}
ERROR_DIMENSIONS = DIMENSIONS | {CODE}
SMART_PARAMETERS = PAGING | {"queryname", "filter", "granularity", "querycache", "queryId"}
ALERT_PARAMETERS = PAGING | {"orderby", "order"}
MOVING_ON = 0.4
"""The share of plays after which the viewer plays something else."""
HALF_HOUR = 1800
Alert = dict[str, Key]


@dataclass(frozen=True, slots=True)
class Listing:
    """What ``smartQuery`` and ``getAIAlerts`` are asked for, as far as they have it in common."""

    start: int
    end: int
    filters: Filters
    order_by: str
    descending: bool
    limit: int
    offset: int


def error_groups(query: MetricQuery, until: int) -> list[Group]:
    """Sum as ``metricquery`` does, by ``errorcode`` too where that is asked for; groups without errors are out."""
    admitted = [values for name, values in query.filters if name == CODE]
    plain = tuple(name for name in query.dimensions if name != CODE)
    others = tuple(pair for pair in query.filters if pair[0] != CODE)
    groups = world.aggregate(query.start, until, plain, others, query.unit)
    if CODE not in query.dimensions and not admitted:
        return list(groups)
    found = []
    for group in groups:
        parts = {c: f for c, f in _by_code(group.figures) if f.errors and all(c in values for values in admitted)}
        if CODE not in query.dimensions:
            parts = {"": Figures._make(map(sum, zip(*parts.values(), strict=True)))} if parts else {}
        for code, figures in parts.items():
            by = dict(zip(plain, group.values, strict=True)) | {CODE: code}
            values = tuple(by[name] for name in query.dimensions)
            found.append(Group(group.timestamp, values, figures, group.minutes))
    return found


def _by_code(figures: Figures) -> Iterator[tuple[str, Figures]]:
    """Split the errors by code, in whole numbers that add up; the rest are the sessions that had one, estimated."""
    shares = tuple(CODES.values())
    fatal, others = split(round(figures.fatal), shares), split(round(figures.errors - figures.fatal), shares)
    for code, share, deadly, harmless in zip(CODES, shares, fatal, others, strict=True):
        part = share * min(1, figures.errors / max(1, figures.attempts))
        numbers = (round(part * one) if one == int(one) else part * one for one in figures)
        yield code, Figures(*numbers)._replace(errors=deadly + harmless, fatal=deadly)


def check_query_id(params: Mapping[str, str]) -> None:
    """Check ``queryId``, which tracks a query and changes nothing."""
    try:
        uuid.UUID(params.get("queryId", str(uuid.NAMESPACE_URL)))
    except ValueError as error:
        raise Refused(422, "must be a UUID", "queryId") from error


def smart_query(params: Mapping[str, str]) -> tuple[Listing, Callable[[Listing, int], list[Row]]]:
    """Read the parameters of ``smartQuery``; gives what to list, and the function that lists it."""
    name = params.get("queryname", "")
    require(name in SMART_QUERIES, f"must be one of {', '.join(SMART_QUERIES)}", "queryname")
    check_query_id(params)
    return _listing(params, ("",)), SMART_QUERIES[name]


def alert_query(params: Mapping[str, str]) -> Listing:
    """Read the parameters of ``getAIAlerts``."""
    return _listing(params, ALERT_FIELDS)


def _listing(params: Mapping[str, str], columns: tuple[str, ...]) -> Listing:
    check_choices(params)
    start, end = period(params)
    order_by = params.get("orderby", columns[0])
    require(order_by in columns, "no such column", "orderby")
    return Listing(
        start=start,
        end=end,
        filters=filters(params.get("filter", "")),
        order_by=order_by,
        descending=params.get("order", "desc") == "desc",
        limit=integer(params, "limit", default=1000, least=1),
        offset=integer(params, "offset", default=0, least=0),
    )


def _content_paths(asked: Listing, until: int) -> list[Row]:
    """List which asset was played after which: every one leads to every other, the next in line most often."""
    rows: list[Row] = []
    for group in world.aggregate(asked.start, until, ("assetname",), asked.filters):
        (name,) = group.values
        place = ASSETS.index(name)
        following = ASSETS[place + 1 :] + ASSETS[:place]
        weights = range(len(following), 0, -1)
        counts = split(round(MOVING_ON * group.figures.plays), [weight / sum(weights) for weight in weights])
        pairs = zip(following, counts, strict=True)
        rows += [{"assetname": name, "nextasset": asset, "viewercount": count} for asset, count in pairs if count]
    return rows


def _subscriber_insight(asked: Listing, until: int) -> list[Row]:
    groups = world.aggregate(asked.start, until, ("subscribertag",), asked.filters)
    return [
        {
            "subscribertag": group.values[0],
            "viewercount": round(group.figures.plays),
            "playdur": group.figures.playtime,
        }
        for group in groups
    ]


SMART_QUERIES = {"contentpaths": _content_paths, "subscriberinsight": _subscriber_insight}
"""The documents name the two dashboards, not what their queries are called or answer: both are made up."""

# The documents do not show what an alert looks like: these fields and their values are made up.
ALERT_FIELDS = (
    "starttime",
    "alertid",
    "alertname",
    "metric",
    "severity",
    "dimension",
    "dimensionvalue",
    "endtime",
    "status",
)
ALERTS = (
    ("High buffering ratio", "bufferingratio", "critical"),
    ("Slow start-up", "latency", "warning"),
    ("Many start-up failures", "failurerate", "critical"),
)


def sorted_alerts(asked: Listing, until: int) -> list[Alert]:
    """List the alerts of ``[start, until)``, one for each incident that touches it, as they stand at its end."""
    found = _alerts(asked.start, until) if until > asked.start else []
    return ordered(found, lambda row: row[asked.order_by], descending=asked.descending)


def _alerts(start: int, until: int) -> list[Alert]:
    begin, finish = 60 * INCIDENT.start, 60 * INCIDENT.stop
    first = (start - finish) // HALF_HOUR + 1
    last = -(-(until - begin) // HALF_HOUR)
    return [
        _alert(number, HALF_HOUR * number + begin, HALF_HOUR * number + finish, until) for number in range(first, last)
    ]


def _alert(number: int, start: int, end: int, until: int) -> Alert:
    name, metric, severity = ALERTS[number % len(ALERTS)]
    over = end <= until
    return {
        "alertid": f"alert-{number}",
        "alertname": name,
        "metric": metric,
        "severity": severity,
        "dimension": "cdn",
        "dimensionvalue": SUSPECTS[number % len(SUSPECTS)],
        "starttime": start,
        "endtime": end if over else None,
        "status": "resolved" if over else "active",
    }

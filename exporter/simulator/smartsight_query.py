"""The query string of ``metricquery`` and of its elders: what it means, and everything that is refused."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.simulator import grid
from exporter.simulator.places import DIMENSIONS
from exporter.simulator.smartsight_metrics import is_ad, known, statistic
from exporter.simulator.vendor import Refused
from exporter.simulator.world import Filters

CHOICES = {
    "granularity": ("auto", *grid.SECONDS),
    "sessiontype": ("ended", "started"),
    "allstatus": ("0", "1"),
    "concurrency": ("0", "1"),
    "businesserror": ("true", "false"),
    "order": ("asc", "desc"),
    "agg": ("sum", "avg", "min", "max"),
    # What to look at: a view of the data or a dimension. Which view it is changes no figure here.
    "dimension": ("all", "microscope", "subscriber", "ad", "geo", *sorted(DIMENSIONS)),
    "querycache": ("True", "False"),
}
PAGING = frozenset({"period", "limit", "offset"})
_SHARED = PAGING | {"metrics", "aggby", "filter", "orderby", "order", "granularity"}
PARAMETERS = _SHARED | {"qoefilter", "sessiontype", "allstatus", "concurrency", "businesserror"}
LEGACY_PARAMETERS = _SHARED | {"agg", "count", "dimension"}
AUTO = ((3600, "minute"), (6 * 3600, "5minute"), (12 * 3600, "10minute"), (7 * 86400, "hour"))
"""Longest period, in seconds, for which ``auto`` picks a granularity; beyond them it is a day."""

_PERIOD = re.compile(r"start=(\d{1,11}),end=(\d{1,11})")
_VALUE = r"[^\[\]=|]+"
_BRACKET = re.compile(rf"\[({_VALUE})=({_VALUE}(?:\|{_VALUE})*)\]")
_CONDITION = re.compile(r"\s*(\w+)\s*(>=|<=|>|<|=)\s*(-?\d+(?:\.\d+)?)\s*")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of ``qoefilter``."""

    metric: str
    operator: str
    number: float

    def holds(self, value: float | None) -> bool:
        """Compare; a metric without a value meets no condition."""
        return value is not None and _COMPARE[self.operator](value, self.number)


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """A query that is not refused. ``unit`` is the granularity where it is a time series."""

    start: int
    end: int
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    unit: str | None
    filters: Filters
    conditions: tuple[Condition, ...]
    order_by: str | None
    descending: bool
    limit: int
    offset: int


def parse(params: Mapping[str, str], *, legacy: bool = False, dimensions: frozenset[str] = DIMENSIONS) -> MetricQuery:
    """Read the parameters; raises ``Refused`` (422) at the first that is wrong.

    ``legacy``: as the endpoints before ``metricquery`` read them. Their ``metrics`` may repeat what stands in
    ``aggby``, as in the vendor's Q metric example, and their ``granularity`` needs no ``timestamp``.
    ``sessiontype``, ``allstatus``, ``businesserror``, ``agg``, ``count`` and ``dimension`` are checked, but
    change no figure.
    """
    check_choices(params)
    integer(params, "count", default=0, least=0)
    start, end = period(params)
    columns = names(params, "aggby", {*dimensions, "timestamp"}.__contains__) if "aggby" in params else ()
    metrics = names(params, "metrics", lambda name: known(name) or (legacy and name in columns))
    _check_concurrency(params, metrics)
    return MetricQuery(
        start=start,
        end=end,
        metrics=tuple(name for name in metrics if name not in columns),
        dimensions=tuple(name for name in columns if name != "timestamp"),
        unit=_unit(params, end - start, timed="timestamp" in columns, always=legacy),
        filters=filters(params.get("filter", ""), dimensions),
        conditions=conditions(params),
        order_by=_order_by(params, columns),
        descending=params.get("order", "desc") == "desc",
        limit=integer(params, "limit", default=1000, least=1),
        offset=integer(params, "offset", default=0, least=0),
    )


def check_choices(params: Mapping[str, str]) -> None:
    """Check every parameter that has a fixed set of values."""
    for name, allowed in CHOICES.items():
        require(params.get(name, allowed[0]) in allowed, f"must be one of {', '.join(allowed)}", name)


def require(condition: object, problem: str, parameter: str) -> None:
    """Refuse the request because of a parameter, unless a condition holds."""
    if not condition:
        raise Refused(422, problem, parameter)


def period(params: Mapping[str, str]) -> tuple[int, int]:
    """Give start and end of ``period``, in Unix seconds."""
    found = _PERIOD.fullmatch(params.get("period", ""))
    if not found:
        raise Refused(422, "must be start=<epoch seconds>,end=<epoch seconds>", "period")
    start, end = int(found[1]), int(found[2])
    require(start < end, "start must be before end", "period")
    return start, end


def names(params: Mapping[str, str], parameter: str, is_known: Callable[[str], bool]) -> tuple[str, ...]:
    """Give the names of a list, each of which must be known and stand once."""
    found = tuple(params.get(parameter, "").split(","))
    for name in found:
        require(is_known(name), f"unknown or missing name {name!r}", parameter)
    require(len(found) == len(set(found)), "a name stands twice", parameter)
    return found


def _unit(params: Mapping[str, str], length: int, *, timed: bool, always: bool) -> str | None:
    require(timed or always or "granularity" not in params, "only with aggby=timestamp", "granularity")
    if not timed:
        return None
    unit = params.get("granularity", "auto")
    return next((unit for longest, unit in AUTO if length <= longest), "day") if unit == "auto" else unit


def filters(text: str, dimensions: frozenset[str] = DIMENSIONS) -> Filters:
    """Read ``filter``; an empty one admits everything."""
    found = [(name, frozenset(values.split("|"))) for name, values in _BRACKET.findall(text)]
    require(not _BRACKET.sub("", text), "must be like [country=US|Canada][platform=Android]", "filter")
    for name, _ in found:
        require(name in dimensions, f"unknown dimension {name!r}", "filter")
    return tuple(found)


def conditions(params: Mapping[str, str]) -> tuple[Condition, ...]:
    """Read ``qoefilter``."""
    if "qoefilter" not in params:
        return ()
    return tuple(_condition(text) for text in params["qoefilter"].split(" AND "))


def _condition(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if not found:
        raise Refused(422, "must be like latency>3 AND bufferingratio>5", "qoefilter")
    require(known(found[1]), f"unknown metric {found[1]!r}", "qoefilter")
    return Condition(found[1], found[2], float(found[3]))


def _order_by(params: Mapping[str, str], columns: tuple[str, ...]) -> str | None:
    name = params.get("orderby")
    require(name is None or name in columns or known(name), "no metric and not in aggby", "orderby")
    return name


def integer(params: Mapping[str, str], name: str, *, least: int, default: int | None = None) -> int:
    """Read a whole number; without a default it is required."""
    text = params.get(name, "" if default is None else str(default))
    require(re.fullmatch(r"\d{1,9}", text) and int(text) >= least, f"must be a number from {least}", name)
    return int(text)


def _check_concurrency(params: Mapping[str, str], metrics: tuple[str, ...]) -> None:
    if params.get("concurrency") == "1":
        for metric in metrics:
            require(not is_ad(metric), f"not for ad metrics: {metric}", "concurrency")
            require(not statistic(metric)[0], f"not for aggregates: {metric}", "concurrency")

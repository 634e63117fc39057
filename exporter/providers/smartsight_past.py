"""How SmartSight is asked for the past: by ``timestamp`` and a granularity, or one bucket after the other."""

from collections.abc import Callable
from dataclasses import replace

from exporter.model import Part, Past, Query
from exporter.providers.base import NoHistory, in_words

TIMESTAMP = "timestamp"
"""The dimension by which a time series is asked for; it holds the beginning of a bucket, in Unix seconds."""

GRANULARITIES = {60: "minute", 300: "5minute", 600: "10minute", 3600: "hour", 86_400: "day"}
TIMED = ("metricquery", "qbrdata", "session", "error")
"""Endpoints with time series; of the others one bucket is asked at a time, as a period of its own."""

PAGE = 1000
WEEK = 7 * 86_400
"""The longest period that is asked for at once: the vendor gives up after 200 s."""
ROWS = (1, 10, 50, 200)
"""How many rows a bucket may well have, by the number of dimensions; a request should fit a page."""


def past(query: Query, step: int, parts: Callable[[Query], tuple[Part, ...]]) -> Past:
    """Give how a query's past is asked for; ``parts`` gives the requests of a query.

    Raises:
        NoHistory: the API has no such buckets.
    """
    if step not in GRANULARITIES:
        there = ", ".join(map(in_words, GRANULARITIES))
        raise NoHistory(f"SmartSight has no buckets of {in_words(step)}; it has {there}")
    if query.endpoint not in TIMED:
        return Past(query, query, parts(query), step, step)
    if query.top is not None and query.order_by not in query.fields:
        raise NoHistory(f"`top` of a bucket is chosen here, and `order_by: {query.order_by}` is no metric of the query")
    options = tuple((name, value) for name, value in query.options if name != "granularity")
    # `top` is of a bucket: the vendor would take it of all buckets together.
    asked = replace(
        query,
        dimensions=(*query.dimensions, TIMESTAMP),
        options=(*options, ("granularity", GRANULARITIES[step])),
        order_by=TIMESTAMP,
        order="asc",
        top=None,
    )
    rows = ROWS[min(len(query.dimensions), len(ROWS) - 1)]
    return Past(query, asked, parts(asked), step, step * max(min(PAGE // rows, WEEK // step), 1))

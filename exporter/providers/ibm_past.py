"""How IBM is asked for the past: by calendar buckets or a granularity, or one bucket after the other."""

from collections.abc import Callable
from dataclasses import replace

from exporter.model import Labels, Part, Past, Query
from exporter.providers.base import NoHistory, in_words
from exporter.providers.ibm_faults import SERIES

MINUTE, HOUR, DAY = 60, 3600, 86_400
STEPS = (MINUTE, 300, 600, HOUR, DAY)
CALENDAR = {HOUR: "hour", DAY: "day"}
GRANULAR = ("peak-viewer-numbers", "viewer-seconds")
NOW_ONLY = ("active_view_segments",)
"""Metrics of the moment of asking: of a bucket of the past the vendor would tell what has not ended until today."""

PAGE = 10_000
WEEK = 7 * DAY
"""The longest period that is asked for at once: an answer may take a minute as it is."""
CONTENTS = 50
"""How many contents an account may well have; a request should fit a page."""


def past(query: Query, step: int, parts: Callable[[Query], tuple[Part, ...]]) -> Past:
    """Give how a query's past is asked for; ``parts`` gives the requests of a query.

    Raises:
        NoHistory: the API has no such buckets, or only numbers of now.
    """
    if step not in STEPS:
        raise NoHistory(
            f"IBM's buckets can't be made to {in_words(step)}; to {', '.join(map(in_words, STEPS))} they can"
        )
    metrics = tuple(metric for metric in query.metrics if metric.field not in NOW_ONLY)
    if not metrics:
        raise NoHistory(f"`{query.metrics[0].field}` is a number of now, and has no past")
    kept = replace(query, metrics=metrics)
    asked = replace(kept, options=_options(kept, step))
    found = parts(asked)
    return Past(kept, asked, found, step, step * min(_buckets(part, asked, step) for part in found))


def _options(query: Query, step: int) -> Labels:
    options = dict(query.options)
    calendar = options.get("bucket")
    if calendar is not None and calendar != CALENDAR.get(step):
        raise NoHistory(f"`options: {{bucket: {calendar}}}` has no buckets of {in_words(step)}")
    # The vendor's day may be another one than UTC's: without `bucket` it is asked for as a period.
    if step == HOUR and all(dimension == "content_type" for dimension in query.dimensions):
        options["bucket"] = CALENDAR[HOUR]
    options["granularity"] = "minute" if step % HOUR else "hour"
    return tuple(options.items())


def _buckets(part: Part, asked: Query, step: int) -> int:
    """Give how many buckets one request may be for; one where its rows have no time."""
    if part.endpoint in GRANULAR:
        contents = len(asked.filter("content_id")) or CONTENTS
        rows = contents * (step // (MINUTE if step % HOUR else HOUR))
        return max(min(PAGE // rows, WEEK // step), 1)
    return WEEK // step if part.endpoint in SERIES and part.folds else 1

"""What IBM's API has no path for, told before anything is asked."""

from collections.abc import Iterator

from exporter.catalog import Catalog
from exporter.providers.base import Asked, Fault, near, unsortable

CONTENT_TYPES = ("live", "recorded")
FILTERS = ("content_type", "content_id", "channel_id")
BY_CHANNEL = ("views", "viewer-seconds")
SERIES = ("total-views", "unique-devices", "authenticated-viewers")
BUCKETS = ("month", "day", "hour")
PEAKS = "peak_viewers"

OWN_PARAMETERS = {
    "date_time_from": "window and delay",
    "date_time_to": "window and delay",
    "content_id": "filters",
    "channel_id": "filters",
    "_page": "max_series",
    "_limit": "max_series",
}
"""Parameters that the exporter sets, and the keys of a query that say them."""

SMARTSIGHT_ONLY = ("endpoint", "having", "buckets", "exemplars")


def query(asked: Asked, known: Catalog) -> Iterator[Fault]:
    """Check a query; paths are relative to it."""
    for key in SMARTSIGHT_ONLY:
        if key in asked.given:
            yield Fault((key,), "is for sources of type smartsight")
    for name in asked.options:
        if name in OWN_PARAMETERS:
            yield Fault(("options", name), f"is set by the exporter; use `{OWN_PARAMETERS[name]}` of the query")
    if asked.order_by and asked.order_by not in asked.fields:
        yield unsortable(asked)
    if "metrics" not in asked.given:
        yield Fault(("metrics",), "is missing")
    yield from _filters(asked)
    yield from _bucket(asked)
    for index, field in enumerate(asked.fields):
        for message in _metric(field, asked, known):
            yield Fault(("metrics", index), message)


def _filters(asked: Asked) -> Iterator[Fault]:
    for name in asked.filters:
        if name not in FILTERS:
            hint = near(name, FILTERS)
            yield Fault(("filters", name), f"the API can't filter by it{hint}; allowed: {', '.join(FILTERS)}")
    types = asked.filters.get("content_type", ())
    for value in types:
        if value not in CONTENT_TYPES:
            message = f"`{value}` is no content type{near(value, CONTENT_TYPES)}; allowed: {', '.join(CONTENT_TYPES)}"
            yield Fault(("filters", "content_type"), message)
    yield from _ids(asked, types)


def _ids(asked: Asked, types: tuple[str, ...]) -> Iterator[Fault]:
    for name in ("content_id", "channel_id"):
        for value in asked.filters.get(name, ()):
            if "," in value:
                yield Fault(("filters", name), f"`{value}` is several ids; write a list")
    contents, channels = asked.filters.get("content_id"), asked.filters.get("channel_id")
    if contents and len(types) != 1 and "content_type" not in asked.dimensions:
        yield Fault(("filters", "content_id"), "needs one `content_type` beside it, or the dimension `content_type`")
    if channels and "live" in types:
        yield Fault(("filters", "channel_id"), "the API knows the channels of recorded content only, not of live")
    if channels and contents:
        yield Fault(("filters", "channel_id"), "can't stand beside `content_id`; the API filters by one of them")


def _bucket(asked: Asked) -> Iterator[Fault]:
    bucket = asked.options.get("bucket")
    if bucket is None:
        return
    if bucket not in BUCKETS:
        message = f"`{bucket}` is no calendar bucket{near(bucket, BUCKETS)}; allowed: {', '.join(BUCKETS)}"
        yield Fault(("options", "bucket"), message)
    by = [dimension for dimension in asked.dimensions if dimension != "content_type"]
    if by:
        yield Fault(("options", "bucket"), f"takes the place of a dimension in the path; drop it, or `{by[0]}`")


def _metric(field: str, asked: Asked, known: Catalog) -> Iterator[str]:
    facts = known.known.get(field)
    if facts is None:
        yield f"the API has no metric `{field}`{near(field, known.known)}; allowed: {', '.join(known.known)}"
        return
    by = [dimension for dimension in asked.dimensions if dimension != "content_type"]
    for dimension in by:
        if dimension not in facts.dimensions:
            allowed = ", ".join(("content_type", *facts.dimensions))
            yield f"`{field}` can't be split by `{dimension}`{near(dimension, facts.dimensions)}; allowed: {allowed}"
    if facts.endpoint in SERIES and len(by) > 1:
        yield f"`{field}` can be split by one dimension besides `content_type`, not by {' and '.join(by)}"
    if "bucket" in asked.options and facts.endpoint not in SERIES:
        yield f"`{field}` has no calendar buckets; `options: {{bucket: …}}` is for the counted series"
    if asked.filters.get("channel_id") and facts.endpoint not in BY_CHANNEL:
        yield f"`{field}` can't be asked by channel; the metrics of {' and '.join(BY_CHANNEL)} can"
    if field == PEAKS and "content_id" not in by and len(asked.filters.get("content_id", ())) != 1:
        yield f"`{field}` of several contents is not their sum: add the dimension `content_id`, or filter by one id"

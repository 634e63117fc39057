"""What a query must be beyond its shape, and how it is completed from the defaults and the catalogue."""

import re
from collections.abc import Iterator, Mapping

from exporter.catalog import sanitise
from exporter.config.schema import Defaults, QueryShape
from exporter.model import Metric, Query
from exporter.providers import PROVIDERS
from exporter.providers.base import Asked, Fault, Provider, unicode

RESERVED_LABELS = ("source", "query", "le")
RESERVED_FAMILIES = ("video_analytics_exporter_", "process_", "python_", "scrape_")
FILTER_SYNTAX = "[]|="
"""What SmartSight's filter grammar uses itself, ``[country=US|Canada]``, and has no escape for (contract section 1)."""

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def query_faults(shape: QueryShape, provider: type[Provider] | None, labels: Mapping[str, str]) -> Iterator[Fault]:
    """Say what is wrong with a query at one of its sources; paths are relative to the query.

    Without the source's vendor, only what holds for all; a key that is wrong itself is left out of the shape.
    """
    yield from _dimension_faults(shape, labels)
    for name, values in shape.filters.items():
        for value in values:
            if set(value) & set(FILTER_SYNTAX):
                yield Fault(("filters", name), f"the value `{value}` holds one of {' '.join(FILTER_SYNTAX)}")
    if provider:
        yield from provider.query_faults(asked(shape))
        yield from _family_faults(shape, provider)


def source_name_fault(name: str) -> str:
    """Say why a name can't be a source's; empty if it can."""
    try:
        unicode(name)
    except ValueError as error:
        return f"the name {error}"
    return "" if name else "the name of a source must not be empty"


def _family_faults(shape: QueryShape, provider: type[Provider]) -> Iterator[Fault]:
    families: dict[str, str] = {}
    for index, metric in enumerate(_metrics(shape, provider)):
        name = metric.family.name
        if not METRIC_NAME.fullmatch(name):
            yield Fault(
                ("metrics", index, "name"),
                f"`{name}` is no metric name; letters, digits, `_` and `:` are allowed",
            )
        if name.startswith(RESERVED_FAMILIES):
            yield Fault(("metrics", index, "name"), f"`{name}` is kept for the exporter's own metrics")
        if name in families:
            yield Fault(
                ("metrics", index),
                f"`{metric.field}` and `{families[name]}` would both be `{name}`; drop one, or give it a `name`",
            )
        families.setdefault(name, metric.field)


def label_fault(name: str) -> str:
    """Say why a name can't be a label of the data; empty if it can."""
    if not LABEL_NAME.fullmatch(name) or name.startswith("__"):
        return f"`{name}` is no label name; letters, digits and `_` are allowed, and no `__` in front"
    if name in RESERVED_LABELS:
        return f"the label `{name}` is kept for the exporter"
    return ""


def _dimension_faults(shape: QueryShape, labels: Mapping[str, str]) -> Iterator[Fault]:
    personal = {name for provider in PROVIDERS.values() for name in provider.catalog.personal}
    seen = dict.fromkeys(labels, "the source's labels")
    for index, dimension in enumerate(shape.dimensions):
        path, label = ("dimensions", index), sanitise(dimension)
        if dimension.lower() == "timestamp":
            yield Fault(path, "`timestamp` can't be a label: every point in time would be a series of its own")
        elif message := label_fault(label):
            yield Fault(path, message)
        elif label in seen:
            yield Fault(path, f"the label `{label}` stands twice: it is in {seen[label]} too")
        elif dimension.lower() in personal and not shape.allow_personal_data:
            yield Fault(
                path,
                f"`{dimension}` identifies a person; the query must say `allow_personal_data: true` to export it",
            )
        seen.setdefault(label, "the dimensions")


def asked(shape: QueryShape) -> Asked:
    """Give a query as a vendor's module checks it."""
    return Asked(
        fields=tuple(metric.field for metric in shape.metrics or ()),
        dimensions=tuple(shape.dimensions),
        filters={name: tuple(dict.fromkeys(values)) for name, values in shape.filters.items()},
        options=shape.options,
        endpoint=shape.endpoint,
        having=shape.having,
        given=frozenset(shape.model_fields_set),
    )


def _metrics(shape: QueryShape, provider: type[Provider]) -> Iterator[Metric]:
    for metric in shape.metrics or ():
        yield provider.catalog.metric(metric.field, name=metric.name, text=metric.help, scale=metric.scale)


def build(
    shape: QueryShape, defaults: Defaults, source: str, provider: type[Provider], labels: Mapping[str, str]
) -> Query:
    """Complete a query that has no faults."""
    own = {name: getattr(shape, name) for name in Defaults.model_fields}
    values = defaults.model_dump() | {name: value for name, value in own.items() if value is not None}
    values["max_age"] = max(values["max_age"], 2 * values["interval"])
    return Query(
        source=source,
        name=shape.name,
        metrics=tuple(_metrics(shape, provider)),
        dimensions=tuple(shape.dimensions),
        filters=tuple((name, tuple(dict.fromkeys(found))) for name, found in shape.filters.items()),
        having=shape.having,
        top=shape.top,
        order_by=shape.order_by or shape.metrics[0].field,
        order=shape.order,
        endpoint=provider.endpoint(asked(shape)),
        options=tuple(shape.options.items()),
        labels=(("source", source), ("query", shape.name), *labels.items()),
        **values,
    )

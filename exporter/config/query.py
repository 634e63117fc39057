"""What a query must be beyond its shape, and how it is completed from the defaults and the catalogue."""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from exporter.catalog import sanitise
from exporter.config.history import KEYS
from exporter.config.schema import Defaults, QueryShape
from exporter.model import Family, Query
from exporter.providers import PROVIDERS
from exporter.providers.base import Asked, AskedMetric, Fault, Provider
from exporter.providers.shapes import SourceSettings, unicode

RESERVED_LABELS = ("source", "query", "le")
RESERVED_FAMILIES = ("video_analytics_exporter_", "process_", "python_", "scrape_")
FILTER_SYNTAX = "[]|="
"""What SmartSight's filter grammar uses itself, ``[country=US|Canada]``, and has no escape for (contract section 1)."""

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def query_faults(
    shape: QueryShape,
    wrong: AbstractSet[str],
    provider: type[Provider] | None,
    settings: SourceSettings | None,
    labels: Mapping[str, str],
) -> Iterator[Fault]:
    """Say what is wrong with a query at one of its sources; paths are relative to the query.

    Without the source's vendor, only what holds for all. Keys that are ``wrong`` themselves are not in the shape.
    """
    yield from _dimension_faults(shape, labels)
    for name, values in shape.filters.items():
        for value in values:
            if set(value) & set(FILTER_SYNTAX):
                hint = "; several values are a list: `[a, b]`" if "|" in value else ""
                yield Fault(("filters", name), f"the value `{value}` holds one of {' '.join(FILTER_SYNTAX)}{hint}")
    if provider:
        query = asked(shape, wrong)
        yield from provider.query_faults(query, settings)
        yield from _family_faults(query, provider)
    if shape.exemplars and not shape.allow_personal_data:
        yield Fault(("exemplars",), "shows ids of sessions, which belong to persons; say `allow_personal_data: true`")


def source_name_fault(name: str) -> str:
    """Say why a name can't be a source's; empty if it can."""
    try:
        unicode(name)
    except ValueError as error:
        return f"the name {error}"
    return "" if name else "the name of a source must not be empty"


def _family_faults(query: Asked, provider: type[Provider]) -> Iterator[Fault]:
    families: dict[str, str] = {}
    for index, metric in enumerate(provider.metrics(query)):
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


def kind_faults(shape: QueryShape, provider: type[Provider], taken: dict[str, Family]) -> Iterator[Fault]:
    """Say which of a query's metrics can't stand beside those of other queries, which are ``taken`` by their names.

    A family that is a gauge here and a distribution there, or a line that belongs to two, costs the whole scrape.
    """
    for index, metric in enumerate(provider.metrics(asked(shape))):
        family = metric.family
        for name in {family.name, *(family.name + line.suffix for line in metric.lines)}:
            other = taken.setdefault(name, family)
            if (other.name, other.kind) != (family.name, family.kind):
                yield Fault(
                    ("metrics", index),
                    f"the {family.kind} `{family.name}` can't stand beside the {other.kind} `{other.name}`",
                )
                break


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


def asked(shape: QueryShape, wrong: AbstractSet[str] = frozenset()) -> Asked:
    """Give a query as a vendor's module checks it; a key that is wrong itself is given, too."""
    return Asked(
        metrics=tuple(AskedMetric(each.field, each.name, each.help, each.scale) for each in shape.metrics),
        dimensions=tuple(shape.dimensions),
        filters={name: tuple(dict.fromkeys(values)) for name, values in shape.filters.items()},
        options=shape.options,
        endpoint=shape.endpoint,
        having=shape.having,
        order_by=shape.order_by,
        exemplars=shape.exemplars,
        buckets={field: tuple(bounds) for field, bounds in shape.buckets.items()},
        given=frozenset(shape.model_fields_set) | wrong,
    )


def build(
    shape: QueryShape, defaults: Defaults, source: str, provider: type[Provider], labels: Mapping[str, str]
) -> Query:
    """Complete a query that has no faults."""
    own = {name: getattr(shape, name) for name in Defaults.model_fields}
    values = defaults.model_dump() | {name: value for name, value in own.items() if value is not None}
    values = {name: value for name, value in values.items() if name not in KEYS}
    values["max_age"] = max(values["max_age"], 2 * values["interval"])
    return Query(
        source=source,
        name=shape.name,
        metrics=provider.metrics(asked(shape)),
        dimensions=tuple(shape.dimensions),
        filters=tuple((name, tuple(dict.fromkeys(found))) for name, found in shape.filters.items()),
        having=shape.having,
        top=shape.top,
        order_by=shape.order_by or (shape.metrics[0].field if shape.metrics else ""),
        order=shape.order,
        endpoint=provider.endpoint(asked(shape)),
        options=tuple(shape.options.items()),
        exemplars=shape.exemplars,
        labels=(("source", source), ("query", shape.name), *labels.items()),
        **values,
    )

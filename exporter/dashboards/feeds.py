"""What a configuration brings: its queries as Prometheus sees them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from exporter.catalog import Catalog, sanitise
from exporter.config import Config
from exporter.model import Metric, Query

TARGET_LABELS = ("job", "instance")
"""Labels of a scrape: Prometheus renames a label of the data that is called like one."""

UNITS = {"seconds": "s", "ratio": "percentunit", "bytes": "bytes"}
"""Grafana's units by the ends of families' names."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of a query: the catalogue's name of its family, by which panels ask for it, and the exported one."""

    role: str
    family: str
    help: str
    additive: bool
    kind: Literal["gauge", "histogram"]

    @property
    def unit(self) -> str:
        """Grafana's unit of its values."""
        return unit(self.family)


@dataclass(frozen=True, slots=True)
class Feed:
    """One query of the configuration, from all of its sources, with label names as they are in Prometheus.

    ``narrow`` tells how far it is from all there is: 0 for a query without filters. ``whole`` is whether its rows may
    be added up to a total at all, ``aside`` whether its endpoint is one beside the main one. ``delivered`` is whether
    its past comes by remote write, all the time.
    """

    name: str
    type: str
    sources: tuple[str, ...]
    own: tuple[str, ...]
    """Labels that the configuration gives its sources."""
    dimensions: tuple[str, ...]
    measures: Mapping[str, Measure] = field(hash=False)
    endpoint: str
    narrow: int
    whole: bool
    aside: bool
    window: int
    delivered: bool
    note: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that panels can filter by, besides source and query."""
        return (*self.own, *self.dimensions)


def unit(family: str) -> str:
    """Give Grafana's unit for a family, by the end of its name."""
    # Grafana shows points in time from milliseconds only.
    return "short" if family.endswith("_timestamp_seconds") else UNITS.get(family.rpartition("_")[2], "short")


def feeds(config: Config) -> tuple[Feed, ...]:
    """Give the queries of a configuration, in its order."""
    grouped: dict[str, list[Query]] = {}
    for query in config.queries:
        grouped.setdefault(query.name, []).append(query)
    return tuple(_feed(config, queries) for queries in grouped.values())


def _feed(config: Config, queries: list[Query]) -> Feed:
    query = queries[0]
    source = config.sources[query.source]
    endpoint = source.provider.catalog.endpoints.get(query.endpoint)
    partial = query.having is not None or query.top is not None
    # A query that shows chosen rows is no picture of all; one that is filtered, or of a calendar's bucket, of a part.
    narrow = 4 * partial + 2 * bool(query.options) + bool(query.filters)
    return Feed(
        name=query.name,
        type=source.type,
        sources=tuple(each.source for each in queries),
        own=tuple(dict.fromkeys(_label(name) for each in queries for name, _ in each.labels[2:])),
        dimensions=tuple(_label(sanitise(name)) for name in query.dimensions),
        measures={measure.role: measure for measure in _measures(source.provider.catalog, query)},
        endpoint=query.endpoint,
        narrow=narrow,
        whole=not partial and query.endpoint != "smartquery",
        aside=query.endpoint == "error" or bool(endpoint and endpoint.instead),
        window=query.window,
        delivered=query.history is not None,
        note=" ".join(_notes(query)),
    )


def _label(name: str) -> str:
    return f"exported_{name}" if name in TARGET_LABELS else name


def _measures(catalog: Catalog, query: Query) -> Iterator[Measure]:
    for metric in query.metrics:
        yield Measure(
            role=_role(catalog, metric),
            family=metric.family.name,
            help=metric.family.help,
            additive=_additive(catalog, metric),
            kind=metric.family.kind,
        )


def _role(catalog: Catalog, metric: Metric) -> str:
    if metric.field in catalog.counted:
        return catalog.counted[metric.field].family
    if metric.family.kind == "histogram":
        return catalog.distribution(metric.field).family.name
    return catalog.metric(metric.field).family.name


def _additive(catalog: Catalog, metric: Metric) -> bool:
    known = catalog.counted.get(metric.field) or catalog.known.get(metric.field)
    return known is not None and known.additive


def _notes(query: Query) -> Iterable[str]:
    """Say in words what of all there is a query shows."""
    yield f"Query `{query.name}`: the last {minutes(query.window)}, {minutes(query.delay)} late."
    if query.filters:
        yield "Only " + ", ".join(f"{name} {' or '.join(values)}" for name, values in query.filters) + "."
    if query.having:
        yield f"Only rows with {query.having}."
    if query.top:
        yield f"Only the {'first' if query.order == 'desc' else 'last'} {query.top} rows by {query.order_by}."
    if query.options:
        yield f"Options: {', '.join(f'{name}={value}' for name, value in query.options)}."


def minutes(seconds: int) -> str:
    """Write a duration as Prometheus takes it: in its largest whole unit."""
    return next(
        f"{seconds // size}{name}"
        for name, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
        if not seconds % size
    )

"""The page on the metrics, made from the catalogue and from the exporter's own registry."""

from collections.abc import Iterable, Iterator, Mapping

from exporter.catalog import Catalog, Known
from exporter.history.telemetry import Telemetry as HistoryTelemetry
from exporter.telemetry import Telemetry, described

HEAD = """\
---
hide: [toc]
---

# Metrics

Made by `make reference` from the catalogue (`exporter/catalog/*.yaml`); `video-analytics-exporter catalog WORD` finds a
line of it. All metrics of the vendors are gauges over the query's window in base units, with the labels `source`,
`query`, the source's `labels`, and the query's dimensions. *Scale* is the factor from the vendor's unit. **Additive**
ones may be summed over the groups of one query; a ratio, a percentile or a distinct count of groups is never that of
the whole. One family comes from several queries: select one before you sum,
`sum(smartsight_plays{query="qoe_by_cdn"})`.
"""

OWN = """\
## The exporter itself

Counters end with `_total`; histograms have `_bucket`, `_sum` and `_count`. Beside these there are the usual `process_*`
of Prometheus' clients, and `python_info`. What begins with `video_analytics_exporter_history_` is there where a query
has `history: true`.

| metric | type | labels | what it is |
|---|---|---|---|
"""

STATISTICS = """\
Each field has {names} too. The word stands before the field, and in the family before the
unit, or last where there is none: `{field}` is `{family}`. None of them is additive.

A field that is not in this table is exported unscaled, as `{prefix}` and its own name.
"""


def page(catalogs: Mapping[str, Catalog]) -> str:
    """Write the page of all vendors' catalogues."""
    parts = [HEAD, *(line for name, catalog in catalogs.items() for line in _vendor(name, catalog)), *_own()]
    return "\n".join(parts)


def _vendor(name: str, catalog: Catalog) -> Iterator[str]:
    yield f"## {catalog.vendor}: `type: {name}`\n"
    plain = [known for known in catalog.known.values() if not known.statistic]
    yield _table(
        ("field", "family", "unit", "scale", "additive", "endpoints", "what it is"),
        (
            (
                f"`{known.field}`",
                f"`{known.family}`",
                known.unit or ("seconds" if known.family.endswith("_seconds") else ""),
                f"{known.scale:g}",
                _additive(known),
                _reach(catalog, known),
                known.help + (" (an ad metric)" if known.ad else ""),
            )
            for known in plain
        ),
    )
    if every := [each.name for each in catalog.endpoints.values() if each.gives == "all"]:
        yield f"*Any* is each of {_list(every)}.\n"
    if catalog.statistics:
        yield _statistics(catalog, plain)
    if catalog.counted:
        yield "What the exporter counts in the rows of an endpoint:\n"
        counted = catalog.counted.values()
        yield _table(
            ("family", "endpoint", "additive", "what it is"),
            ((f"`{known.family}`", known.endpoint, _additive(known), known.help) for known in counted),
        )
    if catalog.buckets:
        yield from _distributions(catalog)
    yield f"Dimensions that are known: {_list(catalog.dimensions)}.\n"
    yield f"Of a person, and refused without `allow_personal_data: true`: {_list(sorted(catalog.personal))}.\n"


def _statistics(catalog: Catalog, plain: Iterable[Known]) -> str:
    first = catalog.statistics[-2]
    with_unit = next(known for known in plain if known.unit)
    field = f"{first}_{with_unit.field}"
    names = ", ".join(f"`{each}_…`" for each in catalog.statistics)
    return STATISTICS.format(names=names, field=field, family=catalog.known[field].family, prefix=catalog.prefix)


def _distributions(catalog: Catalog) -> Iterator[str]:
    sessions = [known for known in catalog.known.values() if known.session]
    yield "Fields that a session has become distributions; their buckets, where a query has no `buckets`:\n"
    metrics = ((known.field, catalog.distribution(known.field)) for known in sessions)
    yield _table(
        ("field", "family", "upper bounds"),
        ((f"`{field}`", f"`{each.family.name}`", ", ".join(f"{b:g}" for b in each.bounds)) for field, each in metrics),
    )


def _own() -> Iterator[str]:
    telemetry = Telemetry(lambda: 0.0)
    HistoryTelemetry(telemetry)
    rows = (
        (
            f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
            family.type,
            _list(labels),
            family.documentation,
        )
        for family, labels in sorted(described(telemetry.registry), key=lambda pair: pair[0].name)
    )
    yield OWN + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (heads, ("---",) * len(heads), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _reach(catalog: Catalog, known: Known) -> str:
    """Name the endpoints that have a metric; those that have every one together."""
    found = dict.fromkeys("any" if each.gives == "all" else each.name for each in catalog.reach(known))
    return ", ".join(found)


def _additive(known: Known) -> str:
    return "yes" if known.additive else "no"


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)

"""Which query a rule reads: the same family comes from several queries, and figures of two are never mixed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.catalog import sanitise
from exporter.config import Config
from exporter.model import Labels, Query

LONGEST = 3600
"""Seconds of a window, beyond which a query tells no news."""

NOT_WHOLE = frozenset({"smartquery", "listsessions"})
"""Endpoints whose rows are no share of all plays: prepared queries, and distributions."""


@dataclass(frozen=True, slots=True)
class Picked:
    """One query and the families to read from it, in the order in which they were asked for."""

    query: Query
    families: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The labels that all series of the query share, the source's own included."""
        return tuple(name for name, _ in self.query.labels)

    @property
    def labels(self) -> Labels:
        """What tells the query from all others."""
        return self.query.labels[:2]

    @property
    def selector(self) -> str:
        """The matchers that choose the query."""
        return selector(self.labels)

    @property
    def groups(self) -> tuple[str, ...]:
        """The labels by which the query's rows differ."""
        return tuple(map(sanitise, self.query.dimensions))

    def row(self, number: int) -> str:
        """Write the series of a family, each once: several replicas of an exporter would count it several times."""
        return self.once(f"{self.families[number]}{self.selector}")

    def once(self, expr: str) -> str:
        """Write what there is for each row once."""
        return f"max by ({', '.join((*self.keys, *self.groups))}) ({expr})"


def selector(labels: Labels) -> str:
    """Write matchers; JSON escapes what PromQL escapes."""
    return "{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels) + "}"


def pick(
    config: Config, wanted: tuple[str, ...], dimension: str | None = None, beside: tuple[str, ...] = ()
) -> Iterator[Picked]:
    """Give for each source the broadest query that has all of the catalogue's families, by a dimension if one is named.

    The broadest has no filter, then no options, no ``top``, the fewest dimensions, and stands first in the file. Of
    the families ``beside`` those are read too that the query has.
    """
    for source in config.sources:
        found = [
            (_narrowness(query), number, query)
            for number, query in enumerate(config.queries)
            if query.source == source and _tells(query) and (dimension is None or dimension in query.dimensions)
        ]
        for _, _, query in sorted(found, key=lambda each: each[:2]):
            there = exported(config, query)
            if all(family in there for family in wanted):
                yield Picked(query, tuple(there[family] for family in (*wanted, *beside) if family in there))
                break


def exported(config: Config, query: Query) -> dict[str, str]:
    """Give the families that a query exports, by the catalogue's name; the file may have given them others.

    Left out is what the catalogue does not know, or what the file has scaled in another way: no threshold fits it.
    """
    catalog = config.sources[query.source].provider.catalog
    known = {**catalog.counted, **catalog.known}
    return {
        known[metric.field].family: metric.family.name
        for metric in query.metrics
        if metric.field in known and metric.scale == known[metric.field].scale and metric.family.kind == "gauge"
    }


def _tells(query: Query) -> bool:
    """Whether a query's rows are all that happened of late: `having` shows bad rows only, a bucket is a whole day."""
    whole = query.having is None and query.endpoint not in NOT_WHOLE and "bucket" not in dict(query.options)
    return whole and query.window <= LONGEST


def _narrowness(query: Query) -> tuple[bool, bool, bool, int]:
    return bool(query.filters), bool(query.options), query.top is not None, len(query.dimensions)

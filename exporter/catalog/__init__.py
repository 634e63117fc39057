"""What is known of the vendors' fields: family, unit, scale, meaning. The facts are data, in YAML files beside this.

A field that no file knows is exported all the same, unscaled and under its own name; so a vendor's new metric needs
no release of this exporter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from exporter.model import Family, Fold, Metric

NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Known:
    """One field of the catalogue. ``endpoint``, ``fold`` and ``dimensions`` are for vendors with a path a metric."""

    field: str
    family: str
    help: str
    additive: bool
    scale: float = 1
    statistic: bool = False
    ad: bool = False
    session: bool = False
    endpoint: str = ""
    fold: Fold | None = None
    dimensions: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: its name in a query, its path, the logins that reach it, and what replaces a deprecated one.

    ``gives`` says which metrics it has: ``all``, those of a ``session``, or ``none`` that the catalogue knows.
    """

    name: str
    path: str
    logins: tuple[str, ...]
    help: str
    instead: str = ""
    gives: str = "none"


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that is known of one vendor."""

    vendor: str
    prefix: str
    known: Mapping[str, Known]
    statistics: tuple[str, ...]
    dimensions: tuple[str, ...]
    personal: frozenset[str]
    endpoints: Mapping[str, Endpoint]
    buckets: Mapping[str, tuple[float, ...]]
    counted: Mapping[str, Known]

    def metric(
        self, field: str, *, name: str | None = None, text: str | None = None, scale: float | None = None
    ) -> Metric:
        """Give the metric for a vendor's field, known or not; name, help text and scale override the catalogue's."""
        known = self.known.get(field)
        if known:
            family, meaning, factor = known.family, describe(known), known.scale
        else:
            family = self.prefix + sanitise(field)
            meaning = f"{self.vendor} field {sanitise(field)}, as the vendor sends it. Over the query's window."
            factor = 1
        return Metric(field, Family(name or family, text or meaning), factor if scale is None else scale)

    def distribution(
        self,
        field: str,
        *,
        name: str | None = None,
        text: str | None = None,
        scale: float | None = None,
        bounds: tuple[float, ...] = (),
    ) -> Metric:
        """Give the metric for a field of sessions, as a distribution; ``bounds`` override the catalogue's buckets."""
        plain, known = self.metric(field, scale=scale), self.known.get(field)
        short = plain.family.name.removeprefix(self.prefix)
        unit = known.unit if known else ""
        kinds = (field, short.removesuffix(f"_{unit}") if unit else short, unit, "")
        chosen = bounds or next(self.buckets[kind] for kind in kinds if kind in self.buckets)
        meaning = known.help if known else f"{self.vendor} field {sanitise(field)}, as the vendor sends it"
        help_ = text or f"{meaning}. By session, of those in the query's window; no counter."
        return Metric(field, Family(name or f"{self.prefix}session_{short}", help_, "histogram"), plain.scale, chosen)

    def count(self, name: str) -> Metric:
        """Give the metric for what the exporter counts itself."""
        known = self.counted[name]
        return Metric(name, Family(known.family, describe(known)), known.scale)

    def reach(self, known: Known) -> tuple[Endpoint, ...]:
        """Give the endpoints that have a metric."""
        if known.endpoint:
            return (self.endpoints[known.endpoint],)
        gives = ("all", "session") if known.session else ("all",)
        return tuple(endpoint for endpoint in self.endpoints.values() if endpoint.gives in gives)

    def is_statistic(self, field: str) -> bool:
        """Whether a field is a statistic over sessions, as ``p95_latency`` is; an unknown one is judged by its name."""
        known = self.known.get(field)
        return known.statistic if known else field.partition("_")[0] in self.statistics


def sanitise(name: str) -> str:
    """Make a metric or label name of any text: what Prometheus does not admit becomes an underscore."""
    clean = NOT_IN_A_NAME.sub("_", name)
    return f"_{clean}" if clean[:1].isdigit() else clean


def describe(known: Known) -> str:
    """The HELP text: what it is, over which time, and whether groups may be added up.

    Short, for it is in every scrape. Several queries feed one family and tell of the same plays again.
    """
    summed = "may be summed across labels of one query" if known.additive else "must not be summed across labels"
    return f"{known.help}. Over the query's window; {summed}."


@cache
def load(vendor_type: str) -> Catalog:
    """Read the catalogue of a source type; it is part of the package, so a fault in it is a bug."""
    data = yaml.safe_load(files(__name__).joinpath(f"{vendor_type}.yaml").read_text("utf-8"))
    statistics: Mapping[str, str] = data.get("statistics", {})
    known: dict[str, Known] = {}
    for field, facts in data["metrics"].items():
        for name in (field, *facts.get("aliases", ())):
            known[name] = entry(data["prefix"], name, facts)
    # A name in the table wins over one that is composed (avg_playtime_by_audience).
    for field, facts in data["metrics"].items():
        for name in (field, *facts.get("aliases", ())):
            for short, words in statistics.items():
                known.setdefault(f"{short}_{name}", entry(data["prefix"], f"{short}_{name}", facts, short, words))
    return Catalog(
        vendor=data["vendor"],
        prefix=data["prefix"],
        known=known,
        statistics=tuple(statistics),
        dimensions=tuple(data["dimensions"]),
        personal=frozenset(data["personal"]),
        endpoints={name: _endpoint(name, facts) for name, facts in data["endpoints"].items()},
        buckets={key: tuple(bounds) for key, bounds in data.get("buckets", {}).items()},
        counted={name: entry(data["prefix"], name, facts) for name, facts in data.get("counted", {}).items()},
    )


def entry(prefix: str, field: str, facts: Mapping[str, Any], statistic: str = "", words: str = "") -> Known:
    """Make the entry of one field, or of one statistic of it, from the file's facts."""
    parts = [facts["name"], statistic, facts.get("unit", "")]
    meaning = facts["help"]
    return Known(
        field=field,
        family=prefix + "_".join(part for part in parts if part),
        help=f"{words} of: {meaning[0].lower()}{meaning[1:]}" if statistic else meaning,
        # A mean or a percentile of groups cannot be had from theirs, whatever the field itself allows.
        additive=facts["additive"] and not statistic,
        scale=facts.get("scale", 1),
        statistic=bool(statistic),
        ad=facts.get("ad", False),
        session=facts.get("session", False) and not statistic,
        endpoint=facts.get("endpoint", ""),
        fold=facts.get("fold"),
        unit=facts.get("unit", ""),
        dimensions=tuple(facts.get("dimensions", ())),
    )


def _endpoint(name: str, facts: Mapping[str, Any]) -> Endpoint:
    return Endpoint(name, **{**facts, "logins": tuple(facts["logins"])})

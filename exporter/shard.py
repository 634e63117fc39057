"""Which queries of a configuration are a process's own, where several share them, and which part of the limits. Pure.

Every shard computes the same division from the configuration alone; none talks to another. Groups of queries find
theirs by rendezvous hashing: whatever moves when a shard is added moves to it.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from exporter.config import Config, Source
from exporter.model import Query
from exporter.plan import plan

HASH = 8
"""Bytes of a hash that are looked at."""

Loads = Mapping[int, Fraction]
"""The requests a second of one source that each shard makes, by ordinal; of those that make any."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``total`` processes that share the queries of a configuration; ``ordinal`` counts from 0."""

    ordinal: int = 0
    total: int = 1

    def own(self, config: Config) -> Config:
        """Give what this shard works on: its queries, their sources, and its part of these sources' limits."""
        if self.total == 1:
            return config
        seats = {name: _seats(source, self.total) for name, source in config.sources.items()}
        loads: defaultdict[str, defaultdict[int, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        own: set[tuple[str, str]] = set()
        for group in plan(config).groups:
            asked = group.asked
            ordinal = _owner(asked, seats[asked.source])
            loads[asked.source][ordinal] += Fraction(len(group.parts), asked.interval)
            if ordinal == self.ordinal:
                own.update(query.key for query in group.queries)
        sources = {
            name: _limited(source, loads[name], self.ordinal)
            for name, source in config.sources.items()
            if self.ordinal in loads[name]
        }
        return replace(config, sources=sources, queries=tuple(query for query in config.queries if query.key in own))


ONLY = Shard()
"""That of a process that shares its work with no other."""


def ordinal_of(host: str) -> int | None:
    """Give the ordinal at the end of a host's name, as a StatefulSet names its pods; ``None`` where there is none."""
    found = re.search(r"-([0-9]+)$", host.partition(".")[0])
    return int(found[1]) if found else None


def divide(limit: int, loads: Loads) -> dict[int, int]:
    """Divide a limit in proportion to the loads by the method of the largest remainder, with one for each at least.

    The limit is no smaller than the number of loads.
    """
    parts: dict[int, int] = {}
    rest = dict(loads)
    while small := [ordinal for ordinal, quota in _quotas(limit - len(parts), rest).items() if quota < 1]:
        for ordinal in small:
            parts[ordinal] = 1
            del rest[ordinal]
    quotas = _quotas(limit - len(parts), rest)
    parts |= {ordinal: int(quota) for ordinal, quota in quotas.items()}
    left = limit - sum(parts.values())
    for ordinal in sorted(quotas, key=lambda ordinal: (-(quotas[ordinal] % 1), ordinal))[:left]:
        parts[ordinal] += 1
    return parts


def _quotas(limit: int, loads: Loads) -> dict[int, Fraction]:
    whole = sum(loads.values())
    return {ordinal: limit * load / whole for ordinal, load in loads.items()}


def _limited(source: Source, loads: Loads, ordinal: int) -> Source:
    """Give a source with this shard's part of its limits."""
    limits = source.settings.limits
    a_minute = limits.requests_per_minute
    own = limits.model_copy(
        update={
            "concurrency": divide(limits.concurrency, loads)[ordinal],
            "requests_per_minute": divide(a_minute, loads)[ordinal] if a_minute is not None else None,
        }
    )
    settings = source.settings.model_copy(update={"limits": own})
    return replace(source, settings=settings, provider=type(source.provider)(settings))


def _seats(source: Source, total: int) -> list[int]:
    """Give the ordinals of the shards that may work for a source.

    There are no more than requests at a time or in a minute, so that one for each is no more than the limits. A shard
    that is added to more than these takes at most one's seat, each of them equally often (reservoir sampling).
    """
    limits = source.settings.limits
    most = min(limits.concurrency, limits.requests_per_minute or total, total)
    seats = list(range(most))
    for ordinal in range(most, total):
        seat = _hash(source.name, ordinal) % (ordinal + 1)
        if seat < most:
            seats[seat] = ordinal
    return seats


def _owner(query: Query, seats: Sequence[int]) -> int:
    key = _key(query)
    return seats[max(range(len(seats)), key=lambda seat: _hash(key, seat))]


def _key(query: Query) -> str:
    """Give what all queries that may share a request have in common, and what no other metric changes.

    Queries for the same rows stay together even where they share no request yet: a metric more may merge them.
    """
    rows = (query.source, query.dimensions, query.filters, query.having, query.top, query.options)
    return json.dumps((*rows, query.interval, query.window, query.delay))


def _hash(key: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{key}\0{number}".encode()).digest()[:HASH])

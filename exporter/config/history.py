"""Which buckets a query's history is made of, and whether it can be delivered at all."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.config.schema import Defaults, QueryShape
from exporter.model import History, Query
from exporter.providers.base import Fault, NoHistory, Provider

KEYS = ("history", "step", "settle", "catch_up", "catch_up_requests")
"""The keys of a query that are about its history."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
STEPS = (MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, HOUR, DAY)
"""What a vendor may have for buckets."""


def receiver_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Say where a file without ``remote_write`` asks for history all the same; ``data`` is the file as it stands."""
    given = data.get("queries")
    queries = given if isinstance(given, list) else []
    places = [(("defaults",), data.get("defaults")), *((("queries", at), query) for at, query in enumerate(queries))]
    for path, place in places:
        if isinstance(place, dict) and str(place.get("history")).lower() == "true" and not data.get("remote_write"):
            yield Fault((*path, "history"), "needs `remote_write`, which says where it is delivered to")


def settings(shape: QueryShape, defaults: Defaults) -> Mapping[str, Any]:
    """Give the values of a query's keys, defaults filled in."""
    own = {name: getattr(shape, name) for name in KEYS}
    return {name: getattr(defaults, name) if value is None else value for name, value in own.items()}


def with_history(query: Query, values: Mapping[str, Any], provider: Provider) -> Query | Fault:
    """Complete a query by how its history is delivered, or give why the vendor has none; ``values`` are its keys'."""
    if not values["history"]:
        return query
    step = values["step"] or usual_step(query, provider)
    try:
        provider.past(query, step)
    except NoHistory as problem:
        return Fault(("step" if values["step"] else "history",), str(problem))
    # A bucket must have the time to be asked for, and to be asked for again.
    catch_up = max(values["catch_up"], query.delay + 2 * max(step, query.interval))
    return replace(query, history=History(step, values["settle"], catch_up, values["catch_up_requests"]))


def usual_step(query: Query, provider: Provider) -> int:
    """Give the shortest buckets that the vendor has and that divide the interval; where none do, just the shortest."""
    there = [step for step in STEPS if _has(query, step, provider)]
    return next((step for step in there if query.interval % step == 0), there[0] if there else MINUTE)


def _has(query: Query, step: int, provider: Provider) -> bool:
    try:
        provider.past(query, step)
    except NoHistory:
        return False
    return True

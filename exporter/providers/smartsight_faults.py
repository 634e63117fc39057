"""What SmartSight would refuse, or read in another way than it is meant; told before anything is asked."""

from collections.abc import Iterator
from typing import Any

from exporter.catalog import Catalog
from exporter.providers.base import Asked, Fault, near, unsortable

OWN_PARAMETERS = {
    "period": "`window` and `delay` of the query",
    "metrics": "`metrics` of the query",
    "aggby": "`dimensions` of the query",
    "filter": "`filters` of the query",
    "qoefilter": "`having` of the query",
    "orderby": "`order_by` of the query",
    "order": "`order` of the query",
    "limit": "`top` of the query",
    "offset": "`top` of the query",
    "planlevel": "`plan_level` of the source",
}
"""Parameters that the exporter sets, and the keys that say them."""

LOGINS = {"api_key": "an API key", "password": "a user name and a password"}

UNHEARD = {
    "having": ("qbrdata", "session", "error", "smartquery", "alerts"),
    "filters": ("alerts",),
}
"""Keys of a query that an endpoint has no parameter for."""


def auth(settings: Any) -> Iterator[Fault]:  # noqa: ANN401 - SmartSightSettings, whose module imports this one
    """Check that there is one log-in and no more."""
    given = settings.auth
    keys, passwords = (given.api_key, given.api_key_file), (given.password, given.password_file)
    if given.username is None:
        if (keys[0] is None) == (keys[1] is None):
            yield Fault(("auth",), "needs exactly one of `api_key` and `api_key_file`")
        if any(value is not None for value in passwords):
            yield Fault(("auth",), "has a password, and needs a `username` with it")
        return
    if (passwords[0] is None) == (passwords[1] is None):
        yield Fault(("auth",), "needs exactly one of `password` and `password_file` beside `username`")
    if any(value is not None for value in keys):
        yield Fault(("auth",), "has two log-ins, a key and a name; make a source for each")


def query(asked: Asked, known: Catalog, login: str | None) -> Iterator[Fault]:
    """Check a query; ``login`` is how its source logs in, ``None`` if that is wrong itself."""
    endpoint = asked.endpoint or "metricquery"
    if endpoint not in known.endpoints:
        hint = near(endpoint, known.endpoints)
        yield Fault(("endpoint",), f"there is no endpoint `{endpoint}`{hint}; allowed: {', '.join(known.endpoints)}")
        return
    if login and login not in known.endpoints[endpoint].logins:
        needed = " or ".join(LOGINS[name] for name in known.endpoints[endpoint].logins)
        reached = ", ".join(name for name, facts in known.endpoints.items() if login in facts.logins)
        yield Fault(
            ("endpoint",),
            f"`{endpoint}` takes {needed}, and the source logs in with {LOGINS[login]}, which reaches: {reached}",
        )
    for name in asked.options:
        if name in OWN_PARAMETERS and not (name == "planlevel" and login == "api_key"):
            yield Fault(("options", name), f"is set by the exporter; use {OWN_PARAMETERS[name]}")
    for key, endpoints in UNHEARD.items():
        if key in asked.given and endpoint in endpoints:
            yield Fault((key,), f"the endpoint `{endpoint}` has no parameter for it")
    yield from _endpoint(asked, endpoint, known)
    yield from _concurrency(asked, known)


def _endpoint(asked: Asked, endpoint: str, known: Catalog) -> Iterator[Fault]:
    if endpoint == "alerts" and asked.metrics:
        yield Fault(("metrics",), "alerts are counted; leave `metrics` out")
    if endpoint != "alerts" and "metrics" not in asked.given:
        yield Fault(("metrics",), "is missing")
    if endpoint == "smartquery" and "queryname" not in asked.options:
        yield Fault(("options",), "the endpoint `smartquery` needs the name of a query: `options: {queryname: …}`")
    if endpoint == "smartquery" and asked.order_by and asked.order_by not in asked.fields:
        yield unsortable(asked)
    yield from _distributions(asked, endpoint, known)


def _distributions(asked: Asked, endpoint: str, known: Catalog) -> Iterator[Fault]:
    if endpoint != "listsessions":
        for key in ("buckets", "exemplars"):
            if key in asked.given:
                yield Fault((key,), "is for distributions, which `endpoint: listsessions` gives")
        return
    for index, field in enumerate(asked.fields):
        if field in asked.fields[:index]:
            yield Fault(("metrics", index), f"`{field}` stands twice; a query has one distribution of it")
        if known.is_statistic(field):
            yield Fault(("metrics", index), f"`{field}` is a statistic over sessions; a session itself has none")
        if field == "sessions":
            yield Fault(("metrics", index), "`sessions` are counted with every distribution; leave it out")
    for field in asked.buckets:
        if field not in asked.fields:
            yield Fault(("buckets", field), f"is no metric of the query{near(field, asked.fields)}")


def _concurrency(asked: Asked, known: Catalog) -> Iterator[Fault]:
    """``concurrency=1`` counts only what happened inside the period; the API has no such ad metrics and statistics."""
    if asked.options.get("concurrency") not in ("1", "true"):
        return
    for index, field in enumerate(asked.fields):
        entry = known.known.get(field)
        kind = "a statistic" if known.is_statistic(field) else "an ad metric" if entry and entry.ad else ""
        if kind:
            yield Fault(("metrics", index), f"`{field}` is {kind}, which the API refuses with `concurrency: 1`")

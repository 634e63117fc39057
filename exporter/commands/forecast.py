"""What the command ``plan`` finds out: what ``run`` would ask, when, and how often. Nothing is sent."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from urllib.parse import quote, urlencode

from exporter.commands.deliveries import Deliverable, deliverables
from exporter.config import Config, Source
from exporter.model import Part, Query, Request, Turn, Window
from exporter.plan import Group, Job, Plan, plan
from exporter.providers.base import ApiKey, ClientCredentials, Credentials
from exporter.window import window

HOUR, DAY = 3600, 86_400

PAGE_PARAMETERS = ("limit", "_limit")
"""What the vendors call the number of rows of a page."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One request of each poll, with the numbers that it can come to; ``queries`` are those that it answers."""

    source: str
    queries: tuple[str, ...]
    endpoint: str
    path: str
    lookup: str
    pages_at_most: int
    requests_per_hour: float
    requests_per_day: float


@dataclass(frozen=True, slots=True)
class Polled:
    """One query: when it is polled next, which period that poll asks for, and what it can bring."""

    source: str
    query: str
    interval: int
    next_poll: float
    window: Window
    series_at_most: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One source: how it is logged in to, what is looked up there, and how much all its queries ask together.

    The requests count one page each; ``requests_per_minute_at_most`` counts all pages that there can be. Without the
    requests that answer several queries there would be ``saved_per_day`` more.
    """

    source: str
    type: str
    login: str
    lookups: tuple[str, ...]
    requests_per_minute: float
    requests_per_minute_at_most: float
    requests_per_hour: float
    requests_per_day: float
    saved_per_day: float
    limit_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """All that ``run`` would do with a configuration."""

    queries: tuple[Polled, ...]
    requests: tuple[Planned, ...]
    sources: tuple[Asked, ...]
    history: tuple[Deliverable, ...]
    warnings: tuple[str, ...]


def forecast(config: Config, now: float, storage: Path | None = None) -> Forecast:
    """Say what ``run`` would do from ``now`` on, in Unix seconds; ``storage`` is where it stores."""
    found = plan(config)
    requests = tuple(planned for group in found.groups for planned in _requests(group, now))
    sources = tuple(_source(source, requests, found) for source in config.sources.values())
    return Forecast(
        queries=tuple(_query(job, now) for job in found.jobs),
        requests=requests,
        sources=sources,
        history=tuple(deliverables(config, storage)),
        warnings=(*_overruns(sources), *_gaps(config.queries), *_advice(config)),
    )


def as_json(found: Forecast) -> str:
    """Give a forecast for programs; times are Unix seconds."""
    return json.dumps(asdict(found), ensure_ascii=False, indent=2)


def login(credentials: Credentials) -> str:
    """Say how a source logs in."""
    if isinstance(credentials, ApiKey):
        return f"API key, in the header {credentials.header}"
    kind = "client credentials" if isinstance(credentials, ClientCredentials) else "user name and password"
    return f"{kind}, token from {credentials.token_url}"


def number(value: float) -> str:
    """Write a number with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _query(job: Job, now: float) -> Polled:
    query, tick = job.query, job.next_tick(now)
    return Polled(query.source, query.name, query.interval, tick, _window(query, tick), _series(query))


def _requests(group: Group, now: float) -> Iterator[Planned]:
    query = group.asked
    for part in group.parts:
        request = group.provider.request(query, Turn(part, _window(query, group.next_tick(now))))
        answered = [job.query for job in group.jobs if job.part(part)]
        yield Planned(
            source=query.source,
            queries=tuple(each.name for each in answered),
            endpoint=request.endpoint,
            path=path(request),
            lookup=request.lookup.path if request.lookup else "",
            pages_at_most=max(_pages(each, part, request) for each in answered),
            requests_per_hour=HOUR / query.interval,
            requests_per_day=DAY / query.interval,
        )


def _window(query: Query, now: float) -> Window:
    return window(now, interval=query.interval, length=query.window, delay=query.delay)


def path(request: Request) -> str:
    """Give path and parameters as they are sent; secrets are in headers. Commas and the like stay readable."""
    params = urlencode(request.params, quote_via=quote, safe=",:=")
    lookup = f"&{request.lookup.name}=<looked up>" if request.lookup else ""
    return f"{request.path}?{params}{lookup}"


def _lines(query: Query) -> int:
    return sum(len(metric.lines) for metric in query.metrics)


def _series(query: Query) -> int:
    """Give the series that whole rows come to: one row without dimensions, else what ``max_series`` has room for."""
    rows = query.max_series // _lines(query) if query.dimensions else 1
    return min(rows, query.top or rows) * _lines(query)


def _pages(query: Query, part: Part, request: Request) -> int:
    """Give the pages until ``max_series`` or ``max_rows`` is reached, if each row has all its values."""
    params = dict(request.params)
    page = next((int(params[name]) for name in PAGE_PARAMETERS if params.get(name, "").isdigit()), 0)
    rows = ceil(query.max_series / _lines(query)) if query.dimensions else 1
    if part.folds or (query.top is not None and "orderby" not in params):
        # What is aggregated or sorted here has to come whole.
        rows = query.max_rows
    elif query.top is not None:
        # The vendor sorts, so the rows beyond the top never come.
        rows = min(rows, query.top)
    return max(ceil(rows / page), 1) if page else 1


def _source(source: Source, requests: Sequence[Planned], found: Plan) -> Asked:
    own = [each for each in requests if each.source == source.name]
    hourly = sum(each.requests_per_hour for each in own)
    return Asked(
        source=source.name,
        type=source.type,
        login=login(source.provider.credentials),
        lookups=tuple(dict.fromkeys(each.lookup for each in own if each.lookup)),
        requests_per_minute=hourly / 60,
        requests_per_minute_at_most=sum(each.requests_per_hour * each.pages_at_most for each in own) / 60,
        requests_per_hour=hourly,
        requests_per_day=found.requests_per_day(source.name),
        saved_per_day=sum(group.requests_saved_per_day for group in found.groups if group.asked.source == source.name),
        limit_per_minute=source.settings.limits.requests_per_minute,
    )


def _overruns(sources: Iterable[Asked]) -> Iterator[str]:
    for each in sources:
        if each.limit_per_minute is not None and each.requests_per_minute > each.limit_per_minute:
            yield (
                f"{each.source}: the queries come to {number(each.requests_per_minute)} requests a minute, more than "
                f"`requests_per_minute: {each.limit_per_minute}`; polls will wait, and ticks be skipped"
            )


def _gaps(queries: Iterable[Query]) -> Iterator[str]:
    for query in queries:
        if query.window < query.interval:
            yield (
                f"{query.source}: `{query.name}` asks every {query.interval}s for the last {query.window}s: "
                "what happens between is in no answer"
            )


def _advice(config: Config) -> Iterator[str]:
    for query in config.queries:
        if advice := config.sources[query.source].provider.advice(query):
            yield f"{query.source}: `{query.name}` could be better: {advice}"

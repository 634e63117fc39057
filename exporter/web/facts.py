"""The facts that ``/`` shows and ``/api/v1/queries`` gives: each field's name is part of the API.

Times are Unix seconds and ``None`` where there are none; the names are those of the exporter's own metrics.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import exporter
from exporter.config import Source
from exporter.model import Delivered, Outcome, Query
from exporter.providers.base import ApiKey, ClientCredentials, Credentials
from exporter.providers.standing import Login, Standing
from exporter.web.past import Ended
from exporter.web.state import State

Health = Literal["ok", "failing", "waiting"]
"""How a query's last poll ended; ``waiting`` before the first one has."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One source."""

    source: str
    type: str
    url: str
    login: Literal["API key", "password", "client credentials"]
    login_state: Login
    token_expiry_timestamp_seconds: float | None
    limit_concurrency: int
    limit_requests_per_minute: int | None
    requests_per_day: float
    rate_limit_remaining: float | None
    paused_until_timestamp_seconds: float | None
    circuit_open: bool
    queries_ok: int
    queries_failing: int
    queries_waiting: int


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """A query's history at one receiver."""

    receiver: str
    error: str
    newest_bucket_timestamp_seconds: int | None
    complete_until_timestamp_seconds: int | None
    buckets_read_again: int
    buckets_revised: int
    largest_revision_ratio: float
    delay_enough_seconds: int | None
    delay_verdict: str


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """One query at one source. ``series`` are those that ``/metrics`` serves now."""

    source: str
    query: str
    endpoint: str
    interval_seconds: int
    state: Health
    reason: str
    error: str
    last_poll_timestamp_seconds: float | None
    last_success_timestamp_seconds: float | None
    next_poll_timestamp_seconds: float | None
    window_start_timestamp_seconds: int | None
    window_end_timestamp_seconds: int | None
    duration_seconds: float | None
    series: int
    recent_polls: int
    recent_failures: int
    history: tuple[HistoryFacts, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it, at one moment."""

    version: str
    timestamp_seconds: float
    shard_ordinal: int
    total_shards: int
    queries_ok: int
    queries_failing: int
    queries_waiting: int
    sources: tuple[SourceFacts, ...]
    queries: tuple[QueryFacts, ...]


def facts(state: State) -> Facts:
    """Gather the facts; to be called in the event loop, where they hold still."""
    config, outcomes, next_polls = state.config(), state.outcomes(), state.next_polls()
    circuits, standings, plan = state.circuits(), state.standings(), state.plan()
    queries = tuple(
        _query(state, query, outcomes.get(query.key), next_polls.get(query.key)) for query in config.queries
    )
    count = Counter((each.source, each.state) for each in queries)
    total = Counter(each.state for each in queries)
    sources = tuple(
        _source(
            source,
            standings.get(name, Standing()),
            count,
            requests_per_day=plan.requests_per_day(name),
            circuit_open=circuits.get(name, False),
        )
        for name, source in config.sources.items()
    )
    return Facts(
        version=exporter.__version__,
        timestamp_seconds=state.now(),
        shard_ordinal=state.shard.ordinal,
        total_shards=state.shard.total,
        queries_ok=total["ok"],
        queries_failing=total["failing"],
        queries_waiting=total["waiting"],
        sources=sources,
        queries=queries,
    )


def one(state: State, query: Query) -> QueryFacts:
    """Gather the facts of one query."""
    return _query(state, query, state.outcomes().get(query.key), state.next_polls().get(query.key))


def health(outcome: Outcome | Ended | None) -> Health:
    """Say how a poll ended."""
    return "waiting" if outcome is None else "failing" if outcome.reason else "ok"


def _source(
    source: Source,
    standing: Standing,
    count: Counter[tuple[str, Health]],
    *,
    requests_per_day: float,
    circuit_open: bool,
) -> SourceFacts:
    limits = source.settings.limits
    return SourceFacts(
        source=source.name,
        type=source.type,
        url=source.provider.base_url,
        login=_login(source.provider.credentials),
        login_state=standing.login,
        token_expiry_timestamp_seconds=standing.token_expiry,
        limit_concurrency=limits.concurrency,
        limit_requests_per_minute=limits.requests_per_minute,
        requests_per_day=requests_per_day,
        rate_limit_remaining=standing.remaining,
        paused_until_timestamp_seconds=standing.paused_until,
        circuit_open=circuit_open,
        queries_ok=count[source.name, "ok"],
        queries_failing=count[source.name, "failing"],
        queries_waiting=count[source.name, "waiting"],
    )


def _login(credentials: Credentials) -> Literal["API key", "password", "client credentials"]:
    if isinstance(credentials, ApiKey):
        return "API key"
    return "client credentials" if isinstance(credentials, ClientCredentials) else "password"


def _query(state: State, query: Query, outcome: Outcome | None, next_poll: float | None) -> QueryFacts:
    (polls, failures), snapshot = state.past.counts(query.key), state.snapshot(query)
    return QueryFacts(
        source=query.source,
        query=query.name,
        endpoint=query.endpoint,
        interval_seconds=query.interval,
        state=health(outcome),
        reason=outcome.reason if outcome else "",
        error=outcome.error if outcome else "",
        last_poll_timestamp_seconds=outcome.ended if outcome else None,
        last_success_timestamp_seconds=state.past.last_success(query.key),
        next_poll_timestamp_seconds=next_poll,
        window_start_timestamp_seconds=outcome.window.start if outcome else None,
        window_end_timestamp_seconds=outcome.window.end if outcome else None,
        duration_seconds=outcome.duration if outcome else None,
        series=snapshot.series if snapshot else 0,
        recent_polls=polls,
        recent_failures=failures,
        history=tuple(map(_history, state.deliveries().get(query.key, ()))),
    )


def _history(delivered: Delivered) -> HistoryFacts:
    return HistoryFacts(
        receiver=delivered.receiver,
        error=delivered.trouble,
        newest_bucket_timestamp_seconds=delivered.newest,
        complete_until_timestamp_seconds=delivered.until,
        buckets_read_again=delivered.read_again,
        buckets_revised=delivered.revised,
        largest_revision_ratio=delivered.largest,
        delay_enough_seconds=delivered.enough,
        delay_verdict=delivered.verdict,
    )

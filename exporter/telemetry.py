"""What the exporter says of itself (contract section 4, Itself), rendered by prometheus-client."""

import platform
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.openmetrics import exposition as openmetrics

import exporter
from exporter.exposition import Format
from exporter.model import Exchange, Outcome, Query
from exporter.shard import ONLY, Shard

PREFIX = "video_analytics_exporter"
BY_QUERY = ("source", "query")

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 200)
"""Buckets for the vendors' answers: IBM may take 60 s, SmartSight 200."""

RENDER: dict[Format, Callable[[Any], bytes]] = {
    Format.TEXT: prometheus_client.generate_latest,
    Format.OPENMETRICS: openmetrics.generate_latest,
}
"""Each wants a registry, and of that no more than what :class:`Told` has."""

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Told:
    """What the exporter said of itself at one moment."""

    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        """Give the families, as a registry does."""
        return self.families

    def render(self, form: Format) -> bytes:
        """Give them as text; in OpenMetrics with the end of file that closes a body."""
        return RENDER[form](self)


def _changes(note: Callable[Concatenate["Telemetry", P], None]) -> Callable[Concatenate["Telemetry", P], None]:
    """Let a method that changes what is told say so."""

    @wraps(note)
    def noting(self: "Telemetry", /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.version += 1
        note(self, *args, **kwargs)

    return noting


class Telemetry:
    """The exporter's own metrics, in a registry of their own. ``clock`` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float], revision: str = "unknown", shard: Shard = ONLY) -> None:
        self._clock = clock
        self.version = 0
        """Another number after each change; what the process itself tells (memory, processor) changes without one."""
        self.registry = CollectorRegistry()
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        prometheus_client.ProcessCollector(registry=self.registry)
        prometheus_client.PlatformCollector(registry=self.registry)
        self._info = self._gauge(
            "query_info",
            "A query of the configuration, as it is polled.",
            *BY_QUERY,
            "endpoint",
            "interval",
            "window",
            "delay",
        )
        self._success = self._gauge("query_success", "Whether the query's last poll succeeded.", *BY_QUERY)
        self._last_success = self._gauge(
            "query_last_success_timestamp_seconds", "When the query's last successful poll ended.", *BY_QUERY
        )
        self._window_end = self._gauge(
            "query_window_end_timestamp_seconds",
            "End of the period that the query's exported values cover.",
            *BY_QUERY,
        )
        self._series = self._gauge("query_series", "Series that the query's last successful poll brought.", *BY_QUERY)
        self._duration = self._histogram(
            "query_duration_seconds", "How long one whole poll of the query took.", *BY_QUERY
        )
        self._polls = self._counter("query_polls", "Polls of the query that ended.", *BY_QUERY)
        self._failures = self._counter("query_failures", "Polls of the query that failed.", *BY_QUERY, "reason")
        self._dropped = self._counter(
            "query_rows_dropped",
            "Rows of the vendor that were left out, or lost a value.",
            *BY_QUERY,
            "reason",
        )
        self._skipped = self._counter(
            "query_skipped", "Ticks on which the query's poll before was still running.", *BY_QUERY
        )
        self._requests = self._counter(
            "api_requests", "HTTP requests to the vendor that ended.", "source", "endpoint", "code"
        )
        self._request_duration = self._histogram(
            "api_request_duration_seconds",
            "How long the vendor took for an HTTP request.",
            "source",
            "endpoint",
        )
        self._throttled = self._counter(
            "api_throttled_seconds", "Time that requests waited for the source's limits.", "source"
        )
        self._retries = self._counter("api_retries", "Requests to the vendor that were made again.", "source")
        self._remaining = self._gauge(
            "api_rate_limit_remaining", "Requests that the vendor said it still admits, when it last said so.", "source"
        )
        self._planned = self._gauge(
            "api_planned_requests_per_day",
            "Requests that the configuration comes to in a day, one page each; log-ins and repeats come on top.",
            "source",
        )
        self._circuit = self._gauge(
            "api_circuit_open",
            "Whether the source's queries are polled less often, after repeated failures.",
            "source",
        )
        self._token_expiry = self._gauge(
            "api_token_expiry_timestamp_seconds", "When the source's access token expires.", "source"
        )
        self._reload_ok = self._gauge(
            "config_last_reload_successful", "Whether the configuration was good when it was last read."
        )
        self._reload_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When a good configuration was last read."
        )
        self._queries: set[tuple[str, str]] = set()
        self._sources: set[str] | None = None
        self._by_query = (
            self._success,
            self._last_success,
            self._window_end,
            self._series,
            self._duration,
            self._polls,
            self._skipped,
        )
        self._by_source = (
            self._requests,
            self._request_duration,
            self._throttled,
            self._retries,
            self._remaining,
            self._planned,
            self._circuit,
            self._token_expiry,
        )
        build = self._gauge("build_info", "The exporter that is running.", "version", "revision", "pythonversion")
        build.labels(exporter.__version__, revision, platform.python_version()).set(1)
        self._gauge("shard_ordinal", "Which of the shards this process is, from 0.").set(shard.ordinal)
        self._gauge("total_shards", "How many shards share the queries, as this one is told.").set(shard.total)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, registry=self.registry, buckets=SECONDS)

    @_changes
    def configured(self, queries: Iterable[Query], kept: Collection[tuple[str, str]] = ()) -> None:
        """Note a configuration that comes into force; what is known of queries goes, but for those that are kept."""
        queries = tuple(queries)
        self._reload_ok.set(1)
        self._reload_at.set(self._clock())
        for key in self._queries.difference(kept):
            for metric in self._by_query:
                metric.remove(*key)
            for metric in (self._failures, self._dropped):
                metric.remove_by_labels(dict(zip(BY_QUERY, key, strict=True)))
        sources = {query.source for query in queries}
        for source in (self._sources or set()) - sources:
            for metric in self._by_source:
                metric.remove_by_labels({"source": source})
        self._queries, self._sources = {query.key for query in queries}, sources
        self._info.clear()
        for query in queries:
            periods = (_duration(seconds) for seconds in (query.interval, query.window, query.delay))
            self._info.labels(*query.key, query.endpoint, *periods).set(1)
            self._polls.labels(*query.key)
            self._skipped.labels(*query.key)
        for source in sources:
            self._retries.labels(source)
            self._circuit.labels(source)

    @_changes
    def not_configured(self) -> None:
        """Note a configuration that can't be used."""
        self._reload_ok.set(0)

    @_changes
    def restored(self, last: Outcome, good: Outcome | None) -> None:
        """Note what was stored before this process began: how the last poll ended, and the last one that succeeded."""
        key = last.query.key
        self._success.labels(*key).set(last.succeeded)
        if good:
            self._last_success.labels(*key).set(good.ended)
            self._window_end.labels(*key).set(good.window.end)
            self._series.labels(*key).set(good.series)

    @_changes
    def polled(self, outcome: Outcome) -> None:
        """Note how a poll ended."""
        key = outcome.query.key
        self._polls.labels(*key).inc()
        self._duration.labels(*key).observe(outcome.duration)
        self._success.labels(*key).set(outcome.succeeded)
        if not outcome.succeeded:
            self._failures.labels(*key, outcome.reason).inc()
            return
        self._last_success.labels(*key).set(outcome.ended)
        self._window_end.labels(*key).set(outcome.window.end)
        self._series.labels(*key).set(outcome.series)
        for reason, rows in outcome.dropped.items():
            self._dropped.labels(*key, reason).inc(rows)

    @_changes
    def planned(self, source: str, requests_per_day: float) -> None:
        """Note how many requests the configuration comes to in a day."""
        self._planned.labels(source).set(requests_per_day)

    @_changes
    def skipped(self, queries: Iterable[Query]) -> None:
        """Note a tick on which the poll before of these queries was still running."""
        for query in queries:
            self._skipped.labels(*query.key).inc()

    def _gone(self, source: str) -> bool:
        """Whether a source is not configured any more: its last requests still end, and must not bring it back."""
        return self._sources is not None and source not in self._sources

    @_changes
    def circuit(self, source: str, *, is_open: bool) -> None:
        """Note whether a source's queries are polled less often."""
        self._circuit.labels(source).set(is_open)

    @_changes
    def retried(self, source: str) -> None:
        """Note that a request is made again."""
        if not self._gone(source):
            self._retries.labels(source).inc()

    @_changes
    def remaining(self, source: str, requests: float) -> None:
        """Note how many requests the vendor says are left."""
        if not self._gone(source):
            self._remaining.labels(source).set(requests)

    @_changes
    def requested(self, exchange: Exchange) -> None:
        """Note an HTTP request that ended."""
        if self._gone(exchange.source):
            return
        self._requests.labels(exchange.source, exchange.endpoint, exchange.code).inc()
        self._request_duration.labels(exchange.source, exchange.endpoint).observe(exchange.duration)

    @_changes
    def throttled(self, source: str, seconds: float) -> None:
        """Note that a request waited for its source's limits."""
        if not self._gone(source):
            self._throttled.labels(source).inc(seconds)

    @_changes
    def logged_in(self, source: str, life: float) -> None:
        """Note a new access token that is good for so many seconds."""
        if not self._gone(source):
            self._token_expiry.labels(source).set(self._clock() + life)

    def collect(self) -> "Told":
        """Give all of it as it is now."""
        return Told(tuple(self.registry.collect()))

    def render(self, form: Format) -> bytes:
        """Give all of it as text; in OpenMetrics with the end of file that closes a body."""
        return self.collect().render(form)


def _duration(seconds: int) -> str:
    """Write a duration as Prometheus does: ``1h30m``, ``90s`` as ``1m30s``."""
    text = ""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"

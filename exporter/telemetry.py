"""What the exporter says of itself (contract section 4, Itself): few families by prometheus-client, many lines kept."""

import platform
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import wraps
from itertools import chain
from typing import Concatenate, ParamSpec, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.metrics import MetricWrapperBase

import exporter
from exporter.exposition import Format
from exporter.model import Exchange, Outcome, Query
from exporter.own_families import Lines, Numbers, Observations
from exporter.process import Process
from exporter.shard import ONLY, Shard
from exporter.told import END_OF_BODY, Told

PREFIX = "video_analytics_exporter"
BY_QUERY = ("source", "query")

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 200)
"""Buckets for the vendors' answers: IBM may take 60 s, SmartSight 200."""

POLL_SECONDS = (0.25, 1, 5, 15, 60, 200)
"""Fewer for whole polls: queries may be thousands, where sources are tens."""

P = ParamSpec("P")
M = TypeVar("M", Counter, Gauge, Histogram)
F = TypeVar("F", bound=Lines)


def _changes(note: Callable[Concatenate["Telemetry", P], None]) -> Callable[Concatenate["Telemetry", P], None]:
    """Let a method that changes what is told say so."""

    @wraps(note)
    def noting(self: "Telemetry", /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.version += 1
        note(self, *args, **kwargs)

    return noting


class Telemetry:
    """The exporter's own metrics, in registries of their own. ``clock`` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float], revision: str = "unknown", shard: Shard = ONLY) -> None:
        self._clock = clock
        self.version = 0
        """Another number after each change of what is in ``registry``."""
        self.registry = CollectorRegistry()
        """All but what is in ``passing``."""
        self.passing = CollectorRegistry()
        """What changes without a new version: memory and processor time of the process."""
        self._few: list[Counter | Gauge | Histogram] = []
        self._many: list[Lines] = []
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.passing.register(Process())
        prometheus_client.PlatformCollector(registry=self.passing)
        self._info = self._numbers(
            "query_info",
            "A query of the configuration, as it is polled.",
            labels=(*BY_QUERY, "endpoint", "interval", "window", "delay"),
        )
        # Nothing can compute with the words of `query_info`, as whoever asks whether data is late must.
        self._interval = self._numbers("query_interval_seconds", "Time from one poll of the query to the next.")
        self._delay = self._numbers(
            "query_delay_seconds", "How long ago the period that a poll asks for ends, at least."
        )
        self._success = self._numbers("query_success", "Whether the query's last poll succeeded.")
        self._last_success = self._numbers(
            "query_last_success_timestamp_seconds", "When the query's last successful poll ended."
        )
        self._window_end = self._numbers(
            "query_window_end_timestamp_seconds", "End of the period that the query's exported values cover."
        )
        self._series = self._numbers("query_series", "Series that the query's last successful poll brought.")
        self._duration = self.add(
            Observations(
                f"{PREFIX}_query_duration_seconds", "How long one whole poll of the query took.", BY_QUERY, POLL_SECONDS
            )
        )
        self._polls = self._numbers("query_polls", "Polls of the query that ended.", "counter")
        self._failures = self._numbers(
            "query_failures", "Polls of the query that failed.", "counter", (*BY_QUERY, "reason")
        )
        self._dropped = self._numbers(
            "query_rows_dropped",
            "Rows of the vendor that were left out, or lost a value.",
            "counter",
            (*BY_QUERY, "reason"),
        )
        self._skipped = self._numbers(
            "query_skipped", "Ticks on which the query's poll before was still running.", "counter"
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
        self._by_query = tuple(self._many)
        # Noted after each poll, and nearly always as before.
        self._circuit = self._numbers(
            "api_circuit_open",
            "Whether the source's queries are polled less often, after repeated failures.",
            labels=("source",),
        )
        self._by_source = (
            self._requests,
            self._request_duration,
            self._throttled,
            self._retries,
            self._remaining,
            self._planned,
            self._token_expiry,
        )
        build = self._gauge("build_info", "The exporter that is running.", "version", "revision", "pythonversion")
        build.labels(exporter.__version__, revision, platform.python_version()).set(1)
        self._gauge("shard_ordinal", "Which of the shards this process is, from 0.").set(shard.ordinal)
        self._gauge("total_shards", "How many shards share the queries, as this one is told.").set(shard.total)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return self._of_few(Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return self._of_few(Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return self._of_few(Histogram(f"{PREFIX}_{name}", text, labels, registry=self.registry, buckets=SECONDS))

    def _of_few(self, metric: M) -> M:
        self._few.append(metric)
        return metric

    def _numbers(self, name: str, text: str, kind: str = "gauge", labels: tuple[str, ...] = BY_QUERY) -> Numbers:
        return self.add(Numbers(f"{PREFIX}_{name}", text, kind, labels))

    def add(self, family: F) -> F:
        """Tell this family, too."""
        self.registry.register(family)
        self._many.append(family)
        family.changed = self._changed
        return family

    def _changed(self) -> None:
        self.version += 1

    @_changes
    def configured(self, queries: Iterable[Query], kept: Collection[tuple[str, str]] = ()) -> None:
        """Note a configuration that comes into force; what is known of queries goes, but for those that are kept."""
        queries = tuple(queries)
        self._reload_ok.set(1)
        self._reload_at.set(self._clock())
        gone, self._queries = self._queries.difference(kept), {query.key for query in queries}
        self._info.forget(lambda _: True)
        for family in self._by_query:
            family.forget(lambda key: key[:2] in gone)
        sources = {query.source for query in queries}
        for source in (self._sources or set()) - sources:
            for metric in self._by_source:
                metric.remove_by_labels({"source": source})
        self._circuit.forget(lambda key: key[0] not in sources)
        self._sources = sources
        for query in queries:
            periods = (_duration(seconds) for seconds in (query.interval, query.window, query.delay))
            self._info.set((*query.key, query.endpoint, *periods), 1)
            self._interval.set(query.key, query.interval)
            self._delay.set(query.key, query.delay)
            self._polls.add(query.key, 0)
            self._skipped.add(query.key, 0)
            # What alerts count begins at 0, for increase() does not see a counter's first value.
            self._failures.add((*query.key, "auth"), 0)
            self._dropped.add((*query.key, "limit"), 0)
        for source in sources:
            self._retries.labels(source)
            self._circuit.add((source,), 0)

    @_changes
    def not_configured(self) -> None:
        """Note a configuration that can't be used."""
        self._reload_ok.set(0)

    def restored(self, last: Outcome, good: Outcome | None) -> None:
        """Note what was stored before this process began: how the last poll ended, and the last one that succeeded."""
        self._success.set(last.query.key, last.succeeded)
        if good:
            self._brought(good)

    def _brought(self, good: Outcome) -> None:
        self._last_success.set(good.query.key, good.ended)
        self._window_end.set(good.query.key, good.window.end)
        self._series.set(good.query.key, good.series)

    def polled(self, outcome: Outcome) -> None:
        """Note how a poll ended."""
        key = outcome.query.key
        self._polls.add(key)
        self._duration.observe(key, outcome.duration)
        self._success.set(key, outcome.succeeded)
        if not outcome.succeeded:
            self._failures.add((*key, outcome.reason))
            return
        self._brought(outcome)
        for reason, rows in outcome.dropped.items():
            self._dropped.add((*key, reason), rows)

    @_changes
    def planned(self, source: str, requests_per_day: float) -> None:
        """Note how many requests the configuration comes to in a day."""
        self._planned.labels(source).set(requests_per_day)

    def skipped(self, queries: Iterable[Query]) -> None:
        """Note a tick on which the poll before of these queries was still running."""
        for query in queries:
            self._skipped.add(query.key)

    def _gone(self, source: str) -> bool:
        """Whether a source is not configured any more: its last requests still end, and must not bring it back."""
        return self._sources is not None and source not in self._sources

    def circuit(self, source: str, *, is_open: bool) -> None:
        """Note whether a source's queries are polled less often."""
        self._circuit.set((source,), is_open)

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

    def collect(self) -> Told:
        """Give what is in ``registry`` as it is now."""
        families = chain.from_iterable(metric.collect() for metric in self._few)
        return Told(tuple(families), tuple((*family.describe(), family.text()) for family in self._many))

    def collect_passing(self) -> Told:
        """Give what is in ``passing`` as it is now."""
        return Told(tuple(self.passing.collect()))

    def render(self, form: Format) -> bytes:
        """Give all of it as text; in OpenMetrics with the end of file that closes a body."""
        return self.collect().render(form) + self.collect_passing().render(form) + END_OF_BODY[form]


def described(registry: CollectorRegistry) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Give the families of the exporter's own making in a registry, without samples, and the names of their labels."""
    # prometheus-client shows the labels of a metric without samples nowhere else.
    for collector in registry._collector_to_names:  # noqa: SLF001
        if isinstance(collector, Lines):
            yield from ((family, collector.labels) for family in collector.describe())
        elif isinstance(collector, MetricWrapperBase):
            yield from ((family, tuple(collector._labelnames)) for family in collector.describe())  # noqa: SLF001


def _duration(seconds: int) -> str:
    """Write a duration as Prometheus does: ``1h30m``, ``90s`` as ``1m30s``."""
    text = ""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"

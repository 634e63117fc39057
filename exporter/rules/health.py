"""Whether the exporter can tell at all.

Its own metrics are the same for every configuration; how old data may be is a matter of each query's times.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator

from exporter.circuit import FARTHEST
from exporter.config import Config
from exporter.rules.model import Alert

P = "video_analytics_exporter"
EACH = "job, instance, source"

OF, QUERY, VALUE = "{{ $labels.source }}", "{{ $labels.query }}", "{{ $value | humanizeDuration }}"


def alerts(config: Config) -> Iterator[Alert]:
    """Give the alerts on the exporter itself."""
    lookback = f"{_lookback(config) // 60}m"
    yield from _on_queries(config)
    yield from _on_vendors(lookback)
    yield from _on_processes()


def _on_queries(config: Config) -> Iterator[Alert]:
    yield Alert(
        "DataTooOld",
        "\nor\n".join(_too_old(config)),
        "critical",
        "exporter",
        f"{OF}: the data of {QUERY} is too old",
        f"The values of the query {QUERY} end {VALUE} ago, more than its delay and 4 intervals: polls "
        "fail or hang. What other alerts say of this query is of then.",
        "1m",
    )
    yield Alert(
        "QueryWithoutData",
        f"{P}_query_info\nunless on ({EACH}, query)\n{P}_query_window_end_timestamp_seconds",
        "critical",
        "exporter",
        f"{OF}: {QUERY} has never had an answer",
        f"No poll of the query {QUERY} has succeeded since the exporter began to ask.",
        "10m",
    )
    yield Alert(
        "SeriesLimitReached",
        "\nor\n".join(_cut(config)),
        "warning",
        "exporter",
        f"{OF}: {QUERY} has more series than max_series",
        f"About {{{{ $value | humanize }}}} rows of {QUERY} were left out of late: its sums are too small.",
        "5m",
    )


def _on_vendors(lookback: str) -> Iterator[Alert]:
    # Polls may lie far apart by now (the circuit), so it holds on by itself until one succeeds.
    yield Alert(
        "LoginFailing",
        f'(\n  sum by ({EACH}, query) (increase({P}_query_failures_total{{reason="auth"}}[{lookback}])) > 0\n  or\n'
        f'  max by ({EACH}, query) (ALERTS{{alertname="LoginFailing", alertstate="firing"}})\n)\n'
        f"and on ({EACH}, query)\n{P}_query_success == 0",
        "critical",
        "exporter",
        f"{OF}: the vendor refuses the log-in",
        f"Polls of the query {QUERY} failed, for the vendor refused key, password or token, and none has succeeded "
        "since.",
        "5m",
    )
    yield Alert(
        "RateLimited",
        f'sum by ({EACH}) (increase({P}_api_requests_total{{code="429"}}[{lookback}])) > 0',
        "warning",
        "exporter",
        f"{OF}: the vendor limits the requests",
        f"The vendor answered about {{{{ $value | humanize }}}} requests with 429 in {lookback}; polls wait or fail.",
        "5m",
    )
    yield Alert(
        "CircuitOpen",
        f"{P}_api_circuit_open == 1",
        "critical",
        "exporter",
        f"{OF}: polls are made less often",
        f"After repeated failures of all its queries {OF} is polled each {FARTHEST} intervals at worst.",
        "5m",
    )


def _on_processes() -> Iterator[Alert]:
    yield Alert(
        "ReloadFailed",
        f"{P}_config_last_reload_successful == 0",
        "warning",
        "exporter",
        "{{ $labels.instance }}: the configuration is wrong",
        "The last reload of {{ $labels.instance }} found errors; the configuration before is still in force, and a "
        "restart would fail.",
        "5m",
    )
    yield Alert(
        "ShardMissing",
        f'count by (job) (count_values by (job) ("ordinal", {P}_shard_ordinal))\n'
        f"< on (job)\nmax by (job) ({P}_total_shards)",
        "critical",
        "exporter",
        "{{ $labels.job }}: shards are missing",
        "Only {{ $value }} of the shards are scraped: the queries of the others are polled by nobody.",
        "5m",
    )
    yield Alert(
        "ExporterDown",
        # Of jobs in which there was an exporter lately: this outlasts the last of them.
        f"up == 0\nand on (job)\nlast_over_time({P}_build_info[1w])",
        "critical",
        "exporter",
        "{{ $labels.instance }}: the exporter cannot be scraped",
        "Scrapes of {{ $labels.instance }} (job {{ $labels.job }}) fail: its queries are polled by nobody, or what "
        "they bring does not get here.",
        "5m",
    )
    yield Alert(
        "ExporterAbsent",
        f"absent({P}_build_info)",
        "critical",
        "exporter",
        "No video-analytics-exporter is scraped",
        "Prometheus has no sample of any exporter: it is down, or the scrape configuration has lost it.",
        "5m",
    )


def _too_old(config: Config) -> Iterator[str]:
    """Compare the end of each query's window with what its own delay and interval admit.

    A query's name is unique in the file, and its times are the same for all of its sources.
    """
    limits: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for query in config.queries:
        limits[query.oldest][query.name] = None
    for limit, names in sorted(limits.items()):
        matcher = _one_of(names)
        yield f"time() - {P}_query_window_end_timestamp_seconds{{query{matcher}}} > {limit}"


def _cut(config: Config) -> Iterator[str]:
    """Count the rows that each query left out in the time of its last polls; half an hour at least."""
    lookbacks: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for query in config.queries:
        lookbacks[max(1800, 3 * query.interval)][query.name] = None
    for lookback, names in sorted(lookbacks.items()):
        dropped = f'{P}_query_rows_dropped_total{{reason="limit", query{_one_of(names)}}}[{lookback // 60}m]'
        yield f"sum by ({EACH}, query) (increase({dropped})) > 0"


def _one_of(names: dict[str, None]) -> str:
    if len(names) == 1:
        return f"={json.dumps(*names, ensure_ascii=False)}"
    pattern = "|".join(re.escape(name) for name in names)
    return f"=~{json.dumps(pattern, ensure_ascii=False)}"


def _lookback(config: Config) -> int:
    """Give the seconds in which every source is polled twice, with its circuit open too; half an hour at least."""
    shortest = (min(q.interval for q in config.queries if q.source == source) for source in _polled(config))
    return max(1800, (2 * FARTHEST + 1) * max(shortest))


def _polled(config: Config) -> set[str]:
    return {query.source for query in config.queries}

"""The dashboard of the exporter itself: is what the others show fresh, and what does it cost?"""

from exporter.dashboards.offer import Offer, matchers
from exporter.dashboards.panels import OWN
from exporter.dashboards.spec import Board, Choice, Kind, Panel, Row, Steps, Target

QUERY = matchers(extra='query=~"$query"')
SOURCE = matchers()
TARGET = 'job=~"$job", instance=~"$instance"'
NONE_IS_BEST = Steps("green", ((1, "red"),))
AGE = Steps("green", ((600, "yellow"), (900, "red")))
PLAIN = Steps("blue")
BY = "by (source, query)"
DAY = 86400


def health(offer: Offer) -> Board:
    """Say whether every query is fresh, why one is not, and how near the limits are."""
    names = tuple(feed.name for feed in offer.feeds)
    return Board(
        "health",
        "Exporter health",
        "Is every query fresh, why does one fail, and how near are the limits of the vendors and of Prometheus?",
        (
            Row("Now", NOW),
            Row("Freshness", FRESHNESS),
            Row("Failures", FAILURES),
            Row("The vendors' APIs", VENDORS),
            Row("What Prometheus gets", SCRAPES),
            Row("By query", (QUERIES,)),
        ),
        choices=(
            Choice("query", "Query", names, f"label_values({_own('query_info', SOURCE)}, query)", everything=True),
        ),
    )


def _own(name: str, chosen: str) -> str:
    return f"{OWN}_{name}{{{chosen}}}"


def _stat(title: str, description: str, unit: str, expr: str, steps: Steps) -> Panel:
    return Panel("stat", title, description, unit, (Target(expr, title),), steps, 4, 4)


def _chart(  # noqa: PLR0913, PLR0917 - a panel's fields, in their order
    title: str, description: str, unit: str, expr: str, legend: str, steps: Steps = PLAIN
) -> Panel:
    return Panel("timeseries", title, description, unit, (Target(expr, legend),), steps)


def _window_end() -> str:
    return f"max {BY} ({_own('query_window_end_timestamp_seconds', QUERY)})"


def _increase(name: str, by: str, chosen: str = QUERY) -> str:
    """Count over the period that is shown. What never happened has no series, so those that are polled say 0."""
    return f"sum by ({by}) (increase({_own(name, chosen)}[$__range]))"


SUCCESS = _own("query_success", QUERY)
NOW = (
    _stat(
        "Exporters up",
        "Exporters that Prometheus reaches. Fewer than there should be: look at their logs, then at the network.",
        "short",
        f"sum(up{{{TARGET}}} and on (job) last_over_time({_own('build_info', TARGET)}[1d]))",
        Steps("red", ((1, "green"),)),
    ),
    _stat(
        "Queries that fail",
        "Queries whose last poll failed. The row Failures has the reasons, the exporter's log the words.",
        "short",
        f"count({SUCCESS} == 0) or 0 * count({SUCCESS})",
        NONE_IS_BEST,
    ),
    _stat(
        "Oldest data",
        "How long ago the oldest period ended that is still shown. It is never less than the queries' `delay`.",
        "s",
        f"max(time() - {_window_end()})",
        AGE,
    ),
    _stat(
        "Sources slowed down",
        "Sources that are polled less often after repeated failures. They recover by themselves with the vendor.",
        "short",
        f"sum({_own('api_circuit_open', SOURCE)})",
        NONE_IS_BEST,
    ),
    _stat(
        "Configuration",
        "1 where the file was good when it was last read. At 0 the old one is in force: run `check` on the new one.",
        "short",
        f"min({_own('config_last_reload_successful', TARGET)})",
        Steps("red", ((1, "green"),)),
    ),
    _stat(
        "Requests a day",
        "HTTP requests to the vendors in the last 24 hours. Compare with your contract, and with what `plan` says.",
        "short",
        f"sum(increase({_own('api_requests_total', SOURCE)}[1d]))",
        PLAIN,
    ),
)
FRESHNESS = (
    _chart(
        "Age of the data",
        "How long ago the period ended that each query's values are of. A line that rises is a query that fails, or "
        "a vendor that is late.",
        "s",
        f"time() - {_window_end()}",
        "{{query}} ({{source}})",
        AGE,
    ),
    _chart(
        "Since the last good poll",
        "Beyond a query's `max_age` its values are gone from Prometheus.",
        "s",
        f"time() - max {BY} ({_own('query_last_success_timestamp_seconds', QUERY)})",
        "{{query}} ({{source}})",
        AGE,
    ),
)
FAILURES = (
    _chart(
        "Failed polls by reason",
        "`auth`: the key or password; `rate_limited`: ask less often; `timeout`, `network`, `server_error`: the "
        "vendor or the way there; `bad_request`, `bad_response`: the query; `bug`: tell us.",
        "short",
        f"sum by (source, reason) (increase({_own('query_failures_total', QUERY)}[$__rate_interval]))\n"
        f"or\n0 * sum by (source) ({SUCCESS})",
        "{{source}} {{reason}}",
        NONE_IS_BEST,
    ),
    _chart(
        "Rows left out, by reason",
        "`limit`: raise `max_series` or ask fewer dimensions, for rows are missing; `duplicate`, `invalid`: what the "
        "vendor sent could not be used.",
        "short",
        f"sum by (source, query, reason) (increase({_own('query_rows_dropped_total', QUERY)}[$__rate_interval]))\n"
        f"or\n0 * sum by (source) ({SUCCESS})",
        "{{query}} {{reason}} ({{source}})",
        NONE_IS_BEST,
    ),
    _chart(
        "Skipped ticks",
        "Polls that did not start because the one before still ran: the vendor is slower than the query's interval.",
        "short",
        f"sum by (source, query) (increase({_own('query_skipped_total', QUERY)}[$__rate_interval]))",
        "{{query}} ({{source}})",
        NONE_IS_BEST,
    ),
    _chart(
        "Sources slowed down",
        "1 while a source is polled less often, after repeated failures.",
        "short",
        f"max by (source) ({_own('api_circuit_open', SOURCE)})",
        "{{source}}",
        NONE_IS_BEST,
    ),
)
VENDORS = (
    _chart(
        "API requests a day, at this pace",
        "What the present rate comes to in a day, by endpoint: the vendors bill and limit by it.",
        "short",
        f"{DAY} * sum by (source, endpoint) (rate({_own('api_requests_total', SOURCE)}[$__rate_interval]))",
        "{{source}} {{endpoint}}",
    ),
    _chart(
        "API answers by code",
        "Requests a second by status, or by the reason where no answer came. Anything but 200 is worth a look.",
        "reqps",
        f"sum by (source, code) (rate({_own('api_requests_total', SOURCE)}[$__rate_interval]))",
        "{{source}} {{code}}",
    ),
    _chart(
        "Time of a request, p95",
        "How slow the vendors are. IBM may take a minute, SmartSight three; beyond `timeout` a poll fails.",
        "s",
        "histogram_quantile(0.95, sum by (le, source, endpoint) "
        f"(rate({_own('api_request_duration_seconds_bucket', SOURCE)}[$__rate_interval])))",
        "{{source}} {{endpoint}}",
        Steps("green", ((30, "yellow"), (60, "red"))),
    ),
    _chart(
        "Requests that the vendor still admits",
        "What the vendor last said is left. At 0 nothing is asked until its limit is reset. Empty where a vendor "
        "does not say.",
        "short",
        f"min by (source) ({_own('api_rate_limit_remaining', SOURCE)})",
        "{{source}}",
        Steps("red", ((1, "yellow"), (10, "green"))),
    ),
    _chart(
        "Waiting for limits",
        "Seconds a second that requests wait for `limits`. More than the number of requests at a time: the limits "
        "are too tight for the queries.",
        "s",
        f"sum by (source) (rate({_own('api_throttled_seconds_total', SOURCE)}[$__rate_interval]))\n"
        f"or\n0 * sum by (source) ({_own('api_circuit_open', SOURCE)})",
        "{{source}}",
        Steps("green", ((1, "yellow"), (4, "red"))),
    ),
    _chart(
        "Repeated requests",
        "Requests a second that were made again after a passing error.",
        "reqps",
        f"sum by (source) (rate({_own('api_retries_total', SOURCE)}[$__rate_interval]))",
        "{{source}}",
        Steps("green", ((0.1, "yellow"), (1, "red"))),
    ),
    _chart(
        "Life of the access tokens",
        "Time until the access token expires; it is renewed before. Below 0 the log-in fails.",
        "s",
        f"min by (source) ({_own('api_token_expiry_timestamp_seconds', SOURCE)}) - time()",
        "{{source}}",
        Steps("red", ((0, "green"),)),
    ),
)
SCRAPES = (
    _chart(
        "Series by query",
        "What each query costs Prometheus. A sudden rise is a dimension with many new values.",
        "short",
        f"sum {BY} ({_own('query_series', QUERY)})",
        "{{query}} ({{source}})",
        Steps("green", ((8000, "yellow"), (10000, "red"))),
    ),
    _chart(
        "Samples a scrape",
        "The size of the exporter's page, in samples, as Prometheus counted it.",
        "short",
        f"scrape_samples_scraped{{{TARGET}}} and on (job, instance) {_own('build_info', TARGET)}",
        "{{instance}}",
    ),
    _chart(
        "Time of a scrape",
        "It is served from memory: seconds mean a slow network, or an exporter that is short of CPU.",
        "s",
        f"scrape_duration_seconds{{{TARGET}}} and on (job, instance) {_own('build_info', TARGET)}",
        "{{instance}}",
        Steps("green", ((1, "yellow"), (5, "red"))),
    ),
    _chart(
        "Memory",
        "Resident memory of the exporter. It goes with the series; a steady rise without them is a fault of ours.",
        "bytes",
        f"process_resident_memory_bytes{{{TARGET}}} and on (job, instance) {_own('build_info', TARGET)}",
        "{{instance}}",
    ),
)


def _column(name: str, unit: str, expr: str, steps: Steps = PLAIN) -> Target:
    return Target(expr, "", name, unit, steps)


TABLE: Kind = "table"
QUERIES = Panel(
    TABLE,
    "Queries",
    "Each query in a row: how it is polled, how old it is, and what it costs. Take its name to `query NAME`.",
    "short",
    (
        _column(
            "Works",
            "short",
            f"max by (source, query, endpoint, interval, window, delay) ({_own('query_info', QUERY)})\n"
            f"* on (source, query) group_left () max {BY} ({SUCCESS})",
            Steps("red", ((1, "green"),)),
        ),
        _column("Age", "s", f"time() - {_window_end()}", AGE),
        _column("Series", "short", f"sum {BY} ({_own('query_series', QUERY)})"),
        _column("Polls", "short", _increase("query_polls_total", "source, query")),
        _column(
            "Failed",
            "short",
            f"{_increase('query_failures_total', 'source, query')}\nor\n0 * max {BY} ({SUCCESS})",
            NONE_IS_BEST,
        ),
        _column(
            "Time of a poll",
            "s",
            f"sum {BY} ({_own('query_duration_seconds_sum', QUERY)})\n/\n"
            f"sum {BY} ({_own('query_duration_seconds_count', QUERY)})",
        ),
    ),
    PLAIN,
    24,
    12,
)

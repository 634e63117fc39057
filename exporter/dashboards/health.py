"""The dashboard of the exporter itself: is what the others show fresh, and what does it cost?"""

from exporter.dashboards.own import (
    BY,
    NONE_IS_BEST,
    PLAIN,
    QUERY,
    SOURCE,
    SUCCESS,
    TARGET,
    age,
    chart,
    increase,
    own,
    stat,
)
from exporter.dashboards.panels import LAG, lag
from exporter.dashboards.spec import Advice, Board, Choice, Panel, Row, Steps, Target
from exporter.dashboards.traffic import FAILURES, SCRAPES, VENDORS
from exporter.model import INTERVALS

DOWN = f"(up{{{TARGET}}} and on (job) last_over_time({own('build_info', TARGET)}[1w]))"


def health(history: tuple[Panel, ...] = ()) -> Board:
    """Say whether every query is fresh, why one is not, how near the limits are; ``history`` is its own row.

    It is the same for every configuration but for that row: a query's times come from the exporter.
    """
    return Board(
        "health",
        "Exporter health",
        "Is every query fresh, why does one fail, and how near are the limits of the vendors and of Prometheus?",
        (
            Row("Now", _now()),
            Row("Freshness", _freshness()),
            Row("Failures", FAILURES),
            Row("The vendors' APIs", VENDORS),
            Row("What Prometheus gets", SCRAPES),
            Row("History", history),
            Row("By query", (_queries(),)),
        ),
        choices=(Choice("query", "Query", query=f"label_values({own('query_info', SOURCE)}, query)", everything=True),),
    )


def _now() -> tuple[Panel, ...]:
    return (
        stat(
            "Exporters down",
            Advice(
                "Is every exporter scraped? How many of the targets of their jobs are not.",
                "Any: its queries are polled by nobody, or do not get here.",
                "Its log and `/-/healthy`, then Prometheus' page of targets; see the runbook ExporterDown.",
            ),
            "short",
            f"count({DOWN} == 0) or 0 * count({DOWN})",
            NONE_IS_BEST,
        ),
        stat(
            "Queries that fail",
            Advice(
                "Does every query work? How many had a last poll that failed.",
                "Any: what they show is old, and soon gone.",
                "The row Failures has the reasons, the table below the names, the exporter's status page the words.",
            ),
            "short",
            f"count({SUCCESS} == 0) or 0 * count({SUCCESS})",
            NONE_IS_BEST,
        ),
        stat(
            "Largest lag",
            Advice(
                f"Is any query's data too old? The lag of the worst: 100% are {INTERVALS} of its intervals behind its "
                "`delay`, and up to half of that is usual.",
                "From 75% it is later than usual; from 100% DataTooOld fires, and its other alerts are inhibited.",
                "See below whose line rises, then why that query fails.",
            ),
            "percentunit",
            f"max({lag(QUERY)})",
            LAG,
        ),
        stat(
            "Sources slowed down",
            Advice(
                "Is a vendor gone? How many sources are polled less often, after failures of all their queries.",
                "Any: their data grows old, and their alerts are inhibited.",
                "The vendor's status page, then proxy, DNS and certificates. It recovers by itself with the vendor.",
            ),
            "short",
            f"sum({own('api_circuit_open', SOURCE)})",
            NONE_IS_BEST,
        ),
        stat(
            "Configuration",
            Advice(
                "Is the file that is in force the one that was written? 1 where it was good when it was last read.",
                "0: the old one is in force, and a restart would fail.",
                "Run `check` on the new file, mend it, reload.",
            ),
            "short",
            f"min({own('config_last_reload_successful', TARGET)})",
            Steps("red", ((1, "green"),)),
        ),
        stat(
            "Requests a day",
            Advice(
                "What do the vendors count? HTTP requests in the last 24 hours.",
                "More than the contract admits, or far more than `plan` says: failures are repeated.",
                "A longer `interval`, or queries that differ in metrics only, which share a request.",
            ),
            "short",
            f"sum(increase({own('api_requests_total', SOURCE)}[1d]))",
            PLAIN,
        ),
    )


def _freshness() -> tuple[Panel, ...]:
    return (
        chart(
            "Lag of the data",
            Advice(
                "Which query's data is too old? How far it is behind the query's own `delay`: 100% are "
                f"{INTERVALS} of its intervals.",
                "A line that rises beyond half, for its query fails. From 100% DataTooOld fires.",
                "Its reason in the row Failures; none there: its polls take too long, see Skipped ticks.",
            ),
            "percentunit",
            lag(QUERY),
            "{{query}} ({{source}})",
            LAG,
        ),
        chart(
            "Since the last good poll",
            Advice(
                "When did each query last work?",
                "Beyond its `max_age` its values are gone from Prometheus.",
                "As for the lag of the data, which rises with it.",
            ),
            "s",
            f"time() - max {BY} ({own('query_last_success_timestamp_seconds', QUERY)})",
            "{{query}} ({{source}})",
        ),
    )


def _column(name: str, unit: str, expr: str, steps: Steps = PLAIN) -> Target:
    return Target(expr, "", name, unit, steps)


def _queries() -> Panel:
    return Panel(
        "table",
        "Queries",
        Advice(
            "Which query is it? For each: how it is polled, how old it is, and what it costs.",
            "0 under Works, a red lag, polls that failed. The age is never less than the delay.",
            "Take its name to `query NAME`, which asks the vendor now; its page on the exporter has the last 50 polls.",
        ).text(),
        "short",
        (
            _column(
                "Works",
                "short",
                f"max by (source, query, endpoint, interval, window, delay) ({own('query_info', QUERY)})\n"
                f"* on (source, query) group_left () max {BY} ({SUCCESS})",
                Steps("red", ((1, "green"),)),
            ),
            _column("Lag", "percentunit", lag(QUERY), LAG),
            _column("Age", "s", age()),
            _column("Series", "short", f"sum {BY} ({own('query_series', QUERY)})"),
            _column("Polls", "short", increase("query_polls_total", "source, query")),
            _column(
                "Failed",
                "short",
                f"{increase('query_failures_total', 'source, query')}\nor\n0 * max {BY} ({SUCCESS})",
                NONE_IS_BEST,
            ),
            _column(
                "Time of a poll",
                "s",
                f"sum {BY} ({own('query_duration_seconds_sum', QUERY)})\n/\n"
                f"sum {BY} ({own('query_duration_seconds_count', QUERY)})",
            ),
        ),
        PLAIN,
        24,
        12,
    )

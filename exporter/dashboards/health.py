"""The dashboard of the exporter itself: is what the others show fresh, and what does it cost?"""

from exporter.dashboards.offer import Offer
from exporter.dashboards.own import (
    BY,
    NONE_IS_BEST,
    PLAIN,
    QUERY,
    SOURCE,
    SUCCESS,
    TARGET,
    chart,
    increase,
    own,
    stat,
    window_end,
)
from exporter.dashboards.panels import age
from exporter.dashboards.spec import Advice, Board, Choice, Panel, Row, Steps, Target
from exporter.dashboards.traffic import FAILURES, SCRAPES, VENDORS

DOWN = f"(up{{{TARGET}}} and on (job) last_over_time({own('build_info', TARGET)}[1w]))"


def health(offer: Offer, history: tuple[Panel, ...] = ()) -> Board:
    """Say whether every query is fresh, why one is not, how near the limits are; ``history`` is its own row."""
    names, aged = tuple(feed.name for feed in offer.feeds), age(offer.feeds)
    return Board(
        "health",
        "Exporter health",
        "Is every query fresh, why does one fail, and how near are the limits of the vendors and of Prometheus?",
        (
            Row("Now", _now(aged)),
            Row("Freshness", _freshness(aged)),
            Row("Failures", FAILURES),
            Row("The vendors' APIs", VENDORS),
            Row("What Prometheus gets", SCRAPES),
            Row("History", history),
            Row("By query", (_queries(aged),)),
        ),
        choices=(
            Choice("query", "Query", names, f"label_values({own('query_info', SOURCE)}, query)", everything=True),
        ),
    )


def _now(aged: Steps) -> tuple[Panel, ...]:
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
            "Oldest data",
            Advice(
                "How old is the oldest that is still shown? Never less than the queries' `delay`.",
                "More than its delay and four intervals: DataTooOld fires, and its other alerts are inhibited.",
                "See below whose line rises, then why that query fails.",
            ),
            "s",
            f"max(time() - {window_end()})",
            aged,
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


def _freshness(aged: Steps) -> tuple[Panel, ...]:
    return (
        chart(
            "Age of the data",
            Advice(
                "Which query is old? How long ago the period ended that its values are of.",
                "A line that rises: its query fails, or the vendor is late.",
                "Its reason in the row Failures; none there: its polls take too long, see Skipped ticks.",
            ),
            "s",
            f"time() - {window_end()}",
            "{{query}} ({{source}})",
            aged,
        ),
        chart(
            "Since the last good poll",
            Advice(
                "When did each query last work?",
                "Beyond its `max_age` its values are gone from Prometheus.",
                "As for the age of the data; both rise together, or the vendor answers with old periods.",
            ),
            "s",
            f"time() - max {BY} ({own('query_last_success_timestamp_seconds', QUERY)})",
            "{{query}} ({{source}})",
            aged,
        ),
    )


def _column(name: str, unit: str, expr: str, steps: Steps = PLAIN) -> Target:
    return Target(expr, "", name, unit, steps)


def _queries(aged: Steps) -> Panel:
    return Panel(
        "table",
        "Queries",
        Advice(
            "Which query is it? For each: how it is polled, how old it is, and what it costs.",
            "0 under Works, a red age, polls that failed.",
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
            _column("Age", "s", f"time() - {window_end()}", aged),
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

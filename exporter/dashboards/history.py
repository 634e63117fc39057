"""The row of the exporter's dashboard about history: is all of it delivered, in time, and final?"""

from exporter.config import Config
from exporter.dashboards.own import NONE_IS_BEST, PLAIN, QUERY, chart, own
from exporter.dashboards.spec import Advice, Panel, Steps

BY = "by (source, query, receiver)"
LEGEND = "{{query}} to {{receiver}} ({{source}})"


def panels(config: Config) -> tuple[Panel, ...]:
    """Give the panels; none where no history is delivered."""
    if not config.delivers:
        return ()
    slowest = max(query.delay + query.interval + query.history.step for query in config.queries if query.history)
    return (
        chart(
            "Age of the newest bucket",
            Advice(
                "How far has the history come? How long ago the newest bucket ended that the receiver has taken.",
                "A line that rises: the vendor gives nothing, or the receiver takes nothing.",
                "The query's page on the exporter says what is in the way; see the runbook HistoryBehind.",
            ),
            "s",
            f"time() - max {BY} ({own('history_newest_bucket_timestamp_seconds', QUERY)})",
            LEGEND,
            Steps("green", ((2 * slowest, "yellow"), (10 * slowest, "red"))),
        ),
        chart(
            "Buckets that wait",
            Advice(
                "What is due, and not delivered yet?",
                "More than one for more than a moment: after an outage it has to fall again.",
                "Wait while it falls; else as for the age of the newest bucket.",
            ),
            "short",
            f"max {BY} ({own('history_buckets_waiting', QUERY)})",
            LEGEND,
            PLAIN,
        ),
        chart(
            "Buckets lost",
            Advice(
                "Is there a gap? Buckets that were given up: refused by the receiver, or older than `catch_up`.",
                "Any: the history stays incomplete.",
                "See the runbook HistoryLost; `backfill` fills the gap.",
            ),
            "short",
            f"sum {BY} (increase({own('history_buckets_given_up_total', QUERY)}[$__rate_interval]))",
            LEGEND,
            NONE_IS_BEST,
        ),
        chart(
            "Buckets that changed",
            Advice(
                "Is the history final when it is delivered? Buckets that had other values when they were read again.",
                "More than a hundredth of all: Prometheus keeps what came first.",
                "A longer `delay`; `query NAME --settle` says which, see the runbook HistoryRevised.",
            ),
            "short",
            f"sum {BY} (increase({own('history_buckets_revised_total', QUERY)}[$__rate_interval]))",
            LEGEND,
            NONE_IS_BEST,
        ),
    )

"""Whether the history that is delivered by remote write is complete, and final."""

from collections.abc import Iterator

from exporter.rules.model import Alert

P = "video_analytics_exporter_history"
EACH = "job, instance, source, query, receiver"
OF = "{{ $labels.source }}: the history of {{ $labels.query }}"
WHERE = "for {{ $labels.receiver }}"

MOST_REVISED = 0.01
"""Share of a day's buckets that may change after they were delivered."""


def alerts() -> Iterator[Alert]:
    """Give the alerts on deliveries; without any, their metrics are not there, and none fires."""
    yield Alert(
        "HistoryBehind",
        f"max by ({EACH}) ({P}_buckets_waiting) > 0",
        "warning",
        "exporter",
        f"{OF} is behind",
        f"For half an hour buckets have waited {WHERE}, {{{{ $value }}}} of them now. What waits longer than "
        "`catch_up` is lost.",
        "30m",
    )
    yield Alert(
        "HistoryLost",
        # What a start gives up at once, after a long time without a process, is in the counter's first sample.
        f"sum by ({EACH}) (\n  increase({P}_buckets_given_up_total[1h]) > 0\n  or\n"
        f"  ({P}_buckets_given_up_total unless {P}_buckets_given_up_total offset 1h) > 0\n)",
        "critical",
        "exporter",
        f"{OF} has lost buckets",
        f"About {{{{ $value | humanize }}}} buckets were given up in an hour {WHERE}: it refused them, or they were "
        "older than `catch_up`.",
        "1m",
    )
    yield Alert(
        "HistoryRevised",
        f"sum by ({EACH}) (increase({P}_buckets_revised_total[1d]))\n/\n"
        f"sum by ({EACH}) (increase({P}_buckets_delivered_total[1d])) > {MOST_REVISED}",
        "warning",
        "exporter",
        f"{OF} is delivered before it is final",
        f"Of a day's buckets {{{{ $value | humanizePercentage }}}} had changed when they were read again, and what was "
        f"delivered {WHERE} may have stayed: the `delay` is too short.",
        "1h",
    )

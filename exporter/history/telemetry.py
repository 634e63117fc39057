"""What the exporter says of its deliveries, beside its other own metrics."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from exporter.history.remote_write import Attempt
from exporter.history.settlement import Revision

PREFIX = "video_analytics_exporter_history"
BY_DELIVERY = ("source", "query", "receiver")

SHARES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2)
"""Buckets for how much a value changed, as a share of the larger one."""

Key = tuple[str, str, str]


class Telemetry:
    """The metrics of all deliveries, in a registry that it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, labels, registry=registry)

        self.expected = counter("buckets_expected", "Buckets of the query that were due.", *BY_DELIVERY)
        self.delivered = counter("buckets_delivered", "Buckets that the receiver has taken.", *BY_DELIVERY)
        self.late = counter(
            "buckets_late", "Delivered buckets that came later than delay and two intervals.", *BY_DELIVERY
        )
        self.given_up = counter(
            "buckets_given_up", "Buckets that were refused, or too old to catch up with.", *BY_DELIVERY
        )
        self.revised = counter(
            "buckets_revised", "Buckets whose values were others when they were read again.", *BY_DELIVERY
        )
        self.revised_samples = counter("samples_revised", "Samples of them that were others, or gone.", *BY_DELIVERY)
        self.change = Histogram(
            f"{PREFIX}_revision_ratio",
            "The largest change of a revised bucket, as a share of the larger value.",
            BY_DELIVERY,
            registry=registry,
            buckets=SHARES,
        )
        self.revision_age = Gauge(
            f"{PREFIX}_revision_age_seconds",
            "How long after its end the last revised bucket was read again.",
            BY_DELIVERY,
            registry=registry,
        )
        self.newest = Gauge(
            f"{PREFIX}_newest_bucket_timestamp_seconds",
            "End of the newest bucket that the receiver has taken.",
            BY_DELIVERY,
            registry=registry,
        )
        self.waiting = Gauge(
            f"{PREFIX}_buckets_waiting",
            "Buckets that are due and not delivered, when it was last looked.",
            BY_DELIVERY,
            registry=registry,
        )
        self._requests = counter("requests", "Requests to the receiver, by status or failure.", "receiver", "code")
        self._samples = counter("samples", "Samples that the receiver has decided about.", "receiver", "verdict")
        self._counts = (
            self.expected,
            self.delivered,
            self.late,
            self.given_up,
            self.revised,
            self.revised_samples,
        )
        self._known: set[Key] = set()

    def configured(self, keys: Collection[Key]) -> None:
        """Show these deliveries from now on: counters from zero, and nothing of those that are gone."""
        for key in self._known.difference(keys):
            for metric in (*self._counts, self.change, self.revision_age, self.newest, self.waiting):
                metric.remove_by_labels(dict(zip(BY_DELIVERY, key, strict=True)))
        for receiver in {key[2] for key in self._known} - {key[2] for key in keys}:
            for metric in (self._requests, self._samples):
                metric.remove_by_labels({"receiver": receiver})
        for key in keys:
            for counter in self._counts:
                counter.labels(*key)
        self._known = set(keys)

    def requested(self, receiver: str, attempt: Attempt) -> None:
        """Note a request to a receiver."""
        self._requests.labels(receiver, attempt.code).inc()
        if attempt.taken or attempt.refused:
            self._samples.labels(receiver, "taken" if attempt.taken else "refused").inc(attempt.samples)


class Account:
    """The metrics of one delivery."""

    def __init__(self, telemetry: Telemetry, key: Key) -> None:
        self._telemetry = telemetry
        self._key = key

    def expected(self, buckets: int) -> None:
        """Note buckets that are due."""
        self._telemetry.expected.labels(*self._key).inc(buckets)

    def waiting(self, buckets: int) -> None:
        """Note how many buckets are due and not delivered."""
        self._telemetry.waiting.labels(*self._key).set(buckets)

    def newest(self, end: int) -> None:
        """Note the newest bucket of those that were delivered before this process began."""
        self._telemetry.newest.labels(*self._key).set(end)

    def delivered(self, end: int, *, late: bool) -> None:
        """Note a bucket that the receiver has taken."""
        self._telemetry.delivered.labels(*self._key).inc()
        self._telemetry.newest.labels(*self._key).set(end)
        if late:
            self._telemetry.late.labels(*self._key).inc()

    def given_up(self, buckets: int) -> None:
        """Note buckets that will never be delivered."""
        self._telemetry.given_up.labels(*self._key).inc(buckets)

    def revised(self, revision: Revision, age: float) -> None:
        """Note a bucket that had changed when it was read again, at an age of so many seconds."""
        self._telemetry.revised.labels(*self._key).inc()
        self._telemetry.revised_samples.labels(*self._key).inc(len(revision.changed) + revision.gone)
        self._telemetry.change.labels(*self._key).observe(revision.largest)
        self._telemetry.revision_age.labels(*self._key).set(age)

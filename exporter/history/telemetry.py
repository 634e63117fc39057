"""What the exporter says of its deliveries, beside its other own metrics."""

from collections.abc import Collection, Sequence

from exporter.history.remote_write import Attempt
from exporter.history.settlement import Revision
from exporter.own_families import Numbers, Observations
from exporter.telemetry import Telemetry as OwnTelemetry

PREFIX = "video_analytics_exporter_history"
BY_DELIVERY = ("source", "query", "receiver")

SHARES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2)
"""Buckets for how much a value changed, as a share of the larger one."""

Key = tuple[str, str, str]


class Telemetry:
    """The metrics of all deliveries, among the exporter's other ones."""

    def __init__(self, own: OwnTelemetry) -> None:
        def numbers(name: str, text: str, kind: str = "counter", labels: Sequence[str] = BY_DELIVERY) -> Numbers:
            return own.add(Numbers(f"{PREFIX}_{name}", text, kind, labels))

        self.expected = numbers("buckets_expected", "Buckets of the query that were due.")
        self.delivered = numbers("buckets_delivered", "Buckets that the receiver has taken.")
        self.late = numbers("buckets_late", "Delivered buckets that came later than delay and two intervals.")
        self.given_up = numbers("buckets_given_up", "Buckets that were refused, or too old to catch up with.")
        self.revised = numbers("buckets_revised", "Buckets whose values were others when they were read again.")
        self.revised_samples = numbers("samples_revised", "Samples of them that were others, or gone.")
        self._counts = (
            self.expected,
            self.delivered,
            self.late,
            self.given_up,
            self.revised,
            self.revised_samples,
        )
        self.change = own.add(
            Observations(
                f"{PREFIX}_revision_ratio",
                "The largest change of a revised bucket, as a share of the larger value.",
                BY_DELIVERY,
                SHARES,
            )
        )
        self.revision_age = numbers(
            "revision_age_seconds", "How long after its end the last revised bucket was read again.", "gauge"
        )
        self.newest = numbers(
            "newest_bucket_timestamp_seconds", "End of the newest bucket that the receiver has taken.", "gauge"
        )
        self.waiting = numbers(
            "buckets_waiting", "Buckets that are due and not delivered, when it was last looked.", "gauge"
        )
        self._by_delivery = (*self._counts, self.change, self.revision_age, self.newest, self.waiting)
        self._requests = numbers(
            "requests", "Requests to the receiver, by status or failure.", labels=("receiver", "code")
        )
        self._samples = numbers(
            "samples", "Samples that the receiver has decided about.", labels=("receiver", "verdict")
        )

    def configured(self, keys: Collection[Key]) -> None:
        """Show these deliveries from now on: counters from zero, and nothing of those that are gone."""
        receivers = {receiver for _, _, receiver in keys}
        for family in self._by_delivery:
            family.forget(lambda key: key not in keys)
        for family in (self._requests, self._samples):
            family.forget(lambda key: key[0] not in receivers)
        for key in keys:
            for counter in self._counts:
                counter.add(key, 0)

    def requested(self, receiver: str, attempt: Attempt) -> None:
        """Note a request to a receiver."""
        self._requests.add((receiver, attempt.code))
        if attempt.taken or attempt.refused:
            self._samples.add((receiver, "taken" if attempt.taken else "refused"), attempt.samples)


class Account:
    """The metrics of one delivery."""

    def __init__(self, telemetry: Telemetry, key: Key) -> None:
        self._telemetry = telemetry
        self._key = key

    def expected(self, buckets: int) -> None:
        """Note buckets that are due."""
        self._telemetry.expected.add(self._key, buckets)

    def waiting(self, buckets: int) -> None:
        """Note how many buckets are due and not delivered."""
        self._telemetry.waiting.set(self._key, buckets)

    def newest(self, end: int) -> None:
        """Note the newest bucket of those that were delivered before this process began."""
        self._telemetry.newest.set(self._key, end)

    def delivered(self, end: int, *, late: bool) -> None:
        """Note a bucket that the receiver has taken."""
        self._telemetry.delivered.add(self._key)
        self._telemetry.newest.set(self._key, end)
        if late:
            self._telemetry.late.add(self._key)

    def given_up(self, buckets: int) -> None:
        """Note buckets that will never be delivered."""
        self._telemetry.given_up.add(self._key, buckets)

    def revised(self, revision: Revision, age: float) -> None:
        """Note a bucket that had changed when it was read again, at an age of so many seconds."""
        self._telemetry.revised.add(self._key)
        self._telemetry.revised_samples.add(self._key, len(revision.changed) + revision.gone)
        self._telemetry.change.observe(self._key, revision.largest)
        self._telemetry.revision_age.set(self._key, age)

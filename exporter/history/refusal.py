"""What a receiver's answer means for the samples of a request: which are refused, and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from exporter.history.receiver import Answer
from exporter.model import Series

TOO_MANY, SERVER, CLIENT = 429, 500, 400

TELLING = ("out of order", "out-of-order", "out of bounds", "too old", "too-old")
"""What receivers call samples that come too late for them: Prometheus, Mimir, Thanos, VictoriaMetrics."""

TAKEN = ("duplicate sample", "duplicate-timestamp")
"""What they say where they have another value at that time already."""

PROMETHEUS_500 = ("too old sample", "out of order sample", "out of bounds", "duplicate sample for timestamp")
"""Of an answer with 5xx the words that decide all the same: Prometheus answers `too old sample` with 500."""

ELSEWHERE = (401, 403, 404, 405, 407, 408)
"""Refusals that are about the request and not about its samples: others may be taken, and these later."""

OF_THEIR_TIME = ("out of bounds", "too old", "too-old")
"""Of late samples those that are so for their time, whatever their series: all of one time share the fate."""

Cause = Literal["late", "taken", "elsewhere", "other"]

WORST: tuple[Cause, ...] = ("elsewhere", "other", "late", "taken")
"""Causes by how much is lost if one is taken for a later one."""

HINTS: dict[Cause, str] = {
    "late": "the receiver takes no samples so old; in prometheus.yml set `storage: {tsdb: {out_of_order_time_window: "
    "…}}`, at least `catch_up` long",
    "taken": "the receiver has another value there and keeps it",
    "elsewhere": "check `url` and the log-in of `remote_write`",
    "other": "",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a receiver does not take samples: asking again with the same ones would change nothing."""

    status: int
    said: str

    @property
    def cause(self) -> Cause:
        """What the receiver objects to: samples that come too ``late``, times that are ``taken``, or the request."""
        said = self.said.lower()
        if any(words in said for words in TAKEN):
            return "taken"
        if any(words in said for words in TELLING):
            return "late"
        return "elsewhere" if self.status in ELSEWHERE else "other"

    def __str__(self) -> str:
        """Say it in one line, with what to do about it."""
        hint = HINTS[self.cause]
        return f"HTTP {self.status}" + (f": {self.said}" if self.said else "") + (f" ({hint})" if hint else "")


def judged(answer: Answer) -> Refusal | None:
    """Give an answer's refusal: a 4xx but 429 (remote write 1.0), or words of Prometheus that mean one."""
    final = CLIENT <= answer.status < SERVER and answer.status != TOO_MANY
    spoken = answer.status >= SERVER and any(words in answer.said for words in PROMETHEUS_500)
    return Refusal(answer.status, answer.said) if final or spoken else None


def worse(one: Refusal | None, other: Refusal | None) -> Refusal | None:
    """Give the worse of two refusals, the first of equal ones."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda refusal: WORST.index(refusal.cause))


def divisible(batch: Sequence[Series], refusal: Refusal) -> bool:
    """Whether some of a refused batch may be taken without the others."""
    if len(batch) == 1 or refusal.cause not in {"taken", "late"}:
        return False
    alike = any(words in refusal.said.lower() for words in OF_THEIR_TIME)
    return not alike or len({at for series in batch for at, _ in series.points}) > 1

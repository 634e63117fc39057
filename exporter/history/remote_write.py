"""Sending samples by Prometheus' remote write 1.0: snappy-compressed protobuf, until the receiver has decided.

https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import cramjam
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from exporter.history.messages import WriteRequest
from exporter.history.receiver import Answer, Receiver, Unavailable
from exporter.model import Series

log = structlog.get_logger(__name__)

MOST_SAMPLES = 2000
"""Samples of a request at most: what Prometheus itself sends."""

MOST_BYTES = 2**20
"""Bytes of a request at most, before compression; a series' labels alone may take a few kilobytes."""

SAMPLE_BYTES = 20
"""Bytes of a sample on the wire at most: two tags and a length, a double, a time of six bytes."""

LABEL_BYTES = 10
"""The same of a label besides its texts, where these are as long as a label can be."""

JITTER = wait_random_exponential(multiplier=0.5, max=30)
"""Up to half a second before the first repeat, up to twice as much before each more, and never more than 30 s."""

OK, TOO_MANY, SERVER, CLIENT = range(200, 300), 429, 500, 400

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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and how it ended: ``code`` is the status, or the reason where no answer came.

    The samples of one that is ``divided`` are sent again, by halves.
    """

    code: str
    samples: int
    taken: bool = False
    refused: bool = False
    divided: bool = False


class Sender:
    """Sends to one receiver. ``told`` hears of each request; ``sleep`` replaces the waiting in tests."""

    def __init__(
        self,
        receiver: Receiver,
        told: Callable[[Attempt], None] = lambda _: None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._receiver = receiver
        self._told = told
        self.waits: dict[Hashable, str] = {}
        """Why samples wait now, by whose they are; empty while the receiver answers."""
        self._refused: dict[Hashable, Cause] = {}
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable), wait=_wait, sleep=sleep, reraise=True
        )

    async def send(
        self, series: Iterable[Series], whose: Hashable = None, patience: float = math.inf
    ) -> Refusal | None:
        """Send samples, in as many requests as it takes, and give the worst of why the receiver refused any of them.

        What is ``elsewhere`` ends the sending. Returns once the receiver has decided about all; while it is away or
        overloaded, no request is repeated after ``patience`` seconds. What is logged of it is told apart by ``whose``
        they are.

        Raises:
            Unavailable: the receiver has not decided by then.
        """
        retrying = self._retrying.copy(before_sleep=partial(self._waiting, whose), stop=stop_after_delay(patience))
        refusal = None
        for batch in batches(series):
            refusal = worse(refusal, await self._sent(batch, whose, retrying))
            if refusal and refusal.cause == "elsewhere":
                break
        self._say(refusal, whose)
        return refusal

    async def aclose(self) -> None:
        """Close all connections."""
        await self._receiver.aclose()

    async def _sent(self, batch: Sequence[Series], whose: Hashable, retrying: AsyncRetrying) -> Refusal | None:
        """Send a batch, and by halves where it is refused for some of its samples: Prometheus then takes none."""
        # Encoding thousands of samples takes longer than a scrape may wait.
        body = await asyncio.to_thread(encode, batch)
        try:
            refusal: Refusal | None = await retrying.copy()(self._once, body, batch)
        except asyncio.CancelledError:
            self.waits.pop(whose, None)
            raise
        if self.waits.pop(whose, "") and not self.waits:
            log.info("the receiver answers again")
        if not refusal or not divisible(batch, refusal):
            return refusal
        middle = len(batch) // 2
        first = await self._sent(batch[:middle], whose, retrying)
        if first and first.cause == "elsewhere":
            return first
        return worse(first, await self._sent(batch[middle:], whose, retrying))

    def _say(self, refusal: Refusal | None, whose: Hashable) -> None:
        """Write one line for all that are refused for one reason: the counters have how many."""
        if not refusal:
            if self._refused.pop(whose, None):
                log.info("the receiver takes samples again")
        elif refusal.cause != self._refused.get(whose):
            log.error("the receiver refuses samples", error=str(refusal))
            self._refused[whose] = refusal.cause

    async def _once(self, body: bytes, batch: Sequence[Series]) -> Refusal | None:
        samples = sum(len(series.points) for series in batch)
        try:
            answer = await self._receiver.post(body)
        except Unavailable as error:
            self._told(Attempt(error.reason, samples))
            raise
        refusal = judged(answer)
        taken = answer.status in OK
        divided = refusal is not None and divisible(batch, refusal)
        refused = refusal is not None and not divided
        self._told(Attempt(str(answer.status), samples, taken=taken, refused=refused, divided=divided))
        if not taken and not refusal:
            raise Unavailable("status", f"HTTP {answer.status}: {answer.said}".rstrip(": "), answer.wait)
        return refusal

    def _waiting(self, whose: Hashable, state: RetryCallState) -> None:
        """Say once that samples wait: a line for each attempt of a night hides what else happened."""
        error = str(state.outcome.exception()) if state.outcome else ""
        if not self.waits:
            log.warning("the receiver takes no samples; they wait, and are sent again", error=error)
        self.waits[whose] = error or "no answer"


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


def batches(series: Iterable[Series]) -> Iterator[list[Series]]:
    """Cut series so that each request stays within ``MOST_SAMPLES`` and ``MOST_BYTES``."""
    batch: list[Series] = []
    samples, size = 0, 0
    for each in series:
        head = sum(len(text.encode()) for label in each.labels for text in label) + LABEL_BYTES * len(each.labels)
        left = each.points
        while left:
            room = min(MOST_SAMPLES - samples, (MOST_BYTES - size - head) // SAMPLE_BYTES)
            if room <= 0 and batch:
                yield batch
                batch, samples, size = [], 0, 0
                continue
            # A series whose labels alone are too long goes alone, sample by sample.
            taken, left = left[: max(room, 1)], left[max(room, 1) :]
            batch.append(replace(each, points=taken))
            samples += len(taken)
            size += head + SAMPLE_BYTES * len(taken)
    if batch:
        yield batch


def encode(batch: Iterable[Series]) -> bytes:
    """Give the body of a request: labels sorted by name, and none that is empty."""
    request = WriteRequest()
    for each in batch:
        series = request.timeseries.add()
        for name, value in sorted(each.labels):
            if value:
                series.labels.add(name=name, value=value)
        for at, number in each.points:
            series.samples.add(value=number, timestamp=at)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Unavailable) and error.wait is not None:
        return error.wait
    return JITTER(state)

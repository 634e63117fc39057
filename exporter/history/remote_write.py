"""Sending samples by Prometheus' remote write 1.0: snappy-compressed protobuf, until the receiver has decided.

https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cramjam
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay, wait_random_exponential

from exporter.history.messages import WriteRequest
from exporter.history.receiver import Receiver, Unavailable
from exporter.history.refusal import Cause, Refusal, divisible, judged, worse
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

OK = range(200, 300)


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
        overloaded, no request is repeated after ``patience`` seconds, and no such repeat is waited for. What is logged
        of it is told apart by ``whose`` they are.

        Raises:
            Unavailable: the receiver has not decided by then.
        """
        retrying = self._retrying.copy(before_sleep=partial(self._waiting, whose), stop=stop_before_delay(patience))
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

"""One query's history to one receiver: what is due, what is settled, and how far it has come.

A bucket is sent with the time of its end, and the watermark moves only after the receiver has decided: whatever breaks
in between, the bucket is read and sent again, and is the same sample.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from structlog.contextvars import bound_contextvars

from exporter.gather import Source
from exporter.history.budget import Budget, Counting
from exporter.history.fetch import Fetcher, pieces
from exporter.history.receiver import Unavailable
from exporter.history.refusal import Refusal
from exporter.history.series import series
from exporter.history.settlement import TOGETHER, Reading, Revision, compare
from exporter.history.watermark import DamagedError, Watermark, Watermarks
from exporter.model import Bucket, History, Past, Query, Series, Window
from exporter.providers.base import Provider
from exporter.providers.errors import VendorError

log = structlog.get_logger(__name__)


MOST_KEPT = 16 * 2**20
"""Bytes of what a delivery remembers of buckets until they are settled; beyond it they are not read again."""


STEADY = 3600
"""Seconds without a gap after which the clock counts as right: a gap may have been a clock that went ahead."""


class Account(Protocol):
    """Who is told what becomes of the buckets of a delivery."""

    def expected(self, buckets: int) -> None:
        """Note buckets that are due."""

    def waiting(self, buckets: int) -> None:
        """Note how many are due and not delivered."""

    def newest(self, end: int) -> None:
        """Note the newest one that was delivered before."""

    def delivered(self, end: int, *, late: bool) -> None:
        """Note one that the receiver has taken."""

    def given_up(self, buckets: int) -> None:
        """Note buckets that will never be delivered."""

    def revised(self, revision: Revision, age: float) -> None:
        """Note one that had changed when it was read again, at an age of so many seconds."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all deliveries share. ``now`` gives Unix seconds, ``clock`` steady ones.

    ``turn`` admits one at a time of those that ask a source, ``holding`` so many that hold what they have read.
    """

    watermarks: Watermarks
    now: Callable[[], float]
    clock: Callable[[], float]
    turn: Callable[[str], asyncio.Lock]
    holding: asyncio.Semaphore


@dataclass(frozen=True, slots=True)
class Task:
    """What is delivered, and where from: the client of the query's source, and its vendor."""

    query: Query
    history: History
    provider: Provider
    source: Source
    identity: str


class Delivery:
    """Delivers a query's buckets.

    ``send`` gives them to the receiver, and returns once it has decided; where it does not, it raises `Unavailable`.
    """

    def __init__(
        self,
        task: Task,
        receiver: str,
        send: Callable[[Sequence[Series]], Awaitable[Refusal | None]],
        account: Account,
        shared: Shared,
    ) -> None:
        self._query = task.query
        self._history = task.history
        self._identity = task.identity
        self._receiver = receiver
        self._send = send
        self._account = account
        self._shared = shared
        self._budget = Budget(task.history.requests, shared.clock)
        self._source = Counting(task.source, self._budget)
        self._past: Past = task.provider.past(task.query, task.history.step)
        self._fetcher = Fetcher(self._source, task.provider, self._past, lambda: self._budget.left > 0)
        self._mark: Watermark | None = None
        self._caught_up = True
        self._steady = shared.clock()
        self._trouble = ""

    @property
    def mark(self) -> Watermark | None:
        """Where it stands; ``None`` before its first turn."""
        return self._mark

    @property
    def trouble(self) -> str:
        """Why the last turn did not come to its end; empty if it did."""
        return self._trouble

    async def deliver(self) -> None:
        """Deliver what is due, and look again at what is settled; a failure ends it until the next time."""
        with bound_contextvars(source=self._query.source, query=self._query.name, receiver=self._receiver):
            trouble = ""
            try:
                mark = await self._loaded()
                trouble = await self._catch_up(mark) or await self._settle(mark)
            except VendorError as error:
                trouble = f"{error.reason}: {error}"
            except Unavailable as error:
                trouble = f"the receiver takes no samples: {error}"
            except Exception as error:
                trouble = f"{type(error).__name__} in the exporter; please report it with the traceback"
                if trouble != self._trouble:
                    log.exception("delivery broke")
            if trouble and not self._trouble:
                log.warning("history waits", error=trouble)
            elif self._trouble and not trouble:
                log.info("history is delivered again")
            self._trouble = trouble

    async def _loaded(self) -> Watermark:
        """Give the watermark; the first time that of the disk, or one that begins with the newest bucket."""
        if self._mark is None:
            step, begin = self._history.step, self._due(self._shared.now()) - self._history.step
            try:
                stored = await asyncio.to_thread(self._shared.watermarks.load, self._query, self._receiver)
            except DamagedError:
                # How far it had come is not known: what is delivered again is the same.
                stored, begin = None, begin - self._history.catch_up // step * step
            mark = stored or Watermark.at(self._identity, begin)
            if mark.identity != self._identity:
                mark = mark.again(self._identity, step)
            # A kill before the first bucket is delivered must not move the beginning.
            await self._store(mark)
            if mark.newest:
                self._account.newest(mark.newest)
            self._mark = mark
        return self._mark

    def _due(self, now: float) -> int:
        """Give the end of the newest bucket that is due."""
        return int((now - self._query.delay) // self._history.step) * self._history.step

    async def _catch_up(self, mark: Watermark) -> str:
        """Deliver all that is due, as far as the budget goes; gives what is in the way, if anything is."""
        due = self._due(self._shared.now())
        self._align(mark, due)
        self._account.waiting(max(due - mark.delivered, 0) // self._history.step)
        # One bucket takes a request for each endpoint: what every interval costs is no catching up.
        self._source.begin(len(self._past.parts))
        for number, piece in enumerate(pieces(self._past, Window(mark.delivered, due))):
            if number and not self._budget.left:
                log.debug("catching up waits for its budget", buckets=(due - mark.delivered) // self._history.step)
                return ""
            async with self._shared.holding:
                buckets, read_at = await self._fetched(piece)
                for bucket in buckets:
                    if refusal := await self._delivered(mark, bucket, read_at):
                        return f"the receiver refuses: {refusal}"
                    self._account.waiting((due - mark.delivered) // self._history.step)
        self._caught_up = True
        if self._shared.clock() - self._steady >= STEADY:
            mark.safe = max(mark.safe, mark.delivered)
        return ""

    def _align(self, mark: Watermark, due: int) -> None:
        """Bring the watermark to where it can go on from: clocks step, and what is too old is given up."""
        step, usual = self._history.step, self._query.interval + 2 * self._history.step
        oldest = -int(-(self._shared.now() - self._history.catch_up) // step) * step
        # No bucket can have been delivered before its end; a longer delay alone has one that is not due yet.
        if mark.delivered > self._shared.now():
            begin = min(mark.safe, due)
            log.warning("the clock went back: buckets are delivered again", buckets=(mark.delivered - begin) // step)
            mark.delivered, self._steady = begin, self._shared.clock()
            mark.unsettled = [reading for reading in mark.unsettled if reading.end <= mark.delivered]
        elif due - mark.delivered > usual and self._caught_up:
            self._caught_up, mark.safe, self._steady = False, mark.delivered, self._shared.clock()
        if due > mark.expected:
            self._account.expected((due - mark.expected) // step)
            mark.expected = due
        if mark.delivered < oldest:
            self._give_up(mark, oldest)

    def _give_up(self, mark: Watermark, end: int) -> None:
        """Go on at ``end``: what is before it is not delivered."""
        lost = max(end - max(mark.told, mark.delivered), 0) // self._history.step
        if lost:
            self._account.given_up(lost)
        mark.delivered, mark.told = end, max(mark.told, end)

    async def _fetched(self, piece: Window) -> tuple[Sequence[Bucket], float]:
        """Give a piece's buckets, and when it was asked for them."""
        async with self._shared.turn(self._query.source):
            read_at, until = self._shared.now(), self._shared.clock() + self._query.interval
            return await self._fetcher.buckets(piece, until), read_at

    async def _delivered(self, mark: Watermark, bucket: Bucket, read_at: float) -> Refusal | None:
        """Send one bucket and move the watermark; gives a refusal that may end without the bucket being another."""
        end, age = bucket.period.end, read_at - bucket.period.end
        found = await asyncio.to_thread(lambda: list(series(bucket)))
        refusal = await self._send(found)
        if refusal and refusal.cause == "elsewhere":
            return refusal
        # Where times are taken the receiver has the bucket, in the values that it was sent first.
        if refusal and refusal.cause != "taken":
            log.debug("a bucket is given up", end=end, error=str(refusal))
            self._give_up(mark, end)
        else:
            if end > mark.told:
                late = self._shared.now() - end > self._query.delay + 2 * self._query.interval
                self._account.delivered(end, late=late)
            mark.delivered, mark.told, mark.newest = end, max(mark.told, end), max(mark.newest, end)
            if age < self._history.settle:
                self._keep(mark, await asyncio.to_thread(Reading.of, found, end, age))
        await self._store(mark)
        return None

    def _keep(self, mark: Watermark, reading: Reading) -> None:
        """Remember what a bucket held, so that it can be compared, as far as there is room."""
        if reading.size + sum(each.size for each in mark.unsettled) <= MOST_KEPT:
            mark.unsettled.append(reading)

    async def _settle(self, mark: Watermark) -> str:
        """Read again what has had time to settle, and send what changed; gives what is in the way, if anything is."""
        now, settle = self._shared.now(), self._history.settle
        kept = [each for each in mark.unsettled if each.end > now - max(self._history.catch_up, 2 * settle)]
        ripe = {each.end: each for each in kept if each.end <= now - settle}
        mark.unsettled = kept
        if not ripe or now - settle - min(ripe) < settle * TOGETHER:
            return ""
        for piece in pieces(self._past, Window(min(ripe) - self._history.step, max(ripe))):
            async with self._shared.holding:
                self._source.begin(len(self._past.parts))
                buckets, read_at = await self._fetched(piece)
                for bucket in buckets:
                    reading = ripe.get(bucket.period.end)
                    if reading and (refusal := await self._settled(mark, reading, bucket, read_at)):
                        return f"the receiver refuses: {refusal}"
                await self._store(mark)
        return ""

    async def _settled(self, mark: Watermark, before: Reading, bucket: Bucket, read_at: float) -> Refusal | None:
        """Compare a bucket and send what changed; gives a refusal after which it is to be read once more."""
        found = await asyncio.to_thread(lambda: list(series(bucket)))
        revision, age = await asyncio.to_thread(compare, before, found), read_at - bucket.period.end
        if revision.any:
            # The receiver may keep what it has: then the counters are all that tells of it.
            refusal = await self._send(revision.changed)
            if refusal and refusal.cause == "elsewhere":
                await self._store(mark)
                return refusal
            self._account.revised(revision, age)
        mark.settled.note(before, revision, age)
        mark.unsettled = [each for each in mark.unsettled if each.end != before.end]
        return None

    async def _store(self, mark: Watermark) -> None:
        await asyncio.to_thread(self._shared.watermarks.store, self._query, self._receiver, mark)

"""The past of several queries: piece after piece, sources and queries beside each other, each piece once."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from exporter.config import Config
from exporter.gather import Source
from exporter.history.fetch import Fetcher, pieces
from exporter.history.spool import Spool
from exporter.model import Bounds, Bucket, Past, Query, Request, Window
from exporter.providers.base import NoHistory, Provider
from exporter.providers.errors import VendorError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One query's past that is wanted: of the period those buckets that are settled."""

    past: Past
    provider: Provider = field(repr=False)
    period: Window

    @property
    def query(self) -> Query:
        """The query."""
        return self.past.query

    @property
    def name(self) -> str:
        """What the spool knows it by."""
        return "/".join(self.query.key)

    @property
    def buckets(self) -> int:
        """How many buckets that are."""
        return (self.period.end - self.period.start) // self.past.step

    @property
    def pieces(self) -> int:
        """In how many pieces they are asked for; each takes a request for each part, and perhaps several pages."""
        if not self.buckets:
            return 0
        return (self.period.end - 1) // self.past.span - self.period.start // self.past.span + 1


def wanted(query: Query, config: Config, step: int, period: Window, now: float) -> Wanted:
    """Say how a query's past is asked for. The period keeps whole buckets that have settled at ``now``, Unix seconds.

    Raises:
        NoHistory: the vendor has none.
    """
    provider = config.sources[query.source].provider
    start, end = period.start // step * step, min(period.end, int(now) - query.delay) // step * step
    return Wanted(provider.past(query, step), provider, Window(start, max(start, end)))


def all_wanted(
    config: Config, names: Sequence[str], step: int, period: Window, now: float
) -> tuple[tuple[Wanted, ...], tuple[str, ...]]:
    """Give what is wanted of the named queries, or of all, and for those that have no history why."""
    found, without = [], []
    for query in config.queries:
        if names and query.name not in names:
            continue
        try:
            found.append(wanted(query, config, step, period, now))
        except NoHistory as error:
            without.append(f"{query.source}: `{query.name}` has no history: {error}")
    return tuple(found), tuple(without)


Deliver = Callable[[Wanted, Sequence[Bucket]], Awaitable[None]]
"""Brings the buckets of one piece to where they shall go, and returns once they are there."""


class Backfill:
    """Asks for what is not done yet.

    ``done`` is told each piece with the number of its samples. With ``deliver`` the buckets go there, those of a query
    in the order of time; without it they stay in the spool.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        spool: Spool,
        done: Callable[[Wanted, int], None],
        deliver: Deliver | None = None,
    ) -> None:
        self._sources = sources
        self._spool = spool
        self._done = done
        self._deliver = deliver
        self._before: dict[str, asyncio.Event] = {}
        self.failures: dict[str, VendorError] = {}
        """Why a query could not be asked to its end, by its name in the spool."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        """How many rows were left out or lost a value, by the query's name in the spool and the reason."""

    async def run(self, all_: Sequence[Wanted]) -> None:
        """Ask for all pieces; a query that fails is left, the others go on.

        Raises:
            SpoolError: the state can't be kept.
        """
        async with asyncio.TaskGroup() as group:
            for source in {each.query.source: each for each in all_}:
                own = [each for each in all_ if each.query.source == source]
                # All of one time together: who asks for it after another finds the vendor's caches warm.
                todo = heapq.merge(*map(self._left, own), key=lambda item: item[1].start)
                for _ in range(own[0].provider.settings.limits.concurrency):
                    group.create_task(self._work(todo))

    def _left(self, each: Wanted) -> Iterator[tuple[Wanted, Window]]:
        for piece in pieces(each.past, each.period):
            if not self._spool.is_done(each.name, piece):
                yield each, piece

    async def _work(self, todo: Iterator[tuple[Wanted, Window]]) -> None:
        for each, piece in todo:
            if each.name in self.failures:
                continue
            before, after = self._before.get(each.name), asyncio.Event()
            self._before[each.name] = after
            try:
                await self._piece(each, piece, before)
            except VendorError as error:
                # What comes before it may still be on its way.
                if before:
                    await before.wait()
                self.failures.setdefault(each.name, error)
            finally:
                after.set()

    async def _piece(self, each: Wanted, piece: Window, before: asyncio.Event | None) -> None:
        source = _Remembering(self._sources[each.query.source], self._spool, each.name, piece)
        buckets = await Fetcher(source, each.provider, each.past).buckets(piece)
        if self._deliver:
            if before:
                await before.wait()
            if each.name in self.failures:
                # What comes before it is not there: it would be too old once this is.
                return
            await self._deliver(each, buckets)
        self._spool.finish(each.name, piece, () if self._deliver else buckets)
        for bucket in buckets:
            for reason, rows in bucket.table.dropped.items():
                self.dropped[each.name, reason] += rows
        self._done(each, sum(map(samples, buckets)))


class _Remembering:
    """A source that is asked nothing twice: answers stay in the spool until their piece is done."""

    def __init__(self, source: Source, spool: Spool, query: str, piece: Window) -> None:
        self._source = source
        self._spool = spool
        self._query = query
        self._piece = piece

    async def get(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        known = self._spool.answer(self._query, self._piece, request)
        if known is not None:
            return await read(known)

        async def keeping(body: bytes) -> T:
            value = await read(body)
            self._spool.keep(self._query, self._piece, request, body)
            return value

        return await self._source.get(request, bounds, keeping)


def samples(bucket: Bucket) -> int:
    """Count the samples of a bucket."""
    return sum(cell is not None for column in bucket.table.columns for cell in column.values)

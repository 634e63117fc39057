"""The requests of one tick: pages are asked for, and their rows handed to all jobs that want them."""

import contextlib
import marshal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec, Protocol, TypeVar

import structlog

from exporter.aggregate import Aggregate
from exporter.model import Bounds, Page, Part, Query, Request, Turn, Window
from exporter.normalise import Tabulator
from exporter.plan import Group, Job
from exporter.providers.decode import STEP, decode
from exporter.providers.errors import BadResponse, VendorError

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

SMALLEST = 100
"""Bytes of a row of an answer, about; few are smaller."""

NOTHING_NEW = "a page holds nothing new, so rows are missing"


class Source(Protocol):
    """Who can be asked: a source's client."""

    async def get(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Give what ``read`` makes of an answer's body."""


class Apart(Protocol):
    """Does work on so many rows where it holds up nobody."""

    async def __call__(self, rows: int, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Give what the work gives."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick of a group: the period that it asks for, and what each of its requests may cost."""

    group: Group
    period: Window
    bounds: Bounds


@dataclass(slots=True)
class Take:
    """What one job has taken of its group's answers; ``failure`` is why that is of no use.

    ``shared`` says whether what failed was asked for others, too.
    """

    job: Job
    tabulator: Tabulator
    failure: VendorError | None = None
    shared: bool = False


Takers = Sequence[tuple[Take, Part]]
"""Who takes the rows of a request, each with the fields that it wants."""


class Gatherer:
    """Sends the requests of one tick."""

    def __init__(
        self, source: Source, tick: Tick, apart: Apart, tabulator: Callable[[Query], Tabulator] = Tabulator
    ) -> None:
        self._source = source
        self._tabulator = tabulator
        self._tick = tick
        self._apart = apart

    async def gather(self) -> list[Take]:
        """Give what each job has taken; a request that fails is a failure of those jobs that need it."""
        takes = [Take(job, self._tabulator(job.query)) for job in self._tick.group.jobs]
        for part in self._tick.group.parts:
            takers = [(take, own) for take in takes if not take.failure and (own := take.job.part(part))]
            try:
                if takers and part.folds:
                    await self._aggregated(part, takers)
                elif takers:
                    await self._pages(part, takers)
            except VendorError as problem:
                for take, _ in takers:
                    take.failure, take.shared = problem, len(takers) > 1
        return takes

    async def _aggregated(self, part: Part, takers: Takers) -> None:
        """Take all pages of one request whose rows are made into fewer."""
        aggregates = [(Aggregate(take.job.query, own), take.tabulator) for take, own in takers]
        most = self._tick.group.asked.max_rows
        async with contextlib.aclosing(self._turned(part)) as pages:
            async for page, weight in pages:
                new = [await self._apart(weight, aggregate.add, page.rows) for aggregate, _ in aggregates]
                rows = aggregates[0][0].rows
                if rows > most:
                    raise BadResponse(f"{part.endpoint}: more than `max_rows` ({most}) rows to aggregate")
                # A row that is aggregated has an id, so that no two are alike.
                if page.rows and not any(new) and (page.next is not None or rows > len(page.rows)):
                    raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")
        for aggregate, tabulator in aggregates:
            await self._apart(aggregate.rows, aggregate.finish, tabulator)

    async def _pages(self, part: Part, takers: Takers) -> None:
        """Take all pages of one request, until the last one or until no job has room for more."""
        taking = [(take.tabulator, own.fields) for take, own in takers]
        async with contextlib.aclosing(self._turned(part)) as pages:
            async for page, weight in pages:
                new = [await self._apart(weight, tabulator.add, page.rows, fields) for tabulator, fields in taking]
                await self._apart(weight, let_go, page.rows)
                if page.next is None:
                    return
                # Where nobody says how many rows are left, the next page has to show that there are any.
                done = [each for each, _ in taking if each.full or (page.missing and not each.room)]
                for tabulator in done:
                    tabulator.leave(page.missing)
                taking = [each for each in taking if each[0] not in done]
                if not taking:
                    return
                if not any(new):
                    raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")

    async def _turned(self, part: Part) -> AsyncGenerator[tuple[Page, int]]:
        """Give the pages of one request, and how many usual rows each is worth.

        One that only repeats rows is refused, for others are then missing.
        """
        turn: Turn | None = Turn(part, self._tick.period)
        seen = Seen()
        while turn:
            page, weight = await self._page(turn)
            if page.rows and not (turn.cursor is None and page.next is None):
                # Of millions of rows that are aggregated only whole pages are remembered.
                rows = [page.rows] if part.folds else page.rows
                if not await self._apart(weight, seen.take, rows):
                    raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")
            yield page, weight
            turn = None if page.next is None else replace(turn, cursor=page.next)

    async def _page(self, turn: Turn) -> tuple[Page, int]:
        query, provider = self._tick.group.asked, self._tick.group.provider

        async def read(body: bytes) -> tuple[Page, int]:
            # Decoding thousands of rows takes longer than a scrape may wait.
            weight = len(body) // SMALLEST
            page = await self._apart(weight, lambda: provider.parse(query, turn, decode(body, query.max_nesting)))
            log.debug("page", endpoint=turn.part.endpoint, rows=len(page.rows), missing=page.missing)
            return page, weight

        return await self._source.get(provider.request(query, turn), self._tick.bounds, read)


def let_go(rows: Sequence[object]) -> None:
    """Free rows step by step: of 10,000 at once nobody else would have a turn for 5 ms, and it would be in the loop."""
    if isinstance(rows, list):
        while rows:
            del rows[-STEP:]


class Seen:
    """Remembers rows as the vendor sent them: two with one label set and different values are not the same."""

    def __init__(self) -> None:
        self._marks: set[int] = set()

    def take(self, rows: Sequence[object]) -> bool:
        """Take rows, and say whether any of them is new."""
        # Of all that writes any JSON alike each time, this is the fastest.
        marks = {hash(marshal.dumps(row, 2)) for row in rows}  # type: ignore[arg-type]  # rows are what JSON can hold
        new = not marks <= self._marks
        self._marks |= marks
        return new

"""A query's past: requests for a stretch of it, and one table for each bucket. Whole answers only."""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from exporter.aggregate import Aggregate
from exporter.gather import NOTHING_NEW, Seen, Source
from exporter.model import ROW_TIME, Bucket, Page, Part, Past, Turn, Window
from exporter.normalise import Tabulator
from exporter.providers.base import Provider
from exporter.providers.decode import decode
from exporter.providers.errors import BadResponse, OutOfTime, ServerError, TimedOut

Rows = list[object]


def pieces(past: Past, period: Window) -> Iterator[Window]:
    """Cut a period into those that are asked for at once, oldest first.

    The cuts lie on the grid of the span, so that they are the same whatever the period; buckets that it has only a
    part of are left out.
    """
    start, end = -(-period.start // past.step) * past.step, period.end // past.step * past.step
    while start < end:
        cut = min((start // past.span + 1) * past.span, end)
        yield Window(start, cut)
        start = cut


@dataclass(frozen=True, slots=True)
class _Asking:
    """One stretch that is asked for, until when, and what gathers the rows of each of its buckets."""

    period: Window
    until: float
    tabulators: Sequence[Tabulator]


class Fetcher:
    """Asks for one query's past. ``source`` is the client of the query's source, ``provider`` its vendor.

    ``spare`` says whether there may be more requests than one for each piece and page.
    """

    def __init__(
        self, source: Source, provider: Provider, past: Past, spare: Callable[[], bool] = lambda: True
    ) -> None:
        self._source = source
        self._provider = provider
        self._past = past
        self._spare = spare

    async def buckets(self, period: Window, until: float = math.inf) -> tuple[Bucket, ...]:
        """Give all buckets of a period, oldest first; one in which nothing happened has an empty table.

        What the vendor can't answer in time is asked for by halves, as far as there are requests to spare. No request
        is repeated after ``until``, on the clock of the source.

        Raises:
            VendorError: there is no whole answer.
        """
        found: tuple[Bucket, ...] = ()
        for piece in pieces(self._past, period):
            found += await self._piece(piece, until)
        return found

    async def _piece(self, period: Window, until: float) -> tuple[Bucket, ...]:
        try:
            return await self._buckets(period, until)
        except (TimedOut, ServerError) as error:
            length = (period.end - period.start) // self._past.step
            if length == 1 or isinstance(error, OutOfTime) or not self._spare():
                raise
        middle = period.start + length // 2 * self._past.step
        older = await self._piece(Window(period.start, middle), until)
        return older + await self._piece(Window(middle, period.end), until)

    async def _buckets(self, period: Window, until: float) -> tuple[Bucket, ...]:
        step = self._past.step
        starts = range(period.start, period.end, step)
        asking = _Asking(period, until, [Tabulator(self._past.query) for _ in starts])
        for part in self._past.parts:
            take = (_Folded if part.folds else _Plain)(self._past, part, asking)
            async with contextlib.aclosing(self._pages(part, asking)) as pages:
                async for page in pages:
                    new = await asyncio.to_thread(take.add, page)
                    if page.next is not None and page.rows and not new:
                        raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")
                    if page.next is not None and take.full:
                        break
            await asyncio.to_thread(take.finish)
        return tuple(
            Bucket(Window(start, start + step), tabulator.table())
            for start, tabulator in zip(starts, asking.tabulators, strict=True)
        )

    async def _pages(self, part: Part, asking: _Asking) -> AsyncGenerator[Page]:
        """Give the pages of one request; one that only repeats rows is refused, for others are then missing."""
        turn: Turn | None = Turn(part, asking.period)
        seen = Seen()
        while turn:
            page = await self._page(turn, asking.until)
            if page.rows and not (turn.cursor is None and page.next is None) and not seen.take([list(page.rows)]):
                raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")
            yield page
            turn = None if page.next is None else replace(turn, cursor=page.next)

    async def _page(self, turn: Turn, until: float) -> Page:
        asked = self._past.asked

        async def read(body: bytes) -> Page:
            # Decoding thousands of rows takes longer than a scrape may wait.
            return await asyncio.to_thread(lambda: self._provider.parse(asked, turn, decode(body, asked.max_nesting)))

        return await self._source.get(self._provider.request(asked, turn), asked.bounds(until), read)


class _Plain:
    """Takes the pages of a request whose rows are samples."""

    def __init__(self, past: Past, part: Part, asking: _Asking) -> None:
        self._most = past.query.max_rows
        self._step = past.step
        self._part = part
        self._asking = asking
        self._rows = 0
        self.full = False

    def add(self, page: Page) -> int:
        """Take a page; gives how many of its rows found a place, or would have if there were room."""
        new, tabulators = 0, self._asking.tabulators
        for number, rows in placed(page.rows, self._part, self._asking.period, self._step).items():
            tabulator = tabulators[number]
            found = tabulator.add(rows, self._part.fields)
            new += len(rows) if tabulator.full else found
        self._rows += len(page.rows)
        if self._rows > self._most:
            # Each bucket has its `max_series`; only this ends an endless answer of rows beyond it.
            raise BadResponse(f"{self._part.endpoint}: more than `max_rows` ({self._most}) rows")
        if len(tabulators) == 1 and (tabulators[0].full or (page.missing and not tabulators[0].room)):
            self.full = True
            if page.next is not None:
                tabulators[0].leave(page.missing)
        return new

    def finish(self) -> None:
        """Nothing is left to do."""


class _Folded:
    """Takes the pages of a request whose rows are made into fewer."""

    full = False

    def __init__(self, past: Past, part: Part, asking: _Asking) -> None:
        self._most = past.query.max_rows
        self._step = past.step
        self._part = part
        self._asking = asking
        self._aggregates = [Aggregate(past.query, part) for _ in asking.tabulators]

    def add(self, page: Page) -> int:
        """Take a page; gives how many of its rows had not come before."""
        new = 0
        for number, rows in placed(page.rows, self._part, self._asking.period, self._step).items():
            new += self._aggregates[number].add(rows)
        if sum(aggregate.rows for aggregate in self._aggregates) > self._most:
            raise BadResponse(f"{self._part.endpoint}: more than `max_rows` ({self._most}) rows to aggregate")
        return new

    def finish(self) -> None:
        """Hand over what came of the rows."""
        for aggregate, tabulator in zip(self._aggregates, self._asking.tabulators, strict=True):
            aggregate.finish(tabulator)


def placed(rows: Sequence[object], part: Part, period: Window, step: int) -> dict[int, Rows]:
    """Sort rows by the number of their bucket within a period; what has no time goes to the first, as no row.

    Raises:
        BadResponse: a row is of another time, or its bucket begins between two of the grid.
    """
    found: defaultdict[int, Rows] = defaultdict(list)
    own_grid = all(fold == "newest" for _, fold in part.folds)
    for row in rows:
        time = row.get(ROW_TIME, period.start) if isinstance(row, dict) else None
        if not isinstance(time, int | float):
            found[0].append(None)
            continue
        if not period.start <= time < period.end:
            raise BadResponse(f"{part.endpoint}: a row is of the time {time}, outside the period that was asked for")
        if own_grid and time % step:
            raise BadResponse(f"{part.endpoint}: a bucket begins at {time}, which is no multiple of {step} s in UTC")
        found[int(time - period.start) // step].append(row)
    return found

"""One tick: the window, the requests and their pages, the samples, the snapshot, and how it went.

This is the only place that catches everything: whatever a poll runs into ends as an outcome, and the last good answer
stays until it is too old.
"""

import asyncio
import contextlib
import marshal
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from exporter.aggregate import Aggregate
from exporter.circuit import Circuit
from exporter.exposition import Renderer
from exporter.model import Bounds, Chunk, Outcome, Page, Part, Query, Request, Snapshot, Table, Turn, Window
from exporter.normalise import Tabulator
from exporter.plan import Job
from exporter.providers.decode import decode
from exporter.providers.errors import BadResponse, VendorError
from exporter.store import Store
from exporter.window import window

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

NOTHING: Mapping[str, int] = {}

NOTHING_NEW = "a page holds nothing new, so rows are missing"


class Source(Protocol):
    """Who can be asked: a source's client."""

    async def get(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Give what ``read`` makes of an answer's body."""


@dataclass(frozen=True, slots=True)
class _Tick:
    """One tick of a job: the period that it asks for, and what each of its requests may cost."""

    job: Job
    period: Window
    bounds: Bounds


class Poller:
    """Polls jobs. ``now`` gives Unix seconds, ``clock`` monotonic ones; ``ended`` is told each outcome."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        store: Store,
        ended: Callable[[Outcome], None],
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._store = store
        self._ended = ended
        self._now = now
        self._clock = clock
        self._cpu = ThreadPoolExecutor(1, thread_name_prefix="cpu")
        self._renderers: dict[tuple[str, str], Renderer] = {}
        self._last: dict[tuple[str, str], Outcome] = {}
        self._circuits: defaultdict[str, Circuit] = defaultdict(Circuit)
        self._alike: Counter[tuple[str, str]] = Counter()
        """How many polls in a row ended with the last one's reason."""

    @property
    def last(self) -> Mapping[tuple[str, str], Outcome]:
        """How the last poll of each query ended, by source and query name; those that have been polled."""
        return self._last

    def circuit(self, source: str) -> Circuit:
        """Give the circuit of a source."""
        return self._circuits[source]

    def configure(self, sources: Mapping[str, Source], kept: Collection[tuple[str, str]]) -> None:
        """Ask these sources from now on, and forget all queries but those that are ``kept``."""
        changed = [name for name, source in self._sources.items() if sources.get(name) is not source]
        for name in changed:
            self._circuits.pop(name, None)
        for key in [key for key in self._last if key not in kept]:
            self._circuits[key[0]].forget(self._last.pop(key).query)
            self._alike.pop(key, None)
        # Of one that never had an outcome, too: a thread may still be at work with what the next poll would take up.
        self._renderers = {key: renderer for key, renderer in self._renderers.items() if key in kept}
        self._sources = sources

    def restore(self, outcome: Outcome) -> None:
        """Take in how a poll ended before this process began."""
        self._last[outcome.query.key] = outcome

    async def tick(self, job: Job) -> None:
        """Poll, unless the source is to be left in peace. Raises nothing but cancellation."""
        if self._circuits[job.query.source].due(job.query):
            await self.poll(job)

    async def poll(self, job: Job) -> None:
        """Poll once. Raises nothing but cancellation."""
        with bound_contextvars(source=job.query.source, query=job.query.name):
            await self._poll(job)

    async def _poll(self, job: Job) -> None:
        query, started, now = job.query, self._clock(), self._now()
        period = window(now, interval=query.interval, length=query.window, delay=query.delay)
        # While a source is left in peace, one request a poll has to do.
        until = float("-inf") if self._circuits[query.source].open else started + job.next_tick(now) - now
        snapshot, dropped, reason, error = None, NOTHING, "", ""
        try:
            table = await self._gather(_Tick(job, period, query.bounds(until)))
            chunks = await self._rendered(query, table)
            snapshot, dropped = Snapshot(query, chunks, period, self._clock()), table.dropped
            self._store.swap(snapshot)
        except VendorError as problem:
            reason, error = problem.reason, str(problem)
        except Exception as problem:
            reason, error = "bug", f"{type(problem).__name__} in the exporter; please report it with the traceback"
            if query.key not in self._last or self._last[query.key].reason != "bug":
                log.exception("poll broke")
        self._note(
            Outcome(
                query=query,
                window=period,
                ended=self._now(),
                duration=self._clock() - started,
                series=snapshot.series if snapshot else 0,
                dropped=dropped,
                reason=reason,
                error=error,
            )
        )

    async def _gather(self, tick: _Tick) -> Table:
        tabulator = Tabulator(tick.job.query)
        for part in tick.job.parts:
            if part.folds:
                await self._aggregated(tick, part, tabulator)
            else:
                await self._pages(tick, part, tabulator)
        return tabulator.table()

    async def _aggregated(self, tick: _Tick, part: Part, tabulator: Tabulator) -> None:
        """Take all pages of one request whose rows are made into fewer."""
        query = tick.job.query
        aggregate = Aggregate(query, part)
        async with contextlib.aclosing(self._turned(tick, part)) as pages:
            async for page in pages:
                new = await self._apart(aggregate.add, page.rows)
                if aggregate.rows > query.max_rows:
                    raise BadResponse(f"{part.endpoint}: more than `max_rows` ({query.max_rows}) rows to aggregate")
                # A row that is aggregated has an id, so that no two are alike.
                if page.rows and not new and (page.next is not None or aggregate.rows > len(page.rows)):
                    raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")
        await self._apart(aggregate.finish, tabulator)

    async def _pages(self, tick: _Tick, part: Part, tabulator: Tabulator) -> None:
        """Take all pages of one request, until the last one or until ``max_series`` is reached."""
        async with contextlib.aclosing(self._turned(tick, part)) as pages:
            async for page in pages:
                new = await self._apart(tabulator.add, page.rows, part.fields)
                # Where nobody says how many rows are left, the next page has to show that there are any.
                if page.next is not None and (tabulator.full or (page.missing and not tabulator.room)):
                    tabulator.leave(page.missing)
                    return
                if page.next is not None and not new:
                    raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")

    async def _turned(self, tick: _Tick, part: Part) -> AsyncGenerator[Page]:
        """Give the pages of one request; one that only repeats rows is refused, for others are then missing."""
        turn: Turn | None = Turn(part, tick.period)
        seen = _Seen()
        while turn:
            page = await self._page(tick, turn)
            if page.rows and not (turn.cursor is None and page.next is None):
                # Of millions of rows that are aggregated only whole pages are remembered.
                rows = [page.rows] if part.folds else page.rows
                if not await self._apart(seen.take, rows):
                    raise BadResponse(f"{part.endpoint}: {NOTHING_NEW}")
            yield page
            turn = None if page.next is None else replace(turn, cursor=page.next)

    async def _page(self, tick: _Tick, turn: Turn) -> Page:
        query, provider = tick.job.query, tick.job.provider

        async def read(body: bytes) -> Page:
            # Decoding thousands of rows takes longer than a scrape may wait.
            page = await self._apart(lambda: provider.parse(query, turn, decode(body, query.max_nesting)))
            log.debug("page", endpoint=turn.part.endpoint, rows=len(page.rows), missing=page.missing)
            return page

        return await self._sources[query.source].get(provider.request(query, turn), tick.bounds, read)

    async def _apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work on the CPU beside the event loop, one piece at a time: more at once would only delay scrapes."""
        return await asyncio.get_running_loop().run_in_executor(self._cpu, partial(work, *args, **kwargs))

    async def _rendered(self, query: Query, table: Table) -> tuple[Chunk, ...]:
        renderer = self._renderers.setdefault(query.key, Renderer())
        return await self._apart(renderer.render, table)

    def _note(self, outcome: Outcome) -> None:
        key, circuit = outcome.query.key, self._circuits[outcome.query.source]
        before = self._last.get(key)
        self._last[key] = outcome
        was_open = circuit.open
        circuit.note(outcome)
        self._ended(outcome)
        _log_change(before, outcome, self._alike[key])
        self._alike[key] = self._alike[key] + 1 if before and before.reason == outcome.reason else 1
        if circuit.open and not was_open:
            log.warning("circuit opens: the source's queries are polled less often")
        elif was_open and not circuit.open:
            log.info("circuit closes")


class _Seen:
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


def _log_change(before: Outcome | None, outcome: Outcome, alike: int) -> None:
    """Log a change of state, not every poll: a line once a minute for a night hides what else happened.

    The line says how many polls were ``alike`` before: those that were not logged.
    """
    past = {"was": before.reason or "ok", "polls": alike} if before else {}
    if outcome.succeeded and (before is None or not before.succeeded):
        log.info("query works" if before is None else "query works again", series=outcome.series, **past)
    elif not outcome.succeeded and (before is None or before.reason != outcome.reason):
        log.error("query fails", reason=outcome.reason, error=outcome.error, **past)
    for reason in sorted(set(outcome.dropped) - set(before.dropped if before else ())):
        log.warning("rows dropped", reason=reason, rows=outcome.dropped[reason])

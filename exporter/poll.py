"""One tick: the window, the requests and their pages, the samples, the snapshot, and how it went.

This is the only place that catches everything: whatever a poll runs into ends as an outcome, and the last good answer
stays until it is too old.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import ParamSpec, Protocol, TypeVar

import structlog

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
        self._cpu = asyncio.Semaphore(1)
        self._renderers: dict[tuple[str, str], Renderer] = {}
        self._last: dict[tuple[str, str], Outcome] = {}
        self._circuits: defaultdict[str, Circuit] = defaultdict(Circuit)

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
            self._renderers.pop(key, None)
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
                log.exception("poll broke", source=query.source, query=query.name)
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
        aggregate, turn = Aggregate(query, part), Turn(part, tick.period)
        while True:
            page = await self._page(tick, turn)
            doubles = await self._apart(aggregate.add, page.rows)
            if aggregate.rows > query.max_rows:
                raise BadResponse(f"{part.endpoint}: more than `max_rows` ({query.max_rows}) rows to aggregate")
            if page.next is None:
                break
            _must_go_on(part, page, doubles)
            turn = replace(turn, cursor=page.next)
        await self._apart(aggregate.finish, tabulator)

    async def _pages(self, tick: _Tick, part: Part, tabulator: Tabulator) -> None:
        """Take all pages of one request, until the last one or until ``max_series`` is reached."""
        turn = Turn(part, tick.period)
        while True:
            page = await self._page(tick, turn)
            doubles = await self._apart(tabulator.add, page.rows, part.fields)
            if page.next is None:
                return
            _must_go_on(part, page, doubles)
            # Where nobody says how many rows are left, the next page has to show that there are any.
            if tabulator.full or (page.missing and not tabulator.room):
                tabulator.leave(page.missing)
                return
            turn = replace(turn, cursor=page.next)

    async def _page(self, tick: _Tick, turn: Turn) -> Page:
        query, provider = tick.job.query, tick.job.provider

        async def read(body: bytes) -> Page:
            # Decoding thousands of rows takes longer than a scrape may wait.
            return await self._apart(lambda: provider.parse(query, turn, decode(body, query.max_nesting)))

        return await self._sources[query.source].get(provider.request(query, turn), tick.bounds, read)

    async def _apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work on the CPU beside the event loop, one piece at a time: more at once would only delay scrapes."""
        async with self._cpu:
            return await asyncio.to_thread(work, *args, **kwargs)

    async def _rendered(self, query: Query, table: Table) -> tuple[Chunk, ...]:
        renderer = self._renderers.setdefault(query.key, Renderer())
        return await self._apart(renderer.render, table)

    def _note(self, outcome: Outcome) -> None:
        before, circuit = self._last.get(outcome.query.key), self._circuits[outcome.query.source]
        self._last[outcome.query.key] = outcome
        was_open = circuit.open
        circuit.note(outcome)
        self._ended(outcome)
        _log_change(before, outcome)
        if circuit.open and not was_open:
            log.warning("circuit opens: the source's queries are polled less often", source=outcome.query.source)
        elif was_open and not circuit.open:
            log.info("circuit closes", source=outcome.query.source)


def _must_go_on(part: Part, page: Page, doubles: int) -> None:
    """Refuse a page that holds nothing new although more are promised: there would be no end."""
    if doubles == len(page.rows):
        raise BadResponse(f"{part.endpoint}: a page repeats the rows before it, so there would be no end")


def _log_change(before: Outcome | None, outcome: Outcome) -> None:
    """Log a change of state, not every poll: a line once a minute for a night hides what else happened."""
    where = {"source": outcome.query.source, "query": outcome.query.name}
    if outcome.succeeded and (before is None or not before.succeeded):
        log.info("query works" if before is None else "query works again", **where, series=outcome.series)
    elif not outcome.succeeded and (before is None or before.reason != outcome.reason):
        log.error("query fails", **where, reason=outcome.reason, error=outcome.error)
    for reason in sorted(set(outcome.dropped) - set(before.dropped if before else ())):
        log.warning("rows dropped", **where, reason=reason, rows=outcome.dropped[reason])

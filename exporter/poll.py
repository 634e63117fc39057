"""One tick: the window, what is gathered for it, the snapshots, and how it went.

This is the only place that catches everything: whatever a poll runs into ends as an outcome, and the last good answer
stays until it is too old.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from exporter.circuit import Circuit
from exporter.exposition import Renderer
from exporter.gather import Gatherer, Source, Take, Tick
from exporter.model import Bounds, Chunk, Outcome, Query, Request, Snapshot, Window
from exporter.normalise import Keys, Tabulator
from exporter.plan import Group, Job
from exporter.store import Store
from exporter.window import window

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

TOO_MUCH = ("bad_request", "bad_response", "server_error", "timeout")
"""Reasons for which queries that fail together may be well each for itself."""

AT_ONCE = 50
"""Rows up to which work is done in the event loop: it takes less than a millisecond."""

USUAL = 4
"""Series of a row, about."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a query's next poll takes up from the last one."""

    keys: Keys = field(default_factory=Keys)
    renderer: Renderer = field(default_factory=Renderer)


@dataclass(frozen=True, slots=True)
class _End:
    """What a poll has brought one job: chunks, or the reason why there are none."""

    job: Job
    chunks: tuple[Chunk, ...] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    error: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class _Current:
    """The client that a source has now: a reload may put another one in its place between two pages."""

    sources: Callable[[], Mapping[str, Source]]
    name: str

    async def get(self, request: Request, bounds: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Ask it."""
        return await self.sources()[self.name].get(request, bounds, read)


class Poller:
    """Polls groups of jobs. ``now`` gives Unix seconds, ``clock`` monotonic ones; ``ended`` is told each outcome."""

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
        self._memory: defaultdict[tuple[str, str], _Memory] = defaultdict(_Memory)
        self._last: dict[tuple[str, str], Outcome] = {}
        self._circuits: defaultdict[str, Circuit] = defaultdict(Circuit)
        self._alike: Counter[tuple[str, str]] = Counter()
        """How many polls in a row ended with the last one's reason."""
        self._refused: set[str] = set()
        """Groups whose queries are better off apart, by identity; after a reload they are tried anew."""

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
        for key in [key for key in self._memory if key not in kept]:
            del self._memory[key]
        self._sources = sources
        self._refused.clear()

    def restore(self, outcome: Outcome) -> None:
        """Take in how a poll ended before this process began."""
        self._last[outcome.query.key] = outcome

    async def tick(self, group: Group) -> None:
        """Poll, unless the source is to be left in peace. Raises nothing but cancellation."""
        circuit = self._circuits[group.asked.source]
        if due := [job for job in group.jobs if circuit.due(job.query)]:
            await self._polled(group, due)

    async def poll(self, group: Group) -> None:
        """Poll once. Raises nothing but cancellation."""
        await self._polled(group, group.jobs)

    def left(self, group: Group, query: Query) -> int:
        """Give how many ticks of a query are still to be left out; one that is due brings its group along."""
        circuit, together = self._circuits[query.source], group.identity not in self._refused
        return min(circuit.left(each) for each in (group.queries if together else (query,)))

    async def _polled(self, group: Group, due: Iterable[Job]) -> None:
        if group.identity in self._refused:
            await self._each(due)
        elif failed := await self._poll(group):
            # One metric that the vendor does not know, or one too many, must not cost the others their answer.
            await self._each(failed)
            if any(self._last[job.query.key].succeeded for job in failed):
                self._refused.add(group.identity)
                names = ",".join(job.query.name for job in failed)
                log.warning("queries that fail together are well apart; each asks for itself now", queries=names)

    async def _each(self, jobs: Iterable[Job]) -> None:
        await asyncio.gather(*(self._poll(Group.of(job)) for job in jobs))

    async def _poll(self, group: Group) -> list[Job]:
        """Poll once, and give the jobs that have no outcome yet: each may be better off alone."""
        query, started, now = group.asked, self._clock(), self._now()
        # While a source is left in peace, one request a poll has to do.
        until = float("-inf") if self._circuits[query.source].open else started + group.next_tick(now) - now
        period = window(now, interval=query.interval, length=query.window, delay=query.delay)
        with bound_contextvars(source=query.source, query=",".join(each.name for each in group.queries)):
            try:
                tick = Tick(group, period, query.bounds(until))
                source = _Current(lambda: self._sources, query.source)
                gatherer = Gatherer(source, tick, self._apart, self._tabulator)
                ends = [await self._rendered(take) for take in await gatherer.gather()]
            except asyncio.CancelledError:
                # The same: the next poll begins anew.
                for each in group.queries:
                    self._memory.pop(each.key, None)
                raise
            except Exception as problem:
                error = f"{type(problem).__name__} in the exporter; please report it with the traceback"
                ends = [_End(job, reason="bug", error=error) for job in group.jobs]
                if any(each.key not in self._last or self._last[each.key].reason != "bug" for each in group.queries):
                    log.exception("poll broke")
        # From here on nothing is awaited: the queries of a group change together.
        duration, failed = self._clock() - started, []
        for end in ends:
            if len(ends) > 1 and self._better_alone(end, query):
                failed.append(end.job)
            else:
                self._settle(end, period, duration)
        return failed

    def _better_alone(self, end: "_End", asked: Query) -> bool:
        """Whether a job of a group may come to something else if it asks for itself."""
        query = end.job.query
        # The first rows are not those of its own order.
        if end.dropped.get("limit") and (query.order_by, query.order) != (asked.order_by, asked.order):
            return True
        return end.shared and end.reason in TOO_MUCH and not self._circuits[query.source].open

    def _tabulator(self, query: Query) -> Tabulator:
        return Tabulator(query, self._memory[query.key].keys)

    async def _rendered(self, take: Take) -> "_End":
        if take.failure:
            return _End(take.job, reason=take.failure.reason, error=str(take.failure), shared=take.shared)
        renderer = self._memory[take.job.query.key].renderer

        def render() -> _End:
            table = take.tabulator.table()
            return _End(take.job, renderer.render(table), table.dropped)

        return await self._apart(take.tabulator.series // USUAL, render)

    def _settle(self, end: "_End", period: Window, duration: float) -> None:
        """Put a job's snapshot into force, and say how its poll ended."""
        query, series = end.job.query, 0
        if end.chunks is not None:
            snapshot = Snapshot(query, end.chunks, period, self._clock())
            self._store.swap(snapshot)
            series = snapshot.series
        self._note(Outcome(query, period, self._now(), duration, series, end.dropped, end.reason, end.error))

    async def _apart(self, rows: int, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work on so many rows beside the event loop, one piece at a time: more at once would only delay scrapes.

        With a few rows it is done sooner than a thread would begin.
        """
        if rows <= AT_ONCE:
            return work(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._cpu, partial(work, *args, **kwargs))

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
            log.warning(
                "circuit opens: the source's queries are polled less often", source=key[0], query=outcome.query.name
            )
        elif was_open and not circuit.open:
            log.info("circuit closes", source=key[0], query=outcome.query.name)


def _log_change(before: Outcome | None, outcome: Outcome, alike: int) -> None:
    """Log a change of state, not every poll: a line once a minute for a night hides what else happened.

    The line says how many polls were ``alike`` before: those that were not logged.
    """
    past = {"was": before.reason or "ok", "polls": alike} if before else {}
    whose = {"source": outcome.query.source, "query": outcome.query.name}
    if outcome.succeeded and (before is None or not before.succeeded):
        log.info("query works" if before is None else "query works again", series=outcome.series, **past, **whose)
    elif not outcome.succeeded and (before is None or before.reason != outcome.reason):
        log.error("query fails", reason=outcome.reason, error=outcome.error, **past, **whose)
    for reason in sorted(set(outcome.dropped) - set(before.dropped if before else ())):
        log.warning("rows dropped", reason=reason, rows=outcome.dropped[reason], **whose)

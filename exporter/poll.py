"""One tick: the window, what is gathered for it, the snapshots, and how it went.

This is the only place that catches everything: whatever a poll runs into ends as an outcome, and the last good answer
stays until it is too old.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from exporter.circuit import Circuit
from exporter.exposition import Renderer
from exporter.gather import Gatherer, Source, Take, Tick
from exporter.model import Chunk, Outcome, Query, Snapshot, Window
from exporter.normalise import Keys, Tabulator
from exporter.plan import Group, Job
from exporter.providers.errors import BadRequest
from exporter.store import Store
from exporter.window import window

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 50
"""Rows up to which work is done in the event loop: it takes less than a millisecond."""


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
        """Groups that the vendor refuses together, by identity; after a reload they are tried anew."""

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
        # All are counted, for all that are left out come nearer to their next poll.
        if any([circuit.due(query) for query in group.queries]):  # noqa: C419 - see above
            await self.poll(group)

    async def poll(self, group: Group) -> None:
        """Poll once. Raises nothing but cancellation."""
        if group.identity in self._refused:
            await asyncio.gather(*(self._poll(Group.of(job)) for job in group.jobs))
        elif refused := await self._poll(group):
            # One metric that the vendor does not know must not cost the other queries their answer.
            self._refused.add(group.identity)
            names = ",".join(job.query.name for job in refused)
            log.warning("what queries ask together is refused; each asks for itself now", queries=names)
            for job in refused:
                await self._poll(Group.of(job))

    async def _poll(self, group: Group) -> list[Job]:
        """Poll once, and give the jobs that have no outcome yet: what they ask together was refused."""
        query, started, now = group.asked, self._clock(), self._now()
        # While a source is left in peace, one request a poll has to do.
        until = float("-inf") if self._circuits[query.source].open else started + group.next_tick(now) - now
        period = window(now, interval=query.interval, length=query.window, delay=query.delay)
        with bound_contextvars(source=query.source, query=",".join(each.name for each in group.queries)):
            try:
                tick = Tick(group, period, query.bounds(until))
                gatherer = Gatherer(self._sources[query.source], tick, self._apart, self._tabulator)
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
        duration, refused = self._clock() - started, []
        for end in ends:
            if end.reason == BadRequest.reason and len(ends) > 1:
                refused.append(end.job)
            else:
                self._settle(end, period, duration)
        return refused

    def _tabulator(self, query: Query) -> Tabulator:
        return Tabulator(query, self._memory[query.key].keys)

    async def _rendered(self, take: Take) -> "_End":
        if take.failure:
            return _End(take.job, reason=take.failure.reason, error=str(take.failure))
        renderer = self._memory[take.job.query.key].renderer

        def render() -> _End:
            table = take.tabulator.table()
            return _End(take.job, renderer.render(table), table.dropped)

        return await self._apart(take.tabulator.rows, render)

    def _settle(self, end: "_End", period: Window, duration: float) -> None:
        """Put a job's snapshot into force, and say how its poll ended."""
        query, series = end.job.query, 0
        if end.chunks is not None:
            snapshot = Snapshot(query, end.chunks, period, self._clock())
            self._store.swap(snapshot)
            series = snapshot.series
        ended = self._now()
        with bound_contextvars(source=query.source, query=query.name):
            self._note(Outcome(query, period, ended, duration, series, end.dropped, end.reason, end.error))

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
            log.warning("circuit opens: the source's queries are polled less often")
        elif was_open and not circuit.open:
            log.info("circuit closes")


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

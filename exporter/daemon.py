"""The running exporter: all parts, put together, until a signal ends them."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from exporter.clock import steady
from exporter.config import Config, ConfigError, Source
from exporter.exposition import Exposition
from exporter.model import Outcome
from exporter.plan import Group, Job, plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.schedule import Schedule
from exporter.shard import ONLY, Shard
from exporter.storage import Storage
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.access import Access
from exporter.web.app import app
from exporter.web.discovery import Discovery
from exporter.web.listen import serve
from exporter.web.metrics import Metrics, at
from exporter.web.past import Past
from exporter.web.peers import Here, Peers
from exporter.web.state import State
from exporter.web.systemd import Notifier

if TYPE_CHECKING:
    from exporter.history.deliveries import Deliveries

log = structlog.get_logger(__name__)

INTERNET = (socket.AF_INET, socket.AF_INET6)

SWITCH = 0.0005
"""Seconds after which Python asks a thread to let another one run; its default is ten times as long."""

PATIENCE = 4.0
"""Seconds after a signal at which the process ends whatever still runs; the contract promises 5."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says besides the configuration."""

    metrics_path: str = "/metrics"
    lifecycle: bool = False
    storage: Path | None = None
    external_url: str = ""
    access: Access | None = None
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    shard: Shard = ONLY
    peers: tuple[str, ...] = ()
    revision: str = "unknown"
    """The commit that this is built from."""

    @property
    def secure(self) -> bool:
        """Whether TLS is served."""
        return bool(self.access and self.access.tls)


async def run(load: Callable[[], Config], config: Config, sockets: Sequence[socket.socket], options: Options) -> None:
    """Poll and serve until SIGTERM or SIGINT; ``load`` gives the configuration anew, on SIGHUP."""
    # A thread that decodes a large answer lets a scrape have its turn sooner; measured, it costs nothing.
    sys.setswitchinterval(SWITCH)
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, reload)):
        loop.add_signal_handler(number, event.set)
    async with running(load, config, sockets, options) as house:
        urls, queries = " ".join(address(bound, tls=options.secure) for bound in sockets), len(house.state.plan().jobs)
        shard = {"shard": options.shard.ordinal, "of": options.shard.total} if options.shard.total > 1 else {}
        # What is loaded now stays, and all of it would be searched for garbage now and then, 40 ms long.
        gc.collect()
        gc.freeze()
        log.info("listening", addresses=urls, queries=queries, **shard)
        options.notifier.ready(f"serving {queries} queries")
        house.begin(_reload_on(reload, house, options.notifier))
        house.begin(_hold_off_watchdog(house, options.notifier))
        await stop.wait()
        log.info("stopping")
        options.notifier.stopping()
        # A thread that decodes a large answer can't be stopped, and the interpreter would wait for it.
        last_resort = threading.Timer(PATIENCE, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()


async def _reload_on(signalled: asyncio.Event, house: "House", notifier: Notifier) -> None:
    while True:
        await signalled.wait()
        signalled.clear()
        notifier.reloading()
        try:
            faults = await house.reload()
        except Exception:
            # A fault of the exporter's own: the next signal must find somebody who listens.
            log.exception("reload broke")
            house.telemetry.not_configured()
            faults = ("a fault of the exporter; please report it with the traceback of the log",)
        notifier.ready(f"the configuration is wrong, the old one stays: {faults[0]}" if faults else "reloaded")


async def _hold_off_watchdog(house: "House", notifier: Notifier) -> None:
    """Tell systemd that all is well, where it asks, for as long as polls are started."""
    while notifier.watchdog_interval:
        if house.state.alive():
            notifier.alive()
        await asyncio.sleep(notifier.watchdog_interval)


@contextlib.asynccontextmanager
async def running(
    load: Callable[[], Config], config: Config, sockets: Sequence[socket.socket], options: Options
) -> AsyncIterator["House"]:
    """Poll and serve for as long as the context is open."""
    storage = Storage(options.storage, time.time, steady) if options.storage else None
    house = House(load, config, storage, options)
    metrics = Metrics(Exposition(house.store), house.telemetry)
    reload = house.reload if options.lifecycle else None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(house.aclose)
        pages = app(metrics, options.metrics_path, house.state, reload, _discovery(options, sockets))
        guard = options.access
        if guard:
            await stack.enter_async_context(serve(guard.wrap(pages), sockets, guard.tls))
        else:
            # Whoever has to log in first goes the long way.
            await stack.enter_async_context(serve(pages, sockets, ready=at(options.metrics_path, metrics)))
        house.start()
        yield house


def _discovery(options: Options, sockets: Sequence[socket.socket]) -> Discovery:
    if not options.peers:
        return Discovery(options.external_url)
    port = next((bound.getsockname()[1] for bound in sockets if bound.family in INTERNET), 0)
    scheme = "https" if options.secure else "http"
    return Discovery(peers=Peers(options.peers, Here(options.shard.ordinal, scheme, port, options.external_url)))


class House:
    """The parts that a poll goes through, and what a reload exchanges in them."""

    def __init__(self, load: Callable[[], Config], config: Config, storage: Storage | None, options: Options) -> None:
        self._load = load
        self._shard = options.shard
        self._config = options.shard.own(config)
        self._storage = storage
        self._plan = plan(self._config)
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.telemetry = Telemetry(time.time, options.revision, options.shard)
        self.store = Store(self._config.queries, steady)
        self._clients = {name: self._client(name, source) for name, source in self._config.sources.items()}
        self._poller = Poller(self._clients, self.store, self._ended, now=time.time, clock=steady)
        self._schedule = Schedule(self._poller.tick, lambda group: self.telemetry.skipped(group.queries))
        self._past = Past()
        self._deliveries: Deliveries | None = None
        self.state = State(
            now=time.time,
            config=lambda: self._config,
            plan=lambda: self._plan,
            outcomes=lambda: self._poller.last,
            next_polls=self._next_polls,
            circuits=lambda: {name: self._poller.circuit(name).open for name in self._config.sources},
            standings=lambda: {name: client.standing for name, client in self._clients.items()},
            snapshot=self.store.get,
            past=self._past,
            alive=lambda: self._schedule.running,
            deliveries=lambda: self._deliveries.standings if self._deliveries else {},
            shard=options.shard,
        )

    def start(self) -> None:
        """Take in what is stored, and begin to poll what is due."""
        self._configured(())
        now, waiting = time.time(), set()
        for restored in self._storage.restore(self._plan.jobs) if self._storage else ():
            self._past.restore(restored.outcome, restored.good.ended if restored.good else None)
            self.telemetry.restored(restored.outcome, restored.good)
            due = restored.due(now)
            if restored.snapshot:
                self.store.swap(restored.snapshot)
            if not due:
                waiting.add(restored.job.query.key)
            # A query that has nothing to show, and is polled at once, is as new: it is not ready yet.
            if restored.snapshot or not due:
                self._poller.restore(restored.outcome)
        if served := len(self.store.snapshots()):
            log.info("stored snapshots are served", queries=served, waiting=len(waiting))
        if self._storage:
            self.begin(self._storage.keep_writing())
        self._deliver()
        self._advise(self._plan.jobs)
        self._schedule.start(self._plan.groups, self._waiting(waiting))

    async def reload(self) -> tuple[str, ...]:
        """Read the configuration anew and put it into force; with faults, which are given, the old one stays."""
        async with self._reloading:
            try:
                loaded = await asyncio.to_thread(lambda: self._shard.own(self._load()))
            except ConfigError as error:
                faults = error.lines
            else:
                self._exchange(loaded.reusing(self._config))
                log.info("configuration reloaded", sources=len(self._config.sources), queries=len(self._plan.jobs))
                return ()
            self.telemetry.not_configured()
            log.error("the configuration is wrong, the old one stays", faults=len(faults), first=faults[0])
            return faults

    def _exchange(self, config: Config) -> None:
        """Put a configuration in the place of the one in force; all in one step of the loop."""
        old, new = self._plan.job, plan(config)
        kept = {key for key, job in new.job.items() if key in old and old[key].identity == job.identity}
        same = {name for name, source in config.sources.items() if self._config.sources.get(name) is source}
        clients = {
            name: self._clients[name] if name in same else self._client(name, source)
            for name, source in config.sources.items()
        }
        for name in clients.keys() & self._clients.keys() - same:
            clients[name].inherit(self._clients[name])
        for name in self._clients.keys() - same:
            self.begin(self._clients[name].retire())
        for key in old.keys() - kept:
            if self._storage:
                self._storage.forget(old[key].query)
        self._config, self._plan, self._clients = config, new, clients
        # A group that only lost a query is another group, but none of what it answers is due.
        self._schedule.update(new.groups, self._waiting(kept & self._poller.last.keys()))
        self._poller.configure(clients, kept)
        self._past.keep(kept)
        self.store.configure(config.queries, kept)
        self._configured(kept)
        self._deliver()
        self._advise(job for key, job in new.job.items() if key not in kept)

    async def aclose(self) -> None:
        """Stop all polls, write what waits to be stored, and close all connections."""
        self._schedule.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._deliveries:
            await self._deliveries.aclose()
        for client in self._clients.values():
            await client.aclose()

    def _client(self, name: str, source: Source) -> Client:
        return Client(name, source.provider, self.telemetry, clock=steady, now=time.time)

    def _ended(self, outcome: Outcome) -> None:
        source = outcome.query.source
        self.telemetry.polled(outcome)
        self._past.note(outcome)
        self.telemetry.circuit(source, is_open=self._poller.circuit(source).open)
        if self._storage:
            self._storage.put(self._plan.job[outcome.query.key], outcome, self.store.get(outcome.query))
        if self._deliveries:
            self._deliveries.wake(outcome.query.key)

    def _deliver(self) -> None:
        """Deliver history as the configuration says; what that takes is imported once there is some."""
        if self._storage and self._config.delivers and self._deliveries is None:
            from exporter.history.deliveries import Deliveries  # noqa: PLC0415

            self._deliveries = Deliveries(self._storage.directory, self.telemetry, now=time.time, clock=steady)
        if self._deliveries:
            self._deliveries.configure(self._config, self._clients)

    def _next_polls(self) -> dict[tuple[str, str], float]:
        """Give the Unix time of each query's next poll, ticks that are left out for its source's circuit included."""
        return {
            key: tick + self._poller.left(self._plan.group[key], job.query) * job.query.interval
            for key, tick in self._schedule.next_polls().items()
            if (job := self._plan.job.get(key))
        }

    def _waiting(self, settled: Collection[tuple[str, str]]) -> list[Group]:
        """Give the groups all of whose queries are settled, so that they need no poll at once."""
        return [group for group in self._plan.groups if all(query.key in settled for query in group.queries)]

    def _configured(self, kept: Collection[tuple[str, str]]) -> None:
        """Let the own metrics tell of the configuration in force."""
        self.telemetry.configured(self._config.queries, kept)
        # A source without queries is as one that is not there.
        for source in {query.source for query in self._config.queries}:
            self.telemetry.planned(source, self._plan.requests_per_day(source))
            self.telemetry.circuit(source, is_open=self._poller.circuit(source).open)

    def _advise(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if advice := job.provider.advice(job.query):
                log.warning("query could be better", source=job.query.source, query=job.query.name, advice=advice)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside all else, until it ends or the exporter stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def address(bound: socket.socket, *, tls: bool = False) -> str:
    """Give the URL of a listening socket, the path of one that is a file."""
    if bound.family not in INTERNET:
        return f"unix:{bound.getsockname()}"
    host, port = bound.getsockname()[:2]
    host = "localhost" if host in ("::", "0.0.0.0") else f"[{host}]" if ":" in host else host  # noqa: S104 - compared, not bound
    return f"{'https' if tls else 'http'}://{host}:{port}"

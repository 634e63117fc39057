"""The running exporter: all parts, put together, until a signal ends them."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence

import structlog

from exporter.config import Config
from exporter.exposition import Exposition
from exporter.plan import plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.schedule import Schedule
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.app import app
from exporter.web.listen import serve
from exporter.web.metrics import Metrics
from exporter.web.status import State

log = structlog.get_logger(__name__)

PATIENCE = 4.0
"""Seconds after a signal at which the process ends whatever still runs; the contract promises 5."""


async def run(config: Config, sockets: Sequence[socket.socket], metrics_path: str) -> None:
    """Poll and serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config, sockets, metrics_path):
        log.info("listening", addresses=" ".join(address(bound) for bound in sockets), queries=len(config.queries))
        await stop.wait()
        log.info("stopping")
        # A thread that decodes a large answer can't be stopped, and the interpreter would wait for it.
        last_resort = threading.Timer(PATIENCE, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()


@contextlib.asynccontextmanager
async def running(config: Config, sockets: Sequence[socket.socket], metrics_path: str) -> AsyncIterator[None]:
    """Poll and serve for as long as the context is open."""
    telemetry = Telemetry(time.time)
    telemetry.configured(config.queries)
    store = Store(config.queries, time.monotonic)
    clients = {
        name: Client(name, source.provider, telemetry, clock=time.monotonic) for name, source in config.sources.items()
    }
    poller = Poller(clients, store, telemetry.polled, now=time.time, clock=time.monotonic)
    schedule = Schedule(poller.poll, lambda job: telemetry.skipped(job.query))
    state = State(
        queries=lambda: config.queries,
        outcomes=lambda: poller.last,
        next_polls=schedule.next_polls,
        alive=lambda: schedule.running,
    )
    async with contextlib.AsyncExitStack() as stack:
        for client in clients.values():
            stack.push_async_callback(client.aclose)
        stack.callback(schedule.stop)
        await stack.enter_async_context(serve(app(Metrics(Exposition(store), telemetry), metrics_path, state), sockets))
        for query in config.queries:
            if advice := config.sources[query.source].provider.advice(query):
                log.warning("query could be better", source=query.source, query=query.name, advice=advice)
        schedule.start(plan(config))
        yield


def address(bound: socket.socket) -> str:
    """Give the URL of a listening socket."""
    host, port = bound.getsockname()[:2]
    host = "localhost" if host in ("::", "0.0.0.0") else f"[{host}]" if ":" in host else host  # noqa: S104 - compared, not bound
    return f"http://{host}:{port}"

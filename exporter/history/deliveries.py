"""All deliveries of a running exporter: one for each query with history and each receiver."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from exporter.config import Config
from exporter.config.remote_write import RemoteWrite
from exporter.gather import Source
from exporter.history.delivery import Delivery, Shared, Task
from exporter.history.receiver import Receiver
from exporter.history.remote_write import Sender
from exporter.history.telemetry import Account, Key, Telemetry
from exporter.history.watermark import Watermarks, standing
from exporter.model import Delivered
from exporter.telemetry import Telemetry as OwnTelemetry

log = structlog.get_logger(__name__)

HELD = 4
"""Answers that wait for one receiver at the same time: what is read is held in memory until it is taken."""

PATIENCE = 300.0
"""Seconds after which a turn ends whose samples the receiver does not decide about: others wait for their own."""


@dataclass(slots=True)
class _Target:
    """A receiver in force: its settings, what sends to it, and who may hold answers for it."""

    settings: RemoteWrite
    sender: Sender
    holding: asyncio.Semaphore


@dataclass(slots=True)
class _Running:
    """A delivery, what it was made from, and its turn where it has one."""

    task: Task
    target: _Target
    delivery: Delivery
    turn: asyncio.Task[None] | None = None


class Deliveries:
    """Delivers after each poll. ``now`` gives Unix seconds, ``clock`` steady ones; watermarks are in a directory."""

    def __init__(
        self, directory: Path, own: OwnTelemetry, *, now: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._watermarks = Watermarks(directory)
        self._telemetry = Telemetry(own)
        self._now = now
        self._clock = clock
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._targets: dict[str, _Target] = {}
        self._running: dict[Key, _Running] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def configure(self, config: Config, clients: Mapping[str, Source]) -> None:
        """Deliver what this configuration says from now on; what it says as before goes on undisturbed."""
        old, self._targets = self._targets, {each.label: self._target(each) for each in config.remote_write}
        for name, target in old.items():
            if self._targets.get(name) is not target:
                self._end(target.sender.aclose())
        before, self._running = self._running, {}
        for task in _tasks(config, clients):
            for name, target in self._targets.items():
                key = (*task.query.key, name)
                was = before.get(key)
                same = was is not None and was.task == task and was.target is target
                self._running[key] = was if was and same else _Running(task, target, self._delivery(task, target, key))
        for key, running in before.items():
            if self._running.get(key) is not running:
                running.target.sender.waits.pop(key, None)
                if running.turn:
                    running.turn.cancel()
        self._telemetry.configured(self._running)

    def wake(self, query: tuple[str, str]) -> None:
        """Let a query's deliveries have a turn, but those whose last one still goes on."""
        for key, running in self._running.items():
            if key[:2] == query and (running.turn is None or running.turn.done()):
                running.turn = asyncio.create_task(running.delivery.deliver())

    @property
    def standings(self) -> Mapping[tuple[str, str], Sequence[Delivered]]:
        """How each delivery stands, by source and query name."""
        found: defaultdict[tuple[str, str], list[Delivered]] = defaultdict(list)
        for key, running in self._running.items():
            delivery, waits = running.delivery, running.target.sender.waits.get(key)
            trouble = delivery.trouble or (f"the receiver takes no samples: {waits}" if waits else "")
            found[key[:2]].append(standing(running.task.query, key[2], delivery.mark, trouble))
        return found

    async def aclose(self) -> None:
        """Stop all turns, and close all connections to receivers."""
        turns = [running.turn for running in self._running.values() if running.turn]
        for turn in turns:
            turn.cancel()
        await asyncio.gather(*turns, *self._ending, return_exceptions=True)
        for target in self._targets.values():
            await target.sender.aclose()

    def _target(self, settings: RemoteWrite) -> _Target:
        known = self._targets.get(settings.label)
        if known and known.settings == settings:
            return known
        receiver = Receiver(settings, now=self._now)
        sender = Sender(receiver, partial(self._telemetry.requested, settings.label))
        return _Target(settings, sender, asyncio.Semaphore(HELD))

    def _delivery(self, task: Task, target: _Target, key: Key) -> Delivery:
        shared = Shared(self._watermarks, self._now, self._clock, self._turns.__getitem__, target.holding)
        send = partial(target.sender.send, whose=key, patience=PATIENCE)
        return Delivery(task, key[2], send, Account(self._telemetry, key), shared)

    def _end(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _tasks(config: Config, clients: Mapping[str, Source]) -> Iterator[Task]:
    for query in config.queries:
        if query.history:
            provider = config.sources[query.source].provider
            # What is not of it changes when buckets are read, and not what is in them.
            asked = replace(query, delay=0, interval=0, window=0, timeout=0, max_age=0, history=None)
            identity = repr((asked, query.history.step, provider.account)).encode()
            yield Task(query, query.history, provider, clients[query.source], hashlib.sha256(identity).hexdigest())

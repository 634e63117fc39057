"""What a poll costs: the CPU from a page's bytes to published ones.

Ours goes through the real poller, store and exposition; the other is what one would write by hand: `json`, one gauge of
prometheus-client a family, and one gzip scrape as its server answers it.
"""

import asyncio
import gzip
import json
import logging
import math
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, TypeVar

import structlog
from figures import AGAIN, OURS, Costs, Section, Verdict, at_least, markdown, quiet
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from samples import DIMENSIONS, FAMILIES, LABELS, SOURCE, answer, parsed, table

from exporter.config import load
from exporter.exposition import Exposition, Format
from exporter.gzipped import file
from exporter.model import Bounds, Request
from exporter.plan import plan
from exporter.poll import Poller
from exporter.store import Store

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")

FIELDS = ("attempts", "viewercount", "latency", "p95_latency", "bufferingratio", "failurerate")
"""With two dimensions, rows of eight fields."""

HAND = "json + gauges"
ALLOWED = {"as last time": 25, "changed": 10}
"""How many times as much the other must cost at the largest page, by what became of the label rows."""


class Ours:
    """The exporter's parts, put together as the daemon does, without a network."""

    def __init__(self) -> None:
        query = {"name": "q", "source": SOURCE, "metrics": FIELDS, "dimensions": DIMENSIONS, "max_series": 10**6}
        source = {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}}
        config = load(json.dumps({"sources": {SOURCE: source}, "queries": [query]}), name="polling", env={})
        self._body = b""
        self._group = plan(config).groups[0]
        self._store = Store(config.queries, time.monotonic)
        self._exposition = Exposition(self._store)
        self._poller = Poller({SOURCE: self}, self._store, lambda _: None, now=time.time, clock=time.monotonic)

    async def get(self, _: Request, __: Bounds, read: Callable[[bytes], Awaitable[T]]) -> T:
        """Answer as a source's client does."""
        return await read(self._body)

    async def publish(self, body: bytes) -> bytes:
        """Poll once, and give the gzip file that the next scrape gets."""
        self._body = body
        await self._poller.poll(self._group)
        return b"".join(file(self._exposition.body(Format.TEXT)))


class ByHand:
    """A page put into gauges, and one scrape of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges = {field: Gauge(FAMILIES[field], "Help.", LABELS, registry=self._registry) for field in FIELDS}
        self._keys: list[tuple[str, ...]] = []

    async def publish(self, body: bytes) -> bytes:
        """Set all gauges, without what is gone, and give the gzip file."""
        rows = json.loads(body)["response"]
        keys = [tuple(row[name] for name in DIMENSIONS) for row in rows]
        if keys != self._keys:
            for gauge in self._gauges.values():
                gauge.clear()
        self._keys = keys
        for row, key in zip(rows, keys, strict=True):
            for field, gauge in self._gauges.items():
                # The least that a gauge of percent needs; ours moves the decimal point exactly.
                gauge.labels(SOURCE, "q", *key).set(row[field] / 100 if field in FIELDS[4:] else row[field])
        return gzip.compress(generate_latest(self._registry))


def work(party: type[Ours | ByHand], bodies: Sequence[bytes], pipe: "Connection") -> None:
    """Publish the bodies that are asked for by number, and give the seconds of CPU and what was published."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def publish() -> None:
        publisher = party()
        while True:
            number = pipe.recv()
            began = time.process_time()
            published = await publisher.publish(bodies[number])
            pipe.send((time.process_time() - began, published))

    asyncio.run(publish())


def measure(rows: int, labels: str, rounds: int) -> Costs:
    """Publish pages that change in every value, in turns, and give the microseconds of CPU a sample.

    Each party has a process of its own: the garbage of one would cost the other one time.
    """
    bodies = [
        answer(table("q", rows, poll=poll, other=f" {poll}" if labels == "changed" else ""), FIELDS)
        for poll in range(3)
    ]
    spawn, pipes = multiprocessing.get_context("spawn"), {}
    for name, party in ((OURS, Ours), (HAND, ByHand), (AGAIN, Ours)):
        pipes[name], other = spawn.Pipe()
        spawn.Process(target=work, args=(party, bodies, other), daemon=True).start()
    costs, per = Costs(), 1e6 / rows / len(FIELDS)
    chance = Random(rows)  # noqa: S311 - no secrets
    for number in range(-3, rounds):
        published = {}
        for name in chance.sample(list(pipes), len(pipes)):
            pipes[name].send(number % len(bodies))
            published[name] = pipes[name].recv()
        if number >= 0:
            costs.add({name: spent * per for name, (spent, _) in published.items()})
        else:
            _equal([body for _, body in published.values()], rows * len(FIELDS))
    for process in multiprocessing.active_children():
        process.kill()
    return costs


def _equal(published: Sequence[bytes], series: int) -> None:
    """Show that all publish the same: a number of percent by hand is one that is divided, ours the exact one."""
    first, *others = (parsed(gzip.decompress(body).decode()) for body in published)
    assert len(first) == series, "each value is a series"
    for other in others:
        assert other.keys() == first.keys(), "all must show the same series"
        assert all(math.isclose(other[key], value, rel_tol=1e-12) for key, value in first.items()), "the same values"


def section(rounds: int, sizes: Sequence[int]) -> Section:
    """Measure every size of page, with label rows as last time and changed."""
    lines: list[list[str]] = []
    verdicts: list[Verdict] = []
    for labels, allowed in ALLOWED.items():
        for rows in sizes:
            costs = measure(rows, labels, rounds)
            ratio, bound = costs.ratio(HAND)
            figures = (f"{costs.median(OURS):.2f}", f"{costs.median(HAND):.2f}", f"1/{ratio:.1f}", f"1/{bound:.1f}")
            lines.append([labels, f"{rows:,}", *figures])
        what = f"page of {rows:,} rows to published bytes, label rows {labels}"
        verdicts += [at_least(what, costs, HAND, allowed), quiet(what, costs)]
    head = ("label rows", "rows", "ours, µs a sample", f"{HAND}, µs a sample", "ours of theirs", "at most")
    return Section("A poll's CPU", markdown(head, lines), verdicts)

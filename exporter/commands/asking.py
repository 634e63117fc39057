"""What the command ``query`` does: poll one query now, as ``run`` would, and print what came."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.catalog import Catalog
from exporter.commands import settling, tables
from exporter.config import Config
from exporter.model import Outcome, Query, Snapshot
from exporter.plan import Group, Job, plan
from exporter.poll import Poller
from exporter.providers.base import NoHistory, near
from exporter.providers.errors import VendorError
from exporter.providers.http import Client
from exporter.store import Store
from exporter.telemetry import Telemetry


class AskError(Exception):
    """The configuration has no such query or source."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one poll of one source ended; the snapshot is there if it was well."""

    query: Query
    catalog: Catalog
    outcome: Outcome
    snapshot: Snapshot | None


def jobs(config: Config, name: str, sources: Sequence[str]) -> tuple[Job, ...]:
    """Give the jobs of a query, of all its sources or of those that are named.

    Raises:
        AskError: there is none.
    """
    found = {job.query.source: job for job in plan(config).jobs if job.query.name == name}
    if not found:
        there = dict.fromkeys(query.name for query in config.queries)
        raise AskError(f"there is no query `{name}`{near(name, there)}; there are: {', '.join(there)}")
    for source in sources:
        if source not in found:
            raise AskError(f"`{name}` does not ask `{source}`{near(source, found)}; it asks: {', '.join(found)}")
    return tuple(found[source] for source in dict.fromkeys(sources or found))


async def ask(
    config: Config,
    wanted: Sequence[Job],
    told: Callable[[Sequence[Answer]], None],
    *,
    again: bool = False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> bool:
    """Poll jobs of one query, once or every interval, and tell their answers; gives whether all were well."""
    async with _polling(config, wanted) as (poller, store):
        while True:
            await asyncio.gather(*(poller.poll(Group.of(job)) for job in wanted))
            answers = [_answer(job, poller.last[job.query.key], store) for job in wanted]
            told(answers)
            if not again:
                return all(answer.outcome.succeeded for answer in answers)
            await sleep(wanted[0].query.interval)


@contextlib.asynccontextmanager
async def _polling(config: Config, wanted: Sequence[Job]) -> AsyncIterator[tuple[Poller, Store]]:
    """Put together what polls and what it fills, as the daemon does."""
    telemetry = Telemetry(time.time)
    store = Store([job.query for job in wanted], time.monotonic)
    async with _clients(config, wanted, telemetry) as clients:
        yield Poller(clients, store, telemetry.polled, now=time.time, clock=time.monotonic), store


async def settle(config: Config, wanted: Sequence[Job]) -> tuple[settling.Measured, ...]:
    """See until which age the buckets of jobs change.

    Raises:
        AskError: the vendor has no buckets of one, or does not answer.
    """
    async with _clients(config, wanted, Telemetry(time.time)) as clients:
        measuring = (
            settling.measure(job, clients[job.query.source], now=time.time, sleep=asyncio.sleep) for job in wanted
        )
        try:
            return tuple(await asyncio.gather(*measuring))
        except (NoHistory, VendorError) as problem:
            raise AskError(f"`{wanted[0].query.name}`: {problem}") from None


@contextlib.asynccontextmanager
async def _clients(config: Config, wanted: Sequence[Job], telemetry: Telemetry) -> AsyncIterator[dict[str, Client]]:
    """Open the clients of the jobs' sources."""
    clients = {
        job.query.source: Client(
            job.query.source, config.sources[job.query.source].provider, telemetry, clock=time.monotonic, now=time.time
        )
        for job in wanted
    }
    async with contextlib.AsyncExitStack() as stack:
        for client in clients.values():
            stack.push_async_callback(client.aclose)
        yield clients


def _answer(job: Job, outcome: Outcome, store: Store) -> Answer:
    return Answer(job.query, job.provider.catalog, outcome, store.get(job.query) if outcome.succeeded else None)


def error(answer: Answer) -> str:
    """Say in one line why a poll failed; empty if it did not."""
    outcome, query = answer.outcome, answer.query
    said = f"{query.source}: `{query.name}` failed ({outcome.reason}): {outcome.error}"
    return "" if outcome.succeeded else tables.printable(said)

"""What the fault tests share: a real poller and client over sockets, and a small vendor that a test scripts."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import pytest

from exporter.config import load
from exporter.gzipped import inflate
from exporter.plan import Group, plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.store import Store

NOW = 1_775_764_830.5
KEY = "k3y-of-smartsight"


@dataclass
class Told:
    """What the client told its observer, as far as tests ask."""

    codes: list = field(default_factory=list)
    retries: int = 0

    def requested(self, exchange):
        self.codes.append(exchange.code)

    def throttled(self, *_): ...

    def logged_in(self, *_): ...

    def remaining(self, *_): ...

    def retried(self, _):
        self.retries += 1


class House:
    """A poller in front of one SmartSight at a port of this machine; more queries may be given."""

    def __init__(self, port, *queries, timeout="10s", **defaults):
        source = {
            "type": "smartsight",
            "base_url": f"http://127.0.0.1:{port}",
            "customer_id": 7,
            "auth": {"api_key": KEY},
        }
        queries = queries or ({"name": "q", "metrics": ["views"], "dimensions": ["cdn"]},)
        data = {
            "defaults": {"timeout": timeout, **defaults},
            "sources": {"mm": source},
            "queries": [{"source": "mm", **query} for query in queries],
        }
        self.config = load(json.dumps(data), name="config.yaml", env={})
        self.jobs = {job.query.name: job for job in plan(self.config).jobs}
        time = asyncio.get_running_loop().time
        self.store = Store(self.config.queries, time)
        self.told = Told()
        provider = self.config.sources["mm"].provider
        self.client = Client("mm", provider, self.told, clock=time, now=lambda: NOW)
        self.outcomes = []
        self.poller = Poller({"mm": self.client}, self.store, self.outcomes.append, now=lambda: NOW, clock=time)

    async def poll(self, name="q"):
        await self.poller.poll(Group.of(self.jobs[name]))
        return self.outcomes[-1]

    def snapshot(self, name="q"):
        return self.store.get(self.jobs[name].query)

    def values(self, name="q"):
        """The query's values by its first dimension."""
        found = {}
        for chunk in self.snapshot(name).chunks:
            for line in inflate(chunk.lines).decode().splitlines():
                labels, _, value = line.rpartition("} ")
                found[labels.rpartition('="')[2].rstrip('"')] = float(value)
        return found


@pytest.fixture
async def house_at():
    """Make houses at ports, and close their connections at the end."""
    async with contextlib.AsyncExitStack() as stack:

        def house_at(port, *queries, **defaults):
            house = House(port, *queries, **defaults)
            stack.push_async_callback(house.client.aclose)
            return house

        yield house_at


async def heads(reader):
    """Give the request heads that come on a connection, until it ends."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            yield await reader.readuntil(b"\r\n\r\n")


@pytest.fixture
async def serve():
    """Listen at a port of this machine: ``answer(head)`` gives the bytes of an answer, ``None`` to hang up.

    An answer may be an asynchronous function of the writer instead.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def serve(answer):
            connections = set()

            async def connected(reader, writer):
                connections.add(asyncio.current_task())
                asyncio.current_task().add_done_callback(connections.discard)
                with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                    async for head in heads(reader):
                        found = answer(head)
                        if found is None:
                            break
                        if callable(found):
                            await found(writer)
                        else:
                            writer.write(found)
                            await writer.drain()
                            if b"Connection: close" in found or not found.startswith(b"HTTP/1.1 2"):
                                break
                writer.close()

            async def close():
                server.close()
                for task in list(connections):
                    task.cancel()
                await asyncio.gather(*connections, return_exceptions=True)

            server = await asyncio.start_server(connected, "127.0.0.1", 0)
            stack.push_async_callback(close)
            return server.sockets[0].getsockname()[1]

        yield serve

from contextlib import asynccontextmanager

import httpx
import pytest

from exporter.exposition import Exposition, Renderer
from exporter.model import Snapshot, Window
from exporter.normalise import Tabulator
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.metrics import Metrics


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Served:
    """What a running exporter has in memory, and a way to put rows into it."""

    def __init__(self):
        self.clock = Clock()
        self.store = Store([], self.clock)
        self.telemetry = Telemetry(lambda: 1_775_764_800.0)
        self.metrics = Metrics(Exposition(self.store), self.telemetry)

    def swap(self, query, rows):
        tabulator = Tabulator(query)
        tabulator.add(rows, query.fields)
        self.store.swap(Snapshot(query, Renderer().render(tabulator.table()), Window(0, 300), self.clock.now))


@pytest.fixture
def served():
    return Served()


@pytest.fixture
def client_of():
    """Make a client of an ASGI application, that asks for nothing which a test does not name."""

    @asynccontextmanager
    async def client_of(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            for name in tuple(client.headers):
                del client.headers[name]
            yield client

    return client_of

from contextlib import asynccontextmanager

import httpx
import pytest

from exporter.config import Config, Source
from exporter.exposition import Exposition, Renderer
from exporter.model import Outcome, Snapshot, Window
from exporter.normalise import Tabulator
from exporter.plan import plan
from exporter.providers.smartsight import SmartSight, SmartSightSettings
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.metrics import Metrics
from exporter.web.past import Past
from exporter.web.state import State

EVENING = 1_775_764_800  # 2026-04-09 20:00 UTC


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
        self.metrics = Metrics(Exposition(self.store), self.telemetry, self.clock)

    def swap(self, query, rows):
        tabulator = Tabulator(query)
        tabulator.add(rows, query.fields)
        self.store.swap(Snapshot(query, Renderer().render(tabulator.table()), Window(0, 300), self.clock.now))


class Shown:
    """What the pages ask for, to be set by a test."""

    def __init__(self):
        self.now = EVENING + 137.0
        self.config = Config({}, ())
        self.outcomes, self.next_polls, self.circuits, self.standings, self.snapshots = {}, {}, {}, {}, {}
        self.past = Past()
        self.deliveries = {}
        self.alive = True
        self.state = State(
            now=lambda: self.now,
            config=lambda: self.config,
            plan=lambda: plan(self.config),
            outcomes=lambda: self.outcomes,
            next_polls=lambda: self.next_polls,
            circuits=lambda: self.circuits,
            standings=lambda: self.standings,
            snapshot=lambda query: self.snapshots.get(query.key),
            past=self.past,
            alive=lambda: self.alive,
            deliveries=lambda: self.deliveries,
        )

    def ask(self, *queries, **settings):
        """Have these queries in force, of sources that are made for them."""
        data = {"type": "smartsight", "base_url": "https://vendor.example", "customer_id": "7"}
        own = SmartSightSettings.model_validate({**data, "auth": {"api_key": "CANARY"}, **settings})
        names = dict.fromkeys(query.source for query in queries)
        sources = {name: Source(name, "smartsight", own, SmartSight(own)) for name in names}
        self.config = Config(sources, tuple(queries))

    def deliver(self, query, *delivered):
        """Have a query's history delivered so."""
        self.deliveries[query.key] = delivered

    def end(self, query, **more):
        """End a poll of a query."""
        facts = {"ended": EVENING + 125.0, "duration": 1.0} | more
        self.outcomes[query.key] = Outcome(query, Window(EVENING - 300, EVENING), **facts)
        self.past.note(self.outcomes[query.key])

    def answer(self, query, rows, **more):
        """End a poll with rows."""
        tabulator = Tabulator(query)
        tabulator.add(rows, query.fields)
        snapshot = Snapshot(query, Renderer().render(tabulator.table()), Window(EVENING - 300, EVENING), 0.0)
        self.snapshots[query.key] = snapshot
        self.end(query, series=snapshot.series, **more)


@pytest.fixture
def shown():
    return Shown()


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

"""One dead vendor beside a healthy one, in one process and in virtual time: the healthy one's polls do not notice."""

import asyncio
import json
import selectors
from datetime import datetime

import apscheduler.schedulers.base
import httpx
import pytest
import structlog

import exporter.schedule
from exporter.config import load
from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate
from exporter.plan import plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.schedule import Schedule
from exporter.store import Store

pytestmark = pytest.mark.usefixtures("repeats")

NOW = 1_775_764_830.5
MINUTES = 40

CONFIG = {
    "defaults": {"timeout": "90s"},
    "sources": {
        name: {
            "type": "smartsight",
            "base_url": f"http://{name}",
            "customer_id": 7,
            "auth": {"api_key": "k"},
            "limits": {"concurrency": 3, "requests_per_minute": 20},
        }
        for name in ("dead", "healthy")
    },
    "queries": [
        {"name": f"q{number}", "source": ["dead", "healthy"], "metrics": ["views"], "dimensions": ["cdn"], **more}
        for number, more in enumerate([{}, {"filters": {"platform": "Android"}}, {"interval": "5m", "window": "1h"}])
    ],
}


class Selector(selectors.SelectSelector):
    """Waits for nothing: where a loop would wait for a timer, its time moves on instead."""

    now = 1000.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and nothing will ever happen"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.virtual = Selector()
        super().__init__(self.virtual)

    def time(self):
        return self.virtual.now


class Wall(datetime):
    """The wall clock of the loop that runs."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(wall(), tz)


def wall():
    return NOW - 1000.0 + asyncio.get_running_loop().time()


async def beside(_, __, work, *args, **kwargs):
    return work(*args, **kwargs)


class Drip(httpx.AsyncByteStream):
    async def __aiter__(self):
        while True:
            await asyncio.sleep(1)
            yield b" "


async def hang(_):
    await asyncio.Event().wait()


async def refuse(_):
    raise httpx.ConnectError("refused")


async def drip(_):
    return httpx.Response(200, stream=Drip())


async def last_moment(request):
    await asyncio.sleep(89)
    return await healthy(request)


def answering(status, body=b"", **headers):
    async def answer(_):
        return httpx.Response(status, content=body, headers=headers)

    return answer


async def healthy(request):
    await asyncio.sleep(3)
    views = int(request.url.params["period"].partition("end=")[2])  # another number at each poll
    rows = [{"cdn": name, "views": views + number} for number, name in enumerate("abc")]
    return httpx.Response(200, json={"totalrecords": 3, "response": rows})


DEAD = {
    "hangs": hang,
    "refuses": refuse,
    "drips": drip,
    "answers at the last moment": last_moment,
    "fails": answering(500),
    "wants peace": answering(429, **{"retry-after": "40"}),
    "wants peace without saying how long": answering(429),
    "talks nonsense": answering(200, b'{"detail": "no rows today"}'),
    "shows a page": answering(200, b"<html>"),
    "does not know the key": answering(401),
    "sends too much": answering(200, b"[" * 100_000),
}


@pytest.fixture
def lived(monkeypatch):
    """Live for some virtual minutes beside a neighbour; give what was seen of each source."""

    def drop(*_):
        raise structlog.DropEvent

    monkeypatch.setattr("exporter.poll.log", structlog.wrap_logger(None, processors=[drop]))
    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Wall)
    monkeypatch.setattr(exporter.schedule, "datetime", Wall)
    monkeypatch.setattr(exporter.schedule.time, "time", wall)
    monkeypatch.setattr(Poller, "_apart", beside)

    async def live(neighbour):
        loop = asyncio.get_running_loop()
        config = load(json.dumps(CONFIG), name="", env={})
        seen = {name: Seen() for name in config.sources}
        vendors = {"dead": neighbour, "healthy": healthy}
        clients = {}
        for name, source in config.sources.items():
            transport = httpx.MockTransport(seen[name].asked(vendors[name]))
            clients[name] = Client(name, source.provider, seen[name], clock=loop.time, now=wall, transport=transport)
        store = Store(config.queries, loop.time)
        poller = Poller(
            clients, store, lambda outcome: seen[outcome.query.source].ended(outcome), now=wall, clock=loop.time
        )
        schedule = Schedule(poller.tick, lambda group: seen[group.asked.source].skipped.append(group.asked.name))
        schedule.start(plan(config).groups)
        scrapes = []
        for _ in range(MINUTES):
            await asyncio.sleep(60)
            lines = inflate(Exposition(store).body(Format.TEXT)).decode().splitlines()
            scrapes.append(sorted(line for line in lines if 'source="healthy"' in line))
        assert schedule.running
        schedule.stop()
        return seen, scrapes

    def lived(neighbour):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(live(neighbour))

    return lived


class Seen:
    """What was seen of one source: its requests and outcomes, each with the second of virtual time."""

    def __init__(self):
        self.requests, self.outcomes, self.skipped, self.exchanges, self.waits = [], [], [], [], []
        self.retries = 0

    def asked(self, vendor):
        async def handle(request):
            self.requests.append((wall() - NOW, request.url.params["period"]))
            return await vendor(request)

        return handle

    def ended(self, outcome):
        self.outcomes.append((wall() - NOW, outcome.query.name, outcome.duration, outcome.series, outcome.reason))

    def requested(self, exchange):
        self.exchanges.append((exchange.code, exchange.duration))

    def throttled(self, _, seconds):
        self.waits.append(seconds)

    def logged_in(self, *_): ...

    def remaining(self, *_): ...

    def retried(self, _):
        self.retries += 1


def alike(one, other):
    """Whether two lists of tuples are the same, but for rounding, and the order of what happens at the same time."""

    def rounded(each):
        return tuple(round(value, 3) if isinstance(value, float) else value for value in each)

    return sorted(map(rounded, one)) == sorted(map(rounded, other))


@pytest.mark.parametrize("kind", DEAD)
def test_a_dead_vendor_changes_nothing_in_the_other_s_series_intervals_and_latencies(lived, kind):
    (reference, expected), (found, scrapes) = lived(healthy), lived(DEAD[kind])
    mine, other = reference["healthy"], found["healthy"]
    assert len(mine.requests) == 2 * (MINUTES + 1) + MINUTES // 5 + 1
    assert all(reason == "" for *_, reason in mine.outcomes)
    assert alike(other.requests, mine.requests), "the same requests at the same time"
    assert alike(other.outcomes, mine.outcomes), "the same outcomes, which took as long"
    assert alike(other.exchanges, mine.exchanges)
    assert (other.skipped, other.retries, sum(other.waits)) == ([], 0, pytest.approx(sum(mine.waits), abs=1e-3))
    assert scrapes == expected
    assert all(scrapes)
    dead = found["dead"]
    if kind == "answers at the last moment":
        assert dead.skipped
    else:
        assert all(reason for *_, reason in dead.outcomes)


@pytest.mark.parametrize("kind", ["refuses", "fails", "shows a page", "talks nonsense", "does not know the key"])
def test_a_dead_vendor_is_asked_ever_less(lived, kind):
    found, _ = lived(DEAD[kind])
    dead = found["dead"]
    early = sum(moment < 300 for moment, _ in dead.requests)
    late = sum(moment >= 60 * MINUTES - 600 for moment, _ in dead.requests)
    # In the last ten minutes each query is polled about once, without repeats; the first five minutes had them all.
    assert late <= 4 < early
    assert (dead.retries > 0) == (kind in ("refuses", "fails", "shows a page"))
    assert dead.skipped == [], "ticks that are left out are no overlaps"

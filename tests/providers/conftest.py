"""What the tests of the vendors share: queries from YAML, clocks that stand, a loop whose time costs nothing."""

import asyncio
import json
import selectors
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvloop

from exporter.config import load
from exporter.model import Bounds, Exchange, Page, Part, Query, Request, Turn, Window
from exporter.plan import plan
from exporter.providers import base
from exporter.providers.base import AskedMetric, Provider
from exporter.providers.http import Client

NOW = 1_775_764_800.0  # 2026-04-09 20:00 UTC
WINDOW = Window(1775749920, 1775836379)
FIXTURES = Path(__file__).parents[1] / "fixtures"

SOURCES = {
    "smartsight": {"type": "smartsight", "customer_id": 199493832, "auth": {"api_key": "k3y-of-smartsight"}},
    "ibm_video": {"type": "ibm_video", "auth": {"client_id": "exporter", "client_secret": "s3cret-of-ibm"}},
}

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(item):
    """Give both loops to those tests that choose among them (``loop_factories``), and asyncio's to all others."""
    chosen = any("loop_factories" in marker.kwargs for marker in item.iter_markers("asyncio"))
    return LOOPS if chosen else {"asyncio": asyncio.new_event_loop}


@dataclass
class Clock:
    """A clock that stands until a test moves it."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Asked:
    """One query of one source, ready to be asked about."""

    provider: Provider
    query: Query
    parts: tuple[Part, ...]

    def params(self, cursor: int | None = None, part: int = 0) -> dict[str, str]:
        found = self.request(cursor, part).params
        assert len(dict(found)) == len(found), f"a parameter stands twice: {found}"
        return dict(found)

    def turn(self, cursor: int | None = None, part: int = 0) -> Turn:
        return Turn(self.parts[part], WINDOW, cursor)

    def request(self, cursor: int | None = None, part: int = 0) -> Request:
        return self.provider.request(self.query, self.turn(cursor, part))

    def parse(self, answer: object, cursor: int | None = None, part: int = 0) -> Page:
        return self.provider.parse(self.query, self.turn(cursor, part), answer)

    @property
    def paths(self) -> list[str]:
        return [part.path for part in self.parts]


@dataclass
class Observed:
    """What a client told its observer."""

    exchanges: list[Exchange] = field(default_factory=list)
    throttles: list[float] = field(default_factory=list)
    lives: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    retries: int = 0

    def requested(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def throttled(self, _: str, seconds: float) -> None:
        self.throttles.append(seconds)

    def logged_in(self, _: str, life: float) -> None:
        self.lives.append(life)

    def retried(self, _: str) -> None:
        self.retries += 1

    def remaining(self, _: str, requests: float) -> None:
        self.left.append(requests)

    @property
    def codes(self) -> list[tuple[str, str]]:
        return [(exchange.endpoint, exchange.code) for exchange in self.exchanges]


class _Selector(selectors.SelectSelector):
    """Waits for nothing: where a loop would wait for a timer, its time moves on instead."""

    now = 1000.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if not ready:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is not the world's: ``asyncio.sleep(90)`` ends at once, 90 seconds later."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


@pytest.fixture(scope="session")
def virtual():
    """Run ``main(time)`` to its end in virtual time; ``time`` gives its seconds."""

    def run(main: Callable) -> object:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main(runner.get_loop().time))

    return run


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture(scope="session")
def ask():
    """Make a query of the source ``vendor``; what stands in ``source`` is added to the source's settings."""

    def ask(vendor: str, source: Mapping[str, object] | None = None, **query: object) -> Asked:
        entry = {**SOURCES[vendor], **(source or {})}
        data = {"sources": {vendor: entry}, "queries": [{"name": "q", "source": vendor, **query}]}
        config = load(json.dumps(data), name="config.yaml", env={})
        [job] = plan(config).jobs
        return Asked(job.provider, job.query, job.parts)

    return ask


@pytest.fixture(scope="session")
def written():
    """Make a query as a vendor checks it; ``fields`` are its metrics, a key that is not named was not given."""

    def written(*, fields: tuple[str, ...] | None = ("latency",), **query: object) -> base.Asked:
        blank = {
            "metrics": tuple(AskedMetric(field) for field in fields or ()),
            "dimensions": (),
            "filters": {},
            "options": {},
            "endpoint": None,
            "having": None,
            "exemplars": False,
            "buckets": {},
        }
        given = frozenset(query) | (frozenset() if fields is None else {"metrics"})
        return base.Asked(**(blank | query), given=given)

    return written


@pytest.fixture(scope="session")
def recorded():
    """Give a document's example: ``recorded("smartsight/plays")``."""
    return lambda name: json.loads((FIXTURES / f"{name}.json").read_text())


@dataclass
class Peer:
    """A vendor that a test scripts: ``answer`` gets each request; all requests are remembered as they were sent."""

    answer: Callable
    requests: list[httpx.Request] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.headers.append(dict(request.headers))
        response = self.answer(request)
        return response if isinstance(response, httpx.Response) else await response

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)


@pytest.fixture(scope="session")
def peer():
    """Make a peer of a function from a request to a response, or of the responses in their order."""

    def peer(*answers) -> Peer:
        if len(answers) == 1 and callable(answers[0]):
            return Peer(answers[0])
        script = iter(answers)
        return Peer(lambda _: next(script))

    return peer


@pytest.fixture
def client(clock, observed):
    """Make the client of a source in front of a transport."""

    def client(asked: Asked, transport: httpx.AsyncBaseTransport, *, time: Callable[[], float] = clock) -> Client:
        name = asked.query.source
        return Client(name, asked.provider, observed, clock=time, now=clock, transport=transport)

    return client


@pytest.fixture(scope="session")
def bounds():
    return Bounds(timeout=90, max_response=2**20, interval=60)

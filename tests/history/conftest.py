import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import pytest

from exporter.config import Config, load
from exporter.config.remote_write import RemoteWrite
from exporter.history.fetch import Fetcher
from exporter.history.receiver import Receiver
from exporter.history.remote_write import Sender
from exporter.providers.http import Client
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.smartsight import SmartSight
from exporter.telemetry import Telemetry

URL = "http://prometheus:9090/api/v1/write"


class FakeReceiver:
    """Answers requests one after the other, the last answer for ever, and keeps what came.

    An answer may be a function of the request's body.
    """

    def __init__(self, *answers):
        self.answers = list(answers) or [204]
        self.requests = []

    async def handle(self, request):
        await request.aread()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request.content)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer)


@pytest.fixture
def sending():
    """Make a sender to a receiver that answers so; gives it, the receiver, its attempts and its waits in seconds."""

    def sending(*answers, **settings):
        fake, attempts, waits = FakeReceiver(*answers), [], []

        async def sleep(seconds):
            waits.append(seconds)

        receiver = Receiver(
            RemoteWrite.model_validate({"url": URL, **settings}),
            now=lambda: 1_700_000_000.0,
            transport=httpx.MockTransport(fake.handle),
        )
        return Sender(receiver, attempts.append, sleep=sleep), fake, attempts, waits

    return sending


# --- The past of queries: both simulated vendors behind clients, at a time that stands ---

NOW = 1_775_937_600  # 2026-04-11 20:00 UTC
SOURCES = {
    "mm": {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "a-key"}},
    "old": {"type": "smartsight", "customer_id": 7, "auth": {"username": "u", "password": "p"}},
    "ibm": {"type": "ibm_video", "auth": {"client_id": "c", "client_secret": "s"}},
}


@dataclass
class House:
    """A configuration and what asks its sources; ``requests`` are the URLs that the vendors got, log-ins aside."""

    config: Config
    sources: Mapping[str, Client]
    requests: list[str]

    def past(self, query, step):
        provider = self.config.sources[query.source].provider
        return provider.past(query, step)

    def fetcher(self, query, step):
        provider = self.config.sources[query.source].provider
        return Fetcher(self.sources[query.source], provider, provider.past(query, step))


@pytest.fixture
def house():
    """Make a house of queries; ``defaults`` and limits of the sources may be given."""

    def house(*queries, concurrency=4, **defaults):
        sources = {name: {**each, "limits": {"concurrency": concurrency}} for name, each in SOURCES.items()}
        data = {"defaults": defaults, "sources": sources, "queries": list(queries)}
        config = load(json.dumps(data), name="config.yaml", env={})
        smartsight = SmartSight(
            api_key="a-key",
            customer_id=7,
            username="u",
            password="p",
            clock=lambda: float(NOW),
        )
        ibm = IbmVideo(client_id="c", client_secret="s", clock=lambda: float(NOW))
        requests = []

        async def note(request):
            if request.method == "GET":
                requests.append(str(request.url))

        smartsight.intercept = ibm.intercept = note
        return House(
            config,
            {
                name: Client(
                    name,
                    config.sources[name].provider,
                    Telemetry(lambda: NOW),
                    clock=time.monotonic,
                    now=lambda: float(NOW),
                    transport=httpx.ASGITransport((ibm if name == "ibm" else smartsight).app),
                )
                for name in SOURCES
            },
            requests,
        )

    return house

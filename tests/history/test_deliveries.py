"""Deliveries of a running exporter: beside each other, through reloads, and without a secret in anything shown."""

import asyncio
import contextlib
import json
import time
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from exporter import daemon
from exporter.config import load
from exporter.daemon import Options
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight
from exporter.web.listen import bind

PATIENCE = 20
PREFIX = "video_analytics_exporter_history_"
CANARIES = ("canary-password-4711", "canary-header-4711", "canary-token-4711")


async def eventually(condition):
    async with asyncio.timeout(PATIENCE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


class Taker:
    """A receiver that answers as it is told, and counts what comes."""

    def __init__(self):
        self.status, self.come, self.authorization = 204, 0, ""

    async def answer(self, request):
        await request.body()
        self.come += 1
        self.authorization = request.headers.get("authorization", "")
        headers = dict(request.headers)
        return PlainTextResponse(f"{headers}" if self.status >= 400 else "", self.status)


class Bench:
    """A vendor, two receivers, and an exporter between them."""

    def __init__(self, directory: Path, vendor: str, receivers: dict[str, Taker], url: str):
        self.directory = directory
        self.takers = receivers
        self.sources = {
            "mm": {"type": "smartsight", "base_url": vendor, "customer_id": 1, "auth": {"api_key": "vendor-key"}}
        }
        self.queries = [
            {"name": name, "source": "mm", "metrics": ["viewercount"], "dimensions": ["cdn"], "history": True}
            for name in ("one", "two")
        ]
        self.remote_write = [{"name": name, "url": f"{url}/{name}"} for name in receivers]

    def load(self):
        data = {"sources": self.sources, "queries": self.queries, "remote_write": self.remote_write or None}
        return load(json.dumps(data), name="config.yaml", env={})

    @contextlib.asynccontextmanager
    async def running(self):
        with contextlib.closing(bind("127.0.0.1:0")) as bound:
            options = Options(storage=self.directory)
            async with (
                daemon.running(self.load, self.load(), [bound], options) as self.house,
                httpx.AsyncClient(base_url=daemon.address(bound), trust_env=False) as self.http,
            ):
                yield

    async def series(self):
        text = (await self.http.get("/metrics")).text
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    async def count(self, what, query, receiver):
        labels = f'{{query="{query}",receiver="{receiver}",source="mm"}}'
        return (await self.series()).get(f"{PREFIX}{what}{labels}")

    async def delivered(self, query, receiver, buckets=1.0):
        async def there():
            return await self.count("buckets_delivered_total", query, receiver) == buckets

        await eventually(there)


@pytest.fixture
async def bench(tmp_path):
    vendor = SmartSight(api_key="vendor-key", customer_id=1, clock=time.time)
    takers = {"first": Taker(), "second": Taker()}
    app = Starlette(routes=[Route(f"/{name}", taker.answer, methods=["POST"]) for name, taker in takers.items()])
    async with serve(vendor.app) as vendor_url, serve(app) as url:
        yield Bench(tmp_path, vendor_url, takers, url)


async def test_each_query_goes_to_each_receiver(bench):
    async with bench.running():
        for query in ("one", "two"):
            for receiver in ("first", "second"):
                await bench.delivered(query, receiver)
        found = await bench.series()
        newest = f'{PREFIX}newest_bucket_timestamp_seconds{{query="one",receiver="first",source="mm"}}'
        assert time.time() - 120 - 120 < found[newest] <= time.time() - 120
        assert found[f'{PREFIX}requests_total{{code="204",receiver="first"}}'] == 2
        assert found[f'{PREFIX}samples_total{{receiver="first",verdict="taken"}}'] > 0


async def test_a_receiver_that_is_away_disturbs_neither_gauges_nor_the_other_receiver(bench):
    bench.takers["second"].status = 503
    async with bench.running():
        for query in ("one", "two"):
            await bench.delivered(query, "first")
            assert await bench.count("buckets_delivered_total", query, "second") == 0
        found = await bench.series()
        assert found['video_analytics_exporter_query_success{query="one",source="mm"}'] == 1
        assert any(name.startswith("smartsight_plays{") for name in found)
        shown = (await bench.http.get("/api/v1/queries")).json()["queries"][0]["history"]
        assert [each["error"].split(":")[0] for each in shown] == ["", "the receiver takes no samples"]
        bench.takers["second"].status = 204
        for query in ("one", "two"):
            await bench.delivered(query, "second")


async def test_a_reload_keeps_what_is_the_same_and_lets_go_of_the_rest(bench):
    async with bench.running():
        for query in ("one", "two"):
            await bench.delivered(query, "first")
            await bench.delivered(query, "second")
        come = bench.takers["first"].come
        bench.remote_write = [bench.remote_write[0], {**bench.remote_write[1], "bearer_token": "t"}]
        bench.queries[1]["history"] = False
        assert await bench.house.reload() == ()
        found = await bench.series()
        assert not [name for name in found if name.startswith(PREFIX) and 'query="two"' in name]
        assert await bench.count("buckets_delivered_total", "one", "first") == 1
        assert bench.takers["first"].come == come
        bench.remote_write = []
        for query in bench.queries:
            query["history"] = False
        assert await bench.house.reload() == ()
        assert not [name for name in await bench.series() if name.startswith(PREFIX) and "{" in name]


async def test_history_may_begin_with_a_reload(bench):
    for query in bench.queries:
        # Where the first poll has ended before the reload, history begins at the next tick.
        query |= {"history": False, "interval": "10s"}
    async with bench.running():
        bench.queries[0]["history"] = True
        await bench.house.reload()
        await bench.delivered("one", "first")
        assert bench.takers["second"].come <= 1


async def test_no_secret_is_shown_even_when_the_receiver_echoes_it(bench):
    for taker in bench.takers.values():
        taker.status = 401
    bench.remote_write[0] |= {"basic_auth": {"username": "u", "password": CANARIES[0]}, "headers": {"X-K": CANARIES[1]}}
    bench.remote_write[1] |= {"authorization": {"credentials": CANARIES[2]}}
    with capture_logs() as lines:
        async with bench.running():

            async def refused():
                found = await bench.series()
                return all(
                    found.get(f'{PREFIX}requests_total{{code="401",receiver="{name}"}}') for name in bench.takers
                )

            await eventually(refused)
            shown = [(await bench.http.get(page)).text for page in ("/", "/metrics", "/config", "/api/v1/queries")]
    assert bench.takers["second"].authorization == f"Bearer {CANARIES[2]}"
    text = "".join(shown) + str(lines)
    assert "<secret>" in str(lines)
    for canary in (*CANARIES, bench.takers["first"].authorization.removeprefix("Basic ")):
        assert canary
        assert canary not in text

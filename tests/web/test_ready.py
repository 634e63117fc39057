"""Answers that are there already, over real sockets: the same bytes as by way of the application, without it."""

import gzip
import re
import socket
from contextlib import asynccontextmanager

import httpx
import pytest

from exporter.web.app import app
from exporter.web.listen import bind, serve
from exporter.web.metrics import at

ROWS = [{"cdn": "a", "plays": 5}, {"cdn": "b", "plays": 0.25}]
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"


@pytest.fixture
def serving(served, shown, make_query):
    """A server on a free port, with what its application was asked for."""
    asked = []
    inner = served.metrics

    class Asked:
        ready = staticmethod(inner.ready)

        async def __call__(self, scope, receive, send):
            asked.append((scope["method"], scope["path"]))
            await inner(scope, receive, send)

    @asynccontextmanager
    async def serving():
        served.swap(make_query(dimensions=("cdn",)), ROWS)
        metrics, bound = Asked(), bind("127.0.0.1:0")
        async with serve(app(metrics, "/metrics", shown.state), [bound], ready=at("/metrics", metrics)):
            yield bound.getsockname()[1], asked

    return serving


def headers(response):
    return {name: value for name, value in response.headers.items() if name != "date"}


async def test_what_is_there_is_answered_without_the_application_and_alike(serving, served, make_query):
    async with serving() as (port, asked), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        first = await client.get("/metrics")
        again = [await client.get("/metrics") for _ in range(3)]
        assert len(asked) == 1
        assert {response.text for response in again} == {first.text}
        assert all(headers(response) == headers(first) for response in again)
        served.swap(make_query(dimensions=("cdn",)), ROWS[:1])
        shown, before = (
            text.count("\nsmartsight_plays{") for text in ((await client.get("/metrics")).text, first.text)
        )
        assert shown == before - 1
        assert len(asked) == 1, "only the data is new"


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("HEAD", "/metrics", {}),
        ("POST", "/metrics", {}),
        ("GET", "/metrics", {"accept-encoding": "identity"}),
        ("GET", "/metrics", {"accept": "application/openmetrics-text; version=1.0.0"}),
    ],
)
async def test_all_else_goes_the_usual_way(serving, method, path, more):
    async with serving() as (port, asked), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await client.get("/metrics")
        await client.request(method, path, headers=more)
        assert asked == [("GET", "/metrics"), (method, path)]
        assert (await client.get("/-/healthy")).text == "healthy\n"


async def test_what_the_process_tells_is_renewed_without_the_application(serving, served):
    async with serving() as (port, asked), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        seconds = []
        for _ in range(3):
            text = (await client.get("/metrics")).text
            seconds.append(float(re.search(r"^process_cpu_seconds_total (\S+)$", text, re.MULTILINE)[1]))
            sum(range(10**6))  # takes some time of the processor
            served.clock.now += 1
        assert seconds[0] < seconds[1] < seconds[2]
        assert len(asked) == 1


async def test_own_metrics_that_are_new_are_written_by_way_of_the_application(serving, served):
    async with serving() as (port, asked), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await client.get("/metrics")
        served.telemetry.throttled("mm", 1.0)
        assert "api_throttled_seconds_total{" in (await client.get("/metrics")).text
        assert len(asked) == 2


async def exchange(port, data):
    """Send bytes, and read until the server closes."""
    from asyncio import open_connection  # noqa: PLC0415 - here alone

    reader, writer = await open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


async def test_requests_in_a_row_are_answered_in_a_row(serving):
    async with serving() as (port, asked):
        last = GET.replace(b"Host", b"Connection: close\r\nHost")
        await exchange(port, last)
        answer = await exchange(port, GET * 50 + last)
        parts = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert len(parts) == 51
        bodies = {gzip.decompress(part.partition(b"\r\n\r\n")[2]) for part in parts}
        assert len(bodies) == 1
        assert len(asked) == 1


async def test_an_older_client_s_connection_is_closed(serving):
    async with serving() as (port, asked):
        for _ in range(2):
            answer = await exchange(port, b"GET /metrics HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
            assert b"smartsight_plays" in gzip.decompress(answer.partition(b"\r\n\r\n")[2])
        assert len(asked) == 1


async def test_a_client_that_is_gone_harms_nobody(serving):
    async with serving() as (port, _), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await client.get("/metrics")
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.sendall(GET * 20)
        assert (await client.get("/metrics")).status_code == 200

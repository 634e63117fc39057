"""Answers that are there already, over real sockets: the same bytes as by way of the application, without it."""

import asyncio
import errno
import gzip
import re
import socket
from contextlib import asynccontextmanager
from random import Random

import httpx
import pytest
from structlog.testing import capture_logs

from exporter.web.app import app
from exporter.web.connection import Connection
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


async def test_what_fails_on_the_short_way_is_logged_and_goes_the_usual_way(serving, served):
    async with serving() as (port, asked), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        text = (await client.get("/metrics")).text

        def broken():
            monkeypatch.undo()
            raise OSError(errno.EMFILE, "Too many open files")

        served.clock.now += 1
        with pytest.MonkeyPatch.context() as monkeypatch, capture_logs() as logged:
            monkeypatch.setattr(served.telemetry, "collect_passing", broken)
            answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.text.count("\n") == text.count("\n")
        assert len(asked) == 2
    assert [(line["log_level"], line["exc_info"]) for line in logged] == [("error", True)]


async def exchange(port, data):
    """Send bytes, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
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


# --- The same request again ----------------------------------------------------------------------------------------


@pytest.fixture
def again(monkeypatch):
    """Count the requests that are answered without being parsed."""
    answered, usual = [], Connection._answer_again

    def counting(self, known):
        answered.append(usual(self, known))
        return answered[-1]

    monkeypatch.setattr(Connection, "_answer_again", counting)
    return answered


async def answer(reader):
    """Read one answer: its status line and headers, and its body; a chunked one has none here."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = re.search(rb"content-length: (\d+)", head)
    return head, await reader.readexactly(int(size[1]) if size else len(b"0\r\n\r\n"))


async def test_the_same_request_again_has_the_same_answer_until_something_changes(serving, served, make_query, again):
    async with serving() as (port, asked):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        _, first = await answer(reader)
        for _ in range(5):
            writer.write(GET)
            head, body = await answer(reader)
            assert (body, head) == (first, (await fresh(port))[0])
        served.swap(make_query(dimensions=("cdn",)), ROWS[:1])
        writer.write(GET)
        head, body = await answer(reader)
        assert (head, body) == await fresh(port)
        assert body != first
        assert again == [True] * 5
        assert len(asked) == 1
        writer.close()


async def fresh(port):
    """Ask by a connection that knows of no request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    found = await answer(reader)
    writer.close()
    return found


async def test_the_date_goes_on(serving, again):
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        dates = set()
        async with asyncio.timeout(20):
            while len(dates) < 3:
                writer.write(GET)
                head, _ = await answer(reader)
                dates.add(re.search(rb"date: (.*)\r\n", head)[1])
                await asyncio.sleep(0.05)  # between two looks at the server's clock
        assert sum(again) > 0
        writer.close()


PIECES = {
    GET: [b"200"],
    GET * 2: [b"200", b"200"],
    GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"): [b"200"],
    GET.replace(b"gzip", b"identity"): [b"200"],
    GET.replace(b"GET", b"POST"): [b"405"],
    GET.replace(b"/metrics", b"/nothing"): [b"404"],
}


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_comes_between_each_request_has_its_own_answer(serving, again, seed):
    """Pieces in any order, some in two halves: never an answer too many, or to another request."""
    chance = Random(seed)  # noqa: S311 - no secrets
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(60):
            piece = chance.choice([GET, GET, *PIECES])
            halves = chance.choice([len(piece), chance.randrange(1, len(piece))])
            writer.write(piece[:halves])
            await writer.drain()
            await asyncio.sleep(0)  # the server is on this loop, and may see the halves apart
            writer.write(piece[halves:])
            for status in PIECES[piece]:
                head, body = await answer(reader)
                assert head.split()[1] == status
                shown = gzip.decompress(body) if b"encoding: gzip" in head else body
                assert (b"smartsight_plays" in shown) == (status == b"200")
        assert sum(again) > 5
        writer.close()

"""A proxy between the real client and a small vendor breaks the connection after every byte of an exchange."""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
from dataclasses import dataclass

import pytest

OLD = {"Akamai": 1.0, "Fastly": 2.0}
NEW = {"Akamai": 3.0, "Fastly": 4.0, "unknown": 5.0}
REASONS = {"network", "bad_response", "timeout"}


def answer_of(values, variant):
    """Write an answer as bytes; the body ends with a line end, so that not even it may be missed unseen."""
    rows = [{"cdn": "" if cdn == "unknown" else cdn, "views": value} for cdn, value in values.items()]
    body = json.dumps({"totalrecords": len(rows), "response": rows}).encode() + b"\n"
    head = "HTTP/1.1 200 OK\r\n"
    if "gzip" in variant:
        body = gzip.compress(body, mtime=0)
        head += "Content-Encoding: gzip\r\n"
    if "chunked" in variant:
        head += "Transfer-Encoding: chunked\r\n"
        half = len(body) // 2
        pieces = [body[:half], body[half:], b""]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    elif "length" in variant:
        head += f"Content-Length: {len(body)}\r\n"
    if "kept" not in variant:
        head += "Connection: close\r\n"
    return f"{head}\r\n".encode() + body


@dataclass
class Cut:
    """Where to break: after so many bytes of the request (``up``) or of the answer."""

    up: bool
    after: int
    reset: bool


class Proxy:
    """Relays connections to a port. The next exchange is broken by ``cut``; without one it only counts the bytes."""

    def __init__(self, port):
        self.target, self.cut, self.left = port, None, 0
        self.counted = {True: 0, False: 0}
        self.broken = 0

    def arm(self, cut):
        self.cut = cut
        self.counted = {True: 0, False: 0}

    async def __call__(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            vendor_reader, vendor_writer = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._relay(reader, vendor_writer, writer, up=True))
                    group.create_task(self._relay(vendor_reader, writer, writer, up=False))
            except* (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                vendor_writer.transport.abort()
                writer.close()

    async def _relay(self, reader, writer, client, *, up):
        if self._due(up):
            self._break(client)
        while data := await reader.read(65536):
            cut = self.cut
            room = cut.after - self.counted[up] if cut and cut.up is up else len(data)
            self.counted[up] += len(data[:room])
            writer.write(data[:room])
            await writer.drain()
            if self._due(up):
                self._break(client)
        client.close()
        raise ConnectionResetError

    def _due(self, up):
        return self.cut is not None and self.cut.up is up and self.counted[up] >= self.cut.after

    def _break(self, client):
        self.broken += 1
        if self.cut.reset:
            client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut = None
        client.close()
        raise ConnectionResetError


@pytest.fixture
async def street(serve, house_at):
    """Put a proxy between a house and a vendor that answers with ``street.answer``."""

    class Street:
        answer = b""

    street = Street()
    street.proxy = Proxy(await serve(lambda _: street.answer))
    server = await asyncio.start_server(street.proxy, "127.0.0.1", 0)
    street.house = house_at(server.sockets[0].getsockname()[1])
    yield street
    server.close()


async def good(street, values, variant):
    """Poll once without a fault; give how many bytes went up and down."""
    street.answer = answer_of(values, variant)
    street.proxy.arm(None)
    outcome = await street.house.poll()
    assert (outcome.reason, street.house.values()) == ("", values)
    return street.proxy.counted


async def broken(street, cut, variant):
    """Poll once with a fault; the outcome is a failure and nothing has changed, or it is the whole new answer."""
    house = street.house
    before, told = house.snapshot(), len(house.told.codes)
    street.answer = answer_of(NEW, variant)
    street.proxy.arm(cut)
    outcome = await house.poll()
    if outcome.succeeded:
        assert house.values() == NEW, cut
        assert (outcome.series, outcome.dropped) == (len(NEW), {})
    else:
        assert outcome.reason in REASONS, (cut, outcome)
        assert house.snapshot() is before, cut
        assert outcome.series == 0
    assert len(house.told.codes) == told + 1, "a request that fails is not made again here"
    return outcome


VARIANTS = [
    *("length", "chunked", "until it closes", "length kept"),
    *("length gzip", "chunked gzip", "until it closes gzip", "chunked gzip kept"),
]


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_connection_that_breaks_within_the_answer(street, variant, reset):
    await good(street, OLD, variant)
    size = len(answer_of(NEW, variant))
    outcomes = []
    for after in range(size + 1):
        outcomes.append(await broken(street, Cut(up=False, after=after, reset=reset), variant))
        assert street.proxy.broken == after + 1, "each cut is made, else this shows nothing"
        await good(street, OLD, variant)
    failed = [outcome.reason for outcome in outcomes if not outcome.succeeded]
    # All but the last bytes, which an answer may do without: the line end, gzip's checksum, what closes the chunks.
    assert len(failed) >= size - 20
    assert failed == [outcome.reason for outcome in outcomes[: len(failed)]] or reset


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("variant", ["length", "length kept"], ids=["a new connection", "a connection that was kept"])
async def test_a_connection_that_breaks_within_the_request(street, variant, reset):
    size = (await good(street, OLD, variant))[True]
    assert size > 200
    for after in range(size):
        outcome = await broken(street, Cut(up=True, after=after, reset=reset), variant)
        assert outcome.reason == "network", after
        await good(street, OLD, variant)
    assert street.proxy.broken == size


@pytest.mark.parametrize("variant", VARIANTS)
async def test_an_answer_that_stops_coming_is_a_time_out(serve, house_at, variant):
    whole = answer_of(NEW, variant)
    script = []

    async def stop(writer, after):
        writer.write(whole[:after])
        await writer.drain()
        await asyncio.Event().wait()

    port = await serve(lambda _: script.pop(0))
    house = house_at(port, timeout=0.05)
    await until_good(house, script, answer_of(OLD, variant))
    before = house.snapshot()
    for after in (0, 5, 60, len(whole) // 2, len(whole) - 30):
        script.append(lambda writer, after=after: stop(writer, after))
        outcome = await house.poll()
        assert outcome.reason == "timeout"
        assert house.snapshot() is before
    await until_good(house, script, whole)
    assert house.values() == NEW


async def until_good(house, script, answer):
    """Poll until it works: on a busy machine so short a time-out may be up for a good answer too."""
    for _ in range(100):
        script[:] = [answer]
        if (await house.poll()).succeeded:
            return
    pytest.fail(house.outcomes[-1].error)

"""Connections over real sockets: authorities that change; and bodies that grow."""

import asyncio
import contextlib
import gzip
import json
import os
import ssl
import tracemalloc

import httpx
import pytest
import trustme

from exporter.providers.errors import BadResponse, Broken, NetworkError
from exporter.providers.shapes import HttpSettings
from exporter.providers.unpack import STEP
from exporter.providers.wire import Wire


async def vendor(reader, writer):
    """Answer one request with its path."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        head = await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"said": head.split()[1].decode()}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    writer.close()


def client_and_server(tmp_path, authority):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def said(wire, port, path, scheme):
    response = await wire.send(httpx.Request("GET", f"{scheme}://localhost:{port}{path}"), 10, 2**20)
    return response.json()["said"]


async def test_a_ca_file_that_is_replaced_is_read_again(tmp_path):
    old, new = trustme.CA(), trustme.CA()
    tls = client_and_server(tmp_path, new)
    old.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    wire = Wire(HttpSettings(ca_file=tmp_path / "ca.pem"), None)
    server = await asyncio.start_server(vendor, "localhost", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
            await said(wire, port, "/", "https")
        new.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        os.utime(tmp_path / "ca.pem", ns=(1, 1))  # for a file system that counts in seconds
        assert await said(wire, port, "/", "https") == "/"
        await wire.aclose()


class Body(httpx.AsyncByteStream):
    """A body that comes at once."""

    def __init__(self, whole):
        self.whole = whole

    async def __aiter__(self):
        yield self.whole


def compressed(body, coding="gzip"):
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-encoding": coding}, stream=Body(body))
    )
    return Wire(HttpSettings(), transport)


async def test_a_bomb_that_comes_at_once_takes_no_more_memory_than_an_answer_may_and_lets_others_have_their_turn():
    """One read of a socket brings 250 kB: of gzip a quarter of a gigabyte."""
    bomb = gzip.compress(b"\0" * 2**28, mtime=0)
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    tracemalloc.start()
    try:
        with pytest.raises(BadResponse, match="max_response"):
            await compressed(bomb).send(httpx.Request("GET", "http://vendor.example/"), 60, 2**23)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**23
    finally:
        tracemalloc.stop()
        beside.cancel()
    assert turns >= 2**23 // STEP - 1


async def test_a_coding_that_is_broken_is_told_as_such():
    with pytest.raises(Broken, match="the answer's compression is broken"):
        await compressed(b"no gzip").send(httpx.Request("GET", "http://vendor.example/"), 60, 100)

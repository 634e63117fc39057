"""Connections over real sockets: what a vendor sends beyond its answer, and authorities that change."""

import asyncio
import json
import os
import ssl

import httpx
import pytest
import trustme
import uvloop

from exporter.providers.errors import NetworkError
from exporter.providers.shapes import HttpSettings
from exporter.providers.wire import Wire

READ_AT_ONCE = 65536
"""What httpcore reads at once: an answer of that size leaves the next one unread below it."""


def answer(said, size=0):
    body = json.dumps({"said": said}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %05d\r\n\r\n"
    body += b" " * max(0, size - len(head % 0) - len(body))
    return head % len(body) + body


class Vendor:
    """Answers what it is asked, and to the first request of each connection once more: nobody asked for that."""

    def __init__(self, size=0):
        self.size, self.connections = size, 0

    async def __call__(self, reader, writer):
        self.connections += 1
        first = True
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(answer(head.split()[1].decode(), self.size if first else 0))
                if first:
                    writer.write(answer("STRAY"))
                first = False
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def client_and_server(tmp_path, authority):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def said(wire, port, path, scheme):
    response = await wire.send(httpx.Request("GET", f"{scheme}://localhost:{port}{path}"), 10, 2**20)
    return response.json()["said"]


@pytest.mark.parametrize("size", [0, READ_AT_ONCE])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_too_many_is_nobody_s(tmp_path, loop, scheme, size):
    async def main():
        vendor = Vendor(size)
        tls = client_and_server(tmp_path, trustme.CA()) if scheme == "https" else None
        server = await asyncio.start_server(vendor, "localhost", 0, ssl=tls)
        wire = Wire(HttpSettings(ca_file=tmp_path / "ca.pem" if tls else None), None)
        async with server:
            port = server.sockets[0].getsockname()[1]
            assert [await said(wire, port, f"/{number}", scheme) for number in range(3)] == ["/0", "/1", "/2"]
            await wire.aclose()
        assert vendor.connections == 3

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


async def test_a_ca_file_that_is_replaced_is_read_again(tmp_path):
    vendor, old, new = Vendor(), trustme.CA(), trustme.CA()
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

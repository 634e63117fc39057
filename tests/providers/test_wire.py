"""Connections over real sockets: authorities that change."""

import asyncio
import contextlib
import json
import os
import ssl

import httpx
import pytest
import trustme

from exporter.providers.errors import NetworkError
from exporter.providers.shapes import HttpSettings
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

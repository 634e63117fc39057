"""Connections over real sockets: kept ones, what comes on them unasked, proxies, and who is at the other end."""

import asyncio
import base64
import contextlib
import re
import ssl

import httpx
import pytest
import trustme
import uvloop

from exporter.providers import transport
from exporter.providers.errors import NetworkError
from exporter.providers.shapes import HttpSettings
from exporter.providers.wire import Wire

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


def answer(said, *headers):
    body = said.encode()
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, f"Content-Length: {len(body)}", "", ""]).encode() + body


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


class Vendor:
    """Answers each request with its path, as ``handle`` does it; remembers heads and writers."""

    def __init__(self, handle=None, host="localhost", tls=None):
        self.handle, self.host, self.tls = handle, host, tls
        self.heads, self.writers, self.tasks = [], [], set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.connected, self.host, 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*self.tasks)

    async def connected(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.writers.append(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    self.heads.append(head)
                    if self.handle:
                        await self.handle(self, head, reader, writer)
                    else:
                        writer.write(answer(head.split()[1]))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            self.tasks.discard(task)


def served(authority, scheme, name="localhost"):
    """Give the TLS of a server, ``None`` for none."""
    if scheme == "http":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def said(wire, url):
    return (await wire.send(httpx.Request("GET", url), 10, 2**20)).text


@contextlib.asynccontextmanager
async def wired(ca_file=None, **settings):
    async with contextlib.aclosing(Wire(HttpSettings(ca_file=ca_file, **settings), None)) as wire:
        yield wire


def run(loop, main):
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


# --- Kept connections -----------------------------------------------------------------------------------------------


@LOOPS
@SCHEMES
def test_a_connection_is_kept(authority, ca_file, loop, scheme):
    async def main():
        async with Vendor(tls=served(authority, scheme)) as vendor, wired(ca_file) as wire:
            for number in range(5):
                assert await said(wire, f"{scheme}://localhost:{vendor.port}/{number}") == f"/{number}"
            assert len(vendor.writers) == 1

    run(loop, main)


@pytest.mark.parametrize("size", [0, 2**18])
@LOOPS
@SCHEMES
def test_an_answer_too_many_is_nobody_s(authority, ca_file, loop, scheme, size):
    async def handle(vendor, head, _, writer):
        more = answer("STRAY") if len(vendor.heads) == len(vendor.writers) else b""
        writer.write(answer(head.split()[1] + " " * size) + more)

    async def main():
        async with Vendor(handle, tls=served(authority, scheme)) as vendor, wired(ca_file) as wire:
            for number in range(3):
                assert (await said(wire, f"{scheme}://localhost:{vendor.port}/{number}")).rstrip() == f"/{number}"
            assert len(vendor.writers) == 3

    run(loop, main)


STRAYS = {
    "an answer": answer("STRAY"),
    "a head": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a line end": b"\r\n",
    "junk": b"\0" * 100,
}


@pytest.mark.parametrize("stray", STRAYS)
@LOOPS
@SCHEMES
def test_what_comes_on_an_idle_connection_closes_it(authority, ca_file, loop, scheme, stray):
    async def main():
        async with Vendor(tls=served(authority, scheme)) as vendor, wired(ca_file) as wire:
            url = f"{scheme}://localhost:{vendor.port}"
            assert await said(wire, f"{url}/first") == "/first"
            vendor.writers[0].write(STRAYS[stray])
            await vendor.writers[0].drain()
            assert await said(wire, f"{url}/second") == "/second"
            assert await said(wire, f"{url}/third") == "/third"
            assert len(vendor.writers) == 2

    run(loop, main)


@pytest.mark.parametrize("cut", [1, 10, 30])
async def test_a_stray_answer_in_two_parts_is_nobody_s(cut):
    stray = answer("STRAY")

    async def handle(vendor, head, _, writer):
        rest = stray[cut:] if len(vendor.heads) == 2 else b""
        writer.write(rest + answer(head.split()[1]) + (stray[:cut] if len(vendor.heads) == 1 else b""))

    async with Vendor(handle) as vendor, wired() as wire:
        url = f"http://localhost:{vendor.port}"
        assert await said(wire, f"{url}/first") == "/first"
        with contextlib.suppress(NetworkError):
            assert await said(wire, f"{url}/second") == "/second"
        assert await said(wire, f"{url}/third") == "/third"


@LOOPS
@SCHEMES
def test_a_connection_that_the_vendor_closed_meanwhile_is_no_error(authority, ca_file, loop, scheme):
    async def main():
        async with Vendor(tls=served(authority, scheme)) as vendor, wired(ca_file) as wire:
            for number in range(3):
                assert await said(wire, f"{scheme}://localhost:{vendor.port}/{number}") == f"/{number}"
                vendor.writers[-1].close()
                await vendor.writers[-1].wait_closed()
            assert len(vendor.heads) == 3

    run(loop, main)


async def test_a_connection_is_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(transport, "KEEP", 0.0)
    async with Vendor() as vendor, wired() as wire:
        for _ in range(3):
            await said(wire, f"http://localhost:{vendor.port}/")
        assert len(vendor.writers) == 3


async def test_no_request_is_repeated_unseen():
    async def handle(_, head, __, writer):
        if "second" in head:
            writer.transport.abort()
        else:
            writer.write(answer("well"))

    async with Vendor(handle) as vendor, wired() as wire:
        url = f"http://localhost:{vendor.port}"
        await said(wire, f"{url}/first")
        with pytest.raises(NetworkError):
            await said(wire, f"{url}/second")
        assert [head.split()[1] for head in vendor.heads] == ["/first", "/second"]


@pytest.mark.parametrize("when", ["before the head", "within the body"])
async def test_a_request_that_is_cancelled_takes_its_connection_along(when):
    arrived = asyncio.Event()

    async def handle(_, head, reader, writer):
        if "slow" not in head:
            writer.write(answer("well"))
            return
        if when == "within the body":
            writer.write(answer("x" * 100)[:-50])
        arrived.set()
        await reader.read()

    async with Vendor(handle) as vendor, wired() as wire:
        url = f"http://localhost:{vendor.port}"
        await said(wire, f"{url}/first")
        slow = asyncio.create_task(said(wire, f"{url}/slow"))
        await arrived.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await said(wire, f"{url}/third") == "well"
        assert len(vendor.writers) == 2


async def test_as_many_requests_as_are_made_are_in_flight():
    many, arrived = 150, asyncio.Event()

    async def handle(vendor, _, __, writer):
        if len(vendor.heads) == many:
            arrived.set()
        await arrived.wait()
        writer.write(answer("well"))

    async with Vendor(handle) as vendor, wired() as wire:
        url = f"http://localhost:{vendor.port}/"
        assert await asyncio.gather(*(said(wire, url) for _ in range(many))) == ["well"] * many


# --- What is sent ---------------------------------------------------------------------------------------------------


async def test_a_request_is_sent_as_it_is():
    async with Vendor() as vendor, wired() as wire:
        path = "/a%2Fb%20c/d+e?period=start%3D1%2Cend%3D2&x=%C3%A9&y=a%2Bb+c&z=%7B%7D;,"
        await said(wire, f"http://localhost:{vendor.port}{path}")
        first, *lines = vendor.heads[0].rstrip().split("\r\n")
        assert first == f"GET {path} HTTP/1.1"
        assert {line.split(":")[0].lower() for line in lines} == {"host", "accept", "accept-encoding", "user-agent"}


async def test_a_form_is_sent_whole_and_with_its_length():
    bodies = []

    async def handle(_, head, reader, writer):
        bodies.append(await reader.readexactly(int(re.search(r"(?i)content-length: (\d+)", head)[1])))
        writer.write(answer("well"))

    async with Vendor(handle) as vendor, wired() as wire:
        request = httpx.Request("POST", f"http://localhost:{vendor.port}/", data={"a": "b c", "d": "é&"})
        await wire.send(request, 10, 100)
        assert bodies == [b"a=b+c&d=%C3%A9%26"]
        assert "application/x-www-form-urlencoded" in vendor.heads[0]


# --- Who is at the other end ----------------------------------------------------------------------------------------


async def test_a_certificate_for_another_name_is_refused(authority, ca_file):
    async with Vendor(tls=served(authority, "https", "other.example")) as vendor, wired(ca_file) as wire:
        with pytest.raises(NetworkError, match=r"CERTIFICATE_VERIFY_FAILED.*localhost"):
            await said(wire, f"https://localhost:{vendor.port}/")
        assert vendor.heads == []


async def test_an_authority_that_nobody_trusts_is_refused(authority):
    async with Vendor(tls=served(authority, "https")) as vendor, wired() as wire:
        with pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
            await said(wire, f"https://localhost:{vendor.port}/")
        assert vendor.heads == []


async def test_ipv6():
    async with Vendor(host="::1") as vendor, wired() as wire:
        assert await said(wire, f"http://[::1]:{vendor.port}/six") == "/six"


async def test_a_head_has_bounds_on_all_of_it():
    async def handle(_, __, ___, writer):
        writer.write(answer("well", *(f"X-{number}: {'x' * 1000}" for number in range(120))))

    async with Vendor(handle) as vendor, wired() as wire:
        with pytest.raises(NetworkError, match="headers are too large"):
            await said(wire, f"http://localhost:{vendor.port}/")


# --- Proxies --------------------------------------------------------------------------------------------------------

LOGIN = "Basic " + base64.b64encode(b"user:pr0xy-pass").decode()


class Proxy(Vendor):
    """Relays, or tunnels after CONNECT, to whom is asked for and logs in."""

    def __init__(self, **more):
        super().__init__(self.relay, **more)

    async def relay(self, _, head, reader, writer):
        method, target, _ = head.split("\r\n")[0].split()
        if f"proxy-authorization: {LOGIN}".lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return
        if method != "CONNECT":
            writer.write(answer(f"relayed {target}"))
            return
        host, _, port = target.rpartition(":")
        there, back = await asyncio.open_connection(host, port)
        writer.write(b"HTTP/1.1 200 Go\r\n\r\n")
        await asyncio.gather(pump(reader, back), pump(there, writer))


async def pump(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def test_http_goes_through_a_proxy_with_a_password():
    async with Proxy() as proxy, wired(proxy_url=f"http://user:pr0xy-pass@localhost:{proxy.port}") as wire:
        assert await said(wire, "http://vendor.example/mm") == "relayed http://vendor.example/mm"


@LOOPS
@pytest.mark.parametrize("way", ["http", "https"])
def test_tls_goes_through_a_tunnel_and_is_kept(authority, ca_file, loop, way):
    async def main():
        async with (
            Vendor(tls=served(authority, "https")) as vendor,
            Proxy(tls=served(authority, way)) as proxy,
            wired(ca_file, proxy_url=f"{way}://user:pr0xy-pass@localhost:{proxy.port}") as wire,
        ):
            for number in range(3):
                assert await said(wire, f"https://localhost:{vendor.port}/{number}") == f"/{number}"
            assert len(proxy.heads) == 1
            assert all("proxy-authorization" not in head.lower() for head in vendor.heads)

    run(loop, main)


@SCHEMES
async def test_a_proxy_that_refuses_is_an_error_without_the_password(scheme):
    async with Proxy() as proxy, wired(proxy_url=f"http://user:wr0ng-pass@localhost:{proxy.port}") as wire:
        if scheme == "http":
            response = await wire.send(httpx.Request("GET", "http://vendor.example/"), 10, 100)
            assert response.status_code == 407
            return
        with pytest.raises(NetworkError, match="the proxy answered 407") as caught:
            await said(wire, "https://vendor.example/")
        assert "wr0ng" not in str(caught.value)


async def test_a_proxy_that_is_not_there_is_an_error_without_the_password():
    async with Proxy() as proxy:
        pass
    async with wired(proxy_url=f"http://user:pr0xy-pass@localhost:{proxy.port}") as wire:
        with pytest.raises(NetworkError, match="ProxyError") as caught:
            await said(wire, "https://vendor.example/")
        assert "pr0xy-pass" not in str(caught.value)


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
async def test_the_environment_s_proxies_are_used_but_for_no_proxy(monkeypatch, variable):
    async with Proxy() as proxy, Vendor() as vendor:
        monkeypatch.setenv(variable, f"user:pr0xy-pass@localhost:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "localhost")
        async with wired() as wire:
            assert await said(wire, "http://vendor.example/mm") == "relayed http://vendor.example/mm"
            assert await said(wire, f"http://localhost:{vendor.port}/near") == "/near"


@pytest.mark.parametrize("url", ["socks5://user:pr0xy-pass@localhost:1", "http://user:pr0xy-pass@localhost:port"])
async def test_a_proxy_of_another_kind_in_the_environment_is_an_error(monkeypatch, url):
    monkeypatch.setenv("ALL_PROXY", url)
    async with wired() as wire:
        with pytest.raises(NetworkError, match="the proxy's address must be a URL") as caught:
            await said(wire, "http://vendor.example/")
        assert "pr0xy-pass" not in str(caught.value)

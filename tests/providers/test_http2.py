"""HTTP/2 over real sockets: no answer delays or spoils another one, whatever a vendor does to it."""

import asyncio
import contextlib
import gc
import socket
import ssl
import subprocess

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import httpx
import pytest
import trustme
from hpack import NeverIndexedHeaderTuple

from exporter.providers import h2_connection, http2
from exporter.providers.errors import BadResponse, NetworkError, TimedOut
from exporter.providers.headers import SENT
from exporter.providers.shapes import HttpSettings
from exporter.providers.wire import Wire

# `run` and `backfill` are on uvloop, `query` is on asyncio's loop.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


class Connection(asyncio.Protocol):
    """One connection of a vendor, which a test scripts by its paths."""

    def __init__(self, vendor):
        self.vendor, self.bodies, self.left, self.heads = vendor, {}, {}, []
        self.pongs = vendor.pongs
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))

    def connection_made(self, transport):
        self.transport = transport
        self.vendor.connections.append(self)
        self.h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.vendor.most},
        )
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, _):
        self.vendor.lost += 1
        self.vendor.moved()

    def flush(self):
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data):
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    headers = dict(event.headers)
                    self.heads.append(event.headers)
                    self.bodies[event.stream_id] = b""
                    self.vendor.asked.append((self, event.stream_id, headers[":path"], headers))
                case h2.events.DataReceived():
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamReset():
                    self.vendor.resets.append((event.stream_id, event.error_code))
                    self.left.pop(event.stream_id, None)
                case h2.events.StreamEnded():
                    self.vendor.handle(self, event.stream_id)
                case h2.events.WindowUpdated():
                    self.pump()
        out = self.h2.data_to_send()
        self.transport.write(out if self.pongs else b"")
        self.vendor.moved()

    def head(self, number, *more):
        self.h2.send_headers(number, [(":status", "200"), *more])
        self.flush()

    def say(self, number, body):
        """Send a body as far as the windows let it, and the rest as they widen."""
        self.left[number] = body
        self.pump()

    def pump(self):
        for number, body in list(self.left.items()):
            room = self.h2.local_flow_control_window(number)
            pieces = [body[at : min(at + 16384, room)] for at in range(0, min(room, len(body)), 16384)]
            for piece in pieces:
                self.h2.send_data(number, piece)
            self.left[number] = body[sum(map(len, pieces)) :]
            if not self.left[number]:
                self.h2.end_stream(number)
                del self.left[number]
        self.flush()

    def answer(self, number, body):
        self.head(number)
        self.say(number, body)

    def goodbye(self, last):
        """Send GOAWAY as a server does that still answers: h2 would send nothing after its own."""
        self.transport.write(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + bytes(4))


class Vendor:
    """Answers each request with its path, but for paths that ``script`` has something else for."""

    def __init__(self, *, most=100, pongs=True):
        self.most, self.pongs = most, pongs
        self.script, self.connections, self.asked, self.resets, self.lost = {}, [], [], [], 0
        self._moved = asyncio.Event()

    def handle(self, connection, number):
        path = next(path for who, stream, path, _ in self.asked if (who, stream) == (connection, number))
        self.script.get(path, lambda there, stream: there.answer(stream, path.encode()))(connection, number)

    def moved(self):
        self._moved.set()

    async def until(self, what):
        while not what():
            self._moved.clear()
            await self._moved.wait()

    @property
    def paths(self):
        return [path for _, _, path, _ in self.asked]


@pytest.fixture
async def serve(authority):
    """Run vendors over TLS that speak HTTP/2, or what is given instead."""
    async with contextlib.AsyncExitStack() as stack:

        async def serve(vendor, protocol=Connection, alpn="h2", name="localhost", *, tls=True):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(name).configure_cert(context)
            context.set_alpn_protocols([alpn])
            server = await asyncio.get_running_loop().create_server(
                lambda: protocol(vendor), "localhost", 0, ssl=context if tls else None
            )

            async def close():
                server.close()
                for connection in vendor.connections:
                    connection.transport.abort()

            stack.push_async_callback(close)
            return f"https://localhost:{server.sockets[0].getsockname()[1]}"

        yield serve


@pytest.fixture
async def wire(ca_file):
    async with contextlib.aclosing(Wire(HttpSettings(ca_file=ca_file, http2=True), None)) as wire:
        yield wire


async def said(wire, url, timeout=20, most=2**24):  # noqa: ASYNC109 - the wire's own
    return (await wire.send(httpx.Request("GET", url, headers=SENT), timeout, most)).content


def never(*_):
    """Leave a request without an answer."""


# --- Connecting -----------------------------------------------------------------------------------------------------


@pytest.fixture
def silent():
    """Give an address that refuses nobody and takes nobody: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


async def test_an_address_that_says_nothing_delays_no_request(serve, wire, silent, monkeypatch):
    url, loop = await serve(Vendor()), asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def resolved(host, *arguments, **more):
        before = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", silent)] if host == "localhost" else []
        return before + await resolve(host, *arguments, **more)

    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    assert await said(wire, f"{url}/well", timeout=10) == b"/well"


async def test_a_certificate_for_another_name_is_refused(serve, wire):
    vendor = Vendor()
    with pytest.raises(NetworkError, match=r"CERTIFICATE_VERIFY_FAILED.*localhost"):
        await said(wire, f"{await serve(vendor, name='other.example')}/")
    assert vendor.asked == []


@pytest.mark.parametrize("host", ["localhost:1", f"{'a' * 64}.example"], ids=["nobody listens", "no name"])
async def test_a_vendor_that_is_not_there_is_a_network_error(wire, host):
    with pytest.raises(NetworkError, match=r"ConnectError: ."):
        await said(wire, f"https://{host}/")


@pytest.mark.parametrize("tls", [True, False])
async def test_a_vendor_that_says_nothing_is_left(serve, wire, tls):
    class Mute(asyncio.Protocol):
        def __init__(self, vendor):
            self.vendor = vendor

        def connection_made(self, transport):
            self.transport = transport
            self.vendor.connections.append(self)

        def connection_lost(self, _):
            self.vendor.lost += 1
            self.vendor.moved()

    vendor = Vendor()
    with pytest.raises(TimedOut):
        await said(wire, await serve(vendor, Mute, tls=tls), timeout=0.5)
    await vendor.until(lambda: vendor.lost == len(vendor.connections) == 1)


async def test_who_is_cancelled_while_connecting_leaves_nothing_behind(serve, wire, monkeypatch, caplog):
    made, connected = h2_connection.Connection.connection_made, []

    def cancelled(connection, transport):
        connected.append(connection)
        made(connection, transport)
        asking.cancel()

    monkeypatch.setattr(h2_connection.Connection, "connection_made", cancelled)
    vendor = Vendor()
    asking = asyncio.create_task(said(wire, f"{await serve(vendor)}/"))
    with pytest.raises(asyncio.CancelledError):
        await asking
    await vendor.until(lambda: vendor.lost == 1)
    await asyncio.wait([connected.pop().greeted])
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_proxy_is_asked_in_http_1(serve, ca_file):
    vendor = Vendor()
    settings = HttpSettings(ca_file=ca_file, http2=True, proxy_url="http://localhost:1")
    async with contextlib.aclosing(Wire(settings, None)) as wire:
        with pytest.raises(NetworkError, match="ProxyError"):
            await said(wire, await serve(vendor))
    assert vendor.connections == []


# --- One connection -------------------------------------------------------------------------------------------------


async def test_one_connection_carries_all_requests_each_with_its_answer(serve, wire):
    vendor = Vendor()
    url = await serve(vendor)
    answers = await asyncio.gather(*(said(wire, f"{url}/{number}?a=%2C") for number in range(64)))
    assert answers == [f"/{number}?a=%2C".encode() for number in range(64)]
    assert len(vendor.connections) == 1
    _, _, _, headers = vendor.asked[0]
    assert set(headers) == {
        *(":method", ":authority", ":scheme", ":path"),
        *("accept", "accept-encoding", "user-agent"),
    }


async def test_a_vendor_that_speaks_http_1_only_is_found_out_once(serve, wire):
    class Plain(asyncio.Protocol):
        def __init__(self, vendor):
            self.vendor = vendor

        def connection_made(self, transport):
            self.transport = transport
            self.vendor.connections.append(self)

        def data_received(self, data):
            self.vendor.asked.append(data)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell")

    vendor = Vendor()
    url = await serve(vendor, Plain, "http/1.1")
    assert [await said(wire, url) for _ in range(3)] == [b"well"] * 3
    assert (len(vendor.connections), len(vendor.asked)) == (2, 3)


async def test_more_requests_than_the_vendor_takes_at_a_time_get_more_connections(serve, wire):
    vendor = Vendor(most=2)
    vendor.script = {f"/{number}": never for number in range(5)}
    url = await serve(vendor)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(said(wire, f"{url}/{number}")) for number in range(5)]
        await vendor.until(lambda: len(vendor.asked) == 5)
        for connection, number, path, _ in vendor.asked:
            connection.answer(number, path.encode())
    assert [task.result() for task in asking] == [f"/{number}".encode() for number in range(5)]
    assert len(vendor.connections) == 3


async def test_a_form_is_sent_whole(serve, wire):
    vendor = Vendor()
    vendor.script["/"] = lambda there, number: there.answer(number, there.bodies[number])
    body = b"x" * 300_000
    response = await wire.send(httpx.Request("POST", f"{await serve(vendor)}/", content=body), 20, 2**20)
    assert response.content == body


async def test_no_table_of_headers_holds_a_secret(serve, wire, ask):
    key = ask("smartsight", metrics=["latency"]).provider.credentials.header
    names = key.lower(), "authorization", "proxy-authorization", "cookie"
    secrets = {name: f"canary of twenty bytes for {name}" for name in names}
    vendor = Vendor()
    url = await serve(vendor)
    for _ in range(2):
        await wire.send(httpx.Request("GET", f"{url}/", headers={**SENT, **secrets}), 20, 2**20)
    [there] = vendor.connections
    for head in there.heads:
        assert {tuple(header) for header in head if isinstance(header, NeverIndexedHeaderTuple)} == set(secrets.items())
    table = there.h2.decoder.header_table.dynamic_entries
    assert (b"accept", b"application/json") in table
    assert not any(b"canary" in value for _, value in table)


async def test_a_connection_that_the_vendor_closed_meanwhile_is_no_error(serve, wire):
    vendor = Vendor()
    url = await serve(vendor)
    for number in range(3):
        assert await said(wire, f"{url}/{number}") == f"/{number}".encode()
        vendor.connections[-1].transport.close()
        await vendor.until(lambda number=number: vendor.lost > number)
        await asyncio.sleep(0)
    assert vendor.paths == ["/0", "/1", "/2"]


async def test_a_connection_is_not_kept_for_ever(serve, wire, monkeypatch):
    monkeypatch.setattr(h2_connection, "KEEP", 0.01)
    vendor = Vendor()
    await said(wire, f"{await serve(vendor)}/")
    await vendor.until(lambda: vendor.lost == 1)


# --- Answers that are given up --------------------------------------------------------------------------------------

GIVEN_UP = {
    "never begins": never,
    "stops after its head": lambda there, number: there.head(number),
    "stops within its body": lambda there, number: (
        there.head(number),
        there.h2.send_data(number, b"x"),
        there.flush(),
    ),
    "floods": lambda there, number: there.answer(number, b"x" * 2**22),
    "is a bomb in compression": lambda there, number: (
        there.head(number, ("content-encoding", "gzip, gzip")),
        there.say(number, b"x" * 2**22),
    ),
}


@pytest.mark.parametrize("kind", GIVEN_UP)
async def test_an_answer_that_is_given_up_hurts_no_other(serve, wire, kind):
    vendor = Vendor()
    vendor.script = {"/bad": GIVEN_UP[kind], "/slow": never}
    url = await serve(vendor)
    slow = asyncio.create_task(said(wire, f"{url}/slow"))
    await vendor.until(lambda: len(vendor.asked) == 1)
    bad = asyncio.create_task(said(wire, f"{url}/bad", timeout=0.3, most=1000))
    assert await said(wire, f"{url}/beside") == b"/beside"
    with pytest.raises((TimedOut, BadResponse)):
        await bad
    assert await said(wire, f"{url}/after") == b"/after"
    large = b"y" * 2**22
    connection, number, *_ = vendor.asked[0]
    connection.answer(number, large)
    assert await slow == large
    assert len(vendor.connections) == 2, "what comes later goes over a new connection"
    assert [code for _, code in vendor.resets] == [h2.errors.ErrorCodes.CANCEL]
    await vendor.until(lambda: vendor.lost == 1)


async def test_a_request_that_is_cancelled_is_taken_back(serve, wire):
    vendor = Vendor()
    vendor.script["/never"] = never
    url = await serve(vendor)
    asking = asyncio.create_task(said(wire, f"{url}/never"))
    await vendor.until(lambda: vendor.asked)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await vendor.until(lambda: vendor.resets and vendor.lost)


async def test_an_answer_that_begins_while_its_request_is_cancelled_hurts_no_other(serve, wire, monkeypatch):
    vendor = Vendor()
    vendor.script = {"/slow": never, "/bad": never}
    url = await serve(vendor)
    slow = asyncio.create_task(said(wire, f"{url}/slow"))
    await vendor.until(lambda: len(vendor.asked) == 1)
    bad = asyncio.create_task(said(wire, f"{url}/bad"))
    await vendor.until(lambda: len(vendor.asked) == 2)
    # With this answer all pongs have come: what comes next is that to /bad.
    assert await said(wire, f"{url}/beside") == b"/beside"
    came = h2_connection.Connection.data_received

    def cancelled(connection, data):
        bad.cancel()
        came(connection, data)

    monkeypatch.setattr(h2_connection.Connection, "data_received", cancelled)
    (connection, first, *_), (_, second, *_), *_ = vendor.asked
    connection.answer(second, b"bad")
    with pytest.raises(asyncio.CancelledError):
        await bad
    connection.answer(first, b"slow")
    assert await slow == b"slow"
    assert len(vendor.connections) == 1


async def test_a_vendor_that_is_gone_is_noticed_before_the_time_out(serve, wire, monkeypatch):
    monkeypatch.setattr(h2_connection, "PATIENCE", 0.1)
    vendor = Vendor(pongs=False)
    vendor.script["/"] = never
    with pytest.raises(NetworkError, match="ping"):
        await said(wire, f"{await serve(vendor)}/")


# --- Connections that end -------------------------------------------------------------------------------------------


async def test_what_is_in_flight_when_a_vendor_says_goodbye_is_answered(serve, wire):
    vendor = Vendor()
    vendor.script = {"/seen": never, "/unseen": never}
    url = await serve(vendor)
    seen = asyncio.create_task(said(wire, f"{url}/seen"))
    await vendor.until(lambda: len(vendor.asked) == 1)
    unseen = asyncio.create_task(said(wire, f"{url}/unseen"))
    await vendor.until(lambda: len(vendor.asked) == 2)
    vendor.script = {}
    connection, number, *_ = vendor.asked[0]
    connection.goodbye(number)
    assert await unseen == b"/unseen"
    connection.answer(number, b"late")
    assert await seen == b"late"
    assert vendor.paths == ["/seen", "/unseen", "/unseen"]
    assert len(vendor.connections) == 2


async def test_a_request_that_is_refused_unseen_is_asked_elsewhere_but_not_for_ever(serve, wire):
    def refuse(there, number):
        there.h2.reset_stream(number, h2.errors.ErrorCodes.REFUSED_STREAM)
        there.flush()

    vendor = Vendor()
    vendor.script["/"] = refuse
    with pytest.raises(NetworkError, match="refuses"):
        await said(wire, f"{await serve(vendor)}/")
    assert len(vendor.asked) == len(vendor.connections) == http2.ATTEMPTS


async def test_a_vendor_that_says_goodbye_at_once_is_an_error_soon(serve, wire):
    class Leaving(Connection):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.goodbye(0)
            transport.close()

    vendor = Vendor()
    with pytest.raises(NetworkError):
        await said(wire, f"{await serve(vendor, Leaving)}/")
    assert vendor.asked == []
    assert 1 <= len(vendor.connections) <= http2.ATTEMPTS


BROKEN = {
    "resets the stream": lambda there, number: (there.h2.reset_stream(number), there.flush()),
    "closes the connection": lambda there, _: there.transport.abort(),
    "closes it within the body": lambda there, number: (
        there.head(number, ("content-length", "100")),
        there.h2.send_data(number, b"x"),
        there.flush(),
        there.transport.close(),
    ),
    "sends less than it promised": lambda there, number: (
        there.head(number, ("content-length", "100")),
        there.h2.send_data(number, b"x", end_stream=True),
        there.flush(),
    ),
    "sends a status that is none": lambda there, number: (
        there.h2.send_headers(number, [(":status", "2x0")], end_stream=True),
        there.flush(),
    ),
    "sends junk": lambda there, _: there.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "sends a frame of 16 MB": lambda there, _: there.transport.write(b"\xff\xff\xff\0\0\0\0\0\x01"),
    "sends a body before its head": lambda there, number: there.transport.write(
        b"\0\0\x01\0\x01" + number.to_bytes(4, "big") + b"x"
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_is_broken_is_a_network_error_and_the_next_request_has_an_answer(serve, wire, kind):
    vendor = Vendor()
    vendor.script["/bad"] = BROKEN[kind]
    url = await serve(vendor)
    with pytest.raises(NetworkError):
        await said(wire, f"{url}/bad")
    assert await said(wire, f"{url}/next") == b"/next"
    assert vendor.paths == ["/bad", "/next"]


NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr; events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    server {{
        listen 127.0.0.1:{port} ssl http2; ssl_certificate chain.pem; ssl_certificate_key chain.pem;
        keepalive_requests 50; location / {{ return 200 well; }}
    }}
}}
"""


@pytest.mark.real("nginx")
async def test_nginx_renews_connections_and_no_request_is_lost(authority, wire, tmp_path):
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "chain.pem"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(NGINX.format(port=port))
    nginx = subprocess.Popen(["nginx", "-p", tmp_path, "-c", "nginx.conf"], stderr=subprocess.PIPE)  # noqa: ASYNC220
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(NetworkError):
                    await said(wire, f"https://localhost:{port}/")
                    break
                await asyncio.sleep(0.02)
        answers = await asyncio.gather(*(said(wire, f"https://localhost:{port}/") for _ in range(500)))
        assert answers == [b"well"] * 500
    finally:
        nginx.kill()
        nginx.communicate()

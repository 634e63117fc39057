"""Clients that mean harm or are broken: raw sockets against a server on the daemon's own event loop, in a thread."""

import asyncio
import contextlib
import logging
import select
import socket
import ssl
import threading
import time

import pytest
import trustme
import uvloop

from exporter.web.connection import LONGEST_HEAD, LONGEST_REQUEST, MOST_WAITING, Patience
from exporter.web.listen import bind, serve

DEADLINE = 30
SOON = 0.2
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = GET.replace(b"/ ", b"/large ")
PIECE = b"0123456789abcdef" * (1 << 14)
PIECES = 128
SMALL = b"x" * 60_000


class Server:
    """A server in a thread; `held` requests wait until a test lets them go."""

    def __init__(self, *, send_buffer=None, **options):
        self.send_buffer = send_buffer
        self.options = options
        self.port = None
        self.asked = 0
        self.active = 0
        self.release = threading.Event()
        self._started = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=uvloop.run, args=(self._run(),))
        self._thread.start()
        assert self._started.wait(DEADLINE)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.release.set()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        bound = bind("127.0.0.1:0")
        if self.send_buffer:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)
        self.port = bound.getsockname()[1]
        async with serve(self._app, [bound], **self.options):
            self._started.set()
            await self._stop.wait()

    async def _app(self, scope, _, send):
        self.asked += 1
        self.active += 1
        try:
            if scope["path"] == "/held":
                await asyncio.to_thread(self.release.wait, DEADLINE)
            bodies = {"/large": [PIECE] * PIECES, "/small": [SMALL]}
            body = bodies.get(scope["path"], [f"{scope['method']} {scope['path']}".encode()])
            length = str(sum(map(len, body))).encode()
            headers = [(b"content-length", length), (b"x-seen", str(len(scope["headers"])).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for part in body:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self.active -= 1

    def connect(self, *, receive_buffer=None):
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", self.port))
        return client

    def works(self):
        with self.connect() as client:
            client.sendall(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
            return rest(client).endswith(b"\r\n\r\nGET /")

    def closes_a_silent_one(self):
        """Wait until the server has closed a connection that was opened after all others."""
        with self.connect() as client:
            return rest(client) == b""


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Nothing that these clients do is worth a line, let alone a traceback."""
    with caplog.at_level(logging.INFO):
        yield
    told = [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in told] == []


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture
def impatient():
    with Server(patience=Patience(request=SOON, answer=SOON, stop=SOON)) as server:
        yield server


def rest(client):
    """Read until the other side has closed, whichever way."""
    taken = []
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 20):
            taken.append(part)
    return b"".join(taken)


def answer(client):
    """Read one answer, and nothing of the next."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, head
        head += byte
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    parts, got = [], 0
    while got < size:
        part = client.recv(min(1 << 20, size - got))
        assert part, f"{got} of {size} bytes"
        parts.append(part)
        got += len(part)
    return head, b"".join(parts)


def keep_sending(client, data, pause=0.0):
    """Send the same again and again until the other side has had enough; give what it said."""
    deadline = time.monotonic() + DEADLINE
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            if select.select([client], [], [], pause)[0]:
                return rest(client)
            client.sendall(data)
    assert time.monotonic() < deadline, "it was never closed"
    return b""


def eventually(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


# --- Requests that never end ---


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nhost: x\r\n",
        b"\r\n",
        b"\r\n\r\n\r\n",
        pytest.param(b"GET / HTTP/1.1\r\nx: " + b"x" * (LONGEST_HEAD - 100), id="a long header that goes on"),
    ],
)
def test_who_never_ends_the_head_of_a_request_is_cut_off(impatient, start):
    with impatient.connect() as client:
        client.sendall(start)
        assert rest(client) == b""
    assert impatient.works()


@pytest.mark.parametrize(
    "start",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nfour",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\ntrailer: ",
        b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n",
    ],
)
def test_who_never_ends_the_body_of_a_request_has_an_answer_and_is_cut_off(impatient, start):
    with impatient.connect() as client:
        client.sendall(start)
        assert rest(client).endswith(b"\r\n\r\nPOST /")
    assert impatient.works()


@pytest.mark.parametrize("drop", [b"x", b"\r\n"])
def test_a_drop_now_and_then_buys_no_time(impatient, drop):
    with impatient.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: " if drop == b"x" else drop)
        assert keep_sending(client, drop, pause=SOON / 10) == b""


def test_a_drop_now_and_then_buys_no_time_between_two_requests_either(impatient):
    with impatient.connect() as client:
        client.sendall(GET)
        answer(client)
        client.sendall(b"\r\n")
        assert keep_sending(client, b"\r\n", pause=SOON / 10) == b""


def test_the_second_request_of_a_connection_must_end_too(impatient):
    with impatient.connect() as client:
        client.sendall(GET + GET[:10])
        assert rest(client).endswith(b"\r\n\r\nGET /")


def test_a_request_that_is_whole_may_be_answered_late(impatient):
    with impatient.connect() as client:
        client.sendall(GET.replace(b"/ ", b"/held "))
        assert impatient.closes_a_silent_one()
        impatient.release.set()
        assert answer(client)[1] == b"GET /held"


def test_a_connection_may_idle_between_requests(impatient):
    with impatient.connect() as client:
        client.sendall(GET)
        answer(client)
        assert impatient.closes_a_silent_one()
        client.sendall(GET)
        assert answer(client)[1] == b"GET /"


def test_a_scrape_beside_idle_connections_is_answered(server):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(server.connect())
        assert server.works()


# --- Answers that are never read ---


@pytest.mark.parametrize("request_", [LARGE, LARGE.replace(b"1.1", b"1.0"), LARGE * 3, LARGE + b"garbage" * 10])
def test_who_never_reads_is_cut_off(impatient, request_):
    with impatient.connect(receive_buffer=4096) as client:
        client.sendall(request_)
        eventually(lambda: impatient.asked)
        eventually(lambda: not impatient.active)
        assert len(rest(client)) < len(PIECE) * PIECES
    assert impatient.works()


def test_who_reads_drop_by_drop_is_cut_off(impatient):
    with impatient.connect(receive_buffer=1 << 15) as client:
        client.sendall(LARGE)
        size = 0
        with contextlib.suppress(ConnectionError):
            while drop := client.recv(1 << 15):
                size += len(drop)
                time.sleep(0.001)
        assert size < len(PIECE) * PIECES


def test_small_answers_that_nobody_reads_are_given_up_too(impatient):
    with impatient.connect(receive_buffer=4096) as client:
        with pytest.raises(ConnectionError):  # noqa: PT012 - until it is cut off
            while True:
                client.sendall(GET * (MOST_WAITING // 2))
        eventually(lambda: not impatient.active)
    assert impatient.works()


def test_a_small_answer_that_is_never_read_is_given_up_too():
    """Less than what the transport keeps by default without asking for a pause."""
    patience = Patience(answer=SOON, request=2 * SOON)
    with Server(patience=patience, send_buffer=4096) as server, server.connect(receive_buffer=4096) as client:
        client.sendall(GET.replace(b"/ ", b"/small "))
        eventually(lambda: server.asked)
        assert server.closes_a_silent_one()
        assert len(rest(client)) < len(SMALL)


def test_who_reads_slowly_gets_all(server):
    with server.connect(receive_buffer=4096) as client:
        client.sendall(LARGE * 2)
        for _ in range(2):
            assert answer(client)[1] == PIECE * PIECES


def test_who_has_said_all_gets_all(server):
    with server.connect(receive_buffer=4096) as client:
        client.sendall(LARGE * 2 + GET)
        client.shutdown(socket.SHUT_WR)
        said = rest(client)
    assert said.count(PIECE) == 2 * PIECES
    assert said.endswith(b"\r\n\r\nGET /")


def test_the_server_stops_beside_a_client_that_never_reads():
    with Server(patience=Patience(stop=SOON)) as server, server.connect(receive_buffer=4096) as client:
        client.sendall(LARGE)
        eventually(lambda: server.active)
        server.stop()
        assert len(rest(client)) < len(PIECE) * PIECES


# --- Requests that are none, or too much ---


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET / HTTP/1.1\r\nx: " + b"x" * LONGEST_HEAD + b"\r\n\r\n", id="a long header"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * LONGEST_HEAD + b"\r\n", id="many headers"),
        pytest.param(b"GET /" + b"x" * LONGEST_HEAD + b" HTTP/1.1\r\n\r\n", id="a long path"),
        pytest.param(b"\r\n" * LONGEST_HEAD + GET, id="many empty lines"),
        b"\x00",
        b"\xff" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\na\x00b: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n",
    ],
)
def test_what_is_no_request_is_refused(server, request_):
    with server.connect() as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request_)
        said = rest(client)
    assert said == b"" or said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1") <= 1
    assert server.works()


def test_a_head_that_is_just_short_enough_is_taken(server):
    head = b"GET / HTTP/1.1\r\nconnection: close\r\nx: "
    with server.connect() as client:
        client.sendall(head + b"x" * (LONGEST_HEAD - len(head) - 4) + b"\r\n\r\n")
        assert rest(client).startswith(b"HTTP/1.1 200 ")


def test_garbage_behind_a_request_is_not_answered_within_its_answer(server):
    with server.connect(receive_buffer=4096) as client:
        client.sendall(LARGE)
        eventually(lambda: server.active)
        client.sendall(b"garbage\r\n\r\n")
        said = rest(client)
    assert b"400" not in said
    eventually(lambda: not server.active)
    assert server.works()


def test_a_large_body_is_thrown_away_and_the_request_answered(server):
    with server.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n" + b"x" * 8_000_000)
        assert answer(client)[1] == b"POST /"
        client.sendall(GET)
        assert answer(client)[1] == b"GET /"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"content-length: 99999999999", b"x" * 65536),
        (b"transfer-encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        (b"transfer-encoding: chunked\r\n\r\n0", b"x: y\r\n" * 10000),
        (b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", b"y" * 65536),
    ],
    ids=["length", "chunks", "trailers", "one trailer"],
)
def test_a_body_without_end_is_cut_off(server, start, more):
    separator = b"\r\n" if start.endswith(b"0") else b"" if start.endswith(b" ") else b"\r\n\r\n"
    with server.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\n" + start + separator)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 4 * LONGEST_REQUEST:
                client.sendall(more)
                sent += len(more)
        assert sent < 4 * LONGEST_REQUEST
    assert server.works()


def test_lines_behind_a_body_are_no_headers(server):
    chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\nz: y\r\n\r\n"
    with server.connect() as client:
        client.sendall(chunked)
        head, _ = answer(client)
    assert b"\r\nx-seen: 2\r\n" in head


def test_requests_may_be_sent_ahead(server):
    with server.connect() as client:
        client.sendall(b"".join(GET.replace(b"/ ", b"/%d " % number) for number in range(MOST_WAITING)))
        said = b""
        while not said.endswith(b"GET /%d" % (MOST_WAITING - 1)):
            part = client.recv(65536)
            assert part
            said += part
    places = [said.index(b"GET /%d" % number) for number in range(MOST_WAITING)]
    assert places == sorted(places)


def test_too_many_requests_ahead_are_refused(server):
    with server.connect() as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(GET * MOST_WAITING * 100)
        rest(client)
    eventually(lambda: not server.active)
    assert server.works()


@pytest.mark.parametrize(
    "upgrade",
    [
        b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==\r\n",
        b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQ\r\n",
    ],
)
def test_an_offer_of_another_protocol_is_ignored(server, upgrade):
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n" + upgrade + b"\r\n")
        head, body = answer(client)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"GET /"
    assert server.works()


def test_who_leaves_in_the_middle_leaves_nothing_behind(server):
    for request in (LARGE, LARGE * 2, GET[:10]):
        with server.connect(receive_buffer=4096) as client:
            client.sendall(request)
            if request.startswith(LARGE):
                client.recv(10)
    eventually(lambda: not server.active)
    assert server.works()


# --- TLS ---


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority):
    def tls():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        return context

    return tls


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_who_never_shakes_hands_is_cut_off(tls, trusting):
    with Server(tls=tls, patience=Patience(request=SOON)) as server:
        for start in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
            with server.connect() as client:
                client.sendall(start)
                assert rest(client) == b""
        with trusting.wrap_socket(server.connect(), server_hostname="localhost") as client:
            client.sendall(b"GET / HT")
            assert rest(client) == b""


@pytest.mark.parametrize("start", [GET, b"\xff" * 1000])
def test_who_does_not_speak_tls_is_refused(tls, start):
    with Server(tls=tls) as server, server.connect() as client:
        client.sendall(start)
        assert b"HTTP" not in rest(client)


def test_who_says_goodbye_over_tls_has_said_all(tls, trusting):
    with Server(tls=tls) as server:
        raw = server.connect(receive_buffer=4096)
        with trusting.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(LARGE)
            eventually(lambda: server.active)
            with contextlib.suppress(OSError):
                client.unwrap()
        eventually(lambda: not server.active)


def test_who_reads_over_tls_gets_all_and_who_does_not_is_cut_off(tls, trusting):
    with (
        Server(tls=tls, patience=Patience(answer=10 * SOON)) as server,  # time for a busy machine to decrypt it all
        trusting.wrap_socket(server.connect(receive_buffer=4096), server_hostname="localhost") as deaf,
        trusting.wrap_socket(server.connect(), server_hostname="localhost") as client,
    ):
        client.sendall(LARGE)
        assert answer(client)[1] == PIECE * PIECES
        deaf.sendall(LARGE)
        eventually(lambda: server.active)
        eventually(lambda: not server.active)
        client.sendall(GET)
        assert answer(client)[1] == b"GET /"

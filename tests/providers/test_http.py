import asyncio
import gzip
import socket
import ssl
import threading
import zlib

import httpx
import pytest
import trustme

from exporter.model import Bounds
from exporter.providers import http
from exporter.providers.decode import SHORT, decode
from exporter.providers.errors import AuthError, BadResponse, NetworkError, TimedOut, VendorError, from_status
from exporter.providers.scrub import echoes
from exporter.providers.wire import trust

KEY = "k3y-of-smartsight"
BODY = b'{"response": []}'


async def whole(body):
    """Read an answer as it is."""
    return body


class Stream(httpx.AsyncByteStream):
    """A body that comes in pieces, one every ``pause`` seconds; with ``for ever`` the last one again and again."""

    def __init__(self, *pieces, pause=0.0, for_ever=False):
        self.pieces, self.pause, self.for_ever, self.closed = pieces, pause, for_ever, False

    async def __aiter__(self):
        for piece in self.pieces:
            await asyncio.sleep(self.pause)
            yield piece
        while self.for_ever:
            await asyncio.sleep(self.pause)
            yield self.pieces[-1]

    async def aclose(self):
        self.closed = True


@pytest.fixture
def asked(ask):
    return ask("smartsight", metrics=["views"], dimensions=["cdn"])


@pytest.fixture
def get(asked, client, bounds):
    """Ask a vendor that answers with one response."""

    async def get(answer, bounds=bounds, **more):
        transport = answer if isinstance(answer, httpx.AsyncBaseTransport) else httpx.MockTransport(lambda _: answer)
        async with contextclosing(client(asked, transport, **more)) as vendor:
            return await vendor.get(asked.request(), bounds, whole)

    return get


class contextclosing:  # noqa: N801 - as contextlib's
    def __init__(self, thing):
        self.thing = thing

    async def __aenter__(self):
        return self.thing

    async def __aexit__(self, *_):
        await self.thing.aclose()


def raising(error):
    def handle(_):
        raise error

    return httpx.MockTransport(handle)


# --- Status ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 206])
async def test_2xx_gives_the_body(get, status):
    assert await get(httpx.Response(status, content=BODY)) == BODY


REFUSALS = [
    300,
    301,
    302,
    303,
    304,
    307,
    308,
    400,
    401,
    402,
    403,
    404,
    405,
    406,
    408,
    409,
    410,
    413,
    414,
    418,
    422,
    429,
]
FAILURES = [451, 499, 500, 501, 502, 503, 504, 520, 529, 599]


@pytest.mark.parametrize("status", REFUSALS + FAILURES)
async def test_every_other_status_is_the_error_of_the_contract(get, observed, status):
    with pytest.raises(VendorError, match=f"^metricquery: HTTP {status}") as caught:
        await get(httpx.Response(status, content=BODY))
    assert caught.type is from_status(status)
    assert observed.codes == [("metricquery", str(status))]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"detail": "Query timed out"}', "metricquery: HTTP 503: Query timed out"),
        (b'{"detail": "two\\n lines\\tof  text"}', "metricquery: HTTP 503: two lines of text"),
        (b"<html>Bad Gateway</html>", "metricquery: HTTP 503"),
        (b"", "metricquery: HTTP 503"),
        (b"[1, 2]", "metricquery: HTTP 503"),
    ],
)
async def test_the_vendor_s_words_stand_in_the_error_on_one_line(get, body, told):
    with pytest.raises(VendorError) as caught:
        await get(httpx.Response(503, content=body))
    assert str(caught.value) == told


async def test_a_long_explanation_is_cut(get):
    with pytest.raises(VendorError) as caught:
        await get(httpx.Response(422, json={"detail": "x" * 100_000}))
    assert len(str(caught.value)) < 400


async def test_an_explanation_beyond_what_is_decoded_in_the_event_loop_is_left_out(get):
    with pytest.raises(VendorError, match=r"HTTP 422$"):
        await get(httpx.Response(422, json={"detail": "no", "more": "x" * SHORT}))


@pytest.mark.parametrize("size", [0, SHORT])
async def test_a_look_up_has_little_to_say(ask, client, bounds, size):
    def handle(request):
        if request.method == "POST":
            return httpx.Response(200, json={"access_token": "t0ken"})
        return httpx.Response(200, json={"planlevel": 2735, "more": "x" * size} if "plan" in request.url.path else {})

    login = {"auth": {"username": "ops", "password": "p4ss-of-ops"}}
    asked = ask("smartsight", source=login, endpoint="session", metrics=["latency"])
    asking = client(asked, httpx.MockTransport(handle)).get(asked.request(), bounds, whole)
    if size:
        with pytest.raises(
            BadResponse, match=rf"^session: planlevel: the answer has \d+ bytes, and this kind has {SHORT} at most$"
        ):
            await asking
    else:
        assert await asking == b"{}"


# --- Redirects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["https://elsewhere.example/mm-apis", "/mm-apis/metricquery/1", "http://[broken"])
async def test_a_redirect_is_never_followed_and_the_key_never_sent_elsewhere(
    asked, client, peer, bounds, status, target
):
    vendor = peer(lambda _: httpx.Response(status, headers={"location": target}))
    with pytest.raises(BadResponse, match="redirect"):
        await client(asked, vendor.transport).get(asked.request(), bounds, whole)
    assert [request.url.host for request in vendor.requests] == ["smartsight.mediamelon.com"]


# --- Time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        Stream(b" ", pause=1, for_ever=True),
        Stream(b"", pause=0.25, for_ever=True),
        Stream(b"{", b"}", pause=60),
        Stream(b"{}", pause=90.5),
    ],
    ids=["a byte a second", "nothing, four times a second", "two pieces a minute apart", "nothing for too long"],
)
def test_the_time_out_is_for_the_whole_body(virtual, asked, client, observed, bounds, stream):
    took = []

    async def main(time):
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=stream))
        began = time()
        with pytest.raises(TimedOut, match="90 s"):
            await client(asked, transport, time=time).get(asked.request(), bounds, whole)
        took.append(time() - began)

    virtual(main)
    assert took == [pytest.approx(90)]
    assert stream.closed
    [exchange] = observed.exchanges
    assert (exchange.code, exchange.duration) == ("timeout", pytest.approx(90))


def test_the_time_out_is_for_the_headers_too(virtual, asked, client, bounds):
    async def main(time):
        async def handle(_):
            await asyncio.Event().wait()

        with pytest.raises(TimedOut):
            await client(asked, httpx.MockTransport(handle), time=time).get(asked.request(), bounds, whole)

    virtual(main)


def test_an_answer_just_in_time_is_an_answer(virtual, asked, client, bounds):
    async def main(time):
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Stream(b"{", b"}", pause=44.9)))
        assert await client(asked, transport, time=time).get(asked.request(), bounds, whole) == b"{}"

    virtual(main)


def test_waiting_for_the_source_s_limits_is_not_in_the_time_out(virtual, ask, client, observed, bounds):
    asked = ask("smartsight", source={"limits": {"concurrency": 1}}, metrics=["views"])

    async def main(time):
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Stream(b"{", b"}", pause=40)))
        vendor = client(asked, transport, time=time)
        await asyncio.gather(*(vendor.get(asked.request(), bounds, whole) for _ in range(3)))

    virtual(main)
    assert [exchange.duration for exchange in observed.exchanges] == pytest.approx([80, 80, 80])
    assert [wait for wait in observed.throttles if wait > 1] == pytest.approx([80, 160])


# --- Size and compression -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_body_of_just_max_response_is_taken_and_one_byte_more_is_not(get, size):
    bounds = Bounds(timeout=90, max_response=size, interval=60)
    assert await get(httpx.Response(200, content=b"x" * size), bounds) == b"x" * size
    with pytest.raises(BadResponse, match=rf"max_response.*{size} bytes"):
        await get(httpx.Response(200, content=b"x" * (size + 1)), bounds)


async def test_an_endless_body_ends_at_max_response(get):
    stream = Stream(b"x" * 65536, for_ever=True)
    with pytest.raises(BadResponse, match="max_response"):
        await get(httpx.Response(200, stream=stream))
    assert stream.closed


def zipped(kind, text):
    packer = zlib.compressobj(9, wbits={"gzip": 31, "deflate": 15}[kind])
    return packer.compress(text) + packer.flush()


def encoded(body, kind="gzip", status=200):
    return httpx.Response(status, headers={"content-encoding": kind}, stream=Stream(body))


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
async def test_a_compressed_answer_is_decompressed(get, kind):
    assert await get(encoded(zipped(kind, BODY), kind)) == BODY


@pytest.mark.parametrize("status", [200, 500])
async def test_a_bomb_is_measured_after_decompression(get, observed, status):
    bomb = gzip.compress(b" " * 2**24, mtime=0)
    assert len(bomb) < 2**15
    with pytest.raises(BadResponse, match="max_response"):
        await get(encoded(bomb, status=status))
    assert len(observed.exchanges) == 1


@pytest.mark.parametrize(
    "body", [b"no gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff broken", gzip.compress(BODY, mtime=0)[:-20]]
)
async def test_broken_gzip_is_a_bad_response(get, body):
    with pytest.raises(BadResponse):
        decode(await get(encoded(body)))


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<html>Please log in</html>", "HTML"), (b"", "empty"), (b"{'python': 1}", "bytes")]
)
async def test_what_is_no_json_is_a_bad_response(get, body, kind):
    with pytest.raises(BadResponse, match=kind):
        decode(await get(httpx.Response(200, content=body)))


# --- The network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        *(httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.CloseError),
        *(httpx.RemoteProtocolError, httpx.LocalProtocolError, httpx.ProxyError, httpx.UnsupportedProtocol),
    ],
)
async def test_a_broken_connection_is_a_network_error(get, observed, error):
    with pytest.raises(NetworkError, match=f"metricquery: smartsight.mediamelon.com: {error.__name__}: it broke"):
        await get(raising(error("it broke")))
    assert observed.codes == [("metricquery", "network")]


@pytest.mark.parametrize("error", [httpx.ConnectTimeout, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout])
async def test_a_time_out_of_the_library_is_a_time_out(get, observed, error):
    with pytest.raises(TimedOut):
        await get(raising(error("it took long")))
    assert observed.codes == [("metricquery", "timeout")]


async def test_a_connection_that_breaks_within_the_body_is_a_network_error(get):
    class Breaking(Stream):
        async def __aiter__(self):
            yield b'{"response": ['
            raise httpx.ReadError("reset by peer")

    with pytest.raises(NetworkError, match="reset by peer"):
        await get(httpx.Response(200, stream=Breaking()))


async def reached(ask, client, bounds, scheme, port):
    asked = ask("smartsight", source={"base_url": f"{scheme}://127.0.0.1:{port}"}, metrics=["views"])
    async with contextclosing(client(asked, None)) as vendor:
        return await vendor.get(asked.request(), bounds, whole)


async def test_a_port_that_nobody_listens_on_is_a_network_error(ask, client, bounds):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(NetworkError, match="ConnectError"):
            await reached(ask, client, bounds, "http", free.getsockname()[1])


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [("https", b"HTTP/1.1 200 OK\r\n\r\n"), ("http", b"SSH-2.0-OpenSSH_9.6\r\n"), ("http", b""), ("http", None)],
    ids=["no TLS", "no HTTP", "closed at once", "a body that is cut off"],
)
async def test_a_peer_that_speaks_something_else_is_a_network_error(ask, client, bounds, scheme, answer):
    async def serve(reader, writer):
        await reader.read(1024)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{" if answer is None else answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NetworkError):
            await reached(ask, client, bounds, scheme, server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("content", [None, "no certificate", ""], ids=["missing", "junk", "empty"])
async def test_a_ca_file_that_can_t_be_used_is_a_network_error_that_names_it(ask, client, bounds, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    asked = ask("smartsight", source={"http": {"ca_file": str(path)}}, metrics=["views"])
    with pytest.raises(NetworkError, match=r"ca\.pem"):
        await client(asked, None).get(asked.request(), bounds, whole)


async def test_certificates_are_verified_whatever_is_trusted(tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for context in (trust(None, (0, 0)), trust(tmp_path / "ca.pem", (0, 0))):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


@pytest.mark.parametrize(
    "url", ["https://[half-an-address", "https://host:99999", "https://a b.example", "https://host:port"]
)
async def test_a_url_that_can_t_be_asked_is_an_error_of_the_vendor_s_and_no_bug(ask, client, bounds, url):
    try:
        asked = ask("smartsight", source={"base_url": url}, metrics=["views"])
    except Exception as error:  # noqa: BLE001 - an error of the configuration is as good
        assert type(error).__name__ == "ConfigError"  # noqa: PT017
        return
    with pytest.raises(VendorError):
        await client(asked, raising(httpx.ConnectError("no such host"))).get(asked.request(), bounds, whole)


# --- What is told ---------------------------------------------------------------------------------------------------


async def test_each_request_is_told_with_its_endpoint_its_code_and_how_long_it_took(
    asked, client, observed, clock, bounds
):
    def handle(_):
        clock.now += 2.5
        return httpx.Response(200, content=BODY)

    await client(asked, httpx.MockTransport(handle)).get(asked.request(), bounds, whole)
    [exchange] = observed.exchanges
    assert (exchange.source, exchange.endpoint, exchange.code) == ("smartsight", "metricquery", "200")
    assert exchange.duration == pytest.approx(2.5)
    assert observed.lives == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (encoded(b"no gzip"), "bad_response"),
        (httpx.Response(200, content=b"x" * 2**21), "bad_response"),
        (httpx.Response(302), "302"),
        (httpx.Response(404), "404"),
    ],
)
async def test_the_code_is_the_status_or_the_reason_for_there_being_no_answer(get, observed, answer, code):
    with pytest.raises(VendorError):
        await get(answer)
    assert observed.codes == [("metricquery", code)]


async def test_a_request_that_is_cancelled_is_told_and_its_slot_given_back(ask, client, observed, bounds):
    asked = ask("smartsight", source={"limits": {"concurrency": 1}}, metrics=["views"])
    arrived, answers = asyncio.Event(), [None, httpx.Response(200, content=BODY)]

    async def handle(_):
        arrived.set()
        if answer := answers.pop(0):
            return answer
        return await asyncio.Event().wait()

    vendor = client(asked, httpx.MockTransport(handle))
    first = asyncio.create_task(vendor.get(asked.request(), bounds, whole))
    await arrived.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await vendor.get(asked.request(), bounds, whole) == BODY
    assert [code for _, code in observed.codes] == ["canceled", "200"]


# --- Secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"detail": f"Invalid key {KEY}"}),
        httpx.Response(500, json={"detail": [{"loc": ["query", KEY], "msg": f"X-API-Key: {KEY}, {KEY}"}]}),
        httpx.Response(422, json={"detail": "y" * 285 + KEY}),
    ],
    ids=["in a sentence", "in a list", "where the line is cut"],
)
async def test_a_key_that_the_vendor_echoes_is_not_in_the_error(get, answer):
    with pytest.raises(VendorError) as caught:
        await get(answer)
    assert KEY[:6] not in str(caught.value)
    assert KEY[:6] not in repr(caught.value)
    assert caught.value.__suppress_context__


async def test_a_key_in_a_library_s_message_is_not_in_the_error(get):
    with pytest.raises(NetworkError) as caught:
        await get(raising(httpx.LocalProtocolError(f"Illegal header value {KEY.encode()!r}")))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["k3y with a space ", r"k3y\with ", "k3y'quoted\" "])
async def test_a_key_that_no_header_takes_is_not_in_the_error(ask, client, bounds, key):
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        source = {"base_url": f"http://127.0.0.1:{port}", "auth": {"api_key": key}}
        asked = ask("smartsight", source=source, metrics=["views"])
        async with contextclosing(client(asked, None)) as vendor:
            with pytest.raises(VendorError) as caught:
                await vendor.get(asked.request(), bounds, whole)
    assert "k3y" not in str(caught.value)


@pytest.mark.parametrize("key", ["ключ", "line\nbreak", "ta\tb", "\x7f"])
async def test_a_key_with_characters_of_no_header_is_an_auth_error_and_not_sent(ask, client, peer, bounds, key):
    vendor = peer(lambda _: httpx.Response(200))
    asked = ask("smartsight", source={"auth": {"api_key": key}}, metrics=["views"])
    with pytest.raises(AuthError) as caught:
        await client(asked, vendor.transport).get(asked.request(), bounds, whole)
    assert key not in str(caught.value)
    assert vendor.requests == []


def test_the_password_of_a_proxy_shows_in_no_repr(ask):
    asked = ask("smartsight", source={"http": {"proxy_url": "http://user:pr0xy-pass@proxy:3128"}}, metrics=["views"])
    assert "pr0xy-pass" not in repr(asked.provider.settings)


@pytest.fixture
def searched(monkeypatch):
    """Give the threads that search answers for secrets."""
    threads = []

    def searching(*args):
        threads.append(threading.current_thread())
        return echoes(*args)

    monkeypatch.setattr(http, "echoes", searching)
    return threads


@pytest.mark.parametrize("escaped", [rb"a\/b", b"a/b"])
async def test_a_long_answer_is_searched_for_secrets_beside_the_event_loop(get, searched, escaped):
    body = b'{"response": ["%b"]}' % (escaped * 100_000)
    assert await get(httpx.Response(200, content=body)) == body
    assert searched
    assert threading.main_thread() not in searched


async def test_long_answers_are_searched_one_at_a_time(get, searched):
    body = b" " * 100_000
    await asyncio.gather(*(get(httpx.Response(200, content=body)) for _ in range(20)))
    assert len(searched) == 20
    assert len(set(searched)) == 1


async def test_a_short_answer_is_searched_at_once(get, searched):
    assert await get(httpx.Response(200, content=BODY)) == BODY
    assert searched == [threading.main_thread()]


@pytest.mark.parametrize("key", ["k3y-of-smart", "short-key"])
async def test_an_answer_that_repeats_the_key_is_refused_where_the_key_is_no_word(ask, client, bounds, searched, key):
    asked = ask("smartsight", source={"auth": {"api_key": key}}, metrics=["views"])
    body = b'["%b"]' % "".join(f"\\u{ord(each):04X}" for each in key).encode() + b" " * 100_000
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    asking = client(asked, transport).get(asked.request(), bounds, whole)
    if key == "short-key":
        assert await asking == body
        assert searched == []
    else:
        with pytest.raises(BadResponse, match="the answer repeats a secret"):
            await asking

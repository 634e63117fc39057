import asyncio
import contextlib
import gc
import socket

import httpx
import pytest

from exporter.web.listen import AddressError, bind, serve


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


async def hello(scope, _, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"hello\n"})


async def ask(host, port):
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        return await client.get(f"http://{host}:{port}/")


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("127.0.0.1:0", ["127.0.0.1"]),
        ("localhost:0", ["127.0.0.1"]),
        (":0", ["127.0.0.1"]),
        ("0.0.0.0:0", ["127.0.0.1"]),
        pytest.param("[::1]:0", ["[::1]"], marks=ipv6),
        pytest.param(":0", ["127.0.0.1", "[::1]"], marks=ipv6),
        pytest.param("[::]:0", ["[::1]"], marks=ipv6),
    ],
)
async def test_an_address_is_served(address, hosts):
    bound = bind(address)
    port = bound.getsockname()[1]
    async with serve(hello, [bound]):
        for host in hosts:
            response = await ask(host, port)
            assert (response.status_code, response.text) == (200, "hello\n")
            assert "server" not in response.headers


def test_a_loopback_address_is_bound_to_the_loopback_only():
    with bind("127.0.0.1:0") as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


async def test_several_addresses_are_served_at_once():
    sockets = [bind("127.0.0.1:0"), bind("127.0.0.1:0")]
    ports = [one.getsockname()[1] for one in sockets]
    async with serve(hello, sockets):
        assert [(await ask("127.0.0.1", port)).text for port in ports] == ["hello\n"] * 2


async def test_once_the_context_ends_nobody_listens():
    bound = bind("127.0.0.1:0")
    port = bound.getsockname()[1]
    async with serve(hello, [bound]):
        await ask("127.0.0.1", port)
    with pytest.raises(httpx.ConnectError):
        await ask("127.0.0.1", port)


async def test_idle_connections_do_not_hold_up_the_end():
    bound = bind("127.0.0.1:0")
    port = bound.getsockname()[1]
    async with contextlib.AsyncExitStack() as client:
        async with serve(hello, [bound]):
            kept = await client.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=5))
            await kept.get(f"http://127.0.0.1:{port}/")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":",
        "8080",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:",
        ":http",
        ":-1",
        ":+80",
        ": 80",
        ":8 0",
        ":1.5",
        ":٣٣",
        ":65536",
        "127.0.0.1:99999999999999999999",
        pytest.param(":" + "9" * 5000, id="a port of 5000 digits"),
        "::1",
        "[::1]",
        "[::1]8080",
        "[::1:0",
        "127.0.0.1]:0",
        "[127.0.0.1:0",
        "::1:0",
        "http://127.0.0.1:0",
    ],
)
def test_what_is_no_address_is_refused(address):
    try:
        bind(address).close()
    except AddressError as error:
        message = str(error)
    else:
        pytest.fail("it was bound")
    assert address in message
    assert "\n" not in message
    gc.collect()  # a socket that was left open warns now, and so fails this test


def test_a_port_that_is_taken_is_refused_with_its_reason():
    with bind("127.0.0.1:0") as bound:
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(AddressError, match=f"can't listen on `{address}`: Address already in use"):
            bind(address)


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(AddressError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1:0")  # TEST-NET-1

import asyncio
import contextlib
import gc
import resource
import socket
import ssl
import subprocess
import sys

import httpx
import pytest
import trustme

from exporter.web.listen import AddressError, bind, raise_file_limit, serve


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


async def hello(scope, _, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"hello\n"})


async def ask(host, port, scheme="http"):
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        return await client.get(f"{scheme}://{host}:{port}/")


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


async def test_with_tls_the_server_speaks_nothing_else():
    authority, contexts = trustme.CA(), []

    def tls():
        contexts.append(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        authority.issue_cert("localhost").configure_cert(contexts[-1])
        return contexts[-1]

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    bound = bind("127.0.0.1:0")
    port = bound.getsockname()[1]
    async with serve(hello, [bound], tls), httpx.AsyncClient(trust_env=False, timeout=5, verify=trusting) as client:
        assert (await client.get(f"https://localhost:{port}/")).text == "hello\n"
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://localhost:{port}/")
        with pytest.raises(httpx.ConnectError):  # a stranger's certificate
            await ask("127.0.0.1", port, scheme="https")
        assert (await client.get(f"https://localhost:{port}/")).text == "hello\n"
    assert len(contexts) == 1


async def test_a_context_that_cannot_be_made_is_told_before_anything_is_served():
    def tls():
        raise FileNotFoundError("no certificate")

    with bind("127.0.0.1:0") as bound, pytest.raises(FileNotFoundError, match="no certificate"):
        async with serve(hello, [bound], tls):
            pytest.fail("it serves")


class Hello:
    async def answer(self, scope, receive, send):
        await hello(scope, receive, send)


async def test_an_application_may_be_a_method():
    bound = bind("127.0.0.1:0")
    port = bound.getsockname()[1]
    async with serve(Hello().answer, [bound]):
        assert (await ask("127.0.0.1", port)).text == "hello\n"


def test_the_limit_of_open_files_is_raised_as_far_as_it_may():
    program = (
        "import resource; from exporter.web.listen import raise_file_limit;"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE);"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300));"
        "raise_file_limit(); print(*resource.getrlimit(resource.RLIMIT_NOFILE));"
        "raise_file_limit(); print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["300"] * 4


@pytest.mark.parametrize(("soft", "raised"), [(256, 10240), (20000, 20000)])
def test_macos_has_an_infinite_limit_that_it_does_not_grant(monkeypatch, soft, raised):
    infinite, limits = 2**63 - 1, [(soft, 2**63 - 1)]

    def setrlimit(_, wanted):
        if wanted[0] == infinite:
            raise ValueError("current limit exceeds maximum limit")
        limits.append(wanted)

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    raise_file_limit()
    assert limits[-1] == (raised, infinite)

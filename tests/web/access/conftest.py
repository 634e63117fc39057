import asyncio
import contextlib
import ssl

import bcrypt
import httpx
import pytest
import trustme
import uvicorn

from exporter.web.access import access
from exporter.web.listen import bind


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


async def hello(scope, _, send):
    assert scope["type"] == "http"
    headers = [(b"content-length", b"6"), (b"Content-Security-Policy", b"default-src 'none'")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello\n"})


@contextlib.asynccontextmanager
async def serving(guard):
    """Serve ``hello`` as a web configuration says; gives the URL."""
    config = uvicorn.Config(
        guard.wrap(hello),
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
        ssl_context_factory=(lambda *_: guard.tls()) if guard.tls else None,
    )
    server = Server(config)
    with bind("127.0.0.1:0") as bound:
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield f"{'https' if guard.tls else 'http'}://localhost:{bound.getsockname()[1]}/"
        finally:
            server.should_exit = True
            await task


async def ask(url, context=None, **more):
    """Ask once, on a connection of its own."""
    async with httpx.AsyncClient(trust_env=False, timeout=10, verify=context or False) as client:
        return await client.get(url, **more)


@pytest.fixture(name="serving")
def _serving():
    return serving


@pytest.fixture(name="ask")
def _ask():
    return ask


@pytest.fixture(name="put")
def _put():
    return put


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


@pytest.fixture(scope="session")
def pair(ca):
    return ca.issue_cert("localhost")


@pytest.fixture(scope="session")
def cheap():
    """Hash a password as cheaply as bcrypt can."""
    return lambda password: bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture
def folder(tmp_path, ca, pair):
    """Give a folder with a server's certificate and key, and the authority of both sides."""
    ca.cert_pem.write_to_path(tmp_path / "ca.crt")
    put(tmp_path, pair)
    return tmp_path


def put(folder, pair):
    pair.cert_chain_pems[0].write_to_path(folder / "server.crt")
    pair.private_key_pem.write_to_path(folder / "server.key")


@pytest.fixture
def guard(folder, clock):
    """Write a web configuration and give its access."""

    def guard(text):
        (folder / "web.yml").write_text(text)
        return access(folder / "web.yml", clock=clock)

    return guard


@pytest.fixture
def client(ca):
    """Make a TLS context that trusts the authority, and shows a certificate where one is given."""

    def client(shown=None, **attributes):
        context = ssl.create_default_context()
        ca.configure_trust(context)
        if shown:
            shown.configure_cert(context)
        for name, value in attributes.items():
            setattr(context, name, value)
        return context

    return client

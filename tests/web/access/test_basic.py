import asyncio
import base64
import threading

import bcrypt
import httpx
import pytest

from exporter.web.access.basic import Users, protect

REAL = bcrypt.checkpw


async def hello(scope, _, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello\n"})


@pytest.fixture
def checks(monkeypatch):
    """Note the hash that each run of bcrypt is for."""
    seen = []

    def checkpw(password, hashed):
        seen.append(hashed)
        return REAL(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return seen


@pytest.fixture
def users(cheap):
    return Users({"alice": cheap("right"), "bob": cheap("bob's"), "zoë": cheap("pässwörd:")})


@pytest.fixture
async def http(users):
    app = protect(hello, lambda: users)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exporter") as client:
        yield client


def basic(text):
    return b"Basic " + base64.b64encode(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/nothing"])
async def test_every_path_is_closed_to_those_without_a_password(http, checks, path):
    response = await http.get(path)
    assert (response.status_code, response.text) == (401, "Unauthorized\n")
    assert response.headers["www-authenticate"] == 'Basic realm="video-analytics-exporter", charset="UTF-8"'
    assert checks == []


@pytest.mark.parametrize("auth", [("alice", "right"), ("bob", "bob's"), ("zoë", "pässwörd:")])
async def test_users_come_in(http, auth):
    assert (await http.get("/metrics", auth=auth)).text == "hello\n"


@pytest.mark.parametrize(
    "auth", [("alice", "wrong"), ("alice", ""), ("alice", "bob's"), ("Alice", "right"), ("", "right"), ("", "")]
)
async def test_others_do_not(http, auth):
    assert (await http.get("/metrics", auth=auth)).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic YWxpY2U6cmlnaHQ",
        basic("alice"),
        basic(b"\xff\xfe:\xff"),
        basic(b"alice\x00:right"),
        basic(b"alice:right\x00"),
        basic("alice:right").replace(b"Basic", b"Bearer"),
        basic("alice:right")[6:],
    ],
)
async def test_a_header_that_is_wrong_is_refused(http, header):
    assert (await http.get("/", headers={"authorization": header})).status_code == 401


@pytest.mark.parametrize("scheme", [b"basic ", b"BASIC ", b"Basic   "])
async def test_the_scheme_may_be_written_in_other_ways(http, scheme):
    header = basic("alice:right").replace(b"Basic ", scheme)
    assert (await http.get("/", headers={"authorization": header})).status_code == 200


async def test_a_scrape_pays_for_bcrypt_once(http, checks):
    for _ in range(3):
        assert (await http.get("/metrics", auth=("alice", "right"))).status_code == 200
    assert len(checks) == 1


async def test_a_failure_is_not_kept_and_does_not_spoil_what_is(http, checks):
    for password, status in (("right", 200), ("wrong", 401), ("wrong", 401), ("right", 200)):
        assert (await http.get("/", auth=("alice", password))).status_code == status
    assert len(checks) == 3


async def test_an_unknown_name_costs_a_hash_as_well_and_its_password_may_be_right(http, checks):
    assert (await http.get("/", auth=("mallory", "right"))).status_code == 401
    assert len(checks) == 1


async def test_no_password_is_kept(http, users):
    await http.get("/", auth=("alice", "right"))
    assert users._known
    assert not [kept for kept in users._known.values() if b"right" in kept]


async def test_what_is_kept_does_not_grow_with_passwords(http, users):
    for number in range(3):
        await http.get("/", auth=("alice", f"wrong{number}"))
        await http.get("/", auth=(f"mallory{number}", "right"))
        await http.get("/", auth=("alice", "right"))
    assert list(users._known) == [b"alice"]


@pytest.mark.parametrize("length", [71, 72, 73, 1000])
async def test_a_password_longer_than_bcrypt_can_take(cheap, length):
    users = Users({"alice": cheap("x" * min(length, 72))})
    assert await users.admit(basic("alice:" + "x" * length))
    assert not await users.admit(basic("alice:" + "y" * length))


async def test_bcrypt_runs_one_at_a_time_and_beside_the_loop(users, http, monkeypatch):
    await http.get("/", auth=("alice", "right"))
    entered, go, running, most = asyncio.Event(), threading.Event(), [], []
    loop = asyncio.get_running_loop()

    def slow(*_):
        running.append(1)
        most.append(len(running))
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(10)
        running.pop()
        return False

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    wrong = [asyncio.create_task(users.admit(basic(f"alice:wrong{number}"))) for number in range(4)]
    await asyncio.wait_for(entered.wait(), 10)
    # Who is known does not wait for those who are not.
    assert (await http.get("/", auth=("alice", "right"))).status_code == 200
    go.set()
    assert await asyncio.gather(*wrong) == [False] * 4
    assert most == [1] * 4


async def test_the_same_credentials_at_once_are_checked_once(users, checks):
    assert await asyncio.gather(*(users.admit(basic("alice:right")) for _ in range(4))) == [True] * 4
    assert len(checks) == 1


async def test_a_websocket_is_closed(users):
    sent = []

    async def send(message):
        sent.append(message)

    await protect(hello, lambda: users)({"type": "websocket", "headers": []}, None, send)
    assert sent == [{"type": "websocket.close"}]


async def test_the_server_s_own_messages_need_no_password(users):
    reached = []

    async def app(scope, *_):
        reached.append(scope["type"])

    await protect(app, lambda: users)({"type": "lifespan"}, None, None)
    assert reached == ["lifespan"]


async def test_without_users_everybody_comes_in():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(protect(hello, lambda: None))) as client:
        assert (await client.get("http://exporter/")).text == "hello\n"

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from exporter.web import peers
from exporter.web.app import app
from exporter.web.discovery import Discovery
from exporter.web.peers import Here, NoPeersError, Peers, addresses, is_here, one_name, usable

OWN = "http://own.example:9000"
PODS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


class Names:
    """A name server: what it answers next, once the gate is open; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = []

    async def __call__(self, host):
        self.asked.append(host)
        await self.gate.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def named(names, place="shards", local=(), **here):
    return Peers((place,), Here(**{"port": 10310} | here), names, lambda address: address in local)


# --- A list -----------------------------------------------------------------------------------------------------------


async def test_a_list_is_taken_as_it_is_with_the_scheme_and_the_port_of_this_process():
    places = ("a", "b:1", "[::1]", "https://c.example/video", "10.0.0.1")
    assert await Peers(places, Here(1, "http", 10310)).urls() == [
        "http://a:10310",
        "http://b:1",
        "http://[::1]:10310",
        "https://c.example/video",
        "http://10.0.0.1:10310",
    ]
    assert (await Peers(places, Here(1, "https", 10310)).urls())[:2] == ["https://a:10310", "https://b:1"]


async def test_in_a_list_this_shard_is_where_its_external_url_says():
    assert await Peers(("a:1", "b:2", "c:3"), Here(1, external_url=OWN)).urls() == ["http://a:1", OWN, "http://c:3"]


async def test_a_process_that_listens_on_no_port_leaves_it_to_the_scheme():
    assert await Peers(("a", "b"), Here(0)).urls() == ["http://a", "http://b"]


@pytest.mark.parametrize("place", ["a", "a-0.b.svc.cluster.local:10310", "[::1]:1", "http://a", "https://a:1/b"])
def test_a_host_with_and_without_a_port_and_a_url_are_usable(place):
    assert usable(place)


@pytest.mark.parametrize(
    "place", ["", " ", "a b", "a:", "a:b", "::1", "ftp://a", "http://", "http://u@a", "a/b", "<b>"]
)
def test_what_names_no_host_is_not(place):
    assert not usable(place)


def test_one_host_is_a_name_of_all_and_a_url_a_list():
    assert one_name(("a",))
    assert one_name(("a:1",))
    assert not one_name(("http://a",))
    assert not one_name(("a", "b"))


# --- A name -----------------------------------------------------------------------------------------------------------


async def test_a_name_is_all_its_addresses():
    names = Names(PODS, ["fd00::1"])
    shards = named(names)
    assert await shards.urls() == [f"http://{pod}:10310" for pod in PODS]
    assert await shards.urls() == ["http://[fd00::1]:10310"]
    assert names.asked == ["shards", "shards"]
    assert await named(Names(PODS), "shards:1").urls() == [f"http://{pod}:1" for pod in PODS]


async def test_of_a_names_addresses_that_of_this_machine_is_where_the_external_url_says():
    urls = [OWN, "http://10.0.0.1:10310", "http://10.0.0.3:10310"]
    assert await named(Names(PODS), local={"10.0.0.2"}, external_url=OWN).urls() == urls
    assert len(await named(Names(PODS), local={"10.0.0.2"}).urls()) == 3


@pytest.mark.parametrize("fault", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
async def test_the_last_good_answer_stays_and_it_is_said_once(fault):
    shards = named(Names(PODS, fault, fault, PODS[:1]))
    good = await shards.urls()
    with capture_logs() as logged:
        assert await shards.urls() == good
        assert await shards.urls() == good
        assert await shards.urls() == good[:1]
    assert [entry["log_level"] for entry in logged] == ["warning", "info"]


async def test_without_any_answer_nobody_knows():
    with pytest.raises(NoPeersError, match="`shards` can't be resolved: Name or service not known"):
        await named(Names(socket.gaierror(-2, "Name or service not known"))).urls()


async def test_a_name_server_that_hangs_is_waited_for_so_long_and_asked_once(monkeypatch):
    monkeypatch.setattr(peers, "PATIENCE", 0.01)
    names = Names(PODS, PODS[:2])
    shards = named(names)
    good = await shards.urls()
    names.gate.clear()
    assert await asyncio.gather(*(shards.urls() for _ in range(10))) == [good] * 10
    assert len(names.asked) == 2
    names.gate.set()
    monkeypatch.setattr(peers, "PATIENCE", 10)
    assert len(await shards.urls()) == 2


async def test_a_name_is_resolved_for_real_to_addresses_of_one_family():
    assert await addresses("127.0.0.1") == ["127.0.0.1"]
    assert await addresses("::1") == ["::1"]
    with pytest.raises((OSError, UnicodeError)):
        await addresses("a" * 300)


async def test_a_shard_with_both_kinds_of_addresses_is_listed_once(monkeypatch):
    both = [(socket.AF_INET6, "fd00::1"), (socket.AF_INET, "10.0.0.2"), (socket.AF_INET, "10.0.0.1")]

    async def found(*_, **__):
        return [(family, socket.SOCK_STREAM, 6, "", (address, 0)) for family, address in both]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    assert await addresses("shards") == ["10.0.0.1", "10.0.0.2"]


def test_an_address_of_this_machine_is_known():
    assert is_here("127.0.0.1")
    assert not is_here("192.0.2.1")


# --- /sd --------------------------------------------------------------------------------------------------------------


async def test_discovery_lists_all_shards_each_once(served, shown, client_of):
    shards = Peers(("a:1", "b:2", "http://a:1"), Here(0, external_url="https://own.example/video"))
    async with client_of(app(served.metrics, "/metrics", shown.state, None, Discovery(peers=shards))) as client:
        found = (await client.get("/sd", headers={"host": "service"})).json()
    labels = {"__scheme__": "https", "__metrics_path__": "/video/metrics"}
    assert found == [
        {"targets": ["own.example:443"], "labels": labels},
        {"targets": ["b:2"], "labels": {}},
        {"targets": ["a:1"], "labels": {}},
    ]


async def test_discovery_without_any_answer_fails_so_that_prometheus_keeps_its_targets(served, shown, client_of):
    shards = named(Names(socket.gaierror(-3, "Temporary failure in name resolution"), PODS))
    async with client_of(app(served.metrics, "/metrics", shown.state, None, Discovery(peers=shards))) as client:
        answer = await client.get("/sd")
        assert (answer.status_code, answer.text.count("\n")) == (503, 1)
        assert "Temporary failure" in answer.text
        assert len((await client.get("/sd")).json()) == 3

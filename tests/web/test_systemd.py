import contextlib
import os
import socket
import subprocess
import sys
import time
from itertools import count

import pytest

from exporter.web.listen import AddressError
from exporter.web.systemd import Notifier, inherited

DEADLINE = 30

# What systemd does: sockets from 3 on, the variables, and the program in the same process.
START = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
for place, fd in enumerate(fds):  # high first, for two may have to change places
    os.dup2(fd, 100 + place)
for place in range(len(fds)):
    os.dup2(100 + place, 3 + place)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""
TAKE = """
import os
from exporter.web.listen import AddressError
from exporter.web.systemd import inherited
try:
    for taken in inherited(os.environ):
        print(taken.fileno(), taken.getsockname(), os.get_inheritable(taken.fileno()))
except AddressError as error:
    print(error)
print(sorted(name for name in os.environ if name.startswith("LISTEN_")))
print(inherited(os.environ))
"""
SERVE = """
import asyncio, os, uvloop
from exporter.web.listen import serve
from exporter.web.systemd import Notifier, inherited

async def hello(scope, _, send):
    headers = [(b"connection", b"close"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})

async def main():
    notify = Notifier(os.environ)
    async with serve(hello, inherited(os.environ)):
        notify.ready("listening")
        await asyncio.sleep(60)

uvloop.run(main())
"""


def start(program, *, fds, **env):
    return subprocess.Popen(
        [sys.executable, "-c", START, ",".join(map(str, fds)), program],
        pass_fds=fds,
        env={**os.environ, "LISTEN_FDS": str(len(fds)), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process):
    out, err = process.communicate(timeout=DEADLINE)
    assert err == ""
    return out.splitlines()


def hello(address, family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(DEADLINE)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        taken = b""
        while part := client.recv(65536):
            taken += part
    return taken.rpartition(b"\r\n\r\n")[2]


@contextlib.contextmanager
def ending(process):
    with process:
        try:
            yield process
        finally:
            process.kill()


# --- Sockets ---


def test_inherited_sockets_are_taken_in_their_order_and_stay_ours():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        fds = [one.fileno(), two.fileno()]
        assert said(start(TAKE, fds=fds, LISTEN_FDNAMES="one:two", LISTEN_PIDFDID="7")) == [
            f"3 {one.getsockname()} False",
            f"4 {two.getsockname()} False",
            "[]",
            "[]",
        ]


def test_without_inherited_sockets_there_are_none():
    assert said(start(TAKE, fds=[])) == ["[]", "[]"]
    assert inherited({}) == []


def test_sockets_of_another_process_are_not_ours():
    env = {"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "PATH": "/bin"}
    assert inherited(env) == []
    assert env == {"PATH": "/bin"}


@pytest.mark.parametrize("count", ["", "-1", "1.5", "two", "²"])
def test_a_number_of_sockets_that_is_none_is_refused(count):
    with pytest.raises(AddressError, match=rf"LISTEN_FDS is `{count}`"):
        inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


def unlistening(kind):
    bound = socket.socket(type=kind)
    bound.bind(("127.0.0.1", 0))
    return bound


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: unlistening(socket.SOCK_DGRAM), "it is no listening stream socket"),
        (lambda: unlistening(socket.SOCK_STREAM), "it is no listening stream socket"),
        (lambda: open(os.devnull), "Socket operation on non-socket"),  # noqa: PTH123, SIM115
    ],
    ids=["datagrams", "no listener", "no socket"],
)
def test_what_cannot_be_listened_on_is_refused_by_its_name(make, reason):
    with make() as wrong:
        lines = said(start(TAKE, fds=[wrong.fileno()], LISTEN_FDNAMES="metrics.socket"))
    assert lines == [f"can't listen on the inherited file descriptor 3 (metrics.socket): {reason}", "[]", "[]"]


def test_a_socket_that_is_not_there_is_refused():
    lines = said(start(TAKE, fds=[], LISTEN_FDS="1"))
    assert lines == ["can't listen on the inherited file descriptor 3: Bad file descriptor", "[]", "[]"]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_inherited_sockets_are_served_and_who_came_early_is_answered(tmp_path, family):
    path = str(tmp_path / "notify")
    with receiver(path) as manager, socket.socket(family) as bound:
        bound.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "web"))
        bound.listen()
        address = bound.getsockname()
        with ending(start(SERVE, fds=[bound.fileno()], NOTIFY_SOCKET=path)):
            assert hello(address, family) == b"hello"  # while the process is still starting
            assert manager.recv(4096) == b"READY=1\nSTATUS=listening"
            assert hello(address, family) == b"hello"


@pytest.mark.real("systemd-socket-activate")
def test_a_real_socket_activation(tmp_path):
    path = str(tmp_path / "web")
    command = ["systemd-socket-activate", "--listen", path, "--fdname", "web", "--setenv"]
    program = [f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", sys.executable, "-c", SERVE]
    with ending(subprocess.Popen([*command, *program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)):
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                assert hello(path, socket.AF_UNIX) == b"hello"
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < deadline
                time.sleep(0.01)


# --- Word to systemd ---


def receiver(address):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(DEADLINE)
    return manager


names = count()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """Where word arrives, and the variable that leads there."""
    variable = str(tmp_path / "notify")
    if request.param == "abstract":
        if sys.platform != "linux":
            pytest.skip("only Linux has abstract sockets")
        variable = f"@exporter-test-{os.getpid()}-{next(names)}"
    with receiver(variable.replace("@", "\0", 1) if variable.startswith("@") else variable) as manager:
        yield manager, variable


def test_what_is_told_arrives(manager):
    socket_, variable = manager
    with contextlib.closing(Notifier({"NOTIFY_SOCKET": variable}, clock=lambda: 12.5)) as notify:
        for tell, told in (
            (notify.ready, b"READY=1"),
            (lambda: notify.ready("200 queries"), b"READY=1\nSTATUS=200 queries"),
            (notify.reloading, b"RELOADING=1\nMONOTONIC_USEC=12500000"),
            (lambda: notify.stopping("bye"), b"STOPPING=1\nSTATUS=bye"),
            (notify.alive, b"WATCHDOG=1"),
            (lambda: notify.status("3 of 200 queries fail"), b"STATUS=3 of 200 queries fail"),
        ):
            tell()
            assert socket_.recv(4096) == told


def test_the_time_of_a_reload_is_that_of_the_monotonic_clock(manager):
    socket_, variable = manager
    with contextlib.closing(Notifier({"NOTIFY_SOCKET": variable})) as notify:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify.reloading()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(socket_.recv(4096).partition(b"MONOTONIC_USEC=")[2]) <= after


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nSTOPPING=1", b"STATUS=a STOPPING=1"),
        ("a\r\n\tb", b"STATUS=a b"),
        ("caf\udce9 \u00e9", "STATUS=caf? \u00e9".encode()),
    ],
)
def test_a_status_is_one_line(tmp_path, text, line):
    path = str(tmp_path / "notify")
    with receiver(path) as manager, contextlib.closing(Notifier({"NOTIFY_SOCKET": path})) as notify:
        notify.status("\n")
        notify.status(text)
        assert manager.recv(4096) == line


def tell_all(env):
    with contextlib.closing(Notifier(env)) as notify:
        for tell in (notify.ready, notify.reloading, notify.stopping, notify.alive):
            tell()
        notify.status("x" * 10_000_000)
    notify.ready()
    notify.close()


@pytest.mark.parametrize(
    "variable", ["", "relative", "@", "/", "/no/such/socket", "/" + "x" * 200, "vsock:2:1", "\udcff"]
)
def test_where_nobody_listens_nothing_happens(variable):
    tell_all({"NOTIFY_SOCKET": variable})


def test_without_the_variable_nothing_happens():
    tell_all({})


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path):
    path = str(tmp_path / "notify")
    with receiver(path), contextlib.closing(Notifier({"NOTIFY_SOCKET": path})) as notify:
        for _ in range(100_000):
            notify.alive()


def test_a_manager_that_comes_back_hears_again(tmp_path):
    path = tmp_path / "notify"
    with contextlib.closing(Notifier({"NOTIFY_SOCKET": str(path)})) as notify:
        for _ in range(2):
            with receiver(str(path)) as manager:
                notify.ready()
                assert manager.recv(4096) == b"READY=1"
            path.unlink()
            notify.ready()


@pytest.mark.parametrize(
    ("env", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_told_twice_in_its_time(env, interval):
    assert Notifier(env).watchdog_interval == interval

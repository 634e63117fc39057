"""The units: systemd finds nothing, they are closed as far as is said, and the service does what its type promises."""

import configparser
import contextlib
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.cli import main

DEADLINE = 30
EXPOSURE = 1.1
"""What `systemd-analyze security` says, of 10; docs/deploy/systemd.md says it too."""

CONFIG = """
sources: {mm: {type: smartsight, customer_id: 1, base_url: "http://127.0.0.1:1", auth: {api_key_file: "%s"}}}
queries: [{name: q, source: mm, metrics: [latency]}]
"""


@pytest.fixture(scope="module")
def units(root):
    """The directory of the units."""
    return root / "deploy/systemd"


@pytest.fixture(scope="module")
def service(units):
    """The service's settings; of a setting that stands twice, the last one."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(units / "video-analytics-exporter.service")
    return unit["Service"]


@pytest.fixture
def installed(units, tmp_path):
    """The units as on a machine where the program is."""
    program = Path(sys.executable).with_name("video-analytics-exporter")
    for name in ("service", "socket"):
        text = (units / f"video-analytics-exporter.{name}").read_text()
        text = text.replace("/opt/video-analytics-exporter/bin/video-analytics-exporter", str(program))
        (tmp_path / f"video-analytics-exporter.{name}").write_text(text)
    shutil.copytree(units / "video-analytics-exporter.service.d", tmp_path / "video-analytics-exporter.service.d")
    return sorted(path for path in tmp_path.iterdir() if path.is_file())


@pytest.mark.real("systemd-analyze")
def test_systemd_finds_nothing(installed):
    done = subprocess.run(["systemd-analyze", "verify", *installed], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.real("systemd-analyze")
def test_the_service_is_closed_as_far_as_is_said(installed, root):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", installed[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    (exposure,) = re.findall(r"Overall exposure level .*: ([\d.]+) ", done.stdout)
    assert float(exposure) <= EXPOSURE, done.stdout
    assert f"**{EXPOSURE}** of 10" in (root / "docs/deploy/systemd.md").read_text()


def test_the_page_starts_it_once_every_credential_is_there(units, root):
    page = (root / "docs/deploy/systemd.md").read_text()
    drop_in = (units / "video-analytics-exporter.service.d/credentials.conf").read_text()
    files = re.findall(r"^LoadCredential=\w+:(\S+)$", drop_in, re.MULTILINE)
    commands = [line.split() for line in page.splitlines() if line.startswith("# ")]
    order = [(words[-1] in files, words[1:3] == ["systemctl", "enable"]) for words in commands]
    assert [pair for pair in order if any(pair)] == [(True, False)] * len(files) + [(False, True)]


def test_the_exporter_has_every_flag(service):
    _, command, *arguments = shlex.split(service["ExecStart"])
    known = {name for parameter in main.get_command(None, command).params for name in parameter.opts}
    assert {argument.partition("=")[0] for argument in arguments} <= known


def test_the_socket_has_the_exporter_s_port(units):
    assert "ListenStream=10310\n" in (units / "video-analytics-exporter.socket").read_text()


@contextlib.contextmanager
def manager(path):
    """What systemd is to a service: the socket that it is told by."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(DEADLINE)
        yield told


def until(told, word):
    """Read what the service says until a word comes; give what comes with it."""
    while True:
        said = told.recv(4096).decode().splitlines()
        if word in said:
            return said


def get(port, path):
    """Ask as soon as somebody listens: systemd-socket-activate is a program that has to start."""
    deadline = time.monotonic() + DEADLINE
    while True:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as client:
            try:
                client.request("GET", path)
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return client.getresponse().status


@pytest.mark.real("systemd-socket-activate")
def test_it_is_started_by_its_socket_and_tells_how_it_is(service, tmp_path):
    """The unit's own command, started by the first connection, with a secret as LoadCredential gives it."""
    (tmp_path / "smartsight").write_text("key")
    (tmp_path / "config.yaml").write_text(CONFIG % "${CREDENTIALS_DIRECTORY}/smartsight")
    _, *arguments = shlex.split(service["ExecStart"].replace("%E/video-analytics-exporter", str(tmp_path)))
    arguments = [argument.replace("%S/video-analytics-exporter", str(tmp_path / "state")) for argument in arguments]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "NOTIFY_SOCKET": tmp_path / "notify",
        "CREDENTIALS_DIRECTORY": tmp_path,
        "WATCHDOG_USEC": 500_000,
        "PATH": os.environ["PATH"],
    }
    with (
        manager(tmp_path / "notify") as told,
        subprocess.Popen(
            [
                *("systemd-socket-activate", f"--listen=127.0.0.1:{port}"),
                *(f"--setenv={name}={value}" for name, value in environment.items()),
                *(Path(sys.executable).with_name("video-analytics-exporter"), *arguments),
            ],
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            assert get(port, "/-/healthy") == 200
            assert until(told, "READY=1") == ["READY=1", "STATUS=serving 1 queries"]
            until(told, "WATCHDOG=1")
            assert "kill -HUP $MAINPID" in service["ExecReload"]
            process.send_signal(signal.SIGHUP)
            assert until(told, "RELOADING=1")[1].startswith("MONOTONIC_USEC=")
            assert until(told, "READY=1")[1] == "STATUS=reloaded"
            process.send_signal(signal.SIGTERM)
            until(told, "STOPPING=1")
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()
    assert (tmp_path / "state").is_dir()

"""Starting while everything is broken, recovering alone, and stopping whatever still runs."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest
import trustme

import exporter as package
from exporter.simulator.serve import serve

PATIENCE = 30
PREFIX = "video_analytics_exporter_"
QUERIES = {
    "mm": {"name": "plays", "source": "mm", "metrics": ["viewercount"], "dimensions": ["cdn"]},
    "ibm": {"name": "audience", "source": "ibm", "metrics": ["total_views"], "dimensions": ["device"]},
}


def config(sources, *names):
    return {
        "defaults": {"interval": "1s", "timeout": "1s"},
        "sources": {name: sources[name] for name in names},
        "queries": [QUERIES[name] for name in names],
    }


def success(exporter):
    name = f"{PREFIX}query_success{{"
    return {value for line, value in exporter.series().items() if line.startswith(name)}


def broken(exporter, until, reason, count=1):
    """See that it serves, says that it can't poll and why, and is ready."""
    until(lambda: success(exporter) == {"0.0"}, "the polls have failed")
    until(lambda: len(exporter.lines("query fails")) == count, "it is logged once for each query")
    assert all(f"reason={reason}" in line for line in exporter.lines("query fails"))
    for path in ("/metrics", "/", "/-/ready", "/-/healthy"):
        until(
            lambda path=path: httpx.get(exporter.url + path, trust_env=False).status_code == 200, f"{path} is answered"
        )
    page = httpx.get(f"{exporter.url}/", trust_env=False).text
    assert re.search(rf"failing</span><small[^>]*>{reason}", page)
    assert exporter.process.poll() is None
    assert not exporter.lines("Traceback")


def recovers(exporter, until):
    until(lambda: success(exporter) == {"1.0"}, "it recovers alone")
    assert any(line.startswith(("smartsight_", "ibm_video_")) for line in exporter.series())
    assert not exporter.lines("Traceback")


@contextlib.contextmanager
def serving(app, port):
    """Serve an application on a port, in a thread with a loop of its own."""
    ends = []

    async def main():
        stop = asyncio.Event()
        async with serve(app, port=port):
            ends.append((asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        yield
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as found:
        return found.getsockname()[1]


def test_all_vendors_are_down(vendors, run, until):
    one, other = free_port(), free_port()
    vendors.urls = f"http://127.0.0.1:{one}", f"http://127.0.0.1:{other}"
    exporter = run(config(vendors.sources(), "mm", "ibm"))
    broken(exporter, until, "network", count=2)
    with serving(vendors.smartsight.app, one), serving(vendors.ibm.app, other):
        recovers(exporter, until)


def test_a_secret_file_is_missing(vendors, run, until, tmp_path):
    sources = vendors.sources()
    sources["mm"]["auth"] = {"api_key_file": str(tmp_path / "key")}
    exporter = run(config(sources, "mm"))
    broken(exporter, until, "auth")
    assert str(tmp_path / "key") in exporter.lines("query fails")[0]
    (tmp_path / "key").write_text("a-key\n")
    recovers(exporter, until)


def test_a_client_s_secret_file_is_missing(vendors, run, until, tmp_path):
    sources = vendors.sources()
    auth = sources["ibm"]["auth"]
    del auth["client_secret"]
    auth["client_secret_file"] = str(tmp_path / "secret")
    exporter = run(config(sources, "ibm"))
    broken(exporter, until, "auth")
    (tmp_path / "secret").write_text("a-secret\n")
    recovers(exporter, until)


def test_a_ca_file_is_missing(vendors, run, until, tmp_path):
    sources = vendors.sources()
    sources["mm"]["http"] = {"ca_file": str(tmp_path / "ca.pem")}
    exporter = run(config(sources, "mm"))
    broken(exporter, until, "network")
    assert str(tmp_path / "ca.pem") in exporter.lines("query fails")[0]
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    recovers(exporter, until)


def test_a_token_endpoint_hangs(vendors, run, until):
    hangs = threading.Event()
    hangs.set()

    async def hang(request):
        if request.url.path == "/oauth2/token" and hangs.is_set():
            await asyncio.Event().wait()

    vendors.ibm.intercept = hang
    exporter = run(config(vendors.sources(), "ibm"))
    broken(exporter, until, "timeout")
    hangs.clear()
    recovers(exporter, until)


def test_the_storage_can_t_be_written(vendors, start, until, tmp_path):
    (tmp_path / "volume").write_text("not mounted yet")
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config(vendors.sources(), "mm", "ibm")))
    storage = tmp_path / "volume" / "snapshots"
    exporter = start("run", f"--config.file={path}", f"--storage.path={storage}")
    recovers(exporter, until)
    until(lambda: httpx.get(f"{exporter.url}/-/ready", trust_env=False).status_code == 200, "it is ready")
    polls = f'{PREFIX}query_polls_total{{query="plays",source="mm"}}'
    until(lambda: float(exporter.series()[polls]) >= 3, "several polls would have been stored")
    assert len(exporter.lines("snapshots can't be stored")) == 1
    (tmp_path / "volume").unlink()
    until(lambda: len(list(storage.glob("*.snapshot"))) == 2, "it is stored once it can be")
    until(lambda: exporter.lines("snapshots are stored again"), "it is told")
    assert not exporter.lines("Traceback")


def test_a_file_in_the_place_of_the_storage_is_wrong_usage(vendors, tmp_path, start):
    (tmp_path / "file").write_text("mine")
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config(vendors.sources(), "mm")))
    with pytest.raises(pytest.fail.Exception, match="ended at once"):
        start("run", f"--config.file={path}", f"--storage.path={tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "mine"


BUSY = """
import pathlib, time
import exporter.gather, exporter.poll
def decode(*_):
    pathlib.Path({mark!r}).touch()
    while True:
        {work}
exporter.gather.decode = decode
exporter.poll.AT_ONCE = -1
"""


@pytest.mark.parametrize("work", ["time.sleep(1)", "pass"])
def test_sigterm_ends_it_while_a_thread_is_busy_that_nothing_can_stop(vendors, run, until, tmp_path, monkeypatch, work):
    mark = tmp_path / "busy"
    (tmp_path / "sitecustomize.py").write_text(BUSY.format(mark=str(mark), work=work))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(package.__file__).parents[1]}")
    exporter = run(config(vendors.sources(), "mm", "ibm"))
    until(mark.exists, "a thread is busy")
    exporter.process.send_signal(signal.SIGTERM)
    assert exporter.process.wait(timeout=5) == 0  # the contract's 5 s
    assert not exporter.lines("Traceback")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_polls_and_log_ins_and_scrapes_hang(vendors, run, until, number):
    come = []

    async def never(request):
        come.append(request.url.path)
        await asyncio.Event().wait()

    vendors.smartsight.intercept = vendors.ibm.intercept = never
    data = config(vendors.sources(), "mm", "ibm")
    data["defaults"] = {"interval": "1h", "timeout": "90s"}
    exporter = run(data)
    until(lambda: len(come) == 2, "both vendors hang")
    address = httpx.URL(exporter.url)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            half = stack.enter_context(socket.create_connection((address.host, address.port)))
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        exporter.process.send_signal(number)
        assert exporter.process.wait(timeout=5) == 0  # the contract's 5 s
    assert not exporter.lines("Traceback")

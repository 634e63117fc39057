"""Reloading a real process, by signal and by HTTP."""

import asyncio
import json
import signal
import socket
import time

import httpx
import pytest

PREFIX = "video_analytics_exporter_"
RELOADED = f"{PREFIX}config_last_reload_successful"


def config(vendors):
    return {
        "defaults": {"interval": "1h", "max_age": "2h"},
        "sources": vendors.sources(),
        "queries": [
            {"name": "plays", "source": "mm", "metrics": ["viewercount"], "dimensions": ["cdn"]},
            {"name": "audience", "source": "ibm", "metrics": ["total_views"], "dimensions": ["device"]},
        ],
    }


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.yaml"


def ready(exporter):
    return httpx.get(f"{exporter.url}/-/ready", trust_env=False).status_code == 200


def of(exporter, query):
    return {line for line in exporter.series() if f'query="{query}"' in line}


def test_sighup_puts_a_changed_file_into_force(vendors, run, file, until):
    data = config(vendors)
    exporter = run(data)
    until(lambda: ready(exporter), "all has been polled")
    asked = len(vendors.ibm.answers)
    data["queries"][0] = {"name": "errors", "source": "mm", "metrics": ["errors"]}
    file.write_text(json.dumps(data))
    exporter.process.send_signal(signal.SIGHUP)
    until(lambda: not of(exporter, "plays"), "what is removed is gone")
    until(lambda: any(line.startswith("smartsight_errors") for line in exporter.series()), "what is new is polled")
    assert ready(exporter)
    assert len(vendors.ibm.answers) == asked, "no poll and no log-in of what is unchanged"
    assert of(exporter, "audience")


@pytest.mark.parametrize("fault", ["bad", "gone", "directory", "no text"])
def test_sighup_with_a_file_that_can_t_be_used_changes_nothing(vendors, run, file, until, fault):
    exporter = run(config(vendors))
    until(lambda: ready(exporter), "all has been polled")
    before = {line for line in exporter.series() if 'query="' in line}
    good = file.read_text()
    file.unlink()
    if fault == "bad":
        file.write_text("queries: [{name: x}]\n")
    elif fault == "directory":
        file.mkdir()
    elif fault == "no text":
        file.write_bytes(b"\xff\xfe\x00")
    exporter.process.send_signal(signal.SIGHUP)
    until(lambda: exporter.series()[RELOADED] == "0.0", "it is told")
    assert {line for line in exporter.series() if 'query="' in line} == before
    assert len(exporter.lines("the configuration is wrong, the old one stays")) == 1
    if fault == "directory":
        file.rmdir()
    file.write_text(good)
    exporter.process.send_signal(signal.SIGHUP)
    until(lambda: exporter.series()[RELOADED] == "1.0", "a good file is taken again")
    assert not exporter.lines("Traceback")


def test_a_post_reloads_where_the_flag_allows_it(vendors, start, file, until):
    data = config(vendors)
    file.write_text(json.dumps(data))
    exporter = start("run", f"--config.file={file}", "--web.enable-lifecycle")
    url = f"{exporter.url}/-/reload"
    until(lambda: ready(exporter), "all has been polled")
    assert httpx.get(url, trust_env=False).status_code == 405
    assert httpx.post(url, trust_env=False).status_code == 200
    file.write_text("sources: {}\nqueries: {}\nquerys: []\n")
    response = httpx.post(url, trust_env=False)
    assert response.status_code == 500
    assert len(response.text.splitlines()) == 3
    assert exporter.series()[RELOADED] == "0.0"
    assert of(exporter, "plays")


def test_a_post_is_forbidden_without_the_flag(vendors, run):
    exporter = run(config(vendors))
    assert httpx.post(f"{exporter.url}/-/reload", trust_env=False).status_code == 403


def test_a_storm_of_signals_while_all_polls_hang_kills_nothing(vendors, run, file, until):
    async def hang(_):
        await asyncio.Event().wait()

    vendors.smartsight.intercept = vendors.ibm.intercept = hang
    data = config(vendors)
    exporter = run(data)
    for number in range(50):
        data["queries"][0]["window"] = f"{5 + number}m"
        (file.parent / "new").write_text(json.dumps(data))
        (file.parent / "new").replace(file)
        exporter.process.send_signal(signal.SIGHUP)
        assert "build_info" in exporter.metrics()
    until(lambda: any('window="54m"' in line for line in of(exporter, "plays")), "the last file is in force")
    vendors.smartsight.intercept = vendors.ibm.intercept = None
    for query in data["queries"]:
        query["delay"] = "3m"
    file.write_text(json.dumps(data))
    exporter.process.send_signal(signal.SIGHUP)
    until(lambda: ready(exporter), "all has been polled")
    assert any(line.startswith("smartsight_plays") for line in exporter.series())
    assert exporter.process.poll() is None
    assert not exporter.lines("Traceback")


def test_sighup_as_soon_as_it_listens_kills_nothing(vendors, start, file, until):
    file.write_text(json.dumps(config(vendors)))
    exporter = start("run", f"--config.file={file}")
    for _ in range(20):
        exporter.process.send_signal(signal.SIGHUP)
    until(lambda: exporter.lines("configuration reloaded"), "it has reloaded")
    until(lambda: ready(exporter), "all has been polled")
    assert exporter.process.poll() is None


def test_sighup_as_soon_as_it_takes_connections_kills_nothing(vendors, start, file, until, monkeypatch):
    """Whoever waits for the port, as supervisors do, may then signal at once."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    file.write_text(json.dumps(config(vendors)))
    popen = start.__globals__["subprocess"].Popen

    def signalled(*arguments, **more):
        process = popen(*arguments, **more)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    process.send_signal(signal.SIGHUP)
                    break
        return process

    monkeypatch.setattr(start.__globals__["subprocess"], "Popen", signalled)
    exporter = start("run", f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}")
    exporter.url = f"http://127.0.0.1:{port}"
    until(lambda: ready(exporter), "all has been polled")
    assert exporter.process.poll() is None

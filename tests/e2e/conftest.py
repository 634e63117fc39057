"""The real command as a process, simulated vendors beside it, and a real Prometheus."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import trustme

from exporter import rules
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight

PATIENCE = 30
"""Seconds after which what a test waits for is taken to never come."""


def wait_until(condition, what):
    """Wait for a condition and give what it gives."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)  # between two looks at another process
    pytest.fail(f"not within {PATIENCE} s: {what}")


# One client for all: making one reads the system's certificates, which costs more than most requests. Servers come and
# go, so no connection is kept.
CLIENT = httpx.Client(timeout=10, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


def fetch(url, **headers):
    return CLIENT.get(url, headers=headers).text


@dataclass
class Vendors:
    """Both vendors on loopback, in a thread with a loop of its own."""

    smartsight: SmartSight
    ibm: IbmVideo
    urls: tuple[str, str] = ("", "")

    @contextlib.contextmanager
    def running(self):
        started, ends = threading.Event(), []

        async def main():
            stop = asyncio.Event()
            async with serve(self.smartsight.app) as smartsight, serve(self.ibm.app) as ibm:
                self.urls = smartsight, ibm
                ends.append((asyncio.get_running_loop(), stop))
                started.set()
                await stop.wait()

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        assert started.wait(PATIENCE)
        try:
            yield self
        finally:
            loop, stop = ends[0]
            loop.call_soon_threadsafe(stop.set)
            thread.join(PATIENCE)

    def sources(self, api_key="a-key"):
        smartsight, ibm = self.urls
        return {
            "mm": {
                "type": "smartsight",
                "base_url": smartsight,
                "customer_id": 199493832,
                "auth": {"api_key": api_key},
            },
            "ibm": {
                "type": "ibm_video",
                "base_url": f"{ibm}/v1",
                "auth": {"client_id": "a-client", "client_secret": "a-secret", "token_url": f"{ibm}/oauth2/token"},
            },
        }


@dataclass
class Exporter:
    """The command as a process; ``url`` is where it serves."""

    process: subprocess.Popen
    log: Path
    url: str = field(init=False)

    def __post_init__(self):
        found = wait_until(self._listening, "the exporter listens")
        self.url = found[1]

    def _listening(self):
        if self.process.poll() is not None:
            pytest.fail(f"the exporter ended at once:\n{self.log.read_text()}")
        return re.search(r"addresses=(\S+)", self.log.read_text())

    def metrics(self, **headers):
        return fetch(f"{self.url}/metrics", **headers)

    def series(self):
        """The samples of /metrics: the text of a series to the text of its value."""
        lines = (line for line in self.metrics().splitlines() if not line.startswith("#"))
        return dict(line.rsplit(" ", 1) for line in lines)

    def lines(self, words):
        return [line for line in self.log.read_text().splitlines() if words in line]


@pytest.fixture
def vendors():
    smartsight = SmartSight(api_key="a-key", customer_id=199493832, clock=time.time)
    with Vendors(
        smartsight, IbmVideo(client_id="a-client", client_secret="a-secret", clock=time.time)
    ).running() as both:
        yield both


@pytest.fixture
def start(tmp_path):
    """Start the command with arguments, on a free port or the one given; whatever still runs in the end is killed."""
    processes, numbers = [], itertools.count()

    def start(*arguments, port=0, **env):
        log = tmp_path / f"log-{next(numbers)}"
        command = [sys.executable, "-m", "exporter", *arguments, f"--web.listen-address=127.0.0.1:{port}"]
        with log.open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | env)
        processes.append(process)
        return Exporter(process, log)

    yield start
    for process in processes:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
def run(start, tmp_path):
    """Start ``run`` with a configuration, given as data (JSON is YAML)."""

    def run(config, **env):
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(config))
        return start("run", f"--config.file={path}", **env)

    return run


NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr; events {{ }}
http {{
    log_format protocol $server_protocol; access_log spoken protocol;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    server {{
        listen 127.0.0.1:{port} ssl {http2}; ssl_certificate chain.pem; ssl_certificate_key chain.pem;
        location / {{ proxy_pass {back}; }}
    }}
}}
"""


@dataclass
class Front:
    """A real nginx with TLS before a vendor."""

    url: str
    ca_file: Path
    log: Path

    @property
    def spoken(self):
        """The protocols in which it was asked."""
        return set(self.log.read_text().split())


@pytest.fixture
def front(tmp_path):
    """Put a real nginx with TLS, and HTTP/2 or not, before a vendor's URL; it is killed in the end."""
    authority, started = trustme.CA(), []
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def front(back, *, http2=True):
        directory, port = tmp_path / f"nginx-{len(started)}", free_port()
        directory.mkdir()
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(directory / "chain.pem"))
        text = NGINX.format(port=port, back=back, http2="http2" if http2 else "")
        (directory / "nginx.conf").write_text(text)
        with (directory / "log").open("w") as log:
            started.append(subprocess.Popen(["nginx", "-p", directory, "-c", "nginx.conf"], stderr=log))

        def listens():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return True

        wait_until(listens, "nginx listens")
        return Front(f"https://localhost:{port}", tmp_path / "ca.pem", directory / "spoken")

    yield front
    for process in started:
        process.kill()
        process.wait(PATIENCE)


class Prometheus:
    """A real Prometheus."""

    def __init__(self, url):
        self.url = url

    def ask(self, path, **parameters):
        """The data that its API answers with."""
        answer = CLIENT.get(f"{self.url}/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    def query(self, expression):
        """The result of an instant query: label sets without name, job and instance, and values."""
        found = {}
        for result in self.ask("query", query=expression)["result"]:
            labels = {name: value for name, value in result["metric"].items() if name not in ("job", "instance")}
            found[frozenset(labels.items())] = float(result["value"][1])
        return found

    def value(self, expression):
        return next(iter(self.query(expression).values()), None)


def free_port():
    """Find a port for who can't be asked which one it took."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        return free.getsockname()[1]


@pytest.fixture
def server(tmp_path):
    """Start a server by its command and wait until it is ready; it is killed in the end. Gives its address."""
    started = []

    def server(command, *arguments):
        url = f"http://127.0.0.1:{free_port()}"
        arguments = (f"--web.listen-address={url.removeprefix('http://')}", *arguments)
        with (tmp_path / f"{command}.log").open("w") as log:
            env = {**os.environ, "GOMAXPROCS": "1"}
            started.append(
                subprocess.Popen([shutil.which(command), *arguments], stdout=log, stderr=subprocess.STDOUT, env=env)
            )

        def ready():
            with contextlib.suppress(httpx.TransportError):
                return CLIENT.get(f"{url}/-/ready").is_success

        wait_until(ready, f"{command} is ready")
        return url

    yield server
    for process in started:
        process.kill()
        process.wait(PATIENCE)


class Receiver:
    """A real Prometheus that takes remote write, also out of order; it can be killed and started again."""

    def __init__(self, directory, window="1d"):
        self._directory = directory
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        config = {"storage": {"tsdb": {"out_of_order_time_window": window}}}
        (directory / "receiver.yml").write_text(json.dumps(config))

    def start(self):
        command = [
            shutil.which("prometheus"),
            "--web.enable-remote-write-receiver",
            f"--config.file={self._directory / 'receiver.yml'}",
            f"--storage.tsdb.path={self._directory / 'receiver'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        with (self._directory / "receiver.log").open("a") as log:
            env = {**os.environ, "GOMAXPROCS": "1"}
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)

    def stop(self):
        self._process.kill()
        self._process.wait(PATIENCE)

    def points(self, selector, start, end):
        """What is stored of series from ``start`` to ``end``: values by CDN and time; nothing while it is away."""
        params = {"query": f"{selector}[{end - start}s]", "time": end}
        try:
            answer = httpx.get(f"{self.url}/api/v1/query", params=params, timeout=5, trust_env=False)
        except httpx.TransportError:
            return {}
        return {
            (series["metric"].get("cdn"), int(at)): float(value)
            for series in (answer.json()["data"]["result"] if answer.is_success else ())
            for at, value in series["values"]
        }


@pytest.fixture
def receiver(tmp_path, request):
    """Start a real Prometheus that takes remote write, out of order for a day or as long as a test's parameter says."""
    receiver = Receiver(tmp_path, *([request.param] if hasattr(request, "param") else []))
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def prometheus(server, tmp_path):
    """Start a real Prometheus that scrapes a target, or what it discovers, and evaluates rules, every second."""

    def prometheus(target, groups=(), alertmanager=None):
        config = tmp_path / "prometheus.yml"
        (tmp_path / "rules.yml").write_text(rules.render(groups, rules.RUNBOOKS), "utf-8")
        found = {"static_configs": [{"targets": [host(target)]}]} if isinstance(target, str) else target
        scrape = {"job_name": "video", **found}
        managers = [{"static_configs": [{"targets": [host(alertmanager)]}]}] if alertmanager else []
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "scrape_configs": [scrape],
                    "rule_files": ["rules.yml"] if groups else [],
                    "alerting": {"alertmanagers": managers},
                }
            )
        )
        return Prometheus(
            server(
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                "--rules.alert.resend-delay=1s",
            )
        )

    return prometheus


def host(url):
    return urllib.parse.urlsplit(url).netloc


@pytest.fixture
def until():
    """The function that waits for a condition."""
    return wait_until


@pytest.fixture
def client():
    """Ask servers that are nobody's here."""
    return CLIENT

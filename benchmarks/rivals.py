"""The servers of the comparison, all with the same samples: ours, and those that it is held against."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from feed import Feed, fed
from processes import OWN, answers, free_port, process
from samples import DIMENSIONS, FAMILIES, HELP, LABELS, SOURCE, Holding, exposition, table

CLIENT, QUERIES, GO, LIMIT = "prometheus-client", "query-exporter", "Pushgateway", "nginx"

VENV = Path(__file__).parents[1] / ".venv/query-exporter"
"""Where query-exporter is installed, apart from what the exporter is made of."""

FILLING = 900.0
"""Seconds that a server may take until it holds a million series, and shows them."""

EVERY = 3600
"""Seconds between two polls of a server that is only scraped."""


@dataclass(frozen=True)
class Server:
    """A server under test: its process, and where it is scraped."""

    name: str
    pid: int
    address: str

    @property
    def cpu(self) -> float:
        """The seconds of CPU that its process has had, of all its threads, user and system."""
        return time.clock_gettime(~self.pid << 3 | 2)  # the kernel's number for the CPU clock of a process

    @property
    def resident(self) -> int:
        """The bytes of memory that it holds."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@asynccontextmanager
async def server(name: str, command: list[str], url: str, directory: Path) -> AsyncIterator[Server]:
    """Run a server until its context ends; it is there when ``url`` answers well."""
    async with process(command, directory / f"{name}.log") as started:
        await answers(url, FILLING)
        yield Server(name, started.pid, url.split("/")[2])


def configuration(url: str, names: list[str], **each: object) -> str:
    """Give a configuration of ours that asks a vendor of :mod:`feed` for tables; ``each`` goes into each query."""
    query = {"source": SOURCE, "metrics": list(FAMILIES), "dimensions": DIMENSIONS, "max_series": 10**7}
    return json.dumps(
        {
            "defaults": {"delay": 0, "max_age": "1d"},
            "sources": {SOURCE: {"type": "smartsight", "base_url": url, "customer_id": 7, "auth": {"api_key": "key"}}},
            "queries": [query | {"name": name, "options": {"table": name}} | each for name in names],
        }
    )


@asynccontextmanager
async def exporter(name: str, config: str, directory: Path) -> AsyncIterator[Server]:
    """Run the real command, and wait until each query has been polled."""
    file, address = directory / f"{name}.yaml", f"127.0.0.1:{free_port()}"
    file.write_text(config)
    command = [*OWN, "run", f"--config.file={file}", f"--web.listen-address={address}", "--log.level=warn"]
    async with server(name, command, f"http://{address}/-/ready", directory) as started:
        yield started


@asynccontextmanager
async def ours(holding: Holding, directory: Path, *names: str) -> AsyncIterator[list[Server]]:
    """Run exporters that have polled a vendor once. He is gone then."""
    async with contextlib.AsyncExitStack() as stack:
        async with fed(Feed(holding.rows), directory) as url:
            config = configuration(url, holding.names, interval=EVERY)
            servers = [await stack.enter_async_context(exporter(name, config, directory)) for name in names]
        yield servers


@asynccontextmanager
async def gauges(holding: Holding, directory: Path) -> AsyncIterator[Server]:
    """Run prometheus-client's own server."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).parent / "gauges.py"), str(port), str(holding.series)]
    async with server(CLIENT, command, f"http://127.0.0.1:{port}/metrics", directory) as started:
        yield started


@asynccontextmanager
async def pushgateway(holding: Holding, directory: Path) -> AsyncIterator[Server]:
    """Run Debian's Pushgateway, and push each query to it: the Go client."""
    address = f"127.0.0.1:{free_port()}"
    command = [shutil.which("prometheus-pushgateway") or sys.exit("there is no prometheus-pushgateway on PATH")]
    # Debian's keeps what was pushed; the next run must not find it.
    command += [f"--web.listen-address={address}", "--push.disable-consistency-check", "--persistence.file="]
    async with server(GO, command, f"http://{address}/-/ready", directory) as started:
        for name in holding.names:
            text = "".join(exposition(name, table(name, holding.rows)))
            await _push(f"http://{address}/metrics/job/{name}", text)
        yield started


def _install() -> None:
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([VENV / "bin/pip", "install", "--quiet", "query-exporter"], check=True)


async def _push(url: str, text: str) -> None:
    async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
        (await client.put(url, content=text)).raise_for_status()


@asynccontextmanager
async def query_exporter(holding: Holding, directory: Path) -> AsyncIterator[Server]:
    """Run query-exporter on SQLite tables with the same rows."""
    if not VENV.exists():
        await asyncio.to_thread(_install)
    database, port = directory / "rows.sqlite", free_port()
    columns = [*LABELS, *FAMILIES.values()]
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for name in holding.names:
            connection.execute(f"CREATE TABLE {name} ({','.join(columns)})")
            rows = ((SOURCE, name, *row.labels, *row.values) for row in table(name, holding.rows))
            connection.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(columns))})", rows)  # noqa: S608
        connection.commit()
    asked = {"databases": ["rows"], "interval": EVERY, "metrics": list(FAMILIES.values())}
    config = {
        "databases": {"rows": {"dsn": f"sqlite:///{database}"}},
        "metrics": {name: {"type": "gauge", "description": HELP, "labels": list(LABELS)} for name in FAMILIES.values()},
        "queries": {name: asked | {"sql": f"SELECT * FROM {name}"} for name in holding.names},  # noqa: S608 - own names
    }
    (directory / "query-exporter.yaml").write_text(json.dumps(config))
    command = [
        str(VENV / "bin/query-exporter"),
        "--port",
        str(port),
        "--config",
        str(directory / "query-exporter.yaml"),
    ]
    command += ["--host", "127.0.0.1", "--log-level", "warning"]
    async with server(QUERIES, command, f"http://127.0.0.1:{port}/", directory) as started:
        yield started


@asynccontextmanager
async def nginx(files: Mapping[str, bytes], directory: Path) -> AsyncIterator[Server]:
    """Run nginx with ready files: nothing that serves bytes costs less."""
    for name, content in files.items():
        (directory / name).write_bytes(content)
    port, config = free_port(), directory / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; error_log stderr; pid {directory}/nginx.pid; events {{}} http {{"
        f"access_log off; sendfile on; gzip_static on; keepalive_requests 1000000; types {{}} "
        f"default_type 'text/plain; version=0.0.4'; server {{ listen 127.0.0.1:{port}; root {directory}; }} }}"
    )
    command = ["nginx", "-p", str(directory), "-c", str(config)]
    async with server(LIMIT, command, f"http://127.0.0.1:{port}/metrics", directory) as started:
        yield started

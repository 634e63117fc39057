"""The processes that benchmarks start: the exporter, a real Prometheus, and what one reads from the latter."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 30.0
"""Seconds after which what a benchmark waits for is taken to never come."""

OWN = [sys.executable, "-m", "exporter"]


def free_port() -> int:
    """Find a port for a process that can't be asked which one it took."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def process(command: Sequence[str], log: Path, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command for as long as the context is open; what it says goes to the end of a file."""
    with log.open("ab") as out:
        started = await asyncio.create_subprocess_exec(
            *command, stdout=out, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **env}
        )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def answers(url: str, patience: float = PATIENCE) -> None:
    """Wait until a URL answers well."""
    try:
        async with asyncio.timeout(patience), httpx.AsyncClient(trust_env=False, timeout=patience) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(url)).is_success:
                        return
                await asyncio.sleep(0.05)
    except TimeoutError:
        sys.exit(f"{url} does not answer well within {patience:g} s; see the log of its process")


@contextlib.asynccontextmanager
async def prometheus(
    target: str, directory: Path, *more: str, interval: str = "1s", cores: int = 1
) -> AsyncIterator[str]:
    """Run a real Prometheus that scrapes targets (host and port) so often, and give its URL."""
    scrape = {"job_name": "video", "scrape_interval": interval, "static_configs": [{"targets": [target, *more]}]}
    config = directory / "prometheus.json"
    config.write_text(json.dumps({"scrape_configs": [scrape]}))
    port = free_port()
    command = [
        shutil.which("prometheus") or sys.exit("there is no prometheus on PATH"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    async with process(command, directory / "prometheus.log", GOMAXPROCS=str(cores)):
        url = f"http://127.0.0.1:{port}"
        await answers(f"{url}/-/ready")
        yield url


def samples(
    url: str, selector: str, start: float, end: float
) -> list[tuple[Mapping[str, str], list[tuple[float, float]]]]:
    """Read the raw samples of (start, end] from a Prometheus, each with the time of its scrape."""
    data = {"query": f"{selector}[{end - start:.0f}s]", "time": f"{end:.3f}"}
    answer: Any = httpx.post(f"{url}/api/v1/query", data=data, timeout=60, trust_env=False).raise_for_status().json()
    return [
        (found["metric"], [(at, float(value)) for at, value in found["values"] if start < at <= end])
        for found in answer["data"]["result"]
    ]

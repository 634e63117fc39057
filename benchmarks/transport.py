"""What carries requests to vendors at which cost: httpx's own transport, HTTP/1.1 and 2, and the exporter's.

All ask the same vendor, which takes 0.2 s, through the same nginx with TLS, in turns and in random order, and on uvloop
as `run` does. Prints the CPU of a request, as a ratio to httpx's HTTP/1.1 in the same round, and the 99th percentile
over the vendor's time; exit code 1 if that of the exporter's transport is above 1.2 with 64 requests in flight. Needs
nginx on `PATH`.

    python benchmarks/transport.py [ROUNDS]
"""

import asyncio
import contextlib
import os
import platform
import random
import shutil
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import trustme
import uvloop
from processes import answers, free_port, process

from exporter.providers.http2 import Http2
from exporter.providers.transport import KEEP, Http1

LATENCY = 0.2
"""Seconds that the vendor takes."""
ROUNDS, EACH, IN_FLIGHT = 7, 5, (1, 8, 64)
ALLOWED, NOISE = 1.2, 1.5
BODY = b'{"totalrecords": 20, "response": [' + b", ".join([b'{"cdn": "Akamai", "views": 12345, "latency": 1.25}'] * 20)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"

NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    upstream vendor {{ server 127.0.0.1:{vendor}; keepalive 256; }}
    ssl_certificate chain.pem; ssl_certificate_key chain.pem;
    keepalive_requests 999999; proxy_http_version 1.1; proxy_set_header Connection "";
    server {{ listen 127.0.0.1:{port} ssl http2; location / {{ proxy_pass http://vendor; }} }}
    server {{ listen 127.0.0.1:{short} ssl http2; keepalive_requests 100; location / {{ proxy_pass http://vendor; }} }}
}}
"""

OWN_1, OWN_2 = "httpx, HTTP/1.1", "httpx, HTTP/2"
CHOSEN, AGAIN, CHOSEN_2 = "exporter, HTTP/1.1", "the same again", "exporter, HTTP/2"


@dataclass
class Cell:
    """One transport with so many requests in flight: CPU seconds a request by round, all durations."""

    cpu: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """The 99th percentile, in times of the vendor's own."""
        return statistics.quantiles(self.took, n=100)[98] / LATENCY


async def vendor(port: int) -> None:
    """Answer every request after a while."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(LATENCY)
                writer.write(ANSWER % (len(BODY) + 2, BODY + b"]}"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port, backlog=512) as server:
        await server.serve_forever()


@contextlib.asynccontextmanager
async def front(directory: Path) -> AsyncIterator[tuple[str, str]]:
    """Run the vendor and nginx before it; give its URL, and one where a connection is good for 100 requests."""
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(directory / "chain.pem"))
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    back, port, short = free_port(), free_port(), free_port()
    (directory / "nginx.conf").write_text(NGINX.format(vendor=back, port=port, short=short))
    nginx = shutil.which("nginx") or sys.exit("there is no nginx on PATH")
    log = directory / "log"
    async with (
        process([sys.executable, __file__, "--vendor", str(back)], log),
        process([nginx, "-p", str(directory), "-c", "nginx.conf"], log),
    ):
        await answers(f"http://127.0.0.1:{back}/")
        yield f"https://localhost:{port}/", f"https://localhost:{short}/"


def transports(ca_file: str) -> dict[str, httpx.AsyncClient]:
    """Give a client over each transport; HTTP/2 is agreed upon in the context of its own."""
    first, second = (ssl.create_default_context(cafile=ca_file) for _ in range(2))
    second.set_alpn_protocols(["h2", "http/1.1"])
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEP)
    found = {
        OWN_1: httpx.AsyncHTTPTransport(verify=first, limits=limits),
        OWN_2: httpx.AsyncHTTPTransport(verify=second, limits=limits, http2=True),
        CHOSEN: Http1(first, None),
        AGAIN: Http1(first, None),
        CHOSEN_2: Http2(second, Http1(first, None)),
    }
    return {name: httpx.AsyncClient(transport=transport, timeout=60) for name, transport in found.items()}


async def ask(client: httpx.AsyncClient, url: str, in_flight: int) -> tuple[float, list[float]]:
    """Ask from so many tasks, each so often; give the CPU a request and how long each took."""
    took: list[float] = []

    async def one_after_the_other() -> None:
        for _ in range(EACH):
            began = time.perf_counter()
            response = await client.get(url, params={"metrics": "views,latency", "aggby": "cdn"})
            took.append(time.perf_counter() - began)
            assert response.content.startswith(BODY)

    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(one_after_the_other())
    return (time.process_time() - cpu) / len(took), took


async def lost(client: httpx.AsyncClient, url: str) -> int:
    """Ask as often as ten connections are good for, 64 at a time; give how many requests had no answer."""
    room = asyncio.Semaphore(max(IN_FLIGHT))

    async def failed() -> bool:
        async with room:
            try:
                return (await client.get(url)).is_error
            except httpx.TransportError:
                return True

    return sum(await asyncio.gather(*(failed() for _ in range(1000))))


async def measure(rounds: int) -> tuple[dict[tuple[str, int], Cell], dict[str, int]]:
    """Measure all in turns, but for the first round; then count each one's lost requests."""
    with tempfile.TemporaryDirectory() as directory:
        async with front(Path(directory)) as (url, short), contextlib.AsyncExitStack() as stack:
            clients = transports(f"{directory}/ca.pem")
            for client in clients.values():
                await stack.enter_async_context(client)
            for name in (OWN_2, CHOSEN_2):
                assert (await clients[name].get(url)).http_version == "HTTP/2"
            cells = {(name, in_flight): Cell() for name in clients for in_flight in IN_FLIGHT}
            for number in range(rounds + 1):
                for name, in_flight in random.sample(list(cells), len(cells)):
                    cpu, took = await ask(clients[name], url, in_flight)
                    if number:
                        cells[name, in_flight].cpu.append(cpu)
                        cells[name, in_flight].took += took
            return cells, {name: await lost(client, short) for name, client in clients.items() if name != OWN_1}


def main() -> int:
    """Measure, print, and give the exit code."""
    if sys.argv[1:2] == ["--vendor"]:
        asyncio.run(vendor(int(sys.argv[2])))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    cells, without = uvloop.run(measure(rounds))
    loop = f"Python {platform.python_version()}, uvloop {uvloop.__version__}"
    print(f"{loop}, {os.cpu_count()} cores, {rounds} rounds, a vendor of {LATENCY:g} s")
    print(f"{'transport':20}{'in flight':>10}{'CPU ms':>9}{'ratio':>8}{'p99 / vendor':>14}")
    for (name, in_flight), cell in cells.items():
        ratio = statistics.median(a / b for a, b in zip(cell.cpu, cells[OWN_1, in_flight].cpu, strict=True))
        print(f"{name:20}{in_flight:10}{statistics.median(cell.cpu) * 1000:9.2f}{ratio:8.2f}{cell.p99:14.2f}")
    for name, count in without.items():
        print(f"{name}: {count} of 1000 requests lost where nginx ends each connection after 100")
    found, again = (cells[name, max(IN_FLIGHT)].p99 for name in (CHOSEN, AGAIN))
    if max(found, again) > NOISE * min(found, again):
        print(f"two equal rows differ, {found:.2f} and {again:.2f}: the machine is too busy, run it again")
    print(
        f"the exporter's p99 with {max(IN_FLIGHT)} in flight is {found:.2f} x the vendor's time; {ALLOWED} is allowed"
    )
    return 0 if found <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())

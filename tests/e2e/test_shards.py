"""Four shards as four processes, and a real Prometheus that is told of one of them alone."""

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.responses import JSONResponse

from exporter.config import load
from exporter.rules import health

SHARDS = 4
INTERVAL = 2
PREFIX = "video_analytics_exporter_"
CDNS = ("Akamai", "Fastly", "CloudFront")
ACCOUNTS = {
    **{str(number): {"concurrency": 4} for number in range(1, 5)},
    "5": {"concurrency": 2},
    "6": {"concurrency": 6, "requests_per_minute": 40},
}
"""SmartSight accounts, and what each admits; the last one less than its queries come to."""
EACH = 15
"""Different rows that each account is asked for; every third time by two queries."""


class Accounts:
    """Answers for all accounts, as quickly as a vendor does, and notes who asks for what, when, how many at once."""

    def __init__(self):
        self.keys = defaultdict(set)
        self.times = defaultdict(list)
        self.active, self.most = Counter(), Counter()
        self.asked = Counter()

    async def __call__(self, request):
        account, params = request.url.path.rpartition("/")[2], dict(request.query_params)
        metrics = params.pop("metrics").split(",")
        period, rows = params.pop("period"), (account, json.dumps(params))
        key = request.headers["x-api-key"]
        self.keys[rows].add(key)
        self.asked[rows, period] += 1
        self.times[account].append(time.monotonic())
        self.active[account] += 1
        self.most[account] = max(self.most[account], self.active[account])
        await asyncio.sleep(0.05)  # what a vendor takes: requests at once have to meet
        self.active[account] -= 1
        found = [{params["aggby"]: cdn, **dict.fromkeys(metrics, 7)} for cdn in CDNS]
        return JSONResponse({"totalrecords": len(found), "response": found})

    def within_a_minute(self):
        """Check the requests of any 60 s, where they are limited."""
        for account, limits in ACCOUNTS.items():
            if most := limits.get("requests_per_minute"):
                times = self.times[account]
                assert max(sum(0 <= at - first < 60 for at in times) for first in times) <= most


def config(url):
    source = {"type": "smartsight", "base_url": url, "auth": {"api_key": "${KEY}"}}
    sources = {f"mm{number}": source | {"customer_id": number, "limits": of} for number, of in ACCOUNTS.items()}
    queries = []
    for number in range(EACH):
        rows = {"source": list(sources), "dimensions": [f"d{number}"]}
        queries.append({"name": f"q{number}", "metrics": ["latency"], **rows})
        if not number % 3:
            queries.append({"name": f"q{number}-more", "metrics": ["views", "latency"], **rows})
    return {"defaults": {"interval": f"{INTERVAL}s", "max_age": "10m"}, "sources": sources, "queries": queries}


def all_queries(data):
    return {(source, query["name"]) for query in data["queries"] for source in query["source"]}


@pytest.fixture
def shards(start, vendors, tmp_path):
    """Start all shards at once; gives what the vendor notes, the configuration, and what starts one again."""
    vendors.smartsight.intercept = vendor = Accounts()
    data, path = config(vendors.urls[0]), tmp_path / "config.yaml"
    path.write_text(json.dumps(data))
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(SHARDS)]
        ports = [each.getsockname()[1] for each in free]
    peers = ",".join(f"127.0.0.1:{port}" for port in ports)

    def shard(ordinal):
        flags = (f"--shard={ordinal}", f"--total-shards={SHARDS}", f"--shard.peers={peers}")
        storage = f"--storage.path={tmp_path / f'storage-{ordinal}'}"
        return start("run", f"--config.file={path}", *flags, storage, port=ports[ordinal], KEY=f"key-{ordinal}")

    with ThreadPoolExecutor(SHARDS) as pool:
        return vendor, data, shard, list(pool.map(shard, range(SHARDS)))


def missing(data):
    """The expression of the alert on a missing shard."""
    found = health.alerts(load(json.dumps(data), name="config.yaml", env={"KEY": "k"}))
    return next(alert.expr for alert in found if alert.name == "ShardMissing")


def get(exporter, path):
    return httpx.get(f"{exporter.url}{path}", timeout=10, trust_env=False)


def facts(exporter):
    return get(exporter, "/api/v1/queries").json()


def queries(exporter):
    return {(each["source"], each["query"]) for each in facts(exporter)["queries"]}


def polls(exporter):
    return {line: float(value) for line, value in exporter.series().items() if "query_polls_total{" in line}


@pytest.mark.real("prometheus")
def test_shards_do_together_what_one_process_would(shards, prometheus, until):
    vendor, data, shard, running = shards
    server = prometheus({"http_sd_configs": [{"url": f"{running[0].url}/sd", "refresh_interval": "1s"}]})
    until(lambda: all(get(each, "/-/ready").is_success for each in running), "all queries of all shards are polled")

    # The union is complete, and no query is in two shards.
    owned = [queries(each) for each in running]
    assert Counter(key for each in owned for key in each) == Counter(all_queries(data))
    assert all(owned)

    # Prometheus has found them all, and holds each series once.
    families = '{__name__=~"smartsight_.+"}'
    rows = len(ACCOUNTS) * len(CDNS) * (EACH + 2 * EACH // 3)
    until(lambda: server.value(f"count({families})") == rows, "Prometheus holds all series")
    assert server.value('count(up{job="video"} == 1)') == SHARDS
    labels = ",".join(["__name__", "source", "query", *(f"d{number}" for number in range(EACH))])
    assert server.value(f"max(count by ({labels}) ({families}))") == 1
    assert server.value(f"count(count by ({labels}) ({families}))") == rows
    assert server.value(f"count(count_values('ordinal', {PREFIX}shard_ordinal))") == SHARDS
    assert server.value(missing(data)) is None

    # One that is killed costs its own queries alone, and only while it is away.
    before = [polls(each) for each in running]
    running[2].process.send_signal(signal.SIGKILL)
    running[2].process.wait(30)
    others = [0, 1, 3]

    def gone_on():
        now = {ordinal: polls(running[ordinal]) for ordinal in others}
        return all(now[o][line] >= before[o][line] + 2 for o in others for line in now[o] if 'source="mm6"' not in line)

    until(gone_on, "the others go on")
    assert [queries(running[ordinal]) for ordinal in others] == [owned[ordinal] for ordinal in others]
    until(lambda: server.value('count(up{job="video"} == 0)') == 1, "Prometheus misses one")
    assert server.value(missing(data)) == SHARDS - 1
    # Here, for a process that is started again does not know what it asked in the minute before.
    vendor.within_a_minute()
    running[2] = shard(2)
    assert queries(running[2]) == owned[2]
    assert all(each["series"] for each in facts(running[2])["queries"]), "it serves at once what it has stored"
    until(lambda: server.value(f"count({families})") == rows, "Prometheus holds all series again")

    # Nobody asked for what is another's, and no account was asked too much.
    assert len(vendor.keys) == len(ACCOUNTS) * EACH
    assert {len(keys) for keys in vendor.keys.values()} == {1}
    # Only the first poll of a process may be for the same period as the next one.
    assert max(vendor.asked.values()) <= 2
    assert sum(count - 1 for count in vendor.asked.values()) <= len(vendor.keys) + len(owned[2])
    assert all(1 <= vendor.most[account] <= limits["concurrency"] for account, limits in ACCOUNTS.items())

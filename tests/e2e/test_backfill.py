"""The past by one command: a real Prometheus then holds the vendor's own answer, and a death costs no request twice."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest

from exporter.config import load
from exporter.dashboards import generate

HOUR = 3600
HOURS = 48
PATIENCE = 60
CUSTOMER = 199493832
SMARTSIGHT = {"viewercount": "smartsight_plays", "latency": "smartsight_startup_time_seconds"}


@pytest.fixture
def start():
    """The beginning of the past: three days ago, on the hour."""
    return int(time.time()) // HOUR * HOUR - 72 * HOUR


@pytest.fixture
def backfill(vendors, tmp_path, start):
    """Begin the command for two days of hours; gives the process. Sources take so many requests, and have ``more``."""
    processes = []

    def backfill(*arguments, concurrency=4, **more):
        more["limits"] = {"concurrency": concurrency}
        config = {
            "sources": {name: each | more for name, each in vendors.sources().items()},
            "queries": [
                {"name": "by_cdn", "source": "mm", "metrics": list(SMARTSIGHT), "dimensions": ["cdn"]},
                {"name": "audience", "source": "ibm", "metrics": ["total_views"], "dimensions": ["content_type"]},
                {"name": "by_device", "source": "ibm", "metrics": ["total_views"], "dimensions": ["device"]},
                {"name": "peaks", "source": "ibm", "metrics": ["peak_viewers"], "dimensions": ["content_id"]},
            ],
        }
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(config))
        command = [sys.executable, "-m", "exporter", "backfill", f"--config.file={path}", *arguments]
        period = [f"--from={start}", f"--to={start + HOURS * HOUR}"]
        processes.append(subprocess.Popen([*command, *period], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return processes[-1]

    yield backfill
    for process in processes:
        process.kill()
        process.communicate(timeout=PATIENCE)


def ended(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err.decode()
    return out.decode(), err.decode()


# --- What the vendors themselves answer, asked hour by hour and without the exporter's code --------------------------


def asked(vendors, start):
    """Samples by metric, labels and time, as the contract wants them in Prometheus."""
    smartsight, ibm = vendors.urls
    with httpx.Client(trust_env=False) as http:
        login = {"grant_type": "client_credentials", "client_id": "a-client", "token_type": "jwt"}
        token = http.post(f"{ibm}/oauth2/token", data=login, auth=("a-client", "a-secret")).json()["access_token"]
        found = {}
        for begin in range(start, start + HOURS * HOUR, HOUR):
            hour = begin, begin + HOUR
            found |= dict(by_cdn(http, smartsight, hour))
            found |= dict(audience(http, f"{ibm}/v1", token, hour))
            found |= dict(by_device(http, f"{ibm}/v1", token, hour))
            found |= dict(peaks(http, f"{ibm}/v1", token, hour))
    return found


def by_cdn(http, url, hour):
    params = {"period": f"start={hour[0]},end={hour[1]}", "metrics": ",".join(SMARTSIGHT), "aggby": "cdn"}
    answer = http.get(f"{url}/mm-apis/metricquery/{CUSTOMER}", params=params, headers={"X-API-Key": "a-key"}).json()
    for row in answer["response"]:
        for field, family in SMARTSIGHT.items():
            if row[field] is not None:
                yield key(family, hour[1], source="mm", query="by_cdn", cdn=row["cdn"] or "unknown"), row[field]


def audience(http, url, token, hour):
    for kind in ("live", "recorded"):
        [row] = of_ibm(http, f"{url}/total-views/{kind}/summary", token, hour)
        yield key("ibm_video_total_views", hour[1], source="ibm", query="audience", content_type=kind), row["value"]


def by_device(http, url, token, hour):
    for row in of_ibm(http, f"{url}/total-views/device", token, hour):
        yield key("ibm_video_total_views", hour[1], source="ibm", query="by_device", device=row["point"]), row["value"]


def peaks(http, url, token, hour):
    values = {}
    for row in of_ibm(http, f"{url}/peak-viewer-numbers", token, hour, granularity="minute", _limit=10_000):
        values.setdefault(str(row["content_id"]), []).append(row["value"])
    for content, found in values.items():
        yield key("ibm_video_peak_viewers", hour[1], source="ibm", query="peaks", content_id=content), max(found)


def of_ibm(http, url, token, hour, **params):
    begin, end = (datetime.fromtimestamp(moment, UTC).isoformat() for moment in hour)
    params = {"date_time_from": begin, "date_time_to": end, **params}
    answer = http.get(url, params=params, headers={"Authorization": token}).json()
    return [item["attributes"] for item in answer["data"]]


def key(family, at, **labels):
    return frozenset({"__name__": family, **labels}.items()), at


# --- What Prometheus holds ------------------------------------------------------------------------------------------


def held(url, end):
    """All samples of a Prometheus."""
    params = {"query": '{query=~".+"}[3d]', "time": end + HOUR}
    answer = httpx.get(f"{url}/api/v1/query", params=params, trust_env=False).json()
    return {
        (frozenset(series["metric"].items()), at): float(value)
        for series in answer["data"]["result"]
        for at, value in series["values"]
    }


@pytest.fixture
def imported(server, tmp_path):
    """Start a Prometheus that has what is in a file; gives its address."""

    def imported(output):
        blocks = [shutil.which("promtool"), "tsdb", "create-blocks-from", "openmetrics", output, tmp_path / "tsdb"]
        subprocess.run([*blocks, "--max-block-duration=744h"], check=True, capture_output=True, timeout=PATIENCE)
        config = tmp_path / "prometheus.yml"
        config.write_text("{}")
        return server("prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}")

    return imported


@pytest.mark.real("promtool")
@pytest.mark.real("prometheus")
def test_a_file_brings_the_vendors_own_answer_to_prometheus(vendors, backfill, imported, tmp_path, start):
    output = tmp_path / "history.om"
    out, _ = ended(backfill(f"--output={output}"))
    assert "promtool tsdb create-blocks-from openmetrics" in out
    url = imported(output)
    found = held(url, start + HOURS * HOUR)
    assert found == pytest.approx(asked(vendors, start))
    assert len({at for _, at in found}) == HOURS
    assert [path.name for path in tmp_path.glob("history.om*")] == ["history.om"]


def trends(config):
    """What the dashboards of a configuration ask for their lines of one query, as they open."""
    boards = generate(load(config.read_text(), name="config.yaml", env={}))
    for board in (json.loads(text) for name, text in boards.items() if name != "explorer.json"):
        all_ = {each["name"]: each.get("allValue") for each in board["templating"]["list"]}
        for panel in (panel for panel in board["panels"] if panel["type"] == "timeseries"):
            for target in panel["targets"]:
                if 'query="by_cdn"' in target["expr"]:
                    expr = re.sub(r"\$(\w+)", lambda found, all_=all_: all_[found[1]], target["expr"])
                    yield expr, " offset " in expr


@pytest.mark.real("promtool")
@pytest.mark.real("prometheus")
@pytest.mark.parametrize(("step", "least", "most"), [("5m", 1, 1), ("1h", 0.08, 0.11)])
def test_the_dashboards_show_the_past_without_gaps_in_steps_of_five_minutes(
    backfill, imported, tmp_path, start, step, least, most
):
    ended(backfill(f"--output={tmp_path / 'history.om'}", "--query=by_cdn", f"--step={step}"))
    url, minutes = imported(tmp_path / "history.om"), 60 * (HOURS - 2)
    found = list(trends(tmp_path / "config.yaml"))
    assert len(found) > 5
    for expr, of_before in found:
        begin = start + (2 if of_before else 1) * HOUR
        params = {"query": expr, "start": begin, "end": begin + (minutes - 1) * 60, "step": 60}
        answer = httpx.get(f"{url}/api/v1/query_range", params=params, trust_env=False).json()
        moments = {at for series in answer["data"]["result"] for at, _ in series["values"]}
        assert least * minutes <= len(moments) <= most * minutes, expr


@pytest.mark.real("prometheus")
def test_remote_write_brings_the_vendors_own_answer_to_prometheus(vendors, backfill, server, tmp_path, start):
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({"storage": {"tsdb": {"out_of_order_time_window": "30d"}}}))
    storage = f"--storage.tsdb.path={tmp_path / 'tsdb'}"
    url = server("prometheus", f"--config.file={config}", storage, "--web.enable-remote-write-receiver")
    queries = "--query=by_cdn", "--query=audience"
    ended(backfill(f"--remote-write={url}/api/v1/write", f"--storage.path={tmp_path / 'state'}", *queries))
    own = {
        key: value for key, value in asked(vendors, start).items() if dict(key[0])["query"] in ("by_cdn", "audience")
    }
    assert held(url, start + HOURS * HOUR) == pytest.approx(own)
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.real("nginx")
def test_over_http_2_the_past_is_the_same(vendors, front, backfill, tmp_path):
    one, two = tmp_path / "one.om", tmp_path / "two.om"
    ended(backfill(f"--output={one}"))
    fronts = [front(url) for url in vendors.urls]
    vendors.urls = tuple(each.url for each in fronts)
    ended(backfill(f"--output={two}", http={"http2": True, "ca_file": str(fronts[0].ca_file)}))
    assert two.read_bytes() == one.read_bytes()
    assert [each.spoken for each in fronts] == [{"HTTP/2.0"}, {"HTTP/2.0"}]


def test_after_a_kill_the_same_command_goes_on_and_asks_for_nothing_twice(vendors, backfill, tmp_path):
    answered, stuck, number = Counter(), threading.Event(), 17

    async def hold(request):
        if request.method == "GET" and answered.total() == number and not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        if request.method == "GET":
            answered[str(request.url)] += 1

    vendors.smartsight.intercept = vendors.ibm.intercept = hold
    output, whole = tmp_path / "history.om", tmp_path / "whole.om"
    first = backfill(f"--output={output}", concurrency=1)
    assert stuck.wait(PATIENCE)
    first.kill()
    first.wait(PATIENCE)
    assert not output.exists()
    _, err = ended(backfill(f"--output={output}", concurrency=1))
    continued, todo, *_ = err.splitlines()
    assert continued.startswith("continues the backfill begun at ")
    assert "were made before" in todo
    assert set(answered.values()) == {1}
    ended(backfill(f"--output={whole}"))
    assert output.read_bytes() == whole.read_bytes()
    assert output.read_bytes().endswith(b"# EOF\n")

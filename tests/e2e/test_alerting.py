"""From a CDN that goes bad to a page: simulated vendors, the real command, Prometheus, Alertmanager and a web hook."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import promql_parser
import pytest
import yaml
from starlette.responses import PlainTextResponse

from exporter import demo, rules
from exporter.config import load
from exporter.simulator import world

ROOT = Path(__file__).parents[2]
PATIENCE = 30

QUICK = rules.Settings(span="4s", offset="2s", season="6s", burns=(rules.Burn(1, "4s", "2s", "warning", "0s"),))
"""Baselines and budgets of seconds: nobody waits an hour for a test."""

NEVER_IN_A_DEMO = {
    "video_analytics_exporter_query_failures_total",
    "video_analytics_exporter_query_rows_dropped_total",
    "video_analytics_exporter_shard_ordinal",
    "video_analytics_exporter_total_shards",
}
"""What only comes when polls fail or rows are dropped, and shards, which a demo has none of; nor does it answer 429."""


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        return free.getsockname()[1]


def get(url, **params):
    return httpx.get(url, params=params, timeout=5, trust_env=False)


@pytest.fixture
def process(tmp_path, until):
    """Start a server and wait until it is ready; it is killed in the end."""
    started = []

    def process(command, *arguments, url):
        with (tmp_path / f"{command}.log").open("w") as log:
            env = {**os.environ, "GOMAXPROCS": "1"}
            started.append(
                subprocess.Popen([shutil.which(command), *arguments], stdout=log, stderr=subprocess.STDOUT, env=env)
            )

        def ready():
            with contextlib.suppress(httpx.TransportError):
                return get(f"{url}/-/ready").is_success

        until(ready, f"{command} is ready")
        return url

    yield process
    for each in started:
        each.kill()
        each.wait(PATIENCE)


@pytest.fixture
def prometheus(process, tmp_path):
    """Start Prometheus with rules that hold for no time, everything each second; gives a function that queries it."""

    def prometheus(target, groups, alertmanager=None):
        groups = [replace(group, rules=tuple(map(at_once, group.rules))) for group in groups]
        (tmp_path / "rules.yml").write_text(rules.render(groups, rules.RUNBOOKS), "utf-8")
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [{"job_name": "video-analytics", "static_configs": [{"targets": [host(target)]}]}],
            "rule_files": ["rules.yml"],
        }
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [host(alertmanager)]}]}]}
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        address = f"127.0.0.1:{free_port()}"
        url = process(
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address={address}",
            "--rules.alert.resend-delay=1s",
            url=f"http://{address}",
        )
        return lambda expression: get(f"{url}/api/v1/query", query=expression).json()["data"]["result"]

    return prometheus


def at_once(rule):
    return replace(rule, hold="0s") if isinstance(rule, rules.Alert) else rule


def host(url):
    return url.removeprefix("http://")


def selectors(expression):
    """The selectors of an expression as they stand, without ranges and offsets, and their metrics."""
    found = []
    promql_parser.walk(
        promql_parser.parse(expression),
        lambda node: found.append(node) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    return {(re.sub(r" offset \S+$", "", node.prettify()), node.name) for node in found}


@pytest.mark.real("prometheus")
def test_every_rule_finds_something_in_the_demo(start, prometheus, until):
    config = load(demo.example(), name="config.example.yaml", env=demo.CREDENTIALS)
    recordings, alerts = rules.recording(config, QUICK), rules.alerting(config, QUICK)
    exporter = start("demo")
    until(lambda: 'query_success{query="viewers"' in exporter.metrics(), "the demo has polled")
    query = prometheus(exporter.url, (*recordings, *alerts))
    for rule in (rule for group in recordings for rule in group.rules):
        chosen = ", ".join(f'{name}="{value}"' for name, value in rule.labels)
        until(lambda each=f"{rule.name}{{{chosen}}}": query(each), f"{rule.name} of {chosen}")
    for rule in (rule for group in alerts for rule in group.rules):
        for selector, name in selectors(rule.expr.replace('{code="429"}', "")):
            assert name in NEVER_IN_A_DEMO or query(selector), (rule.name, selector)
    failing = query("prometheus_rule_evaluation_failures_total > 0")
    assert not failing
    assert not query('ALERTS{category="exporter"}')


class WebHook:
    """Where Alertmanager delivers: what came, and how often."""

    def __init__(self):
        self.alerts = []
        received = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.extend({**alert, "path": self.path} for alert in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def named(self, name):
        return [alert for alert in self.alerts if alert["labels"]["alertname"] == name]


@pytest.fixture
def hook():
    """Run the web hook in a thread."""
    hook = WebHook()
    thread = threading.Thread(target=hook.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield hook
    hook.server.shutdown()
    thread.join(PATIENCE)
    hook.server.server_close()


@pytest.fixture
def alertmanager(process, tmp_path, hook):
    """Start Alertmanager with the example's routes and inhibitions: only the waits and the addresses are others."""
    text = (ROOT / "prometheus/alertmanager.yml").read_text()
    text = text.replace("localhost:9099", f"127.0.0.1:{hook.server.server_port}")
    config = yaml.safe_load(text)
    config["route"] |= {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s"}
    for route in config["route"]["routes"]:
        for each in (route, *route.get("routes", ())):
            each.pop("repeat_interval", None)
    (tmp_path / "alertmanager.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    return process(
        "prometheus-alertmanager",
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        url=f"http://{address}",
    )


@pytest.fixture
def bad_cdn(monkeypatch):
    """Have the vendor's world follow the test and not the clock: name the CDN that is bad, or ``None``."""

    def bad_cdn(name):
        monkeypatch.setattr(world, "bad_cdn", lambda _: name)
        world.minute_cells.cache_clear()
        world.aggregate.cache_clear()

    bad_cdn(None)
    yield bad_cdn
    monkeypatch.undo()
    world.minute_cells.cache_clear()
    world.aggregate.cache_clear()


@pytest.mark.real("prometheus")
@pytest.mark.real("prometheus-alertmanager")
def test_a_bad_cdn_is_paged_and_stale_data_inhibits_it(  # the whole way, so all that stands along it
    vendors, bad_cdn, run, prometheus, alertmanager, hook, until
):
    # The exporter's file, and what the rules are made of: the same.
    config = {
        "defaults": {"interval": "1s", "delay": "1s"},
        "sources": {"mediamelon": vendors.sources()["mm"]},
        "queries": [
            {
                "name": "qoe_by_cdn",
                "source": "mediamelon",
                "metrics": ["viewercount", "bufferingratio"],
                "dimensions": ["cdn"],
            }
        ],
    }
    loaded = load(json.dumps(config), name="config", env={})
    query = prometheus(run(config).url, (*rules.recording(loaded), *rules.alerting(loaded)), alertmanager)
    until(lambda: query("source_cdn:smartsight_buffering_ratio:rest"), "the recordings are there")
    assert not query('ALERTS{alertname="CDNOutlier"}')

    bad_cdn("Akamai")
    until(lambda: query('ALERTS{alertname="CDNOutlier", cdn="Akamai", alertstate="firing"}'), "the alert fires")
    until(lambda: hook.named("CDNOutlier"), "Alertmanager delivers it")
    (page, *_) = hook.named("CDNOutlier")
    assert page["path"] == "/video-operations-on-call"
    assert page["status"] == "firing"
    assert page["labels"]["signal"] == "buffering_ratio"
    assert page["annotations"]["summary"] == "mediamelon: cdn Akamai is worse than the rest (buffering_ratio)"
    assert {alert["labels"]["cdn"] for alert in hook.named("CDNOutlier")} == {"Akamai"}
    assert not hook.named("DataTooOld")

    def known(name):
        return get(f"{alertmanager}/api/v2/alerts", filter=f'alertname="{name}"').json()

    def inhibited():
        """Whether all alerts on the CDN are, by the one on old data: the open circuit inhibits them, too."""
        stale = {alert["fingerprint"] for alert in known("DataTooOld")}
        found = [stale.intersection(alert["status"]["inhibitedBy"]) for alert in known("CDNOutlier")]
        return found and all(found)

    async def down(_):
        return PlainTextResponse("down for maintenance", 503)

    vendors.smartsight.intercept = down
    until(lambda: hook.named("DataTooOld"), "stale data is told")
    until(inhibited, "the alert on it is inhibited")
    # The last good answer is still served, so the rule itself fires on: Alertmanager is what keeps it back.
    assert query('ALERTS{alertname="CDNOutlier", alertstate="firing"}')
    delivered, stale = len(hook.named("CDNOutlier")), len(hook.named("DataTooOld"))
    until(lambda: len(hook.named("DataTooOld")) >= stale + 3, "what is not inhibited is repeated")
    assert len(hook.named("CDNOutlier")) <= delivered + 1  # one may have been on its way

    vendors.smartsight.intercept = None
    until(lambda: len(hook.named("CDNOutlier")) > delivered + 1, "with fresh data it is delivered again")

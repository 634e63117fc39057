"""From a CDN that goes bad to a page: simulated vendors, the real command, Prometheus, Alertmanager and a web hook."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from starlette.responses import PlainTextResponse

from exporter import rules
from exporter.config import load
from exporter.simulator import world

ROOT = Path(__file__).parents[2]
PATIENCE = 30


def at_once(groups):
    """Have rules hold for no time."""
    return [
        replace(
            group,
            rules=tuple(replace(rule, hold="0s") if isinstance(rule, rules.Alert) else rule for rule in group.rules),
        )
        for group in groups
    ]


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
def alertmanager(server, tmp_path, hook):
    """Start Alertmanager with the example's routes and inhibitions: only the waits and the addresses are others."""
    text = (ROOT / "prometheus/alertmanager.yml").read_text()
    text = text.replace("localhost:9099", f"127.0.0.1:{hook.server.server_port}")
    config = yaml.safe_load(text)
    config["route"] |= {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s"}
    for route in config["route"]["routes"]:
        for each in (route, *route.get("routes", ())):
            each.pop("repeat_interval", None)
    (tmp_path / "alertmanager.yml").write_text(json.dumps(config))
    return server(
        "prometheus-alertmanager",
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        "--cluster.listen-address=",
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
    vendors, bad_cdn, run, prometheus, alertmanager, hook, until, client
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
    groups = at_once((*rules.recording(loaded), *rules.alerting(loaded)))
    query = prometheus(run(config).url, groups, alertmanager).query
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
        return client.get(f"{alertmanager}/api/v2/alerts", params={"filter": f'alertname="{name}"'}).json()

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
    until(lambda: len(hook.named("DataTooOld")) >= stale + 2, "what is not inhibited is repeated")
    assert len(hook.named("CDNOutlier")) <= delivered + 1  # one may have been on its way

    vendors.smartsight.intercept = None
    until(lambda: len(hook.named("CDNOutlier")) > delivered + 1, "with fresh data it is delivered again")

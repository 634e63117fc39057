"""The dashboards as Grafana reads them: those that are shipped, and those of configurations of other kinds."""

import json
import re
from pathlib import Path

import pytest

from exporter.config import load
from exporter.dashboards import generate

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "grafana" / "dashboards"

SMARTSIGHT = "{type: smartsight, customer_id: 1, auth: {api_key: k}"
IBM = "{type: ibm_video, auth: {client_id: c, client_secret: s}"
OTHERS = {
    "only-one-vendor": f"""
sources:
  mm: {SMARTSIGHT}, labels: {{environment: prod, job: video}}}}
queries:
  - {{name: q, source: mm, metrics: [latency, viewercount, uniqueviewercount], dimensions: [cdn, player-name, metric]}}
""",
    "two-accounts-and-own-names": f"""
sources:
  eu: {SMARTSIGHT}}}
  us: {SMARTSIGHT}}}
  ibm: {IBM}}}
queries:
  - {{name: total, source: [eu, us], metrics: [bufferingratio, failurerate, attempts, viewercount], window: 10m}}
  - {{name: "by cdn, eu (old)", source: eu, metrics: [bufferingratio, playdur], dimensions: [cdn], top: 5}}
  - name: us-by-cdn
    source: us
    metrics: [{{field: bufferingratio, name: smartsight_stalled_ratio}}, playdur, mystat, p95_latency]
    dimensions: [cdn, country]
  - {{name: peaks, source: ibm, metrics: [peak_viewers], dimensions: [content_id]}}
""",
    "with-history": f"""
remote_write: {{url: "http://prometheus:9090/api/v1/write"}}
sources:
  mm: {SMARTSIGHT}}}
queries:
  - {{name: plays, source: mm, metrics: [viewercount], dimensions: [cdn], history: true}}
  - {{name: slow, source: mm, metrics: [latency], history: true, step: 1h, delay: 10m}}
""",
    "no-quality-at-all": f"""
sources:
  ibm: {IBM}, labels: {{region: eu}}}}
queries:
  - {{name: views, source: ibm, metrics: [view_segments, view_sessions], dimensions: [city]}}
""",
}


def made(text):
    """The dashboards of a configuration."""
    return {name: json.loads(board) for name, board in generate(load(text, name="config.yaml", env={})).items()}


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(board):
    return [(panel, target) for panel in panels(board) for target in panel["targets"]]


def fill(text, board):
    """Put in what Grafana would, as the dashboard opens."""
    values = {"__range": "1h", "__rate_interval": "1m"}
    for variable in board["templating"]["list"]:
        chosen = variable["current"]["value"]
        values[variable["name"]] = variable["allValue"] if chosen == "$__all" else chosen
    return re.sub(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))", lambda found: values[found[1] or found[2]], text)


BOARDS = {f"shipped/{path.stem}": json.loads(path.read_text("utf-8")) for path in sorted(SHIPPED.glob("*.json"))}
BOARDS |= {f"{kind}/{name}": board for kind, text in OTHERS.items() for name, board in made(text).items()}


@pytest.fixture(params=BOARDS)
def board(request):
    """Each dashboard, shipped or generated."""
    return BOARDS[request.param]


@pytest.fixture
def siblings(board):
    """The dashboards that were generated together with it, by their uids."""
    kind = next(name for name, each in BOARDS.items() if each is board).partition("/")[0]
    return {each["uid"]: each for name, each in BOARDS.items() if name.startswith(f"{kind}/")}


@pytest.fixture
def configuration():
    """The other configurations' texts, by what is special about them."""
    return OTHERS


@pytest.fixture
def tools():
    """What takes a dashboard apart."""

    class Tools:
        pass

    for tool in (made, panels, targets, fill):
        setattr(Tools, tool.__name__, staticmethod(tool))
    return Tools

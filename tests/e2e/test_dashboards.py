"""Every panel, variable and rule that is shipped answers from one real Prometheus that scraped the demo."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import promql_parser
import pytest

from exporter import demo, rules
from exporter.config import load
from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate
from exporter.plan import plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.smartsight import SmartSight
from exporter.simulator.smartsight_oauth import TOKEN_PATH
from exporter.store import Store
from exporter.telemetry import Telemetry

FILES = sorted((Path(__file__).parents[2] / "grafana" / "dashboards").glob("*.json"))
HOUR = 3600

SILENT = {
    "Requests that the vendor still admits": "the simulated vendors send no X-RateLimit-Remaining, nor must real ones",
}
"""Panels that are rightly empty with the demo, and why."""


QUICK = rules.Settings(span="3s", offset="1s", season="4s", burns=(rules.Burn(1, "3s", "2s", "warning", "0s"),))
"""Baselines and budgets of seconds: nobody waits an hour for a test."""

NEVER_IN_A_DEMO = {
    "video_analytics_exporter_query_failures_total",
    "video_analytics_exporter_query_rows_dropped_total",
    "video_analytics_exporter_history_buckets_waiting",
    "video_analytics_exporter_history_buckets_given_up_total",
    "video_analytics_exporter_history_buckets_revised_total",
    "video_analytics_exporter_history_buckets_delivered_total",
    "ALERTS",
}
"""What only comes when polls fail or rows are dropped; deliveries, which a demo has none of."""


def fill(text, board):
    """Put in what Grafana would, as the dashboard opens."""
    values = {"__range": "1h", "__rate_interval": "10s"}
    for variable in board["templating"]["list"]:
        chosen = variable["current"]["value"]
        values[variable["name"]] = variable["allValue"] if chosen == "$__all" else chosen
    return re.sub(r"\$(?:\{(\w+)\}|([a-z_]\w*))", lambda found: values[found[1] or found[2]], text)


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


async def exposed(now, queries):
    """What the exporter would have shown at some time: the lines of the data."""
    env = {
        **demo.CREDENTIALS,
        "SMARTSIGHT_URL": "http://smartsight",
        "SMARTSIGHT_TOKEN_URL": f"http://smartsight{TOKEN_PATH}",
        "IBM_URL": "http://ibm/v1",
        "IBM_TOKEN_URL": "http://ibm/oauth2/token",
    }
    config = load(demo.example(), name="config.example.yaml", env=env)
    smartsight = SmartSight(
        api_key=env["SMARTSIGHT_API_KEY"], customer_id=env["SMARTSIGHT_CUSTOMER_ID"], clock=lambda: now
    )
    ibm = IbmVideo(client_id=env["IBM_CLIENT_ID"], client_secret=env["IBM_CLIENT_SECRET"], clock=lambda: now)
    store, telemetry = Store(config.queries, lambda: 0.0), Telemetry(lambda: now)
    transports = {"smartsight": httpx.ASGITransport(smartsight.app), "ibm_video": httpx.ASGITransport(ibm.app)}
    clients = {
        name: Client(
            name, source.provider, telemetry, clock=lambda: 0.0, now=lambda: now, transport=transports[source.type]
        )
        for name, source in config.sources.items()
    }
    poller = Poller(clients, store, lambda _: None, now=lambda: now, clock=lambda: 0.0)
    for group in plan(config).groups:
        if queries & {query.name for query in group.queries}:
            await poller.poll(group)
    text = inflate(Exposition(store).body(Format.TEXT)).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


async def history(now):
    """The data of an hour ago, which panels compare with, as promtool takes it: without a job, as `backfill` has it."""
    (live,) = (path.read_text() for path in FILES if path.stem == "live")
    queries = set(re.findall(r'query=\\"(\w+)\\"', live))
    then = now - HOUR
    return "\n".join([*(f"{line} {then}" for line in await exposed(then, queries)), "# EOF", ""])


def backfill(page, directory):
    """Write the blocks that Prometheus will find as it starts."""
    file = directory / "history"
    file.write_text(page)
    command = ["tsdb", "create-blocks-from", "openmetrics", str(file), str(directory / "tsdb")]
    subprocess.run([shutil.which("promtool"), *command], check=True, capture_output=True)


def selectors(expression):
    """The selectors of an expression as they stand, without ranges and offsets, and their metrics."""
    found = []
    promql_parser.walk(
        promql_parser.parse(expression),
        lambda node: found.append(node) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    return {(re.sub(r" offset \S+$", "", node.prettify()), node.name) for node in found}


def silent_panels(server, board):
    """The panels whose expressions answer nothing, but those that rightly do not."""
    for panel in panels(board):
        for target in panel["targets"]:
            asked = fill(target["expr"], board)
            if panel["title"] not in SILENT and not server.query(asked):
                yield f"{board['title']}: {panel['title']}: {asked}"


def silent_variables(server, board):
    """The variables that have no value, or not the one that they open with."""
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        asked, label = re.fullmatch(r"label_values\((.+), (\w+)\)", fill(variable["query"]["query"], board)).groups()
        found = server.ask(f"label/{label}/values", **{"match[]": asked})
        if not found or (variable["current"]["value"] not in ("$__all", *found)):
            yield f"{board['title']}: variable {variable['name']}: {found}: {asked}"


def silent_alerts(server, groups):
    """The selectors of alerts that find nothing, but what a demo never has."""
    for rule in (rule for group in groups for rule in group.rules):
        for selector, name in selectors(rule.expr.replace('{code="429"}', "")):
            if name not in NEVER_IN_A_DEMO and not server.query(selector):
                yield f"{rule.name}: {selector}"


@pytest.mark.real("prometheus")
@pytest.mark.real("promtool")
def test_every_panel_variable_and_rule_answers(start, prometheus, until, tmp_path):
    config = load(demo.example(), name="config.example.yaml", env=demo.CREDENTIALS)
    recordings, alerts = rules.recording(config, QUICK), rules.alerting(config, QUICK)
    exporter = start("demo")  # polls while the history is made
    backfill(asyncio.run(history(int(time.time()) // 60 * 60)), tmp_path)
    server = prometheus(exporter.url, (*recordings, *alerts))
    polled = f"count(video_analytics_exporter_query_success) == {len(config.queries)}"
    until(lambda: server.value(polled), "every query has been polled, and scraped")
    for rule in (rule for group in recordings for rule in group.rules):
        chosen = ", ".join(f'{name}="{value}"' for name, value in rule.labels)
        until(lambda each=f"{rule.name}{{{chosen}}}": server.query(each), f"{rule.name} of {chosen}")
    until(lambda: server.value("rate(process_cpu_seconds_total[10s])") is not None, "several scrapes")
    boards = [json.loads(path.read_text()) for path in FILES]
    silent = [one for board in boards for look in (silent_panels, silent_variables) for one in look(server, board)]
    assert [*silent, *silent_alerts(server, alerts)] == []
    assert not server.query("prometheus_rule_evaluation_failures_total > 0")
    assert not server.query('ALERTS{category="exporter"}')

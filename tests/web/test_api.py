import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

import exporter
from exporter.config import load
from exporter.model import Delivered
from exporter.providers.standing import Standing
from exporter.web.app import app
from exporter.web.discovery import Discovery, targets
from exporter.web.facts import Facts, HistoryFacts, QueryFacts, SourceFacts

EVENING = 1_775_764_800
DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture
async def client(served, shown, client_of):
    async with client_of(app(served.metrics, "/metrics", shown.state)) as client:
        yield client


# --- /api/v1/queries --------------------------------------------------------------------------------------------------


async def test_the_facts_as_json(client, shown, make_query):
    good, bad, waiting = (make_query(["latency"], ["cdn"], name=name) for name in ("good", "bad", "waiting"))
    shown.ask(good, bad, waiting, limits={"concurrency": 2, "requests_per_minute": 30})
    shown.answer(good, [{"latency": 1, "cdn": "A"}, {"latency": 2, "cdn": "B"}])
    shown.end(bad, reason="timeout", error="no whole answer", duration=90.0)
    shown.next_polls = {query.key: EVENING + 180.0 for query in (good, bad, waiting)}
    shown.standings = {"mm": Standing("ok", EVENING + 3600.0, 17.0, EVENING + 150.0)}
    shown.circuits = {"mm": True}
    refused = "the receiver refuses: HTTP 401"
    shown.deliver(good, Delivered("main", EVENING, EVENING - 60, refused, 340, 12, 0.031, 360, "too short"))
    response = await client.get("/api/v1/queries")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    found = response.json()
    assert found.pop("sources") == [
        {
            "source": "mm",
            "type": "smartsight",
            "url": "https://vendor.example",
            "login": "API key",
            "login_state": "ok",
            "token_expiry_timestamp_seconds": EVENING + 3600,
            "limit_concurrency": 2,
            "limit_requests_per_minute": 30,
            "requests_per_day": 1440.0,
            "rate_limit_remaining": 17,
            "paused_until_timestamp_seconds": EVENING + 150,
            "circuit_open": True,
            "queries_ok": 1,
            "queries_failing": 1,
            "queries_waiting": 1,
        }
    ]
    queries = {query["query"]: query for query in found.pop("queries")}
    assert found == {
        "version": exporter.__version__,
        "timestamp_seconds": EVENING + 137,
        "shard_ordinal": 0,
        "total_shards": 1,
        "queries_ok": 1,
        "queries_failing": 1,
        "queries_waiting": 1,
    }
    assert queries["good"] == {
        "source": "mm",
        "query": "good",
        "endpoint": "metricquery",
        "interval_seconds": 60,
        "state": "ok",
        "reason": "",
        "error": "",
        "last_poll_timestamp_seconds": EVENING + 125,
        "last_success_timestamp_seconds": EVENING + 125,
        "next_poll_timestamp_seconds": EVENING + 180,
        "window_start_timestamp_seconds": EVENING - 300,
        "window_end_timestamp_seconds": EVENING,
        "duration_seconds": 1,
        "series": 2,
        "recent_polls": 1,
        "recent_failures": 0,
        "history": [
            {
                "receiver": "main",
                "error": "the receiver refuses: HTTP 401",
                "newest_bucket_timestamp_seconds": EVENING,
                "complete_until_timestamp_seconds": EVENING - 60,
                "buckets_read_again": 340,
                "buckets_revised": 12,
                "largest_revision_ratio": 0.031,
                "delay_enough_seconds": 360,
                "delay_verdict": "too short",
            }
        ],
    }
    assert queries["bad"]["history"] == []
    assert (queries["bad"]["state"], queries["bad"]["reason"], queries["bad"]["error"]) == (
        "failing",
        "timeout",
        "no whole answer",
    )
    assert (queries["bad"]["last_success_timestamp_seconds"], queries["bad"]["recent_failures"]) == (None, 1)
    assert (queries["waiting"]["state"], queries["waiting"]["last_poll_timestamp_seconds"]) == ("waiting", None)


async def test_a_query_that_fails_shows_the_series_that_are_still_served(client, shown, make_query):
    query = make_query(["latency"])
    shown.ask(query)
    shown.answer(query, [{"latency": 1}])
    shown.end(query, reason="timeout", error="late", ended=EVENING + 130.0)
    [found] = (await client.get("/api/v1/queries")).json()["queries"]
    assert (found["state"], found["series"]) == ("failing", 1)
    assert found["last_success_timestamp_seconds"] == EVENING + 125


async def test_a_vendor_s_words_that_utf_8_can_not_spell_are_no_obstacle(client, shown, make_query):
    query = make_query()
    shown.ask(query)
    shown.end(query, reason="bad_request", error="\ud800<b>")
    response = await client.get("/api/v1/queries")
    assert json.loads(response.content)["queries"][0]["error"] == "\ud800<b>"


def test_every_field_is_documented():
    documented = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    assert documented == {each.name for kind in (Facts, SourceFacts, QueryFacts, HistoryFacts) for each in fields(kind)}


# --- /config ----------------------------------------------------------------------------------------------------------

SECRETS = """
sources:
  mm:
    type: smartsight
    customer_id: 7
    auth: {api_key: "${KEY}"}
    http: {proxy_url: "http://user:CANARY-proxy@proxy:3128"}
  old: {type: smartsight, customer_id: 8, auth: {username: u, password: CANARY-password}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: CANARY-secret}}
queries:
  - {name: one, source: [mm, old], metrics: [latency]}
"""


async def test_the_configuration_in_force_is_shown_without_secrets(client, shown):
    shown.config = load(SECRETS, name="c.yaml", env={"KEY": "CANARY-key"})
    response = await client.get("/config")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert "CANARY" not in response.text
    assert response.text.count("<secret>") == 4


async def test_after_a_reload_the_new_one_is_shown(client, shown, make_query):
    texts = []
    for name in ("before", "after"):
        shown.ask(make_query(["latency"], name=name))
        texts += [(await client.get("/config")).text, (await client.get("/config")).text]
    assert texts[0] == texts[1] != texts[2] == texts[3]
    assert "name: after" in texts[2]


# --- /sd --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path", "target", "labels"),
    [
        ("http://exporter:10310", "/metrics", "exporter:10310", {}),
        ("http://exporter", "/metrics", "exporter:80", {}),
        ("https://exporter/", "/metrics", "exporter:443", {"__scheme__": "https"}),
        ("http://[::1]:9", "/metrics", "[::1]:9", {}),
        ("http://[::1]", "/metrics", "[::1]:80", {}),
        ("http://exporter:1", "/m", "exporter:1", {"__metrics_path__": "/m"}),
        ("http://proxy/video/", "/metrics", "proxy:80", {"__metrics_path__": "/video/metrics"}),
    ],
)
def test_a_url_becomes_a_target(url, path, target, labels):
    assert targets(url, path) == [{"targets": [target], "labels": labels}]


@pytest.mark.parametrize(
    "url", ["http://", "http://a b", "http://user@host", "ftp://host", "http://[::1", "http://a<b>"]
)
def test_what_names_no_host_is_no_target(url):
    assert targets(url, "/metrics") is None


async def test_discovery_goes_by_the_request_s_host(client):
    response = await client.get("/sd", headers={"host": "10.1.2.3:10310"})
    assert response.headers["content-type"] == "application/json"
    assert response.json() == [{"targets": ["10.1.2.3:10310"], "labels": {}}]
    assert (await client.get("/sd", headers={"host": "<b>"})).status_code == 400


async def test_discovery_goes_by_the_external_url_where_there_is_one(served, shown, client_of):
    pages = app(served.metrics, "/metrics", shown.state, None, Discovery("https://metrics.example/video"))
    async with client_of(pages) as client:
        found = (await client.get("/sd", headers={"host": "10.1.2.3:10310"})).json()
    labels = {"__scheme__": "https", "__metrics_path__": "/video/metrics"}
    assert found == [{"targets": ["metrics.example:443"], "labels": labels}]

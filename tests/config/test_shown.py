import json

import pytest

from exporter import demo
from exporter.config import load, shown

SOURCES = """\
sources:
  mm:
    {type: smartsight, customer_id: "0071", auth: {api_key: CANARY}, labels: {env: "$$prod"}, limits: {concurrency: 2}}
  two: {type: smartsight, customer_id: 8, auth: {api_key_file: /run/key}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: CANARY}, http: {proxy_url: "http://u:CANARY@proxy:1"}}
"""


def loaded(text, env=None):
    return load(text, name="c.yaml", env=env or {})


QUERIES = [
    {"name": "plain", "source": "mm", "metrics": ["latency"]},
    {"name": "both", "source": ["mm", "two"], "metrics": ["latency"], "interval": "90s", "timeout": 1.5, "delay": 0},
    {
        "name": "long",
        "source": "mm",
        "metrics": [{"field": "own", "name": "smartsight_own", "help": "Costs $$.", "scale": 0.5}, "views"],
        "dimensions": ["cdn", "ipaddress"],
        "filters": {"country": ["NO", "010", "true"]},
        "having": "latency>3",
        "top": 5,
        "order_by": "views",
        "order": "asc",
        "options": {"allstatus": True, "x": "1e5"},
        "allow_personal_data": True,
        "max_response": "1000",
    },
    {
        "name": "sessions",
        "source": "mm",
        "endpoint": "listsessions",
        "metrics": ["latency", "playdur"],
        "buckets": {"latency": [0.5, 1]},
        "exemplars": True,
        "allow_personal_data": True,
    },
    {"name": "watched", "source": "ibm", "metrics": ["view_segments", "total_views"], "dimensions": ["content_type"]},
]


@pytest.mark.parametrize("query", QUERIES, ids=[query["name"] for query in QUERIES])
def test_what_is_shown_loads_to_the_same_queries(query):
    config = loaded(f"{SOURCES}queries: {json.dumps([query])}")
    text = shown.text(config)
    assert "CANARY" not in text
    again = loaded(text.replace("proxy_url: <secret>", "proxy_url: http://proxy"))
    assert again.queries == config.queries
    assert [source.provider.account for source in again.sources.values()] == [
        source.provider.account for source in config.sources.values()
    ]


def test_the_whole_example_loads_to_the_same_queries():
    config = loaded(demo.example(), demo.CREDENTIALS)
    again = loaded(shown.text(config))
    assert again.queries == config.queries
    assert shown.text(again) == shown.text(config)


def test_a_query_of_several_sources_stands_once():
    text = shown.text(loaded(f"{SOURCES}queries: {json.dumps([QUERIES[1]])}"))
    assert "source: [mm, two]" in text
    assert text.count("name: both") == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (60, "1m"), (90.0, "1m30s"), (86_400, "1d"), (3_661, "1h1m1s"), (1.5, "1.5")]
)
def test_durations_are_written_as_prometheus_does(seconds, text):
    assert shown.duration(seconds) == text

"""The page on the deprecated endpoints: what it quotes is said, and its two queries are the same question."""

import json
import re
from pathlib import Path

from exporter import demo
from exporter.config import load
from exporter.providers import PROVIDERS

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text("utf-8")
SOURCES = """
sources:
  mediamelon-legacy: {type: smartsight, customer_id: 1, auth: {username: u, password: p}}
queries:
"""


def advised(config, name):
    query = next(query for query in config.queries if query.name == name)
    return config.sources[query.source].provider.advice(query)


def test_the_example_is_advised_so():
    config = load(demo.example(), name="config.example.yaml", env=demo.CREDENTIALS)
    name = "plays_by_cdn_qbrdata"
    assert f"mediamelon-legacy: `{name}` could be better: {advised(config, name)}\n" in PAGE


def test_before_becomes_after():
    before, after = re.findall(r"```yaml\n(  - name: .*?)```", PAGE, re.DOTALL)
    old = load(SOURCES + before, name="before.yaml", env={})
    new = load(SOURCES + after, name="after.yaml", env={})
    better = json.loads(advised(old, "plays_by_cdn").partition(": ")[2])
    assert load(SOURCES + f"  - {json.dumps(better)}", name="better.yaml", env={}).queries == new.queries
    assert advised(new, "plays_by_cdn") == ""


def test_what_reaches_what_is_what_the_catalogue_says():
    endpoints = PROVIDERS["smartsight"].catalog.endpoints.values()
    assert {each.name for each in endpoints if "api_key" in each.logins} == {"metricquery", "listsessions"}
    assert {each.name for each in endpoints if "password" not in each.logins} == {"listsessions"}


def test_the_sources_are_right():
    (sources,) = re.findall(r"```yaml\n(sources:.*?)```", PAGE, re.DOTALL)
    queries = "queries:\n  - {name: q, source: [mediamelon, mediamelon-legacy], metrics: [latency]}\n"
    assert len(load(sources + queries, name="sources.yaml", env={}).queries) == 2

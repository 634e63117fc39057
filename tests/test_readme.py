"""What the README shows is what comes out."""

import re
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from exporter.config import load
from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate
from exporter.plan import plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.simulator.smartsight import SmartSight
from exporter.store import Store
from exporter.telemetry import Telemetry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SHOWN_AT = datetime(2026, 11, 21, 6, 45, tzinfo=UTC).timestamp()


def block(language, words):
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if words in text)


async def exposed(config, vendor):
    """The data that one poll of each query brings, with the clock standing at SHOWN_AT."""
    store = Store(config.queries, lambda: 0.0)
    telemetry = Telemetry(lambda: SHOWN_AT)
    transport = httpx.ASGITransport(vendor.app)
    clients = {
        name: Client(name, source.provider, telemetry, clock=lambda: 0.0, now=lambda: 0.0, transport=transport)
        for name, source in config.sources.items()
    }
    poller = Poller(clients, store, lambda _: None, now=lambda: SHOWN_AT, clock=lambda: 0.0)
    for group in plan(config).groups:
        await poller.poll(group)
    return inflate(Exposition(store).body(Format.TEXT)).decode()


async def test_the_query_makes_the_lines():
    sources = """
sources:
  mediamelon: {type: smartsight, base_url: "http://vendor", customer_id: 199493832, auth: {api_key: a-key}}
"""
    config = load(sources + block("yaml", "name: qoe_by_cdn"), name="README.md", env={})
    vendor = SmartSight(api_key="a-key", customer_id=199493832, clock=lambda: SHOWN_AT)
    lines = (await exposed(config, vendor)).splitlines()
    shown = block("text", "smartsight_plays{").splitlines()
    assert len(shown) == 14
    assert [line for line in shown if line not in lines] == []


def test_the_configuration_is_right():
    text = block("yaml", "sources:")
    env = {"SMARTSIGHT_API_KEY": "a", "IBM_CLIENT_ID": "b", "IBM_CLIENT_SECRET": "c"}
    assert load(text, name="README.md", env=env).queries


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)#]+)\)", README))
def test_a_link_leads_somewhere(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", re.findall(r"(?:`|\$ )make ([a-z-]+)", README))
def test_a_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)

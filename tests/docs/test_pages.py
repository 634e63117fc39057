"""What the pages show can be used as it is: configurations, commands, flags, links into the repository."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.cli import main
from exporter.config import load

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {str(page.relative_to(DOCS)): page.read_text("utf-8") for page in DOCS.rglob("*.md")}
SOURCES = """
  mediamelon: {type: smartsight, customer_id: 1, auth: {api_key: k}}
  mediamelon-legacy: {type: smartsight, customer_id: 1, auth: {username: u, password: p}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: s}}
"""
ENV = {"SMARTSIGHT_API_KEY": "k"}


def blocks(page):
    return re.findall(r"^```yaml[^\n]*\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["index.md", "vendors/smartsight.md", "vendors/ibm-video.md"])
def test_the_configurations_are_right(page):
    texts = [text for text in blocks(page) if "queries:" in text]
    assert texts
    for text in texts:
        whole = text if "sources:" in text else f"sources:{SOURCES}{text}"
        assert load(whole, name=page, env=ENV).queries


@pytest.mark.parametrize("page", PAGES)
def test_yaml_is_yaml(page):
    for text in blocks(page):
        yaml.safe_load(text)


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("runbooks/")])
def test_the_commands_and_their_flags_exist(page):
    used = re.findall(r"^\$ (?:\S*/)?video-analytics-exporter (\w+)([^#\n]*)", PAGES[page], re.MULTILINE)
    for name, rest in used:
        flags = {flag for option in main.get_command(None, name).params for flag in option.opts}
        assert set(re.findall(r"(?<=\s)--[a-z.-]+", rest)) <= flags, (name, rest)


def test_the_table_of_http_has_every_path():
    assert {"/metrics", "/-/ready", "/-/reload", "/config", "/sd", "/api/v1/queries"} <= set(
        re.findall(r"`(?:POST )?(/[^` ]*)`", PAGES["http.md"])
    )

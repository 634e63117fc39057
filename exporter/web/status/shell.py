"""What all pages share: the head, the links, the files of style and script."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

import exporter
from exporter.web.status.html import Html, joined, tag, void

TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
FILES: Mapping[str, bytes] = {name: files(__package__).joinpath(name).read_bytes() for name in TYPES}
STATIC = "/static"
VERSIONS = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in FILES.items()}
"""Stand in the files' addresses, so that browsers may keep them."""

NAME = "Video analytics exporter"


def document(title: str, metrics_path: str, *main: str | None) -> Html:
    """Give a whole page. Addresses are relative, so that it works below a proxy's path, too."""
    links = (
        ("Metrics", f".{metrics_path}"),
        ("Configuration", "./config"),
        ("JSON", "./api/v1/queries"),
        ("Health", "./-/healthy"),
        ("Readiness", "./-/ready"),
    )
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        void("link", rel="icon", href=_address("icon.svg")),
        void("link", rel="stylesheet", href=_address("page.css")),
        tag("script", src=_address("page.js"), defer=True),
    )
    brand = tag(
        "a", void("img", src=_address("icon.svg"), alt="", width=24, height=24), NAME, href="./", class_="brand"
    )
    body = tag(
        "body",
        tag("a", "Skip to content", href="#main", class_="skip"),
        tag(
            "header",
            brand,
            tag("span", exporter.__version__, class_="version"),
            tag("nav", *(tag("a", text, href=link) for text, link in links), aria_label="Pages"),
        ),
        tag("main", *main, id="main", tabindex=-1),
    )
    return joined(Html("<!doctype html>"), tag("html", head, body, lang="en"), "\n")


def freshness(moment: str) -> Html:
    """Say of when the page is; the script adds that it is live, and a button that stops that."""
    return tag(
        "p",
        tag("span", f"As of {moment}", id="as-of"),
        tag("span", id="live", role="status", data_keep=True),
        tag("button", "Pause updates", type="button", id="pause", hidden=True, data_keep=True),
        class_="fresh",
    )


def chip(state: str, words: str = "") -> Html:
    """Give a state as a sign and a word: colour alone would not do."""
    sign = {"ok": "✓", "failing": "✕", "waiting": "…"}[state]
    return tag("span", tag("span", sign, aria_hidden="true"), f" {words or state}", class_=f"chip {state}")


def _address(name: str) -> str:
    return f".{STATIC}/{name}?v={VERSIONS[name]}"

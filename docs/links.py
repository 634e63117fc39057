"""mkdocs' hooks: links that lead out of docs/, and nothing from other hosts.

Readers of the repository follow a link to a file outside docs/; the site, which has none of them, shows its path. One
that leads nowhere fails the build, and so does a page that would load anything from elsewhere.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:  # noqa: ANN401 - mkdocs' own type
    """Replace the links of one page."""
    place = ROOT / "docs" / page.file.src_uri

    def shown(link: re.Match[str]) -> str:
        target = (place.parent / link[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return link[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri}: the link to {link[2]} leads nowhere")
        path = target.relative_to(ROOT)
        return link[1] if str(path) in link[1] else f"{link[1]} (`{path}`)"

    return LINK.sub(shown, markdown)


def on_post_page(output: str, *, page: Any, **_: object) -> str:  # noqa: ANN401 - as above
    """Look for what a browser would load from another host."""
    if found := LOADED.search(output):
        raise PluginError(f"{page.file.src_uri}: would load {found[1]}")
    return output

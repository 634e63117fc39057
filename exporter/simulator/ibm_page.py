"""IBM's pages: rows wrapped with their type, and links to the pages beside."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import TypeVar

import msgspec
from starlette.responses import JSONResponse

from exporter.simulator.ibm_params import Question

T = TypeVar("T")


class Json(JSONResponse):
    """The same bytes as starlette's, several times as fast: an hour has thousands of views, and no floats."""

    def render(self, content: object) -> bytes:
        """Write it."""
        return msgspec.json.encode(content)


Row = dict[str, object]


def page(path: str, asked: Question, kind: str, items: Sequence[T], row: Callable[[T], Row]) -> Row:
    """Give one page; its links name the page and the limit only, as in the vendor's examples."""
    first = (asked.page - 1) * asked.limit
    data = [{"type": kind, "attributes": row(item)} for item in items[first : first + asked.limit]]
    pages = -(-len(items) // asked.limit)
    if pages <= 1:
        return {"data": data, "pagination": {}}

    def link(page: int) -> dict[str, str] | None:
        return {"href": f"{path}?_page={page}&_limit={asked.limit}"} if 1 <= page <= pages else None

    numbers = {"self": asked.page, "first": 1, "prev": asked.page - 1, "next": asked.page + 1, "last": pages}
    links = {name: link(page) for name, page in numbers.items()}
    return {"data": data, "pagination": {"count": len(items), **links}}


def time(second: int, hours: int = 0) -> str:
    """Write a Unix second as ISO 8601, as a clock some hours ahead of UTC shows it."""
    return datetime.fromtimestamp(second, _zone(hours)).isoformat()


@cache
def _zone(hours: int) -> timezone:
    return timezone(timedelta(hours=hours)) if hours else UTC

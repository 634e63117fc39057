"""How SmartSight orders rows and cuts them into pages, whatever the rows are about."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
Row = dict[str, object]
Key = float | str | None


def ordered(items: Sequence[T], key: Callable[[T], Key], *, descending: bool) -> list[T]:
    """Sort as asked; items without a value come last in either order, ties keep the natural one."""
    keys = [(key(item), item) for item in items]
    present = [(value, item) for value, item in keys if value is not None]
    present.sort(key=lambda pair: pair[0], reverse=descending)
    return [item for _, item in present] + [item for value, item in keys if value is None]


def page(items: Sequence[T], row: Callable[[T], Row], *, limit: int, offset: int) -> Row:
    """Give one page. ``pagecount`` is as in the documents: pages of several, but rows of a single one."""
    total = len(items)
    pages = -(-total // limit) if total > limit else total
    rows = [row(item) | {"totalpages": pages} for item in items[offset : offset + limit]]
    return {"totalcount": len(rows), "pagecount": pages, "totalrecords": total, "response": rows}

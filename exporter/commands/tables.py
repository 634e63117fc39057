"""Tables for a person at a terminal, and for a pipe or a file: there plain, on one line each, and never cut."""

from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Sequence[str]


def show(
    title: str, heads: Row, rows: Sequence[Row], *, right: Collection[str] = (), console: Console | None = None
) -> None:
    """Print a table, which may have no title, and an empty line; columns with the heads in ``right`` hold numbers."""
    console = console or Console()
    cells = [[printable(cell) for cell in row] for row in rows]
    if console.is_terminal:
        console.print(_table(title, heads, cells, right))
        console.print()
    else:
        for line in (*filter(None, [title]), *_aligned(heads, cells, right), ""):
            # Rich would wrap it at the width of a terminal that is not there.
            console.file.write(f"{line}\n")


def printable(text: str) -> str:
    """Escape what would break a line or steer a terminal: a vendor's label may hold anything."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def count(number: int, one: str) -> str:
    """Give a number of things in words: ``1 query``, ``2 queries``."""
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{number} {one if number == 1 else many}"


def _table(title: str, heads: Row, rows: Sequence[Row], right: Collection[str]) -> Table:
    table = Table(
        title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for head in heads:
        table.add_column(Text(head), justify="right" if head in right else "left", overflow="fold")
    for row in rows:
        # As Text, for a plain string would be read as markup: [cdn=x] would vanish.
        table.add_row(*map(Text, row))
    return table


def _aligned(heads: Row, rows: Sequence[Row], right: Collection[str]) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    lines = []
    for row in (heads, *rows):
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        padded = (gap + cell if head in right else cell + gap for head, cell, gap in zip(heads, row, gaps, strict=True))
        lines.append("  ".join(padded).rstrip())
    return lines

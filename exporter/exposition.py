"""From tables to the bytes of ``/metrics``: rendered once a poll, joined once a change.

A query's part of a family is compressed as a piece of its own; so are a family's HELP and TYPE lines. Lines of a gauge
are spelled alike in the text format 0.0.4 and in OpenMetrics 1.0.0: both bodies are made of the same pieces, and differ
in HELP lines and the end.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain, repeat
from typing import Protocol

import msgspec

from exporter.gzipped import Piece, deflate, join
from exporter.model import Chunk, Column, Exemplar, Family, Labels, Line, Snapshot, Table


class Format(Enum):
    """The exposition formats, by the media types that Prometheus knows them by."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


SPECIAL = re.compile(r'[\\\n"%]')
"""What is escaped in a label's value, or in a template."""


@dataclass(slots=True)
class _Rendered:
    """What is kept of a column between two polls: the lines with gaps for the numbers, the numbers, the outcome."""

    lines: tuple[Line, ...]
    template: bytes
    holes: tuple[int, ...]
    numbers: bytes
    exemplars: Mapping[int, Exemplar]
    chunk: Chunk


class Renderer:
    """Renders one query's tables. It remembers the last one: labels are escaped once, unchanged families not rendered.

    What it keeps is bounded by the last table.
    """

    def __init__(self) -> None:
        self._rows: Sequence[tuple[str, ...]] = ()
        self._names: tuple[Labels, tuple[str, ...]] = ((), ())
        self._texts: dict[tuple[str, ...], bytes] = {}
        self._columns: dict[Family, _Rendered] = {}
        self.rendered = 0
        """How many families were rendered, for tests of how often work is done."""

    def render(self, table: Table) -> tuple[Chunk, ...]:
        """Give a chunk for each family that has samples."""
        names = (table.labels, table.names)
        if table.rows != self._rows or names != self._names:
            old = self._texts if names == self._names else {}
            new = [row for row in table.rows if row not in old]
            texts = old | dict(zip(new, _row_texts(table, new), strict=True))
            self._texts = {row: texts[row] for row in table.rows}
            self._rows, self._names = table.rows, names
            self._columns = {}
        self._columns = {column.family: self._column(column) for column in table.columns}
        return tuple(kept.chunk for kept in self._columns.values() if kept.chunk.series)

    def _column(self, column: Column) -> _Rendered:
        numbers = msgspec.json.encode(column.values)
        kept = self._columns.get(column.family)
        if kept and (kept.lines, kept.numbers, kept.exemplars) == (column.lines, numbers, column.exemplars):
            return kept
        self.rendered += 1
        holes = tuple(index for index, cell in enumerate(column.values) if cell is None) if b"null" in numbers else ()
        same = kept and (kept.lines, kept.holes) == (column.lines, holes)
        template = kept.template if kept and same else self._template(column, {})
        tokens = tuple(numbers[1:-1].split(b",")) if column.values else ()
        if holes:
            tokens = tuple(token for token in tokens if token != b"null")
        marked = deflate(self._template(column, column.exemplars) % tokens) if column.exemplars else None
        chunk = Chunk(column.family, deflate(template % tokens), len(tokens), marked)
        return _Rendered(column.lines, template, holes, numbers, column.exemplars, chunk)

    def _template(self, column: Column, exemplars: Mapping[int, Exemplar]) -> bytes:
        """Give a family's lines with ``%b`` for each number; a ``%`` in a label is doubled."""
        name = column.family.name
        if len(column.lines) == 1 and not exemplars:
            texts: Iterable[bytes] = self._texts.values()
            if None in column.values:
                texts = [text for text, cell in zip(texts, column.values, strict=True) if cell is not None]
            return b"".join(chain.from_iterable(zip(repeat(name.encode()), texts, repeat(b"} %b\n"))))
        ends = [
            (f"{name}{line.suffix}".encode(), f"{',' if line.label else ''}{line.label}}} %b".encode())
            for line in column.lines
        ]
        values = iter(enumerate(column.values))
        return b"".join(
            start + text + end + (exemplar_text(exemplars[number]) if number in exemplars else b"") + b"\n"
            for text in self._texts.values()
            for (start, end), (number, cell) in zip(ends, values, strict=False)
            if cell is not None
        )


def _row_texts(table: Table, rows: Sequence[tuple[str, ...]]) -> list[bytes]:
    """Give the labels of rows, each open at the end for one that only a line has; parts of a template."""
    shared = [label_text(table.labels).replace("%", "%%%%")] if table.labels else []
    template = "{" + ",".join([*shared, *(f'{name}="%s"' for name in table.names)])
    if SPECIAL.search("".join(chain.from_iterable(rows))):
        rows = [tuple(escape(value).replace("%", "%%") for value in row) for row in rows]
    return [(template % row).encode() for row in rows]


def exemplar_text(exemplar: Exemplar) -> bytes:
    """Give what follows a value in OpenMetrics; a template's text."""
    return f' # {{sessionid="{escape(exemplar.session)}"}} {exemplar.value}'.encode().replace(b"%", b"%%")


def label_text(labels: Labels) -> str:
    """Give labels as both formats write them."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels)


def escape(text: str) -> str:
    """Escape a label value: backslash, line feed and double quote, alike in both formats."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def header(family: Family, form: Format) -> bytes:
    """Give a family's HELP and TYPE lines; OpenMetrics escapes the double quote in HELP too."""
    text = escape(family.help) if form is Format.OPENMETRICS else family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {family.name} {text}\n# TYPE {family.name} {family.kind}\n".encode()


class Snapshots(Protocol):
    """Where an exposition takes its snapshots from: the store."""

    @property
    def version(self) -> int:
        """Another number after each change."""

    def snapshots(self) -> Iterable[Snapshot]:
        """Give what is in force."""


class Exposition:
    """The joined pieces of all snapshots. Joining waits for the first scrape after a change."""

    def __init__(self, store: Snapshots) -> None:
        self._store = store
        self._bodies: dict[Format, tuple[int, Piece]] = {}
        self._headers: dict[tuple[Family, Format], Piece] = {}

    @property
    def version(self) -> int:
        """Another number after each change."""
        return self._store.version

    def body(self, form: Format) -> Piece:
        """Give all data, empty when there is none; the families are in order, the lines of each together."""
        version = self._store.version
        known, body = self._bodies.get(form, (None, Piece()))
        if known != version:
            body = join(self._pieces(form))
            self._bodies[form] = version, body
        return body

    def _pieces(self, form: Format) -> Iterable[Piece]:
        families: dict[str, list[Chunk]] = {}
        for snapshot in self._store.snapshots():
            for chunk in snapshot.chunks:
                families.setdefault(chunk.family.name, []).append(chunk)
        for _, chunks in sorted(families.items()):
            # Two queries may give one family two help texts; the first is shown, for a family can have but one.
            yield self._header(chunks[0].family, form)
            for chunk in chunks:
                yield (chunk.with_exemplars if form is Format.OPENMETRICS else None) or chunk.lines

    def _header(self, family: Family, form: Format) -> Piece:
        key = family, form
        if key not in self._headers:
            self._headers[key] = deflate(header(family, form))
        return self._headers[key]

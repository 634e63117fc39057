"""From tables to the bytes of ``/metrics``: rendered once a poll, joined once a change.

A query's part of a family is compressed as a piece of its own; so are a family's HELP and TYPE lines. Lines of a gauge
are spelled alike in the text format 0.0.4 and in OpenMetrics 1.0.0: both bodies are made of the same pieces, and differ
in HELP lines and the end.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain, compress
from typing import Protocol

import msgspec

from exporter.gzipped import Piece, deflate, join
from exporter.model import Chunk, Column, Exemplar, Family, Labels, Line, Snapshot, Table


class Format(Enum):
    """The exposition formats, by the media types that Prometheus knows them by."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


SPECIAL = re.compile(r'[\\\n"]')
"""What is escaped in a label's value."""

END = "} "
"""What stands between labels and value."""

MISSING = b"null"
"""How a value that is not there is written, until its line is left out."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What is kept of a column between two polls: the numbers, and what became of them."""

    lines: tuple[Line, ...]
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
        tokens = numbers[1:-1].split(b",") if column.values else []
        missing = numbers.count(MISSING)
        there = [token != MISSING for token in tokens] if missing else ()
        chunk = Chunk(column.family, deflate(self._text(column, tokens, there)), len(tokens) - missing)
        if column.exemplars:
            for number, exemplar in column.exemplars.items():
                tokens[number] += exemplar_text(exemplar)
            chunk = replace(chunk, with_exemplars=deflate(self._text(column, tokens, there)))
        return _Rendered(column.lines, numbers, column.exemplars, chunk)

    def _text(self, column: Column, tokens: Sequence[bytes], there: Sequence[bool]) -> bytes:
        """Give a family's lines; a token is a value as it is written, and not all are ``there`` where that is said."""
        starts = [f"\n{column.family.name}{line.suffix}".encode() for line in column.lines] * len(self._texts)
        texts: Sequence[bytes] = list(self._texts.values())
        if len(column.lines) > 1:
            ends = [f"{',' if line.label else ''}{line.label}{END}".encode() for line in column.lines]
            texts = [text.removesuffix(END.encode()) + end for text in texts for end in ends]
        parts: Sequence[Sequence[bytes]] = (starts, texts, tokens)
        if there:
            parts = [list(compress(part, there)) for part in parts]
        # Of all ways to join them this is the fastest, and needs no template that is kept.
        joined = [b"\n"] * (len(parts) * len(parts[0]) + 1)  # the last one stays
        for place, part in enumerate(parts):
            joined[place : -1 : len(parts)] = part
        joined[0] = joined[0].removeprefix(b"\n")
        return b"".join(joined)


def _row_texts(table: Table, rows: Sequence[tuple[str, ...]]) -> list[bytes]:
    """Give the labels of rows, each with its end, which goes for a line that has a label more."""
    shared = [label_text(table.labels).replace("%", "%%")] if table.labels else []
    template = "{" + ",".join([*shared, *(f'{name}="%s"' for name in table.names)]) + END
    if SPECIAL.search("".join(chain.from_iterable(rows))):
        rows = [tuple(map(escape, row)) for row in rows]
    return [(template % row).encode() for row in rows]


def exemplar_text(exemplar: Exemplar) -> bytes:
    """Give what follows a value in OpenMetrics."""
    return f' # {{sessionid="{escape(exemplar.session)}"}} {exemplar.value}'.encode()


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

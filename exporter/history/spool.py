"""What a backfill has so far, in one SQLite file that survives the death of the process at any point.

It holds the samples in the order in which they are written out at the end, which pieces are done, and the answers to
requests of pieces that are not.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self, cast

from isal import isal_zlib

from exporter.exposition import label_text
from exporter.history.openmetrics import Block, Sample
from exporter.model import Bucket, Column, Family, Request, Window

SCHEMA = """
CREATE TABLE run (identity TEXT, began REAL);
CREATE TABLE done (query TEXT, start INTEGER, PRIMARY KEY (query, start)) WITHOUT ROWID;
CREATE TABLE answer (query TEXT, start INTEGER, request BLOB, body BLOB, PRIMARY KEY (query, start, request));
CREATE TABLE family (id INTEGER PRIMARY KEY, name TEXT UNIQUE, help TEXT, kind TEXT);
CREATE TABLE metric (id INTEGER PRIMARY KEY, family INTEGER, labels TEXT, lines TEXT, UNIQUE (family, labels));
CREATE TABLE sample (metric INTEGER, at INTEGER, line INTEGER, value, PRIMARY KEY (metric, at, line)) WITHOUT ROWID;
"""

PRAGMAS = (
    "journal_mode = WAL",
    # It is the process that may die, not the machine; and even then the file is whole, only older.
    "synchronous = NORMAL",
    "locking_mode = EXCLUSIVE",
    # Answers may name persons: what is deleted shall be gone.
    "secure_delete = ON",
    "cache_size = -65536",
)

INTEGERS = range(-(2**63), 2**63)
"""What SQLite has integers for; a larger one is a float of the same size in Prometheus anyhow."""

# isal's own types have the error as a value.
DAMAGED = sqlite3.Error, cast("type[Exception]", isal_zlib.error)
"""What comes of a file whose content is not what was written."""


class SpoolError(Exception):
    """The file can't be used; the text names it, and what to do."""


class Spool:
    """The state of one backfill, in a file that only this process has open.

    All that reads or writes it may raise a SpoolError.
    """

    def __init__(self, path: Path, identity: str, now: float) -> None:
        """Open the file or begin a new one.

        Args:
            path: the file.
            identity: what is asked for; a file of something else is refused.
            now: Unix seconds, remembered as the beginning of a new run.

        Raises:
            SpoolError: the file can't be used, or is of something else.
        """
        self._path = path
        with self._guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Answers may name persons.
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        with contextlib.ExitStack() as stack, self._guarded():
            stack.callback(self._db.close)
            self.resumed, self.began = self._open(identity, now)
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def remove(self) -> None:
        """Forget everything, for all is done."""
        with self._guarded():
            self._db.close()
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def is_done(self, query: str, piece: Window) -> bool:
        """Whether a piece of a query is done."""
        return self._one("SELECT 1 FROM done WHERE query = ? AND start = ?", query, piece.start) is not None

    def count_done(self, query: str) -> int:
        """Give how many pieces of a query are done."""
        (count,) = self._one("SELECT count(*) FROM done WHERE query = ?", query) or (0,)
        return int(count)

    def finish(self, query: str, piece: Window, buckets: Iterable[Bucket] = ()) -> None:
        """Take the samples of a piece, and note that it is done: both or neither."""
        with self._guarded(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for bucket in buckets:
                for column in bucket.table.columns:
                    self._put(bucket, column)
            self._db.execute("DELETE FROM answer WHERE query = ? AND start = ?", (query, piece.start))
            self._db.execute("INSERT INTO done VALUES (?, ?)", (query, piece.start))

    def answer(self, query: str, piece: Window, request: Request) -> bytes | None:
        """Give the answer to a request of a piece, if it has come before."""
        key = (query, piece.start, _digest(request))
        row = self._one("SELECT body FROM answer WHERE query = ? AND start = ? AND request = ?", *key)
        with self._guarded():
            return isal_zlib.decompress(row[0]) if row else None

    def keep(self, query: str, piece: Window, request: Request, body: bytes) -> None:
        """Keep the answer to a request of a piece until that is done."""
        row = (query, piece.start, _digest(request), isal_zlib.compress(body, 1))
        with self._guarded():
            self._db.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", row)

    def blocks(self) -> Iterator[Block]:
        """Give all samples, family by family in the order of their names."""
        with (
            self._guarded(),
            closing(self._db.execute("SELECT id, name, help, kind FROM family ORDER BY name")) as families,
        ):
            for number, name, help_, kind in families:
                yield Block(Family(name, help_, kind), self._samples(number))

    def _open(self, identity: str, now: float) -> tuple[bool, float]:
        for pragma in PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("BEGIN EXCLUSIVE")
        resumed = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone() is not None
        if not resumed:
            for statement in filter(None, map(str.strip, SCHEMA.split(";"))):
                self._db.execute(statement)
            self._db.execute("INSERT INTO run VALUES (?, ?)", (identity, now))
        found, began = self._db.execute("SELECT identity, began FROM run").fetchone() or (None, now)
        self._db.execute("COMMIT")
        if found != identity:
            raise SpoolError(
                f"{self._path}: is of another backfill, or of other queries; finish that one, or delete the file"
            )
        return resumed, began

    def _put(self, bucket: Bucket, column: Column) -> None:
        table, lines = bucket.table, column.lines
        kinds = json.dumps([(line.suffix, line.label) for line in lines])
        values = iter(column.values)
        rows: list[tuple[int, int, int, object]] = []
        for row in table.rows:
            labels = label_text((*table.labels, *zip(table.names, row, strict=True)))
            cells = [
                (number, cell) for number, cell in zip(range(len(lines)), values, strict=False) if cell is not None
            ]
            if cells:
                metric = self._metric(column.family, labels, kinds)
                rows += [(metric, bucket.period.end, number, _stored(cell)) for number, cell in cells]
        self._db.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", rows)

    def _metric(self, family: Family, labels: str, lines: str) -> int:
        own = self._family(family)
        self._db.execute("INSERT OR IGNORE INTO metric (family, labels, lines) VALUES (?, ?, ?)", (own, labels, lines))
        (number,) = self._db.execute("SELECT id FROM metric WHERE family = ? AND labels = ?", (own, labels)).fetchone()
        return int(number)

    def _family(self, family: Family) -> int:
        row = (family.name, family.help, family.kind)
        self._db.execute("INSERT OR IGNORE INTO family (name, help, kind) VALUES (?, ?, ?)", row)
        (number,) = self._db.execute("SELECT id FROM family WHERE name = ?", (family.name,)).fetchone()
        return int(number)

    def _samples(self, family: int) -> Iterator[Sample]:
        # Nested, for a join could need all of it sorted at once.
        metrics = self._db.execute("SELECT id, labels, lines FROM metric WHERE family = ? ORDER BY labels", (family,))
        with self._guarded(), closing(metrics):
            for metric, labels, kinds in metrics:
                lines = [(suffix, f"{labels},{label}" if label else labels) for suffix, label in json.loads(kinds)]
                samples = self._db.execute(
                    "SELECT line, at, value FROM sample WHERE metric = ? ORDER BY at, line", (metric,)
                )
                for line, at, value in samples:
                    suffix, own = lines[line]
                    yield Sample(suffix, own, at, value)

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with self._guarded():
            row: tuple[Any, ...] | None = self._db.execute(statement, values).fetchone()
            return row

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Tell what goes wrong with the file as a SpoolError."""
        try:
            yield
        except OSError as error:
            raise SpoolError(f"{self._path}: the state can't be kept: {error.strerror}") from None
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise SpoolError(f"{self._path}: another backfill is at work on it") from None
            raise SpoolError(f"{self._path}: the state can't be kept: {error}") from None
        except DAMAGED as error:
            raise SpoolError(
                f"{self._path}: is no state of a backfill, or damaged ({error}); delete the file to begin anew"
            ) from None


def _digest(request: Request) -> bytes:
    return hashlib.sha256(repr((request.endpoint, request.path, request.params)).encode()).digest()


def _stored(cell: object) -> object:
    return float(cell) if isinstance(cell, int) and cell not in INTEGERS else cell

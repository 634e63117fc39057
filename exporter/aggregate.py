"""From many rows to one a group, page by page: what is kept is the groups, never the rows.

A page's rows are gone once they are added. What stays is one state for each group and field, the ids of the last two
pages (rows move from a page to the next while one asks), and for a ``distinct`` field a hash of each value.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

from exporter.model import ROW_ID, ROW_TIME, Cell, Exemplar, Fold, Part, Query, Row
from exporter.normalise import Tabulator, clean, columns_of, finite, keys_of, label, scaled

LONGEST_SESSION = 128 - len("sessionid")
"""Characters of a session's id: a longer one does not fit an exemplar (OpenMetrics 1.0.0, Exemplars)."""

Key = tuple[str, ...]


class State(Protocol):
    """What is known of one field of one group so far."""

    def add(self, cell: Cell, row: Row) -> None:
        """Take the field's value of one more row; ``None`` where it is missing."""

    def cells(self) -> dict[str, Cell]:
        """Give the values that come of it, by the suffix of their field."""


def added(one: float, other: float) -> int | float:
    """Add two numbers; what goes beyond all floats is infinite, and not exported in the end."""
    try:
        return one + other
    except OverflowError:
        return math.inf


class Sum:
    """Adds up; integers stay integers."""

    def __init__(self) -> None:
        self._sum: Cell = None

    def add(self, cell: Cell, _: Row) -> None:
        """Add a number."""
        if cell is not None:
            self._sum = cell if self._sum is None else added(self._sum, cell)

    def cells(self) -> dict[str, Cell]:
        """Give the sum, nothing if there was no number."""
        return {"": self._sum}


class Max:
    """Keeps the largest."""

    def __init__(self) -> None:
        self._max: Cell = None

    def add(self, cell: Cell, _: Row) -> None:
        """Look at a number."""
        if cell is not None and (self._max is None or cell > self._max):
            self._max = cell

    def cells(self) -> dict[str, Cell]:
        """Give the largest, nothing if there was no number."""
        return {"": self._max}


class Newest:
    """Keeps the value of the latest row; rows without a time are no candidates."""

    def __init__(self) -> None:
        self._time = -math.inf
        self._value: Cell = None

    def add(self, cell: Cell, row: Row) -> None:
        """Look at a number and the time that it is of."""
        time = row.get(ROW_TIME)
        if isinstance(time, int | float) and time >= self._time:
            self._time, self._value = time, cell

    def cells(self) -> dict[str, Cell]:
        """Give the latest value."""
        return {"": self._value}


class Distinct:
    """Counts different values by their hashes: of two million, two are taken for one once in ten million times."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def add(self, cell: Cell, _: Row) -> None:
        """Look at a value's hash."""
        if isinstance(cell, int):
            self._seen.add(cell)

    def cells(self) -> dict[str, Cell]:
        """Give how many there were."""
        return {"": len(self._seen)}


class Distribution:
    """Counts values by bucket. With ``exemplars`` it keeps the row id of the largest value of each bucket."""

    def __init__(self, bounds: tuple[float, ...], *, exemplars: bool) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum: int | float = 0
        self._exemplars = exemplars
        self._largest: dict[int, tuple[int | float, str]] = {}

    def add(self, cell: Cell, row: Row) -> None:
        """Put a number into its bucket."""
        if cell is None:
            return
        bucket = bisect_left(self._bounds, cell)
        self._counts[bucket] += 1
        self._sum = added(self._sum, cell)
        if self._exemplars and (bucket not in self._largest or cell > self._largest[bucket][0]):
            self._largest[bucket] = cell, label(row.get(ROW_ID))  # a text, and as one it may have to be cleaned

    def cells(self) -> dict[str, Cell]:
        """Give the buckets, each with those below it, the sum and the count."""
        names = [*(f"\0{float(bound)}" for bound in self._bounds), "\0+Inf"]
        total, cells = 0, dict[str, Cell]()
        for name, count in zip(names, self._counts, strict=True):
            total += count
            cells[name] = total
        return {**cells, "\0sum": self._sum, "\0count": total}

    def examples(self) -> dict[str, Exemplar]:
        """Give the largest of each bucket, by the suffix of its field."""
        names = [*(f"\0{float(bound)}" for bound in self._bounds), "\0+Inf"]
        return {
            names[bucket]: Exemplar(name, value)
            for bucket, (value, name) in self._largest.items()
            if 0 < len(name) <= LONGEST_SESSION
        }


FOLDS: dict[Fold, type[Sum | Max | Newest | Distinct]] = {
    "sum": Sum,
    "max": Max,
    "newest": Newest,
    "distinct": Distinct,
}


class Aggregate:
    """Gathers the rows of one part of a query."""

    def __init__(self, query: Query, part: Part) -> None:
        self._query = query
        self._part = part
        self._metrics = {metric.field: metric for metric in query.metrics}
        self._groups: dict[Key, list[State]] = {}
        self._ids: set[object] = set()
        self._ids_before: set[object] = set()
        self._ids_first: set[object] = set()
        self.rows = 0
        """How many rows were added."""
        self.invalid = 0
        """Rows that were no object, had a dimension that is no text, or a value that is no number."""
        self.duplicate = 0
        """Rows that came twice."""

    def add(self, rows: Sequence[object]) -> int:
        """Take a page of rows; gives how many of them had not come before."""
        objects: list[Row] = [row for row in rows if isinstance(row, dict)]
        fresh = self._fresh(objects)
        invalid: set[int] = set()
        keys = keys_of(columns_of(fresh, self._query.dimensions), len(fresh), self._query, invalid)
        columns = [self._column(field, fold, fresh, invalid) for field, fold in self._part.folds]
        self.rows += len(rows)
        self.invalid += len(rows) - len(objects) + len(invalid)
        for number, (key, row) in enumerate(zip(keys, fresh, strict=True)):
            if key is None:
                continue
            states = self._groups.get(key)
            if states is None:
                states = self._groups[key] = [self._state(field, fold) for field, fold in self._part.folds]
            for state, column in zip(states, columns, strict=True):
                state.add(column[number], row)
        return len(fresh)

    def finish(self, tabulator: Tabulator) -> None:
        """Hand over a row for each group, and what was counted."""
        tabulator.count("invalid", self.invalid)
        tabulator.count("duplicate", self.duplicate)
        fields: tuple[str, ...] = ()
        rows: list[dict[str, Cell]] = []
        for key, states in self._groups.items():
            row: dict[str, Cell] = {}
            for (field, _), state in zip(self._part.folds, states, strict=True):
                row.update((field + suffix, cell) for suffix, cell in state.cells().items())
                if isinstance(state, Distribution):
                    for suffix, exemplar in state.examples().items():
                        tabulator.exemplars[key, field + suffix] = exemplar
            rows.append(row)
            fields = tuple(row)
        tabulator.put(list(self._groups), [[_exportable(row[field]) for row in rows] for field in fields], fields)

    def _fresh(self, rows: Sequence[Row]) -> list[Row]:
        """Leave out rows that this page, the one before or the first one had already.

        Data moves while one turns pages, and a vendor that loses its place begins anew.
        """
        fresh = []
        for row in rows:
            name = row.get(ROW_ID)
            known = name is not None and (name in self._ids or name in self._ids_before or name in self._ids_first)
            self._ids.add(name)
            if known:
                self.duplicate += 1
            else:
                fresh.append(row)
        self._ids_first = self._ids_first or self._ids
        self._ids_before, self._ids = self._ids, set()
        return fresh

    def _column(self, field: str, fold: Fold, rows: Sequence[Row], invalid: set[int]) -> Sequence[Cell]:
        values = [row.get(field) for row in rows]
        if fold == "distinct":
            invalid |= {number for number, value in enumerate(values) if not isinstance(value, str | int | None)}
            return [hash(value) if isinstance(value, str | int) and value != "" else None for value in values]
        if fold == "newest":
            invalid |= {number for number, row in enumerate(rows) if row.get(ROW_TIME) is None}
        cells = clean(values, 0 if self._query.on_missing == "zero" else None, invalid)
        if fold != "distribution":
            return cells
        # A session has no negative time or share, and a histogram with one could have no sum (OpenMetrics 1.0.0).
        negative = {number for number, cell in enumerate(cells) if cell is not None and cell < 0}
        invalid |= negative
        measured = [None if number in negative else cell for number, cell in enumerate(cells)] if negative else cells
        return scaled(measured, self._metrics[field].scale)

    def _state(self, field: str, fold: Fold) -> State:
        if fold == "distribution":
            return Distribution(self._metrics[field].bounds, exemplars=self._query.exemplars)
        return FOLDS[fold]()


def _exportable(cell: Cell) -> Cell:
    """Leave out a sum that went beyond all floats."""
    return cell if cell is not None and finite(cell) else None

"""From a vendor's rows to samples: unique label rows, and one clean column of numbers for each family. Pure.

What becomes of a value (contract section 4): numbers and numeric texts are exported, booleans as 1 and 0; null, ``""``,
NaN and infinities follow ``on_missing``; anything else drops its sample and makes its row count as ``invalid``.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import itemgetter

import msgspec

from exporter.catalog import sanitise
from exporter.model import Cell, Column, Exemplar, Metric, Query, Row, Table
from exporter.providers.decode import STEP

NUMERIC = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
NOT_FINITE = re.compile(r"(?:[+-]?(?:nan|inf|infinity))?", re.IGNORECASE)
NOT_IN_A_LABEL = re.compile("[\0\ud800-\udfff]")
"""A lone surrogate has no UTF-8, so that it would cost the whole scrape; a NUL ends a text for many a reader."""

NUMBERS = frozenset((int, float))

Key = tuple[str, ...]


class JunkError(ValueError):
    """A value is neither a number nor missing, or a dimension's value is no text."""


class Keys:
    """Makes label rows of a query's columns, and remembers those of its last poll's first page: often all are the same.

    What it keeps is bounded by one page.
    """

    def __init__(self) -> None:
        self._columns: list[list[object]] = []
        self._keys: list[Key | None] = []
        self._numbers: dict[Key | None, int] = {}

    def numbered(self, keys: Sequence[Key | None]) -> dict[Key | None, int]:
        """Give a dictionary of its own with the rows' numbers by their label values."""
        if keys is not self._keys:
            return numbered(keys)
        self._numbers = self._numbers or numbered(keys)
        return self._numbers.copy()

    def of(self, columns: list[list[object]], query: Query, invalid: set[int]) -> list[Key | None]:
        """Give the label values of rows, as :func:`keys_of` does."""
        if self._columns and columns == self._columns:
            return self._keys
        broken: set[int] = set()
        keys = keys_of(columns, len(columns[0]), query, broken)
        invalid |= broken
        # Only what is as it should be, and will be needed: to Python 1 and true are the same, and a page may be huge.
        usual = not broken and len(keys) <= query.max_series
        usual = usual and all(set(map(type, column)) == {str} for column in columns)
        self._columns, self._keys, self._numbers = (columns, keys, {}) if usual else ([], [], {})
        return keys


class Tabulator:
    """Gathers the rows of one poll, page by page, into a :class:`Table`; ``keys`` go on from poll to poll."""

    def __init__(self, query: Query, keys: Keys | None = None) -> None:
        self.query = query
        self._keys = keys
        self.full = False
        """Whether a row was left out for want of a place: more pages would bring nothing."""
        self._dropped: Counter[str] = Counter()
        self._index: dict[Key, int] = {}
        self.exemplars: dict[tuple[Key, str], Exemplar] = {}
        """Rows that stand for many, by labels and field."""
        self._columns: dict[str, list[Cell]] = {line.field: [] for metric in query.metrics for line in metric.lines}
        # A field that is exported under two names makes two series.
        self._series_of = Counter(line.field for metric in query.metrics for line in metric.lines)
        self._seen: dict[tuple[str, ...], set[int]] = {}
        self._series = 0

    def add(self, rows: Sequence[object], fields: tuple[str, ...]) -> int:
        """Take a page of rows that carry ``fields``; rows of different requests with the same labels become one.

        Gives how many of them found a place.
        """
        before = len(self._seen.get(fields, ()))
        objects: list[Row] = [row for row in rows if isinstance(row, dict)]
        invalid: set[int] = set()
        labels, values, whole = self._read(objects, fields, invalid)
        if self._keys and labels and not self._index:
            keys = self._keys.of(labels, self.query, invalid)
        else:
            keys = keys_of(labels, len(objects), self.query, invalid)
        self._dropped["invalid"] += len(rows) - len(objects) + len(invalid)
        self._put(keys, values, fields, whole=whole)
        return len(self._seen.get(fields, ())) - before

    def _read(
        self, rows: Sequence[Row], fields: tuple[str, ...], invalid: set[int]
    ) -> tuple[list[list[object]], list[list[Cell]], bool]:
        """Give a column of each dimension, a clean one of each field, and whether all of these were clean already."""
        missing = 0 if self.query.on_missing == "zero" else None
        labels: list[list[object]] = [[] for _ in self.query.dimensions]
        values: list[list[Cell]] = [[] for _ in fields]
        whole = True
        # Some rows at a time: the processor still has them at hand for the next name, and other threads a turn.
        for start in range(0, len(rows), STEP):
            some = rows[start : start + STEP]
            for label_column, name in zip(labels, self.query.dimensions, strict=True):
                label_column.extend(_column_of(some, name))
            for column, name in zip(values, fields, strict=True):
                cells = clean(sent := _column_of(some, name), missing, invalid, start)
                whole = whole and cells is sent
                column.extend(cells)
        return labels, values, whole

    def put(self, keys: Sequence[Key | None], values: Sequence[list[Cell]], fields: tuple[str, ...]) -> None:
        """Take rows that are clean: their label values, ``None`` for one to leave out, and a column for each field."""
        self._put(keys, values, fields, whole=not any(None in column for column in values))

    def _put(
        self, keys: Sequence[Key | None], values: Sequence[list[Cell]], fields: tuple[str, ...], *, whole: bool
    ) -> None:
        if not (whole and self._place_all(keys, values, fields)):
            for row, key in enumerate(keys):
                if key is not None:
                    self._place(key, [column[row] for column in values], fields)

    def count(self, reason: str, rows: int) -> None:
        """Count rows that were left out, or lost a value, before they came here."""
        self._dropped[reason] += rows

    def leave(self, rows: int) -> None:
        """Count rows that are left out because a bound is reached; with ``top``, it is ``max_rows``."""
        self.full = True
        self._dropped["limit"] += rows

    @property
    def series(self) -> int:
        """How many series there may be."""
        return self._series

    @property
    def room(self) -> bool:
        """Whether another sample may come."""
        return self._fits(samples=1, rows=0 if self.query.top is None else 1)

    def table(self) -> Table:
        """Give what was gathered, in base units; with ``top``, only the first rows by ``order_by``."""
        query = self.query
        rows: Sequence[Key] = list(self._index)
        columns = {field: self._filled(field) for field in self._columns}
        dropped = Counter(self._dropped)
        if query.top is not None:
            best, left = self._best(columns, query.top)
            dropped["limit"] += left
            rows = [rows[index] for index in best]
            columns = {field: [column[index] for index in best] for field, column in columns.items()}
        return Table(
            labels=query.labels,
            names=tuple(sanitise(dimension) for dimension in query.dimensions),
            rows=rows,
            columns=tuple(self._column(metric, rows, columns) for metric in query.metrics),
            dropped=+dropped,
        )

    def _filled(self, field: str) -> Sequence[Cell]:
        """Give a field's column. Where a missing value is 0, so is that of a row that only other requests brought."""
        column = self._columns[field]
        if self.query.on_missing == "absent":
            return column
        brought = set[int]().union(*(rows for fields, rows in self._seen.items() if field in fields))
        if len(brought) == len(column):
            return column
        return [0 if row not in brought else cell for row, cell in enumerate(column)]

    def _best(self, columns: Mapping[str, Sequence[Cell]], top: int) -> tuple[Sequence[int], int]:
        """Give the numbers of the first rows by ``order_by``, and how many of them ``max_series`` leaves out."""
        query, count = self.query, len(self._index)
        if count <= top and self._series <= query.max_series:
            return range(count), 0
        # What the exporter aggregated may have no such column: the first number of a row then stands for it.
        counts = (metric.field for metric in query.metrics if metric.family.kind == "gauge")
        order = columns.get(query.order_by, columns.get(next(counts, "")))
        best = range(count) if order is None else first(order, top, descending=query.order == "desc")
        series = 0
        for place, row in enumerate(best):
            series += sum(times for field, times in self._series_of.items() if columns[field][row] is not None)
            if series > query.max_series:
                return best[:place], len(best) - place
        return best, 0

    def _column(self, metric: Metric, rows: Sequence[Key], columns: Mapping[str, Sequence[Cell]]) -> Column:
        lines = metric.lines
        if metric.family.kind == "gauge":
            return Column(metric.family, lines, scaled(columns[metric.field], metric.scale))
        # A distribution has its values row by row, and was scaled before it was counted.
        cells = [columns[line.field] for line in lines]
        exemplars = {
            number * len(lines) + place: self.exemplars[row, line.field]
            for number, row in enumerate(rows if self.exemplars else ())
            for place, line in enumerate(lines)
            if (row, line.field) in self.exemplars
        }
        return Column(metric.family, lines, [cell for row in zip(*cells, strict=True) for cell in row], exemplars)

    def _place_all(self, keys: Sequence[Key | None], values: Sequence[list[Cell]], fields: tuple[str, ...]) -> bool:
        """Take a page without missing samples whole if it is as pages are: new rows only, and room for all."""
        start, count = len(self._index), len(keys)
        fresh = self._keys.numbered(keys) if self._keys and not start else numbered(keys, start)
        samples = count * self._reserved()
        as_usual = len(fresh) == count and None not in fresh and fresh.keys().isdisjoint(self._index)
        if not as_usual or not self._fits(samples, count):
            return False
        known = dict(zip(fields, values, strict=True))
        new = {field: known.get(field, [None] * count) for field in self._columns}
        if self._index:
            self._index.update(fresh)  # type: ignore[arg-type]  # no key is None here
            for field, column in self._columns.items():
                column.extend(new[field])
        else:
            # The first page, as a rule the only one, is taken as it is.
            self._index, self._columns = fresh, new  # type: ignore[assignment]  # as above
        self._seen.setdefault(fields, set()).update(range(start, start + count))
        self._series += samples
        return True

    def _place(self, key: Key, cells: Sequence[Cell], fields: tuple[str, ...]) -> None:
        row = self._index.get(key)
        seen = self._seen.setdefault(fields, set())
        if row is not None and row in seen:
            self._dropped["duplicate"] += 1
            return
        if len(fields) < len(self._columns):
            samples = self._reserved() if row is None else 0
        else:
            samples = sum(self._series_of[field] for field, cell in zip(fields, cells, strict=True) if cell is not None)
        if not self._fits(samples, 1 if row is None else 0):
            self.leave(1)
            return
        if row is None:
            row = self._index[key] = len(self._index)
            for column in self._columns.values():
                column.append(None)
        seen.add(row)
        self._series += samples
        for field, cell in zip(fields, cells, strict=True):
            self._columns[field][row] = cell

    def _fits(self, samples: int, rows: int) -> bool:
        """Whether so many samples, of so many new rows, have room."""
        rows += len(self._index)
        if self.query.top is not None:
            # Which rows are the first by `order_by` is known when all have come.
            return rows <= self.query.max_rows
        # A row without a sample takes no series, and yet a place: an endless answer of them must have an end.
        return self._series + samples <= self.query.max_series and rows <= self.query.max_series

    def _reserved(self) -> int:
        """Give the series that a row may come to: the fields that other requests bring have to find room too."""
        return sum(self._series_of.values())


def numbered(keys: Sequence[Key | None], start: int = 0) -> dict[Key | None, int]:
    """Give the rows' numbers by their label values."""
    return dict(zip(keys, range(start, start + len(keys)), strict=True))


def columns_of(rows: Sequence[Row], names: Sequence[str]) -> list[list[object]]:
    """Give the rows' values, name by name; ``None`` where a row lacks one."""
    return [_column_of(rows, name) for name in names]


def _column_of(rows: Sequence[Row], name: str) -> list[object]:
    try:
        return list(map(itemgetter(name), rows))  # half the time of asking each row whether it has one
    except KeyError:
        return [row.get(name) for row in rows]


def keys_of(columns: Sequence[Sequence[object]], rows: int, query: Query, invalid: set[int]) -> list[Key | None]:
    """Give the label values of so many rows; ``None``, and its number in ``invalid``, where one can't be a label.

    There is a column for each of the query's dimensions.
    """
    if not columns:
        return [()] * rows
    broken: set[int] = set()
    keys: list[Key | None] = list(zip(*(labels(column, query, broken) for column in columns), strict=True))
    for row in broken:
        keys[row] = None
    invalid |= broken
    return keys


def clean(column: list[object], missing: Cell, invalid: set[int], start: int = 0) -> list[Cell]:
    """Make numbers of a column's values, ``missing`` of those that are missing; rows of junk go into ``invalid``.

    The first row is number ``start``. A column that is clean is given back itself.
    """
    if NUMBERS.issuperset(map(type, column)) and all_finite(column):
        return column  # type: ignore[return-value]  # nothing but int and float, as was just seen
    cells: list[Cell] = []
    for row, value in enumerate(column, start):
        try:
            cell = number(value)
            cells.append(missing if cell is None else cell)
        except JunkError:
            cells.append(None)
            invalid.add(row)
    return cells


def number(value: object) -> Cell:
    """Read one value of a metric; ``None`` if it is missing or not finite.

    Raises:
        JunkError: it is neither a number nor missing.
    """
    if isinstance(value, str):
        text = value.strip()
        if NOT_FINITE.fullmatch(text):
            return None
        if not NUMERIC.fullmatch(text):
            raise JunkError
        # Python refuses to read integers of thousands of digits; as a float such a one is infinite anyhow.
        value = float(text) if set(text) & set(".eE") or len(text) > len(str(2**1024)) else int(text)
    if value is None:
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value if finite(value) else None
    raise JunkError


def finite(value: object) -> bool:
    """Whether a number can be exported: neither an infinity, nor an integer beyond all floats."""
    return all_finite((value,))


def all_finite(column: Sequence[object]) -> bool:
    """Whether all of a column's numbers can be exported, and so can their sum: of one number, whether it can.

    An infinity or NaN makes the sum one, which takes a third of the time of asking each number.
    """
    try:
        return math.isfinite(sum(column))  # type: ignore[arg-type]  # callers pass int and float
    except OverflowError:
        return False


def labels(column: Sequence[object], query: Query, broken: set[int]) -> list[str]:
    """Make label values of a dimension's values.

    Rows with a value that is no text, or too long for the query, go into ``broken``: cut, two could become one.
    """
    longest = query.max_label_length
    if set(map(type, column)) <= {str} and "" not in column:
        texts: list[str] = list(column)  # type: ignore[arg-type]  # nothing but str, as was just seen
        if max(map(len, texts), default=0) <= longest and not NOT_IN_A_LABEL.search("".join(texts)):
            return texts
    texts = []
    for row, value in enumerate(column):
        try:
            text = label(value) or query.empty_label
        except JunkError:
            text = query.empty_label
            broken.add(row)
        if len(text) > longest:
            broken.add(row)
        texts.append(text)
    return texts


def label(value: object) -> str:
    """Read one value of a dimension; empty if it is missing.

    Raises:
        JunkError: it is a list or an object.
    """
    if isinstance(value, str):
        return NOT_IN_A_LABEL.sub("\ufffd", value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value) if finite(value) else ""
    if value is None:
        return ""
    raise JunkError


def first(column: Sequence[Cell], count: int, *, descending: bool) -> list[int]:
    """Give the numbers of the first rows by a column; rows without a value come last, equal ones as they stood."""
    there = [row for row, cell in enumerate(column) if cell is not None]
    there.sort(key=lambda row: column[row] or 0, reverse=descending)
    return [*there, *(row for row, cell in enumerate(column) if cell is None)][:count]


def scaled(column: Sequence[Cell], scale: float) -> Sequence[Cell]:
    """Give a column in its base unit.

    A power of ten moves the decimal point of what the vendor wrote: 1.1 % is 0.011, not 0.011000000000000001.
    """
    if scale == 1 or not column:
        return column
    sign, digits, exponent = Decimal(repr(scale)).normalize().as_tuple()
    whole = set(map(type, column)) == {int}
    if sign == 0 and digits == (1,) and isinstance(exponent, int) and not (whole and exponent > 0):
        return _shifted(column, exponent)
    factor = int(scale) if float(scale).is_integer() else scale
    products = (None if cell is None else cell * factor for cell in column)
    return [product if product is not None and finite(product) else None for product in products]


def _shifted(column: Sequence[Cell], exponent: int) -> Sequence[Cell]:
    """Move the decimal point by appending an exponent to each number's text, the whole column at once."""
    text = msgspec.json.encode(column)
    suffix = f"e{exponent}".encode()
    shifted = (text[1:-1].replace(b",", suffix + b",") + suffix).replace(b"null" + suffix, b"null")
    if b"e" not in text:
        try:
            cells: list[Cell] = msgspec.json.decode(b"[" + shifted + b"]")
        except msgspec.ValidationError:
            pass  # one of them is out of range
        else:
            return cells
    return [None if cell is None else _shifted_one(repr(cell), exponent) for cell in column]


def _shifted_one(text: str, exponent: int) -> Cell:
    digits, _, own = text.partition("e")
    shifted = float(f"{digits}e{int(own or 0) + exponent}")
    return shifted if finite(shifted) else None

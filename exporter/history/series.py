"""From the table of a bucket to series with points, stamped with the end of the bucket."""

from collections.abc import Iterator

from exporter.model import Bucket, Column, Labels, Line, Series, Table

MILLISECONDS = 1000


def series(bucket: Bucket) -> Iterator[Series]:
    """Give a bucket's samples, each as a series of one point: family by family, in the order of the table's rows."""
    stamp = bucket.period.end * MILLISECONDS
    for column in bucket.table.columns:
        for labels, value in _samples(bucket.table, column):
            yield Series(labels, ((stamp, value),))


def _samples(table: Table, column: Column) -> Iterator[tuple[Labels, int | float]]:
    values = iter(column.values)
    for row in table.rows:
        own = (*table.labels, *zip(table.names, row, strict=True))
        for line, value in zip(column.lines, values, strict=False):
            if value is not None:
                yield (("__name__", column.family.name + line.suffix), *own, *_bound(line)), value


def _bound(line: Line) -> Labels:
    """Give the label that a line of a distribution has beside the row's."""
    name, _, value = line.label.partition("=")
    return ((name, value.strip('"')),) if name else ()

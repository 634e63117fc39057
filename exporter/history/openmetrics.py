"""History as ``promtool tsdb create-blocks-from openmetrics`` reads it: OpenMetrics with a time for each sample."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from exporter.exposition import Format, header
from exporter.model import Family

END = b"# EOF\n"


class Block(NamedTuple):
    """All samples of one family, those of a series together and in the order of their times."""

    family: Family
    samples: Iterable["Sample"]


class Sample(NamedTuple):
    """One sample: what follows the family's name, the labels as they are written, Unix seconds and the value."""

    suffix: str
    labels: str
    at: int
    value: int | float


def text(blocks: Iterable[Block]) -> Iterator[bytes]:
    """Give the file in pieces; no more of it is held than one of them."""
    for family, samples in blocks:
        yield header(family, Format.OPENMETRICS)
        for suffix, labels, at, value in samples:
            yield f"{family.name}{suffix}{{{labels}}} {value!r} {at}\n".encode()
    yield END

"""The exporter's own families that tell something of each query.

prometheus-client writes every line of a family at every scrape, at some 20 us each: of thousands of queries that is a
second. Here a query's lines are written when they change, and a scrape joins them; the text is prometheus-client's.
"""

import math
from collections.abc import Collection, Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from exporter.exposition import label_text

Key = tuple[str, ...]
"""The values of a family's labels; source and query are the first two."""

Value = tuple[str, str, float]
"""A sample: a suffix of the family's name, the label ``le`` where there is one, and a number."""


class ByQuery:
    """One family. It is a collector of prometheus-client too, for who wants samples instead of text."""

    def __init__(self, name: str, text: str, kind: str, labels: Sequence[str]) -> None:
        self.name, self.documentation, self.type = name, text, kind
        self.labels = tuple(labels)
        self._known: dict[Key, tuple[Value, ...]] = {}
        self._lines: dict[Key, str] = {}

    def forget(self, queries: Collection[tuple[str, str]]) -> None:
        """Tell nothing of these queries any more."""
        for key in [key for key in self._known if key[:2] in queries]:
            del self._known[key], self._lines[key]

    def text(self) -> str:
        """Give all lines, alike in both formats."""
        return "".join(self._lines.values())

    def describe(self) -> tuple[Metric]:
        """Give the family without samples."""
        return (Metric(self.name, self.documentation, self.type),)

    def collect(self) -> tuple[Metric]:
        """Give the family."""
        (family,) = self.describe()
        for key, values in self._known.items():
            labels = dict(zip(self.labels, key, strict=True))
            for suffix, le, number in values:
                family.add_sample(self.name + suffix, labels | ({"le": le} if le else {}), number)
        return (family,)

    def _put(self, key: Key, values: Iterable[Value]) -> None:
        values = tuple(values)
        # "le" comes before all other labels that a histogram has.
        labels = label_text(tuple(sorted(zip(self.labels, key, strict=True)))) + "} "
        starts = (f'{self.name}{suffix}{{le="{le}",' if le else f"{self.name}{suffix}{{" for suffix, le, _ in values)
        numbers = (_text(number) for _, _, number in values)
        self._known[key] = values
        self._lines[key] = "".join(f"{start}{labels}{number}\n" for start, number in zip(starts, numbers, strict=True))


class Numbers(ByQuery):
    """A gauge or a counter."""

    def set(self, key: Key, number: float) -> None:
        """Tell this number from now on."""
        self._put(key, [("_total" if self.type == "counter" else "", "", float(number))])

    def add(self, key: Key, number: float = 1) -> None:
        """Tell so much more than before; the first is told from 0."""
        ((_, _, before),) = self._known.get(key, (("", "", 0.0),))
        self.set(key, before + number)


class Durations(ByQuery):
    """A histogram of seconds; ``limits`` are its buckets' upper ends, without the last."""

    def __init__(self, name: str, text: str, labels: Sequence[str], limits: Sequence[float]) -> None:
        super().__init__(name, text, "histogram", labels)
        self._limits = (*map(float, limits), math.inf)
        buckets = (("_bucket", _text(limit), 0.0) for limit in self._limits)
        self._none: tuple[Value, ...] = (*buckets, ("_count", "", 0.0), ("_sum", "", 0.0))

    def observe(self, key: Key, seconds: float) -> None:
        """Count one."""
        steps = (*(float(seconds <= limit) for limit in self._limits), 1.0, seconds)
        before = self._known.get(key, self._none)
        self._put(key, ((suffix, le, number + step) for (suffix, le, number), step in zip(before, steps, strict=True)))


def _text(number: float) -> str:
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text

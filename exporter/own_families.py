"""The exporter's own families that may have many samples, as those of each query.

prometheus-client writes every line of a family at every scrape, at some 20 us each: of thousands of queries that is a
second. Here a line is written when it changes, and a scrape joins them; the text is prometheus-client's.
"""

import math
from collections.abc import Callable, Sequence

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from exporter.exposition import label_text

PLAIN = 1e6
"""Numbers from which on Go writes an exponent, where Python does not yet."""

Key = tuple[str, ...]
"""The values of a family's labels."""

Value = tuple[str, str, float]
"""A sample: a suffix of the family's name, the label ``le`` where there is one, and a number."""


class Lines:
    """One family. It is a collector of prometheus-client too, for who wants samples instead of text."""

    def __init__(self, name: str, text: str, kind: str, labels: Sequence[str]) -> None:
        self.name, self.documentation, self.type = name, text, kind
        self.labels = tuple(labels)
        self._known: dict[Key, tuple[Value, ...]] = {}
        self._lines: dict[Key, str] = {}
        self._starts: dict[Key, tuple[str, ...]] = {}
        self.changed: Callable[[], None] = lambda: None
        """Is called at each change."""

    def forget(self, gone: Callable[[Key], bool]) -> None:
        """Tell nothing of some keys any more."""
        for key in list(filter(gone, self._known)):
            del self._known[key], self._lines[key], self._starts[key]
            self.changed()

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

    def _put(self, key: Key, values: tuple[Value, ...]) -> None:
        if self._known.get(key) == values:
            return
        self.changed()
        starts = self._starts.get(key) or self._started(key, values)
        self._known[key] = values
        self._lines[key] = "".join(
            [f"{start}{_text(number)}\n" for start, (_, _, number) in zip(starts, values, strict=True)]
        )

    def _started(self, key: Key, values: tuple[Value, ...]) -> tuple[str, ...]:
        # "le" comes before all other labels that a histogram has.
        labels = label_text(tuple(sorted(zip(self.labels, key, strict=True)))) + "} "
        starts = (f'{self.name}{suffix}{{le="{le}",' if le else f"{self.name}{suffix}{{" for suffix, le, _ in values)
        self._starts[key] = tuple(start + labels for start in starts)
        return self._starts[key]


class Numbers(Lines):
    """A gauge or a counter."""

    def set(self, key: Key, number: float) -> None:
        """Tell this number from now on."""
        self._put(key, (("_total" if self.type == "counter" else "", "", float(number)),))

    def add(self, key: Key, number: float = 1) -> None:
        """Tell so much more than before, which was 0 at first."""
        ((_, _, before),) = self._known.get(key, (("", "", 0.0),))
        self.set(key, before + number)


class Observations(Lines):
    """A histogram; ``limits`` are its buckets' upper ends, without the last."""

    def __init__(self, name: str, text: str, labels: Sequence[str], limits: Sequence[float]) -> None:
        super().__init__(name, text, "histogram", labels)
        self._limits = (*map(float, limits), math.inf)
        buckets = (("_bucket", _text(limit), 0.0) for limit in self._limits)
        self._none: tuple[Value, ...] = (*buckets, ("_count", "", 0.0), ("_sum", "", 0.0))

    def observe(self, key: Key, number: float) -> None:
        """Count one."""
        steps = [*(float(number <= limit) for limit in self._limits), 1.0, number]
        before = self._known.get(key, self._none)
        self._put(key, tuple((name, le, count + step) for (name, le, count), step in zip(before, steps, strict=True)))


def _text(number: float) -> str:
    # Each poll writes some twenty numbers, nearly all of them like this.
    if 0 <= number < PLAIN:
        return repr(number)
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text

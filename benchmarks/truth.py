"""What the vendors of the chaos run know, and what an exporter must make of it by the contract (section 4).

Every answer is a function of its data set and window, so that each sample can be judged long after it was scraped.
What is expected is noted while a value is made up, not worked out from what was sent: nothing here reads as the
exporter does.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from random import Random

from exporter.model import Window

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]
"""A family and its labels, sorted."""

ABSENT = object()
"""In place of a value: the key is not there at all."""

MISSING = None
"""What is expected of a value that follows ``on_missing``."""

JUNK = "junk"
"""What is expected of a value that is dropped."""

Expected = float | str | None

FAMILIES = {
    "viewercount": "smartsight_plays",
    "attempts": "smartsight_attempts",
    "bufferingratio": "smartsight_buffering_ratio",
    "failurerate": "smartsight_startup_failure_ratio",
    "latency": "smartsight_startup_time_seconds",
    "p95_latency": "smartsight_startup_time_p95_seconds",
    "qualityofexperience": "smartsight_playback_score",
    "avg_playtime_by_audience": "smartsight_playtime_per_viewer_seconds",
    "uniqueviewercount": "smartsight_unique_viewers",
    "errors": "smartsight_errors",
    "total_views": "ibm_video_total_views",
    "unique_devices": "ibm_video_unique_devices",
    "authenticated_viewers": "ibm_video_authenticated_viewers",
}
FACTORS = {"bufferingratio": "0.01", "failurerate": "0.01", "avg_playtime_by_audience": "60"}
"""From the vendor's unit to the base unit, where they differ."""

SPICES = ("", " é", ' "quoted"', "\\back", "\nline", " %s", " {★é}")
"""Ends of label values that have to be escaped somewhere."""


def dice(seed: str) -> Random:
    """Give random numbers that are the same on every machine."""
    return Random(seed)  # noqa: S311 - no secrets


@dataclass(frozen=True)
class Dataset:
    """What a vendor answers one kind of request from: between ``least`` and ``most`` rows, so many a page.

    ``points`` says that its rows are IBM's: a point and a value. In a share of the windows it is ``empty``.
    """

    name: str
    dimensions: tuple[str, ...]
    fields: tuple[str, ...]
    least: int
    most: int
    page: int
    points: bool = False
    empty: float = 0.04


@dataclass(frozen=True)
class Row:
    """A row: the labels that it must get (``None`` if it must be dropped) and what is expected of each field.

    ``sent`` (the dimensions) and ``cells`` are what the vendor sends, or ``raw`` where that is no row at all.
    """

    labels: tuple[str, ...] | None = None
    expected: Mapping[str, Expected] = field(default_factory=dict)
    sent: tuple[object, ...] = ()
    cells: Mapping[str, object] = field(default_factory=dict)
    raw: object = ABSENT


@dataclass(frozen=True)
class Part:
    """A data set that takes part in a query, with its fields and the labels that the request itself fixes."""

    dataset: Dataset
    fields: tuple[str, ...]
    constants: Labels = ()


@dataclass(frozen=True)
class Probe:
    """A query of the exporter's configuration."""

    source: str
    name: str
    parts: tuple[Part, ...]
    interval: int
    on_missing: str = "absent"

    @property
    def fields(self) -> list[str]:
        """Its metrics."""
        return list(dict.fromkeys(name for part in self.parts for name in part.fields))

    @property
    def dimensions(self) -> list[str]:
        """Its dimensions."""
        part = self.parts[0]
        return [*(name for name, _ in part.constants), *part.dataset.dimensions]

    @property
    def filters(self) -> dict[str, str]:
        """What it is narrowed to: a path that is for one content type alone."""
        return (
            {"content_type": "live"} if "/live/" in self.parts[0].dataset.name and not self.parts[0].constants else {}
        )


def expected(probe: Probe, window: Window) -> dict[Series, float]:
    """Give the series that a query must show for a window."""
    found: dict[Series, float] = {}
    for part in probe.parts:
        seen: set[tuple[str, ...] | None] = {None}
        for row in rows(part.dataset, window):
            if row.labels in seen:
                continue
            seen.add(row.labels)
            pairs = [*zip(part.dataset.dimensions, row.labels or (), strict=True), *part.constants]
            labels = tuple(sorted([("source", probe.source), ("query", probe.name), *pairs]))
            for name in part.fields:
                value = row.expected[name]
                if value is MISSING and probe.on_missing == "zero":
                    value = 0.0
                if isinstance(value, float):
                    found[FAMILIES[name], labels] = value
    return found


@lru_cache(maxsize=64)
def rows(dataset: Dataset, window: Window) -> Sequence[Row]:
    """Give all rows of a data set in a window, in the vendor's order."""
    random = dice(f"{dataset.name} {window.start} {window.end}")
    if random.random() < dataset.empty:
        return ()
    count = random.randint(dataset.least, dataset.most)
    found = [_row(random, dataset, number) for number in random.sample(range(dataset.most), count)]
    if count > 1:
        for _ in range(count // 8):
            # The last row is never a double: a page of nothing but doubles looks like one sent twice.
            place = random.randrange(len(found) - 1)
            found.insert(random.randint(place + 1, len(found) - 1), _twin(random, found[place]))
        found.insert(random.randrange(len(found)), Row(raw=random.choice([17, "row", None, [], True])))
    return tuple(found)


def _twin(random: Random, row: Row) -> Row:
    """Make another row with the same labels, and other values."""
    cells, outcome = _cells(random, row.cells)
    return Row(row.labels, outcome, row.sent, cells, row.raw)


def _row(random: Random, dataset: Dataset, number: int) -> Row:
    cells, outcome = _cells(random, dataset.fields)
    named = [_label(random, dataset, name, number) for name in dataset.dimensions]
    sent, labels = tuple(raw for raw, _ in named), tuple(text for _, text in named)
    if sent and random.random() < 0.02:  # noqa: PLR2004 - a few
        return Row(None, outcome, (*sent[:-1], {"no": "text"}), cells)
    return Row(labels, outcome, sent, cells)


def _label(random: Random, dataset: Dataset, dimension: str, number: int) -> tuple[object, str]:
    """Give a dimension's value as it is sent, and as it must be shown; IBM's points may have several elements."""
    if number == 0:
        return random.choice(["", None, ABSENT]), "unknown"
    if number % 7 == 3:  # noqa: PLR2004 - one in seven is a number
        return number, str(number)
    text = f"{dimension}-{number}{SPICES[number % len(SPICES)]}"
    if dataset.points and number % 7 == 5:  # noqa: PLR2004 - another one in seven is a list
        return [text, ""], f"{text}/unknown"
    return text, text


def _cells(random: Random, fields: Iterable[str]) -> tuple[dict[str, object], dict[str, Expected]]:
    cells: dict[str, object] = {}
    outcome: dict[str, Expected] = {}
    for name in fields:
        cells[name], outcome[name] = _cell(random, name)
    return cells, outcome


def _cell(random: Random, name: str) -> tuple[object, Expected]:
    """Give a value as it is sent, and as it must be shown."""
    number = random.randint(0, 99_999)
    # Minutes come whole: the contract does not say how 60 times a fraction is rounded.
    whole = FACTORS.get(name) == "60" or random.random() < 0.5  # noqa: PLR2004 - heads or tails
    raw: int | float = number if whole else number / 1000
    shown = float(Decimal(str(raw)) * Decimal(FACTORS.get(name, "1")))
    one = float(Decimal(FACTORS.get(name, "1")))
    choices: list[tuple[object, Expected]] = [
        (raw, shown),
        (str(raw), shown),
        (f" {raw} ", shown),
        (random.choice([None, "", ABSENT]), MISSING),
        (random.choice([math.nan, math.inf, -math.inf, "NaN", "-Infinity"]), MISSING),
        (True, one),
        (random.choice(["n/a", "12 %", [1], {"value": 1}, "0x10"]), JUNK),
    ]
    return random.choices(choices, (70, 10, 3, 6, 4, 2, 5))[0]

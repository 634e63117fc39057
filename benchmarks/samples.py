"""The samples that every server of the comparison holds: rows as SmartSight sends them, and the series they become.

What a series is worth is worked out here from the vendor's units, not by the exporter.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

SOURCE = "mediamelon"
DIMENSIONS = ("cdn", "assetname")
LABELS = ("source", "query", *DIMENSIONS)
CDNS = ("Akamai", "CloudFront", "Fastly", "Cloudflare", "Lumen")
HELP = "A metric of the comparison."

COUNTS = {
    "attempts": "smartsight_attempts",
    "viewercount": "smartsight_plays",
    "endedplays": "smartsight_ended_plays",
    "views": "smartsight_views",
    "uniqueviewercount": "smartsight_unique_viewers",
    "uniquesubscribercount": "smartsight_unique_subscribers",
    "unique_devices": "smartsight_unique_devices",
    "anonymous_viewers": "smartsight_anonymous_viewers",
    "totalstartupfailure": "smartsight_startup_failures",
    "errors": "smartsight_errors",
    "fatalerrors": "smartsight_fatal_errors",
    "cbrsize": "smartsight_downloaded_bytes",
}
MEASURES = {
    "latency": "smartsight_startup_time_seconds",
    "p95_latency": "smartsight_startup_time_p95_seconds",
    "playdur": "smartsight_playtime_seconds",
    "concurviewavg": "smartsight_concurrent_views",
    "qualityofexperience": "smartsight_playback_score",
}
PERCENTAGES = {
    "bufferingratio": "smartsight_buffering_ratio",
    "failurerate": "smartsight_startup_failure_ratio",
    "startupabandonmentrate": "smartsight_exit_before_start_ratio",
}
FAMILIES = COUNTS | MEASURES | PERCENTAGES
"""Twenty fields of the vendor, and the family of each."""

MOST_ROWS = 5000
"""Rows of one query; more series come from more queries."""

Series = tuple[str, frozenset[tuple[str, str]]]

LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Row:
    """A row: its dimensions' values, and what the vendor sends for each field."""

    labels: tuple[str, ...]
    sent: Sequence[int | float]

    @property
    def values(self) -> list[float]:
        """What each family is worth, in base units."""
        return [
            float(Decimal(repr(value)) / 100) if field in PERCENTAGES else value
            for field, value in zip(FAMILIES, self.sent, strict=True)
        ]


@dataclass(frozen=True)
class Holding:
    """So many queries, each with so many rows of twenty values."""

    queries: int
    rows: int

    @classmethod
    def of(cls, series: int) -> "Holding":
        """Give the holding that comes to so many series."""
        rows = series // len(FAMILIES)
        queries = -(-rows // MOST_ROWS)
        return cls(queries, rows // queries)

    @property
    def names(self) -> list[str]:
        """The queries' names."""
        return [f"by_asset_{number}" for number in range(self.queries)]

    @property
    def series(self) -> int:
        """How many series it comes to."""
        return self.queries * self.rows * len(FAMILIES)


def table(query: str, rows: int, *, poll: int = 0, other: str = "") -> list[Row]:
    """Give a query's rows at a poll; those of ``other`` have labels that no other has."""
    chance = Random(f"{query} {poll}")  # noqa: S311 - no secrets
    return [
        Row(
            (CDNS[row % len(CDNS)], f"Episode{other} {row:05}"),
            [
                *(chance.randrange(10 ** (3 + place % 6)) for place in range(len(COUNTS))),
                *(chance.random() * 60 for _ in MEASURES),
                *(round(chance.random() * 100, 4) for _ in PERCENTAGES),
            ],
        )
        for row in range(rows)
    ]


def answer(rows: Sequence[Row], fields: Sequence[str] = tuple(FAMILIES), total: int | None = None) -> bytes:
    """Give rows as SmartSight's answer, a page of ``total``."""
    found = [dict(zip((*DIMENSIONS, *FAMILIES), (*row.labels, *row.sent), strict=True)) for row in rows]
    wanted = [{name: row[name] for name in (*DIMENSIONS, *fields)} for row in found]
    return json.dumps({"totalrecords": total or len(rows), "response": wanted}).encode()


def exposition(query: str, rows: Sequence[Row]) -> Iterator[str]:
    """Give a query's series as text, family by family."""
    values = [row.values for row in rows]
    for place, family in enumerate(FAMILIES.values()):
        yield f"# HELP {family} {HELP}\n# TYPE {family} gauge\n"
        for row, of_row in zip(rows, values, strict=True):
            pairs = zip(LABELS, (SOURCE, query, *row.labels), strict=True)
            labels = ",".join(f'{name}="{value}"' for name, value in pairs)
            yield f"{family}{{{labels}}} {of_row[place]!r}\n"


def parsed(text: str) -> dict[Series, float]:
    """Read the series of an exposition that are of the comparison, without the labels that servers add."""
    found: dict[Series, float] = {}
    for line in text.splitlines():
        if line.startswith("smartsight_") and (parts := LINE.fullmatch(line)):
            labels = frozenset(pair for pair in LABEL.findall(parts[2]) if pair[0] in LABELS)
            assert (parts[1], labels) not in found, f"twice: {line}"
            found[parts[1], labels] = float(parts[3])
    return found

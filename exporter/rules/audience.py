"""How much is going on: what collapses or surges against a baseline, and what the vendor itself found.

The baseline is the median of the hour before, which ends before what is compared with it; a mean would follow the
collapse. What happened in the same way a week ago is a programme's end, or its beginning, and no alert.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from exporter.config import Config
from exporter.rules.model import Alert, Recording, Settings, Severity
from exporter.rules.pick import Picked, pick


@dataclass(frozen=True, slots=True)
class Change:
    """An alert on a volume that is so many times its baseline; ``least`` is the guard, in windows' volumes."""

    alert: str
    worse: Literal["<", ">"]
    times: float
    least: int
    severity: Severity
    summary: str


@dataclass(frozen=True, slots=True)
class Volume:
    """What may be summed: its name in recordings, the families that tell it, the first one first, and its alerts."""

    name: str
    families: tuple[str, ...]
    what: str
    changes: tuple[Change, ...]


VOLUMES = (
    Volume(
        "audience",
        ("smartsight_plays", "smartsight_attempts", "ibm_video_total_views"),
        "plays or views",
        (
            Change("AudienceCollapse", "<", 0.5, 200, "critical", "the audience is collapsing"),
            Change("AudienceSurge", ">", 2, 200, "warning", "the audience is surging"),
        ),
    ),
    Volume(
        "ad_impressions",
        ("smartsight_ad_impressions", "smartsight_total_ad_impressions"),
        "ad impressions",
        (Change("AdImpressionsCollapse", "<", 0.3, 200, "warning", "hardly any ads are shown"),),
    ),
    Volume(
        "errors",
        ("smartsight_fatal_errors", "smartsight_errors"),
        "errors",
        (Change("PlaybackErrorsSurge", ">", 3, 50, "critical", "errors are surging"),),
    ),
)
VENDOR_ALERTS = "smartsight_alerts"
P = "video_analytics_exporter"
OF = "{{ $labels.source }}"


def recordings(config: Config, settings: Settings) -> Iterator[Recording]:
    """Give the sum of each volume of each source, and its baseline."""
    for volume in VOLUMES:
        for picked in _picked(config, volume):
            name = f"source:{volume.name}"
            yield _sum(name, picked)
            yield Recording(
                f"{name}:baseline",
                f"quantile_over_time(0.5, {name}:sum{picked.selector}[{settings.span}] offset {settings.offset})",
                picked.labels,
            )
    for picked in pick(config, (VENDOR_ALERTS,)):
        yield _sum("source:vendor_alerts", picked)


def alerts(config: Config, settings: Settings) -> Iterator[Alert]:
    """Give the alerts for which the configuration has a query."""
    for volume in VOLUMES:
        if any(_picked(config, volume)):
            yield from (_changed(volume, change, settings) for change in volume.changes)
    if any(pick(config, (VENDOR_ALERTS,))):
        yield Alert(
            "VendorAlertsPresent",
            "source:vendor_alerts:sum > 0",
            "warning",
            "qoe",
            f"{OF}: the vendor's analysis has raised alerts",
            "{{ $value }} alerts of the vendor's own analysis lie in the query's window "
            "(query {{ $labels.query }}); the alert ends when the last one has left it.",
        )


def _picked(config: Config, volume: Volume) -> Iterator[Picked]:
    """Give one query for each source: of the first family that it has."""
    done: set[str] = set()
    for family in volume.families:
        for picked in pick(config, (family,)):
            if picked.query.source not in done:
                done.add(picked.query.source)
                yield picked


def _sum(name: str, picked: Picked) -> Recording:
    """Give what a volume's rows sum up to: nothing at all is zero where the vendor's last answer had no rows."""
    nothing = (
        f"max by (source, query) (\n"
        f"  {P}_query_series{picked.selector} == 0\n  and\n  {P}_query_success{picked.selector} == 1\n)"
    )
    return Recording(
        f"{name}:sum",
        f"sum by ({', '.join(picked.keys)}) (\n  {picked.row(0)}\n)\nor on (source, query)\n{nothing}",
        # The exporter's own metrics lack the source's own labels.
        picked.query.labels,
    )


def _changed(volume: Volume, change: Change, settings: Settings) -> Alert:
    now, usual = f"source:{volume.name}:sum", f"source:{volume.name}:baseline"
    guarded = usual if change.worse == "<" else now
    week = f"offset {settings.season}"
    return Alert(
        change.alert,
        f"{now} / {usual} {change.worse} {change.times:g}\n"
        f"and\n{guarded} >= {change.least}\n"
        f"unless\n{now} {week} / {usual} {week} {change.worse} {change.times:g}",
        change.severity,
        "qoe",
        f"{OF}: {change.summary}",
        f"The {volume.what} of the query's window are {{{{ $value | humanizePercentage }}}} of the median of the last "
        f"{settings.span} (query {{{{ $labels.query }}}}), and were not so {settings.season} ago at this time.",
        "5m",
    )

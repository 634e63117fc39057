"""What tells how well it plays, what it is weighted by, and from which value on it is bad. Data, like the catalogue."""

from dataclasses import dataclass
from typing import Literal

from exporter.rules.model import Severity

PLAYS, ATTEMPTS = "smartsight_plays", "smartsight_attempts"
PLAYTIME = "smartsight_playtime_seconds"
PERCENT = "{{ $value | humanizePercentage }}"
SECONDS = '{{ printf "%.2f" $value }} s'
POINTS = '{{ printf "%.1f" $value }}'


@dataclass(frozen=True, slots=True)
class Signal:
    """One family that must be weighted by another one, the alert on it, and the limit of that.

    ``outlier`` is the least value at which a group can be an outlier, ``budget`` the share that an SLO admits; both
    are ``None`` where there is no such rule. ``asked``: the weight is what was asked for, from what was served.
    ``exact`` is what it is a share of, and weighs it where a query has that too; it counts nobody, so the guard stays
    on ``weight``. ``least`` is how many of the plays or attempts must have been bad: fewer are chance. A share of the
    time is counted in whole plays.
    """

    family: str
    weight: str
    alert: str
    limit: float
    says: str
    severity: Severity = "critical"
    worse: Literal[">", "<"] = ">"
    outlier: float | None = None
    budget: float | None = None
    slo: str = ""
    asked: bool = False
    exact: str = ""
    least: int = 0

    @property
    def short(self) -> str:
        """The family without its vendor: ``buffering_ratio``."""
        return self.family.partition("_")[2]

    @property
    def volume(self) -> str:
        """The recording that says how many plays or attempts the values stand for."""
        return "volume" if self.exact else "weight"

    def number(self, limit: float) -> str:
        """Write a limit as a person reads it."""
        unit = self.family.rpartition("_")[2]
        return f"{limit:.0%}" if unit == "ratio" else f"{limit:g} s" if unit == "seconds" else f"{limit:g}"


SIGNALS = (
    Signal(
        "smartsight_startup_failure_ratio",
        ATTEMPTS,
        "StartupFailuresHigh",
        0.03,
        f"{PERCENT} of the attempts fail to start",
        outlier=0.02,
        budget=0.02,
        slo="StartupBudgetBurn",
        least=20,
    ),
    Signal(
        "smartsight_exit_before_start_ratio",
        ATTEMPTS,
        "ExitsBeforeStartHigh",
        0.1,
        f"{PERCENT} of the attempts are left before the first frame",
        severity="warning",
        least=20,
    ),
    Signal(
        "smartsight_startup_time_seconds",
        PLAYS,
        "StartupTimeHigh",
        4,
        f"the mean start-up time is {SECONDS}",
        severity="warning",
        outlier=3,
    ),
    Signal(
        "smartsight_buffering_ratio",
        PLAYS,
        "BufferingHigh",
        0.02,
        f"{PERCENT} of the watch time is spent buffering",
        outlier=0.02,
        budget=0.01,
        slo="BufferingBudgetBurn",
        exact=PLAYTIME,
        least=5,
    ),
    Signal(
        "smartsight_playback_score",
        PLAYS,
        "PlaybackScoreLow",
        70,
        f"the playback score is {POINTS} of 100",
        severity="warning",
        worse="<",
    ),
    Signal(
        "smartsight_ad_fill_ratio",
        "smartsight_ad_impressions",
        "AdFillLow",
        0.8,
        f"{PERCENT} of the ads that were asked for are served",
        severity="warning",
        worse="<",
        asked=True,
    ),
)

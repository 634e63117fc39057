"""What is known of families beyond the catalogue: titles, what is bad, what weighs them, and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass

PLAYS = "smartsight_plays"
ATTEMPTS = "smartsight_attempts"
PLAYTIME = "smartsight_playtime_seconds"
CONCURRENT = "smartsight_concurrent_views"
STARTUP = "smartsight_startup_time_seconds"
FAILURE = "smartsight_startup_failure_ratio"
EXIT = "smartsight_exit_before_start_ratio"
BUFFERING = "smartsight_buffering_ratio"
SCORE = "smartsight_playback_score"
ERRORS = "smartsight_errors"
FATAL = "smartsight_fatal_errors"
ALERTS = "smartsight_alerts"
AD_FILL = "smartsight_ad_fill_ratio"
IMPRESSIONS = "smartsight_ad_impressions"


@dataclass(frozen=True, slots=True)
class Fact:
    """One family: ``warn`` and ``bad`` are where yellow and red begin; ``low`` where smaller values are the worse.

    ``weights`` are the families by which its values of several groups are averaged, the best first: what it is a
    share of, or a mean over. Without one, no value of several groups is made of it. A group must have some of
    ``volume``, or of what weighs it, before it is worth a place among the worst.
    """

    title: str
    warn: float | None = None
    bad: float | None = None
    low: bool = False
    weights: tuple[str, ...] = ()
    next: str = ""
    volume: tuple[str, ...] = ()


SEE_BREAKDOWN = "If it rises for all, look at the player and the origin; if for one group, see the breakdown."

# Where red begins is where the alerts of prometheus/ begin; yellow at the budget of a service level objective.
FACTS: Mapping[str, Fact] = {
    PLAYS: Fact("Plays", next="A fall without one in the attempts: see the dashboard Start-up."),
    ATTEMPTS: Fact(
        "Attempts", next="A fall means that nobody gets as far as the player: look at the app, the page, the log-in."
    ),
    "smartsight_ended_plays": Fact("Ended plays"),
    "smartsight_views": Fact("Plays in progress"),
    PLAYTIME: Fact("Time watched"),
    CONCURRENT: Fact(
        "Concurrent views", next="A sudden fall during an event: compare with the buffering and the errors."
    ),
    STARTUP: Fact("Start-up time", 3, 4, weights=(PLAYS,), next=SEE_BREAKDOWN),
    "smartsight_startup_time_avg_seconds": Fact("Start-up time, mean", 3, 4),
    "smartsight_startup_time_median_seconds": Fact("Start-up time, median", 2.5, 4),
    "smartsight_startup_time_p95_seconds": Fact(
        "Start-up time, 95th percentile", 6, 10, next="Far above the mean: one group is slow, see the breakdown."
    ),
    "smartsight_startup_time_p99_seconds": Fact(
        "Start-up time, 99th percentile",
        10,
        20,
        next="Rising alone: a few devices or networks, rarely worth a night's work.",
    ),
    FAILURE: Fact(
        "Start-up failures",
        0.02,
        0.03,
        weights=(ATTEMPTS,),
        next="See the errors by code on the dashboard Playback, then the worst CDN.",
    ),
    EXIT: Fact(
        "Exits before start",
        0.05,
        0.1,
        weights=(ATTEMPTS,),
        next="Viewers who wait too long leave: compare with the start-up time.",
    ),
    BUFFERING: Fact("Buffering", 0.01, 0.02, weights=(PLAYTIME, PLAYS), next=SEE_BREAKDOWN),
    "smartsight_connection_induced_rebuffering_ratio": Fact(
        "Connection-induced rebuffering",
        0.01,
        0.02,
        weights=(PLAYTIME, PLAYS),
        next="The connection's share of the buffering: a CDN or a network, not the player.",
    ),
    "smartsight_video_restart_ratio": Fact(
        "Video restart time",
        0.005,
        0.01,
        weights=(PLAYTIME, PLAYS),
        next="High after seeks and quality changes: look at the player's release.",
    ),
    SCORE: Fact(
        "Playback score",
        80,
        70,
        low=True,
        weights=(PLAYS,),
        next="It sums up the others: look for the one that went with it.",
    ),
    "smartsight_cdn_change_ratio": Fact("CDN switches", 0.05, 0.2, weights=(PLAYS,)),
    "smartsight_startup_failures": Fact("Failed starts"),
    ERRORS: Fact("Errors", next="See which codes they are, and on which CDN."),
    FATAL: Fact("Fatal errors", next="Each ended a playback: see which codes they are."),
    ALERTS: Fact(
        "Alerts of the vendor", 1, 5, next="Open them at the vendor: its analysis names the group that is hit."
    ),
    AD_FILL: Fact(
        "Ad fill",
        0.9,
        0.8,
        low=True,
        volume=(IMPRESSIONS,),
        next="Low in one country: its campaigns have run out, or a partner is down.",
    ),
    IMPRESSIONS: Fact("Ad impressions", next="A fall without one of the plays: the ad server or a partner."),
    "smartsight_total_ad_impressions": Fact("Ad impressions in total"),
    "ibm_video_total_views": Fact("Views"),
    "ibm_video_unique_devices": Fact("Unique devices"),
    "ibm_video_authenticated_viewers": Fact("Viewers with a log-in"),
    "ibm_video_peak_viewers": Fact("Peak viewers"),
    "ibm_video_viewer_seconds": Fact("Time watched, counted by the vendor"),
    "ibm_video_view_segments": Fact("View segments"),
    "ibm_video_active_view_segments": Fact(
        "Views in progress", next="A sudden fall during an event: look at the stream itself."
    ),
    "ibm_video_view_sessions": Fact("View sessions"),
    "ibm_video_watched_seconds": Fact("Time watched"),
    "ibm_video_viewers": Fact("Viewers"),
    "ibm_video_videos_watched": Fact("Videos watched"),
}

BUDGETS = {FAILURE: 0.02, BUFFERING: 0.01}
"""The service level objectives: the share of the attempts that may fail, and of the watch time spent buffering."""


def fact(role: str) -> Fact:
    """Give what is known of a family, or its name for a title."""
    return FACTS.get(role) or Fact(role.partition("_")[2].replace("_", " ").capitalize() or role)

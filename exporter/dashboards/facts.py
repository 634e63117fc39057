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

    ``ask`` is the question that it answers, ``wrong`` says what is bad where no limit does, ``next`` what is done then.
    ``weights`` are the families by which its values of several groups are averaged, the best first: what it is a
    share of, or a mean over. Without one, no value of several groups is made of it. A group must have some of what
    weighs it before it is worth a place among the worst; or have had some of ``volume``, which a bad value takes away.
    """

    title: str
    ask: str = "How is it now?"
    next: str = "Compare with the hours before, then split it by its labels on the dashboard Explorer."
    wrong: str = "A sudden change that the figures beside it do not explain."
    warn: float | None = None
    bad: float | None = None
    low: bool = False
    weights: tuple[str, ...] = ()
    volume: tuple[str, ...] = ()


SEE_BREAKDOWN = "If it rises for all, look at the player and the origin; if for one group, see the breakdown."
WAIT = "How long do viewers wait for the first frame?"

# Where red begins is where the alerts of prometheus/ begin; yellow at the budget of a service level objective.
FACTS: Mapping[str, Fact] = {
    PLAYS: Fact(
        "Plays",
        "How many plays show a picture?",
        "Compare with the attempts: fallen together, nobody gets as far as the player; plays alone, see Start-up.",
        "A fall that neither the hour nor the programme explains.",
    ),
    ATTEMPTS: Fact(
        "Attempts",
        "How many try to watch?",
        "A fall means that nobody gets as far as the player: look at the app, the page, the log-in.",
        "A fall that neither the hour nor the programme explains; a jump without plays: viewers try again and again.",
    ),
    "smartsight_ended_plays": Fact(
        "Ended plays",
        "How many plays come to a good end?",
        "See the errors and the buffering on the dashboard Playback.",
        "A fall while as many plays begin as before.",
    ),
    "smartsight_views": Fact(
        "Plays in progress",
        "How many are watching?",
        "Compare with the attempts: without those nobody arrives; with them they leave, so see Playback.",
        "A sudden fall during a programme.",
    ),
    PLAYTIME: Fact(
        "Time watched",
        "How long is watched in total?",
        "See the buffering and the errors, then which group lost it.",
        "Less of it at as many plays: viewers give up.",
    ),
    CONCURRENT: Fact(
        "Concurrent views",
        "How many watch at the same time?",
        "Compare with the buffering and the errors; near what the CDNs were ordered for, tell them.",
        "A sudden fall during an event.",
    ),
    STARTUP: Fact("Start-up time", WAIT, SEE_BREAKDOWN, warn=3, bad=4, weights=(PLAYS,)),
    "smartsight_startup_time_avg_seconds": Fact("Start-up time, mean", WAIT, SEE_BREAKDOWN, warn=3, bad=4),
    "smartsight_startup_time_median_seconds": Fact(
        "Start-up time, median",
        "How long does half of the viewers wait at least?",
        "Bad together with the mean: all are slow, so look at the player and the origin, not at one group.",
        warn=2.5,
        bad=4,
    ),
    "smartsight_startup_time_p95_seconds": Fact(
        "Start-up time, 95th percentile",
        "How long do the slowest twentieth wait at least?",
        "Far above the mean: one group is slow, see the breakdown.",
        warn=6,
        bad=10,
    ),
    "smartsight_startup_time_p99_seconds": Fact(
        "Start-up time, 99th percentile",
        "How long does the slowest hundredth wait at least?",
        "Rising alone: a few devices or networks, rarely worth a night's work.",
        warn=10,
        bad=20,
    ),
    FAILURE: Fact(
        "Start-up failures",
        "How many attempts end in an error?",
        "See the errors by code on the dashboard Playback, then the worst CDN.",
        warn=0.02,
        bad=0.03,
        weights=(ATTEMPTS,),
    ),
    EXIT: Fact(
        "Exits before start",
        "How many viewers give up waiting?",
        "Compare with the start-up time: as fast as ever, it is autoplay or a changed page.",
        warn=0.05,
        bad=0.1,
        weights=(ATTEMPTS,),
    ),
    BUFFERING: Fact(
        "Buffering",
        "How much of their time do viewers see the spinner?",
        SEE_BREAKDOWN,
        warn=0.01,
        bad=0.02,
        weights=(PLAYTIME, PLAYS),
    ),
    "smartsight_connection_induced_rebuffering_ratio": Fact(
        "Connection-induced rebuffering",
        "Is the connection to blame?",
        "As high as the buffering: a CDN or a network, see which; far below it: the player.",
        warn=0.01,
        bad=0.02,
        weights=(PLAYTIME, PLAYS),
    ),
    "smartsight_video_restart_ratio": Fact(
        "Video restart time",
        "Do seeks and quality changes take long?",
        "Look at the player's release of the days before.",
        warn=0.005,
        bad=0.01,
        weights=(PLAYTIME, PLAYS),
    ),
    SCORE: Fact(
        "Playback score",
        "Are viewers well, all in all?",
        "It sums up the others: look for the one that went with it.",
        warn=80,
        bad=70,
        low=True,
        weights=(PLAYS,),
    ),
    "smartsight_cdn_change_ratio": Fact(
        "CDN switches",
        "Do players flee from a CDN?",
        "See which CDN lost plays, and its buffering before.",
        warn=0.05,
        bad=0.2,
        weights=(PLAYS,),
    ),
    "smartsight_startup_failures": Fact(
        "Failed starts",
        "How many sessions never started?",
        "See the errors by code on the dashboard Playback, then the worst CDN.",
        "More of them at as many attempts.",
    ),
    ERRORS: Fact(
        "Errors",
        "What do the players complain about?",
        "See which codes they are, and on which CDN.",
        "More than three times the usual, or a code that is new.",
    ),
    FATAL: Fact(
        "Fatal errors",
        "How many errors ended a playback?",
        "See which codes they are, then the releases of app and player before the first one.",
        "More than three times the usual, or a code that is new.",
    ),
    ALERTS: Fact(
        "Alerts of the vendor",
        "Has the vendor's own analysis found something?",
        "Open them at the vendor: its analysis names the group that is hit.",
        warn=1,
        bad=5,
    ),
    AD_FILL: Fact(
        "Ad fill",
        "Are the ads there that are asked for?",
        "Low in one country: its campaigns have run out, or a partner is down. Low in all: the ad server.",
        warn=0.9,
        bad=0.8,
        low=True,
        volume=(IMPRESSIONS,),
    ),
    IMPRESSIONS: Fact(
        "Ad impressions",
        "How many ads are shown?",
        "Compare with the plays on the dashboard Overview: fallen alone, it is the ad server or a partner.",
        "A fall without one of the plays.",
    ),
    "smartsight_total_ad_impressions": Fact(
        "Ad impressions in total",
        "How many ads are shown, all kinds together?",
        "Compare with the ad impressions: the difference is of other kinds of ads.",
        "A fall without one of the plays.",
    ),
    "ibm_video_total_views": Fact(
        "Views",
        "How many watch?",
        "Gone for one device or country: its app, or a network there. Gone for all: the channel in IBM's console.",
        "A fall that neither the hour nor the programme explains.",
    ),
    "ibm_video_unique_devices": Fact(
        "Unique devices",
        "On how many devices is it watched?",
        "Compare with the views: far more views than devices are players that begin again and again.",
        "A fall without one of the views.",
    ),
    "ibm_video_authenticated_viewers": Fact(
        "Viewers with a log-in",
        "How many are logged in?",
        "Try the log-in yourself, then see the single sign-on and who is entitled; the stream is well.",
        "A fall without one of the views.",
    ),
    "ibm_video_peak_viewers": Fact(
        "Peak viewers",
        "How many watched at the same time, at most?",
        "Near the limit: order more before the next event. Too few: see on Live event when they left.",
        "Near what encoder, CDN and contract were ordered for, or far below what was expected.",
    ),
    "ibm_video_viewer_seconds": Fact(
        "Time watched (vendor)",
        "How long is watched in total, as IBM counts it?",
        "See which content lost it, and look at that: bitrates, sound, what was on.",
        "Less of it at as many views: viewers leave early.",
    ),
    "ibm_video_view_segments": Fact(
        "View segments",
        "Into how many parts does watching break up?",
        "More on one OS: its player; on all: the stream. Compare with the view sessions.",
        "Far more of them at as many view sessions: playback breaks off and begins again.",
    ),
    "ibm_video_active_view_segments": Fact(
        "Views in progress",
        "How many are watching right now?",
        "Look at the stream itself: the encoder, IBM's status page; then which OS lost them.",
        "A sudden fall during an event.",
    ),
    "ibm_video_view_sessions": Fact(
        "View sessions",
        "How many have sat down to watch?",
        "Compare with the views: fallen together, nobody arrives, so look at the page and the app.",
        "A fall that neither the hour nor the programme explains.",
    ),
    "ibm_video_watched_seconds": Fact(
        "Time watched",
        "How long is watched in total?",
        "See which group lost it; compare with its views in progress.",
        "Less of it at as many view sessions: viewers leave early.",
    ),
    "ibm_video_viewers": Fact(
        "Viewers",
        "How many different people watch?",
        "Compare with the views: fewer people at as many views are the faithful; look at what brings new ones.",
        "A fall that neither the hour nor the programme explains.",
    ),
    "ibm_video_videos_watched": Fact(
        "Videos watched",
        "How many videos do they watch?",
        "Compare with the viewers: fewer videos for each of them means a catalogue or a page that does not load.",
        "A fall at as many viewers.",
    ),
}

BUDGETS = {FAILURE: 0.02, BUFFERING: 0.01}
"""The service level objectives: the share of the attempts that may fail, and of the watch time spent buffering."""


def fact(role: str) -> Fact:
    """Give what is known of a family, or its name for a title."""
    return FACTS.get(role) or Fact(role.partition("_")[2].replace("_", " ").capitalize() or role)

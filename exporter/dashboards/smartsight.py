"""The dashboards of SmartSight's metrics: overview, start-up, playback, ads."""

from dataclasses import replace

from exporter.dashboards import panels
from exporter.dashboards.advice import described, notes, words
from exporter.dashboards.facts import (
    AD_FILL,
    ALERTS,
    ATTEMPTS,
    BUDGETS,
    BUFFERING,
    ERRORS,
    EXIT,
    FAILURE,
    FATAL,
    IMPRESSIONS,
    PLAYS,
    PLAYTIME,
    SCORE,
    STARTUP,
    fact,
)
from exporter.dashboards.feeds import Feed
from exporter.dashboards.offer import Offer, among, any_of, matchers, quantile, spent
from exporter.dashboards.spec import Advice, Board, Panel, Row, Steps, Target

MEDIAN, P95, P99 = (f"smartsight_startup_time_{name}_seconds" for name in ("median", "p95", "p99"))
MEAN = "smartsight_startup_time_avg_seconds"
CIRR = "smartsight_connection_induced_rebuffering_ratio"
VRT = "smartsight_video_restart_ratio"
SWITCHES = "smartsight_cdn_change_ratio"
STARTUP_DISTRIBUTION = "smartsight_session_startup_time_seconds"
BUFFERING_DISTRIBUTION = "smartsight_session_buffering_ratio"

GROUPS = 3
"""Labels that a dashboard breaks down by; the explorer has the others."""


def overview(offer: Offer) -> Board:
    """Say whether all is well, and who is hit if not."""
    by = offer.dimensions((STARTUP, FAILURE, BUFFERING))[:GROUPS]
    start, play = panels.to("startup", "Start-up", ("source",)), panels.to("playback", "Playback", ("source",))
    return _board(
        "overview",
        "Overview",
        "Are viewers well now, is the objective kept, and if not: which CDN, country or device is hit?",
        Row(
            "Now",
            (
                _objective(offer, FAILURE, "Start-up objective"),
                _objective(offer, BUFFERING, "Buffering objective"),
                panels.stat(offer.shown(PLAYS)),
                panels.stat(offer.shown(STARTUP), link=start),
                panels.stat(offer.shown(FAILURE), link=start),
                panels.stat(offer.shown(BUFFERING), link=play),
                panels.stat(offer.shown(EXIT), link=start),
                panels.stat(offer.shown(P95), title="Start-up time, p95", link=start),
                panels.stat(offer.shown(SCORE), link=play),
                panels.stat(offer.shown(ATTEMPTS), link=start),
                _vendor_alerts(offer),
            ),
        ),
        Row(
            "Trends",
            (
                panels.trend("Plays and attempts", offer.each((PLAYS, ATTEMPTS))),
                panels.trend("Start-up time", offer.each((STARTUP, P95))),
                panels.trend("Failures and exits before start", offer.each((FAILURE, EXIT))),
                panels.trend("Buffering", offer.each((BUFFERING,))),
            ),
        ),
        Row("Who is hit", tuple(_worst(offer, role, label) for role in (FAILURE, STARTUP, BUFFERING) for label in by)),
        Row("In numbers", tuple(_numbers(offer, (PLAYS, STARTUP, FAILURE, EXIT, BUFFERING, SCORE), one) for one in by)),
    )


def startup(offer: Offer) -> Board:
    """Say whether plays start, and how fast."""
    by = offer.dimensions((STARTUP, FAILURE, EXIT))[:GROUPS]
    times = (STARTUP, MEAN, MEDIAN, P95, P99)
    return _board(
        "startup",
        "Start-up",
        "Do plays start, how long do viewers wait, and how many fail or leave before the first frame?",
        Row("Now", tuple(panels.stat(shown) for shown in offer.each((*times, FAILURE, EXIT, ATTEMPTS)))),
        Row(
            "Trends",
            (
                panels.trend("Start-up time and its percentiles", offer.each(times)),
                panels.trend("Failures and exits before start", offer.each((FAILURE, EXIT))),
                panels.trend("Attempts and plays", offer.each((ATTEMPTS, PLAYS))),
                _quantiles(offer, STARTUP_DISTRIBUTION, "Start-up time of sessions"),
            ),
        ),
        Row("By group", _by(offer, (STARTUP, FAILURE, EXIT), by)),
        Row("In numbers", tuple(_numbers(offer, (ATTEMPTS, PLAYS, *times, FAILURE, EXIT), one) for one in by)),
    )


def playback(offer: Offer) -> Board:
    """Say how well it plays once it has started."""
    by = offer.dimensions((BUFFERING, SCORE))[:GROUPS]
    ratios = (BUFFERING, CIRR, VRT)
    return _board(
        "playback",
        "Playback",
        "Does it play without interruptions, is the connection or the player to blame, and which errors are there?",
        Row("Now", tuple(panels.stat(shown) for shown in offer.each((*ratios, SCORE, SWITCHES, ERRORS, FATAL)))),
        Row(
            "Trends",
            (
                panels.trend("Buffering and its causes", offer.each(ratios)),
                panels.trend("Playback score", offer.each((SCORE,))),
                panels.trend("Errors", offer.each((ERRORS, FATAL))),
                panels.trend("Time watched", offer.each((PLAYTIME,))),
                _quantiles(offer, BUFFERING_DISTRIBUTION, "Buffering of sessions"),
            ),
        ),
        Row("By group", _by(offer, (BUFFERING, CIRR, SCORE), by)),
        Row(
            "In numbers",
            (
                *(_numbers(offer, (PLAYS, *ratios, SCORE, ERRORS, FATAL), one) for one in by),
                _numbers(offer, (ERRORS, FATAL), "errorcode"),
            ),
        ),
    )


def ads(offer: Offer) -> Board:
    """Say whether ads are served."""
    shown = (IMPRESSIONS, "smartsight_total_ad_impressions", AD_FILL)
    by = offer.dimensions(shown)[:GROUPS]
    return _board(
        "ads",
        "Ads",
        "Are the ads served that are asked for, and where are they not?",
        Row(
            "Now",
            (*(panels.stat(each, width=6) for each in offer.each(shown)), *(_lowest_fill(offer, one) for one in by)),
        ),
        Row("Trends", tuple(panels.trend(fact(each.role).title, [each]) for each in offer.each(shown))),
        Row("By group", _by(offer, shown, by)),
        Row("In numbers", tuple(_numbers(offer, shown, one) for one in by)),
    )


def _board(name: str, title: str, question: str, *rows: Row) -> Board:
    return Board(name, title, question, rows)


def _worst(offer: Offer, role: str, label: str) -> Panel | None:
    return panels.worst(offer, offer.shown(role, (label,)))


def _by(offer: Offer, roles: tuple[str, ...], labels: tuple[str, ...]) -> tuple[Panel | None, ...]:
    return tuple(
        panels.trend_by(offer, shown) for role in roles for label in labels for shown in offer.each((role,), (label,))
    )


def _numbers(offer: Offer, roles: tuple[str, ...], label: str) -> Panel | None:
    return panels.table(offer, f"By {words((label,))}", offer.each(roles, (label,)))


def _objective(offer: Offer, role: str, title: str) -> Panel | None:
    """Show how much of an objective's budget the chosen period has spent: 100 % is all that it admits."""
    shown, expr, budget = offer.shown(role), spent(offer, role, "$__range"), BUDGETS[role]
    if shown is None or expr is None:
        return None
    return Panel(
        "stat",
        title,
        Advice(
            f"Is the objective kept? The share of its budget that the period that is shown has spent: it admits "
            f"{budget:.0%} ({fact(role).title.lower()}), by volume.",
            "From 100% the budget is overspent; from 75% it soon will be.",
            "See below who is hit. Choose 30 days above for the objective itself.",
        ).text(notes([shown])),
        "percentunit",
        (Target(f"({expr})\n/\n{budget}", panels.legend(shown)),),
        Steps("green", ((0.75, "yellow"), (1, "red"))),
        4,
        4,
        feeds=shown.feeds,
    )


def _vendor_alerts(offer: Offer) -> Panel | None:
    shown = offer.shown(ALERTS)
    if shown is None:
        return None
    panel = panels.stat(shown)
    # No alert is no row: the vendor's answer is empty, and the query's success says that there was one.
    success = f"{panels.OWN}_query_success{{{matchers(extra=_named(shown.feeds))}}}"
    quiet = f"{shown.expr}\nor\n0 * max by (source) ({success})"
    return panel and replace(panel, targets=(Target(quiet, panels.legend(shown)),))


def _named(feeds: tuple[Feed, ...]) -> str:
    return f"query=~{any_of(feed.name for feed in feeds)}"


def _lowest_fill(offer: Offer, label: str) -> Panel | None:
    """Show the group that is served least: the share of all groups is no mean of theirs."""
    shown = offer.shown(AD_FILL, (label,))
    panel = panels.stat(shown, title=f"Ad fill, lowest {words((label,))}", width=6)
    if shown is None or panel is None:
        return None
    expr, left_out = among(offer, shown)
    lowest = Target(f"bottomk by (source) (1, {expr})", panels.legend(shown))
    return replace(panel, description=described([shown], left_out), targets=(lowest,))


def _quantiles(offer: Offer, role: str, title: str) -> Panel | None:
    """Show quantiles of the sessions of a window, by the query's first dimension."""
    feed = offer.distribution(role)
    if feed is None:
        return None
    by = feed.dimensions[:1]
    measure = feed.measures[role]
    return Panel(
        "timeseries",
        f"{title}{f' by {words(by)}' if by else ''}",
        Advice(
            "Is it all sessions, or the slowest few? Half of them were below the median, 95 of a hundred below p95, as "
            "far as the buckets tell.",
            "Median and p95 of a group rise together: all of its sessions are hit. A thin group jumps by chance.",
            "Median too: go to that group's table below. p95 alone: a device or a network within it, see Explorer.",
        ).text(feed.note),
        measure.unit,
        tuple(
            Target(quantile(feed, role, share, by), " ".join((name, *(f"{{{{{label}}}}}" for label in by))))
            for name, share in (("median", 0.5), ("p95", 0.95))
        ),
        panels.steps(fact(STARTUP if role == STARTUP_DISTRIBUTION else BUFFERING)),
        feeds=(feed,),
    )

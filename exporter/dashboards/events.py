"""The dashboards of what is watched: a live event, with both vendors, and all of IBM Video Streaming."""

from dataclasses import replace

from exporter.dashboards import panels
from exporter.dashboards.advice import notes, number, words
from exporter.dashboards.facts import BUFFERING, CONCURRENT, EXIT, FAILURE, PLAYS, SCORE, STARTUP, fact
from exporter.dashboards.feeds import Feed
from exporter.dashboards.offer import Offer, Shown
from exporter.dashboards.spec import Advice, Board, Panel, Row, Steps, Target

IBM = "ibm_video"
ACTIVE, PEAK = "ibm_video_active_view_segments", "ibm_video_peak_viewers"
QUALITY = (STARTUP, FAILURE, BUFFERING, EXIT, SCORE)
LONG_AGO = 12 * 3600
"""Seconds of a window from which a figure is no trend but a day's."""


def live(offer: Offer) -> Board:
    """Say how many watch now, and whether they are as well off as an hour ago."""
    audience = tuple(shown for role in (CONCURRENT, "smartsight_views", ACTIVE) if (shown := offer.shown(role)))
    peaks = offer.shown(PEAK, ("content_type", "content_id")) or offer.shown(PEAK, ("content_id",))
    return Board(
        "live",
        "Live event",
        "How many are watching, where is the peak, and is the quality worse than an hour ago?",
        (
            Row(
                "Now",
                (
                    *(panels.stat(shown) for shown in audience),
                    *(_peak(shown) for shown in audience if shown.role in (CONCURRENT, ACTIVE)),
                    panels.stat(offer.shown(PLAYS)),
                ),
            ),
            Row("Now less an hour ago", tuple(_change(offer, shown) for shown in offer.each(QUALITY))),
            Row(
                "Trends",
                (
                    *(_against_an_hour_ago(offer, shown) for shown in audience),
                    *(_against_an_hour_ago(offer, shown) for shown in offer.each(QUALITY)),
                ),
            ),
            Row("By group", (panels.trend_by(offer, peaks), *_active(offer))),
            Row("In numbers", (panels.table(offer, "Peaks by content", (peaks,)) if peaks else None,)),
        ),
        span="now-3h",
    )


def ibm(offer: Offer) -> Board:
    """Show each query of IBM Video Streaming by its own dimensions: most of its figures can't be added up."""
    feeds = tuple(feed for feed in offer.feeds if feed.type == IBM)
    exact = [(feed, _exact(feed)) for feed in feeds]
    return Board(
        "ibm",
        "IBM Video Streaming",
        "How many watch on IBM Video Streaming, what, where and on what?",
        (
            Row("Now", tuple(panels.stat(shown) for shown in _totals(offer.of(IBM)))),
            Row(
                "Single figures",
                tuple(
                    _named(panels.stat(shown), feed) for feed, each in exact if not feed.dimensions for shown in each
                ),
            ),
            Row(
                "Trends",
                tuple(
                    _named(panels.trend_by(offer, shown), feed)
                    for feed, each in exact
                    for shown in each
                    if feed.dimensions and feed.window < LONG_AGO
                ),
            ),
            Row(
                "In numbers",
                tuple(
                    panels.table(offer, f"{feed.name}, by {words(feed.dimensions)}", each, width=12)
                    for feed, each in exact
                    if feed.dimensions and each
                ),
            ),
        ),
        span="now-24h",
    )


def _exact(feed: Feed) -> tuple[Shown, ...]:
    return Offer((feed,)).each(feed.measures, feed.dimensions)


def _totals(offer: Offer) -> tuple[Shown, ...]:
    """Show what may be added up over all groups; what a query brings as one figure is shown with its name."""
    plain = Offer(tuple(feed for feed in offer.feeds if feed.dimensions))
    return plain.each(dict.fromkeys(role for feed in plain.feeds for role in feed.measures))


def _named(panel: Panel | None, feed: Feed) -> Panel | None:
    """Put the query's name into the title, since several queries bring the same figure."""
    return panel and replace(panel, title=f"{panel.title} ({feed.name})")


def _peak(shown: Shown) -> Panel | None:
    panel = panels.stat(shown, title=f"Peak of {fact(shown.role).title.lower()}")
    # A subquery each window: what lies between is in the values.
    peak = f"max_over_time(({shown.expr})[$__range:{min(shown.window, 60)}s])"
    said = Advice(
        "How many were there at most, at a time in the period that is shown?",
        "Near what encoders, CDNs and contracts were ordered for.",
        "Tell those who deliver it, and order more before the next event.",
    )
    return panel and replace(
        panel,
        description=said.text(notes([shown])),
        targets=(Target(peak, panels.legend(shown)),),
    )


def _change(offer: Offer, shown: Shown) -> Panel | None:
    known, panel = fact(shown.role), panels.stat(shown, title=f"{fact(shown.role).title}, change")
    ago = offer.shown(shown.role, shown.by, "1h")
    if panel is None or ago is None or known.warn is None or known.bad is None:
        return None
    size = round(abs(known.bad - known.warn), 6)
    worse = Steps("red", ((-size, "yellow"), (-size / 2, "green")))
    said = Advice(
        f"Are viewers worse off than an hour ago? {known.title}: now, less what it was then.",
        f"{'Below -' if known.low else 'From '}{number(size, panel.unit)}, whatever the value itself is.",
        known.next,
    )
    return replace(
        panel,
        description=said.text(notes([shown])),
        targets=(Target(f"({shown.expr})\n-\n({ago.expr})", panels.legend(shown)),),
        steps=worse if known.low else Steps("green", ((size / 2, "yellow"), (size, "red"))),
    )


def _against_an_hour_ago(offer: Offer, shown: Shown) -> Panel | None:
    panel = panels.trend(f"{fact(shown.role).title}, now and an hour ago", [shown])
    ago, name = offer.shown(shown.role, shown.by, "1h"), panels.legend(shown)
    if panel is None or ago is None:
        return None
    return replace(panel, targets=(Target(shown.expr, f"{name}, now"), Target(ago.expr, f"{name}, an hour ago")))


def _active(offer: Offer) -> tuple[Panel | None, ...]:
    return tuple(
        panels.trend_by(offer, offer.shown(ACTIVE, (label,))) for label in offer.of(IBM).dimensions((ACTIVE,))[:2]
    )

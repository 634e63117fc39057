"""Panels of metrics: headline, trend, worst groups, table. Each is ``None`` where there is nothing to show."""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from exporter.dashboards.advice import described, grouped, side_by_side, words
from exporter.dashboards.facts import Fact, fact
from exporter.dashboards.feeds import Feed
from exporter.dashboards.offer import Offer, Shown, among, any_of, matchers, variable
from exporter.dashboards.spec import Advice, Link, Panel, Row, Steps, Target, uid
from exporter.model import INTERVALS

OWN = "video_analytics_exporter"
WIDTH = 24
MOST = 10
"""Groups in a list of the worst, and lines in a chart by groups."""


def to(name: str, title: str, carried: Sequence[str] = ()) -> Link:
    """Lead to another dashboard, with the period, the data source and the variables that are named."""
    kept = "&".join(f"${{{variable}:queryparam}}" for variable in ("datasource", *carried))
    return Link(title, f"/d/{uid(name)}?${{__url_time_range}}&{kept}")


LAG = Steps("green", ((0.75, "yellow"), (1, "red")))
"""The colours of a lag: the red is where DataTooOld fires."""

HEALTH = to("health", "Exporter health", ("job", "instance", "source"))


def steps(known: Fact) -> Steps:
    """Give the colours of a family; a number without a limit has one colour."""
    if known.warn is None or known.bad is None:
        return Steps("blue")
    if known.low:
        return Steps("red", ((known.bad, "yellow"), (known.warn, "green")))
    return Steps("green", ((known.warn, "yellow"), (known.bad, "red")))


def lag(chosen: str) -> str:
    """Write how far the data of queries is behind their delays, as a share of what each may be; from 1 it is too old.

    A query's age alone says little: that of one with a `delay` of an hour is never less.
    """
    end, delay, interval = (
        f"max by (source, query) ({OWN}_query_{name}{{{chosen}}})"
        for name in ("window_end_timestamp_seconds", "delay_seconds", "interval_seconds")
    )
    return f"(time() - {end} - {delay})\n/\n({INTERVALS} * {interval})"


def stat(shown: Shown | None, *, title: str = "", width: int = 4, link: Link | None = None) -> Panel | None:
    """Show how it is now, for each source. Instant: the last point of a range may be hours old."""
    if shown is None:
        return None
    known = fact(shown.role)
    return Panel(
        "stat",
        title or known.title,
        described([shown]),
        shown.measure.unit,
        (Target(shown.expr, legend(shown)),),
        steps(known),
        width,
        4,
        link,
        feeds=shown.feeds,
    )


def trend(title: str, each: Iterable[Shown | None], *, width: int = 12) -> Panel | None:
    """Show several metrics of one unit over time."""
    found = [shown for shown in each if shown]
    if not found:
        return None
    first = fact(found[0].role)
    limits = (
        f"The dashed lines are the limits of: {first.title.lower()}." if len(found) > 1 and steps(first).above else ""
    )
    return Panel(
        "timeseries",
        title,
        described(found, limits),
        found[0].measure.unit,
        tuple(Target(shown.expr, legend(shown, fact(shown.role).title if len(found) > 1 else "")) for shown in found),
        steps(first),
        width,
        feeds=feeds_of(found),
    )


def trend_by(offer: Offer, shown: Shown | None, *, width: int = 12) -> Panel | None:
    """Show the groups that are worst, or largest, over time; a click leads to the explorer."""
    if shown is None:
        return None
    known = fact(shown.role)
    pick = "bottomk" if known.low else "topk"
    expr, left_out = among(offer, shown)
    most = f"At each moment the {MOST} {'lowest' if known.low else 'highest'}."
    return Panel(
        "timeseries",
        f"{known.title} by {words(shown.by)}",
        grouped(shown, f"{most} {left_out}".rstrip()),
        shown.measure.unit,
        (Target(f"{pick} by (source) ({MOST}, {expr})", legend(shown)),),
        steps(known),
        width,
        link=explore(offer, shown, "${{__field.labels.{label}:percentencode}}"),
        feeds=shown.feeds,
    )


def worst(offer: Offer, shown: Shown | None, *, width: int = 8) -> Panel | None:
    """List the groups that are worst now, of those with a hundredth of the volume at least where that is known."""
    if shown is None:
        return None
    known = fact(shown.role)
    pick, sort = ("bottomk", "sort") if known.low else ("topk", "sort_desc")
    expr, left_out = among(offer, shown)
    return Panel(
        "bargauge",
        f"{known.title}: worst {words(shown.by)}",
        grouped(shown, left_out),
        shown.measure.unit,
        (Target(f"{sort}({pick} by (source) ({MOST}, {expr}))", legend(shown)),),
        steps(known),
        width,
        link=explore(offer, shown, "${{__field.labels.{label}:percentencode}}"),
        feeds=shown.feeds,
    )


def table(offer: Offer, title: str, each: Sequence[Shown], *, width: int = WIDTH, height: int = 9) -> Panel | None:
    """Show metrics of the same groups in a row each; a click on a group leads to the explorer."""
    if not each:
        return None
    return Panel(
        "table",
        title,
        side_by_side(each),
        each[0].measure.unit,
        tuple(
            Target(shown.expr, "", fact(shown.role).title, shown.measure.unit, steps(fact(shown.role)))
            for shown in each
        ),
        steps(fact(each[0].role)),
        width,
        height,
        link=explore(offer, each[0], "${{__data.fields.{label}:percentencode}}"),
        feeds=feeds_of(each),
    )


def health(asked: Iterable[Feed]) -> Row:
    """Say whether what the dashboard shows is fresh: the last row of each."""
    asked = tuple(asked)
    chosen = matchers(extra=f"query=~{any_of(feed.name for feed in asked)}")
    success = f"{OWN}_query_success{{{chosen}}}"
    return Row(
        "Exporter health",
        (
            Panel(
                "stat",
                "Queries that fail",
                Advice(
                    "Can the panels above be believed? Queries of this dashboard whose last poll failed.",
                    "Any: what they show is old, and soon gone.",
                    "Click for the reasons.",
                ).text(),
                "short",
                (Target(f"count({success} == 0) or 0 * count({success})", "failing"),),
                Steps("green", ((1, "red"),)),
                6,
                6,
                HEALTH,
            ),
            Panel(
                "timeseries",
                "Lag of the data",
                Advice(
                    "Is what is shown above of now? How far each query's values are behind its own `delay`: 100% are "
                    f"{INTERVALS} of its intervals, and up to half of that is usual.",
                    "A line that rises, for its query fails. From 100% DataTooOld fires.",
                    "Click for the reasons; until it falls, take that query's figures as history.",
                ).text(),
                "percentunit",
                (Target(lag(chosen), "{{query}} ({{source}})"),),
                LAG,
                18,
                6,
                HEALTH,
            ),
        ),
    )


def explore(offer: Offer, shown: Shown, value: str) -> Link | None:
    """Lead to the explorer, with the group that was clicked; ``value`` is how Grafana names a label's value."""
    wide = [feed for feed in offer.feeds if set(shown.by) <= set(feed.dimensions) and shown.role in feed.measures]
    # The query with most dimensions, so that there is something to split the group by.
    feed = min(wide, key=lambda each: (each.narrow, -len(each.dimensions)), default=None)
    if feed is None or not shown.by:
        return None
    others = [label for label in feed.dimensions if label not in shown.by] or [shown.by[-1]]
    chosen = {
        "query": feed.name,
        "row": shown.by[0],
        "column": shown.by[1] if len(shown.by) > 1 else others[0],
        "metric": feed.measures[shown.role].family,
        **{variable(label): value.format(label=label) for label in shown.keys if label != "source"},
        "source": value.format(label="source"),
    }
    selection = "&".join(f"var-{name}={quote(given, safe='${}.:_')}" for name, given in chosen.items())
    return Link(
        f"Explore this {words(shown.by)}",
        f"/d/{uid('explorer')}?${{__url_time_range}}&${{datasource:queryparam}}&{selection}",
    )


def legend(shown: Shown, name: str = "") -> str:
    """Name a series by its groups; by its source only where there are several."""
    several = len({source for feed in shown.feeds for source in feed.sources}) > 1
    parts = [name, *(f"{{{{{label}}}}}" for label in shown.by), "({{source}})" if several else ""]
    return " ".join(filter(None, parts)) or fact(shown.role).title


def feeds_of(each: Iterable[Shown]) -> tuple[Feed, ...]:
    """Give the queries of several metrics, each once."""
    return tuple(dict.fromkeys(feed for shown in each for feed in shown.feeds))

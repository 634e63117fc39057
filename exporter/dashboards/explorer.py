"""The dashboard on which any two labels of a query stand against each other."""

from collections.abc import Iterable

from exporter.dashboards.facts import FACTS, STARTUP
from exporter.dashboards.feeds import Feed
from exporter.dashboards.offer import Offer, any_of, matchers, once, weight
from exporter.dashboards.spec import Advice, Board, Choice, Link, Panel, Row, Steps, Target, uid

MOST = 10
COMBINED = (
    "Counts are added up; times, ratios and scores are averaged by plays, attempts or time watched, where the query "
    "has them. What can be neither added up nor averaged (percentiles, distinct viewers) is only in the table of the "
    "rows as they were polled."
)


def explorer(offer: Offer) -> Board | None:
    """Let any metric be split by any two labels of its query; ``None`` where no query has a label."""
    feeds = tuple(feed for feed in offer.feeds if feed.dimensions and _gauges(feed))
    if not feeds:
        return None
    first = min(feeds, key=lambda feed: (STARTUP not in feed.measures, feed.narrow, -len(feed.dimensions)))
    feeds = (first, *(feed for feed in feeds if feed is not first))
    labels = tuple(dict.fromkeys(label for feed in feeds for label in feed.dimensions))
    families = _gauges(first)
    measure = first.measures.get(STARTUP) or first.measures[families[0]]
    chosen = _chosen(feeds)
    every = f"__name__=~{any_of(sorted({feed.measures[role].family for feed in feeds for role in _gauges(feed)}))}"
    return Board(
        "explorer",
        "Explorer",
        "Which combination of CDN, country, device or any other label is it? Any metric, by any two labels of a query.",
        _rows(feeds, chosen),
        choices=(
            Choice("query", "Query", tuple(feed.name for feed in feeds)),
            Choice(
                "metric",
                "Metric",
                (measure.family,),
                f"label_values({{{every}, {_chosen(())}}}, __name__)",
            ),
            Choice("row", "Rows", labels),
            Choice("column", "Columns", (*labels[1:2], *labels[:1], *labels[2:])),
        ),
        feeds=feeds,
    )


def _rows(feeds: tuple[Feed, ...], chosen: str) -> tuple[Row, ...]:
    by_row, by_column = (_combined(feeds, chosen, ("source", label)) for label in ("row", "column"))
    return (
        Row(
            "Selection",
            (
                Panel(
                    "stat",
                    "$metric of the selection",
                    Advice(
                        "What do the filters above leave over, all of it together?",
                        "A value that is far from the one without the filters: these groups are it.",
                        "Widen one filter at a time: the one that makes it well again names the cause.",
                    ).text(COMBINED),
                    "short",
                    (Target(_combined(feeds, chosen, ("source",)), "{{source}}"),),
                    Steps("blue"),
                    24,
                    4,
                ),
            ),
        ),
        Row(
            "Trends",
            tuple(
                Panel(
                    "timeseries",
                    f"$metric by ${label}",
                    Advice(
                        f"Which ${label} is it? The {MOST} largest at each moment.",
                        "A line that leaves the others, at the time when the trouble began.",
                        "Click the line to keep only that, then look at the other labels. All lines alike: choose "
                        "another label above.",
                    ).text(COMBINED),
                    "short",
                    (Target(f"topk by (source) ({MOST}, {expr})", f"{{{{{label}}}}}"),),
                    Steps("blue"),
                    link=_again(label, f"${{__field.labels.{label}:percentencode}}"),
                )
                for label, expr in (("row", by_row), ("column", by_column))
            ),
        ),
        Row(
            "One against the other",
            (
                Panel(
                    "table",
                    "$metric by $row and $column",
                    Advice(
                        "Is it a row, a column, or one cell of both?",
                        "A row or a column that is bad all along is the cause by itself; one cell is the pair.",
                        "Click a row to keep only that.",
                    ).text(COMBINED),
                    "short",
                    (Target(_combined(feeds, chosen, ("row", "column"))),),
                    Steps("blue"),
                    24,
                    10,
                    _again("row", "${__data.fields[0]:percentencode}"),
                    matrix=True,
                ),
            ),
        ),
        Row(
            "Rows",
            (
                Panel(
                    "table",
                    "$metric as it was polled",
                    Advice(
                        "What did the vendor say, row by row? The query's last answer as it is exported: percentiles "
                        "and distinct viewers too. The column `row` repeats $row.",
                        "Rows that differ from those above and below them once they are sorted by the value.",
                        "Click a row to keep only that. Empty for this metric: the query above has another.",
                    ).text(),
                    "short",
                    (Target(_copied(f'{{__name__="$metric", {chosen}}}', ("row",))),),
                    Steps("blue"),
                    24,
                    10,
                    _again("row", "${__data.fields.row:percentencode}"),
                ),
            ),
        ),
    )


def _gauges(feed: Feed) -> tuple[str, ...]:
    return tuple(role for role, measure in feed.measures.items() if measure.kind == "gauge")


def _labels(feeds: Iterable[Feed]) -> tuple[str, ...]:
    """Give the labels of all that can be chosen: those of the sources first."""
    feeds = tuple(feeds)
    own = (label for feed in feeds for label in feed.own)
    return tuple(dict.fromkeys((*own, *(label for feed in feeds for label in feed.dimensions))))


def _chosen(feeds: Iterable[Feed]) -> str:
    return matchers(_labels(feeds), 'query="$query"')


def _combined(feeds: tuple[Feed, ...], chosen: str, by: tuple[str, ...]) -> str:
    """Add up or average the chosen metric, whichever is right for it: of these terms one has a value.

    The labels that ``$row`` and ``$column`` name are copied to labels of their own, which transformations can name.
    """
    measures = [(feed, measure) for feed in feeds for measure in feed.measures.values() if measure.kind == "gauge"]
    added = sorted({measure.family for _, measure in measures if measure.additive})
    averaged: dict[tuple[int, str], set[str]] = {}
    for feed, measure in measures:
        heavy = None if measure.additive else weight(feed, measure.role)
        if heavy:
            averaged.setdefault((_rank(heavy.role), heavy.family), set()).add(measure.family)
    labels = ", ".join(by)
    terms = []
    if added:
        terms.append(f"sum by ({labels}) ({_copied(once(_selected(chosen, added), _labels(feeds)), by)})")
    for (_, heavy_family), families in sorted(averaged.items()):
        value, weighs = _selected(chosen, sorted(families)), f"{heavy_family}{{{chosen}}}"
        product = once(f"{value} * {weighs}", _labels(feeds))
        weighed = once(f"{weighs} and {value}", _labels(feeds))
        terms.append(f"sum by ({labels}) ({_copied(product, by)})\n/\n(sum by ({labels}) ({_copied(weighed, by)}) > 0)")
    return "\nor\n".join(terms)


def _rank(role: str) -> int:
    """Say how far back a weight stands among those of any family: of two that a query has the better goes first."""
    return max(known.weights.index(role) for known in FACTS.values() if role in known.weights)


def _selected(chosen: str, families: list[str]) -> str:
    return f'{{__name__="$metric", __name__=~{any_of(families)}, {chosen}}}'


def _copied(expr: str, by: tuple[str, ...]) -> str:
    for label in by:
        if label == "source":
            continue
        expr = f'label_replace({expr}, "{label}", "$1", "${label}", "(.*)")'
    return expr


def _again(label: str, value: str) -> Link:
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "source", "query", "metric", "row", "column"))
    return Link("Keep only this", f"/d/{uid('explorer')}?${{__url_time_range}}&{kept}&var-${{{label}}}={value}")

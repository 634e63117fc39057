"""Which query shows a metric, and the PromQL for it.

The same family comes from several queries; no expression mixes them. For each source one query is chosen: the least
narrow one, rather with exactly the wanted dimensions than with more. Where it has more, its groups are added up, or
averaged by what they weigh; what can't be (percentiles, distinct viewers) is then not shown at all.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.dashboards.facts import ERRORS, FATAL, fact
from exporter.dashboards.feeds import Feed, Measure

RESERVED = frozenset(
    {"datasource", "job", "instance", "source", "query", "row", "column", "metric", "count", "mean", "weight"}
)
"""Variables that dashboards have besides those of labels."""

OF_ERRORS = frozenset({ERRORS, FATAL})

DAY, TURN = "1d", "15m"
"""How far back a group's volume counts where a bad value takes it away, and how often that is looked at."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric by some labels: the expression gives a series for each source and their values."""

    measure: Measure
    by: tuple[str, ...]
    expr: str
    feeds: tuple[Feed, ...]

    @property
    def role(self) -> str:
        """The catalogue's name of the family."""
        return self.measure.role

    @property
    def keys(self) -> tuple[str, ...]:
        """The labels of the series."""
        return ("source", *self.by)

    @property
    def window(self) -> int:
        """Seconds that one value stands for."""
        return max(feed.window for feed in self.feeds)


@dataclass(frozen=True, slots=True)
class Offer:
    """All that a configuration's queries can show."""

    feeds: tuple[Feed, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that are asked anything."""
        return tuple(dict.fromkeys(source for feed in self.feeds for source in feed.sources))

    def of(self, vendor: str) -> "Offer":
        """Give the part that comes from one type of source."""
        return Offer(tuple(feed for feed in self.feeds if feed.type == vendor))

    def shown(self, role: str, by: tuple[str, ...] = (), ago: str = "") -> Shown | None:
        """Show a family by some labels, now or as it was some time ago.

        ``None`` where no query brings it, or none that may be added up to them.
        """
        able = [feed for feed in self.feeds if _shows(feed, role, by)]
        # An endpoint beside the main one tells of the same plays again, often by another log-in of the same account.
        able = [feed for feed in able if not feed.aside] or able
        chosen: dict[str, list[str]] = {}
        for source in self.sources:
            if feed := _best(able, by, source):
                chosen.setdefault(feed.name, []).append(source)
        feeds = tuple(feed for feed in able if feed.name in chosen)
        if not feeds:
            return None
        terms = [_rolled(feed, role, by, _only(feed, chosen[feed.name]), ago) for feed in feeds]
        return Shown(feeds[0].measures[role], by, "\nor\n".join(terms), feeds)

    def beside(self, shown: Shown, roles: Iterable[str]) -> Shown | None:
        """Show the first of some families that comes from the same queries as another, by the same labels."""
        found = (Offer(shown.feeds).shown(role, shown.by) for role in roles)
        return next((other for other in found if other and other.feeds == shown.feeds), None)

    def each(self, roles: Iterable[str], by: tuple[str, ...] = ()) -> tuple[Shown, ...]:
        """Show those of the families that can be."""
        return tuple(shown for role in roles if (shown := self.shown(role, by)))

    def dimensions(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Give the labels by which any of the families can be shown: those of CDN, country and device first."""
        found = dict.fromkeys(
            label
            for feed in self.feeds
            for label in feed.dimensions
            if any(self.shown(role, (label,)) for role in roles)
        )
        first = [label for label in ("cdn", "country", "device") if label in found]
        return tuple(dict.fromkeys((*first, *found)))

    def distribution(self, role: str) -> Feed | None:
        """Give the query that brings a distribution, the least narrow one."""
        found = [feed for feed in self.feeds if role in feed.measures and feed.measures[role].kind == "histogram"]
        return min(found, key=lambda feed: feed.narrow, default=None)


def _best(able: Iterable[Feed], by: tuple[str, ...], source: str) -> Feed | None:
    return min(
        (feed for feed in able if source in feed.sources),
        key=lambda feed: (feed.narrow, set(feed.dimensions) != set(by), -len(feed.measures)),
        default=None,
    )


def _shows(feed: Feed, role: str, by: tuple[str, ...]) -> bool:
    measure = feed.measures.get(role)
    if measure is None or measure.kind != "gauge" or feed.endpoint == "smartquery":
        return False
    if feed.endpoint == "error" and role not in OF_ERRORS:
        return False  # plays that had an error are not all plays
    if set(by) == set(feed.dimensions):
        return True
    return set(by) < set(feed.dimensions) and feed.whole and (measure.additive or weight(feed, role) is not None)


def weight(feed: Feed, role: str) -> Measure | None:
    """Give what averages a family's values in a query, where the query brings it."""
    return next((feed.measures[name] for name in fact(role).weights if name in feed.measures), None)


def variable(label: str) -> str:
    """Name the variable that filters by a label."""
    return f"label_{label}" if label in RESERVED else label


def matchers(labels: Iterable[str] = (), extra: str = "") -> str:
    """Write the matchers that every selector has, those of labels, and extra ones."""
    found = [f'{name}=~"${name}"' for name in ("job", "instance", "source")]
    return ", ".join([*found, *filter(None, [extra]), *(f'{label}=~"${variable(label)}"' for label in labels)])


def selector(family: str, feed: Feed, only: str = "") -> str:
    """Select a family of one query, of the chosen sources and labels."""
    return f"{family}{{{matchers(feed.labels, only + f'query={quoted(feed.name)}')}}}"


def any_of(names: Iterable[str]) -> str:
    """Write a matcher's value that any of the names matches."""
    return quoted("|".join(re.escape(name).replace("\\-", "-").replace("\\ ", " ") for name in names))


def quoted(text: str) -> str:
    """Write a text as PromQL does; JSON escapes the same."""
    return json.dumps(text, ensure_ascii=False)


def once(expr: str, labels: Iterable[str]) -> str:
    """Take each series once, by the labels of its data: replicas of an exporter bring it several times."""
    return f"max by ({', '.join(('source', *labels))}) ({expr})"


def among(offer: Offer, shown: Shown) -> tuple[str, str]:
    """Leave out groups that have less than a hundredth of all volume: one failure of three attempts is no news.

    Gives the expression, and in words which groups are left; nothing where they all are.
    """
    known = fact(shown.role)
    volume = offer.beside(shown, known.volume or known.weights)
    if volume is None:
        return shown.expr, ""
    least = f"> on (source) group_left ()\n  0.01 * sum by (source) ({volume.expr})"
    enough, of = f"({volume.expr}) {least}", fact(volume.role).title.lower()
    told = f"Left out are groups with less than a hundredth of the {of}."
    if known.volume:
        enough += f"\nor\nmax_over_time(({volume.expr})[{DAY}:{TURN}]) {least}"
        told = f"Left out are groups that at no time of the last day had a hundredth of the present {of}."
    return f"({shown.expr})\nand\n({enough})", told


def spent(offer: Offer, role: str, span: str) -> str | None:
    """Write the share of all over a span, of a ratio of which a query brings the volume too.

    One value stands for a whole window, so a value a window is taken: no play counts twice.
    """
    shown = offer.shown(role)
    volume = offer.beside(shown, fact(role).weights) if shown else None
    if shown is None or volume is None:
        return None
    step = f"[{span}:{shown.window}s]"
    share = f"(({shown.expr}) * ({volume.expr}))"
    counted = f"(({volume.expr}) and ({shown.expr}))"
    return f"sum_over_time({share}{step})\n/\n(sum_over_time({counted}{step}) > 0)"


def quantile(feed: Feed, role: str, share: float, by: tuple[str, ...]) -> str:
    """Write a quantile of a distribution. Its buckets are those of one window, no counters: no rate."""
    labels = ", ".join(("le", "source", *by))
    buckets = selector(f"{feed.measures[role].family}_bucket", feed)
    return f"histogram_quantile({share}, sum by ({labels}) ({buckets}))"


def _only(feed: Feed, sources: list[str]) -> str:
    """Restrict a query to some of its sources, where others show the metric by another query."""
    return "" if set(sources) == set(feed.sources) else f"source=~{any_of(sources)}, "


def _rolled(feed: Feed, role: str, by: tuple[str, ...], only: str, ago: str) -> str:
    measure, labels = feed.measures[role], ", ".join(("source", *by))
    offset = f" offset {ago}" if ago else ""
    value = selector(measure.family, feed, only) + offset
    if set(by) == set(feed.dimensions):
        return f"max by ({labels}) ({value})"
    heavy = None if measure.additive else weight(feed, role)
    if heavy is None:
        return f"sum by ({labels}) ({once(value, feed.labels)})"
    weighs = selector(heavy.family, feed, only) + offset
    product, weighed = (once(each, feed.labels) for each in (f"{value} * {weighs}", f"{weighs} and {value}"))
    return f"sum by ({labels}) ({product})\n/\n(sum by ({labels}) ({weighed}) > 0)"


def labels_of(feeds: Iterable[Feed]) -> Iterator[tuple[str, tuple[Feed, ...]]]:
    """Give each label that can be filtered by, with the queries that have it."""
    feeds = tuple(feeds)
    for label in dict.fromkeys(label for feed in feeds for label in feed.labels):
        yield label, tuple(feed for feed in feeds if label in feed.labels)

"""How well it plays: ratios of all plays of a source, error budgets, and groups that are worse than the rest.

All of them rest on three recordings for each signal: ``:weight``, how many plays or attempts the values stand for,
``:weighted_sum``, each value times those, and ``:weighted``, the one through the other. A mean or a ratio of several
groups has no other right answer: the plain mean counts a CDN with ten plays as much as one with ten thousand. It is
exact where the vendor divides by that weight: buffering is a share of the watch time, so a query that has it is weighed
by it, and ``:volume`` says how many plays those were; plays alone come close. Of a query without dimensions it is the
vendor's own number.

Error budgets: each sample stands for a whole ``window`` (5 minutes), and comes each ``interval`` (1 minute), so every
play stands in five samples. Neither ``rate()`` nor a sum over time means anything of it. But as errors and plays are
counted equally often, it cancels out in their quotient: ``avg_over_time(errors[1h]) / avg_over_time(plays[1h])`` is
the ratio of all errors to all plays of that hour. Only the edges are soft, by one ``window``. The mean of the ratios
themselves would be wrong, for then a play at night would count more than one in the evening.
"""

from collections.abc import Callable, Iterator, Sequence

from exporter.catalog import sanitise
from exporter.config import Config
from exporter.rules.model import Alert, Recording, Settings
from exporter.rules.pick import Picked, pick
from exporter.rules.signals import SIGNALS, Signal

OF = "{{ $labels.source }}"
READ = "(query {{ $labels.query }})"
OUTLIERS = {"cdn": "CDNOutlier", "country": "CountryOutlier", "device": "DeviceOutlier"}
TIMES = 2
"""How many times as bad as the rest an outlier is."""
GONE, GONE_BELOW = "AdFillGone", 0.05
"""The alert on a group that gets no ads, and the share below which they are hardly any."""


def recordings(config: Config, settings: Settings) -> Iterator[Recording]:
    """Give the weighted ratios of each source, over the windows of its budgets, and by the dimensions of outliers."""
    for signal in SIGNALS:
        for picked in _read(config, signal):
            yield from _weighted(signal, picked, "source", picked.keys)
            if signal.budget is not None:
                yield from _burned(signal, picked, settings)
        for dimension in OUTLIERS if signal.outlier is not None else ():
            for picked in _read(config, signal, dimension):
                yield from _against_the_rest(signal, picked, dimension, settings)


def alerts(config: Config, settings: Settings) -> Iterator[Alert]:
    """Give the alerts for which the configuration has a query."""
    for signal in SIGNALS:
        if any(_read(config, signal)):
            yield _high(signal, settings)
        if signal.asked:
            yield from _gone(config, signal, settings)
    for dimension, name in OUTLIERS.items():
        for signal in SIGNALS:
            if signal.outlier is not None and any(_read(config, signal, dimension)):
                yield _outlier(signal, dimension, name, settings)


def budget_alerts(config: Config, settings: Settings) -> Iterator[Alert]:
    """Give the burn-rate alerts: one start-up and one buffering SLO, where the configuration has a query for it."""
    for signal in SIGNALS:
        if signal.budget is not None and any(_read(config, signal)):
            yield from _burns(signal, signal.budget, settings)


def _read(config: Config, signal: Signal, dimension: str | None = None) -> Iterator[Picked]:
    """Give one query for each source: the value, the volume, and last what weighs the value."""
    return pick(config, (signal.family, signal.weight), dimension, (signal.exact,))


def _weighted(signal: Signal, picked: Picked, level: str, by: Sequence[str]) -> Iterator[Recording]:
    value, volume, weight, labels = picked.row(0), picked.row(1), picked.row(-1), ", ".join(by)
    name = f"{level}:{signal.family}"

    def total(of: str, expr: str) -> Recording:
        return Recording(f"{name}:{of}", f"sum by ({labels}) (\n  {expr}\n)", picked.labels)

    # What was asked for is not told, but follows: served = asked x fill ratio.
    yield total("weight", f"{weight}\n/\n  ({value} > 0)" if signal.asked else f"{weight}\nand\n  {value}")
    if signal.exact:
        yield total("volume", f"{volume}\nand\n  {value}")
    yield total("weighted_sum", weight if signal.asked else f"{value}\n*\n  {weight}")
    ratio = f"{name}:weighted_sum{picked.selector}\n/\n({name}:weight{picked.selector} > 0)"
    yield Recording(f"{name}:weighted", ratio, picked.labels)


def _of_enough(signal: Signal, settings: Settings, part: Callable[[str], str]) -> str:
    """Divide what ``part`` makes of the weighted sum by what it makes of the weight, where the volume is enough."""
    guard = f">= {settings.minimum}"
    if signal.exact:
        return f"{part('weighted_sum')}\n/\n({part('weight')} > 0)\nand\n{part('volume')} {guard}"
    return f"{part('weighted_sum')}\n/\n({part('weight')} {guard})"


def _against_the_rest(signal: Signal, picked: Picked, dimension: str, settings: Settings) -> Iterator[Recording]:
    label = sanitise(dimension)
    level = f"source_{label}"
    yield from _weighted(signal, picked, level, (*picked.keys, label))
    keys, name, chosen = ", ".join(picked.keys), f"{level}:{signal.family}", picked.selector

    def rest(of: str) -> str:
        """All groups but one, for each of them."""
        return f"(sum by ({keys}) ({name}:{of}{chosen}) - on ({keys}) group_right () {name}:{of}{chosen})"

    yield Recording(f"{name}:rest", _of_enough(signal, settings, rest), picked.labels)


def _burned(signal: Signal, picked: Picked, settings: Settings) -> Iterator[Recording]:
    name, chosen = f"source:{signal.family}", picked.selector
    windows = dict.fromkeys(window for burn in settings.burns for window in (burn.short, burn.long))
    for window in windows:

        def mean(of: str, over: str = window) -> str:
            return f"avg_over_time({name}:{of}{chosen}[{over}])"

        yield Recording(f"{name}:mean_{window}", _of_enough(signal, settings, mean), picked.labels)


def _enough(signal: Signal, name: str, settings: Settings) -> str:
    """Say that the value stands for enough plays or attempts, and that enough of them were bad."""
    guard = f"{name}:{signal.volume} >= {settings.minimum}"
    if not signal.least:
        return guard
    bad = f"{name}:weighted * {name}:volume" if signal.exact else f"{name}:weighted_sum"
    return f"{guard}\nand\n{bad} >= {signal.least}"


def _high(signal: Signal, settings: Settings) -> Alert:
    name, limit = f"source:{signal.family}", signal.number(signal.limit)
    side = "above" if signal.worse == ">" else "below"
    return Alert(
        signal.alert,
        f"{name}:weighted {signal.worse} {signal.limit:g}\nand\n{_enough(signal, name, settings)}",
        signal.severity,
        "qoe",
        f"{OF}: {signal.says}",
        f"Over the query's window {signal.says} {READ}; the alert fires {side} {limit}.",
    )


def _gone(config: Config, signal: Signal, settings: Settings) -> Iterator[Alert]:
    """Watch the groups one by one: of one that is served nothing no volume tells, so that no mean has it in it."""
    found: dict[tuple[str, ...], list[str]] = {}
    for picked in _read(config, signal):
        found.setdefault(picked.groups, []).append(_row_gone(picked, settings))
    for groups, exprs in found.items():
        names = " and ".join(f"{label} {{{{ $labels.{label} }}}}" for label in groups)
        yield Alert(
            GONE,
            "\nor\n".join(exprs),
            signal.severity,
            "qoe",
            f"{OF}: hardly any ads are served{f' ({names})' if names else ''}",
            f"Over the query's window {signal.says}{f' for {names}' if names else ''} {READ}; before, there were "
            f"{settings.minimum} impressions a window at least.",
            "5m",
            (("by", ",".join(groups)),) if groups else (),
        )


def _row_gone(picked: Picked, settings: Settings) -> str:
    impressions = f"{picked.families[1]}{picked.selector}[{settings.span}] offset {settings.offset}"
    usual = picked.once(f"quantile_over_time(0.5, {impressions})")
    # What is usual becomes nothing soon, so it holds on by itself until ads are served again.
    firing = picked.once(f'ALERTS{{alertname="{GONE}", alertstate="firing"}}')
    return f"{picked.row(0)} < {GONE_BELOW}\nand (\n  {usual} >= {settings.minimum}\n  or\n  {firing}\n)"


def _outlier(signal: Signal, dimension: str, name: str, settings: Settings) -> Alert:
    label = sanitise(dimension)
    series = f"source_{label}:{signal.family}"
    least = signal.number(signal.outlier or 0)
    return Alert(
        name,
        f"{series}:weighted > {TIMES} * {series}:rest\nand\n{series}:weighted > {signal.outlier:g}\n"
        f"and\n{_enough(signal, series, settings)}",
        "critical" if dimension == "cdn" else "warning",
        "qoe",
        f"{OF}: {dimension} {{{{ $labels.{label} }}}} is worse than the rest ({signal.short})",
        f"For the {dimension} {{{{ $labels.{label} }}}} {signal.says} {READ}: at least {TIMES} times as "
        f"bad as all others together, and above {least}.",
        extra=(("signal", signal.short),),
    )


def _burns(signal: Signal, budget: float, settings: Settings) -> Iterator[Alert]:
    name = f"source:{signal.family}"
    for burn in settings.burns:
        limit = f"{burn.factor:g} * {budget:g}"
        yield Alert(
            signal.slo,
            f"{name}:mean_{burn.long} > {limit}\nand\n{name}:mean_{burn.short} > {limit}",
            burn.severity,
            "qoe",
            f"{OF}: burn rate above {burn.factor:g}: {signal.says}",
            f"Over {burn.long} {signal.says} {READ}. The SLO admits {budget:.0%} over 30 days; this is more than "
            f"{burn.factor:g} times as much, over {burn.long} and still over {burn.short}.",
            burn.hold,
            (("window", burn.long),),
        )

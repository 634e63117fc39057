"""SmartSight's metrics, each computed from the sums of one group, in the API's units."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.simulator.arithmetic import distinct, ratio
from exporter.simulator.world import Group

PERCENT = 100
SPREAD = {"avg_": 1.0, "median_": 0.9, "p95_": 2.2, "p99_": 3.1}
"""How far a statistic lies from the mean; the same for all metrics, as if all were distributed alike."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How a metric is computed (``None`` where it has no meaning), and the largest value that it can have.

    ``total``: it grows with the sessions, so its statistics are about one session. ``ad``: an ad metric.
    """

    value: Callable[[Group], float | None]
    ceiling: float | None = None
    total: bool = False
    ad: bool = False


def _views(group: Group) -> int:
    """Count the plays in progress: those that began, and those that were running."""
    return round(group.figures.plays + group.figures.concurrent / max(1, group.minutes))


def _viewers(group: Group) -> int:
    return distinct(_views(group), group.minutes)


def _devices(group: Group) -> int:
    return _viewers(group) + (_views(group) - _viewers(group)) // 5


def _subscribers(group: Group) -> int:
    return _viewers(group) * 7 // 10


def _total(value: Callable[[Group], float], *, ad: bool = False) -> Measure:
    return Measure(value, total=True, ad=ad)


def _percent(part: Callable[[Group], float], of: Callable[[Group], float], *, ad: bool = False) -> Measure:
    return Measure(lambda group: ratio(part(group), of(group), PERCENT), ceiling=PERCENT, ad=ad)


_CIRR = _percent(lambda g: 0.6 * g.figures.buffering, lambda g: g.figures.playtime)
_VRT = _percent(lambda g: 0.2 * g.figures.buffering, lambda g: g.figures.playtime)
METRICS: Mapping[str, Measure] = {
    "viewercount": _total(lambda g: g.figures.plays),
    "attempts": _total(lambda g: g.figures.attempts),
    "endedplays": _total(lambda g: g.figures.ended),
    "views": _total(_views),
    "concurviewavg": _total(lambda g: g.figures.concurrent / max(1, g.minutes)),
    "playdur": _total(lambda g: g.figures.playtime),
    "totalduration": _total(lambda g: 0.98 * g.figures.playtime),
    "avg_playtime_by_audience": Measure(lambda g: ratio(g.figures.playtime / 60, _viewers(g))),
    "uniqueviewercount": _total(_viewers),
    "uniquesubscribercount": _total(_subscribers),
    "unique_subscribers": _total(_subscribers),
    "unique_devices": _total(_devices),
    "anonymous_viewers": _total(lambda g: _viewers(g) - _subscribers(g)),
    "qualityofexperience": Measure(lambda g: ratio(g.figures.score, g.figures.plays), ceiling=100),
    "latency": Measure(lambda g: ratio(g.figures.startup, g.figures.plays)),
    "bufferingratio": _percent(lambda g: g.figures.buffering, lambda g: g.figures.playtime),
    "cirrbufferingratio": _CIRR,
    "sumbuffwaitcirr": _CIRR,
    "vrtbufferingratio": _VRT,
    "sumbuffwaitvrt": _VRT,
    "failurerate": _percent(lambda g: g.figures.failures, lambda g: g.figures.attempts),
    "startupabandonmentrate": _percent(lambda g: g.figures.exits, lambda g: g.figures.attempts),
    "totalstartupfailure": _total(lambda g: g.figures.failures),
    "errors": _total(lambda g: g.figures.errors),
    "fatalerrors": _total(lambda g: g.figures.fatal),
    "cdn_change_rate": _percent(lambda g: g.figures.switches, lambda g: g.figures.plays),
    "cbrsize": _total(lambda g: g.figures.bytes),
    "adfillrate": _percent(lambda g: g.figures.ads_shown, lambda g: g.figures.ads_asked, ad=True),
    "adimpression": _total(lambda g: g.figures.ads_shown, ad=True),
    "totaladimpression": _total(lambda g: g.figures.ads_shown, ad=True),
}


def statistic(metric: str) -> tuple[str, str]:
    """Split ``p95_latency`` into ``p95_`` and ``latency``; the first is empty for a metric of the table."""
    if metric not in METRICS:
        for prefix in SPREAD:
            if metric.startswith(prefix):
                return prefix, metric.removeprefix(prefix)
    return "", metric


def known(metric: str) -> bool:
    """Tell whether there is such a metric, or such a statistic of one."""
    return statistic(metric)[1] in METRICS


def is_ad(metric: str) -> bool:
    """Tell whether a known metric is about ads."""
    return METRICS[statistic(metric)[1]].ad


def value(metric: str, group: Group) -> float | None:
    """Compute a known metric, or statistic of one, for a group; ``None`` where it has no meaning there."""
    prefix, field = statistic(metric)
    measure = METRICS[field]
    number = measure.value(group)
    if not prefix or number is None:
        return number
    one = ratio(number, group.figures.attempts) if measure.total else number
    if one is None:
        return None
    spread = one * SPREAD[prefix]
    return spread if measure.ceiling is None else min(spread, measure.ceiling)

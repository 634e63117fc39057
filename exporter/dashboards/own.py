"""The exporter's own metrics in PromQL, and the panels of one expression that show them."""

from exporter.dashboards.offer import matchers
from exporter.dashboards.panels import OWN
from exporter.dashboards.spec import Advice, Panel, Steps, Target

QUERY = matchers(extra='query=~"$query"')
SOURCE = matchers()
TARGET = 'job=~"$job", instance=~"$instance"'
NONE_IS_BEST = Steps("green", ((1, "red"),))
PLAIN = Steps("blue")
BY = "by (source, query)"
DAY = 86400


def own(name: str, chosen: str) -> str:
    """Select one of the exporter's own metrics."""
    return f"{OWN}_{name}{{{chosen}}}"


def stat(title: str, advice: Advice, unit: str, expr: str, steps: Steps) -> Panel:
    """Show one number as it is now."""
    return Panel("stat", title, advice.text(), unit, (Target(expr, title),), steps, 4, 4)


def chart(  # noqa: PLR0913, PLR0917 - a panel's fields, in their order
    title: str, advice: Advice, unit: str, expr: str, legend: str, steps: Steps = PLAIN
) -> Panel:
    """Show one expression over time."""
    return Panel("timeseries", title, advice.text(), unit, (Target(expr, legend),), steps)


def age() -> str:
    """Say how long ago the period ended that each query's values are of."""
    return f"time() - max {BY} ({own('query_window_end_timestamp_seconds', QUERY)})"


def increase(name: str, by: str, chosen: str = QUERY) -> str:
    """Count over the period that is shown. What never happened has no series, so those that are polled say 0."""
    return f"sum by ({by}) (increase({own(name, chosen)}[$__range]))"


SUCCESS = own("query_success", QUERY)
"""Whether the last poll of each query succeeded."""

"""Prometheus' rules for a configuration: recordings of what may be added up, and alerts of what its queries tell."""

from exporter.config import Config
from exporter.rules import audience, health, history, quality
from exporter.rules.model import Alert, Burn, Group, Recording, Settings
from exporter.rules.render import render

__all__ = ["Alert", "Burn", "Group", "Recording", "Settings", "alerting", "recording", "render"]

RUNBOOKS = "docs/runbooks"
"""Where the runbooks are in this repository, which has no address of its own that a link could lead to."""


def recording(config: Config, settings: Settings | None = None) -> tuple[Group, ...]:
    """Give the recording rules; empty where no query has what they need."""
    numbers = settings or Settings()
    groups = (
        Group("video-analytics-quality", tuple(quality.recordings(config, numbers))),
        Group("video-analytics-audience", tuple(audience.recordings(config, numbers))),
    )
    return tuple(group for group in groups if group.rules)


def alerting(config: Config, settings: Settings | None = None) -> tuple[Group, ...]:
    """Give the alerting rules: those on the exporter itself, and those for which the file has a query."""
    numbers = settings or Settings()
    groups = (
        Group("video-analytics-quality-alerts", tuple(quality.alerts(config, numbers))),
        Group("video-analytics-budget-alerts", tuple(quality.budget_alerts(config, numbers))),
        Group("video-analytics-audience-alerts", tuple(audience.alerts(config, numbers))),
        Group("video-analytics-exporter-alerts", tuple(health.alerts(config))),
        Group("video-analytics-history-alerts", tuple(history.alerts())),
    )
    return tuple(group for group in groups if group.rules)

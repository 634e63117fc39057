"""Video analytics exporter: what MediaMelon SmartSight and IBM Video Streaming know, as Prometheus gauges."""

__version__ = "0.1.0"

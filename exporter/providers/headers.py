"""What goes along with each request to a vendor."""

import httpx

import exporter

SENT = httpx.Headers(
    {
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "user-agent": f"video-analytics-exporter/{exporter.__version__}",
    }
)

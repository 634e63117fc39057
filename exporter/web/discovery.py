"""``/sd``: Prometheus' HTTP service discovery, by which it finds this process."""

import re
from typing import Any
from urllib.parse import urlsplit

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
PORTS = {"http": 80, "https": 443}
USUAL_PATH = "/metrics"


def targets(url: str, metrics_path: str) -> list[dict[str, Any]] | None:
    """Give the target groups of an exporter that is reached at a URL; ``None`` if that names no host.

    Labels say what Prometheus would not assume: the scheme ``https``, another path than ``/metrics``.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in PORTS or not HOST.fullmatch(parts.netloc):
        return None
    target = parts.netloc if re.search(r":[0-9]+$", parts.netloc) else f"{parts.netloc}:{PORTS[parts.scheme]}"
    path = parts.path.rstrip("/") + metrics_path
    labels = {"__scheme__": parts.scheme} if parts.scheme != "http" else {}
    if path != USUAL_PATH:
        labels["__metrics_path__"] = path
    return [{"targets": [target], "labels": labels}]

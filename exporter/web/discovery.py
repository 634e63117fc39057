"""``/sd``: Prometheus' HTTP service discovery, by which it finds this process and its peer shards."""

import re
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from exporter.web.peers import Peers

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
PORTS = {"http": 80, "https": 443}
USUAL_PATH = "/metrics"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is told of whom. ``external_url`` is where this process is found, if not where it is asked."""

    external_url: str = ""
    peers: Peers | None = None

    async def groups(self, asked_at: str, metrics_path: str) -> list[dict[str, Any]] | None:
        """Give the target groups for one who asks at a URL; ``None`` if that names no host.

        Raises:
            NoPeersError: nobody knows yet where the peers are.
        """
        urls = await self.peers.urls() if self.peers else [self.external_url or asked_at]
        found = [targets(url, metrics_path) for url in dict.fromkeys(urls)]
        known = [group for group in found if group is not None]
        return list(chain.from_iterable(known)) if len(known) == len(found) else None


ALONE = Discovery()


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

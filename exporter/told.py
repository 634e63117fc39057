"""What the exporter said of itself at one moment, and how it is written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import prometheus_client
from prometheus_client import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.exposition import Format

RENDER: dict[Format, Callable[[Any], bytes]] = {
    Format.TEXT: prometheus_client.generate_latest,
    Format.OPENMETRICS: openmetrics.generate_latest,
}
"""Each wants a registry, and of that no more than what :class:`_Families` has."""

END_OF_BODY = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}
"""What closes a body."""


@dataclass(frozen=True, slots=True)
class _Families:
    """What prometheus-client takes for a registry."""

    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.families


@dataclass(frozen=True, slots=True)
class Told:
    """What the exporter said of itself at one moment; of some families the lines are written already."""

    families: tuple[Metric, ...]
    lines: tuple[tuple[Metric, str], ...] = ()

    def render(self, form: Format) -> bytes:
        """Give it as text, without what closes a body."""
        parts = [_rendered(self.families, form)]
        for family, lines in self.lines:
            parts += _rendered((family,), form), lines.encode()
        return b"".join(parts)


def _rendered(families: tuple[Metric, ...], form: Format) -> bytes:
    return RENDER[form](_Families(families)).removesuffix(END_OF_BODY[form])

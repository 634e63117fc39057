"""What the command ``plan`` finds out of the history that ``run`` would deliver, and did."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from exporter.config import Config
from exporter.history.settlement import TOGETHER
from exporter.history.watermark import DamagedError, Watermark, Watermarks, standing
from exporter.model import History, Query
from exporter.providers.base import Provider

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Deliverable:
    """One query's history for one receiver: its requests beside those of the polls, and what is stored of it.

    ``newest`` is the end of the newest bucket that was delivered, in Unix seconds; ``verdict`` judges the delay.
    """

    source: str
    query: str
    receiver: str
    step: int
    requests_per_day: float
    newest: int | None
    verdict: str


def deliverables(config: Config, storage: Path | None) -> Iterator[Deliverable]:
    """Give what would be delivered; with a storage directory also what was."""
    for query in config.queries:
        if not (history := query.history):
            continue
        requests = _requests_per_day(query, history, config.sources[query.source].provider)
        for receiver in config.remote_write:
            mark = _stored(storage, query, receiver.label) if storage else None
            stored = standing(query, receiver.label, mark)
            unknown = (
                "Nothing is stored of it yet." if storage else "--storage.path says where `run` keeps what it saw."
            )
            verdict = stored.verdict if mark else unknown
            yield Deliverable(query.source, query.name, receiver.label, history.step, requests, stored.newest, verdict)


def _stored(storage: Path, query: Query, receiver: str) -> Watermark | None:
    try:
        return Watermarks(storage).read(query, receiver)
    except DamagedError:
        return None


def _requests_per_day(query: Query, history: History, provider: Provider) -> float:
    """Give the requests for new buckets and for settled ones, one page each, where nothing has to be caught up with."""
    past = provider.past(query, history.step)

    def requests(every: float) -> float:
        return len(past.parts) * ceil(every / past.span) * DAY / every

    return requests(max(query.interval, history.step)) + requests(max(history.settle * TOGETHER, history.step))

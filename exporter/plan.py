"""From queries to jobs: which requests, how often, and when within the interval. Pure."""

import hashlib
from dataclasses import dataclass

from exporter.config import Config
from exporter.model import Part, Query
from exporter.providers.base import Provider
from exporter.window import next_tick, offset


@dataclass(frozen=True, slots=True)
class Job:
    """What one tick does: the requests that answer a query.

    ``offset`` is in seconds after the grid of the query's interval. Jobs of equal ``identity`` ask the same of the
    same account, so that an answer to one is an answer to the other; it holds no secret.
    """

    query: Query
    provider: Provider
    parts: tuple[Part, ...]
    offset: float
    identity: str

    def next_tick(self, now: float) -> float:
        """Give when it is due after ``now``, in Unix seconds."""
        return next_tick(now, interval=self.query.interval, offset=self.offset)


def plan(config: Config) -> tuple[Job, ...]:
    """Give the jobs of a configuration, in its order."""
    return tuple(_job(query, config) for query in config.queries)


def _job(query: Query, config: Config) -> Job:
    provider = config.sources[query.source].provider
    parts = provider.parts(query)
    asked = repr((query, provider.account, parts)).encode()
    return Job(query, provider, parts, offset(query.name, query.interval), hashlib.sha256(asked).hexdigest())

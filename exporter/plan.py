"""From queries to jobs: which requests, how often, and when within the interval. Pure."""

from dataclasses import dataclass

from exporter.config import Config
from exporter.model import Part, Query
from exporter.providers.base import Provider
from exporter.window import offset


@dataclass(frozen=True, slots=True)
class Job:
    """What one tick does: the requests that answer a query.

    ``offset`` is in seconds after the grid of the query's interval.
    """

    query: Query
    provider: Provider
    parts: tuple[Part, ...]
    offset: float


def plan(config: Config) -> tuple[Job, ...]:
    """Give the jobs of a configuration, in its order."""
    return tuple(_job(query, config) for query in config.queries)


def _job(query: Query, config: Config) -> Job:
    provider = config.sources[query.source].provider
    return Job(query, provider, provider.parts(query), offset(query.name, query.interval))

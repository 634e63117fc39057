"""From queries to groups of jobs: which requests, for which queries, how often, and when within the interval. Pure.

Queries of a source that ask for the same rows, and differ only in their metrics and in what they make of them, are
answered by the same requests. So are those of which only some requests are the same (IBM has one a metric).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from exporter.config import Config
from exporter.model import Labels, Part, Query
from exporter.providers.base import Provider
from exporter.window import next_tick, offset

DAY = 86_400

MOST_FIELDS = 50
"""Metrics that are asked for in one request at most: they stand in its URL, and servers bound its length."""


@dataclass(frozen=True, slots=True)
class Job:
    """One query, and the requests that answer it.

    ``offset`` is in seconds after the grid of the query's interval: that of its group. Jobs of equal ``identity`` ask
    the same of the same account, so that an answer to one is an answer to the other; it holds no secret.
    """

    query: Query
    provider: Provider
    parts: tuple[Part, ...]
    offset: float
    identity: str

    def next_tick(self, now: float) -> float:
        """Give when it is due after ``now``, in Unix seconds."""
        return next_tick(now, interval=self.query.interval, offset=self.offset)

    def part(self, asked: Part) -> Part | None:
        """Give what it takes of a request of its group; ``None`` if it needs nothing of it."""
        return next((part for part in self.parts if _request(part) == _request(asked)), None)


@dataclass(frozen=True)
class Group:
    """Jobs that are done together in one tick. ``asked`` is a query that asks for all that theirs do."""

    jobs: tuple[Job, ...]
    asked: Query
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, *jobs: Job) -> "Group":
        """Make one of jobs that ask for the same rows."""
        first = jobs[0]
        metrics = tuple(dict.fromkeys(metric for job in jobs for metric in job.query.metrics))
        asked = replace(first.query, metrics=metrics)
        together = tuple(replace(job, offset=first.offset) for job in jobs)
        return cls(together, asked, first.provider.parts(asked) if len(jobs) > 1 else first.parts)

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries that it answers."""
        return tuple(job.query for job in self.jobs)

    @property
    def provider(self) -> Provider:
        """Who is asked."""
        return self.jobs[0].provider

    @property
    def offset(self) -> float:
        """Seconds after the grid of the interval."""
        return self.jobs[0].offset

    @cached_property
    def identity(self) -> str:
        """Another one for a group that asks, or answers, for anything else."""
        return hashlib.sha256("".join(sorted(job.identity for job in self.jobs)).encode()).hexdigest()

    def next_tick(self, now: float) -> float:
        """Give when it is due after ``now``, in Unix seconds."""
        return self.jobs[0].next_tick(now)

    @property
    def requests_per_day(self) -> float:
        """Requests that it sends, one page each."""
        return len(self.parts) * DAY / self.asked.interval

    @property
    def requests_saved_per_day(self) -> float:
        """Requests that its queries would send besides, each for itself."""
        return sum(len(job.parts) for job in self.jobs) * DAY / self.asked.interval - self.requests_per_day


@dataclass(frozen=True)
class Plan:
    """What is done for a configuration: its ``jobs`` in the order of the file, and the ``groups`` that they are in."""

    jobs: tuple[Job, ...]
    groups: tuple[Group, ...]

    @cached_property
    def job(self) -> Mapping[tuple[str, str], Job]:
        """The job of each query, by source and query name."""
        return {job.query.key: job for job in self.jobs}

    @cached_property
    def group(self) -> Mapping[tuple[str, str], Group]:
        """The group that each query is in, by source and query name."""
        return {query.key: group for group in self.groups for query in group.queries}

    def requests_per_day(self, source: str) -> float:
        """Give the requests that a source is sent in a day, one page each; log-ins and look-ups come on top."""
        return sum(group.requests_per_day for group in self.groups if group.asked.source == source)


def plan(config: Config) -> Plan:
    """Plan a configuration."""
    alone = tuple(_job(query, config) for query in config.queries)
    groups = tuple(Group.of(*jobs) for jobs in _together(alone))
    jobs = {job.query.key: job for group in groups for job in group.jobs}
    return Plan(tuple(jobs[job.query.key] for job in alone), groups)


def _job(query: Query, config: Config) -> Job:
    provider = config.sources[query.source].provider
    parts = provider.parts(query)
    asked = repr((replace(query, history=None), provider.account, parts)).encode()
    return Job(query, provider, parts, offset(query.name, query.interval), hashlib.sha256(asked).hexdigest())


def _together(jobs: Iterable[Job]) -> list[list[Job]]:
    """Divide jobs into those that share a request; each group, and its jobs, in the order of the file."""
    alike: dict[Query, list[list[Job]]] = {}
    for job in jobs:
        groups, joined = alike.setdefault(_rows(job.query), []), list[Job]()
        for group in tuple(groups):
            if any(each.part(part) for each in group for part in job.parts) and _fit([*joined, *group, job]):
                groups.remove(group)
                joined += group
        groups.append([*joined, job])
    return [group for groups in alike.values() for group in groups]


def _fit(jobs: Iterable[Job]) -> bool:
    return len({field for job in jobs for field in job.query.fields}) <= MOST_FIELDS


def _rows(query: Query) -> Query:
    """Give what decides which rows are asked for, as a query without the rest.

    The order does so only with ``top``: without it all rows come. The endpoint stands in the requests.
    """
    rows = replace(query, name="", metrics=(), labels=(), endpoint="")
    rows = replace(rows, max_series=0, max_age=0, max_label_length=0, on_missing="absent", history=None)
    return rows if query.top is not None else replace(rows, order_by="", order="desc")


def _request(part: Part) -> tuple[str, str, Labels]:
    """Give what tells a part's request from others of the same rows."""
    return part.endpoint, part.path, part.constants

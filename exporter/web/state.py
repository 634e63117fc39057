"""What the pages are made of: a view of the running exporter, asked anew for each answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from exporter.config import Config
from exporter.model import Delivered, Outcome, Query, Snapshot
from exporter.plan import Plan
from exporter.providers.standing import Standing
from exporter.shard import ONLY, Shard
from exporter.web.past import Key, Past


@dataclass(frozen=True, slots=True)
class State:
    """Ways to ask the parts of the exporter; each gives what is now.

    ``now`` gives Unix seconds, ``circuits`` which sources' queries are polled less often, ``snapshot`` what is served
    of a query, ``alive`` whether polls are being started, ``deliveries`` how its history stands at each receiver;
    ``shard`` says whose these are.
    """

    now: Callable[[], float]
    config: Callable[[], Config]
    plan: Callable[[], Plan]
    outcomes: Callable[[], Mapping[Key, Outcome]]
    next_polls: Callable[[], Mapping[Key, float]]
    circuits: Callable[[], Mapping[str, bool]]
    standings: Callable[[], Mapping[str, Standing]]
    snapshot: Callable[[Query], Snapshot | None]
    past: Past
    alive: Callable[[], bool]
    deliveries: Callable[[], Mapping[Key, Sequence[Delivered]]] = dict
    shard: Shard = ONLY

    @property
    def ready(self) -> bool:
        """Whether the first poll of every query has ended; a reload may bring new ones."""
        outcomes = self.outcomes()
        return all(query.key in outcomes for query in self.config().queries)

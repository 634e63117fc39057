"""What ``query NAME --settle`` does: read the newest buckets several times, and see until which age they change."""

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from exporter.commands import tables
from exporter.config.history import usual_step
from exporter.config.shown import duration
from exporter.gather import Source
from exporter.history.fetch import Fetcher, pieces
from exporter.history.series import series
from exporter.history.settlement import Reading, compare
from exporter.model import Query, Window
from exporter.plan import Job

READINGS = 5
"""How often the newest buckets are read: each age is then seen so often but one, and an interval apart."""

USUAL_SETTLE = 900
MINUTE = 60


@dataclass(slots=True)
class Age:
    """Buckets that were read at about one age, and had been read before: how many, and what had changed."""

    buckets: int = 0
    changed: int = 0
    largest: float = 0.0


@dataclass(slots=True)
class Measured:
    """What was seen of a query: by the age in seconds, a multiple of the interval that it had not passed."""

    query: Query
    step: int
    settle: int
    ages: dict[int, Age] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Say which delay is enough."""
        changed = [age for age, found in self.ages.items() if found.changed]
        if not changed:
            youngest = min(self.ages, default=0)
            return f"no bucket changed, from {duration(youngest)} after its end on"
        enough = math.ceil(max(changed) / MINUTE) * MINUTE
        if max(changed) + self.query.interval > max(self.ages):
            return f"buckets still changed {duration(max(changed))} after their end; give the query a longer `settle`"
        delay, seen = self.query.delay, f"the last change was seen {duration(max(changed))} after a bucket's end"
        if delay >= enough:
            return f"`delay: {duration(delay)}` is enough: {seen}"
        return f"`delay: {duration(delay)}` is too short: {seen}; `delay: {duration(enough)}` is enough"


async def measure(
    job: Job,
    source: Source,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> Measured:
    """Read a query's newest buckets ``READINGS`` times, an interval apart.

    Raises:
        NoHistory: the vendor has no buckets of the query.
        VendorError: it does not answer.
    """
    query, own = job.query, job.query.history
    step, settle = (own.step, own.settle) if own else (usual_step(query, job.provider), USUAL_SETTLE)
    past = job.provider.past(query, step)
    fetcher, measured = Fetcher(source, job.provider, past), Measured(query, step, settle)
    before: Mapping[int, Reading] = {}
    for number in range(READINGS):
        if number:
            await sleep(query.interval)
        moment, readings = now(), {}
        end = int(moment // step) * step
        for piece in pieces(past, Window(end - (math.ceil(settle / step) + 1) * step, end)):
            for bucket in await fetcher.buckets(piece):
                found, age = list(series(bucket)), moment - bucket.period.end
                readings[bucket.period.end] = Reading.of(found, bucket.period.end, age)
                if was := before.get(bucket.period.end):
                    revision = compare(was, found)
                    seen = measured.ages.setdefault(math.ceil(age / query.interval) * query.interval, Age())
                    seen.buckets += 1
                    seen.changed += revision.any
                    seen.largest = max(seen.largest, revision.largest)
        before = readings
    return measured


def show(all_: Sequence[Measured], console: Console | None = None) -> None:
    """Print what was seen, and which delay is enough."""
    for each in all_:
        title = f"{each.query.name} of {each.query.source}: buckets of {duration(each.step)}, read {READINGS} times"
        heads = ("read again", "buckets", "changed", "by at most")
        tables.show(title, heads, list(_rows(each)), right=heads, console=console)
        (console or Console()).print(
            tables.printable(f"{each.query.name}: {each.verdict}"), markup=False, soft_wrap=True
        )


def _rows(measured: Measured) -> Iterator[tuple[str, ...]]:
    for age, seen in sorted(measured.ages.items()):
        yield f"{duration(age)} after", str(seen.buckets), str(seen.changed), f"{seen.largest:.1%}"

"""When jobs run. APScheduler starts them; the job function is the poll itself, so that none overlaps itself."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.plan import Group

EPOCH = datetime.fromtimestamp(0, UTC)

LOOK_AGAIN = 1.0
"""Seconds between two looks at the wall clock."""

STEP = 0.5
"""Seconds by which the wall clock has stepped if it went so much more or less than the loop's clock meanwhile."""


class GridTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """Fires at ``offset`` seconds after each multiple of ``interval`` on the Unix clock.

    APScheduler's own interval trigger counts from the last run, and so would leave the grid after a first run at once.
    """

    def __init__(self, interval: int, offset: float) -> None:
        self.interval = timedelta(seconds=interval)
        self.start = EPOCH + timedelta(seconds=offset)

    def get_next_fire_time(self, _: datetime | None, now: datetime) -> datetime:
        """Give the first point of the grid after ``now``: ticks that were missed are not made up for."""
        return self.start + ((now - self.start) // self.interval + 1) * self.interval


class Schedule:
    """Runs each group of jobs at once and then on its grid.

    ``poll`` is awaited to its end; ``skipped`` is told a group whose run before was still going on at a tick.
    """

    def __init__(self, poll: Callable[[Group], Awaitable[None]], skipped: Callable[[Group], None]) -> None:
        self._poll = poll
        self._skipped = skipped
        self._groups: dict[str, Group] = {}
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._scheduler.add_listener(self._on_skip, EVENT_JOB_MAX_INSTANCES)

    def start(self, groups: Iterable[Group], waiting: Collection[Group] = ()) -> None:
        """Begin, with ``waiting`` groups at their next tick and the others at once; needs a running event loop."""
        self._scheduler.start(paused=True)
        self.update(groups, waiting)
        self._scheduler.resume()
        self._watch = asyncio.create_task(self._watch_clock())

    def update(self, groups: Iterable[Group], waiting: Collection[Group] = ()) -> None:
        """Run these groups from now on. Those that are running already, by identity, go on as they are.

        New ones begin at once, but ``waiting`` ones at their next tick; polls of those that are gone are cancelled.
        """
        wanted = {group.identity: group for group in groups}
        later, cut = {group.identity for group in waiting}, set[tuple[str, str]]()
        for number, group in list(self._groups.items()):
            if group.identity in wanted:
                self._groups[number] = wanted.pop(group.identity)
            else:
                self._scheduler.remove_job(number)
                del self._groups[number]
                if running := self._polls.get(number):
                    running.cancel()
                    cut.update(query.key for query in group.queries)
        for identity, group in wanted.items():
            number = uuid4().hex
            self._groups[number] = group
            trigger = GridTrigger(group.asked.interval, group.offset)
            # A query that goes on in another group has its poll again that was cut off.
            settled = identity in later and cut.isdisjoint(query.key for query in group.queries)
            first = {} if settled else {"next_run_time": datetime.now(UTC)}
            self._scheduler.add_job(self._run, trigger, args=(number,), id=number, **first)

    async def _run(self, number: str) -> None:
        group, task = self._groups.get(number), asyncio.current_task()
        if group is None or task is None:
            return
        self._polls[number] = task
        try:
            # Only stop() and update() cancel; APScheduler would log a cancelled job as an error, with its traceback.
            with contextlib.suppress(asyncio.CancelledError):
                # Many begin at one moment: a scrape has its turn between any two.
                async with self._beginning:
                    await asyncio.sleep(0)
                await self._poll(group)
        finally:
            del self._polls[number]

    @property
    def running(self) -> bool:
        """Whether polls are being started."""
        return bool(self._scheduler.running) and self._watch is not None and not self._watch.done()

    def next_polls(self) -> dict[tuple[str, str], float]:
        """Give the Unix time of each query's next poll."""
        return {
            query.key: scheduled.next_run_time.timestamp()
            for scheduled in self._scheduler.get_jobs()
            if scheduled.next_run_time
            for query in self._groups[scheduled.id].queries
        }

    def stop(self) -> None:
        """Start no more polls, and cancel those that run."""
        if self._watch:
            self._watch.cancel()
        # APScheduler does so a round of the loop later, when the clients may be closed already.
        for poll in self._polls.values():
            poll.cancel()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _watch_clock(self) -> None:
        """Look again at all ticks when the wall clock steps, or the machine has slept.

        The scheduler waits for moments of the wall clock by the loop's clock: after a step back it would wait for a
        moment that is as far away as the step, after a sleep it would go on with what is left of its wait.
        """
        loop = asyncio.get_running_loop()
        ahead = time.time() - loop.time()
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            before, ahead = ahead, time.time() - loop.time()
            if abs(ahead - before) > STEP:
                self._realign(datetime.now(UTC))

    def _realign(self, now: datetime) -> None:
        """Put each group's next run where it belongs: no farther than its next tick, one that was missed soon.

        Missed ticks are spread by the groups' offsets, so that the vendor is not asked for everything at once.
        """
        for scheduled in self._scheduler.get_jobs():
            due, group = scheduled.next_run_time, self._groups[scheduled.id]
            tick = scheduled.trigger.get_next_fire_time(None, now)
            if due > tick:
                scheduled.modify(next_run_time=tick)
            elif due < now:
                scheduled.modify(next_run_time=min(tick, now + timedelta(seconds=group.offset)))

    def _on_skip(self, event: JobSubmissionEvent) -> None:
        if group := self._groups.get(event.job_id):
            self._skipped(group)

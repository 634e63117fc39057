"""When jobs run. APScheduler starts them; the job function is the poll itself, so that none overlaps itself."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.plan import Job

EPOCH = datetime.fromtimestamp(0, UTC)


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
    """Runs each job at once and then on its grid.

    ``poll`` is awaited to its end; ``skipped`` is told a job whose run before was still going on at a tick.
    """

    def __init__(self, poll: Callable[[Job], Awaitable[None]], skipped: Callable[[Job], None]) -> None:
        self._poll = poll
        self._skipped = skipped
        self._jobs: dict[str, Job] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._scheduler.add_listener(self._on_skip, EVENT_JOB_MAX_INSTANCES)

    def start(self, jobs: Iterable[Job]) -> None:
        """Begin; needs a running event loop."""
        self._scheduler.start(paused=True)
        for job in jobs:
            scheduled = self._scheduler.add_job(
                self._run,
                GridTrigger(job.query.interval, job.offset),
                args=(job,),
                next_run_time=datetime.now(UTC),
            )
            self._jobs[scheduled.id] = job
        self._scheduler.resume()

    async def _run(self, job: Job) -> None:
        # Only stop() cancels; APScheduler would log a cancelled job as an error, with its traceback.
        with contextlib.suppress(asyncio.CancelledError):
            await self._poll(job)

    @property
    def running(self) -> bool:
        """Whether polls are being started."""
        return bool(self._scheduler.running)

    def next_polls(self) -> dict[tuple[str, str], float]:
        """Give the Unix time of each query's next poll."""
        return {
            self._jobs[scheduled.id].query.key: scheduled.next_run_time.timestamp()
            for scheduled in self._scheduler.get_jobs()
            if scheduled.next_run_time
        }

    def stop(self) -> None:
        """Start no more polls, and cancel those that run."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _on_skip(self, event: JobSubmissionEvent) -> None:
        self._skipped(self._jobs[event.job_id])

"""The last snapshots on disk (``--storage.path``), so that a restart loses nothing that is still good.

One file a query, replaced whole: a digest, and what it is of. A file that is no such thing is set aside.
"""

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from exporter import sealed
from exporter.model import Chunk, Outcome, Query, Snapshot, Window
from exporter.plan import Job

log = structlog.get_logger(__name__)

MAGIC = b"video-analytics-exporter snapshot 1\n"
SUFFIX = ".snapshot"
ASIDE = ".damaged"
EVERY = 0.5
"""Seconds between two looks at what is to be written; the contract promises 2 from poll to disk."""


class _Poll(msgspec.Struct, frozen=True):
    """How a poll ended; times in Unix seconds."""

    window: Window
    ended: float
    duration: float
    series: int
    reason: str


class _Stored(msgspec.Struct, frozen=True):
    """What a file holds: the last poll, the last one that succeeded, and what that one brought, while it is served."""

    identity: str
    max_age: float
    last: _Poll
    good: _Poll | None
    taken: float
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """A job's past: its last poll, the last that succeeded, and what that brought where it is still to be served."""

    job: Job
    outcome: Outcome
    good: Outcome | None
    snapshot: Snapshot | None

    def due(self, now: float) -> bool:
        """Whether a tick has passed since the last poll began."""
        began = self.outcome.ended - self.outcome.duration
        return began > now or self.job.next_tick(began) <= now


class Storage:
    """Snapshots by job in a directory. ``now`` gives Unix seconds, ``clock`` the store's."""

    def __init__(self, directory: Path, now: Callable[[], float], clock: Callable[[], float]) -> None:
        self._directory = directory
        self._now = now
        self._clock = clock
        self._waiting: dict[str, _Stored] = {}
        self._good: dict[str, _Poll] = {}
        self._writing = threading.Lock()
        self._works = True

    @property
    def directory(self) -> Path:
        """Where they are."""
        return self._directory

    def restore(self, jobs: Iterable[Job]) -> Iterator[Restored]:
        """Give what is known of these jobs; what is damaged is set aside, what nobody will want again is deleted."""
        by_file = {_file(job.query): job for job in jobs}
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            files = sorted(self._directory.glob(f"*{SUFFIX}"))
        except OSError as error:
            self._complain(error)
            return
        for path in files:
            stored = self._read(path)
            job = by_file.get(path.name)
            if stored and job and stored.identity == job.identity:
                if stored.good:
                    self._good[path.name] = stored.good
                yield self._restored(job, stored)
            elif stored and stored.taken + stored.max_age < self._now():
                with contextlib.suppress(OSError):
                    path.unlink()

    def put(self, job: Job, outcome: Outcome, snapshot: Snapshot | None) -> None:
        """Take in how a poll ended and what is served since; it is written soon."""
        file = _file(job.query)
        last = _Poll(outcome.window, outcome.ended, outcome.duration, outcome.series, outcome.reason)
        if outcome.succeeded:
            self._good[file] = last
        self._waiting[file] = _Stored(
            identity=job.identity,
            max_age=job.query.max_age,
            last=last,
            good=self._good.get(file),
            taken=snapshot.taken + self._now() - self._clock() if snapshot else 0.0,
            chunks=snapshot.chunks if snapshot else (),
        )

    def forget(self, query: Query) -> None:
        """Delete what is stored of a query that is no longer configured."""
        self._waiting.pop(_file(query), None)
        self._good.pop(_file(query), None)
        with contextlib.suppress(OSError):
            (self._directory / _file(query)).unlink()

    async def keep_writing(self) -> None:
        """Write what waits, until cancelled; then once more, at once."""
        taken: dict[str, _Stored] = {}
        try:
            while True:
                await asyncio.sleep(EVERY)
                if self._waiting:
                    taken, self._waiting = self._waiting, {}
                    failed = await asyncio.to_thread(self._write, taken)
                    # What has come meanwhile is newer.
                    self._waiting, taken = failed | self._waiting, {}
        finally:
            # What a thread had taken may have failed, and one that had not begun never will.
            self._write(taken | self._waiting)

    def _write(self, waiting: Mapping[str, _Stored]) -> dict[str, _Stored]:
        """Replace files whole, and give those that could not be written."""
        failed: dict[str, _Stored] = {}
        with self._writing:
            for name, stored in waiting.items():
                try:
                    sealed.write(self._directory / name, MAGIC, msgspec.msgpack.encode(stored))
                except OSError as error:
                    failed[name] = stored
                    self._complain(error)
            # Within the lock, for at the end the same may be written twice, and is told once.
            if waiting and not failed and not self._works:
                log.info("snapshots are stored again", path=str(self._directory))
                self._works = True
        return failed

    def _complain(self, error: OSError) -> None:
        """Say once that the directory can't be used; the exporter goes on without."""
        if self._works:
            log.error("snapshots can't be stored", path=str(self._directory), error=error.strerror)
        self._works = False

    def _read(self, path: Path) -> _Stored | None:
        try:
            return msgspec.msgpack.decode(sealed.read(path, MAGIC), type=_Stored)
        except (OSError, ValueError) as error:
            log.warning("a stored snapshot is set aside", path=str(path), error=str(error))
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(ASIDE))
            return None

    def _restored(self, job: Job, stored: _Stored) -> Restored:
        good, age = stored.good, self._now() - stored.taken
        fresh = good and 0 <= age < job.query.max_age
        return Restored(
            job,
            _outcome(job.query, stored.last),
            _outcome(job.query, good) if good else None,
            Snapshot(job.query, stored.chunks, good.window, self._clock() - age) if good and fresh else None,
        )


def _outcome(query: Query, poll: _Poll) -> Outcome:
    return Outcome(
        query=query,
        window=poll.window,
        ended=poll.ended,
        duration=poll.duration,
        series=poll.series,
        reason=poll.reason,
        error="failed before the restart" if poll.reason else "",
    )


def _file(query: Query) -> str:
    return hashlib.sha256("\0".join(query.key).encode()).hexdigest()[:32] + SUFFIX

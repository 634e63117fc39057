"""What the command ``backfill`` does: the past of queries, as a file for ``promtool`` or by remote write."""

import contextlib
import hashlib
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from exporter.commands import tables
from exporter.commands.progress import Progress
from exporter.config import Config
from exporter.config.remote_write import RemoteWrite
from exporter.config.units import seconds
from exporter.history.backfill import Backfill, Deliver, Wanted, all_wanted
from exporter.history.openmetrics import text
from exporter.history.series import series
from exporter.history.spool import Spool, SpoolError
from exporter.model import Bucket, Window
from exporter.providers.base import near
from exporter.providers.http import Client
from exporter.telemetry import Telemetry

EPOCH = re.compile(r"[0-9]{9,11}(\.[0-9]+)?")
"""Unix seconds of the years from 1973 to 5138; a shorter number could be a length of time."""

NOW, YEAR_10000 = "now", 253_402_300_800


class BackfillError(Exception):
    """The past can't be had; ``lines`` say why, one each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. ``since`` and ``until`` are texts that :func:`moment` reads, ``step`` seconds."""

    names: tuple[str, ...]
    since: str
    until: str
    step: int
    output: Path | None
    receiver: str | None
    storage: Path | None

    @property
    def target(self) -> str:
        """Where the history goes, as it is shown."""
        return str(self.output) if self.output else self.receiver or ""

    @property
    def state(self) -> Path:
        """The file that an interrupted run is continued from."""
        if self.output and not self.storage:
            return self.output.with_name(f"{self.output.name}.backfill")
        name = hashlib.sha256(str(self.output.absolute() if self.output else self.receiver).encode()).hexdigest()[:16]
        return (self.storage or Path()) / f"{name}.backfill"


@dataclass(frozen=True, slots=True)
class Found:
    """What is asked for, and a line for each query that has no history."""

    wanted: tuple[Wanted, ...]
    without: tuple[str, ...]


def moment(written: str, now: float) -> float:
    """Read a point in time, in Unix seconds: RFC 3339, a date, Unix seconds, ``now``, or how long ago (``30d``).

    What has no offset is UTC.

    Raises:
        ValueError: it is none of them, or not of the years from 1970 to 9999.
    """
    found = now if written == NOW else _read(written, now)
    if found is not None and 0 <= found < YEAR_10000:
        return found
    if found is not None:
        raise ValueError(f"`{written}` is no point in time between 1970 and 9999, UTC")
    raise ValueError(
        f"`{written}` is no point in time; write 2026-01-31T12:00:00Z, 2026-01-31, Unix seconds, or 30d (that long ago)"
    )


def _read(written: str, now: float) -> float | None:
    if EPOCH.fullmatch(written):
        return float(written)
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(written)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    with contextlib.suppress(ValueError):
        return now - seconds(written)
    return None


def find(config: Config, options: Options, now: float) -> Found:
    """Say what is asked for at ``now``, in Unix seconds.

    Raises:
        BackfillError: there is no such query, one that was named has no history, none has, or there is no such period.
    """
    there = dict.fromkeys(query.name for query in config.queries)
    for name in options.names:
        if name not in there:
            raise BackfillError(f"there is no query `{name}`{near(name, there)}; there are: {', '.join(there)}")
    period = Window(int(moment(options.since, now)), int(moment(options.until, now)))
    if period.start > period.end:
        raise BackfillError(f"--from is after --to: {shown(period.start)} and {shown(period.end)}")
    found = Found(*all_wanted(config, options.names, options.step, period, now))
    if found.without and (options.names or not found.wanted):
        raise BackfillError(*found.without)
    if not any(each.buckets for each in found.wanted):
        raise BackfillError(
            f"no whole bucket between {shown(period.start)} and {shown(period.end)} has settled; "
            "ask for a longer period, or later"
        )
    return found


async def fill(config: Config, options: Options, told: Progress) -> str:
    """Fetch what is not there yet, bring it to its place, and give a sentence on what that was.

    Raises:
        BackfillError: it is not all there; the same call continues.
    """
    now = time.time()
    found, receiver = find(config, options, now), _receiver(config, options)
    try:
        with Spool(options.state, _identity(options, found), now) as spool:
            # An interrupted run keeps its period: `30d` ago is another moment now.
            found = find(config, options, spool.began)
            if spool.resumed:
                told.say(f"continues the backfill begun at {shown(spool.began)}, with the period that it had then")
            told.begin(found.wanted, {each.name: spool.count_done(each.name) for each in found.wanted})
            async with _clients(config, found.wanted) as clients, _delivery(receiver, told) as deliver:
                backfill = Backfill(clients, spool, told.done, deliver)
                await backfill.run(found.wanted)
            for (name, reason), rows in sorted(backfill.dropped.items()):
                told.say(f"{name}: {tables.count(rows, 'row')} dropped as {reason}")
            _raise_for(backfill, found, options)
            said = _written(options.output, spool) if options.output else f"{told.samples} samples sent"
            spool.remove()
            return said
    except* (BackfillError, SpoolError) as errors:
        raise BackfillError(*dict.fromkeys(_lines(errors))) from None


def _raise_for(backfill: Backfill, found: Found, options: Options) -> None:
    failed = [(each.query, backfill.failures[each.name]) for each in found.wanted if each.name in backfill.failures]
    if failed:
        raise BackfillError(
            *(tables.printable(f"{query.source}: `{query.name}` failed ({e.reason}): {e}") for query, e in failed),
            f"what has come is kept in {options.state}; the same command continues",
        )


@contextlib.asynccontextmanager
async def _clients(config: Config, wanted: Sequence[Wanted]) -> AsyncIterator[Mapping[str, Client]]:
    telemetry = Telemetry(time.time)
    async with contextlib.AsyncExitStack() as stack:
        clients = {}
        for name in dict.fromkeys(each.query.source for each in wanted):
            provider = config.sources[name].provider
            clients[name] = Client(name, provider, telemetry, clock=time.monotonic, now=time.time)
            stack.push_async_callback(clients[name].aclose)
        yield clients


@contextlib.asynccontextmanager
async def _delivery(settings: RemoteWrite | None, told: Progress) -> AsyncIterator[Deliver | None]:
    if settings is None:
        yield None
        return
    # Protobuf and snappy are for those who send alone.
    from exporter.history.receiver import Receiver  # noqa: PLC0415
    from exporter.history.remote_write import Attempt, Sender  # noqa: PLC0415

    def tried(attempt: Attempt) -> None:
        told.tried(attempt.code, decided=attempt.taken or attempt.refused or attempt.divided)

    async def deliver(_: Wanted, buckets: Sequence[Bucket]) -> None:
        refusal = await sender.send(each for bucket in buckets for each in series(bucket))
        # What is there already stays what it is: a second run of the same sends the same.
        if refusal and refusal.cause != "taken":
            raise BackfillError(f"{settings.url}: {refusal}")

    sender = Sender(Receiver(settings, now=time.time), tried)
    try:
        yield deliver
    finally:
        await sender.aclose()


def _identity(options: Options, found: Found) -> str:
    asked = [(each.past, each.provider.account) for each in found.wanted]
    same = repr((options.since, options.until, options.step, options.target, asked))
    return hashlib.sha256(same.encode()).hexdigest()


def _written(output: Path, spool: Spool) -> str:
    """Write the file whole, or not at all."""
    new, lines = output.with_name(f"{output.name}.new"), 0
    try:
        with new.open("wb") as file:
            for line in text(spool.blocks()):
                lines += not line.startswith(b"#")
                file.write(line)
        new.replace(output)
    except OSError as error:
        raise BackfillError(f"{new}: {error.strerror}; the same command continues") from None
    blocks = f"promtool tsdb create-blocks-from openmetrics --max-block-duration=744h {output} DIRECTORY"
    return f"{output}: {lines} samples; for Prometheus: {blocks}"


def _receiver(config: Config, options: Options) -> RemoteWrite | None:
    """Give what the configuration knows of the receiver, its log-in above all; else the URL alone."""
    if options.receiver is None:
        return None
    known = {receiver.url: receiver for receiver in config.remote_write}
    try:
        return known.get(options.receiver) or RemoteWrite(url=options.receiver)
    except ValidationError:
        raise BackfillError(
            "--remote-write: must be a URL without a name or a password, for which the configuration's `remote_write` "
            "has keys"
        ) from None


def _lines(group: BaseExceptionGroup[BackfillError | SpoolError]) -> Iterator[str]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _lines(error)
        else:
            yield from error.lines if isinstance(error, BackfillError) else (str(error),)


def shown(moment_: float) -> str:
    """Write a point in time."""
    return datetime.fromtimestamp(moment_, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

"""How far a query's history is delivered to a receiver, on disk: a restart goes on there, and misses nothing.

One file a query and receiver, replaced whole: a digest, and what it is of. A file that is no such thing is set aside.
"""

import contextlib
import hashlib
from pathlib import Path

import msgspec
import structlog

from exporter import sealed
from exporter.history.settlement import Reading, Settled, verdict
from exporter.model import Delivered, Query

log = structlog.get_logger(__name__)

MAGIC = b"video-analytics-exporter history 1\n"
SUFFIX = ".history"
ASIDE = ".damaged"


class Watermark(msgspec.Struct):
    """Where a delivery stands. Times are Unix seconds on the grid of the buckets.

    All buckets before ``delivered`` are delivered, or given up. The counters have heard of those before ``expected``
    that they are due, and of those before ``told`` what became of them. ``safe`` is where the last gap began.
    """

    identity: str
    delivered: int
    expected: int
    told: int
    safe: int
    newest: int = 0
    unsettled: list[Reading] = msgspec.field(default_factory=list)
    settled: Settled = msgspec.field(default_factory=Settled)

    @classmethod
    def at(cls, identity: str, time: int) -> "Watermark":
        """Begin at a time."""
        return cls(identity, time, time, time, time)

    def again(self, identity: str, step: int) -> "Watermark":
        """Go on for a query that asks for other things since, in buckets of a step: nothing can be compared."""
        begun = Watermark.at(identity, self.delivered // step * step)
        begun.expected, begun.told, begun.newest = self.expected, self.told, self.newest
        return begun


def standing(query: Query, receiver: str, mark: Watermark | None, trouble: str = "") -> Delivered:
    """Say how a delivery stands."""
    settled = mark.settled if mark else Settled()
    return Delivered(
        receiver=receiver,
        newest=(mark.newest or None) if mark else None,
        until=mark.delivered if mark else None,
        trouble=trouble,
        read_again=settled.buckets,
        revised=settled.revised,
        largest=settled.largest,
        enough=settled.enough,
        verdict=verdict(settled, query),
    )


class DamagedError(Exception):
    """What is stored can't be used."""


class Watermarks:
    """The watermarks in a directory, by query and receiver."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._works = True

    def load(self, query: Query, receiver: str) -> Watermark | None:
        """Give what is stored; ``None`` where nothing is.

        Raises:
            DamagedError: it can't be used, and is set aside.
        """
        try:
            return self.read(query, receiver)
        except DamagedError as error:
            path = self._path(query, receiver)
            log.warning("a stored watermark is set aside", path=str(path), error=str(error))
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(ASIDE))
            raise

    def read(self, query: Query, receiver: str) -> Watermark | None:
        """Give what is stored, and leave it as it is; ``None`` where nothing is.

        Raises:
            DamagedError: it can't be used.
        """
        path = self._path(query, receiver)
        try:
            if not path.exists():
                return None
            return msgspec.msgpack.decode(sealed.read(path, MAGIC), type=Watermark)
        except (OSError, ValueError) as error:
            raise DamagedError(str(error)) from None

    def store(self, query: Query, receiver: str, mark: Watermark) -> None:
        """Write a watermark in the place of the one before; where that fails, it is said once."""
        try:
            sealed.write(self._path(query, receiver), MAGIC, msgspec.msgpack.encode(mark))
        except OSError as error:
            self._complain(error)
            return
        if not self._works:
            log.info("watermarks are stored again", path=str(self._directory))
            self._works = True

    def _complain(self, error: OSError) -> None:
        """Say once that the directory can't be used; the exporter goes on without."""
        if self._works:
            log.error("watermarks can't be stored", path=str(self._directory), error=error.strerror)
        self._works = False

    def _path(self, query: Query, receiver: str) -> Path:
        name = hashlib.sha256("\0".join((*query.key, receiver)).encode()).hexdigest()[:32]
        return self._directory / f"{name}{SUFFIX}"

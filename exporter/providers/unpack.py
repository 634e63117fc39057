"""Decompressing an answer step by step, for a piece of it may hold a thousand times as much."""

import zlib
from collections.abc import Callable, Iterator

STEP = 1 << 18
"""Bytes that are decompressed at once, in half a millisecond."""

FED = 1 << 16
"""Compressed bytes that are taken together; at each step what is left of them is copied."""

GZIP = 0x1F
"""The first byte of gzip."""

Unpack = Callable[[bytes], Iterator[bytes]]
"""Gives what the next piece of a body holds, step by step; ``zlib.error`` is raised where it is broken."""


def unpacker(coding: str) -> Unpack:
    """Give what unpacks a body of this coding; one that was not asked for stays as it is."""
    known = coding.strip().lower()
    return _Unpacker(known).steps if known in ("gzip", "deflate") else lambda piece: iter((piece,))


class _Unpacker:
    """Takes the pieces of one body. One without its end is what there is of it; what follows the end is left out."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._member: zlib._Decompress | None = None
        self._began = self._over = False

    def steps(self, piece: bytes) -> Iterator[bytes]:
        """Give what a piece holds."""
        for start in range(0, len(piece), FED):
            yield from self._steps(piece[start : start + FED])

    def _steps(self, fed: bytes) -> Iterator[bytes]:
        full = False
        # Behind a full step there may be more, though all was fed.
        while fed or full:
            member = self._member or self._next(fed[0])
            if member is None:
                return
            step = member.decompress(fed, STEP)
            fed, full = member.unconsumed_tail, len(step) == STEP
            if member.eof:
                fed, full, self._member = member.unused_data, False, None
            yield step

    def _next(self, first: int) -> "zlib._Decompress | None":
        """Begin what begins with this byte. Of gzip one member may follow another one."""
        self._over = self._over or (self._began and not (self._coding == "gzip" and first == GZIP))
        if self._over:
            return None
        self._member, self._began = zlib.decompressobj(_format(self._coding, first)), True
        return self._member


def _format(coding: str, first: int) -> int:
    """Give zlib's number of a format. Deflate has zlib's head, but not at some servers; without it nobody begins so."""
    if coding == "gzip":
        return zlib.MAX_WBITS | 16
    return zlib.MAX_WBITS if first & 0xF == zlib.DEFLATED else -zlib.MAX_WBITS

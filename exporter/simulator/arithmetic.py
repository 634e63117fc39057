"""Numbers that look like measurements: seeded noise, distinct persons, shares in whole numbers. Pure."""

import hashlib
import math
import struct
import uuid
from collections.abc import Sequence

SEED = "video-analytics-exporter"
REPEATERS = 0.15
"""How fast the same persons come back: the larger, the fewer distinct ones a long period has."""


def uniform(count: int, *key: int | str) -> tuple[float, ...]:
    """Give ``count`` numbers from [0, 1) that depend on the key alone."""
    digest = hashlib.shake_128(repr((SEED, *key)).encode()).digest(4 * count)
    # A list first: a generator takes half as long again, and this is called for every minute of every place.
    return tuple([number / 2**32 for number in struct.unpack(f"<{count}I", digest)])


def identity(name: str) -> str:
    """Give a name's UUID (version 5, of URLs) as a text; without ``uuid``'s objects, which cost more than the hash."""
    digest = hashlib.sha1(uuid.NAMESPACE_URL.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def whole(expected: float, chance: float) -> int:
    """Round so that the mean over all chances from [0, 1) is the expected number."""
    return int(expected + chance)


def ratio(part: float, of: float, scale: float = 1) -> float | None:
    """Divide, or give ``None`` where there is nothing to divide by."""
    return scale * part / of if of else None


def distinct(views: int, minutes: int) -> int:
    """Tell how many persons are behind the views of a period: at most one a view, fewer the longer it is."""
    return math.ceil(views * 0.9 / (1 + REPEATERS * math.log2(1 + minutes / 60)))


def split(total: int, shares: Sequence[float]) -> list[int]:
    """Split a whole number by shares that add up to 1; the parts add up to the total exactly."""
    parts, given, share = [], 0, 0.0
    for each in shares:
        share += each
        upto = math.floor(total * share + 0.5)
        parts.append(upto - given)
        given = upto
    return parts

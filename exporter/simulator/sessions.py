"""The single sessions behind the world's figures: one of ten attempts, each with a fate of its own.

A session begins in one of the world's minutes and has the conditions of its place in it, so distributions
of sessions show what the sums show. Periods of more than three hours have the sessions of about 180
sampled minutes only (see ``grid.sampled``): a list, unlike a sum, can't be weighted.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from exporter.simulator import grid
from exporter.simulator.arithmetic import identity, ratio, uniform, whole
from exporter.simulator.places import DEVICES, PLACES
from exporter.simulator.world import MOST_SAMPLES, Figures, Group, minute_cells

SHARE = 0.1
"""Sessions listed for each attempt."""
LONGEST = 3600
"""Seconds that a session plays at most; a third of it in the mean."""
GIVES_UP = 8
"""Seconds after which a session ends that never shows a frame."""
CHANCES = 7


class Session(NamedTuple):
    """One session as it will have been: times in Unix seconds, ``startup`` in seconds (``None``: never played)."""

    identity: str
    place: int
    start: int
    end: int
    startup: float | None
    failed: bool
    stalled: float
    errors: int
    fatal: int
    switched: bool


def status(session: Session, until: int) -> str:
    """Tell what state a session is in at a moment: the vendor's three words."""
    if session.end < until:
        return "ENDED"
    return "LOADED" if session.start + (session.startup or GIVES_UP) >= until else "RUNNING"


def watched(session: Session, until: int) -> float:
    """Give the seconds that were watched up to a moment."""
    if session.startup is None:
        return 0.0
    return max(0.0, min(session.end, until) - session.start - session.startup)


@lru_cache(maxsize=16384)
def group(session: Session, until: int) -> Group:
    """Give a session as a group of one, so that every metric can be computed for it."""
    playing = status(session, until) != "LOADED" and session.startup is not None
    seconds = watched(session, until)
    device = DEVICES[PLACES[session.place]["device"]]
    startup = session.startup if playing and session.startup is not None else 0.0
    figures = Figures(
        attempts=1,
        plays=int(playing),
        failures=int(session.failed),
        exits=int(session.startup is None and not session.failed),
        ended=int(playing and session.end < until and not session.fatal),
        startup=startup,
        concurrent=seconds / 60,
        playtime=seconds,
        buffering=seconds * session.stalled,
        errors=session.errors,
        fatal=session.fatal,
        switches=int(playing and session.switched),
        bytes=int(seconds * device.bitrate / 8),
        ads_asked=2 * int(playing),
        ads_shown=2 * int(playing),
        score=int(playing) * max(0.0, 100 - 3 * startup - 300 * session.stalled),
    )
    return Group(None, (), figures, max(1, math.ceil(seconds / 60)))


@lru_cache(maxsize=4)
def listed(start: int, until: int, *, started: bool, every: bool) -> tuple[Session, ...]:
    """List the sessions that ended (or ``started``) in ``[start, until)``, oldest first.

    ``every`` takes those in that are alive at its end; without it they are out. Whether a session is alive is
    judged at the end of the period, not now: so the pages of an answer fit together.
    """
    if until <= start:
        return ()
    step = grid.step(start, until, MOST_SAMPLES)
    minutes = grid.sampled(start - LONGEST - 2 * grid.MINUTE, until, step)
    found = [session for minute, _ in minutes for session in begun(minute) if session.start < until]
    if started:
        return tuple(one for one in found if one.start >= start and (every or one.end < until))
    return tuple(one for one in found if start <= one.end < until or (every and one.end >= until))


@lru_cache(maxsize=512)
def begun(minute: int) -> tuple[Session, ...]:
    """Give the sessions that begin in a Unix minute, in the order of their beginnings."""
    found = []
    for place, figures in enumerate(minute_cells(minute)):
        if not figures.attempts:
            continue
        (chance,) = uniform(1, "sessions", minute, place)
        count = whole(figures.attempts * SHARE, chance)
        # Most places have none in most minutes.
        chances = uniform(CHANCES * count, "session", minute, place) if count else ()
        for number in range(count):
            u = chances[CHANCES * number : CHANCES * number + CHANCES]
            found.append(_session(identity(f"{minute}/{place}/{number}"), place, minute, figures, u))
    return tuple(sorted(found, key=lambda session: (session.start, session.identity)))


def _session(name: str, place: int, minute: int, sums: Figures, u: tuple[float, ...]) -> Session:
    """Make a session from the sums of its place's minute and seven chances."""
    start = 60 * minute + int(60 * u[0])
    fate = u[1] * sums.attempts
    failed = fate < sums.failures
    if failed or fate < sums.failures + sums.exits:
        return Session(
            name, place, start, start + GIVES_UP, None, failed, 0.0, int(failed), int(failed), switched=False
        )
    startup = _skewed(ratio(sums.startup, sums.plays) or 0.0, u[2])
    length = max(5.0, LONGEST * u[3] ** 2)
    stalled = min(1.0, _skewed(ratio(sums.buffering, sums.playtime) or 0.0, u[4]))
    broken = u[5] < (ratio(sums.fatal - sums.failures, sums.concurrent) or 0.0)
    errors = int(broken) + int(u[6] < stalled)
    switched = u[6] * sums.plays < sums.switches
    end = start + math.ceil(startup + length)
    return Session(name, place, start, end, startup, failed, stalled, errors, int(broken), switched)


def _skewed(mean: float, chance: float) -> float:
    """Give a value of a distribution with a mean, whose 95th percentile is 2.2 and whose 99th 3.2 times that."""
    return mean * (0.4 - 0.6 * math.log(1 - chance))

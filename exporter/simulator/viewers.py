"""Who is behind a view: where they are, on what, and under which name. Made up, and the same every time."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import NamedTuple

from exporter.simulator.arithmetic import uniform
from exporter.simulator.audience import DEVICES, PLACES, SOURCES, Point
from exporter.simulator.viewing import Segment

NAMED = 0.6
"""Share of the views whose viewer has logged in."""
POOL = 4000
"""Persons who can log in."""
OFFSETS = (0, 1)
"""Hours ahead of UTC that times are written in: the vendor does not keep to one."""

# Of each of the audience's places, the country's code and its one city. That of the last is not known.
CITIES: Mapping[Point, tuple[str, str]] = {
    ("US", "California"): ("US", "San Jose"),
    ("US", "Texas"): ("US", "Austin"),
    ("US", "New York"): ("US", "New York"),
    ("Canada", "Ontario"): ("CA", "Toronto"),
    ("GB", "England"): ("GB", "London"),
    ("Germany", "Bavaria"): ("DE", "Munich"),
    ("Hungary", "Budapest"): ("HU", "Budapest"),
    ("India", "Karnataka"): ("IN", "Bengaluru"),
    ("Japan", "Kansai"): ("JP", "Osaka"),
    ("Brazil", "Bahia"): ("BR", ""),
}


class Agent(NamedTuple):
    """A user agent: families and major versions, the brand and the model of the device."""

    browser: tuple[str, str | None]
    os: tuple[str, str | None]
    device: tuple[str, str | None, str | None]
    is_mobile: bool

    @property
    def device_info(self) -> Mapping[str, object]:
        """What the vendor parses from it: versions stay unknown below the major one."""
        return _device_info(self)


@cache
def _device_info(agent: Agent) -> Mapping[str, object]:
    family, brand, model = agent.device
    version = {"minor": None, "patch": None}
    return {
        "browser": {"family": agent.browser[0], "major": agent.browser[1], **version},
        "os": {"family": agent.os[0], "major": agent.os[1], **version, "patch_minor": None},
        "device": {"family": family, "brand": brand, "model": model},
    }


# Two for each of the audience's devices, the first of which is the more common.
AGENTS: Mapping[Point, tuple[Agent, Agent]] = {
    "desktop": (
        Agent(("Chrome", "134"), ("Windows", "10"), ("Other", None, None), is_mobile=False),
        Agent(("Safari", "17"), ("Mac OS X", "10"), ("Mac", "Apple", "Mac"), is_mobile=False),
    ),
    "mobile": (
        Agent(("Mobile Safari", "17"), ("iOS", "17"), ("iPhone", "Apple", "iPhone"), is_mobile=True),
        Agent(("Chrome Mobile", "134"), ("Android", "14"), ("Pixel 8", "Google", "Pixel 8"), is_mobile=True),
    ),
    "tablet": (
        Agent(("Mobile Safari", "17"), ("iOS", "17"), ("iPad", "Apple", "iPad"), is_mobile=True),
        Agent(("Chrome Mobile", "134"), ("Android", "13"), ("SM-X200", "Samsung", "SM-X200"), is_mobile=True),
    ),
    "tv": (
        Agent(("Samsung Browser", "5"), ("Tizen", "7"), ("Samsung SmartTV", "Samsung", None), is_mobile=False),
        Agent(("Other", None), ("Other", None), ("Other", None, None), is_mobile=False),
    ),
}
ONSITE = SOURCES["video.ibm.com"]
PLACES_UPTO = tuple(PLACES), tuple(accumulate(PLACES.values()))
DEVICES_UPTO = tuple(DEVICES), tuple(accumulate(DEVICES.values()))


class Person(NamedTuple):
    """What a view tells about its viewer; without an identifier nobody has logged in."""

    identifier: str | None
    country: str
    city: str
    agent: Agent
    view_type: str
    client_id: str
    view_session_id: str


@lru_cache(maxsize=16384)
def _at(view: tuple[int, int, int]) -> Person:
    named, member, onsite, first, second = uniform(5, "view", *view)
    identifier, key = None, view
    if named < NAMED:
        number = int(member * POOL)
        # Most names are e-mail addresses, as the vendor warns.
        identifier = f"viewer-{number:04}@example.com" if number % 5 else f"crm-{number:04}"
        key = (number, 0, 0)
    (country, city), agent, client_id = _habits(key)
    return Person(
        identifier=identifier,
        country=country,
        city=city,
        agent=agent,
        view_type="onsite" if onsite < ONSITE else "offsite",
        client_id=client_id,
        view_session_id=f"{int(first * 2**32):08x}:{int(second * 2**32):08x}",
    )


@lru_cache(maxsize=16384)
def _habits(key: tuple[int, int, int]) -> tuple[tuple[str, str], Agent, str]:
    """Give where a person is, on what, and the id of their client; those with a name come back."""
    where, on_what, which, *client = uniform(5, "person", *key)
    agent = AGENTS[_pick(*DEVICES_UPTO, on_what)][int(which * which * 2)]
    return CITIES[_pick(*PLACES_UPTO, where)], agent, str(int(client[0] * 2**32) << 32 | int(client[1] * 2**32))


def person(segment: Segment) -> Person:
    """Give the viewer of a segment: the same for all segments of a view."""
    return _at(segment.view)


def _pick(names: Sequence[Point], upto: Sequence[float], chance: float) -> Point:
    """Choose by shares that add up to 1, given by their sums."""
    number = bisect_right(upto, chance)
    return names[number] if number < len(names) else names[0]

"""The query string of IBM's analytics API: what it means, and everything that is refused with 400."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from starlette.requests import Request

from exporter.simulator.audience import CHANNELS, CONTENTS
from exporter.simulator.vendor import Refused, params

ALWAYS = frozenset({"date_time_from", "date_time_to", "_page", "_limit"})
GRANULARITIES = ("minute", "hour", "day", "month")
DEFAULT_LIMIT = 10
MOST_LIMIT = 10_000

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_IDS = re.compile(r"\d{1,18}(,\d{1,18})*")


@dataclass(frozen=True, slots=True)
class Accepts:
    """What an endpoint knows beside the period; everything else is refused.

    ``granularity``: required, unless there is a default. ``flags``: booleans, true by default. ``search``:
    part of a viewer's identifier. ``channel``: the channels whose videos it is about are required. ``single``:
    exactly one content is. The other endpoints take a list of contents beneath a type.
    """

    granularity: bool = False
    granularity_default: str = ""
    flags: tuple[str, ...] = ()
    search: bool = False
    channel: bool = False
    single: bool = False

    def parameters(self, kind: str | None) -> frozenset[str]:
        """Name the parameters, for a content type or without one."""
        optional = {
            "granularity": self.granularity,
            "viewer_identifier": self.search,
            "channel_id": self.channel,
            "content_id": kind,
        }
        return frozenset({*ALWAYS, *self.flags, *(name for name, known in optional.items() if known)})


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is not refused: the period in Unix seconds, the contents it is about, the page."""

    start: int
    end: int
    contents: tuple[int, ...]
    granularity: str
    unfinished: bool
    inclusive: bool
    viewer: str
    page: int
    limit: int


def question(request: Request, accepts: Accepts) -> Question:
    """Read the parameters; raises ``Refused`` (400) at the first that is wrong.

    ``content_id`` is only known beneath a content type. A time without an offset is refused: the vendor reads it as
    Los Angeles'.
    """
    kind = request.path_params.get("content_type")
    found = params(request, accepts.parameters(kind), HTTPStatus.BAD_REQUEST)
    start, end = _moment(found, "date_time_from"), _moment(found, "date_time_to")
    _require(start < end, "must be after date_time_from", "date_time_to")
    return Question(
        start=start,
        end=end,
        contents=_of_channels(found) if accepts.channel else _contents(found, kind, single=accepts.single),
        granularity=_granularity(found, accepts.granularity_default) if accepts.granularity else "",
        unfinished=_flag(found, "list_unfinished_segments"),
        inclusive=_flag(found, "inclusive_range"),
        viewer=found.get("viewer_identifier", ""),
        page=_integer(found, "_page", default=1, most=10**9),
        limit=_integer(found, "_limit", default=DEFAULT_LIMIT, most=MOST_LIMIT),
    )


def _require(condition: object, problem: str, parameter: str) -> None:
    if not condition:
        raise Refused(HTTPStatus.BAD_REQUEST, problem, parameter)


def _moment(found: Mapping[str, str], name: str) -> int:
    text = found.get(name, "")
    _require(_TIME.fullmatch(text), "must be an ISO 8601 time with an offset", name)
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error), name) from error


def _contents(found: Mapping[str, str], kind: str | None, *, single: bool) -> tuple[int, ...]:
    """Give the contents of the type (of both without one) that were asked for; unknown ids count nothing."""
    of_kind = tuple(number for number, content in CONTENTS.items() if kind in {None, content.kind})
    if "content_id" not in found and not single:
        return of_kind
    asked = _ids(found, "content_id")
    _require(len(asked) == 1 or not single, "must be a single number", "content_id")
    return tuple(number for number in of_kind if number in asked)


def _of_channels(found: Mapping[str, str]) -> tuple[int, ...]:
    """Give the videos of the channels that were asked for; unknown channels have none."""
    asked = _ids(found, "channel_id")
    return tuple(video for channel, videos in CHANNELS.items() if channel in asked for video in videos)


def _ids(found: Mapping[str, str], name: str) -> frozenset[int]:
    text = found.get(name, "")
    _require(_IDS.fullmatch(text), "must be numbers separated by commas", name)
    return frozenset(map(int, text.split(",")))


def _granularity(found: Mapping[str, str], default: str) -> str:
    granularity = found.get("granularity", default)
    _require(granularity in GRANULARITIES, f"must be one of {', '.join(GRANULARITIES)}", "granularity")
    return granularity


def _flag(found: Mapping[str, str], name: str) -> bool:
    text = found.get(name, "true")
    _require(text in {"true", "false"}, "must be true or false", name)
    return text == "true"


def _integer(found: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    text = found.get(name, str(default))
    _require(re.fullmatch(r"\d{1,10}", text) and 1 <= int(text) <= most, f"must be from 1 to {most}", name)
    return int(text)

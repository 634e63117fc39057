"""The query string of IBM's analytics API: what it means, and everything that is refused with 400."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from starlette.requests import Request

from exporter.simulator.audience import CONTENTS
from exporter.simulator.vendor import Refused, params

ALWAYS = frozenset({"date_time_from", "date_time_to", "_page", "_limit"})
GRANULARITIES = ("minute", "hour", "day", "month")
DEFAULT_LIMIT = 10
MOST_LIMIT = 10_000

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_IDS = re.compile(r"\d{1,18}(,\d{1,18})*")


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is not refused: the period in Unix seconds, the contents it is about, the page."""

    start: int
    end: int
    contents: tuple[int, ...]
    granularity: str
    page: int
    limit: int


def question(request: Request, *, granular: bool = False) -> Question:
    """Read the parameters; raises ``Refused`` (400) at the first that is wrong.

    ``granular``: the endpoint requires ``granularity``, which the others do not know. ``content_id`` is only
    known beneath a content type. A time without an offset is refused: the vendor reads it as Los Angeles'.
    """
    kind = request.path_params.get("content_type")
    allowed = {*ALWAYS, *(["content_id"] if kind else []), *(["granularity"] if granular else [])}
    found = params(request, allowed, HTTPStatus.BAD_REQUEST)
    start, end = _moment(found, "date_time_from"), _moment(found, "date_time_to")
    _require(start < end, "must be after date_time_from", "date_time_to")
    return Question(
        start=start,
        end=end,
        contents=_contents(found, kind),
        granularity=_granularity(found) if granular else "",
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


def _contents(found: Mapping[str, str], kind: str | None) -> tuple[int, ...]:
    """Give the contents of the type (of both without one) that were asked for; unknown ids count nothing."""
    of_kind = tuple(number for number, content in CONTENTS.items() if kind in {None, content.kind})
    if "content_id" not in found:
        return of_kind
    _require(_IDS.fullmatch(found["content_id"]), "must be numbers separated by commas", "content_id")
    asked = {int(number) for number in found["content_id"].split(",")}
    return tuple(number for number in of_kind if number in asked)


def _granularity(found: Mapping[str, str]) -> str:
    granularity = found.get("granularity", "")
    _require(granularity in GRANULARITIES, f"must be one of {', '.join(GRANULARITIES)}", "granularity")
    return granularity


def _integer(found: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    text = found.get(name, str(default))
    _require(re.fullmatch(r"\d{1,10}", text) and 1 <= int(text) <= most, f"must be from 1 to {most}", name)
    return int(text)

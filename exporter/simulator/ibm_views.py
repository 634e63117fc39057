"""What IBM tells about single views: seconds watched, segments, and the viewers who are known by name."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from exporter.simulator import audience, grid, viewers
from exporter.simulator.arithmetic import identity
from exporter.simulator.ibm_page import Row, time
from exporter.simulator.ibm_params import Question
from exporter.simulator.viewing import Segment, overlapping

Viewer = tuple[str, Sequence[Segment]]


def second_rows(asked: Question, now: float) -> Iterator[Row]:
    """Give a row for each bucket and content, also where nobody watched."""
    end = min(asked.end, int(now))  # nothing has happened yet after now
    # The segments of a long period are too many to be held at once.
    for block in grid.buckets(asked.start, end, "hour" if asked.granularity == "minute" else asked.granularity):
        buckets = list(grid.buckets(block.start, block.end, asked.granularity))
        watched = _watched(asked.contents, buckets, audience.step(block.start, block.end))
        for number, bucket in enumerate(buckets):
            for content_id in asked.contents:
                yield {
                    "content_type": audience.CONTENTS[content_id].kind,
                    "content_id": content_id,
                    "time": time(bucket.label),
                    "value": watched[number, content_id],
                }


def second_summary(asked: Question, now: float) -> Iterator[Row]:
    """Give one row, under the names that this endpoint alone has; nothing for no content."""
    end = min(asked.end, int(now))
    whole = [grid.Bucket(asked.start, asked.start, end)] if end > asked.start else []
    watched = _watched(asked.contents, whole, audience.step(asked.start, end))
    for content_id in asked.contents:
        yield {
            "content_type": audience.CONTENTS[content_id].kind,
            "media_id": content_id,
            "value": watched[0, content_id],
        }


def _watched(contents: tuple[int, ...], buckets: Sequence[grid.Bucket], step: int) -> defaultdict[tuple[int, int], int]:
    """Sum the seconds by the number of a bucket and the content."""
    found: defaultdict[tuple[int, int], int] = defaultdict(int)
    if not buckets:
        return found
    starts = [bucket.start for bucket in buckets]
    for segment, weight in overlapping(contents, starts[0], buckets[-1].end, step):
        number = max(0, bisect_right(starts, segment.start) - 1)
        while number < len(buckets) and starts[number] < segment.end:
            bucket = buckets[number]
            found[number, segment.content_id] += weight * segment.within(bucket.start, bucket.end)
            number += 1
    return found


def selected(asked: Question, now: float, *, spanning: bool) -> list[Segment]:
    """Give the segments that the flags let through, oldest first."""
    end = min(asked.end, int(now))
    step = audience.step(asked.start, end)
    found = [segment for segment, _ in overlapping(asked.contents, asked.start, end, step)] if end > asked.start else []
    if not asked.inclusive:
        return [one for one in found if one.start >= asked.start and _is_finished(one, now) and one.end <= asked.end]
    if not asked.unfinished:
        found = [one for one in found if _is_finished(one, now)]
    return [one for one in found if spanning or one.start >= asked.start or one.end <= asked.end]


def view(segment: Segment, now: float) -> Row:
    """Write a segment as a ``View``; who is not known by name has an identifier of null, or none at all."""
    person = viewers.person(segment)
    row = _attributes(segment, finished=_is_finished(segment, now)) | {"view_id": _identity(segment)}
    # The id is a number in one view and a string in the next, as in the vendor's examples.
    row["content_id"] = segment.content_id if segment.number % 2 else str(segment.content_id)
    if person.identifier or segment.minute % 2:
        row["viewer_identifier"] = person.identifier
    return row


def viewers_of(segments: Sequence[Segment], part: str) -> list[Viewer]:
    """Group segments by the viewers whose identifier contains a text; those without one are nobody's."""
    found: defaultdict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        identifier = viewers.person(segment).identifier
        if identifier and part in identifier:
            found[identifier].append(segment)
    return sorted(found.items())


def viewer(found: Viewer, now: float) -> Row:
    """Write one viewer."""
    identifier, segments = found
    rows = [
        _attributes(segment, finished=_is_finished(segment, now)) | {"id": _identity(segment)} for segment in segments
    ]
    last = max(min(segment.end, int(now)) for segment in segments)
    return {
        "last_activity": time(last, viewers.OFFSETS[len(segments) % 2]),
        "segments": rows,
        "videos_watched": len({segment.content_id for segment in segments}),
        "viewer_identifier": identifier,
    }


def _is_finished(segment: Segment, now: float) -> bool:
    return not segment.lost and segment.end <= now


@lru_cache(maxsize=16384)
def _identity(segment: Segment) -> str:
    return identity(repr((*segment.view, segment.part)))


@lru_cache(maxsize=16384)
def _attributes(segment: Segment, *, finished: bool) -> Row:
    """Give what ``View`` and the segments of a ``Viewer`` have in common; live has no position.

    Nobody may change it: several lists ask for the same hour.
    """
    person = viewers.person(segment)
    hours = viewers.OFFSETS[segment.number % 2]
    position = segment.position if audience.CONTENTS[segment.content_id].kind == "recorded" else None
    reached = segment.end - segment.start if finished else 0
    return {
        "content_type": audience.CONTENTS[segment.content_id].kind,
        "content_id": segment.content_id,
        "started_at": time(segment.start, hours),
        "finished_at": time(segment.end, hours) if finished else None,
        "from": position or 0,
        "to": 0 if position is None else position + reached,
        "country": person.country,
        "city": person.city,
        "is_mobile_view": person.agent.is_mobile,
        "view_type": person.view_type,
        "client_id": person.client_id,
        "view_session_id": person.view_session_id,
        "device_info": person.agent.device_info,
    }

"""The last polls of a query as pictures: a strip for the list, a chart for its own page. Inline SVG."""

from collections.abc import Sequence
from itertools import pairwise

from exporter.web.past import KEPT, Ended
from exporter.web.status.html import Html, joined, tag
from exporter.web.status.words import clock, number, some, took, utc

STEP, LOW, HIGH = 4, 7, 16
"""Pixels of the strip: from poll to poll, and the heights of a good one and a failed one."""

WIDE, TALL, BAR = 12, 120, 9
"""The chart's units: from poll to poll, the height of the longest, the width of a bar."""

AXIS = (1, 2, 5)


def strip(polls: Sequence[Ended]) -> Html:
    """Give the polls as a row of strokes: short for success, long for failure."""
    first = KEPT - len(polls)
    paths = {True: "", False: ""}
    for place, poll in enumerate(polls, first):
        paths[not poll.reason] += f"M{place * STEP + 1.5} {HIGH}v-{HIGH if poll.reason else LOW}"
    return tag(
        "svg",
        *(
            tag("path", class_="good" if good else "bad", d=path, stroke_width=2.5 if not good else 2)
            for good, path in paths.items()
            if path
        ),
        class_="strip",
        viewBox=f"0 0 {KEPT * STEP} {HIGH}",
        width=KEPT * STEP,
        height=HIGH,
        role="img",
        aria_label=summary(polls),
    )


def summary(polls: Sequence[Ended]) -> str:
    """Say how the polls ended."""
    if not polls:
        return "no poll yet"
    failed = sum(bool(poll.reason) for poll in polls)
    return f"of the last {some(len(polls), 'poll')} {number(failed) if failed else 'none'} failed"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def chart(polls: Sequence[Ended]) -> Html:
    """Give the polls as bars, as long as they took; a failed one has a ground of its own and a cross below."""
    top = _round_up(max((poll.duration for poll in polls), default=1.0))
    first = KEPT - len(polls)
    bars = (_bar(poll, place * WIDE, top) for place, poll in enumerate(polls, first))
    slow = max(polls, key=lambda poll: poll.duration) if polls else None
    words = _sentence(summary(polls)) + (f"; the longest took {took(slow.duration)}" if slow else "")
    picture = tag(
        "svg",
        *(tag("path", class_="grid", d=f"M0 {TALL * share}H{KEPT * WIDE}") for share in (0.0, 0.5, 1.0)),
        *bars,
        viewBox=f"0 -1 {KEPT * WIDE} {TALL + 16}",
        preserveAspectRatio="none",
        role="img",
        aria_label=words,
    )
    axis = tag("p", *(tag("span", text) for text in (took(top), took(top / 2), "0")), class_="axis", aria_hidden="true")
    period = (
        f" The first of them ended at {clock(polls[0].at)}, the last at {clock(polls[-1].at)} UTC." if polls else ""
    )
    return tag("figure", axis, picture, tag("figcaption", words, ".", period), class_="chart")


def table(polls: Sequence[Ended]) -> Html:
    """Give the polls as a table, the newest first."""
    heads = tag("tr", *(tag("th", head, scope="col") for head in ("Ended", "Result", "Duration", "Series")))
    rows = (
        tag(
            "tr",
            tag("td", utc(poll.at)),
            tag("td", f"failed: {poll.reason}" if poll.reason else "ok"),
            tag("td", took(poll.duration), class_="number"),
            tag("td", "" if poll.reason else number(poll.series), class_="number"),
        )
        for poll in reversed(polls)
    )
    return tag("table", tag("thead", heads), tag("tbody", *rows))


def _bar(poll: Ended, left: int, top: float) -> Html:
    height = max(round(poll.duration / top * TALL, 1), 1)
    middle, low = left + WIDE / 2, TALL + 5
    words = f"{utc(poll.at)}: {f'failed ({poll.reason})' if poll.reason else 'ok'}, {took(poll.duration)}"
    failed = joined(
        tag("path", class_="ground", d=f"M{left} 0h{WIDE}v{TALL}h-{WIDE}z"),
        tag("path", class_="cross", d=f"M{middle - 4} {low}l8 8m0-8l-8 8"),
    )
    return tag(
        "g",
        tag("title", words),
        failed if poll.reason else None,
        tag("path", class_="bar", d=f"M{left + 1.5} {TALL}v-{height}h{BAR}v{height}z"),
        class_="bad" if poll.reason else "good",
    )


def _round_up(longest: float) -> float:
    """Give the next of 1, 2, 5, 10, ... (and their fractions from 10 ms on), so that the axis does not jump about."""
    steps = [factor * 10.0**power for power in range(-2, 5) for factor in AXIS]
    return next((high for low, high in pairwise([0.0, *steps]) if low < longest <= high), longest or steps[0])

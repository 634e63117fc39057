"""A query's own page: how it goes, what it asks, its last polls and its series."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote, urlencode

from exporter.config import shown
from exporter.exposition import label_text
from exporter.gzipped import inflate
from exporter.model import Query, Request, Snapshot, Turn, Window
from exporter.plan import Group, Job
from exporter.web.facts import QueryFacts
from exporter.web.past import KEPT, Ended
from exporter.web.status import chart, shell
from exporter.web.status.html import Html, joined, tag
from exporter.web.status.words import clock, number, some, span, took, utc, when

SERIES = 100
"""Series that are shown; ``/metrics`` has all."""


@dataclass(frozen=True, slots=True)
class Subject:
    """All that the page tells; ``window`` is the period of its requests, that of the last poll or of the next."""

    job: Job
    group: Group
    facts: QueryFacts
    window: Window
    polls: Sequence[Ended]
    snapshot: Snapshot | None
    now: float


@dataclass(frozen=True, slots=True)
class Series:
    """One line of ``/metrics``: without the labels that all of the query's have."""

    name: str
    labels: str
    value: str


def render(subject: Subject, metrics_path: str) -> Html:
    """Give the page."""
    facts = subject.facts
    return shell.document(
        f"{facts.query} · {shell.NAME}",
        metrics_path,
        tag("p", tag("a", "← All queries", href="./"), class_="back"),
        tag(
            "div",
            tag("h1", facts.query),
            tag("p", shell.chip(facts.state, _state(facts)), id="state", role="status"),
            shell.freshness(utc(subject.now)),
            class_="top",
        ),
        tag("p", facts.error, class_="error", id="error") if facts.error else None,
        _at_a_glance(subject),
        tag(
            "section",
            tag("h2", f"Last {KEPT} polls"),
            chart.chart(subject.polls),
            tag("details", tag("summary", "As a table"), chart.table(subject.polls)) if subject.polls else None,
        ),
        tag("section", tag("h2", "History"), *_history(subject)) if facts.history else None,
        tag("section", tag("h2", "Requests"), *_requests(subject)),
        tag(
            "section",
            tag("h2", "Settings"),
            tag("p", "With the defaults that hold for it, as the file has it.", class_="hint"),
            tag("pre", _settings(subject.job), tabindex=0, role="region", aria_label="Settings"),
        ),
        tag("section", tag("h2", "Series"), *_series(subject)),
    )


def missing(source: str, name: str, metrics_path: str) -> Html:
    """Give the page of a query that is not there."""
    return shell.document(
        f"No such query · {shell.NAME}",
        metrics_path,
        tag("p", tag("a", "← All queries", href="./"), class_="back"),
        tag("h1", "No such query"),
        tag("p", "The configuration in force has no query ", tag("b", name), " of the source ", tag("b", source), "."),
    )


def series(snapshot: Snapshot) -> Iterator[Series]:
    """Give a snapshot's series."""
    shared = label_text(snapshot.query.labels)
    for chunk in snapshot.chunks:
        for line in inflate(chunk.lines).decode().removesuffix("\n").split("\n"):
            name, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("} ")
            yield Series(name, labels.removeprefix(shared).removeprefix(","), value)


def address(base_url: str, request: Request) -> str:
    """Give a request's whole address, commas and the like readable; secrets are in headers."""
    looked_up = ((request.lookup.name, "<looked up>"),) if request.lookup else ()
    params = urlencode((*request.params, *looked_up), quote_via=quote, safe=",:=<> ", errors="replace")
    return f"{base_url}{request.path}" + (f"?{params}" if params else "")


def _state(facts: QueryFacts) -> str:
    return f"{facts.state}: {facts.reason.replace('_', ' ')}" if facts.reason else facts.state


def _at_a_glance(subject: Subject) -> Html:
    facts, now = subject.facts, subject.now
    window = subject.window
    entries = (
        ("Source", joined(facts.source, tag("small", facts.endpoint))),
        ("Last success", when(facts.last_success_timestamp_seconds, now, "none yet")),
        ("Last poll", when(facts.last_poll_timestamp_seconds, now, "none yet")),
        ("Next poll", when(facts.next_poll_timestamp_seconds, now)),
        (
            "Window",
            joined(
                f"{clock(window.start)} to {clock(window.end)}", tag("small", f"{span(window.end - window.start)}, UTC")
            ),
        ),
        ("Series", number(facts.series)),
        ("Duration", took(facts.duration_seconds)),
        ("Interval", span(facts.interval_seconds)),
    )
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in entries), class_="glance")


def _requests(subject: Subject) -> Iterator[Html]:
    group = subject.group
    parts = [part for part in group.parts if subject.job.part(part)]
    requests = [group.provider.request(group.asked, Turn(part, subject.window)) for part in parts]
    yield tag(
        "p",
        f"{some(len(requests), 'request')} a poll, here for the window above; further pages follow. "
        "The log-in goes along in a header.",
        class_="hint",
    )
    if others := [query.name for query in group.queries if query != subject.job.query]:
        yield tag("p", f"Sent once for this query and {', '.join(others)}, which ask for the same rows.", class_="hint")
    for request in requests:
        full = address(group.provider.base_url, request)
        yield tag("p", tag("b", "GET "), tag("code", full), class_="url")
        params = (*request.params, *(((request.lookup.name, "<looked up>"),) if request.lookup else ()))
        rows = (tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in params)
        yield tag(
            "details",
            tag("summary", f"{some(len(params), 'parameter')} of {request.endpoint}"),
            tag("table", tag("tbody", *rows), class_="pairs"),
        )


def _history(subject: Subject) -> Iterator[Html]:
    """Say how far the query's past has come, and whether its delay does."""
    for each in subject.facts.history:
        entries = (
            ("Receiver", each.receiver),
            ("Newest bucket", when(each.newest_bucket_timestamp_seconds, subject.now, "none yet")),
            ("Complete until", when(each.complete_until_timestamp_seconds, subject.now, "none yet")),
            ("Read again", number(each.buckets_read_again)),
            ("Of them changed", number(each.buckets_revised)),
        )
        yield tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in entries), class_="glance")
        if each.error:
            yield tag("p", each.error, class_="error")
        yield tag("p", each.delay_verdict, class_="hint")


def _settings(job: Job) -> str:
    return shown.dump([shown.query_settings(job.query, job.provider)])


def _series(subject: Subject) -> Iterator[Html]:
    snapshot, query = subject.snapshot, subject.job.query
    if snapshot is None or not snapshot.series:
        yield tag("p", _why_none(subject), class_="hint")
        return
    first = "" if snapshot.series <= SERIES else f", the first {SERIES} of them here"
    yield tag("p", f"{number(snapshot.series)} in all{first}; each has the labels ", _shared(query), ".", class_="hint")
    heads = tag("tr", *(tag("th", head, scope="col") for head in ("Family", "Labels", "Value")))
    rows = (
        tag("tr", tag("td", each.name), tag("td", each.labels), tag("td", each.value, class_="number"))
        for each in islice(series(snapshot), SERIES)
    )
    body = tag("table", tag("thead", heads), tag("tbody", *rows), class_="series")
    yield tag("div", body, class_="scroll", tabindex=0, role="region", aria_label="Series")


def _shared(query: Query) -> Html:
    return tag("code", f"{{{label_text(query.labels)}}}")


def _why_none(subject: Subject) -> str:
    if subject.snapshot:
        return "The last good answer had no rows."
    if not subject.polls:
        return "None yet: the first poll has not ended."
    return "None: there is no good answer that is younger than max_age."

"""The page at ``/``: every source, every query, and first what is wrong."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from exporter.web.facts import Facts, QueryFacts, SourceFacts
from exporter.web.past import Ended, Key
from exporter.web.status import chart, shell
from exporter.web.status.html import Html, joined, tag, void
from exporter.web.status.words import clock, number, relative, some, span, took, utc, when

ROWS = 100
"""Queries on a page: thousands would make it slow to read, and to keep live."""

WORST_FIRST = ("failing", "waiting", "ok")
SHOWN = {"": "All states", "failing": "Failing", "waiting": "Waiting", "ok": "Ok"}
SOURCES = ("Source", "Log-in", "Limits", "Remaining", "Paused", "Circuit", "Queries")
QUERIES = ("State", "Query", "Last polls", "Last success", "Next poll", "Window", "Series", "Duration")
LOGIN = {
    "none": ("waiting", "not yet"),
    "ok": ("ok", "good"),
    "expired": ("waiting", "expired"),
    "refused": ("failing", "refused"),
    "failed": ("failing", "failed"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which queries a reader wants to see."""

    text: str = ""
    state: str = ""
    page: int = 1

    @classmethod
    def of(cls, params: Mapping[str, str]) -> "Asked":
        """Read the parameters of a request; what makes no sense is as if it were not there."""
        page, state = params.get("page", ""), params.get("state", "")
        good = page.isascii() and page.isdigit() and len(page) < len("1000000")
        return cls(params.get("find", "").strip(), state if state in SHOWN else "", int(page) if good else 1)

    def admits(self, query: QueryFacts) -> bool:
        """Whether a query is one of them."""
        return (not self.state or query.state == self.state) and (
            not self.text or self.text.lower() in f"{query.source} {query.query} {query.error}".lower()
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The queries of one page, worst first, with their last polls; ``page`` is the one that there is."""

    found: int
    page: int
    pages: int
    queries: tuple[QueryFacts, ...]
    polls: Mapping[Key, Sequence[Ended]]


def select(facts: Facts, asked: Asked) -> tuple[int, int, int, tuple[QueryFacts, ...]]:
    """Give how many queries are admitted, the page, how many there are, and its queries."""
    found = [query for query in facts.queries if asked.admits(query)]
    found.sort(key=lambda query: WORST_FIRST.index(query.state))
    pages = max(-(-len(found) // ROWS), 1)
    page = min(max(asked.page, 1), pages)
    return len(found), page, pages, tuple(found[(page - 1) * ROWS : page * ROWS])


def render(facts: Facts, asked: Asked, selection: Selection, metrics_path: str) -> Html:
    """Give the page."""
    now = facts.timestamp_seconds
    total = len(facts.queries)
    title = headline(facts)
    return shell.document(
        f"{title} · {shell.NAME}",
        metrics_path,
        tag(
            "div",
            tag("div", tag("h1", _sign(facts), " ", title, id="headline", class_=_worst(facts)), role="status"),
            shell.freshness(utc(now)),
            class_="top",
        ),
        _shard(facts),
        tag(
            "section",
            tag("h2", "Sources", id="sources"),
            _table("sources", SOURCES, [_source(source, now) for source in facts.sources]),
        ),
        tag(
            "section",
            tag("h2", "Queries", id="queries"),
            _form(asked),
            tag("p", _count(selection, total), class_="count", id="count"),
            _table("queries", QUERIES, [_query(query, selection.polls, now) for query in selection.queries])
            if selection.queries
            else None,
            _pages(asked, selection),
        ),
    )


def headline(facts: Facts) -> str:
    """Say in a sentence how it goes."""
    total = len(facts.queries)
    if not total:
        return "This shard has no queries"
    if facts.queries_failing:
        verb = "fails" if facts.queries_failing == 1 else "fail"
        return f"{number(facts.queries_failing)} of {some(total, 'query')} {verb}"
    if facts.queries_waiting:
        verb = "waits" if facts.queries_waiting == 1 else "wait"
        return f"{number(facts.queries_waiting)} of {some(total, 'query')} {verb} for the first poll"
    return "The only query works" if total == 1 else f"All {some(total, 'query')} work"


def address(source: str, name: str) -> str:
    """Give the address of a query's own page."""
    return "./query?" + urlencode({"source": source, "name": name}, errors="replace")


def _worst(facts: Facts) -> str:
    return "failing" if facts.queries_failing else "waiting" if facts.queries_waiting else "ok"


def _shard(facts: Facts) -> Html | None:
    if facts.total_shards == 1:
        return None
    last = facts.total_shards - 1
    return tag("p", f"Shard {facts.shard_ordinal} of 0 to {last}: its own queries, its part of the limits.", id="shard")


def _sign(facts: Facts) -> Html:
    return tag("span", {"ok": "✓", "failing": "✕", "waiting": "…"}[_worst(facts)], aria_hidden="true", class_="sign")


def _table(of: str, heads: Sequence[str], rows: Sequence[Html]) -> Html:
    """Give a table. On a phone its rows are cards, and the roles tell what they were."""
    head = tag("tr", *(tag("th", each, scope="col", role="columnheader") for each in heads), role="row")
    return tag(
        "table",
        tag("thead", head, role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        role="table",
        aria_labelledby=of,
        class_=of,
    )


def _cells(heads: Sequence[str], cells: Sequence[str], numbers: Sequence[str] = ()) -> Html:
    return joined(
        *(
            tag("td", cell, role="cell", data_label=head, class_="number" if head in numbers else None)
            for head, cell in zip(heads, cells, strict=True)
        )
    )


def _id(*parts: str) -> str:
    text = "\0".join(parts).encode(errors="replace")
    return f"r{hashlib.sha256(text).hexdigest()[:16]}"


def _source(source: SourceFacts, now: float) -> Html:
    limits = f"{source.limit_concurrency} at a time"
    if source.limit_requests_per_minute is not None:
        limits += f", {number(source.limit_requests_per_minute)} a minute"
    remaining, paused = source.rate_limit_remaining, source.paused_until_timestamp_seconds
    cells = (
        joined(tag("b", source.source), tag("small", f"{source.type} · {source.url}")),
        joined(_login(source), tag("small", _token(source, now))),
        joined(limits, tag("small", f"{some(round(source.requests_per_day), 'request')} a day")),
        "—" if remaining is None else number(remaining),
        when(paused, now, "no"),
        joined(shell.chip("failing", "open"), tag("small", "polled less often")) if source.circuit_open else "closed",
        _counts(source),
    )
    return tag("tr", _cells(SOURCES, cells, ("Remaining",)), role="row", id=_id("source", source.source))


def _login(source: SourceFacts) -> Html:
    return shell.chip(*LOGIN[source.login_state])


def _token(source: SourceFacts, now: float) -> str:
    expiry = source.token_expiry_timestamp_seconds
    if expiry is None:
        return source.login
    return f"{source.login}; token ends {relative(expiry, now)}, {clock(expiry)} UTC"


def _counts(source: SourceFacts) -> Html:
    counts = (
        ("failing", source.queries_failing),
        ("waiting", source.queries_waiting),
        ("ok", source.queries_ok),
    )
    chips: list[str] = [shell.chip(state, f"{number(count)} {state}") for state, count in counts if count]
    return joined(*(chips or ["none"]))


def _query(query: QueryFacts, polls: Mapping[Key, Sequence[Ended]], now: float) -> Html:
    begin, end = query.window_start_timestamp_seconds, query.window_end_timestamp_seconds
    window = (
        "—"
        if begin is None or end is None
        else joined(
            tag("span", f"{clock(begin)} to {clock(end)}", title=f"{utc(begin)} to {utc(end)}"),
            tag("small", f"{span(end - begin)}, UTC"),
        )
    )
    name = joined(
        tag("a", tag("b", query.query), href=address(query.source, query.query)),
        tag("small", f"{query.source} · {query.endpoint}"),
        tag("span", query.error, class_="error") if query.error else None,
    )
    cells = (
        joined(shell.chip(query.state), tag("small", query.reason.replace("_", " ")) if query.reason else None),
        name,
        chart.strip(polls.get((query.source, query.query), ())),
        when(query.last_success_timestamp_seconds, now, "never" if query.state == "failing" else "—"),
        when(query.next_poll_timestamp_seconds, now),
        window,
        number(query.series),
        took(query.duration_seconds),
    )
    row = _cells(QUERIES, cells, ("Series", "Duration"))
    return tag("tr", row, role="row", id=_id("query", query.source, query.query), class_=query.state)


def _form(asked: Asked) -> Html:
    options = (tag("option", words, value=state, selected=state == asked.state) for state, words in SHOWN.items())
    return tag(
        "form",
        tag(
            "label",
            "Find ",
            void("input", type="search", name="find", value=asked.text, placeholder="name, source, error"),
        ),
        tag("label", "State ", tag("select", *options, name="state")),
        tag("button", "Show", type="submit"),
        role="search",
        method="get",
        action="./",
        data_keep=True,
    )


def _count(selection: Selection, total: int) -> str:
    if not total:
        return "None."
    if not selection.found:
        return f"None of {some(total, 'query')} matches."
    first = (selection.page - 1) * ROWS + 1
    last = first + len(selection.queries) - 1
    of = f"{some(selection.found, 'query')}" + ("" if selection.found == total else f" that match, of {number(total)}")
    return of if selection.pages == 1 else f"{number(first)} to {number(last)} of {of}"


def _pages(asked: Asked, selection: Selection) -> Html | None:
    if selection.pages == 1:
        return None

    def link(words: str, page: int, rel: str) -> Html | None:
        if not 1 <= page <= selection.pages:
            return None
        params = {"find": asked.text, "state": asked.state, "page": page}
        return tag("a", words, href="./?" + urlencode(params, errors="replace"), rel=rel)

    return tag(
        "nav",
        link("← Previous", selection.page - 1, "prev"),
        tag("span", f"Page {selection.page} of {selection.pages}"),
        link("Next →", selection.page + 1, "next"),
        aria_label="More queries",
        class_="pages",
        id="pages",
    )

"""The pages for people: all queries at ``/``, one at ``/query``; they need no script, and are live with one."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.web.facts import facts, one
from exporter.web.state import State
from exporter.web.status import detail, overview, shell
from exporter.web.status.html import Html
from exporter.window import window

OVERVIEW, QUERY = "/", "/query"
PATHS = (OVERVIEW, QUERY, *(f"{shell.STATIC}/{name}" for name in shell.FILES))

NOT_FOUND = 404
KEEP = {"cache-control": "max-age=31536000, immutable"}


def routes(state: State, metrics_path: str) -> list[Route]:
    """Give the routes. What is asked of the exporter is asked in the event loop, the markup is made beside it."""

    async def index(request: Request) -> Response:
        now, asked = facts(state), overview.Asked.of(request.query_params)
        found, page, pages, queries = overview.select(now, asked)
        polls = {(each.source, each.query): state.past.polls((each.source, each.query)) for each in queries}
        selection = overview.Selection(found, page, pages, queries, polls)
        return _page(await asyncio.to_thread(overview.render, now, asked, selection, metrics_path))

    async def query(request: Request) -> Response:
        source, name = (request.query_params.get(key, "") for key in ("source", "name"))
        subject = _subject(state, (source, name))
        if subject is None:
            return _page(detail.missing(source, name, metrics_path), NOT_FOUND)
        return _page(await asyncio.to_thread(detail.render, subject, metrics_path))

    return [Route(OVERVIEW, index), Route(QUERY, query), *map(_static, shell.FILES)]


def _subject(state: State, key: tuple[str, str]) -> detail.Subject | None:
    plan = state.plan()
    if key not in plan.job:
        return None
    job = plan.job[key]
    query, now, outcome = job.query, state.now(), state.outcomes().get(key)
    asked = window(now, interval=query.interval, length=query.window, delay=query.delay)
    return detail.Subject(
        job=job,
        group=plan.group[key],
        facts=one(state, query),
        window=outcome.window if outcome else asked,
        polls=state.past.polls(key),
        snapshot=state.snapshot(query),
        now=now,
    )


def _page(markup: Html, status: int = 200) -> Response:
    # A vendor's words may hold what UTF-8 can't spell.
    text = markup.encode(errors="replace")
    return Response(text, status, {"cache-control": "no-store"}, "text/html")


def _static(name: str) -> Route:
    async def static(_: Request) -> Response:
        return Response(shell.FILES[name], headers=KEEP, media_type=shell.TYPES[name])

    return Route(f"{shell.STATIC}/{name}", static)

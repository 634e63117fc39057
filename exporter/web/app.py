"""The routes."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.status import POLICY, State, page

HEALTHY, READY, RELOAD = "/-/healthy", "/-/ready", "/-/reload"
PAGES = ("/", HEALTHY, READY, RELOAD)
FORBIDDEN, FAILED, UNAVAILABLE = 403, 500, 503

Reload = Callable[[], Awaitable[Sequence[str]]]
"""Reloads the configuration, and gives the faults for which the old one stays."""


def app(metrics: ASGIApp, metrics_path: str, state: State, reload: Reload | None = None) -> ASGIApp:
    """Give the ASGI application; the metrics' path goes past the framework. Without ``reload`` it is forbidden."""

    async def index(_: Request) -> HTMLResponse:
        # A vendor's words may hold what UTF-8 can't spell.
        text = page(state, metrics_path).encode(errors="replace")
        return HTMLResponse(text, headers={"content-security-policy": POLICY})

    async def healthy(_: Request) -> PlainTextResponse:
        return _probe(state.alive(), "healthy", "the scheduler is not running")

    async def ready(_: Request) -> PlainTextResponse:
        return _probe(state.ready, "ready", "the first poll of a query has not ended yet")

    async def reload_(_: Request) -> PlainTextResponse:
        if reload is None:
            return PlainTextResponse("reloading is off; start with --web.enable-lifecycle\n", FORBIDDEN)
        faults = await reload()
        return PlainTextResponse("".join(f"{fault}\n" for fault in faults), FAILED if faults else 200)

    pages = Starlette(
        routes=[
            Route("/", index),
            Route(HEALTHY, healthy),
            Route(READY, ready),
            Route(RELOAD, reload_, methods=["POST", "PUT"]),
        ]
    )

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] == "http" and scope["path"] == metrics_path
        await (metrics if known else pages)(scope, receive, send)

    return route


def _probe(good: bool, yes: str, no: str) -> PlainTextResponse:  # noqa: FBT001 - the answer to the probe's question
    return PlainTextResponse(f"{yes}\n") if good else PlainTextResponse(f"{no}\n", UNAVAILABLE)

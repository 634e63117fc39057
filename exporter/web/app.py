"""The routes."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web import api, status
from exporter.web.access.headers import add
from exporter.web.discovery import ALONE, Discovery
from exporter.web.state import State

HEALTHY, READY, RELOAD = "/-/healthy", "/-/ready", "/-/reload"
PAGES = (*status.PATHS, *api.PATHS, HEALTHY, READY, RELOAD)
FORBIDDEN, FAILED, UNAVAILABLE = 403, 500, 503

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""A vendor's text that slipped through could still run nothing, and load nothing from elsewhere."""

HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every answer but the metrics'; those of ``--web.config.file`` go before them."""

Reload = Callable[[], Awaitable[Sequence[str]]]
"""Reloads the configuration, and gives the faults for which the old one stays."""


def app(
    metrics: ASGIApp, metrics_path: str, state: State, reload: Reload | None = None, discovery: Discovery = ALONE
) -> ASGIApp:
    """Give the ASGI application; the metrics' path goes past the framework. Without ``reload`` it is forbidden."""

    async def healthy(_: Request) -> PlainTextResponse:
        return _probe(state.alive(), "healthy", "the scheduler is not running")

    async def ready(_: Request) -> PlainTextResponse:
        return _probe(state.ready, "ready", "the first poll of a query has not ended yet")

    async def reload_(_: Request) -> PlainTextResponse:
        if reload is None:
            return PlainTextResponse("reloading is off; start with --web.enable-lifecycle\n", FORBIDDEN)
        faults = await reload()
        return PlainTextResponse("".join(f"{fault}\n" for fault in faults), FAILED if faults else 200)

    framework = Starlette(
        routes=[
            *status.routes(state, metrics_path),
            *api.routes(state, metrics_path, discovery),
            Route(HEALTHY, healthy),
            Route(READY, ready),
            Route(RELOAD, reload_, methods=["POST", "PUT"]),
        ]
    )
    pages = add(framework, lambda: HEADERS)

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] == "http" and scope["path"] == metrics_path
        await (metrics if known else pages)(scope, receive, send)

    return route


def _probe(good: bool, yes: str, no: str) -> PlainTextResponse:  # noqa: FBT001 - the answer to the probe's question
    return PlainTextResponse(f"{yes}\n") if good else PlainTextResponse(f"{no}\n", UNAVAILABLE)

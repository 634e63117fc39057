"""Answers for programs: the facts as JSON, the configuration in force, service discovery."""

import asyncio
import json

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.config import Config, shown
from exporter.web.discovery import targets
from exporter.web.facts import facts
from exporter.web.state import State

QUERIES, CONFIG, DISCOVERY = "/api/v1/queries", "/config", "/sd"
PATHS = (QUERIES, CONFIG, DISCOVERY)

FRESH = {"cache-control": "no-store"}
BAD_REQUEST = 400


def routes(state: State, metrics_path: str, external_url: str) -> list[Route]:
    """Give the routes; ``external_url`` is where Prometheus finds this process, if that is not the request's host."""
    configuration = _Configuration()

    async def queries(_: Request) -> Response:
        now = facts(state)
        # ASCII, since a vendor's words may hold what UTF-8 can't spell.
        text = await asyncio.to_thread(lambda: json.dumps(msgspec.to_builtins(now)))
        return Response(text, media_type="application/json", headers=FRESH)

    async def config(_: Request) -> Response:
        text = await asyncio.to_thread(configuration.text, state.config())
        return PlainTextResponse(text, headers=FRESH)

    async def discovery(request: Request) -> Response:
        scheme, server = request.scope["scheme"], request.scope.get("server") or ("", None)
        host = request.headers.get("host") or f"{server[0]}:{server[1]}"
        found = targets(external_url or f"{scheme}://{host}", metrics_path)
        if found is None:
            return PlainTextResponse("the request's Host names no host\n", BAD_REQUEST)
        return JSONResponse(found, headers=FRESH)

    return [Route(QUERIES, queries), Route(CONFIG, config), Route(DISCOVERY, discovery)]


class _Configuration:
    """The configuration as text. Kept, for thousands of queries take a second to write."""

    def __init__(self) -> None:
        self._written: tuple[Config | None, str] = None, ""

    def text(self, config: Config) -> str:
        """Give a configuration as YAML."""
        known, text = self._written
        if known is not config:
            text = shown.text(config)
            self._written = config, text
        return text

"""Answers for programs: the facts as JSON, the configuration in force, service discovery."""

import asyncio
import json

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.config import Config, shown
from exporter.shard import Shard
from exporter.web.discovery import Discovery
from exporter.web.facts import facts
from exporter.web.peers import NoPeersError
from exporter.web.state import State

QUERIES, CONFIG, DISCOVERY = "/api/v1/queries", "/config", "/sd"
PATHS = (QUERIES, CONFIG, DISCOVERY)

FRESH = {"cache-control": "no-store"}
BAD_REQUEST, UNAVAILABLE = 400, 503


def routes(state: State, metrics_path: str, discovery: Discovery) -> list[Route]:
    """Give the routes."""
    configuration = _Configuration()

    async def queries(_: Request) -> Response:
        now = facts(state)
        # ASCII, since a vendor's words may hold what UTF-8 can't spell.
        text = await asyncio.to_thread(lambda: json.dumps(msgspec.to_builtins(now)))
        return Response(text, media_type="application/json", headers=FRESH)

    async def config(_: Request) -> Response:
        text = await asyncio.to_thread(configuration.text, state.config())
        return PlainTextResponse(_of_shard(state.shard) + text, headers=FRESH)

    async def shards(request: Request) -> Response:
        scheme, server = request.scope["scheme"], request.scope.get("server") or ("", None)
        host = request.headers.get("host") or f"{server[0]}:{server[1]}"
        try:
            found = await discovery.groups(f"{scheme}://{host}", metrics_path)
        except NoPeersError as error:
            # Prometheus then keeps the targets that it has.
            return PlainTextResponse(f"{error}\n", UNAVAILABLE)
        if found is None:
            return PlainTextResponse("the request's Host names no host\n", BAD_REQUEST)
        return JSONResponse(found, headers=FRESH)

    return [Route(QUERIES, queries), Route(CONFIG, config), Route(DISCOVERY, shards)]


def _of_shard(shard: Shard) -> str:
    """Give a comment that says what of the configuration is here."""
    if shard.total == 1:
        return ""
    return f"# Shard {shard.ordinal} of 0 to {shard.total - 1}: its own queries, and its part of the sources' limits.\n"


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

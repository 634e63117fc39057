"""What every simulated vendor has: an ASGI app that remembers its answers and lets a test interfere."""

import base64
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

Clock = Callable[[], float]
Endpoint = Callable[[Request], Awaitable[Response]]
Intercept = Callable[[Request], Awaitable[Response | None]]
REMEMBERED = 200
"""Answers that a vendor keeps: a demo runs for days."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that was sent in full: what was asked (form fields for a POST), the status and the bytes."""

    path: str
    params: Mapping[str, str]
    status: int
    content: bytes

    @property
    def body(self) -> object:
        """The content as JSON, or as text where it is none."""
        with suppress(ValueError):
            return json.loads(self.content)
        return self.content.decode(errors="replace")


class Refused(HTTPException):
    """A request that the vendor refuses, and the parameter that it does not like."""

    def __init__(self, status: int, detail: str, parameter: str) -> None:
        super().__init__(status, detail)
        self.parameter = parameter


class Vendor(ABC):
    """Base of the simulated vendors.

    ``app`` is the ASGI callable. ``answers`` are the last ones, oldest first. ``intercept``, where set, sees
    every request first; what it returns is the answer, ``None`` lets the vendor answer. It may read the body.
    """

    def __init__(self, routes: Mapping[str, tuple[str, Endpoint]]) -> None:
        """Take the paths, each with its method and endpoint."""
        self.answers: deque[Answer] = deque(maxlen=REMEMBERED)
        self.intercept: Intercept | None = None
        self._starlette = Starlette(
            routes=[Route(path, each, methods=[method]) for path, (method, each) in routes.items()],
            exception_handlers={HTTPException: self._refuse},
        )

    @abstractmethod
    def problem(self, error: HTTPException) -> Response:
        """Say in the vendor's words why a request is refused."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and remember the answer before its end is sent."""
        request = Request(scope, receive)
        body = await request.body()
        response = await self.intercept(request) if self.intercept else None
        answer = response or self._starlette
        await answer(scope, _replay(body, receive), _Recorder(request, body, send, self.answers))

    async def _refuse(self, _: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return self.problem(error)


def params(request: Request, allowed: Collection[str], status: int) -> dict[str, str]:
    """Give the query's parameters; refuse with ``status`` one that is unknown or stands twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed or name in found:
            raise Refused(status, "stands twice" if name in found else "unknown parameter", name)
        found[name] = value
    return found


async def form(request: Request) -> dict[str, str]:
    """Give the fields of an URL-encoded body."""
    return dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))


def is_form(request: Request) -> bool:
    """Tell whether the body says that it is URL-encoded."""
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def jwt(claims: Mapping[str, object]) -> str:
    """Make a token that looks like a signed one; nobody but the vendor reads it."""
    parts = (json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims, "signature"))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that has already been read once more, then what really comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


class _Recorder:
    """A ``send`` that notes the answer just before its last part leaves, so that no client is faster."""

    def __init__(self, request: Request, body: bytes, send: Send, answers: deque[Answer]) -> None:
        self._request, self._form, self._send, self._answers = request, body, send, answers
        self._status, self._content = 0, b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._content += message.get("body", b"")
            if not message.get("more_body", False):
                self._answers.append(self._answer())
        await self._send(message)

    def _answer(self) -> Answer:
        fields = dict(self._request.query_params) | dict(parse_qsl(self._form.decode(errors="replace")))
        return Answer(self._request.url.path, fields, self._status, self._content)

"""One client's connection: uvicorn's, with an end to its patience.

uvicorn waits for ever for a request to be whole and for an answer to be read, and takes a head of any length.
"""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

import structlog
from starlette.types import Message, Scope
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

log = structlog.get_logger(__name__)

LONGEST_HEAD = 1 << 16
"""Bytes of a request line and headers."""

LONGEST_REQUEST = 1 << 24
"""Bytes of a whole request. No page here reads a body: up to this it is thrown away, so that its sender hears why."""

SMALL = 1 << 14
"""Bytes that are not sent at once, but together with what follows in the same turn of the event loop."""

MOST_WAITING = 100
"""Requests that a client may send before it has the answer to its first one."""

REQUEST_PATIENCE = 10.0
ANSWER_PATIENCE = 60.0
STOP_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a client has to send a request, to take an answer once it stalls, and for either once we stop."""

    request: float = REQUEST_PATIENCE
    answer: float = ANSWER_PATIENCE
    stop: float = STOP_PATIENCE


Ready = Callable[[Scope], Sequence[Message] | None]
"""Gives the messages of an answer that is there already, ``None`` where it has to be made."""


@dataclass(slots=True)
class _Known:
    """A request that came alone and in one piece, and had its answer at once; the head of its last answer.

    ``messages`` and ``usual`` (uvicorn's own headers, such as the date) are what that head is of.
    """

    request: bytes
    scope: Scope
    messages: Sequence[Message] = ()
    usual: Sequence[tuple[bytes, bytes]] = ()
    head: bytes = b""

    def answer(self, messages: Sequence[Message], usual: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Give the head of an answer."""
        if messages is not self.messages or usual is not self.usual:
            headers = b"".join(b"%b: %b\r\n" % header for header in (*usual, *messages[0]["headers"]))
            self.head = b"%b%b\r\n" % (STATUS_LINE[messages[0]["status"]], headers)
            self.messages, self.usual = messages, usual
        return self.head


class _Timer:
    """A call that is due some time after the first start, unless it is stopped.

    The loop's own timer goes on when it is stopped, and finds out then what is due: two of them a request would cost
    more than all else here.
    """

    def __init__(self, loop: AbstractEventLoop, seconds: float, call: Callable[[], None]) -> None:
        self._loop, self._seconds, self._call = loop, seconds, call
        self._due: float | None = None
        self._handle: TimerHandle | None = None

    def start(self) -> None:
        if self._due is None:
            self._due = self._loop.time() + self._seconds
            if self._handle is None:
                self._handle = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        self._due = None

    def end(self) -> None:
        self.stop()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._handle = self._loop.call_at(self._due, self._look)
        else:
            self._due = None
            self._call()


class Connection(HttpToolsProtocol):
    """A connection that is closed when its client owes a request, or the reading of an answer, for too long.

    Between two requests uvicorn's own keep-alive time holds.
    """

    def __init__(
        self, config: Config, server_state: ServerState, patience: Patience, ready: Ready = lambda _: None
    ) -> None:
        super().__init__(config, server_state, app_state={})
        self._ready = ready
        self._request_due = _Timer(self.loop, patience.request, self._give_up)
        self._answer_due = _Timer(self.loop, patience.answer, self._give_up)
        self._end_due = _Timer(self.loop, patience.stop, self._give_up)
        self._answering: RequestResponseCycle | None = None
        self._in_head = True
        self._taken = 0
        self._begun = 0
        self._at_once: RequestResponseCycle | None = None
        self._known: _Known | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        # Writing is then paused for as long as there is something that the client has not taken; what is small goes out
        # in one system call, head and body.
        transport.set_write_buffer_limits(high=SMALL, low=0)
        self._request_due.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers; what is still said of an answer goes nowhere."""
        for timer in (self._request_due, self._answer_due, self._end_due):
            timer.end()
        self._drop_answer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take no more of a request than it may have."""
        if self._known and data == self._known.request and self._answer_again(self._known):
            return
        piece, alone = data, self._idle
        self._begun, self._at_once = 0, None
        self._request_due.start()
        while data and not self.transport.is_closing():
            room = (LONGEST_HEAD if self._in_head else LONGEST_REQUEST) - self._taken
            if room <= 0:
                self.send_400_response("The request is too large.")
                return
            taken, data = data[:room], data[room:]
            self._taken += len(taken)
            super().data_received(taken)
            if len(self.pipeline) > MOST_WAITING:
                self._give_up()
        if alone and len(piece) <= SMALL:
            self._remember(piece)

    def _remember(self, piece: bytes) -> None:
        """Know a request when it comes again, if it was all of a piece and had its answer at once."""
        cycle = self._at_once
        if cycle and cycle.keep_alive and self._begun == 1 and self._idle:
            self._known = _Known(piece, cycle.scope)  # type: ignore[arg-type]  # a dict

    @property
    def _idle(self) -> bool:
        """Whether nothing of a request is there, and no answer is owed."""
        answered = self._answering is None or self._answering.response_complete
        return answered and self._in_head and not self._taken and not self.pipeline

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's always closes
        """Finish an answer for a client that has said all it had to; TLS knows no connection that is half closed."""
        if self._answering is None or self._answering.response_complete or self.scheme == "https":
            return False
        self.cycle.keep_alive = False
        self._request_due.stop()
        return True

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        super().on_message_begin()
        self._begun += 1
        self._request_due.start()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, but none that follows the body: nobody would look at it."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Count the body from here on."""
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        """Wait for the request no longer."""
        super().on_message_complete()
        self._request_due.stop()
        self._in_head, self._taken = True, 0

    def send_400_response(self, msg: str) -> None:
        """Refuse a request, but not in the middle of an answer."""
        if self._answering is not None and self._answering.response_started and not self._answering.response_complete:
            self._give_up()
        else:
            self._drop_answer()
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._answer_due.start()

    def resume_writing(self) -> None:
        """Wait no longer, unless the answer goes on: its parts have the time together."""
        super().resume_writing()
        if self._answering is None or self._answering.response_complete:
            self._answer_due.stop()

    def on_response_complete(self) -> None:
        """Wait no longer, unless the answer's end is still to be taken."""
        if not self.flow.write_paused:
            self._answer_due.stop()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Stop, soon."""
        super().shutdown()
        self._end_due.start()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle  # uvicorn's `cycle` is that of the newest request, which may wait for this one's answer
        messages = self._there(cycle.scope)  # type: ignore[arg-type]  # a dict
        if messages is None:
            super()._start_asgi_task(cycle, app)
            return
        # A task, and the way through the application, would cost as much as the rest of a scrape.
        for message in messages:
            if not _at_once(cycle.send(message)):  # type: ignore[arg-type]  # a dict
                self._give_up()
                return
        cycle.on_response = _nothing
        self._at_once = cycle

    def _answer_again(self, known: _Known) -> bool:
        """Answer a request that is the one before to the byte, as a scraper's are: nothing has to be parsed anew."""
        if not self._idle or self.transport.is_closing():
            return False
        messages = self._there(known.scope)
        if messages is None:
            return False
        self.transport.write(known.answer(messages, self.server_state.default_headers))
        for message in messages[1:]:
            self.transport.write(message["body"])
        self.on_response_complete()
        return True

    def _there(self, scope: Scope) -> Sequence[Message] | None:
        """Give an answer that is there already, and that the client can take."""
        try:
            return None if self.flow.write_paused else self._ready(scope)
        except Exception:
            # The parser, who may call this, would take it for a fault of the request, and nobody would hear of it.
            log.exception("an answer can't be given at once")
            return None

    def _give_up(self) -> None:
        self._drop_answer()
        self.transport.abort()

    def _drop_answer(self) -> None:
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True


def _at_once(sending: Coroutine[object, object, None]) -> bool:
    """Let a coroutine run to its end, and say whether it came there; uvicorn's sending waits only for clients."""
    try:
        sending.send(None)
    except StopIteration:
        return True
    sending.close()
    return False


def _nothing() -> None:
    """Stand in the place of a method that would keep a connection alive, as uvicorn's own way does."""

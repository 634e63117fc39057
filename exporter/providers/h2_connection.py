"""One connection of HTTP/2, over h2: what comes is handed to the requests that wait for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError, ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import NeverIndexedHeaderTuple

from exporter.providers.transport import KEEP

PATIENCE = 10.0
"""Seconds within which a vendor that is there answers a ping, however long it takes for the answer itself."""

WINDOW, ALL_WINDOWS = 2**20, 2**31 - 1
"""Bytes that come unread of one answer, and of all: an answer that nobody reads leaves room for the others."""

STREAMS = 100
HEAD, GOAWAY = 9, 7
"""The size of a frame's head; the type of the frame that ends a connection (RFC 9113, sections 4.1 and 6.8)."""

SECRET = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"x-api-key"})
"""Headers that neither side, nor one between, may keep in its table for later requests (RFC 7541, section 7.1.3)."""


class Unseen(Exception):
    """The vendor says that it has not looked at a request."""


class _Stream:
    """One request's answer, as it comes."""

    def __init__(self) -> None:
        self.head: asyncio.Future[list[tuple[bytes, bytes]]] = asyncio.get_running_loop().create_future()
        self.parts: asyncio.Queue[events.DataReceived | Exception | None] = asyncio.Queue()
        self.ended = False

    def begin(self, headers: list[tuple[bytes, bytes]]) -> None:
        # Who asked may have been cancelled within this step of the loop, and not have run since.
        if not self.head.done():
            self.head.set_result(headers)

    def fail(self, error: Exception) -> None:
        self.ended = True
        if self.head.done():
            self.parts.put_nowait(error)
        else:
            self.head.set_exception(error)


class Connection(asyncio.Protocol):
    """A connection: requests go out at once, and what comes is handed to the streams."""

    def __init__(self) -> None:
        self._h2 = H2Connection(H2Configuration(header_encoding=None))
        self._h2.local_settings = Settings(
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: 65536,
            }
        )
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, _Stream] = {}
        self._came = bytearray()
        self._last = False
        self._wider = asyncio.Event()
        self._ping: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self.able = False
        """Whether HTTP/2 was agreed upon."""
        self.fruitful = False
        """Whether it has brought an answer."""
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        """Done when the vendor has said how many requests it takes at a time, or speaks something else."""

    # --- For who asks ---

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more."""
        return self._transport.is_closing()

    @property
    def room(self) -> bool:
        """Whether it takes another request."""
        most = min(STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return not self._last and not self.closed and len(self._streams) < most

    async def ask(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose body is read, and wait for the head of the response."""
        if self._last or self.closed:
            raise Unseen
        with _translated():
            number = self._h2.get_next_available_stream_id()
            stream = self._streams[number] = _Stream()
            try:
                self._h2.send_headers(number, _headers(request), end_stream=not request.content)
                self._alive()
                await self._send(number, request.content)
                (_, written), *headers = await stream.head
                status = int(written)
            except BaseException:
                self.done(number)
                raise
        extensions = {"http_version": b"HTTP/2"}
        return httpx.Response(status, headers=headers, stream=_Body(self, number, stream), extensions=extensions)

    def took(self, part: events.DataReceived) -> None:
        """Let as much come again as was read."""
        with contextlib.suppress(ProtocolError):
            self._h2.acknowledge_received_data(part.flow_controlled_length, part.stream_id)
        self._flush()

    def done(self, number: int) -> None:
        """Forget a stream. If its answer was given up the vendor is told, and takes no more requests here."""
        stream = self._streams.pop(number, None)
        if stream and not stream.ended:
            self._last = True
            with contextlib.suppress(ProtocolError):
                self._h2.reset_stream(number, ErrorCodes.CANCEL)
            self._flush()
        self._rest()

    def end(self, error: Exception) -> None:
        """End it at once."""
        self._transport.abort()
        self._fail(error)

    # --- For the event loop ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's has no such base
        """Say hello, if the other side speaks HTTP/2."""
        self._transport = transport
        self.able = transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        if not self.able:
            self.greeted.set_result(None)
            transport.close()
            return
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(ALL_WINDOWS - self._h2.inbound_flow_control_window)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hand what came to the streams."""
        self._came += data
        try:
            for frame in self._frames():
                for event in self._h2.receive_data(frame):
                    self._heed(event)
        except ProtocolError as error:
            self.end(httpx.RemoteProtocolError(f"no HTTP/2: {type(error).__name__}"))
            return
        self._flush()
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all that wait."""
        self._fail(httpx.ReadError(str(exc or "the vendor closed the connection")))
        for timer in (self._ping, self._expiry):
            if timer:
                timer.cancel()

    def _frames(self) -> Iterator[bytes]:
        """Give the frames that came whole, but for GOAWAY: h2 would take no more of the answers on their way."""
        while len(self._came) >= HEAD:
            size = int.from_bytes(self._came[:3], "big")
            if size > self._h2.max_inbound_frame_size:
                raise FrameTooLargeError(f"a frame of {size} bytes")
            if len(self._came) < HEAD + size:
                return
            frame = bytes(self._came[: HEAD + size])
            del self._came[: HEAD + size]
            if frame[3] == GOAWAY:
                self._goes(int.from_bytes(frame[HEAD : HEAD + 4], "big"))
            else:
                yield frame

    def _goes(self, seen: int) -> None:
        """Take leave: what the vendor has seen it will answer, all else is for another connection."""
        self._last = True
        for number in [number for number in self._streams if number > seen]:
            self._streams[number].fail(Unseen())

    def _heed(self, event: events.Event) -> None:
        match event:
            case events.RemoteSettingsChanged() | events.WindowUpdated():
                self._wider.set()
                if not self.greeted.done():
                    self.greeted.set_result(None)
            case events.PingAckReceived() if self._ping:
                self._ping.cancel()
                self._ping = None
            case events.DataReceived() if event.stream_id not in self._streams:
                self.took(event)
            case events.ResponseReceived() | events.DataReceived() | events.StreamEnded() | events.StreamReset():
                if stream := self._streams.get(event.stream_id or 0):
                    self._hand(stream, event)

    def _hand(
        self,
        stream: _Stream,
        event: events.ResponseReceived | events.DataReceived | events.StreamEnded | events.StreamReset,
    ) -> None:
        match event:
            case events.ResponseReceived():
                self.fruitful = True
                stream.begin(event.headers)
            case events.DataReceived():
                stream.parts.put_nowait(event)
            case events.StreamEnded():
                stream.ended = True
                stream.parts.put_nowait(None)
            case events.StreamReset(error_code=ErrorCodes.REFUSED_STREAM):
                self._last = True
                stream.fail(Unseen())
            case events.StreamReset():
                stream.fail(httpx.RemoteProtocolError(f"the vendor gave the answer up: {event.error_code!r}"))

    def _alive(self) -> None:
        """Find out whether the vendor is still there: all requests would wait for one that is not."""
        if self._expiry:
            self._expiry.cancel()
        if not self._ping:
            self._h2.ping(b"whoisit?")
            self._ping = self._loop.call_later(PATIENCE, self.end, httpx.ReadError("no answer to a ping"))
        self._flush()

    async def _send(self, number: int, body: bytes) -> None:
        while body:
            self._wider.clear()
            size = min(len(body), self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if size <= 0:
                await self._wider.wait()
                continue
            self._h2.send_data(number, body[:size], end_stream=size == len(body))
            body = body[size:]
            self._flush()

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)

    def _rest(self) -> None:
        """Close it if it has nothing more to do, at once or after a while."""
        if self._streams or self._transport.is_closing():
            return
        if self._last:
            self._transport.close()
        elif not self._expiry or self._expiry.cancelled():
            self._expiry = self._loop.call_later(KEEP, self._transport.close)

    def _fail(self, error: Exception) -> None:
        self._last = True
        self._wider.set()
        if not self.greeted.done():
            self.greeted.set_exception(error)
            # Who connects may have been cancelled: then nobody asks for it, and asyncio would complain of that.
            self.greeted.exception()
        for stream in self._streams.values():
            if not stream.ended:
                stream.fail(error)


class _Body(httpx.AsyncByteStream):
    """The body of a response; the vendor sends no more of it once it is closed."""

    def __init__(self, connection: Connection, number: int, stream: _Stream) -> None:
        self._connection = connection
        self._number = number
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self._stream.parts.get():
            if isinstance(part, Exception):
                raise httpx.RemoteProtocolError("the answer is not whole") if isinstance(part, Unseen) else part
            self._connection.took(part)
            yield part.data

    async def aclose(self) -> None:
        self._connection.done(self._number)


def _headers(request: httpx.Request) -> list[tuple[bytes, bytes]]:
    """Give a request's headers, those of the connection left out."""
    own = [
        (b":method", request.method.encode()),
        (b":authority", request.headers["host"].encode()),
        (b":scheme", b"https"),
        (b":path", request.url.raw_path),
    ]
    sent = [(name.lower(), value) for name, value in request.headers.raw]
    return own + [
        NeverIndexedHeaderTuple(name, value) if name in SECRET else (name, value)
        for name, value in sent
        if name not in (b"host", b"connection", b"transfer-encoding")
    ]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ProtocolError, ValueError) as error:
        raise httpx.RemoteProtocolError(f"no HTTP/2: {type(error).__name__}") from None

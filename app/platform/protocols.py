"""The server's sockets, with an end to everybody's patience: uvicorn's protocols plus bounds in time and memory.

uvicorn waits for a request as long as its client likes, keeps headers of any length, and answers pings of a peer that
reads nothing until memory ends. Here every wait for a peer has an end; nobody is told why, since whoever gets here does
not listen. Nothing here knows GraphQL; its own limits are in `app.platform.graphql`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: from a connection's begin, or from a request's first byte, to the request's last byte
REQUEST_SECONDS: Final = 20.0
#: how often a peer that owes us reading is looked at, and what it must have read meanwhile
READING_SECONDS: Final = 20.0
READING_BYTES: Final = 16_384
#: of a request before its body; a query string alone may have 100,000
MAX_HEAD_BYTES: Final = 131_072
#: requests of one connection that may wait for the one before them
MAX_PIPELINED: Final = 32

_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class _Reader:
    """Watches whether a peer reads what is written to it, and drops the connection if it does not."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin, unless it is watched already."""
        if self._timer is None:
            self._look_later()

    def trust(self) -> None:
        """It reads."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        owed = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(READING_SECONDS, self._look, owed)

    def _look(self, owed: int) -> None:
        self._timer = None
        if owed - self._transport.get_write_buffer_size() < READING_BYTES:
            self._transport.abort()
        else:
            self._look_later()


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 with bounds on the time and the head of a request, and on unread answers."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came: its first request is due."""
        super().connection_made(transport)
        self._reader = _Reader(self.loop, transport)
        self._due: asyncio.TimerHandle | None = None
        #: a request has begun and is not whole
        self._open = False
        #: bytes of the request that are no body: head, trailers, sizes of chunks
        self._beside_body = 0
        self._body = 0
        self._served: RequestResponseCycle | None = None
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._reader.trust()
        self._request_is_here()
        super().connection_lost(exc)
        if self._served is not None:
            # uvicorn tells only the last of several requests, and the one being answered would write on.
            self._served.disconnected = True
            self._served.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of several."""
        was_open, body = self._open, self._body
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if was_open and self._open:
            self._beside_body += len(data) - (self._body - body)
            if self._beside_body > MAX_HEAD_BYTES:
                self.transport.write(_HEAD_TOO_LARGE)
                self._close()
        if self._served is None or self._served.response_complete:
            # Bytes that begin no request, empty lines say, have ended uvicorn's own time limit.
            self._expect_request()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._open = True
        self._beside_body = 0
        self._expect_request()

    def on_headers_complete(self) -> None:
        """The head of a request is whole."""
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        super().on_message_complete()
        self._open = False
        self._request_is_here()

    def handle_websocket_upgrade(self) -> None:
        """The connection goes on as a WebSocket."""
        self._request_is_here()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        super().send_400_response(msg)
        self._reader.watch()

    def on_response_complete(self) -> None:
        """An answer was handed to the transport, which may have been told to close then."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._reader.watch()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        self._close()

    def pause_writing(self) -> None:
        """The peer does not read as quickly as we write."""
        super().pause_writing()
        self._reader.watch()

    def resume_writing(self) -> None:
        """The peer reads."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._reader.trust()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_request(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(REQUEST_SECONDS, self._overdue)

    def _request_is_here(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _overdue(self) -> None:
        self._due = None
        if self.flow.read_paused:  # it is us who do not read: the request before this one is still served
            self._expect_request()
        else:
            self._close()

    def _close(self) -> None:
        """Close once the peer has read what is left, if it reads."""
        if not self.transport.is_closing():
            self.transport.close()
            self._reader.watch()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that is not read from while its peer does not read, and whose peer must read at last."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is about to be handed over."""
        super().connection_made(transport)
        self._reader = _Reader(self.loop, self.transport)
        self._unread = False

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._reader.trust()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read: its pings, each with an answer, must wait."""
        super().pause_writing()
        self._unread = True
        self._pause_reading()
        self._reader.watch()

    def resume_writing(self) -> None:
        """The peer reads."""
        super().resume_writing()
        self._unread = False
        self._reader.trust()
        if self.queue.empty():
            self._resume_reading()

    async def receive(self) -> Any:
        """The next message for the application; more is read when there is none left."""
        message = await self.queue.get()
        if self.queue.empty() and not self._unread:
            self._resume_reading()
        return message

    def data_received(self, data: bytes) -> None:
        """Bytes of the handshake or of frames. A handshake that cannot be read ends the connection."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """A whole message came. What is no UTF-8 ends the connection; uvicorn would log a traceback for it."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol and is told so, if it reads."""
        super().handle_parser_exception()
        self._reader.watch()

    def _pause_reading(self) -> None:
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

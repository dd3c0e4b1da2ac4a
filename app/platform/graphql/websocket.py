"""The WebSocket: subprotocol graphql-transport-ws and no other, one connection for many operations.

Close codes: 4400 a message the protocol does not allow, 4401 subscribe before the handshake, 4403 the
connection is refused, 4406 wrong subprotocol, 4408 no connection_init in time, 4409 operation id in
use, 4429 a second connection_init, 1009 message too large; and of our own **4413**: the client does not
read and too many messages wait for it. Subscriptions pause before that, so one who reads at all, however
slowly, only falls behind. Closing cancels every operation of the connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, TypeAlias

import msgspec
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.platform.graphql.context import RequestContext, TransportOptions, context_of, headers_of, key_of
from app.platform.graphql.execution import Engine, GraphQLRequest
from app.platform.graphql.limits import limit_error
from app.platform.graphql.masking import internal_error
from app.platform.graphql.measures import connected, failed, slow_reader
from app.platform.graphql.refusals import RequestRefused
from app.platform.graphql.rendering import Payload, encode, encode_text
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.graphql.wire import UNREADABLE

SUBPROTOCOL = "graphql-transport-ws"

#: Checks a connection's key once, at connection_init; raises ApiError to close with 4403.
BeforeConnection: TypeAlias = Callable[[RequestContext], Awaitable[None]]


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the protocol, its payload still to be read."""

    type: str
    id: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"null")


_message_decoder = msgspec.json.Decoder(_Message)
_request_decoder = msgspec.json.Decoder(GraphQLRequest)
_object_decoder = msgspec.json.Decoder(dict[str, Any] | None)


class _Close(Exception):
    """The connection must be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class GraphQLWebSocket:
    """The endpoint, an ASGI application for the `websocket` scope."""

    def __init__(
        self, engine: Engine, app_state: object, before_connection: BeforeConnection | None = None
    ) -> None:
        self._engine = engine
        self._app_state = app_state
        self._before_connection = before_connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection to its end."""
        socket = WebSocket(scope, receive, send)
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            # Accepted first: a refused handshake could not tell the client why.
            await socket.accept()
            await socket.close(4406, f"Only the subprotocol {SUBPROTOCOL} is spoken here")
            return
        await socket.accept(SUBPROTOCOL)
        try:
            context = context_of(scope, headers_of(scope), self._app_state, self._engine.options)
        except ApiError as error:
            await socket.close(4403, error.message)
            return
        with connected():
            await _Connection(socket, self._engine, context, self._before_connection).serve()


class _Connection:
    """One accepted connection: a reader, a writer with a bounded queue, a task per operation."""

    def __init__(
        self,
        socket: WebSocket,
        engine: Engine,
        context: RequestContext,
        before_connection: BeforeConnection | None,
    ) -> None:
        self._socket = socket
        self._engine = engine
        self._options: TransportOptions = engine.options
        self._context = context
        self._before_connection = before_connection
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._outgoing: asyncio.Queue[str] = asyncio.Queue(engine.options.ws_max_waiting_messages)
        self._waiting_characters = 0
        #: raised when the reader took a message
        self._taken = asyncio.Event()
        self._initialised = False
        #: Set by whichever part finds that the connection must end.
        self._ending: asyncio.Future[_Close] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Runs until the client leaves or breaks a rule; then nothing of the connection is left."""
        reader = asyncio.ensure_future(self._read())
        writer = asyncio.ensure_future(self._write())
        close: _Close | None = None
        try:
            await asyncio.wait((reader, writer, self._ending), return_when=asyncio.FIRST_COMPLETED)
            close = self._reason(reader, writer)
        finally:
            tasks = [*self._operations.values(), reader, writer]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._ending.cancel()
        if close is not None:
            # A peer that does not read would hold the close frame for ever.
            with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(self._options.ws_close_seconds):
                    await self._socket.close(close.code, close.reason)

    def _reason(self, reader: "asyncio.Future[None]", writer: "asyncio.Future[None]") -> _Close | None:
        if self._ending.done():
            return self._ending.result()
        ended = reader if reader.done() else writer
        error = ended.exception()
        if error is None or isinstance(error, WebSocketDisconnect | OSError):
            return None
        if isinstance(error, _Close):
            return error
        internal_error(error, self._context.request_id)
        return _Close(1011, "Internal error")

    def _end(self, close: _Close) -> None:
        if not self._ending.done():
            self._ending.set_result(close)

    async def _read(self) -> None:
        await self._handshake()
        while True:
            await self._handle(await self._receive())

    async def _handshake(self) -> None:
        try:
            async with asyncio.timeout(self._options.ws_init_seconds):
                while not self._initialised:
                    await self._handle(await self._receive())
        except TimeoutError:
            raise _Close(4408, "Connection initialisation timeout") from None

    async def _receive(self) -> _Message:
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        text = event.get("text")
        if text is None:
            raise _Close(4400, "Messages must be text")
        # Characters first: encoding a huge text only to measure it would be the attack.
        limit = self._options.max_body_bytes
        if len(text) > limit or len(text.encode()) > limit:
            raise _Close(1009, f"Messages may have at most {limit} bytes")
        try:
            return _message_decoder.decode(text)
        except UNREADABLE:
            raise _Close(4400, "Invalid message") from None

    async def _handle(self, message: _Message) -> None:
        match message.type:
            case "connection_init":
                await self._init(message)
            case "ping":
                given = bytes(message.payload)
                payload = b"" if given == b"null" else b',"payload":' + given
                self._send_text((b'{"type":"pong"' + payload + b"}").decode())
            case "pong":
                pass
            case "subscribe":
                self._subscribe(message)
            case "complete":
                self._complete(message)
            case _:
                raise _Close(4400, "Invalid message")

    async def _init(self, message: _Message) -> None:
        if self._initialised:
            raise _Close(4429, "Too many initialisation requests")
        try:
            payload = _object_decoder.decode(message.payload) or {}
            presented = key_of({name.lower(): value for name, value in payload.items()})
            if presented is not None:
                self._context.api_key = presented
            if self._before_connection is not None:
                await self._before_connection(self._context)
        except UNREADABLE:
            raise _Close(4400, "The payload of connection_init must be an object") from None
        except ApiError as error:
            raise _Close(4403, error.message[:120]) from None
        self._initialised = True
        self._send({"type": "connection_ack"})

    def _subscribe(self, message: _Message) -> None:
        if not self._initialised:
            raise _Close(4401, "Unauthorized")
        if not message.id:
            raise _Close(4400, "Invalid message")
        if message.id in self._operations:
            raise _Close(4409, "Subscriber for this id already exists")
        try:
            request = _request_decoder.decode(message.payload)
        except UNREADABLE:
            raise _Close(4400, "Invalid payload of subscribe") from None
        limit = self._options.ws_max_subscriptions
        if len(self._operations) >= limit:
            error = limit_error(
                TopLevelCode.LIMIT_SUBSCRIPTIONS,
                "Operations of one connection at a time",
                len(self._operations) + 1,
                limit,
            )
            refusal = RequestRefused.of(error)
            failed("", refusal.errors)
            self._refuse(message.id, refusal)
            return
        self._operations[message.id] = asyncio.ensure_future(self._operation(message.id, request))

    def _complete(self, message: _Message) -> None:
        task = self._operations.pop(message.id or "", None)
        if task is not None:
            task.cancel()

    async def _operation(self, id_: str, request: GraphQLRequest) -> None:
        this = asyncio.current_task()
        try:
            await self._stream(id_, request)
            self._forget(id_, this)
            self._send({"id": id_, "type": "complete"})
        except RequestRefused as refusal:
            self._forget(id_, this)
            with suppress(_Close):
                self._refuse(id_, refusal)
        except _Close:
            # The connection is ending already.
            return
        finally:
            self._forget(id_, this)

    async def _stream(self, id_: str, request: GraphQLRequest) -> None:
        context = self._context.for_operation()
        operation = await self._engine.admit(request, context)
        try:
            async with aclosing(self._engine.stream(operation)) as payloads:
                head = b'{"id":' + encode_text(id_) + b',"type":"next","payload":'
                async for payload in payloads:
                    await self._room()
                    self._send_text((head + payload + b"}").decode())
        finally:
            # A mutation goes on when this task is cancelled, and may want to know.
            context.client.leave()

    async def _room(self) -> None:
        """Wait while much waits for the reader already: a source that is not pulled holds nothing.

        Raises _Close when the reader takes nothing for too long.
        """
        options = self._options
        while (
            2 * self._outgoing.qsize() >= options.ws_max_waiting_messages
            or 2 * self._waiting_characters >= options.ws_max_waiting_characters
        ):
            self._taken.clear()
            try:
                async with asyncio.timeout(options.ws_write_seconds):
                    await self._taken.wait()
            except TimeoutError:
                raise self._too_slow() from None

    def _too_slow(self) -> _Close:
        if not self._ending.done():
            slow_reader("websocket")
        close = _Close(4413, "Too many messages wait for a slow reader")
        self._end(close)
        return close

    def _forget(self, id_: str, task: "asyncio.Task[None] | None") -> None:
        # After a client's complete the id may already belong to a new operation.
        if self._operations.get(id_) is task:
            del self._operations[id_]

    def _refuse(self, id_: str, refusal: RequestRefused) -> None:
        self._send({"id": id_, "type": "error", "payload": refusal.errors})

    def _send(self, message: Payload) -> None:
        # Text, not bytes: clients do not read binary frames.
        self._send_text(encode(message).decode())

    def _send_text(self, text: str) -> None:
        characters = self._waiting_characters + len(text)
        # A first message always fits, however long: only what waits can be too much.
        too_long = self._waiting_characters > 0 and characters > self._options.ws_max_waiting_characters
        if too_long or self._outgoing.full():
            raise self._too_slow()
        self._waiting_characters = characters
        self._outgoing.put_nowait(text)

    async def _write(self) -> None:
        while True:
            text = await self._outgoing.get()
            await self._socket.send_text(text)
            self._waiting_characters -= len(text)
            self._taken.set()

"""Event streams: graphql-sse in its distinct connections mode, one operation per response.

Events are `next` (a payload) and `complete`; comments keep proxies from closing a quiet stream. The
source is pulled, so a slow reader slows its own subscription and no more than one payload waits for it; one that
does not read at all is cut off, and finds the error SLOW_READER if it ever reads again.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.types import Receive, Send

from app.platform.graphql.context import TransportOptions
from app.platform.graphql.masking import format_refusal
from app.platform.graphql.measures import slow_reader
from app.platform.graphql.rendering import Payload, encode
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.graphql.wire import CORS, EVENTS_TYPE

_KEEP_ALIVE = b":\n\n"
_COMPLETE = b"event: complete\ndata: \n\n"


async def send_events(
    payloads: AsyncGenerator[bytes, None] | Payload,
    request_id: str,
    options: TransportOptions,
    receive: Receive,
    send: Send,
) -> None:
    """Streams payloads (or the only one) until they end or the client leaves; then closes their source."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", EVENTS_TYPE.encode() + b"; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                # nginx would otherwise hold events back.
                (b"x-accel-buffering", b"no"),
                (b"x-request-id", request_id.encode()),
                *CORS,
            ],
        }
    )
    source = _single(payloads) if isinstance(payloads, dict) else payloads
    pump = asyncio.ensure_future(_pump(source, options, send))
    left = asyncio.ensure_future(client_left(receive))
    try:
        await asyncio.wait((pump, left), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (pump, left):
            task.cancel()
        await asyncio.gather(pump, left, return_exceptions=True)
        await source.aclose()
    if not pump.cancelled() and isinstance(pump.exception(), TimeoutError):
        await _cut_off(options, send)


async def _cut_off(options: TransportOptions, send: Send) -> None:
    """Tell who did not read that it was cut off, if it reads again soon; all that it held is given back by now."""
    slow_reader("event stream")
    seconds = options.sse_write_seconds
    message = f"nothing was read for {seconds:.0f} seconds: go on from the last position that you have seen"
    error = format_refusal(ApiError(message, TopLevelCode.SLOW_READER), TopLevelCode.SLOW_READER)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            body = _next_event(encode({"errors": [error]})) + _COMPLETE
            await send({"type": "http.response.body", "body": body, "more_body": False})


async def _pump(source: AsyncGenerator[bytes, None], options: TransportOptions, send: Send) -> None:
    async def write(chunk: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(options.sse_write_seconds):
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    await write(_KEEP_ALIVE)
    waiting: asyncio.Task[bytes | None] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(_next(source))
            done, _ = await asyncio.wait((waiting,), timeout=options.sse_keep_alive_seconds)
            if not done:
                await write(_KEEP_ALIVE)
                continue
            payload = waiting.result()
            waiting = None
            if payload is None:
                break
            await write(_next_event(payload))
        await write(_COMPLETE, more=False)
    finally:
        if waiting is not None:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting


async def _next(source: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(source, None)


def _next_event(payload: bytes) -> bytes:
    return b"event: next\ndata: " + payload + b"\n\n"


async def client_left(receive: Receive) -> None:
    """Returns when the client has left. Nobody else may receive meanwhile."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _single(payload: Payload) -> AsyncGenerator[bytes, None]:
    yield encode(payload)

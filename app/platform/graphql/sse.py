"""Event streams: graphql-sse in its distinct connections mode, one operation per response.

Events are `next` (a payload) and `complete`; comments keep proxies from closing a quiet stream. The
source is pulled, so a slow reader slows its own subscription; one that does not read at all is cut off.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.types import Receive, Send

from app.platform.graphql.context import TransportOptions
from app.platform.graphql.refusals import Payload
from app.platform.graphql.wire import CORS, EVENTS_TYPE, encode

_KEEP_ALIVE = b":\n\n"
_COMPLETE = b"event: complete\ndata: \n\n"


async def send_events(
    payloads: AsyncGenerator[Payload, None] | Payload,
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


async def _pump(source: AsyncGenerator[Payload, None], options: TransportOptions, send: Send) -> None:
    async def write(chunk: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(options.sse_write_seconds):
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    await write(_KEEP_ALIVE)
    waiting: asyncio.Task[Payload | None] | None = None
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
            await write(b"event: next\ndata: " + encode(payload) + b"\n\n")
        await write(_COMPLETE, more=False)
    finally:
        if waiting is not None:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting


async def _next(source: AsyncGenerator[Payload, None]) -> Payload | None:
    return await anext(source, None)


async def client_left(receive: Receive) -> None:
    """Returns when the client has left. Nobody else may receive meanwhile."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _single(payload: Payload) -> AsyncGenerator[Payload, None]:
    yield payload

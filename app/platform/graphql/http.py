"""GraphQL over HTTP: one ASGI endpoint for POST and GET, its CORS preflight and the GraphiQL page.

It follows the public specification (the npm `graphql-http` audit passes whole): see
`tests/conformance`. Event streams are handed on to `sse.py`. Nothing is executed by GET but queries,
and POST needs a JSON content type, so that no foreign form can send one.
"""

from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.platform.graphql.context import Client, RequestContext, context_of, headers_of
from app.platform.graphql.documents import OperationKind
from app.platform.graphql.execution import Engine, GraphQLRequest
from app.platform.graphql.limits import limit_error
from app.platform.graphql.measures import failed, root_field
from app.platform.graphql.refusals import RequestRefused
from app.platform.graphql.rendering import Payload, encode
from app.platform.graphql.sse import client_left, send_events
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.graphql.wire import (
    CORS,
    JSON_TYPE,
    PREFLIGHT,
    RESPONSE_TYPE,
    Accepted,
    HeaderList,
    accepted,
    decode_parameters,
    decode_request,
    is_json,
    refused,
)

#: What may run by GET; by POST everything may.
_BY_GET: frozenset[OperationKind] = frozenset({"query", "subscription"})
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; img-src 'self' data:;"
    b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML: HeaderList = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _PAGE_POLICY),
    (b"referrer-policy", b"no-referrer"),
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as far as it is read before its body."""

    method: str
    headers: dict[str, str]
    accepted: Accepted


class GraphQLHTTP:
    """The endpoint, an ASGI application. `page` is GraphiQL, or None for none."""

    def __init__(self, engine: Engine, app_state: object, page: bytes | None) -> None:
        self._engine = engine
        self._options = engine.options
        self._app_state = app_state
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        headers = headers_of(scope)
        asked = _Asked(scope["method"], headers, accepted(headers.get("accept", "")))
        if asked.method == "OPTIONS":
            await _send(send, 204, PREFLIGHT, b"")
        elif self._page is not None and _wants_page(asked, scope):
            await _send(send, 200, _HTML, self._page)
        else:
            try:
                await self._operation(asked, scope, receive, send)
            except ClientDisconnect:
                return

    async def _operation(self, asked: _Asked, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = ""
        try:
            context = context_of(scope, asked.headers, self._app_state, self._options)
            request_id = context.request_id
            request = await self._request(asked, scope, receive)
        except (ApiError, RequestRefused) as error:
            refusal = RequestRefused.of(error) if isinstance(error, ApiError) else error
            failed("", refusal.errors)
            await _refuse(send, asked, refusal, request_id)
            return
        try:
            await self._run(asked, request, context, receive, send)
        except RequestRefused as refusal:
            await _refuse(send, asked, refusal, request_id)

    async def _request(self, asked: _Asked, scope: Scope, receive: Receive) -> GraphQLRequest:
        if asked.accepted.json_type is None and not asked.accepted.events:
            raise refused(
                f"Accept must allow {RESPONSE_TYPE}, {JSON_TYPE} or text/event-stream.",
                TopLevelCode.NOT_ACCEPTABLE,
            )
        if asked.method == "GET":
            return decode_parameters(self._parameters(scope))
        if asked.method != "POST":
            raise refused("Only GET, POST and OPTIONS are possible here.", TopLevelCode.METHOD_NOT_ALLOWED)
        if not is_json(asked.headers.get("content-type", "")):
            raise refused(
                "Content-Type must be application/json in UTF-8.", TopLevelCode.UNSUPPORTED_MEDIA_TYPE
            )
        if asked.headers.get("content-encoding", "identity").lower() != "identity":
            raise refused("Content-Encoding is not supported.", TopLevelCode.UNSUPPORTED_MEDIA_TYPE)
        return decode_request(await self._body(asked, receive))

    def _parameters(self, scope: Scope) -> dict[str, str]:
        raw: bytes = scope["query_string"]
        if len(raw) > self._options.max_body_bytes:
            raise self._too_large(len(raw))
        return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))

    async def _body(self, asked: _Asked, receive: Receive) -> bytes:
        declared = asked.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._options.max_body_bytes:
            raise self._too_large(int(declared))
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._options.max_body_bytes:
                raise self._too_large(None)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self, size: int | None) -> RequestRefused:
        return RequestRefused.of(
            limit_error(TopLevelCode.LIMIT_BODY, "Bytes of a request", size, self._options.max_body_bytes)
        )

    async def _run(
        self, asked: _Asked, request: GraphQLRequest, context: RequestContext, receive: Receive, send: Send
    ) -> None:
        wants = asked.accepted
        try:
            operation = await self._engine.admit(request, context, _BY_GET if asked.method == "GET" else None)
        except RequestRefused as refusal:
            # A browser's EventSource cannot read a refused response: tell it in the stream.
            if not (wants.events_first and refusal.document):
                raise
            await send_events(refusal.payload, context.request_id, self._options, receive, send)
            return
        if wants.events_first or (operation.info.kind == "subscription" and wants.events):
            payloads = self._engine.stream(operation)
            try:
                await send_events(payloads, context.request_id, self._options, receive, send)
            finally:
                context.client.leave()
            return
        if operation.info.kind == "subscription":
            needed = "A subscription needs Accept: text/event-stream, or the WebSocket protocol graphql-transport-ws."
            unfit = refused(needed, TopLevelCode.NOT_ACCEPTABLE)
            failed(root_field(operation.info), unfit.errors)
            raise unfit
        context.client = Client(partial(client_left, receive))
        try:
            payload = await self._engine.execute(operation)
        finally:
            context.client.leave()
        await _send_json(send, asked, 200, payload, context.request_id, [])


def _wants_page(asked: _Asked, scope: Scope) -> bool:
    return asked.method == "GET" and asked.accepted.html_first and b"query=" not in scope["query_string"]


async def _refuse(send: Send, asked: _Asked, refusal: RequestRefused, request_id: str) -> None:
    status = refusal.status
    json_type = asked.accepted.json_type or RESPONSE_TYPE
    if refusal.document and json_type == JSON_TYPE:
        # The specification keeps this for clients that know only application/json.
        status = 200
    headers: HeaderList = []
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(max(1, ceil(refusal.retry_after))).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 405:
        headers.append((b"allow", b"POST" if asked.method == "GET" else b"GET, POST, OPTIONS"))
    await _send_json(send, asked, status, refusal.payload, request_id, headers)


async def _send_json(
    send: Send, asked: _Asked, status: int, payload: Payload, request_id: str, headers: HeaderList
) -> None:
    media = (asked.accepted.json_type or RESPONSE_TYPE).encode() + b"; charset=utf-8"
    if request_id:
        headers.append((b"x-request-id", request_id.encode()))
    await _send(
        send, status, [(b"content-type", media), (b"vary", b"accept"), *CORS, *headers], encode(payload)
    )


async def _send(send: Send, status: int, headers: HeaderList, body: bytes) -> None:
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"content-length", str(len(body)).encode())],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})

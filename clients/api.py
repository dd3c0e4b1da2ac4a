"""The one door to the server: GraphQL over HTTP, and over WebSocket for subscriptions.

Knows how to ask, when to ask again and how a refusal looks; knows no operation (see `documents.py`).
Without a key requests are anonymous. A mutation's idempotency key is chosen once and kept over its retries,
so that asking again after a lost answer never does the thing twice.
"""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError, TransportQueryError, TransportServerError
from gql.transport.websockets import WebsocketsTransport

from clients import VERSION

#: Refusals that mean "the same request may succeed later".
TRANSIENT_CODES = frozenset({"TRY_AGAIN", "RATE_LIMITED", "STORAGE_UNAVAILABLE"})
#: HTTP statuses, without a GraphQL answer, that mean the same.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Seconds one HTTP request may take, if its user says nothing else.
REQUEST_SECONDS = 30
#: Seconds to shake hands, and to say goodbye, on a WebSocket.
HANDSHAKE_SECONDS = 10
GOODBYE_SECONDS = 2


class RefusedError(Exception):
    """The server understood and said no: a `UserError` of a result, or a top-level error with a code."""

    def __init__(
        self,
        code: str,
        message: str,
        path: tuple[str, ...] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """`details` holds what else this kind of refusal tells, by the API's field names."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.path = path
        self.details = details or {}


class UnreachableError(Exception):
    """The server did not answer in the time the caller was willing to wait."""


class UnexpectedAnswerError(Exception):
    """The answer is not what the contract promises."""


class _LaterError(Exception):
    """This attempt failed in a way that waiting may cure; `after` is the server's wish in seconds."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait between attempts, in seconds, and when to stop trying (None: never)."""

    first: float = 0.5
    ceiling: float = 5.0
    give_up_after: float | None = None

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 0), with jitter against herds."""
        full: float = min(self.ceiling, self.first * 2.0 ** min(attempt, 30))
        return full * random.uniform(0.7, 1.0)


#: Patient for ever.
BACKOFF = Backoff()


def endpoint(url: str) -> str:
    """The GraphQL address of a server: `/graphql` unless the address names a path itself.

    Raises ValueError if it is no http(s) address.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"not an http(s) address: {url}")
    path = parts.path.rstrip("/") or "/graphql"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


class Api:
    """A connection to one server, as one account or as nobody. Use it as an async context manager."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        agent: str = "hoard-client",
        backoff: Backoff = BACKOFF,
        on_wait: Callable[[str], None] | None = None,
        request_seconds: int = REQUEST_SECONDS,
    ) -> None:
        """`request_seconds` is the time one HTTP request may take, longer than any poll waits. `on_wait` is told, in words fit for a log, why an attempt failed that another will follow.

        The same reason is told once until an attempt succeeds, however many requests suffer from it.
        """
        self._url = endpoint(url)
        self._key = key or None
        self._agent = f"{agent}:{VERSION}:unknown"
        self._backoff = backoff
        self._on_wait = on_wait or (lambda _why: None)
        self._request_seconds = request_seconds
        self._trouble = ""
        self._client: Client | None = None
        self._session: AsyncClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Client-Agent": self._agent} | ({"apikey": self._key} if self._key else {})
        transport = AIOHTTPTransport(url=self._url, headers=headers, timeout=self._request_seconds)
        self._client = Client(transport=transport, execute_timeout=None)
        self._session = await self._client.__aenter__()  # type: ignore[no-untyped-call]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.__aexit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._client = self._session = None

    async def query(self, document: str, variables: Mapping[str, Any], field: str) -> Any:
        """The value of the query's one field, asked until it is answered.

        Raises RefusedError, UnreachableError or UnexpectedAnswerError.
        """
        return await self._settled(document, variables, field)

    async def mutate(
        self, document: str, wish: Mapping[str, Any], field: str, *, keyed: bool = True
    ) -> dict[str, Any]:
        """The success member of the mutation's result; `wish` is its `input`.

        `keyed` mutations carry one idempotency key over all attempts; the others are idempotent by nature.
        Raises RefusedError, UnreachableError or UnexpectedAnswerError.
        """
        complete = {**wish, "idempotencyKey": str(uuid.uuid4())} if keyed else dict(wish)
        payload = await self._settled(document, {"input": complete}, field)
        if not isinstance(payload, dict):
            raise UnexpectedAnswerError(f"{field} answered no object")
        return payload

    async def subscribe(self, document: str, variables: Mapping[str, Any], field: str) -> AsyncGenerator[Any]:
        """Every value of the subscription's one field until the server completes it.

        Never retried here: only the caller knows from where to go on.
        Raises RefusedError, or UnreachableError when the connection cannot be made or is lost.
        """
        transport = WebsocketsTransport(
            url="ws" + self._url.removeprefix("http"),
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            init_payload={"apikey": self._key} if self._key else {},
            connect_timeout=HANDSHAKE_SECONDS,
            ack_timeout=HANDSHAKE_SECONDS,
            close_timeout=GOODBYE_SECONDS,
        )
        request = GraphQLRequest(document, variable_values=dict(variables))
        try:
            async with Client(transport=transport) as session:
                async for data in session.subscribe(request):
                    yield data[field]
        except TransportQueryError as error:
            refusal = _refusal(error)
            raise (refusal if isinstance(refusal, RefusedError) else UnreachableError(str(refusal))) from None
        except (TransportError, OSError, TimeoutError) as error:
            raise UnreachableError(_named(error)) from error

    async def _settled(self, document: str, variables: Mapping[str, Any], field: str) -> Any:
        """Ask until there is an answer that another attempt would not change."""
        request = GraphQLRequest(document, variable_values=dict(variables))
        patience = self._backoff.give_up_after
        deadline = None if patience is None else time.monotonic() + patience
        attempt = 0
        while True:
            try:
                value = _accepted(await self._once(request), field)
            except _LaterError as failure:
                pause = self._backoff.delay(attempt) if failure.after is None else failure.after
                if deadline is not None and time.monotonic() + pause > deadline:
                    raise UnreachableError(str(failure)) from failure
                if str(failure) != self._trouble:
                    self._on_wait(f"{field}: {failure}; again in {pause:.1f} s")
                self._trouble = str(failure)
            else:
                self._trouble = ""
                return value
            await asyncio.sleep(pause)
            attempt += 1

    async def _once(self, request: GraphQLRequest) -> Mapping[str, Any]:
        """One attempt; the answer's `data`."""
        if self._session is None:
            raise RuntimeError("the Api is used outside its context")
        try:
            return await self._session.execute(request)
        except TransportQueryError as error:
            raise _refusal(error) from None
        except TransportServerError as error:
            if error.code in TRANSIENT_STATUSES:
                raise _LaterError(f"HTTP status {error.code}") from error
            raise RefusedError(
                f"HTTP_{error.code}", "the address does not answer as a GraphQL server"
            ) from error
        except (TransportError, OSError, TimeoutError) as error:
            raise _LaterError(_named(error)) from error


def _named(error: BaseException) -> str:
    """What to tell about a broken connection: never the request, which may hold a prompt or a key."""
    cause = error.__cause__ or error
    return f"no connection ({type(cause).__name__})"


def _accepted(data: Mapping[str, Any], field: str) -> Any:
    """The field's value, unless it is a `UserError`."""
    if field not in data:
        raise UnexpectedAnswerError(f"the answer lacks {field}")
    value = data[field]
    if not (isinstance(value, dict) and "code" in value and "message" in value):
        return value
    code, message = str(value["code"]), str(value["message"])
    if code in TRANSIENT_CODES:
        raise _LaterError(f"{code}: {message}", _seconds(value.get("retryAfterSeconds")))
    raise RefusedError(code, message, tuple(str(part) for part in value.get("path") or ()), value)


def _refusal(error: TransportQueryError) -> RefusedError | _LaterError:
    """The exception that a top-level GraphQL error stands for."""
    first = (error.errors or [{}])[0]
    extensions = first.get("extensions") or {}
    code, message = str(extensions.get("code") or "UNKNOWN"), str(first.get("message") or "no message")
    if code in TRANSIENT_CODES:
        wish = extensions.get("retryAfterSeconds", extensions.get("retryAfter"))
        return _LaterError(f"{code}: {message}", _seconds(wish))
    return RefusedError(code, message, tuple(str(part) for part in first.get("path") or ()))


def _seconds(wish: object) -> float | None:
    """The server's wish to be asked later, kept between 0.1 s and five minutes."""
    try:
        return None if wish is None else min(300.0, max(0.1, float(str(wish))))
    except ValueError:
        return None

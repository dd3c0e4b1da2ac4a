"""Who asks: the context every resolver gets, how it is read from a request, and the transport's options.

Nothing here authenticates: it only carries the key. `before_operation` (see `execution.py`) decides.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from uuid import uuid4

from app.platform.graphql.top_level import ApiError, TopLevelCode


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """Limits and habits of the transport; the defaults are the house's."""

    #: Bytes of a request's body, of a query string, or of one WebSocket message.
    max_body_bytes: int = 1_000_000
    #: Characters of a document, which takes much longer to read than variables do.
    max_document_characters: int = 100_000
    max_tokens: int = 2_000
    #: Levels of fields, fragments followed.
    max_depth: int = 15
    #: Aliases written in the document.
    max_aliases: int = 30
    #: Fields written in the document, spreads of fragments, and repeats of one field in one selection.
    max_fields: int = 500
    max_spreads: int = 50
    max_repeats: int = 10
    #: Different root fields of one operation, fragments followed.
    max_root_fields: int = 20
    #: See `cost.py` for the unit.
    max_cost: int = 5_000
    #: Documents kept parsed and validated.
    cached_documents: int = 1_024
    #: Whether exactly one proxy stands before the server and appends to X-Forwarded-For.
    trusted_proxy: bool = False
    #: Whether browsers that open the endpoint get GraphiQL.
    graphiql: bool = True
    sse_keep_alive_seconds: float = 12.0
    #: How long one SSE write may wait for a reader that does not read; twice that, with its being told so, must be less
    #: than the sockets' own patience (`app.platform.protocols.READING_SECONDS`), or nobody is told.
    sse_write_seconds: float = 9.0
    ws_init_seconds: float = 3.0
    ws_max_subscriptions: int = 100
    #: What may wait for a slow reader. Its subscriptions pause at half of it; whatever comes beyond cuts it off.
    ws_max_waiting_messages: int = 1_000
    ws_max_waiting_characters: int = 4_000_000
    #: How long a subscription pauses for a reader that takes nothing before it is cut off.
    ws_write_seconds: float = 9.0
    #: How long a closing WebSocket may take to hand over its last frames.
    ws_close_seconds: float = 2.0


class Client:
    """Whoever waits for an operation's answer: still there, or gone.

    For resolvers that wait long and do something only for who still wants it. `watch` returns once the client is
    gone; it is started by the first who asks, so that other operations pay nothing for it. A transport without it
    hears by itself that its client left, and tells by `leave`.
    """

    __slots__ = ("_flags", "_watch", "_watching", "gone")

    def __init__(self, watch: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        self.gone = False
        self._watch = watch
        self._watching: asyncio.Task[None] | None = None
        self._flags: list[asyncio.Event] = []

    def tell(self, flag: asyncio.Event) -> None:
        """Raise a flag once the client is gone, which may be now."""
        self._flags.append(flag)
        if self.gone:
            flag.set()
        elif self._watch is not None and self._watching is None:
            self._watching = asyncio.create_task(self._watch())
            self._watching.add_done_callback(lambda _: self.leave())

    def leave(self) -> None:
        """Nobody waits for the operation any more: its client left, or has its answer."""
        self.gone = True
        for flag in self._flags:
            flag.set()
        if self._watching is not None:
            self._watching.cancel()


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One operation's context: `info.context` in every resolver."""

    #: The application's state object, as given to `create_graphql_routes`.
    app: Any
    #: Random id of the operation, also sent as X-Request-Id; safe to log.
    request_id: str
    #: The key presented, not yet checked; never logged.
    api_key: str | None
    #: The client's address, IPv6 as its /64; never logged.
    address: str
    #: The Client-Agent header, "name:version:contact" by custom; log name and version only.
    client_agent: str | None
    #: Dataloaders by name or class, made on first use; fresh for each operation and each event.
    loaders: dict[Any, Any] = field(default_factory=dict)
    #: Whatever `before_operation` found out of the caller.
    viewer: Any = None
    #: Whether anybody still waits for the answer.
    client: Client = field(default_factory=Client)

    def for_event(self) -> "RequestContext":
        """The same caller with fresh loaders: a subscription's event must not read an old cache."""
        return replace(self, loaders={})

    def for_operation(self) -> "RequestContext":
        """The same caller for another operation of its connection, which can be left for itself: own id, own loaders."""
        return replace(self, request_id=new_request_id(), loaders={}, client=Client())


def new_request_id() -> str:
    """A random id for logs and for X-Request-Id."""
    return uuid4().hex


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Headers of an ASGI scope by lower-case name; the last one wins where a name repeats."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def context_of(
    scope: Mapping[str, Any], headers: Mapping[str, str], app: object, options: TransportOptions
) -> RequestContext:
    """The context of a request or a WebSocket handshake.

    Raises ApiError UNAUTHENTICATED when the Authorization header is not a Bearer key.
    """
    forwarded = headers.get("x-forwarded-for") if options.trusted_proxy else None
    client = scope.get("client")
    return RequestContext(
        app=app,
        request_id=new_request_id(),
        api_key=key_of(headers),
        address=client_address(client[0] if client else "", forwarded),
        client_agent=headers.get("client-agent"),
    )


def key_of(credentials: Mapping[str, object]) -> str | None:
    """The key in headers or in a connection_init payload: `authorization: Bearer KEY` or `apikey: KEY`.

    Raises ApiError UNAUTHENTICATED for another scheme: silently treating its bearer as anonymous
    would surprise.
    """
    authorization = credentials.get("authorization")
    if authorization:
        scheme, _, key = str(authorization).strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ApiError("Authorization must read `Bearer KEY`.", TopLevelCode.UNAUTHENTICATED)
        return key.strip()
    presented = credentials.get("apikey")
    return str(presented) if presented else None


@lru_cache(maxsize=4_096)
def client_address(peer: str, forwarded: str | None) -> str:
    """The address limits are counted by.

    `forwarded` is the whole X-Forwarded-For when one proxy is trusted: its last entry, which that
    proxy wrote, is the client. Anything unreadable falls back to the peer.
    """
    if forwarded:
        hop = forwarded.rpartition(",")[2].strip()
        found = _normal(hop) or _normal(hop.rpartition(":")[0])
        if found:
            return found
    return _normal(peer) or peer


def _normal(text: str) -> str | None:
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    # A household or a virtual machine owns a /64: limits per address would be no limits.
    return str(ip_network((address, 64), strict=False))

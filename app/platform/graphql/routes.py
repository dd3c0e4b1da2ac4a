"""The entry point of the transport: the routes of one GraphQL endpoint, for the composition root."""

from pathlib import Path

import strawberry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from app.platform.graphql.context import TransportOptions
from app.platform.graphql.execution import BeforeDocument, BeforeOperation, Engine
from app.platform.graphql.http import GraphQLHTTP
from app.platform.graphql.websocket import BeforeConnection, GraphQLWebSocket

_STATIC = Path(__file__).parent / "static"
_ASSETS = {
    "start.js": "text/javascript",
    "start.css": "text/css",
    "graphiql/graphiql.min.js": "text/javascript",
    "graphiql/graphiql.min.css": "text/css",
    "graphiql/react.production.min.js": "text/javascript",
    "graphiql/react-dom.production.min.js": "text/javascript",
    "graphiql/graphql-ws.min.js": "text/javascript",
}


def create_graphql_routes(
    schema: strawberry.Schema,
    app_state: object,
    before_operation: BeforeOperation,
    options: TransportOptions | None = None,
    *,
    before_document: BeforeDocument | None = None,
    before_connection: BeforeConnection | None = None,
    path: str = "/graphql",
) -> list[BaseRoute]:
    """HTTP, event stream and WebSocket under one path, and GraphiQL's files below it.

    `before_operation` authenticates and rate-limits every operation on every wire; it raises
    `ApiError` to refuse. `before_document` may limit how many new documents an address has parsed and
    validated, which happens before `before_operation`. `before_connection` may refuse a WebSocket at its handshake.
    Raises ValueError for a schema with strawberry extensions or operation directives.
    """
    options = options or TransportOptions()
    engine = Engine(
        schema, before_operation=before_operation, before_document=before_document, options=options
    )
    page = (_STATIC / "graphiql.html").read_text(encoding="utf-8").replace("{{path}}", path).encode()
    routes: list[BaseRoute] = [
        Route(path, GraphQLHTTP(engine, app_state, page if options.graphiql else None)),
        WebSocketRoute(path, GraphQLWebSocket(engine, app_state, before_connection)),
    ]
    if options.graphiql:
        routes += [_asset(path, name, media) for name, media in _ASSETS.items()]
    return routes


def _asset(path: str, name: str, media: str) -> Route:
    body = (_STATIC / name).read_bytes()

    async def asset(_request: Request) -> Response:
        return Response(body, media_type=media, headers={"cache-control": "public, max-age=3600"})

    return Route(f"{path}/static/{name}", asset, methods=["GET"])

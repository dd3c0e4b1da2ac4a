"""The house's GraphQL transport: HTTP, SSE and WebSocket in front of one strawberry schema.

It knows nothing of any slice: the schema, the application's state and the `before_operation` hook
are handed in by the composition root. Where to look:

- `routes.py`      `create_graphql_routes`, the one entry point
- `documents.py`   documents parsed, limited and validated once
- `execution.py`   operations admitted and run by graphql-core
- `limits.py` `cost.py`   what a document may ask for
- `masking.py` `refusals.py`   what a client may learn of an exception, and of a refused request
- `http.py` `sse.py` `websocket.py`   the three wires
- `context.py`     who asks, and the options of the transport
- `errors.py` `scalars.py` `connections.py` `inputs.py`   what the slices' schemas are made of
- `schema_tools.py`   printing, comparing and checking the schema
"""

"""The reference worker and the client: they speak only the public GraphQL API.

Nothing here may import `app`, `events` or `projections`: whatever these programs can do, anyone's program can do.
`commands.py` holds the worker's command, `generate.py` the client's; `api.py` is the one door to the server.
"""

VERSION = "0.1.0"

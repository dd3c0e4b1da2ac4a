"""A server that can be told to misbehave: for the error paths that a real one cannot be brought to.

Speaks GraphQL over HTTP (one field per request), graphql-transport-ws if given updates, and takes PUT pictures.
"""

import asyncio
import re
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import WSMsgType, web

from clients.api import Backoff
from clients.worker.pacing import Pacing

HASTY = Backoff(first=0.01, ceiling=0.02)
HASTY_PACING = Pacing(
    idle_first=0.01, idle_last=0.02, maintenance=0.05, fault_last=0.05, carry=5.0, grace=1.0, retry=HASTY
)
Answer = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]
_FIELD = re.compile(r"\{\s*(\w+)\(")


class StandIn:
    """Answers each field from its queue; the last answer of a queue stays."""

    def __init__(self) -> None:
        self.answers: dict[str, deque[Answer]] = defaultdict(deque)
        self.answers["liveAssignments"].append({"value": []})
        #: Fields whose answers wait for an event.
        self.waits: dict[str, asyncio.Event] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        #: Statuses for the next PUTs; 200 when empty.
        self.put_statuses: deque[int] = deque()
        self.pictures: dict[str, bytes] = {}
        self.put_headers: list[dict[str, str]] = []
        #: What `jobUpdated` sends, each list to one subscriber, who then loses the connection unless the job ended.
        self.updates: deque[list[dict[str, Any]]] = deque()
        self.inits: list[dict[str, Any]] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, field: str, *answers: Answer) -> None:
        self.answers[field].extend(answers)

    def inputs(self, field: str) -> list[dict[str, Any]]:
        return [wish for name, wish in self.calls if name == field]

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/graphql", self._graphql)
        app.router.add_get("/graphql", self._websocket)
        app.router.add_put("/store/{name}", self._put)
        app.router.add_get("/store/{name}", self._get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _graphql(self, request: web.Request) -> web.Response:
        body = await request.json()
        found = _FIELD.search(body["query"])
        assert found is not None
        variables = body.get("variables", {})
        wish = variables.get("input", variables)
        self.calls.append((found[1], wish))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if found[1] in self.waits:
            await self.waits[found[1]].wait()
        queue = self.answers[found[1]]
        answer = queue.popleft() if len(queue) > 1 else queue[0]
        payload = answer(wish) if callable(answer) else answer
        if "status" in payload:
            return web.Response(status=payload["status"], text="no JSON")
        if "errors" in payload:
            return web.json_response(payload, status=payload.get("http", 200))
        return web.json_response({"data": {found[1]: payload.get("value", payload)}})

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if not self.updates:
            return web.Response(status=404)
        socket = web.WebSocketResponse(protocols=["graphql-transport-ws"])
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = message.json()
            if said["type"] == "connection_init":
                self.inits.append(said.get("payload", {}))
                await socket.send_json({"type": "connection_ack"})
            elif said["type"] == "subscribe":
                states = self.updates.popleft()
                for state in states:
                    data = {"data": {"jobUpdated": state}}
                    await socket.send_json({"type": "next", "id": said["id"], "payload": data})
                if states[-1]["state"] != "DONE":
                    break
                await socket.send_json({"type": "complete", "id": said["id"]})
        await socket.close()
        return socket

    async def _put(self, request: web.Request) -> web.Response:
        self.put_headers.append({name.lower(): value for name, value in request.headers.items()})
        body = await request.read()
        status = self.put_statuses.popleft() if self.put_statuses else 200
        if status == 200:
            self.pictures[request.match_info["name"]] = body
        return web.Response(status=status)

    async def _get(self, request: web.Request) -> web.Response:
        body = self.pictures.get(request.match_info["name"])
        return web.Response(status=404) if body is None else web.Response(body=body)

    def assignment(self, count: int = 1, *, seconds: float = 150.0, **payload: Any) -> dict[str, Any]:
        """A lease for `count` pictures that lives for `seconds`."""
        wish = {"prompt": "a secret garden", "width": 64, "height": 64, "steps": 1} | payload
        return {
            "__typename": "ImageAssignment",
            "leaseId": str(uuid.uuid4()),
            "jobId": str(uuid.uuid4()),
            "kind": "IMAGE",
            "expiresAt": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
            "model": "stable_diffusion",
            "payload": wish,
            "generations": [self.task() for _ in range(count)],
        }

    def text_assignment(self, count: int = 1, **payload: Any) -> dict[str, Any]:
        """A lease for `count` texts."""
        lease = self.assignment(count) | {
            "__typename": "TextAssignment",
            "kind": "TEXT",
            "model": "procedural",
        }
        wish = {"prompt": "a secret garden", "max_length": 40, "max_context_length": 512} | payload
        tasks = [{"id": task["id"], "seed": "7"} for task in lease["generations"]]
        return lease | {"payload": wish, "generations": tasks}

    def interrogation(self, picture: bytes | None, *forms: str) -> dict[str, Any]:
        """A lease for forms of a picture; none: it was erased. Post-processors have upload links."""
        lease = self.assignment() | {"__typename": "InterrogationAssignment", "kind": "INTERROGATION"}
        for field in ("model", "payload", "generations"):
            del lease[field]
        if picture is not None:
            self.pictures["source"] = picture
        tasks = [self.task() | {"form": form} for form in forms]
        for task in tasks:
            del task["seed"]
            if "X2" not in task["form"]:
                task["uploadUrl"] = None
        return lease | {
            "forms": tasks,
            "sourceImageUrl": None if picture is None else f"{self.url}/store/source",
        }

    def task(self, generation: str | None = None) -> dict[str, str]:
        generation = generation or str(uuid.uuid4())
        return {"id": generation, "seed": "7", "uploadUrl": f"{self.url}/store/{generation}"}

    def extended(self, assignment: dict[str, Any], *, seconds: float = 150.0) -> dict[str, Any]:
        return {
            "__typename": "ExtendLeaseSuccess",
            "expiresAt": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
            "uploadUrls": [
                {**task, "uploadUrl": f"{self.url}/store/fresh-{task['id']}"}
                for task in assignment["generations"]
            ],
        }


NO_JOB = {"__typename": "NoJob", "skipped": []}
ACCEPTED = {"__typename": "SubmitResultSuccess", "reward": "10.00", "results": [], "position": "1"}
RELEASED = {"__typename": "ReleaseLeaseSuccess", "position": "2"}


def refusal(code: str, message: str = "no", path: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"__typename": "Refusal", "code": code, "message": message, "path": list(path), **more}


def top_level(code: str, **extensions: Any) -> dict[str, Any]:
    return {"errors": [{"message": "no", "extensions": {"code": code, **extensions}}], "data": None}


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    server = StandIn()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()

"""Load over HTTP and WebSocket, each function in a process of its own: the workload as a client sends it.

Sends what the reference worker and client send (their documents, an idempotency key with each mutation). Raw JSON,
so that the load costs less than what it measures. Look next: `benchmarks.children`, `clients.documents`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import msgspec
import uvloop

from app.platform.keys import ANONYMOUS_KEY
from benchmarks.children import Ready
from benchmarks.workload import Job, Person, Worker, Workload
from clients import documents

_TIMEOUT = aiohttp.ClientTimeout(total=30.0)
#: polls after which a worker that finds nothing gives up
_POLLS = 100
#: requirements of jobs that a worker allows by an input of its own, and those that it refuses by one
_ALLOWED = {
    "nsfw": "nsfw",
    "post_processing": "allowPostProcessing",
    "img2img": "allowImg2img",
    "painting": "allowPainting",
    "lora": "allowLora",
    "controlnet": "allowControlnet",
    "sdxl_controlnet": "allowSdxlControlnet",
    "unsafe_address": "allowUnsafeAddress",
}
_REFUSED = {
    "untrusted_requester": "trustedRequestersOnly",
    "not_covered": "requireUpfrontKudos",
    "many_steps": "limitMaxSteps",
    "not_extra_slow": "extraSlow",
}
#: a model that no worker has
UNSERVED = "nobody has it"


class AnswerError(Exception):
    """The server answered otherwise than the benchmark needs: its figures would mean nothing."""


class Client:
    """GraphQL by POST."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self._url = url

    async def ask(self, document: str, variables: dict[str, Any], key: str) -> dict[str, Any]:
        """The data of an answer. Raises `AnswerError`."""
        body = msgspec.json.encode({"query": document, "variables": variables})
        headers = {"content-type": "application/json", "apikey": key}
        async with self.session.post(self._url, data=body, headers=headers) as response:
            answer = msgspec.json.decode(await response.read())
        if response.status != 200 or "errors" in answer:
            raise AnswerError(str(answer)[:500])
        data: dict[str, Any] = answer["data"]
        return data

    async def mutate(
        self, document: str, wish: dict[str, Any], key: str, expected: set[str]
    ) -> dict[str, Any]:
        """The result of the document's one mutation, of an expected type. Raises `AnswerError`."""
        variables = {"input": {**wish, "idempotencyKey": str(uuid.uuid4())}}
        (result,) = (await self.ask(document, variables, key)).values()
        if result["__typename"] not in expected:
            raise AnswerError(str(result)[:500])
        found: dict[str, Any] = result
        return found

    async def submit(self, key: str, job: Job) -> tuple[str, str]:
        """Submit a job; its id and access key."""
        wish = {
            "prompt": job.prompt,
            "models": job.models,
            "params": {"width": job.width, "height": job.height, "steps": job.steps},
            "nsfw": job.nsfw,
            "share": job.shared,
        }
        result = await self.mutate(documents.SUBMIT_IMAGE_JOB, wish, key, {"SubmitImageJobSuccess"})
        return result["job"]["id"], result["accessKey"]

    async def poll(self, worker: Worker) -> dict[str, Any] | None:
        """One poll: an assignment, or None."""
        wish = {
            "workerName": worker.name,
            "bridgeAgent": "bench:1",
            "image": _capabilities(worker),
        }
        result = await self.mutate(
            documents.POP_JOB, wish, worker.owner.api_key, {"ImageAssignment", "NoJob"}
        )
        return result if result["__typename"] == "ImageAssignment" else None

    async def put(self, url: str, picture: bytes) -> None:
        """Upload a picture. Raises `AnswerError`."""
        async with self.session.put(url, data=picture, skip_auto_headers=["Content-Type"]) as response:
            if response.status != 200:
                raise AnswerError(f"the upload was answered {response.status}")

    async def deliver(self, worker: Worker, assignment: dict[str, Any], state: str) -> None:
        """Report every generation of an assignment."""
        results = [
            {"generationId": task["id"], "state": state, "seed": "1"} for task in assignment["generations"]
        ]
        wish = {"leaseId": assignment["leaseId"], "results": results}
        await self.mutate(documents.SUBMIT_RESULT, wish, worker.owner.api_key, {"SubmitResultSuccess"})

    async def read(self, key: str, job_id: str, access_key: str) -> None:
        """Read a job. Raises `AnswerError`."""
        data = await self.ask(documents.JOB, {"id": job_id, "accessKey": access_key}, key)
        if data["job"] is None:
            raise AnswerError("the job is not there")


def _capabilities(worker: Worker) -> dict[str, Any]:
    """What a worker allows, by the names that the API has for it."""
    allows = worker.allows
    return {
        "models": worker.models,
        "maxPixels": worker.max_pixels,
        **{said: name in allows for name, said in _ALLOWED.items()},
        **{said: name not in allows for name, said in _REFUSED.items()},
        "features": [name.upper() for name in sorted(allows - _ALLOWED.keys() - _REFUSED.keys())],
    }


def session_for(loop_limit: int) -> aiohttp.ClientSession:
    """Connections for so many callers at a time."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=loop_limit), timeout=_TIMEOUT)


@dataclass(frozen=True)
class Cycles:
    """Clients that each do whole cycles, one after the other, in a closed loop."""

    url: str
    seed: int
    clients: int
    seconds: float
    #: what is uploaded for each generation; None: the worker withholds the picture, so nothing is
    picture: bytes | None
    #: makes each run's jobs others
    run: str
    #: all jobs are the anonymous user's
    anonymous: bool = False
    #: all jobs are shared; else as they are drawn
    sharing: bool = False


def cycles(ready: Ready, plan: Cycles) -> tuple[list[float], float]:
    """The seconds of each cycle, and those that all of them took together."""
    return uvloop.run(_cycles(ready, plan))


async def _cycles(ready: Ready, plan: Cycles) -> tuple[list[float], float]:
    workload = Workload(plan.seed, 2 * plan.clients)
    latencies: list[float] = []

    async def call(number: int) -> None:
        person, worker = workload.people[2 * number], workload.worker(workload.people[2 * number + 1])
        jobs = workload.jobs(f"cycles {plan.run} {number}")
        while time.perf_counter() < until:
            began = time.perf_counter()
            await _cycle(client, plan, person, worker, jobs.draw())
            latencies.append(time.perf_counter() - began)

    async with session_for(4 * plan.clients) as session:
        client = Client(session, plan.url)
        ready()
        started = time.perf_counter()
        until = started + plan.seconds
        await asyncio.gather(*(call(number) for number in range(plan.clients)))
        return latencies, time.perf_counter() - started


async def _cycle(client: Client, plan: Cycles, person: Person, worker: Worker, job: Job) -> None:
    """Submit, pop (whatever is first in the queue), upload, deliver, read what was submitted."""
    key = ANONYMOUS_KEY if plan.anonymous else person.api_key
    if plan.anonymous or plan.sharing:  # of a size that anonymous users may have, too
        job = replace(job, shared=True, width=512, height=512)
    job_id, access_key = await client.submit(key, job)
    for _ in range(_POLLS):
        if (assignment := await client.poll(worker)) is not None:
            break
    else:
        raise AnswerError("a worker found nothing, though something waits")
    if plan.picture is not None:
        for task in assignment["generations"]:
            await client.put(task["uploadUrl"], plan.picture)
    await client.deliver(worker, assignment, "CENSORED" if plan.picture is None else "OK")
    await client.read(key, job_id, access_key)


@dataclass(frozen=True)
class Polls:
    """Workers that poll at a fixed pace, whether or not the poll before was answered (an open loop)."""

    url: str
    workers: tuple[Worker, ...]
    #: polls a second of each worker
    pace: float
    seconds: float


def polls(ready: Ready, plan: Polls) -> tuple[list[float], list[float]]:
    """The seconds from when each poll was due to its answer: those that found something, those that did not."""
    return uvloop.run(_polls(ready, plan))


async def _polls(ready: Ready, plan: Polls) -> tuple[list[float], list[float]]:
    hits: list[float] = []
    misses: list[float] = []

    async def one(worker: Worker, due: float) -> None:
        found = await client.poll(worker)
        (misses if found is None else hits).append(time.perf_counter() - due)

    async with session_for(256) as session:
        client = Client(session, plan.url)
        for worker in plan.workers:
            await client.poll(worker)  # the first one registers the worker
        ready()
        await _pace(plan.pace * len(plan.workers), plan.seconds, plan.workers, one)
    return hits, misses


@dataclass(frozen=True)
class Storm:
    """Polls as fast as they are answered (a closed loop)."""

    url: str
    workers: tuple[Worker, ...]
    #: how many are under way at a time
    at_once: int
    seconds: float
    #: an end before that, where each poll takes a job
    most: int | None


def storm(ready: Ready, plan: Storm) -> float:
    """Polls answered a second."""
    return uvloop.run(_storm(ready, plan))


async def _storm(ready: Ready, plan: Storm) -> float:
    numbers = itertools.count() if plan.most is None else iter(range(plan.most))
    answered = 0

    async def call() -> None:
        nonlocal answered
        for number in numbers:
            await client.poll(plan.workers[number % len(plan.workers)])
            answered += 1
            if time.perf_counter() >= until:
                return

    async with session_for(plan.at_once) as session:
        client = Client(session, plan.url)
        ready()
        started = time.perf_counter()
        until = started + plan.seconds
        await asyncio.gather(*(call() for _ in range(plan.at_once)))
        return answered / (time.perf_counter() - started)


async def _pace(
    rate: float, seconds: float, workers: tuple[Worker, ...], one: Callable[[Worker, float], Any]
) -> None:
    """Start `one` at a fixed rate, for each worker in turn, and wait for all of them."""
    started = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(workers[number % len(workers)], due)))
    await asyncio.gather(*tasks)


@dataclass(frozen=True)
class Reads:
    """Clients that read one and the same job of theirs over and over, in a closed loop."""

    url: str
    seed: int
    clients: int
    seconds: float


def reads(ready: Ready, plan: Reads) -> float:
    """Reads answered a second."""
    return uvloop.run(_reads(ready, plan))


async def _reads(ready: Ready, plan: Reads) -> float:
    workload = Workload(plan.seed, plan.clients)
    answered = 0

    async def call(key: str, job_id: str, access_key: str) -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await client.read(key, job_id, access_key)
            answered += 1

    async with session_for(plan.clients) as session:
        client = Client(session, plan.url)
        jobs = workload.jobs("read")
        mine = [
            (person.api_key, *await client.submit(person.api_key, replace(jobs.draw(), models=(UNSERVED,))))
            for person in workload.people
        ]
        ready()
        started = time.perf_counter()
        until = started + plan.seconds
        await asyncio.gather(*(call(*one) for one in mine))
        return answered / (time.perf_counter() - started)


@dataclass(frozen=True)
class Followers:
    """Subscribers to the log, each on a WebSocket of its own, until they have seen a position."""

    url: str
    subscribers: int
    #: how many events each is to see
    events: int


_EVENTS = 'subscription Events { events(types: ["kudos.KudosTransferred"]) { position occurredAt type } }'
_INIT = '{"type":"connection_init"}'


def follow(ready: Ready, plan: Followers) -> list[list[tuple[int, float]]]:
    """What each subscriber received: positions, and the clock's time (seconds since 1970) when they came."""
    return uvloop.run(_follow(ready, plan))


async def _follow(ready: Ready, plan: Followers) -> list[list[tuple[int, float]]]:
    async with session_for(2 * plan.subscribers) as session:
        sockets = [await _subscribed(session, plan.url) for _ in range(plan.subscribers)]
        await asyncio.sleep(1.0)  # a subscription is not acknowledged: give the server time to start them all
        ready()
        return await asyncio.gather(*(_received(socket, plan.events) for socket in sockets))


async def _subscribed(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    socket = await session.ws_connect(url, protocols=("graphql-transport-ws",))
    await socket.send_str(_INIT)
    acknowledged = msgspec.json.decode(await socket.receive_str())
    if acknowledged["type"] != "connection_ack":
        raise AnswerError(str(acknowledged)[:500])
    message = {"id": "1", "type": "subscribe", "payload": {"query": _EVENTS}}
    await socket.send_str(msgspec.json.encode(message).decode())
    return socket


async def _received(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[tuple[int, float]]:
    texts: list[tuple[str, float]] = []
    async with asyncio.timeout(120.0):
        while len(texts) < count:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise AnswerError(f"the socket was closed with {message.data}")
            texts.append((message.data, time.time()))
    await socket.close()
    return [(_position(text), at) for text, at in texts]


def _position(text: str) -> int:
    message = msgspec.json.decode(text)
    if message["type"] != "next" or "errors" in message["payload"]:
        raise AnswerError(text[:500])
    return int(message["payload"]["data"]["events"]["position"])

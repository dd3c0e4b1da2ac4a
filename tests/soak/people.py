"""Two hundred clients on one loop: what they ask for, how they wait for it, what they change their minds about.

Each thinks for a while between two wishes, so that two cores suffice. What any of them could not bear is a fault of the
server and ends the soak. Look next: `tests/soak/calls.py`, `tests/soak/town.py`.
"""

import asyncio
import random
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.acceptance.horde import User, picture
from tests.chaos.crowd import PATIENCE, Ledger
from tests.soak.calls import BROKEN, Caller

#: seconds between two wishes of one client, on average
THINKING = 30.0
#: seconds after which a client goes on although its job has not ended
WAITING = 240.0
IMAGE_MODELS = ("stable_diffusion", "Deliberate", "procedural")
TEXT_MODELS = ("llama-8b", "mistral-7b")
#: what the reference worker tells without a model
FORMS = ("CAPTION", "DESCRIBE", "PALETTE", "AESTHETIC", "VECTORIZE")
#: refusals that a busy horde may give
USUAL = frozenset({"TOO_MANY_JOBS", "INSUFFICIENT_KUDOS"})
#: who hears of the log, from the first position on without a gap, among the clients
OBSERVERS = 6
_STATE = "id kind state charged"
_VIEW = (
    f"{_STATE} ... on ImageJob {{ generations {{ id state imageUrl }} }} "
    "... on TextJob { generations { id state text } } "
    "... on InterrogationJob { generations { id state form result { __typename } } }"
)
_JOB = f"query($id: ID!, $accessKey: String) {{ job(id: $id, accessKey: $accessKey) {{ {_VIEW} }} }}"
_WATCH = f"subscription($id: ID!, $accessKey: String) {{ jobUpdated(id: $id, accessKey: $accessKey) {{ {_VIEW} }} }}"
_FOLLOW = "subscription($after: Position) { events(after: $after) { position id } }"
_LOOKS = (
    "{ viewer { kudos held statement(first: 10) { edges { node { position amount } } } } }",
    "{ heartbeat { queue } hordeStatus { __typename } }",
)
ENDED = ("DONE", "FAULTED", "CANCELLED", "EXPIRED")


@dataclass(frozen=True)
class Outside:
    """Strangers' addresses: a picture, and where webhooks of jobs lead, with their secret."""

    picture: str
    hook: str
    secret: str


class Client:
    """One of them: with an account, or without."""

    def __init__(self, caller: Caller, user: User | None, others: Sequence[User], outside: Outside) -> None:
        self.caller, self.user, self.others, self.outside = caller, user, others, outside
        self.chance, self.ledger = caller.chance, caller.ledger

    async def live(self, stop: asyncio.Event) -> None:
        """Wish, wait, think; until told to stop."""
        await _pause(stop, self.chance.random() * THINKING)
        wishes = [(self._image, 46), (self._text, 24), (self._interrogation, 12), (self._look, 10)]
        if self.user is not None:
            wishes.append((self._transfer, 8))
        while not stop.is_set():
            ((wish,),) = (self.chance.choices([w for w, _ in wishes], [n for _, n in wishes]),)
            await wish(stop)
            await _pause(stop, THINKING * self.chance.uniform(0.2, 1.8))

    async def _look(self, stop: asyncio.Event) -> None:
        await self.caller.ask(self.chance.choice(_LOOKS if self.user else _LOOKS[1:]), {})
        self.ledger.hear("(looks)")

    async def _transfer(self, stop: asyncio.Event) -> None:
        to = self.chance.choice([other for other in self.others if other is not self.user])
        given = {"to": to.alias, "amount": "0.01", "idempotencyKey": self.caller.once()}
        result = await self.caller.call("transferKudos", given)
        assert "position" in result or result.get("code") in USUAL, result
        if "position" in result and self.user is not None:
            self.ledger.promise("transferKudos", user=self.user.id, position=int(result["position"]))

    async def _image(self, stop: asyncio.Event) -> None:
        chance = self.chance
        given: dict[str, Any] = {
            "prompt": f"a town in a storm, number {chance.randrange(10**6)}",
            "models": [chance.choice(IMAGE_MODELS)],
            "params": {"width": 64, "height": 64, "steps": 1, "n": chance.choice((1, 1, 1, 2, 4))},
            "share": self.user is None or chance.random() < 0.5,
            "nsfw": chance.random() < 0.2,
        }
        if chance.random() < 0.08:
            given["source"] = {"url": self.outside.picture}
        elif self.user is not None and chance.random() < 0.03:
            given["source"] = await self._uploaded()
        await self._submit("submitImageJob", given, stop)

    async def _text(self, stop: asyncio.Event) -> None:
        chance = self.chance
        given = {
            "prompt": f"Once upon a time, {chance.randrange(10**6)} years ago,",
            "models": [chance.choice(TEXT_MODELS)] if chance.random() < 0.7 else [],
            "params": {"maxLength": chance.choice((16, 40, 80)), "n": chance.choice((1, 1, 2))},
        }
        await self._submit("submitTextJob", given, stop)

    async def _interrogation(self, stop: asyncio.Event) -> None:
        forms = self.chance.sample(FORMS, self.chance.choice((1, 2, 3)))
        source = {"url": f"{self.outside.picture}?{self.chance.randrange(40)}"}
        if self.user is not None and self.chance.random() < 0.4:
            source = await self._uploaded()
        await self._submit("submitInterrogationJob", {"source": source, "forms": forms}, stop)

    async def _uploaded(self) -> dict[str, str]:
        """A picture of one's own, put where the server says."""
        data, deadline = picture(64, 64), time.monotonic() + PATIENCE
        made = (await self.caller.call("createUpload", {"contentLength": len(data)}))["upload"]
        while True:
            try:
                put = self.caller.session.put(made["url"], data=data, skip_auto_headers=["Content-Type"])
                async with put as said:
                    if said.status == 200:
                        return {"uploadId": made["id"]}
            except BROKEN:
                pass
            self.ledger.hear("upload failed")
            assert time.monotonic() < deadline, "an upload was never taken"
            await asyncio.sleep(0.5)

    async def _submit(self, mutation: str, given: dict[str, Any], stop: asyncio.Event) -> None:
        given["idempotencyKey"] = self.caller.once()
        if self.user is not None and self.chance.random() < 0.05:
            given["webhook"] = {"url": self.outside.hook, "secret": self.outside.secret}
        result = await self.caller.call(mutation, given)
        if "position" not in result:
            assert result.get("code") in USUAL, (mutation, result)
            return
        job = {"id": result["job"]["id"], "accessKey": result["accessKey"]}
        who = None if self.user is None else self.user.id
        self.ledger.promise(mutation, user=who, job=job["id"], position=int(result["position"]))
        if self.chance.random() < 0.08:
            await _pause(stop, self.chance.random() * 3)
            answer = await self.caller.call("cancelJob", job)
            if "position" in answer:
                self.ledger.promise("cancelJob", job=job["id"], state=answer["job"]["state"])
        ended = await self._wait(job, stop)
        if ended is not None:
            await self._end(mutation, given, job, ended)

    async def _wait(self, job: dict[str, str], stop: asyncio.Event) -> dict[str, Any] | None:
        """The job once it has ended; None if its client did not wait so long."""
        way = self.chance.choices(("polls", "websocket", "stream", "nothing"), (55, 22, 18, 5))[0]
        self.ledger.hear(f"(waits: {way})")
        if way == "nothing":
            return None
        deadline = time.monotonic() + WAITING
        while time.monotonic() < deadline and not stop.is_set():
            if way == "polls":
                found = (await self.caller.ask(_JOB, job))["job"]
                assert found is not None, "an acknowledged job is unknown"
            else:
                watching = asyncio.create_task(self._watched(job, deadline, socket=way == "websocket"))
                found = await _unless(stop, watching)
            if found is not None and found["state"] in ENDED:
                return dict(found)
            await _pause(stop, self.chance.uniform(2, 5))
        self.ledger.hear("(did not wait for the end)")
        return None

    async def _watched(self, job: dict[str, str], deadline: float, *, socket: bool) -> dict[str, Any] | None:
        """What a subscription said last: the end, unless it was cut off."""
        last: dict[str, Any] | None = None
        try:
            async with (
                asyncio.timeout(max(0.1, deadline - time.monotonic())),
                self.caller.listen(_WATCH, job, socket=socket) as payloads,
            ):
                async for payload in payloads:
                    if "errors" in payload:
                        self.ledger.hear("(a subscription was refused)")
                        return None
                    last = payload["data"]["jobUpdated"]
        except BROKEN:
            self.ledger.hear("(a subscription was cut)")
            return None
        assert last is not None, "a subscription said farewell without a word"
        assert last["state"] in ENDED, f"a subscription ended while its job was {last['state']}"
        return last

    async def _end(
        self, mutation: str, given: dict[str, Any], job: dict[str, str], ended: dict[str, Any]
    ) -> None:
        """Look at what came of it; then, perhaps, take the consent back."""
        self.ledger.hear(f"({ended['kind'].lower()} job {ended['state'].lower()})")
        for each in ended["generations"]:
            if each["state"] == "DONE":
                shown = {"submitImageJob": "imageUrl", "submitTextJob": "text"}.get(mutation, "result")
                assert each[shown] is not None, f"a result of a job just ended is not shown: {each}"
        if mutation == "submitImageJob" and given["share"] and self.user and self.chance.random() < 0.1:
            answer = await self.caller.call("withdrawConsent", job)
            assert "position" in answer, answer
            self.ledger.promise("withdrawConsent", job=job["id"])


class Observer:
    """Hears of every event there is, by subscription, going on where it was cut off."""

    def __init__(self, caller: Caller, *, socket: bool) -> None:
        self.caller, self.socket, self.position, self.cut = caller, socket, 0, 0

    async def live(self, stop: asyncio.Event) -> None:
        """Until told to stop; a gap or a repetition is a fault."""
        while not stop.is_set():
            try:
                async with self.caller.listen(
                    _FOLLOW, {"after": str(self.position)}, socket=self.socket
                ) as said:
                    async for payload in said:
                        if "errors" in payload:
                            self.caller.ledger.hear("(a subscription was refused)")
                            break
                        position = int(payload["data"]["events"]["position"])
                        assert position == self.position + 1, f"{position} came after {self.position}"
                        self.position = position
                        if stop.is_set():
                            return
            except BROKEN:
                self.cut += 1
                self.caller.ledger.hear("(an observer was cut off)")
            await _pause(stop, 1.0)


async def _unless(stop: asyncio.Event, task: asyncio.Task[dict[str, Any] | None]) -> dict[str, Any] | None:
    """What a task comes to; None if all are told to stop before."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


@dataclass
class Crowd:
    """Everybody, on a loop of a thread's own; `close` stops them and raises what any of them could not bear."""

    ledger: Ledger
    urls: Sequence[str]
    seed: int
    faults: list[BaseException] = field(default_factory=list)
    observers: list[Observer] = field(default_factory=list)

    def start(self, users: Sequence[User], nobodies: int, outside: Outside) -> None:
        """Begin the lives of these users and of so many without an account."""
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(users, nobodies, outside)), daemon=True
        )
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(30), "the crowd's loop runs"

    def close(self) -> None:
        """Let them finish what they are at."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE + 60)
        assert not self._thread.is_alive(), "somebody is never answered"
        if self.faults:
            raise self.faults[0]

    async def _run(self, users: Sequence[User], nobodies: int, outside: Outside) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        chance = random.Random(self.seed)
        limits = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=limits, timeout=aiohttp.ClientTimeout(total=30), read_bufsize=2**20
        ) as session:

            def caller(key: str | None) -> Caller:
                return Caller(session, self.urls, key, self.ledger, random.Random(chance.random()))

            self.observers = [Observer(caller(None), socket=n % 2 == 0) for n in range(OBSERVERS)]
            clients = [Client(caller(user.key), user, users, outside) for user in users]
            clients += [Client(caller(None), None, users, outside) for _ in range(nobodies)]
            hearing = [asyncio.create_task(self._bear(each.live(self._stop))) for each in self.observers]
            self._ready.set()
            await asyncio.gather(*(self._bear(each.live(self._stop)) for each in clients))
            for task in hearing:
                task.cancel()
            await asyncio.gather(*hearing, return_exceptions=True)

    async def _bear(self, life: Coroutine[Any, Any, None]) -> None:
        try:
            await life
        except Exception as error:  # noqa: BLE001 - told at the end
            self.faults.append(error)

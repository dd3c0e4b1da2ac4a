"""People and workers who repeat every call, with its idempotency key, until it is answered; and what they were promised.

They know only URLs and keys, and trust no process to live. What was acknowledged is kept in a `Ledger`, so that it can
be looked for in the log afterwards. Look next: `tests/chaos/storm.py`.
"""

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.acceptance.horde import POPPED, User, picture, transfer
from tests.acceptance.wires import USER_ERROR, Api

MODELS = ("stable_diffusion", "storm", "procedural")
#: answers after which the same call is made again
AGAIN = frozenset({"TRY_AGAIN", "STORAGE_UNAVAILABLE"})
#: how often an answer is taken to be lost on its way: the same call is made once more, mostly to another process
LOST = 0.15
#: seconds after which somebody who is never answered gives up, which is a fault of the server
PATIENCE = 90.0
_SELECTIONS = {
    "submitImageJob": "... on SubmitImageJobSuccess { job { id } accessKey position }",
    "transferKudos": "... on TransferKudosSuccess { position }",
    "cancelJob": "... on CancelJobSuccess { job { state } position }",
    "popJob": POPPED,
    "submitResult": "... on SubmitResultSuccess { results { generationId state reward } position }",
    "releaseLease": "... on ReleaseLeaseSuccess { position }",
}


@dataclass
class Ledger:
    """What was acknowledged, by mutation, and what people were told otherwise. Safe for threads."""

    promised: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def promise(self, mutation: str, **facts: Any) -> None:
        with self.lock:
            self.promised.setdefault(mutation, []).append(facts)

    def of(self, mutation: str) -> list[dict[str, Any]]:
        return self.promised.get(mutation, [])

    def hear(self, what: str) -> None:
        with self.lock:
            self.told[what] += 1

    @property
    def count(self) -> int:
        return sum(map(len, self.promised.values()))


class Caller:
    """Somebody with a key (or none) who knows several API processes and calls them until one answers."""

    def __init__(
        self,
        urls: Sequence[str],
        key: str | None,
        ledger: Ledger,
        chance: random.Random,
        stop: threading.Event,
        source: str = "",
    ) -> None:
        self.source = source
        self.apis = [Api(url, key) for url in urls]
        self.ledger, self.chance, self.stop = ledger, chance, stop

    def key(self) -> str:
        """A new idempotency key: a UUID, as people without an account must have."""
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def call(self, mutation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a mutation, which may be a refusal, but none that means "try again".

        Now and then it is taken to be lost: what was decided must then be answered again.
        """
        result = self._call(mutation, given)
        if "idempotencyKey" in given and self.chance.random() < LOST:
            self.ledger.hear("(answers lost)")
            again = self._call(mutation, given)
            for name in ("position", "leaseId"):
                assert name not in result or again.get(name) == result[name], (mutation, result, again)
            return again
        return result

    def _call(self, mutation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        name = mutation[0].upper() + mutation[1:]
        document = (
            f"mutation($input: {name}Input!) {{ {mutation}(input: $input) {{ __typename {_SELECTIONS[mutation]} "
            f"{USER_ERROR} }} }}"
        )
        deadline = time.monotonic() + PATIENCE
        last = ""
        while time.monotonic() < deadline:
            try:
                answer = self.chance.choice(self.apis).post(document, {"input": given})
            except (OSError, http.client.HTTPException) as error:
                last = type(error).__name__
            else:
                result: dict[str, Any] = (answer.body.get("data") or {}).get(mutation) or {}
                last = str(result.get("code") or " ".join(answer.codes))
                if result and last not in AGAIN:
                    if last:
                        self.ledger.hear(last)
                    return result
            self.ledger.hear(last)
            time.sleep(0.1 + self.chance.random() * 0.2)
        raise AssertionError(f"{mutation} was not answered within {PATIENCE} s: {last}")

    def rest(self, seconds: float) -> None:
        self.stop.wait(seconds * (0.5 + self.chance.random()))


def ask_for_pictures(caller: Caller, user: str | None, others: Sequence[User]) -> None:
    """A client: submits jobs, gives kudos, cancels now and then, until told to stop."""
    chance, ledger = caller.chance, caller.ledger
    while not caller.stop.is_set():
        if others and chance.random() < 0.3:
            given = {
                "to": chance.choice([other for other in others if other.id != user]).alias,
                "amount": "0.01",
                "idempotencyKey": caller.key(),
            }
            result = caller.call("transferKudos", given)
            if "position" in result:
                ledger.promise("transferKudos", user=user, position=int(result["position"]))
        else:
            job = _submit(caller, user)
            if job is not None and chance.random() < 0.15:
                caller.rest(0.3)
                given = {"id": job["job"]["id"], "accessKey": job["accessKey"]}
                if "position" in (result := caller.call("cancelJob", given)):
                    ledger.promise("cancelJob", job=job["job"]["id"], state=result["job"]["state"])
        caller.rest(0.35)


def _submit(caller: Caller, user: str | None) -> dict[str, Any] | None:
    """The accepted job; None if too many wait already."""
    chance = caller.chance
    given = {
        "prompt": f"a storm, seen {chance.randrange(10**6)} times",
        "models": [chance.choice(MODELS[:2])],
        "params": {"width": 64, "height": 64, "steps": 1, "n": chance.choice((1, 1, 2))},
        "share": chance.random() < 0.5,
        "idempotencyKey": caller.key(),
    }
    if chance.random() < 0.2:
        given["source"] = {"url": caller.source}
    result = caller.call("submitImageJob", given)
    if result.get("code") == "TOO_MANY_JOBS":
        return None
    assert "position" in result, result
    caller.ledger.promise(
        "submitImageJob", user=user, job=result["job"]["id"], position=int(result["position"])
    )
    return result


def work(caller: Caller, name: str) -> None:
    """A worker: polls, uploads, delivers; now and then it faults, gives back, or forgets. Until told to stop."""
    image = {"models": list(MODELS), "nsfw": True}
    while not caller.stop.is_set():
        given = {"workerName": name, "image": image, "amount": 2, "idempotencyKey": caller.key()}
        taken = caller.call("popJob", given)
        assert taken["__typename"] in ("ImageAssignment", "NoJob"), taken
        if taken["__typename"] == "NoJob":
            caller.rest(0.3)
            continue
        caller.ledger.promise("popJob", lease=taken["leaseId"])
        dice = caller.chance.random()
        if dice < 0.05:
            continue  # forgotten: its time will be over
        if dice < 0.1:
            caller.call("releaseLease", {"leaseId": taken["leaseId"]})
            continue
        _deliver(caller, taken, "FAULTED" if dice < 0.15 else "OK")
        caller.rest(0.1)


def _deliver(caller: Caller, taken: Mapping[str, Any], state: str) -> None:
    if state == "OK":
        for task in taken["generations"]:
            _upload(caller, task["uploadUrl"], picture(64, 64))
    results = [{"generationId": task["id"], "state": state} for task in taken["generations"]]
    given = {"leaseId": taken["leaseId"], "results": results, "idempotencyKey": caller.key()}
    answer = caller.call("submitResult", given)
    for result in answer.get("results", ()):
        caller.ledger.promise(
            "submitResult",
            lease=taken["leaseId"],
            generation=result["generationId"],
            state=result["state"],
            asked=state,
        )


def _upload(caller: Caller, url: str, data: bytes) -> None:
    """Put a picture where it belongs, again and again: an upload that was answered must never be lost."""
    deadline = time.monotonic() + PATIENCE
    told: object = None
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            told = transfer("PUT", url, data)
            if told[0] == 200:
                return
        caller.ledger.hear("upload failed")
        time.sleep(0.2)
    raise AssertionError(f"nothing could be uploaded for {PATIENCE} s: {told}")


@dataclass
class Crowd:
    """Everybody, each on a thread; `close` stops them and says what any of them could not bear."""

    stop: threading.Event = field(default_factory=threading.Event)
    faults: list[BaseException] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def add(self, life: Callable[..., None], *given: Any) -> None:
        def live() -> None:
            try:
                life(*given)
            except BaseException as error:  # noqa: BLE001 - told at the end
                self.faults.append(error)

        self.threads.append(threading.Thread(target=live, daemon=True))
        self.threads[-1].start()

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE + 30)
        assert not any(thread.is_alive() for thread in self.threads), "somebody is never answered"
        if self.faults:
            raise self.faults[0]

"""A running horde and the people in it: what tests wish for, said in one line each.

Look next: `tests/acceptance/processes.py`, `tests/acceptance/wires.py`.
"""

import http.client
import io
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

from PIL import Image

from tests.acceptance.processes import ApiProcess, Process, eventually, run_cli
from tests.acceptance.wires import Api, Refusal

QUOTE = "quote { total items { label amount } }"
JOB = (
    f"id kind state submittedAt shared queuePosition estimatedWaitSeconds {QUOTE} charged "
    "... on ImageJob { generations { id state seed model workerName imageUrl sha256 withheld } }"
)
POPPED = (
    "... on ImageAssignment { leaseId jobId expiresAt model payload generations { id seed uploadUrl } "
    "sourceProcessing sourceImageUrl sourceMaskUrl extraSources { url strength } messages { id message } } "
    "... on NoJob { skipped { reason count } messages { id message } } ... on WorkerInMaintenance { maintenanceMessage } "
    "... on TooManyWorkers { workers limit }"
)
SUBMITTED = (
    f"... on SubmitImageJobSuccess {{ job {{ {JOB} }} accessKey warnings {{ code message }} position }} "
    "... on InsufficientKudos { required available missing largest { width height steps n } }"
)
RESULT = "... on SubmitResultSuccess { reward results { generationId state reward } position }"
WATCH = (
    f"subscription($id: ID!, $accessKey: String) {{ jobUpdated(id: $id, accessKey: $accessKey) {{ {JOB} }} }}"
)
STATEMENT = (
    "query($first: Int!, $after: String) { viewer { statement(first: $first, after: $after) { edges { cursor node { "
    "position at amount balance reason breakdown { label amount } job { id } } } "
    "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"
)
NOBODY = str(uuid4())
#: Why the bank was granted its kudos; `test_privacy` looks for it.
GRANT_REASON = "marker-grant-reason-6f1c"

_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """A name that nothing else in this process has."""
    return f"{prefix} {next(_numbers)}-{uuid4().hex[:8]}"


def picture(width: int = 512, height: int = 512, kind: str = "WEBP", **save: Any) -> bytes:
    """A real picture that no other is like."""
    chance = random.Random(uuid4().int)
    small = Image.new("RGB", (8, 8))
    small.putdata([tuple(chance.randrange(256) for _ in range(3)) for _ in range(64)])
    output = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(output, kind, **save)
    return output.getvalue()


def transfer(method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """PUT or GET by a presigned link, without a Content-Type header."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def upload(task: Mapping[str, Any], data: bytes | None = None) -> bytes:
    """Put a picture where a task wants it."""
    data = picture() if data is None else data
    status, body = transfer("PUT", task["uploadUrl"], data)
    assert status == 200, body
    return data


@dataclass
class User:
    """An account with its key."""

    id: str
    alias: str
    key: str
    api: Api

    def me(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.ask("{ viewer { id username kudos held consumed createdAt roles } }")
        return found["viewer"]

    @property
    def kudos(self) -> Decimal:
        return Decimal(self.me()["kudos"])

    @property
    def earned(self) -> Decimal:
        """The balance of a user who only earns, with what waits in escrow until the user is trusted."""
        me = self.api.ask("{ viewer { kudos escrow } }")["viewer"]
        return Decimal(me["kudos"]) + Decimal(me["escrow"])

    def submit(self, prompt: str = "a lighthouse", **given: Any) -> "Submitted":
        return submit(self.api, prompt, **given)

    def worker(self, *models: str, name: str | None = None, **capabilities: Any) -> "Worker":
        return Worker(self, name or unique("worker"), list(models), capabilities)

    def transfer(self, to: str, amount: str, key: str | None = None) -> dict[str, Any]:
        given = {"to": to, "amount": amount, "idempotencyKey": key}
        return self.api.call(
            "transferKudos",
            "... on TransferKudosSuccess { from { id kudos } amount position } "
            "... on InsufficientKudos { required available missing }",
            given,
        )

    def statement(self) -> list[dict[str, Any]]:
        """Every line, newest first, fetched page by page."""
        lines: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.api.ask(STATEMENT, first=100, after=after)["viewer"]["statement"]
            lines += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                return lines
            after = page["pageInfo"]["endCursor"]


@dataclass
class Submitted:
    """An accepted job, seen by who submitted it."""

    api: Api
    answer: dict[str, Any]

    @property
    def id(self) -> str:
        found: str = self.answer["job"]["id"]
        return found

    @property
    def job(self) -> dict[str, Any]:
        found: dict[str, Any] = self.answer["job"]
        return found

    @property
    def access_key(self) -> str:
        found: str = self.answer["accessKey"]
        return found

    def now(self) -> dict[str, Any]:
        """The job as it stands."""
        document = f"query($id: ID!, $key: String) {{ job(id: $id, accessKey: $key) {{ {JOB} }} }}"
        found: dict[str, Any] = self.api.ask(document, id=self.id, key=self.access_key)["job"]
        return found

    def cancel(self) -> dict[str, Any]:
        given = {"id": self.id, "accessKey": self.access_key}
        answer = self.api.call("cancelJob", f"... on CancelJobSuccess {{ job {{ {JOB} }} position }}", given)
        found: dict[str, Any] = answer["job"]
        return found


def submit(api: Api, prompt: str = "a lighthouse", **given: Any) -> Submitted:
    """Ask for pictures."""
    answer = api.call("submitImageJob", SUBMITTED, {"prompt": prompt, **given})
    return Submitted(api, answer)


def read_job(api: Api, job: str, access_key: str | None = None) -> dict[str, Any] | None:
    """A job as somebody sees it."""
    document = f"query($id: ID!, $key: String) {{ job(id: $id, accessKey: $key) {{ {JOB} }} }}"
    found: dict[str, Any] | None = api.ask(document, id=job, key=access_key)["job"]
    return found


@dataclass
class Worker:
    """A worker driven by hand."""

    owner: User
    name: str
    models: list[str]
    capabilities: dict[str, Any] = field(default_factory=dict)
    #: what it wants to be told when it asks for work
    popped: str = POPPED

    def pop(self, **given: Any) -> dict[str, Any]:
        """An assignment or NoJob."""
        image = {"models": self.models, **self.capabilities}
        asked = {"workerName": self.name, "image": image, **given}
        return self.owner.api.call("popJob", self.popped, asked)

    def take(self, **given: Any) -> dict[str, Any]:
        """An assignment, which there must be."""
        found = self.pop(**given)
        assert found["__typename"] == "ImageAssignment", found
        return found

    def skipped(self, **given: Any) -> dict[str, int]:
        """Why there is none."""
        found = self.pop(**given)
        assert found["__typename"] == "NoJob", found
        return {skip["reason"]: skip["count"] for skip in found["skipped"]}

    def report(self, lease: str, *results: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        return self.owner.api.call("submitResult", RESULT, {"leaseId": lease, "results": results, **given})

    def deliver(self, assignment: Mapping[str, Any], state: str = "OK") -> dict[str, Any]:
        """Upload (if OK) and report every generation."""
        if state == "OK":
            for task in assignment["generations"]:
                upload(task)
        results = [{"generationId": task["id"], "state": state} for task in assignment["generations"]]
        return self.report(assignment["leaseId"], *results)

    def serve(self, **given: Any) -> dict[str, Any]:
        """Take and deliver."""
        taken = self.take(**given)
        self.deliver(taken)
        return taken

    def extend(self, lease: str) -> dict[str, Any]:
        chosen = "... on ExtendLeaseSuccess { expiresAt uploadUrls { id seed uploadUrl } position }"
        return self.owner.api.call("extendLease", chosen, {"leaseId": lease})

    def release(self, lease: str) -> dict[str, Any]:
        return self.owner.api.call(
            "releaseLease", "... on ReleaseLeaseSuccess { position }", {"leaseId": lease}
        )

    def maintenance(self, on: bool, message: str | None = None) -> dict[str, Any]:
        given = {"worker": self.name, "maintenance": on, "message": message}
        chosen = "... on SetWorkerMaintenanceSuccess { worker { id name kind online maintenance } position }"
        return self.owner.api.call("setWorkerMaintenance", chosen, given)


@dataclass
class Horde:
    """A server with a bank, from which users get their kudos."""

    process: ApiProcess
    variables: dict[str, str]
    folder: Path
    log_folder: Path
    bank: User | None = None
    #: relay and actors, as long as a test does not end one of them
    processes: dict[str, Process] = field(default_factory=dict)

    def restart(self, name: str) -> None:
        """Start the relay or actors, after the one before has ended."""
        arguments = {"relay": ("relay",), "actors": ("actors", "run")}[name]
        log = self.log_folder / f"{name}.log"
        self.processes[name] = Process(log, *arguments, variables=self.variables)

    @property
    def url(self) -> str:
        return self.process.url

    def api(self, key: str | None = None, **headers: str) -> Api:
        return Api(self.url, key, headers)

    @property
    def anonymous(self) -> Api:
        return self.api()

    def register(self, name: str | None = None, kudos: str | None = None) -> User:
        """A new user with so many kudos."""
        user = register(self.api(), name)
        if kudos is not None:
            assert self.bank is not None
            self.bank.transfer(user.alias, kudos)
        return user

    def promote(self, user: User, role: str) -> User:
        """The user with a role."""
        run_cli("role", user.alias, role, variables=self.variables)
        return user

    def position(self) -> int:
        """The last position of the log."""
        health = eventually(self.process.health, 20, "the server is ready")
        assert health is not None
        return int(health["position"])

    def quiet(self, seconds: float = 0.4) -> int:
        """The position once nothing has been written for so long."""
        while True:
            seen = self.position()
            time.sleep(seconds)
            if self.position() == seen:
                return seen

    def events(self, after: int = 0, types: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The log after a position."""
        api = self.api()
        found: list[dict[str, Any]] = []
        while True:
            page = api.ask(EVENTS, after=str(after), types=types)["events"]
            found += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = int(found[-1]["position"])


EVENT = "position id stream type schemaVersion subject occurredAt data hash"
EVENTS = (
    "query($after: Position, $first: Int, $types: [String!]) { events(after: $after, first: $first, types: $types) "
    f"{{ edges {{ cursor node {{ {EVENT} }} }} "
    "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
)


def register(api: Api, name: str | None = None, key: str | None = None) -> User:
    """A new user."""
    answer = registration(api, name or "somebody", key)
    user = answer["user"]
    return User(user["id"], user["username"], answer["apiKey"], Api(api.url, answer["apiKey"]))


def registration(api: Api, name: str, key: str | None = None) -> dict[str, Any]:
    """The whole answer of a registration."""
    chosen = "... on RegisterUserSuccess { user { id username kudos held createdAt } apiKey position }"
    return api.call("registerUser", chosen, {"username": name, "idempotencyKey": key})


def refused(code: str, *path: str) -> "Refused":
    """A context in which exactly this refusal must come."""
    return Refused(code, list(path))


class Refused:
    """Such a context; `result` is the refusal afterwards."""

    def __init__(self, code: str, path: list[str]) -> None:
        self.code, self.path = code, path
        self.refusal: Refusal | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if kind is None:
            raise AssertionError(f"{self.code} was expected, but it was accepted")
        if not isinstance(error, Refusal):
            return False
        assert error.code == self.code, error.result
        assert not self.path or error.path == self.path, error.result
        self.refusal = error
        return True

    @property
    def result(self) -> dict[str, Any]:
        assert self.refusal is not None
        return self.refusal.result


def final(job: Submitted, seconds: float = 20.0) -> dict[str, Any]:
    """The job once it has ended."""

    def ended() -> dict[str, Any] | None:
        now = job.now()
        return now if now["state"] not in ("WAITING", "PROCESSING") else None

    found = eventually(ended, seconds, "the job ends")
    assert found is not None
    return found

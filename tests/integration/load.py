"""Many clients at once on one or several writers: what each was answered is written down and compared with the log.

    python -m tests.integration.load DATABASE_URL SEED CLIENTS COMMANDS

runs one writer with so many clients and prints a line for each answer as it comes. Look next:
`test_writer_concurrency`, which runs several of these and kills some.
"""

import random
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg

from app.accounts.decider import GrantRole, TransferKudos
from app.jobs.decider import CancelJob, SubmitImageJob
from app.platform.commands import Command, Rejection, Request
from app.platform.writer import Writer
from app.teams.decider import CreateTeam
from app.workers.lease_decider import ReleaseLease, ResultState
from app.workers.steering_decider import ChangeWorker
from events.accounts import Role
from events.base import ANONYMOUS
from events.chain import genesis, link_of
from events.codec import decode_metadata
from events.store import log
from tests.factories import (
    RULES,
    check_in,
    deliver,
    grant,
    open_realm,
    pop,
    register,
    run,
    submit,
    uid,
    unlimited,
)

USERS = tuple(uid(number) for number in range(1, 7))
WORKERS = tuple(uid(0x100 + number) for number in range(6))
#: the team that all workers are in
TEAM = uid(0x200)

#: (internal id of the command, its class, how it was answered, position)
Answer = tuple[UUID, str, str, int]


def prepare(writer: Writer) -> None:
    """Users with kudos and workers, before the load begins."""
    open_realm(writer)
    for user in USERS:
        run(writer, register(user, user.int))
        run(writer, grant(user, 100_000))
        run(writer, unlimited(user))
    for worker in WORKERS:
        run(writer, check_in(worker, USERS[worker.int % len(USERS)]))
    run(writer, GrantRole(user=USERS[0], role=Role.TRUSTED))
    run(writer, CreateTeam(team=TEAM, creator=USERS[0], name="everybody", info="all workers"))
    for worker in WORKERS:
        joins = ChangeWorker(worker=worker, by=USERS[worker.int % len(USERS)], moves=True, team=TEAM)
        run(writer, joins)


class Client:
    """One client: submits, transfers, cancels, and works for what it gets."""

    def __init__(self, writer: Writer, seed: int, tell: Callable[[Answer], None]) -> None:
        self._writer = writer
        self._random = random.Random(seed)
        self._tell = tell
        self._jobs: list[UUID] = []
        self._connection = psycopg.connect(writer._url, autocommit=True)

    def close(self) -> None:
        """Close its connection for reading."""
        self._connection.close()

    def send(self, command: Command) -> Any:
        """Have a command decided; its result, or None if it was not accepted."""
        asked = Request(command, uuid4())
        try:
            outcome = self._writer.execute_sync(asked)
        except Exception as error:  # noqa: BLE001 - whatever the client is told is written down
            self._tell((asked.id, type(command).__name__, type(error).__name__, 0))
            return None
        if isinstance(outcome, Rejection):
            self._tell((asked.id, type(command).__name__, outcome.code, 0))
            return None
        self._tell((asked.id, type(command).__name__, "done", outcome.position))
        return outcome.result

    def step(self) -> None:
        """One thing that people do."""
        dice = self._random
        match dice.choices(("submit", "transfer", "work", "cancel"), (4, 4, 5, 1))[0]:
            case "submit":
                command: SubmitImageJob = submit(dice.choice((*USERS, ANONYMOUS)), n=dice.randint(1, 2))
                if self.send(command) is not None:
                    self._jobs.append(command.job)
            case "transfer":
                source, target = dice.sample(USERS, 2)
                self.send(TransferKudos(source=source, target=target, amount=dice.randint(1, 30_000)))
            case "work":
                self._work()
            case _:
                if self._jobs:
                    self.send(CancelJob(job=self._jobs.pop(dice.randrange(len(self._jobs)))))

    def _work(self) -> None:
        dice = self._random
        worker = dice.choice(WORKERS)
        owner = USERS[worker.int % len(USERS)]
        command = pop(worker, owner, amount=dice.randint(1, 2))
        popped = self.send(command)
        if popped is None or popped.lease is None:
            return
        taken = self._generations(popped.lease)
        if dice.random() < 0.1:
            self.send(ReleaseLease(lease=popped.lease, owner=owner))
            return
        state = dice.choices((ResultState.OK, ResultState.FAULTED, ResultState.CSAM), (8, 1, 1))[0]
        self.send(deliver(popped.lease, owner, *taken, state=state))

    def _generations(self, lease: UUID) -> list[UUID]:
        query = "SELECT generations FROM projections.leases WHERE realm = 0 AND id = %s"
        row = self._connection.execute(query, (lease,)).fetchone()
        return [UUID(text) for text in row[0]] if row else []


def drive(
    writer: Writer, seed: int, clients: int, commands: int, tell: Callable[[Answer], None]
) -> list[threading.Thread]:
    """Start so many clients on a writer; each takes `commands` steps."""

    def live(number: int) -> None:
        client = Client(writer, seed * 1000 + number, tell)
        for _ in range(commands):
            client.step()
        client.close()

    threads = [threading.Thread(target=live, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    return threads


def check_chain(connection: psycopg.Connection[Any]) -> int:
    """Positions are 1, 2, 3, … and the hashes verify; the last position."""
    digest, position = genesis(0), 0
    for event in log.read_all(connection, 0):
        position += 1
        assert event.position == position
        digest = link_of(digest, event)
        assert event.hash == digest, f"the chain breaks at {position}"
    return position


def check_answers(connection: psycopg.Connection[Any], answers: list[Answer]) -> None:
    """Every accepted command is in the log once, where its caller was told, and no other is in it at all."""
    places: dict[UUID, list[int]] = defaultdict(list)
    kinds: dict[UUID, Counter[str]] = defaultdict(Counter)
    for event in log.read_all(connection, 0):
        command = decode_metadata(event.metadata).command
        places[command].append(event.position)
        kinds[command][event.type] += 1
    for command, name, answer, position in answers:
        if answer != "done":
            assert command not in places, f"{name} was answered {answer} and is in the log"
            continue
        if name in ("SubmitImageJob", "TransferKudos"):
            assert command in places, f"an accepted {name} is not in the log"
        if command in places:
            found = places[command]
            assert found == list(range(found[0], position + 1)), f"{name} is in the log more than once"
            first = {"jobs.ImageJobSubmitted", "kudos.KudosTransferred", "jobs.GenerationsLeased"}
            assert all(kinds[command][kind] <= 1 for kind in first)


def main(url: str, seed: str, clients: str, commands: str) -> None:
    """One process of a load."""
    writer = Writer(url, 0, RULES, on_fatal=print)
    writer.start()
    lock = threading.Lock()

    def tell(answer: Answer) -> None:
        with lock:
            sys.stdout.write(" ".join(str(part) for part in answer) + "\n")
            sys.stdout.flush()

    for thread in drive(writer, int(seed), int(clients), int(commands), tell):
        thread.join()
    writer.stop()


def answers_in(text: str) -> list[Answer]:
    """What a process printed, without a last line that was cut off."""
    lines = [line.split(" ") for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [(UUID(command), name, answer, int(position)) for command, name, answer, position in lines]


if __name__ == "__main__":
    main(*sys.argv[1:])

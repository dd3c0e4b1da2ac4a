"""What plays moves: a log, the commands that came of the moves, and what of the log the moves choose from.

Every id follows from its place in the history, so that two runs of one history have the same ids. Look next:
`words.py` and `histories.py` for the moves.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from app.accounts.decider import OpenRealm
from app.platform.commands import Command, Request
from app.workers.decider import Capabilities
from events.accounts import Role
from events.base import ANONYMOUS
from events.jobs import JobKind
from tests.factories import check_in, many_workers, pop, register, uid
from tests.model import MemoryLog

USERS = tuple(uid(number) for number in range(1, 5))
#: image workers, and with those of texts and forms
WORKERS = tuple(uid(0x100 + number) for number in range(6))
OF_KIND = {
    JobKind.IMAGE: WORKERS,
    JobKind.TEXT: tuple(uid(0x110 + number) for number in range(3)),
    JobKind.INTERROGATION: tuple(uid(0x120 + number) for number in range(3)),
}
EVERY_WORKER = tuple(worker for workers in OF_KIND.values() for worker in workers)

#: what is done, and three small numbers that say to what
Move = tuple[str, int, int, int]


def owner_of(worker: UUID) -> UUID:
    """The user that a worker belongs to."""
    return USERS[worker.int % 3]


class Player:
    """Plays moves on a log and remembers the commands and the instants between them."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        self.log = log or MemoryLog()
        #: commands, and numbers of seconds that passed
        self.script: list[Command | float] = []
        self.outcomes: list[Any] = []
        self._serial = 0x10000
        self.able: dict[UUID, Capabilities] = {}
        users = [each for user in USERS for each in (register(user, user.int), many_workers(user))]
        for command in (OpenRealm(), *users):
            self.do(command)

    def new(self) -> UUID:
        """The next id."""
        self._serial += 1
        return uid(self._serial)

    def do(self, command: Command) -> None:
        """Decide a command by itself."""
        self.script.append(command)
        self.outcomes.extend(self.log.commit([Request(command, self.new())]))

    def play(self, made: Sequence[Move]) -> None:
        """Play moves in order; one that makes no sense now is left out."""
        for kind, a, b, c in made:
            maker: Callable[[int, int, int], Command | None] = getattr(self, f"_{kind}")
            if (command := maker(a, b, c)) is not None:
                self.do(command)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.script.append(seconds)
        self.log.wait(seconds)

    def rows(self, table: str) -> dict[UUID, Any]:
        """A table of the log as it stands."""
        found: Any = self.log.state[table]
        return found

    def leases(self, *states: str) -> list[Any]:
        """Those in these states, or all."""
        return [x for x in self.rows("leases").values() if not states or x.state.value in states]

    def checks_in(self, worker: UUID, able: Capabilities) -> Command:
        """A worker says what it serves; it will ask for work by that."""
        self.able[worker] = able
        return check_in(worker, owner_of(worker), able)

    def polls(self, worker: UUID, b: int, c: int) -> Command:
        """A worker asks for work."""
        known = self.rows("workers").get(worker)
        return pop(
            worker, owner_of(worker), self.able.get(worker), lease=self.new(), amount=22 if b == 20 else 1 + b % 3, choice=c,
            own_only=known is not None and known.maintenance, blacklist=("cat",) if c in (3, 7) else (),
            friends=(USERS[b % 4],) if c in (2, 7, 9) else (),
        )  # fmt: skip

    def _mostly_may(self, b: int) -> UUID:
        """Somebody who moderates, if there is anybody, or anybody."""
        accounts = self.log.accounts()
        may = [user for user in USERS if {Role.OPERATOR, Role.MODERATOR} & set(accounts[user].roles)]
        return may[0] if may and b % 2 else (*USERS, ANONYMOUS)[b % 5]

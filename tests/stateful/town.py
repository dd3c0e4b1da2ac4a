"""The machine's frame: commands go to the model and to the real server, one by one or several in a batch; then all is compared.

A family of rules is a subclass with `@rule` methods that call `send`. Look next: `machine.py`, which joins the
families; `model.py`, `checks.py` and `world.py` for the three sides.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import msgspec
from hypothesis import note
from hypothesis.control import current_build_context
from hypothesis.stateful import Bundle, RuleBasedStateMachine, precondition

from app.accounts.decider import GrantKudos, OpenRealm
from app.platform.commands import Command, Idempotency, Rejection, Request
from app.platform.commands import Done as Accepted
from app.platform.writer import InternalError
from app.sharing.actors import PUBLISH_PICTURE, WITHDRAW_PICTURES
from app.sources.actors import FETCH_SOURCES
from app.workers.lease_decider import PopJob, Popped
from events.base import ANONYMOUS, Recorded
from tests.factories import register
from tests.stateful.checks import FREE_TEXT, LogChecks
from tests.stateful.comparing import differences
from tests.stateful.model import Answer, Done, Model, Refused
from tests.stateful.report import Ids, plain, table
from tests.stateful.world import Clockwork, Seen, World

users: Bundle[UUID] = Bundle("user")
workers: Bundle[UUID] = Bundle("worker")
jobs: Bundle[UUID] = Bundle("job")
leases: Bundle[UUID] = Bundle("lease")
teams: Bundle[UUID] = Bundle("team")

#: what the first people have, in hundredths
RICHES = (20_000, 1_500, 1)

#: makes a command, and what the model does with it; called again for a repeat, which has ids of its own
Ask = Callable[[], tuple[Command, Callable[[], Answer]]]


class Raises(Done):
    """The command has a bug: it is answered by an error, and nothing happens."""


class Repeats(Done):
    """The answer is that of an earlier command with the same key."""


F = TypeVar("F", bound=Callable[..., Any])


def seldom(times: int) -> Callable[[F], F]:
    """For a rule that is played so often at most: a decorator beside `rule`, for what leads nowhere when repeated."""

    def decorate(function: F) -> F:
        name = function.__name__

        @functools.wraps(function)
        def played(self: Town, *args: Any, **kwargs: Any) -> Any:
            self.spent[name] += 1
            return function(self, *args, **kwargs)

        return precondition(lambda self: self.spent[name] < times)(played)  # type: ignore[return-value]

    return decorate


class Town(RuleBasedStateMachine):
    """One realm with some people in it."""

    clockwork: ClassVar[Clockwork]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.clockwork)
        self.ids = Ids(self.world.realm)
        self.clock = self.clockwork.start
        self.clockwork.set(self.clock)
        self.model = Model(self.clock)
        self.checks = LogChecks(self.world.realm)
        self.events: list[Recorded] = []
        self.seen: Seen
        #: the instant of the last event: time never runs behind it
        self.last: datetime = self.clock
        #: commands that wait to be decided as one batch, and how many more are to join them
        self.waiting: list[tuple[Request, Answer]] = []
        self.joining = 0
        #: promises made by idempotency keys, and the kept answers of those that changed something
        self.promised: list[tuple[Idempotency, Ask]] = []
        self.kept: dict[str, tuple[bytes, Done]] = {}
        #: sets of pictures that are open, by how many raters they want
        self.opened: set[int] = set()
        #: how often rules were played that need not be played often
        self.spent: Counter[str] = Counter()
        #: while a repeat is made, which has ids of its own
        self.repeating = False
        try:
            self._open()
        except BaseException:
            self.world.close()
            raise

    def _open(self) -> None:
        """The realm and its first people, in one batch."""
        self.joining = 1 + 2 * len(RICHES)
        self.post(OpenRealm(), Done(changed=True))
        for number, amount in enumerate(RICHES, 1):
            user = self.ids.new("user")
            self.post(register(user, number), self.model.register(user))
            gift = GrantKudos(
                user=user, amount=amount, note=self.ids.new("other"), reason=self.words("welcome")
            )
            self.post(gift, self.model.grant(user, amount))

    # --- sending commands

    def send(self, ask: Ask, *, who: UUID = ANONYMOUS, mutation: str | None = None) -> Answer:
        """Have a command foretold by the model and decided by the server; what the model says."""
        self.begin()
        command, foretell = ask()
        self._settle_before(command)
        answer, key = foretell(), None
        if mutation is not None:
            name = f"key {len(self.promised)}"
            key = Idempotency(f"{who}/{mutation}", name, hashlib.sha256(name.encode()).digest())
            self.promised.append((key, ask))
        self.post(command, answer, key)
        return answer

    def send_again(self, key: Idempotency, ask: Ask) -> None:
        """Send what was sent with a key once more, as a client does that heard no answer."""
        self.begin()
        self.repeating = True
        try:
            command, foretell = ask()
            self._settle_before(command)
            kept = self.kept.get(key.key)
            if kept is None:  # it was refused, or changed nothing: it is decided anew
                answer = foretell()
            elif kept[0] == key.fingerprint:
                answer = Repeats(changed=False, says=kept[1].says)
            else:
                answer = Refused("IDEMPOTENCY_CONFLICT")
        finally:
            self.repeating = False
        self.post(command, answer, key)

    def fresh(self, first: UUID) -> UUID:
        """The id of what a command makes: this one, or another if it is sent again."""
        return self.ids.new("again") if self.repeating else first

    def begin(self) -> None:
        """A batch has one instant: the database's clock, unless the last event is later."""
        if not self.waiting:
            self.model.now = max(self.clock, self.last)

    def post(self, command: Command, answer: Answer, key: Idempotency | None = None) -> None:
        """Send a command whose answer is known."""
        request = Request(command, self.ids.new("other"), actor=None, idempotency=key)
        if isinstance(answer, Done) and answer.changed:
            self.last = self.model.now
            if key is not None:
                self.kept[key.key] = (key.fingerprint, answer)
        self.waiting.append((request, answer))
        self.joining -= 1
        if self.joining <= 0:
            self.flush()

    def _settle_before(self, command: Command) -> None:
        """Nobody can name what a command makes before it is committed."""
        named = {getattr(command, "job", None), getattr(command, "lease", None)}
        made = {getattr(r.command, name, None) for r, _ in self.waiting for name in ("job", "lease")} - {None}
        if named & made:
            self.flush()
            self.begin()

    def flush(self) -> None:
        """Have what waits decided as one batch, and compare everything."""
        batch, self.waiting, self.joining = self.waiting, [], 0
        if not batch:
            return
        outcomes = self.world.run([request for request, _ in batch])
        outcomes = [
            self._go_on(request, outcome) for (request, _), outcome in zip(batch, outcomes, strict=True)
        ]
        self.look()
        for (request, answer), outcome in zip(batch, outcomes, strict=True):
            self._compare(request, answer, outcome)
        self.compare()

    def _go_on(self, request: Request, outcome: Any) -> Any:
        """A poll whose candidates were all turned down goes on behind them, as the handler's does."""
        while isinstance(outcome, Accepted) and isinstance(outcome.result, Popped) and outcome.result.after:
            if outcome.result.lease is not None or not isinstance(request.command, PopJob):
                break
            search = msgspec.structs.replace(request.command.search, after=outcome.result.after)
            request.command = msgspec.structs.replace(request.command, search=search)
            (outcome,) = self.world.run([request])
        return outcome

    def look(self) -> None:
        """Read and check what is new in the log."""
        self.seen = self.world.look()
        self.events += self.seen.events
        self.checks.read(self.seen.events, self.seen.postings)

    def compare(self) -> None:
        """Every row of every table is what the model says."""
        found = differences(self.model, self.seen.rows, self.checks)
        assert not found, plain("\n".join(found))

    def _compare(self, request: Request, answer: Answer, outcome: Any) -> None:
        name = type(request.command).__name__
        told = plain(f"{name}: the model says {answer}, the server says {outcome}")
        if isinstance(answer, Raises):
            assert isinstance(outcome, InternalError), told
        elif isinstance(answer, Refused):
            assert isinstance(outcome, Rejection), told
            assert outcome.code == answer.code, told
        else:
            assert isinstance(outcome, Accepted), told
            for field, value in answer.says.items():
                assert _said(getattr(outcome.result, field)) == value, told
            assert outcome.repeated == isinstance(answer, Repeats), told
            assert not answer.changed or outcome.position <= self.checks.position, told
        changed = isinstance(answer, Done) and answer.changed
        assert (request.id in self.checks.commands) == changed, (
            f"{name} appended something, or nothing: {told}"
        )

    def something_waits(self) -> bool:
        """Whether the queue is not empty: a poll of an empty queue tells little."""
        return any(
            job.count("WAITING") and not job.closed and not job.fetching for job in self.model.jobs.values()
        )

    def something_runs(self) -> bool:
        """Whether a worker is at work."""
        return any(lease.state == "LIVE" for lease in self.model.leases.values())

    # --- the end

    def teardown(self) -> None:
        """Whatever waits is decided; then the tables are proved against the log."""
        try:
            if sys.exc_info()[0] is None:
                self.flush()
                self.relay_turns()
                self.prove()
        finally:
            if sys.exc_info()[0] is not None and current_build_context().is_final:
                self.events += self.world.look().events
                note(f"\nThe log:\n{table(self.events)}\n")
            self.world.close()

    def prove(self) -> None:
        """Folding the log in memory gives every table, byte for byte."""
        found = self.world.differing()
        assert not found, plain(f"verify finds other tables than the log makes: {found}")

    def relay_turns(self) -> None:
        """The relay catches up; then exactly the right pictures wait to be shared."""
        self.world.relay()
        self.model.tell_all(self.clock)
        told, expected = sorted(map(str, self.world.tellings())), sorted(map(str, self.model.told_webhooks()))
        assert told == expected, plain(f"webhooks are told {told}, should be told {expected}")
        assert self.checks.to_be_shared == self.model.to_be_shared(), (
            "other pictures than should be are shared"
        )
        totals = {
            key: [team.pixelsteps, team.tokens, team.forms, team.fulfilled, team.earned, team.uptime]
            for key, team in self.model.teams.items()
            if team.fulfilled or team.uptime
        }
        assert self.world.team_totals() == totals, plain(f"teams should have {totals}")
        expected = self.model.to_be_shared() - self.checks.verdicts
        calls = self.world.reactions()
        fetched = {job.id for job in self.model.jobs.values() if job.fetching and not job.closed}
        waiting = _waiting(calls, FETCH_SOURCES)
        assert waiting == fetched, plain(f"waiting to be fetched: {waiting}, should be {fetched}")
        called = [picture for actor, picture, _ in calls if actor == PUBLISH_PICTURE]
        assert len(set(called)) == len(called), "an actor is called once for each picture"
        waiting = _waiting(calls, PUBLISH_PICTURE)
        assert waiting == expected, plain(f"waiting to be shared: {waiting}, should be {expected}")
        waiting = _waiting(calls, WITHDRAW_PICTURES)
        expected = {job.id for job in self.model.jobs.values() if job.withdrawing}
        assert waiting == expected, plain(f"waiting to be taken back: {waiting}, should be {expected}")

    def words(self, text: str) -> str:
        """Something that a person writes: it must never be found in the log."""
        return f"{text} {FREE_TEXT}"

    def pass_time(self, seconds: float) -> None:
        """Move the clock; what waits is decided before."""
        self.flush()
        limit = timedelta(days=10)
        moved = self.clock + timedelta(seconds=seconds)
        self.clock = max(self.clockwork.start - limit / 20, min(moved, self.clockwork.start + limit))
        self.clockwork.set(self.clock)


def _waiting(calls: list[Any], actor: str) -> set[UUID]:
    """What an actor is called for and has not done."""
    return {subject for name, subject, done in calls if name == actor and not done}


def _said(value: Any) -> Any:
    """A field of an answer in the model's words."""
    if isinstance(value, tuple):
        return [(o.generation, o.state.value, o.reward, o.refusal is not None) for o in value]
    return value

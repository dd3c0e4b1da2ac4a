"""given(history).when(command).then(facts): deciders without a database.

A history is made of events (put as they are), commands (decided, and they must be accepted) and `later(seconds)`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.platform.commands import Command, Decision, Rejection, Result
from events.base import Event
from events.jobs import ImageJobSubmitted
from tests.model import MemoryLog


class later(msgspec.Struct, frozen=True):  # noqa: N801 - reads as a word in a history
    """So many seconds pass."""

    seconds: float


Step = Event | Command | later


class Scene:
    """A history, to which a command comes."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log

    def when(self, command: Command) -> Then:
        """Have the command decided on top of the history; it is not kept."""
        return Then(self.log.decide(command))

    def and_given(self, *steps: Step) -> Scene:
        """More history, in place."""
        for step in steps:
            if isinstance(step, later):
                self.log.wait(step.seconds)
            elif isinstance(step, Command):
                self.log.run(step)
            else:
                self.log.append(step)
        return self


class Then:
    """What became of the command."""

    def __init__(self, decided: Decision | Rejection) -> None:
        self.decided = decided

    @property
    def decision(self) -> Decision:
        assert isinstance(self.decided, Decision), self.decided
        return self.decided

    @property
    def events(self) -> list[Event]:
        """The facts of an accepted command."""
        return list(self.decision.events)

    @property
    def names(self) -> list[str]:
        """The facts by the names of their classes."""
        return [type(event).__name__ for event in self.events]

    @property
    def vault(self) -> list[Any]:
        """The rows of the vault."""
        return list(self.decision.vault)

    @property
    def result(self) -> Any:
        """The result of an accepted command."""
        return self.decision.result

    def then(self, *events: Event, result: Result | None = None) -> Then:
        """Exactly these facts, and this result if one is given."""
        assert self.events == list(events)
        assert result is None or self.result == result
        return self

    def then_nothing(self, result: Result | None = None) -> Then:
        """Accepted, but nothing happened."""
        return self.then(result=result)

    def then_rejected(self, code: str, *path: str, match: str = "") -> Rejection:
        """Refused with this code, at this path if one is given."""
        assert isinstance(self.decided, Rejection), self.decided
        assert self.decided.code == code
        assert not path or self.decided.path == path
        assert match in self.decided.message
        return self.decided


def given(*steps: Step) -> Scene:
    """A history from the empty log on."""
    return Scene(MemoryLog()).and_given(*steps)


def fetching(history: tuple[Step, ...], job: Command) -> tuple[Event, ...]:
    """The facts of a submission, but that its sources are still to be fetched."""
    return tuple(
        msgspec.structs.replace(event, fetching=True) if isinstance(event, ImageJobSubmitted) else event
        for event in given(*history).when(job).events
    )

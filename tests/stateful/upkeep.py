"""Rules of upkeep: the relay's turns, proofs, and tables made anew from the log."""

from __future__ import annotations

from hypothesis.stateful import precondition, rule

from tests.stateful.town import Town

#: a rebuild of all tables takes as long as dozens of commands
MOST_REBUILDS = 1
LEAST_EVENTS = 25


class Upkeep(Town):
    """What operators and the relay do."""

    rebuilds = 0

    @rule()
    def relay(self) -> None:
        """A relay leads for one turn."""
        self.flush()
        self.relay_turns()

    @rule()
    def verify(self) -> None:
        """`hoard projections verify`."""
        self.flush()
        self.prove()

    @precondition(lambda self: len(self.events) > LEAST_EVENTS and self.rebuilds < MOST_REBUILDS)
    @rule()
    def rebuild(self) -> None:
        """`hoard projections rebuild`."""
        self.flush()
        self.rebuilds += 1
        self.world.rebuild()
        self.compare()
        self.prove()

"""Rules of upkeep: the relay's turns, proofs, and tables made anew from the log."""

from __future__ import annotations

from hypothesis.stateful import precondition, rule

from tests.stateful.town import Town, seldom

#: a rebuild of all tables takes as long as dozens of commands
LEAST_EVENTS = 25


class Upkeep(Town):
    """What operators and the relay do."""

    @rule()
    @seldom(4)
    def relay(self) -> None:
        """A relay leads for one turn."""
        self.flush()
        self.relay_turns()

    @rule()
    @seldom(1)
    def verify(self) -> None:
        """`hoard projections verify`."""
        self.flush()
        self.prove()

    @precondition(lambda self: len(self.events) > LEAST_EVENTS)
    @rule()
    @seldom(1)
    def rebuild(self) -> None:
        """`hoard projections rebuild`."""
        self.flush()
        self.world.rebuild()
        self.look()
        self.compare()
        self.prove()

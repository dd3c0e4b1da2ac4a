"""Rules of what goes wrong, and of who else is there: lost connections, commands with a bug, batches, a second process."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.town import Raises, Town, jobs, seldom
from tests.stateful.world import Stumble

#: the writer pauses after each
MOST_FAULTS = 2


class Faults(Town):
    """What goes wrong."""

    @rule(fault=st.sampled_from(("dies", "answer lost")))
    @seldom(MOST_FAULTS)
    def break_next(self, fault: str) -> None:
        """The connection is lost at the next commit: before it, or after it."""
        self.world.break_next(fault)

    @precondition(lambda self: self.joining <= 0)
    @rule(commands=st.integers(2, 6))
    def hold_back(self, commands: int) -> None:
        """The next commands are decided as one batch."""
        self.flush()
        self.joining = commands

    @rule()
    @seldom(3)
    def other_process(self) -> None:
        """From now on commands go to the writer of another process."""
        self.flush()
        self.world.other_process()

    @rule(job=jobs)
    @seldom(2)
    def stumble(self, job: UUID) -> None:
        """A command with a bug: it must harm no neighbour."""
        self.send(lambda: (Stumble(job=job), lambda: Raises(changed=False)))

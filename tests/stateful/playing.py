"""Running the machine as a test: a class of its own for each run, on a database with a clock."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Hoard
from tests.stateful.world import Clockwork


def play(clockwork: Clockwork, machine: type[Hoard] = Hoard, **profile: Any) -> None:
    """Play examples until one fails. `profile` are settings of Hypothesis."""
    Realm = type("Realm", (machine,), {"clockwork": clockwork})  # noqa: N806 - failures print this name
    run_state_machine_as_test(Realm, settings=settings(**profile))

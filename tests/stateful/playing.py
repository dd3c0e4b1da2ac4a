"""Running the machine as a test: a class of its own for each run, on a database with a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Hoard
from tests.stateful.world import Clockwork

Scene = Callable[[Hoard], None]


def play(clockwork: Clockwork, machine: type[Hoard] = Hoard, **profile: Any) -> None:
    """Play examples until one fails. `profile` are settings of Hypothesis."""
    Realm = type("Realm", (machine,), {"clockwork": clockwork})  # noqa: N806 - failures print this name
    run_state_machine_as_test(Realm, settings=settings(**profile))


def played(clockwork: Clockwork, scene: Scene) -> None:
    """Play a scene in a realm of its own, to its end."""
    town = type("Realm", (Hoard,), {"clockwork": clockwork})()
    try:
        town.first_workers()
        scene(town)
        town.flush()
        town.relay_turns()
        town.prove()
    finally:
        town.world.close()

"""Servers of their own for tests that kill them: nobody else's tests may suffer.

Importing a fixture makes another one of it, so that nothing here is shared with `tests/acceptance`.
"""

from tests.acceptance.conftest import alice, bob, horde, model, nothing_waits_for_any_model, variables
from tests.conftest import stack, stack_settings

__all__ = [
    "alice",
    "bob",
    "horde",
    "model",
    "nothing_waits_for_any_model",
    "stack",
    "stack_settings",
    "variables",
]

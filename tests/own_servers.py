"""Fixtures for a folder of tests that wants servers of its own: `from tests.own_servers import *` in its conftest.

Importing a fixture makes another one of it, so that nothing is shared with `tests/acceptance`; it ends with the folder's
last test, for servers that nobody uses slow down those after them.
"""

from tests.acceptance.conftest import (
    alice,
    bob,
    horde,
    model,
    no_lease_of_before,
    nothing_waits_for_any_model,
    variables,
)
from tests.conftest import stack, stack_settings

__all__ = [
    "alice",
    "bob",
    "horde",
    "model",
    "no_lease_of_before",
    "nothing_waits_for_any_model",
    "stack",
    "stack_settings",
    "variables",
]

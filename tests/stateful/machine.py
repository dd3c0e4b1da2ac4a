"""All families of rules as one machine.

A new rule goes into the file of its family, or into a new one that is joined here. Look next: `town.py`.
"""

from __future__ import annotations

from tests.stateful.clients import Clients
from tests.stateful.faults import Faults
from tests.stateful.hours import Hours
from tests.stateful.people import People
from tests.stateful.retries import Retries
from tests.stateful.sharing import Sharing
from tests.stateful.upkeep import Upkeep
from tests.stateful.working import Working


class Hoard(People, Clients, Working, Hours, Retries, Faults, Sharing, Upkeep):
    """A realm in which everything happens."""

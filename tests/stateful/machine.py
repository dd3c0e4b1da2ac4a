"""All families of rules as one machine.

A new rule goes into the file of its family, or into a new one that is joined here. Look next: `town.py`.
"""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import RuleStrategy

from tests.stateful.clients import Clients
from tests.stateful.faults import Faults
from tests.stateful.galleries import Galleries
from tests.stateful.hours import Hours
from tests.stateful.retries import Retries
from tests.stateful.rooms import Rooms
from tests.stateful.scenes import Scenes
from tests.stateful.upkeep import Upkeep


class CoreAlways(RuleStrategy):
    """Hypothesis leaves about half of the rules out of each example; without these little would happen in it."""

    core = frozenset(
        {
            *(
                "submit",
                "order",
                "write",
                "interrogate",
                "pop",
                "everybody_pops",
                "deliver",
                "all_deliver",
                "outrun",
                "despair",
            ),
            *("report", "decide_case", "withdraw_pictures", "choose", "source"),
        }
    )

    def _rule_is_enabled(self, rule: Any) -> bool:
        if rule.function.__name__ in self.core:
            return self.is_valid(rule)
        return super()._rule_is_enabled(rule)


class Hoard(Clients, Rooms, Scenes, Galleries, Hours, Retries, Faults, Upkeep):
    """A realm in which everything happens."""

    def __init__(self) -> None:
        super().__init__()
        self._rules_strategy = CoreAlways(self)

    # A rule is as likely as it has names.
    order_2 = Clients.order
    pop_2 = pop_3 = Scenes.pop
    everybody_pops_2 = Scenes.everybody_pops
    deliver_2 = deliver_3 = Scenes.deliver
    extend_2 = Scenes.extend
    sweep_2 = Hours.sweep

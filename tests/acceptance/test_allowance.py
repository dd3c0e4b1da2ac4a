"""Kudos that operators give, correct and pay each month, through the public API, the command line and a clock that jumps.

One horde of its own, whose database's clock is set ahead. The features are those of `docs/checklist.md`.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from projections.months import months_after
from projections.store.audit import verify
from tests.acceptance.horde import Horde, User, refused, unique
from tests.acceptance.processes import eventually, run_cli
from tests.acceptance.wires import Api
from tests.chaos.world import World

MONEY = "{ viewer { kudos held totals { granted adjusted allowances } allowance { amount source nextAt } } }"
ADJUSTED = (
    "... on AdjustKudosSuccess { amount balance position } "
    "... on InsufficientKudos { required available missing }"
)
ALLOWED = "... on SetAllowanceSuccess { allowance { amount source nextAt } paid position }"


@pytest.fixture(scope="module")
def world(
    stack_settings: tuple[EmbeddedStack, Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A horde whose clock jumps."""
    stack, settings = stack_settings
    with World(tmp_path_factory.mktemp("allowance"), stack, settings) as made:
        yield made


@pytest.fixture(scope="module")
def horde(world: World) -> Horde:
    return world.horde


@pytest.fixture(scope="module")
def operator(world: World, horde: Horde) -> Api:
    return horde.api(world.stack.seed_keys.operator)


def money(user: User) -> dict[str, Any]:
    found: dict[str, Any] = user.api.ask(MONEY)["viewer"]
    return found


def adjust(api: Api, user: User, amount: str, reason: str, key: str | None = None) -> dict[str, Any]:
    given = {"user": user.alias, "amount": amount, "reason": reason, "idempotencyKey": key}
    return api.call("adjustKudos", ADJUSTED, given)


def allow(api: Api, user: User, amount: str, **given: str) -> dict[str, Any]:
    return api.call("setAllowance", ALLOWED, {"user": user.alias, "amount": amount, **given})


def lines(user: User) -> list[tuple[str, str]]:
    """Reasons and amounts of the statement, newest first; every breakdown sums to its amount."""
    made = user.statement()
    for line in made:
        assert sum(Decimal(item["amount"]) for item in line["breakdown"]) == Decimal(line["amount"])
    return [(line["reason"], line["amount"]) for line in made]


def test_kudos_are_granted_and_corrected_with_a_reason(world: World, horde: Horde, operator: Api) -> None:
    """Features 152 and 153: by operators, once for a key; never more than what is available; the words not in the log."""
    alice = horde.register("alice")
    run_cli("grant", alice.alias, "20", "--reason", "helped out", variables=world.variables)
    alice.submit(models=[unique("model")])
    held = Decimal(money(alice)["held"])
    assert held == Decimal("9.50")
    with refused("FORBIDDEN"):
        adjust(alice.api, alice, "1", "for me")
    with refused("FORBIDDEN"):
        adjust(horde.promote(horde.register("moderator"), "moderator").api, alice, "1", "for her")
    with refused("INVALID_INPUT", "input", "reason"):
        adjust(operator, alice, "1", "")
    with refused("INSUFFICIENT_KUDOS", "input", "amount") as poor:
        adjust(operator, alice, "-10.51", "too much")
    assert (poor.result["required"], poor.result["available"], poor.result["missing"]) == (
        "10.51",
        "10.50",
        "0.01",
    )
    assert "20.00" in poor.result["message"]
    assert "9.50" in poor.result["message"]

    key, why = str(uuid4()), "marker-correction-77"
    first = adjust(operator, alice, "-10.50", why, key)
    assert (first["amount"], first["balance"]) == ("-10.50", "9.50")
    assert adjust(operator, alice, "-10.50", why, key) == first
    with refused("IDEMPOTENCY_CONFLICT", "input", "idempotencyKey"):
        adjust(operator, alice, "-10.50", "another reason", key)
    told = run_cli("adjust", alice.alias, "2.25", "--reason", "rounding", variables=world.variables)
    assert "11.75" in told
    told = run_cli("adjust", alice.alias, "-0.25", "--reason", "back", "--json", variables=world.variables)
    assert json.loads(told)["balance"] == "11.50"
    assert lines(alice)[:4] == [
        ("correction: back", "-0.25"),
        ("correction: rounding", "2.25"),
        (f"correction: {why}", "-10.50"),
        ("grant: helped out", "20.00"),
    ]
    have = money(alice)
    assert have["totals"] == {"granted": "20.00", "adjusted": "-8.50", "allowances": "0.00"}
    assert (have["kudos"], have["held"], have["allowance"]) == ("11.50", "9.50", None)
    assert why not in str(horde.events())


def test_an_allowance_is_paid_each_month_and_never_twice(world: World, horde: Horde, operator: Api) -> None:
    """Feature 154: the first month at once, missed months one by one, by the calendar and the log's time."""
    alice = horde.register("alice")
    with refused("FORBIDDEN"):
        allow(alice.api, alice, "100")
    with refused("INVALID_INPUT", "input", "amount"):
        allow(operator, alice, "-1")
    given = allow(operator, alice, "100", source="PATRON")
    assert (given["paid"], given["allowance"]["source"]) == ("100.00", "PATRON")
    assert allow(operator, alice, "100", source="PATRON")["paid"] == "0.00", "it is so already"
    paid = [event for event in horde.events() if event["type"] == "kudos.AllowancePaid"]
    start = datetime.fromisoformat(
        json.loads(paid[0]["data"])["month"] if isinstance(paid[0]["data"], str) else paid[0]["data"]["month"]
    )
    have = money(alice)
    assert (have["kudos"], have["allowance"]["amount"]) == ("100.00", "100.00")
    assert datetime.fromisoformat(have["allowance"]["nextAt"]) == months_after(start, 1)

    third = months_after(start, 3)
    world.set_clock(f"{(third - start).total_seconds()} seconds")
    eventually(lambda: money(alice)["kudos"] == "400.00", 20, "three months are paid")
    assert datetime.fromisoformat(money(alice)["allowance"]["nextAt"]) == months_after(start, 4)
    assert allow(operator, alice, "150")["paid"] == "50.00", "a raise holds for the present month"
    shown = json.loads(run_cli("allowance", alice.alias, "--json", variables=world.variables))
    assert (shown["allowance"], shown["paid"]) == ("150.00", "0.00")
    told = run_cli("allowance", alice.alias, "0", variables=world.variables)
    assert "no allowance" in told
    told = run_cli("allowance", alice.alias, "150", "--source", "moderator", variables=world.variables)
    assert "0.00 were paid now" in told
    horde.quiet()
    have = money(alice)
    assert (have["kudos"], have["totals"]["allowances"]) == ("450.00", "450.00")
    assert lines(alice) == [("monthly allowance", "50.00"), *[("monthly allowance", "100.00")] * 4]

    assert allow(operator, alice, "0")["allowance"] is None
    world.set_clock(f"{(months_after(start, 9) - start).total_seconds()} seconds")
    horde.register("somebody")
    horde.quiet()
    assert money(alice)["kudos"] == "450.00", "nothing after its end"
    with world.owner() as owner:
        assert verify(owner, world.settings.realm, None).clean


def test_the_look_for_what_is_due_reads_an_index(world: World) -> None:
    """Feature 154: the sweeper asks every second, whatever the number of accounts."""
    statement = (
        "EXPLAIN SELECT id FROM projections.accounts WHERE realm = 0 AND allowance > 0 "
        "AND allowance_due <= now() ORDER BY allowance_due LIMIT 200"
    )
    assert world.settings.migrate_url is not None
    with psycopg.connect(world.settings.migrate_url) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = str(connection.execute(statement).fetchall())
    assert "allowance_due_idx" in plan

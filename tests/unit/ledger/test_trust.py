"""Trust is earned by work over days, granted or taken by moderators; with it an escrow is released."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from app.accounts.decider import GrantRole, OpenRealm, SetTrust
from app.ledger import trust
from events.accounts import Role, RoleGranted, RoleRevoked, TrustEarned
from events.base import ANONYMOUS
from events.jobs import GenerationDelivered
from events.kudos import EscrowReleased
from projections.accounts import Account
from tests.factories import START, check_in, deliver, pop, register, submit, uid
from tests.given import Scene, given, later

ALICE, BOB, MODERATOR, WORKER = uid(1), uid(2), uid(3), uid(20)
PRICE = 650


def working(monkeypatch: pytest.MonkeyPatch, threshold: int = PRICE) -> Scene:
    """Bob's worker has delivered once, and a second delivery brings its escrow above a small threshold."""
    monkeypatch.setattr(trust, "THRESHOLD", threshold)
    monkeypatch.setattr(trust, "MIN_EARNED", PRICE)
    scene = given(OpenRealm(), *(register(user) for user in (ALICE, BOB, MODERATOR)), check_in(WORKER, BOB))
    scene.and_given(GrantRole(user=MODERATOR, role=Role.MODERATOR))
    return deliveries(scene, 2)


def deliveries(scene: Scene, n: int) -> Scene:
    for _ in range(n):
        lease, generation, job = (uid(1000 + len(scene.log.events) * 3 + i) for i in range(3))
        scene.and_given(
            submit(ALICE, job=job, generations=(generation,)),
            pop(WORKER, BOB, lease=lease),
            deliver(lease, BOB, generation),
        )
    return scene


def bob(scene: Scene) -> Account:
    return scene.log.accounts()[BOB]


def test_a_delivery_that_makes_its_owner_worthy_releases_all_that_waited(monkeypatch: pytest.MonkeyPatch):
    scene = working(monkeypatch)
    assert (bob(scene).balance, bob(scene).escrow) == (PRICE, PRICE)
    scene.and_given(later(trust.MIN_AGE.total_seconds()))
    deliveries(scene, 1)
    kinds = [type(fact.event) for fact in scene.log.facts][-4:]
    assert kinds.index(GenerationDelivered) < kinds.index(TrustEarned) < kinds.index(EscrowReleased)
    assert (bob(scene).balance, bob(scene).escrow, bob(scene).trusted) == (3 * PRICE, 0, True)
    deliveries(scene, 1)
    assert (bob(scene).balance, bob(scene).escrow) == (4 * PRICE, 0), "all at once from now on"


WORTHY = Account(
    BOB, 0, 0, 0, trust.MIN_EARNED, 0, 0, (), START - trust.MIN_AGE, escrow=trust.THRESHOLD + 1,
    suspicions=trust.SUSPICIOUS - 1,
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"escrow": trust.THRESHOLD},
        {"earned": trust.MIN_EARNED - 1},
        {"registered_at": START - trust.MIN_AGE + timedelta(seconds=1)},
        {"suspicions": trust.SUSPICIOUS},
        {"distrusted": True},
        {"id": ANONYMOUS},
        {"roles": (Role.MODERATOR,)},
    ],
)
def test_each_condition_counts(changes: dict[str, Any]):
    assert trust.earns_trust(WORTHY, START)
    assert not trust.earns_trust(replace(WORTHY, **changes), START)


def test_who_is_distrusted_does_not_earn_it_back_until_a_moderator_says_so(monkeypatch: pytest.MonkeyPatch):
    scene = working(monkeypatch).and_given(SetTrust(user=BOB, trusted=False, by=MODERATOR))
    scene.and_given(later(trust.MIN_AGE.total_seconds()))
    deliveries(scene, 2)
    assert not bob(scene).trusted
    then = scene.when(SetTrust(user=BOB, trusted=True, by=MODERATOR))
    moved = ((f"escrow:{BOB}", -2 * PRICE), (f"user:{BOB}", 2 * PRICE))
    then.then(
        RoleGranted(user=BOB, role=Role.TRUSTED), EscrowReleased(user=BOB, amount=2 * PRICE, postings=moved)
    )
    assert then.result.released == 2 * PRICE


def test_only_moderators_and_the_console_say_who_is_trusted(monkeypatch: pytest.MonkeyPatch):
    scene = working(monkeypatch)
    scene.when(SetTrust(user=BOB, trusted=True, by=ALICE)).then_rejected("FORBIDDEN")
    scene.when(SetTrust(user=ANONYMOUS, trusted=True)).then_rejected("NOT_FOUND")
    scene.when(SetTrust(user=BOB, trusted=False)).then(RoleRevoked(user=BOB, role=Role.TRUSTED))
    scene.and_given(SetTrust(user=BOB, trusted=False)).when(SetTrust(user=BOB, trusted=False)).then_nothing()


@pytest.mark.parametrize("role", [Role.TRUSTED, Role.MODERATOR, Role.OPERATOR])
def test_any_role_that_is_trusted_releases_the_escrow(role: Role, monkeypatch: pytest.MonkeyPatch):
    scene = working(monkeypatch)
    assert scene.when(GrantRole(user=BOB, role=role)).names == ["RoleGranted", "EscrowReleased"]

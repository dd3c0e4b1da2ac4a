"""Scenes of raters, played by hand: without a planted fault nothing is wrong, with it the scene fails.

Look next: `galleries.py` for the rules, `test_machine_scenes.py` for how scenes are played.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.accounts.decider import TransferKudos
from app.ledger import rating_rewards
from app.raters import decider as raters_decider
from app.ratings import decider as ratings_decider
from app.ratings import judging
from events.base import ANONYMOUS
from events.ratings import Preference, RaterVerdict, Standing
from projections import pictures as pictures_fold
from tests.stateful.machine import Hoard
from tests.stateful.model import PictureWish
from tests.stateful.playing import played
from tests.stateful.rules.rated import A_DAY, AHEAD
from tests.stateful.world import Clockwork

REAL: dict[str, Any] = {"_reverse": raters_decider._reverse}


def _people(town: Hoard) -> tuple[UUID, UUID]:
    _, one, other, _ = town.model.users
    return one, other


def _rate_all(town: Hoard, rater: UUID) -> None:
    for task in [t for t in town.model.tasks.values() if t.rater == rater and t.state == "ASSIGNED"]:
        town.rate_as(task, 8, 1)


def _published(town: Hoard, owner: UUID, n: int = 2) -> list[UUID]:
    """A shared job of somebody is drawn, and its pictures are published."""
    job = town._submit(owner, PictureWish(n=n, shared=True))
    assert isinstance(job, UUID)
    for worker in [key for key, row in town.model.workers.items() if row.kind == "IMAGE"]:
        key = town.ids.next("lease")
        if town.pop_as(key, worker, n):
            town.ids.new("lease")
            lease = town.model.leases[key]
            town.deliver_as(key, lease.owner, [(g.id, "OK") for g in lease.generations])
    done = [g.id for g in town.model.jobs[job].generations if g.state == "DONE"]
    for generation in done:
        town.publish_as(job, generation)
    assert done
    return done


def rated(town: Hoard) -> None:
    """Somebody rates, says it again and otherwise; another reports what is in hand; time runs out."""
    one, other = _people(town)
    pictures = list(town.import_as(4))
    town.hand_as(one, 3, pictures)
    _rate_all(town, one)
    _rate_all(town, one)
    for task in list(town.model.tasks.values())[:2]:
        town.rate_as(task, 8, 1)
        town.rate_as(task, 2, None)
    town.hand_as(one, 3, pictures)
    town.hand_as(one, 3, pictures, "again")
    _rate_all(town, one)
    town.hand_as(other, 9, pictures)
    town.pass_time(1_900)
    _rate_all(town, other)
    town.hand_as(other, 9, pictures)
    town.complain_as(pictures[0], other)
    _rate_all(town, other)


def own(town: Hoard) -> None:
    """Nobody is handed a picture of their own; another is, and the anonymous user unpaid."""
    one, other = _people(town)
    pictures = _published(town, one)
    for rater in (one, other, ANONYMOUS):
        town.hand_as(rater, 5, pictures)
        _rate_all(town, rater)


def compared(town: Hoard) -> None:
    """Two are compared, once, whichever is first."""
    one, _ = _people(town)
    pictures = list(town.import_as(2))
    town.hand_as(one, 1, pictures, "compare")
    (task,) = town.model.tasks.values()
    town.rate_as(task, 5, None)
    town.compare_as(task, Preference.TIE)
    town.compare_as(task, Preference.FIRST)
    town.hand_as(one, 1, pictures[::-1], "compare")


def gone(town: Hoard) -> None:
    """What was reported or taken down is handed to nobody, and what is in hand may be rated."""
    one, other = _people(town)
    pictures = list(town.import_as(3))
    town.hand_as(one, 3, pictures)
    town.complain_as(pictures[0], other)
    town.take_down(which=1, by=other, lifted=True)
    town.hand_as(other, 3, pictures, wanted=False)
    _rate_all(town, one)


def suspected(town: Hoard) -> None:
    """What a suspect earned goes back, out of escrow and of what is there; who is cleared gets it again, once."""
    one, other = _people(town)
    pictures = list(town.import_as(4))
    town.hand_as(one, 4, pictures)
    _rate_all(town, one)
    town.assess_as(one, Standing.GOOD)
    town.set_trust_as(one)
    town.assess_as(one, Standing.GOOD)
    left = town.model.available(one) - 700
    give = TransferKudos(source=one, target=other, amount=left)
    town.send(lambda: (give, lambda: town.model.transfer(one, other, left)))
    town.assess_as(one, Standing.SUSPECT)
    for _ in range(2):
        town.mark_as(one, suspect=True)
    town.hand_as(one, 3, more := list(town.import_as(3)))
    town.pass_time(61)
    town.hand_as(one, 3, more)
    _rate_all(town, one)
    town.assess_as(one, Standing.SUSPECT, 90)
    town.judge_as(one, RaterVerdict.CLEARED)
    for _ in range(2):
        town.mark_as(one, suspect=False)
    town.assess_as(one, Standing.SUSPECT, 200)


def busy(town: Hoard) -> None:
    """On one day so many are paid, and on the next day again."""
    one, _ = _people(town)
    pictures = list(town.import_as(A_DAY + 2, target=3))
    for first in range(0, len(pictures), AHEAD):
        town.joining = 2 * AHEAD
        town.hand_as(one, AHEAD, pictures[first : first + AHEAD])
        _rate_all(town, one)
    town.flush()
    town.pass_time(90_000)
    town.hand_as(one, 1, list(town.import_as(1)))
    _rate_all(town, one)


def more_than_paid(draft: Any, account: Any, earned: int, ratings: int) -> None:
    REAL["_reverse"](draft, msgspec.structs.replace(account, held=0, balance=10**6), earned, ratings)


SCENES = (rated, own, compared, gone, suspected, busy)
FAULTS: dict[str, tuple[Any, Any, str, Any]] = {
    "a judgement is no end": (rated, ratings_decider, "_over", lambda *_: None),
    "the judged is handed out again": (rated, ratings_decider, "_free", lambda *_: True),
    "own pictures are handed out": (own, ratings_decider, "_shown", lambda row, _: row is not None),
    "the anonymous user counts": (own, pictures_fold, "counts", lambda event: not event.own),
    "the hidden is handed out": (gone, ratings_decider, "_shown", lambda row, rater: row.owner != rater),
    "more goes back than is there": (suspected, raters_decider, "_reverse", more_than_paid),
    "marks are laid twice": (
        suspected,
        raters_decider,
        "_counts",
        lambda row, rater, _: row.rater == rater and row.value is not None,
    ),
    "suspects are paid at once": (suspected, rating_rewards, "HELD_BACK", frozenset()),
    "the day's number is forgotten": (busy, rating_rewards, "daily_limit", lambda *_: 10**6),
    "who has enough is handed more": (busy, ratings_decider, "MAX_AHEAD", 5),
    "high ratings are refused": (rated, judging, "HIGHEST", 7),
}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_scene_of_raters_is_right(scene: Any, clockwork: Clockwork):
    played(clockwork, scene)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_scene_of_raters_finds_a_planted_fault(
    fault: str, clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
):
    scene, where, name, wrong = FAULTS[fault]
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(AssertionError):
        played(clockwork, scene)

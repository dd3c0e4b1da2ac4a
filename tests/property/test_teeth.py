"""The checks of `test_histories` have teeth: each of these faults, planted, is found within a few random histories."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from app.fleet import serving
from app.jobs import decider as jobs_decider
from app.jobs import interrogation_wish, text_decider
from app.ledger import closing, postings, rating_rewards, trust
from app.platform.commands import Request
from app.platform.rows import Rows
from app.ratings import decider as ratings
from app.ratings import job_decider as own_ratings
from app.workers import lease_decider, matching, payment, uptime
from events.codec import EVENT_TYPES
from events.jobs import JobKind
from projections import accounts
from projections.base import FoldError
from tests.factories import uid
from tests.model import MemoryLog
from tests.property.histories import KINDS, Play, cut
from tests.property.playing import Move
from tests.property.rating import check_ratings
from tests.property.test_histories import (
    WatchedPlay,
    bare,
    check_log,
    check_money,
    check_outcomes,
    check_work,
)

HISTORIES = 60


def some_moves(seed: int, length: int = 130) -> list[Move]:
    dice = random.Random(seed)
    return [
        (dice.choice(KINDS), dice.randint(0, 11), dice.randint(0, 11), dice.randint(0, 11))
        for _ in range(length)
    ]


def check_all(seed: int) -> Play:
    """Everything that `test_histories` checks, on one history."""
    play = WatchedPlay()
    play.play(some_moves(seed))
    check_outcomes(play.outcomes)
    check_money(play.log)
    check_work(play.log)
    check_ratings(play.log)
    check_log(play.log)
    other = MemoryLog()
    for step in cut(play.script, [7]):
        if isinstance(step, int | float):
            other.wait(step)
        else:
            check_outcomes(other.commit([Request(command, uid(1)) for command in step]))
    assert bare(other) == bare(play.log)
    return play


_REPORTS = {"images.PictureReported", "images.PictureCaseDecided"}
_OF_ASSESSMENTS = {
    f"ratings.{name}"
    for name in (
        *("RaterAssessed", "RatingsMarked", "RatingRewardsReversed", "RatingRewardsRestored"),
        *("RatingEscrowReleased", "RaterJudged", "AppealMade"),
    )
}


def test_these_histories_are_sound_and_reach_nearly_every_kind_of_event():
    seen = {event.type for seed in range(60) for event in check_all(seed).log.events}
    not_reached = {name for name in EVENT_TYPES if name not in seen}
    of_storage = {"sharing.PictureWithheld"}
    of_operators = {"accounts.AllowanceSet", "kudos.AllowancePaid", "kudos.KudosAdjusted"}
    not_reached -= {name for name in EVENT_TYPES if name.startswith("images.")} - _REPORTS
    assert not_reached == of_storage | of_operators | _OF_ASSESSMENTS


def _always_paid_late(draft: Any, lease: Any, job: Any, generation: Any, result: Any, _: Any) -> Any:
    waits = generation.state.value == "WAITING"
    return lease_decider._pay(draft, lease, job, result, waited=waits)


def _to_the_worker_without_tax(**fields: Any) -> Any:
    return postings.delivery(**{**fields, "tax": 0})


def _as_if_registered(**fields: Any) -> Any:
    return postings.delivery(**{**fields, "requester_anonymous": False, "available_after_hold": 0})


def _all_at_once(**fields: Any) -> Any:
    return postings.delivery(**{**fields, "trusted_owner": True})


def _as_if_anothers(**fields: Any) -> Any:
    return postings.delivery(**{**fields, "worker_owner": uid(3)})


def _in_full(amount: int, *_: int) -> int:
    return amount


def _as_the_dearest(draft: Any, lease: Any, job: Any, generation: Any, delivered: Any) -> Any:
    agreed = TERMS(draft, lease, job, generation, delivered)
    return agreed if agreed.form is None else msgspec.structs.replace(agreed, price=job.price)


def _charged_again(forms: Any, *, reused: Any, **wish: Any) -> Any:
    return QUOTE_FORMS(forms, reused=(), **wish)


def _any_form(search: Any, job: Any, rows: Any) -> Any:
    rows_of_job = [g for g in rows.generations_of(job.id) if g.state.value == "WAITING"]
    return tuple(g.id for g in rows_of_job if search.worker not in g.barred)


def _with_any_soft_prompt(search: Any, job: Any) -> Any:
    return UNMET_BY(search, msgspec.structs.replace(job, soft_prompt=None))


def _all_alike(account: Any, queued: int, _: Any) -> Any:
    return WAITING(account, queued, JobKind.TEXT)


UNMET_BY = matching.unmet_by
WAITING = accounts._waiting
TERMS = payment._terms
QUOTE_FORMS = interrogation_wish.quote_forms


class _Postings:
    """The module with another way to book a delivery."""

    def __init__(self, delivery: Callable[..., Any]) -> None:
        self.delivery = delivery

    def __getattr__(self, name: str) -> Any:
        return getattr(postings, name)


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "a hold pays nothing": (postings, "capture", lambda *_: 0),
    "the tax is forgotten": (payment, "postings", _Postings(_to_the_worker_without_tax)),
    "anonymous is posted to": (payment, "postings", _Postings(_as_if_registered)),
    "another than the owner is paid": (payment, "postings", _Postings(_as_if_anothers)),
    "nothing is kept in escrow": (payment, "postings", _Postings(_all_at_once)),
    "anybody is trusted at once": (trust, "earns_trust", lambda account, _: not account.trusted),
    "uptime is paid as often as asked": (uptime, "REWARDED_SECONDS", 1),
    "all that is available is held": (jobs_decider.holds, "place", lambda available, _: max(0, available)),
    "more is released than is free": (closing, "release_on_drop", lambda left, *_: left + 1),
    "jobs never end": (lease_decider, "end_if_over", lambda *_: None),
    "late deliveries are always paid": (lease_decider, "_late", _always_paid_late),
    "redundant deliveries have another cap": (payment, "LATE_CAP_PER_DAY", 1000),
    "the last is served first": (matching, "order", lambda c: (-c.near, c.rank, c.position)),
    "own jobs do not come first": (matching, "order", lambda c: (-c.rank, c.position)),
    "what failed is offered again": (
        matching,
        "_untried",
        lambda _, job, rows: tuple(g.id for g in rows.generations_of(job.id) if g.state.value == "WAITING"),
    ),
    "a text is charged in full": (payment, "text_share", _in_full),
    "a form costs as the dearest": (payment, "_terms", _as_the_dearest),
    "a reused form is charged": (interrogation_wish, "quote_forms", _charged_again),
    "a form that is not told is leased": (matching, "_untried", _any_form),
    "any soft prompt will do": (matching, "unmet_by", _with_any_soft_prompt),
    "any program is known to measure rightly": (
        serving,
        "_OF_FAST",
        serving._OF_FAST | serving._OF_VALIDATED,
    ),
    "what waits of texts counts for forms": (accounts, "_waiting", _all_alike),
    "maintenance is forgotten": (text_decider, "refuse_job", lambda *_, **__: None),
    "own pictures are handed out": (ratings, "_shown", lambda picture, _: picture is not None),
    "what is hidden is handed out": (ratings, "_may_be_handed", lambda *_: True),
    "what was judged is handed out": (ratings, "_free", lambda *_: True),
    "ratings are paid at once": (rating_rewards, "believed", lambda *_: True),
    "ratings of a job are worth more than it": (own_ratings, "BELOW_COST", -100_000),
    "later commands do not see earlier ones": (Rows, "accept", Rows.discard),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore")
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch):
    target, name, wrong = FAULTS[fault]
    monkeypatch.setattr(target, name, wrong)
    for seed in range(HISTORIES):
        try:
            check_all(seed)
        except (AssertionError, FoldError, KeyError):
            return
    pytest.fail(f"{HISTORIES} histories did not notice: {fault}")

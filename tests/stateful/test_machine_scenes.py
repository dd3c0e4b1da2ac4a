"""Faults that chance seldom meets are found in a scene that is written down: the same machine, played by hand.

Each scene is played twice: without the fault nothing is wrong. Look next: `test_machine_teeth.py` for faults that any
history finds.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.jobs import text_decider
from app.relay import webhooks as relay_webhooks
from app.workers import lease_decider, payment
from events.operations import Mode
from events.webhooks import WebhookEvent
from projections import jobs, queue
from projections.store import search
from tests.stateful.machine import Hoard
from tests.stateful.model import PictureWish, TextWish
from tests.stateful.playing import Scene, played
from tests.stateful.world import Clockwork

REAL: dict[str, Any] = {
    "_submitted": jobs._submitted,
    "deliveries_of": relay_webhooks.deliveries_of,
    "_terms": payment._terms,
}


def for_everybody(event: Any, fact: Any) -> Any:
    return msgspec.structs.replace(REAL["_submitted"](event, fact), allowed_workers=(), denied_workers=())


def of_jobs_alone(realm: int, fact: Any, _: Any, of_job: Any) -> Any:
    return REAL["deliveries_of"](realm, fact, None, of_job)


def as_the_dearest(draft: Any, lease: Any, job: Any, *others: Any) -> Any:
    terms = REAL["_terms"](draft, lease, job, *others)
    return msgspec.structs.replace(terms, price=job.price, surcharge=job.surcharge)


def among_the_others() -> str:
    """The search with jobs of friends found as those of others; what a constant is, the statement says for good."""
    of_friends = f"SELECT j.id, {queue.FRIENDS}, j.rank"
    assert of_friends in search.FIND
    return search.FIND.replace(of_friends, f"SELECT j.id, {queue.OTHERS}, j.rank")


def chosen(town: Hoard) -> None:
    """A job for one worker only."""
    user, worker = list(town.model.users)[1], next(iter(town.model.workers))
    town.choose(who=user, worker=worker, another=worker, deny=False, n=1)


def befriended(town: Hoard) -> None:
    """A worker's friend comes before who is richer."""
    _, rich, poor, _ = town.model.users
    stranger = town.enrol()
    assert isinstance(stranger, UUID)
    town._check_in(town.ids.new("worker"), stranger, "all")
    worker = next(reversed(town.model.workers))
    for who in (rich, poor):
        town._submit(who, PictureWish())
    town.pop_as(town.ids.new("lease"), worker, 1, friends=(poor,))


def distrustful(town: Hoard) -> None:
    """A worker that serves nobody unknown serves its owner, whom nobody knows."""
    owner = town.enrol()
    assert isinstance(owner, UUID)
    town._check_in(town.ids.new("worker"), owner, "for the known")
    town._submit(owner, PictureWish())
    town.pop_as(town.ids.new("lease"), next(reversed(town.model.workers)), 1)


def _served(town: Hoard, kind: str, wrote: int) -> None:
    worker = next(key for key, row in town.model.workers.items() if row.kind == kind)
    key = town.ids.new("lease")
    assert town.pop_as(key, worker, 3)
    lease = town.model.leases[key]
    town.deliver_as(key, lease.owner, [(g.id, "OK") for g in lease.generations], wrote)


def brief(town: Hoard) -> None:
    """Less is written than was asked for."""
    town.write_as(list(town.model.users)[1], TextWish(n=2, length=320))
    _served(town, "TEXT", 40)


def asked_twice(town: Hoard) -> None:
    """A dear form and a cheap one of the same picture; then both again."""
    _, one, other, _ = town.model.users
    town.ask_again(who=one, other=other, days=1)


def listening(town: Hoard) -> None:
    """A webhook hears of a text that is written."""
    user = list(town.model.users)[1]
    town.hook(owner=user, hears=frozenset(WebhookEvent))
    town.write_as(user, TextWish())
    _served(town, "TEXT", 80)
    town.relay_turns()


def closed(town: Hoard) -> None:
    """Somebody wants a text while the house is in maintenance."""
    town._switch(Mode.MAINTENANCE, None, on=True)
    town.write_as(list(town.model.users)[1], TextWish())


FAULTS: dict[str, tuple[Scene, Any, str, Any]] = {
    "lists of workers are forgotten": (chosen, jobs, "_submitted", for_everybody),
    "friends come with the others": (befriended, search, "FIND", among_the_others()),
    "what newcomers ask for is waived for nobody": (distrustful, queue, "WAIVED", 0),
    "texts are paid in full": (brief, payment, "text_share", lambda price, *_: price),
    "all forms are paid as the dearest": (asked_twice, payment, "_terms", as_the_dearest),
    "what forms tell is forgotten": (asked_twice, lease_decider, "_told", lambda *_: ()),
    "webhooks of users hear nothing": (listening, relay_webhooks, "deliveries_of", of_jobs_alone),
    "texts are taken in maintenance": (closed, text_decider, "refuse_job", lambda *_, **__: None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_scene_finds_a_planted_fault(fault: str, clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch):
    scene, where, name, wrong = FAULTS[fault]
    played(clockwork, scene)
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(AssertionError):
        played(clockwork, scene)

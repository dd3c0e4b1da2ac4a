"""Who could serve a job, constraint by constraint, and that it agrees with the rule of matching."""

from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest
from msgspec.structs import replace

from app.fleet.online import Online
from app.jobs.servability import Wanted, remaining
from events.jobs import JobKind
from projections.queue import REQUIREMENTS, Search, unmet_by
from projections.workers import Worker
from tests.factories import uid

ALICE, BOB = uid(1), uid(2)
ALL = sum(REQUIREMENTS.values())
JOB = Wanted(
    requester=ALICE,
    kind=JobKind.IMAGE,
    models=("m",),
    mask=0,
    size=100,
    allowed_workers=(),
    denied_workers=(),
)


def online(
    number: int = 20, *, allowed: int = ALL, models=("m",), max_pixels: int = 100, **row: object
) -> Online:
    worker = uid(number)
    owner = row.pop("owner", BOB)
    assert isinstance(owner, UUID)
    made = Worker(
        worker, owner, JobKind.IMAGE, models, max_pixels, allowed, 1, "", False, datetime(2026, 1, 1, tzinfo=UTC),
        0, 0, 0,
    )  # fmt: skip
    made = replace(made, **row)
    search = Search(
        worker=worker, owner=owner, models=models, max_size=max_pixels, allowed=allowed,
        own_only=made.maintenance,
    )  # fmt: skip
    return Online(made, search)


def left(job: Wanted, *fleet: Online) -> dict[str, int]:
    return {each.constraint: each.workers for each in remaining(job, fleet)}


def test_each_constraint_says_how_many_remain():
    lora = REQUIREMENTS["lora"]
    fleet = (
        online(20),
        online(21, allowed=ALL & ~lora),
        online(22, max_pixels=99),
        online(23, models=("other",)),
        online(24, paused=True),
        online(25, kind=JobKind.TEXT),
    )
    job = replace(JOB, mask=lora, denied_workers=(uid(20),))
    assert left(job, *fleet) == {
        "online": 5, "at_work": 4, "models": 3, "max_pixels": 2, "lora": 1, "worker_id": 0,
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"paused": True}, {"threads": 0}])
def test_who_serves_nobody_does_not_remain(change):
    assert left(JOB, online(**change))["at_work"] == 0


def test_in_maintenance_a_worker_serves_its_owner():
    assert left(JOB, online(maintenance=True))["at_work"] == 0
    assert left(JOB, online(maintenance=True, owner=ALICE))["at_work"] == 1


def test_only_chosen_workers_remain():
    chosen = replace(JOB, allowed_workers=(uid(21),))
    assert left(chosen, online(20), online(21))["worker_id"] == 1


def test_a_job_for_any_model_has_no_constraint_of_models():
    assert "models" not in left(replace(JOB, models=()), online())


def test_the_last_number_is_that_of_the_rule_of_matching():
    fleet = [
        online(number, allowed=allowed, models=models, owner=owner)
        for number, (allowed, models, owner) in enumerate(
            product((0, ALL, ALL & ~REQUIREMENTS["untrusted_requester"]), (("m",), ("x",)), (ALICE, BOB)), 20
        )
    ]
    masks = (0, REQUIREMENTS["untrusted_requester"], REQUIREMENTS["nsfw"] | REQUIREMENTS["not_covered"])
    choices = ((), (uid(20), uid(23)), (uid(24),))
    for mask, allowed, denied in product(masks, choices, choices):
        job = replace(JOB, mask=mask, allowed_workers=allowed, denied_workers=denied)
        able = sum(unmet_by(each.search, job) is None for each in fleet)
        assert remaining(job, fleet)[-1].workers == able

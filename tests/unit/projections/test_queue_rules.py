"""Which worker may serve which job, and where a job waits: every rule by itself."""

from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from app.fleet.serving import allowed_by, families_of, judged, offered, search_of
from app.platform.model_reference import ModelReference
from events.accounts import Role
from events.jobs import JobKind
from projections.accounts import Account
from projections.queue import (
    FRIENDS,
    OTHERS,
    OWN,
    REQUIREMENTS,
    STANDING_REQUIREMENTS,
    WORK,
    Search,
    audiences,
    entries,
    nearness,
    requirement_mask,
    unmet,
    unmet_by,
)
from projections.workers import Worker
from tests.factories import START, uid
from tests.unit.projections.test_folds import waiting

OWNER, CLIENT, FRIEND, WORKER, OTHER = uid(1), uid(2), uid(3), uid(20), uid(21)
ALL = requirement_mask(REQUIREMENTS)
SEARCH = Search(
    worker=WORKER, owner=OWNER, models=("x", "*plain"), max_size=512 * 512, allowed=ALL, friends=(FRIEND,)
)


class Work(msgspec.Struct, frozen=True):
    """A job as matching sees it."""

    requester: UUID = CLIENT
    models: tuple[str, ...] = ("x",)
    mask: int = ALL
    kind: JobKind = JobKind.IMAGE
    size: int = 512 * 512
    soft_prompt: str | None = None
    allowed_workers: tuple[UUID, ...] = ()
    denied_workers: tuple[UUID, ...] = ()


def worker(**changes: object) -> Worker:
    plain = Worker(
        id=WORKER, owner=OWNER, kind=JobKind.IMAGE, models=("x",), max_size=512 * 512, allowed=0, threads=1,
        agent="a:1", maintenance=False, registered_at=START, fulfilled=0, failed=0, earned=0,
    )  # fmt: skip
    return replace(plain, **changes)


def account(*roles: Role) -> Account:
    return Account(OWNER, 0, 0, 0, 0, 0, 0, roles, START)


def test_every_requirement_has_a_bit_of_its_own_that_fits_a_column():
    bits = list(REQUIREMENTS.values())
    assert len({*bits}) == len(bits)
    assert all(bit.bit_count() == 1 and bit < 1 << 63 for bit in bits)
    assert list(REQUIREMENTS)[:2] == ["nsfw", "post_processing"], (
        "these two had their bits before they had names"
    )


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_worker_that_lacks_a_requirement_is_told_which(name: str):
    lacking = replace(SEARCH, allowed=ALL & ~REQUIREMENTS[name])
    assert unmet_by(SEARCH, Work()) is None
    assert unmet_by(lacking, Work()) == name
    assert unmet_by(lacking, Work(mask=ALL & ~REQUIREMENTS[name])) is None


def test_what_a_requester_has_not_is_no_matter_to_those_who_are_near():
    poor = requirement_mask(("untrusted_requester", "not_covered"))
    choosy = replace(SEARCH, allowed=ALL & ~poor)
    assert unmet_by(choosy, Work()) == "untrusted_requester"
    assert unmet_by(choosy, Work(requester=FRIEND)) is None
    assert unmet_by(choosy, Work(requester=OWNER)) is None
    unable = replace(SEARCH, allowed=ALL & ~REQUIREMENTS["lora"])
    assert unmet_by(unable, Work(requester=OWNER)) == "lora", (
        "what it cannot do it cannot do for its owner either"
    )


def test_the_owner_is_nearest_then_friends():
    assert [nearness(SEARCH, who) for who in (OWNER, FRIEND, CLIENT)] == [OWN, FRIENDS, OTHERS]
    assert OWN > FRIENDS > OTHERS


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (Work(models=("y",)), "models"),
        (Work(models=("y", "*plain")), None),
        (Work(models=("*sdxl",)), "models"),
        (Work(models=()), None),
        (Work(size=512 * 512 + 1), "max_pixels"),
        (Work(allowed_workers=(OTHER,)), "worker_id"),
        (Work(allowed_workers=(OTHER, WORKER)), None),
        (Work(denied_workers=(WORKER,)), "worker_id"),
        (Work(denied_workers=(OTHER,)), None),
        (Work(requester=OWNER, denied_workers=(WORKER,)), "worker_id"),
    ],
)
def test_models_size_and_lists(work: Work, reason: str | None):
    assert unmet_by(SEARCH, work) == reason


def test_the_first_reason_is_the_plainest():
    nothing = replace(SEARCH, models=("z",), max_size=1, allowed=0)
    assert unmet(nothing, ("x",), ALL, 5) == "models"
    assert unmet(replace(nothing, models=("x",)), ("x",), ALL, 5) == "max_pixels"
    assert unmet(replace(nothing, models=("x",), max_size=5), ("x",), ALL, 5) == "nsfw"


def test_a_job_waits_in_a_class_for_each_model_and_audience():
    job = replace(waiting(models=("x", "*plain")), allowed_workers=(WORKER, OTHER))
    assert {(e.model, e.audience) for e in entries(job)} == {
        (model, f"+{who}") for model in ("x", "*plain") for who in (WORKER, OTHER)
    }


def test_jobs_that_deny_the_same_workers_are_of_one_class_however_they_name_them():
    first, second = Work(denied_workers=(OTHER, WORKER)), Work(denied_workers=(WORKER, OTHER))
    assert audiences(first) == audiences(second) == (("-", f"{WORKER},{OTHER}"),)
    assert audiences(Work(allowed_workers=(WORKER, OTHER), denied_workers=(OTHER,))) == ((f"+{WORKER}", ""),)


def test_what_a_worker_allows_follows_from_its_owner_and_speed_besides():
    standing = requirement_mask(STANDING_REQUIREMENTS)
    assert allowed_by(worker(), account(Role.TRUSTED)) == standing & ~REQUIREMENTS["validated_backend"]
    assert allowed_by(worker(), account()) == REQUIREMENTS["not_slow"]
    assert not allowed_by(worker(extra_slow=True), account())
    assert allowed_by(worker(allowed=1), None) == 1 | REQUIREMENTS["not_slow"]


def test_a_model_that_only_inpaints_or_is_somebodys_own_serves_no_job_that_names_none():
    reference = ModelReference.load(None)
    only = next(name for name, model in reference.models.items() if model.inpainting)
    families = dict(families_of(JobKind.IMAGE, ("unheard of", only, "mine::bob#2", "huge [SDXL]"), reference))
    assert families["*plain"] == ("unheard of",)
    assert families["*sdxl"] == ("huge [SDXL]",)
    assert [models for name, models in families.items() if name.endswith(":inpainting")] == [(only,)]
    assert not any("mine::bob#2" in models for models in families.values())


def test_a_worker_serves_at_the_offers_of_its_own_models():
    job = replace(waiting(), models=("x", "*plain"), offers=(("x", 500, 10), ("*plain", 300, 0)))
    families = (("*plain", ("a", "gone")),)
    assert offered(job, worker(models=("a", "x")), families) == [("a", 300, 0), ("x", 500, 10)]
    assert offered(job, worker(models=("b",)), families) == []
    before = replace(job, offers=(), models=())
    assert offered(before, worker(models=("a", "x")), families) == [("a", None, 0), ("x", None, 0)]


def test_in_maintenance_a_worker_asks_only_for_its_owners_jobs():
    assert search_of(worker(maintenance=True), None, ()).own_only
    assert search_of(worker(), None, (("*plain", ("x",)),)).models == ("x", "*plain")


REFERENCE = ModelReference.load(None)
LARGE, MIDDLE, SMALL = "Llama-3.3-70B-Instruct", "MythoMax-L2-13b", "Llama-3.2-1B-Instruct"


def test_a_text_model_serves_by_its_name_and_by_its_class():
    families = dict(families_of(JobKind.TEXT, (LARGE, SMALL, "nobody knows", "mine::bob#2"), REFERENCE))
    assert families == {
        f"*text:{LARGE}": (LARGE,),
        f"*text:{SMALL}": (SMALL,),
        "*text:nobody knows": ("nobody knows",),
        "*text:mine::bob#2": ("mine::bob#2",),
        "*texts:3b": (SMALL, "nobody knows"),
        "*texts:73b": (LARGE,),
    }


@pytest.mark.parametrize(
    ("models", "tokens"), [((SMALL,), 5), (("nobody knows",), 5), ((MIDDLE, SMALL), 4), ((LARGE, MIDDLE), 3)]
)
def test_a_text_worker_is_slow_by_the_size_of_its_largest_model(models, tokens):
    def allows(speed: int) -> bool:
        row = worker(kind=JobKind.TEXT, models=models, speed=speed)
        return bool(allowed_by(row, None, judged(row, REFERENCE, None)) & REQUIREMENTS["not_slow"])

    assert not allows(tokens * WORK - 1)
    assert allows(tokens * WORK)
    assert allows(0), "it may show how fast it is"


def test_a_known_backend_is_known_by_its_name_alone():
    bit = REQUIREMENTS["validated_backend"]

    def allows(agent: str, more: str | None = None) -> bool:
        row = worker(kind=JobKind.TEXT, agent=agent)
        return bool(allowed_by(row, None, judged(row, REFERENCE, more)) & bit)

    assert allows("KoboldCppEmbedWorker:2")
    assert allows("AI Horde Worker~aphrodite~oai:9")
    assert not allows("KoboldCppEmbedWorker2:2")
    assert not allows("unknown:0")
    assert allows("Mine:1", "Other, Mine ,")
    assert not allows("Mine:1", "Other")

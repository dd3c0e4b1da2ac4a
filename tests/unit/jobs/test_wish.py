"""What becomes of a wish: permitted, made smaller, refused; what enters the log; what workers are given of it."""

import msgspec
import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.jobs.image_params import ControlType, ImageParams, Lora, Workflow, lease_seconds
from app.jobs.payload import payload_of, resized
from app.ledger.upfront import Load
from app.platform.vault import JobSource, JobWords, SourceRole
from events.accounts import Role
from events.jobs import SourceProcessing
from tests.factories import grant, register, submit, uid
from tests.given import Scene, given

ALICE, JOB = uid(1), uid(10)
FLUX, QWEN, Z_IMAGE, CASCADE = (
    "Flux.1-Schnell fp8 (Compact)", "Qwen-Image_fp8", "Z-Image-Turbo", "Stable Cascade 1.0",
)  # fmt: skip


def scene(*roles: Role, kudos: int = 1_000_000) -> Scene:
    made = given(OpenRealm(), register(ALICE))
    if kudos:
        made.and_given(grant(ALICE, kudos))
    return made.and_given(*(GrantRole(user=ALICE, role=role) for role in roles))


def event(*roles: Role, kudos: int = 1_000_000, **given_: object):
    return scene(*roles, kudos=kudos).when(submit(ALICE, job=JOB, **given_)).events[0]


REMIX = {"models": (CASCADE,), "source_processing": SourceProcessing.REMIX, "extra_sources": 2}


@pytest.mark.parametrize(
    ("wanted", "field", "role"),
    [
        (REMIX, "extraSources", Role.TRUSTED),
        ({"n": 2, "wish": {"batching": False}}, "batching", Role.TRUSTED),
        ({"wish": {"proxied_account": "x"}}, "proxiedAccount", Role.SERVICE),
    ],
)
def test_what_only_some_may_ask_for(wanted, field, role):
    scene().when(submit(ALICE, **wanted)).then_rejected("FORBIDDEN", "input", field)
    assert scene(role).when(submit(ALICE, **wanted)).names[0] == "ImageJobSubmitted"


@pytest.mark.parametrize(
    "wanted",
    [
        REMIX | {"extra_sources": 1},
        {"wish": {"batching": False}},
        {"n": 2, "workflow": Workflow.QR_CODE, "wish": {"batching": False}},
    ],
)
def test_what_everybody_may_ask_for(wanted):
    assert scene().when(submit(ALICE, **wanted)).names[0] == "ImageJobSubmitted"


def test_a_qr_code_is_never_drawn_as_a_batch():
    assert event(workflow=Workflow.QR_CODE).batching is False
    assert event().batching is True


def test_what_was_asked_for_is_in_the_log_as_numbers():
    made = event(
        source_processing=SourceProcessing.INPAINTING, source_mask=True, denoising_strength=0.5,
        loras=(Lora(name="secret"),), transparent=True,
        wish={"allowed_workers": (uid(5),)},
    )  # fmt: skip
    assert (made.source_processing, made.source_mask) == (SourceProcessing.INPAINTING, True)
    assert (made.denoising_strength, made.loras, made.transparent) == (0.5, 1, True)
    assert made.allowed_workers == (uid(5),)
    assert "secret" not in repr(made)


def test_sources_and_whom_a_service_asks_for_are_rows_of_the_vault():
    url = JobSource(JOB, SourceRole.SOURCE, 0, 1.0, "", "https://example.org/secret")
    there = JobSource(JOB, SourceRole.MASK, 0, 1.0, "jobs/x", "")
    wish = {"sources": (url, there), "proxied_account": "secret"}
    then = scene(Role.SERVICE).when(submit(ALICE, job=JOB, wish=wish))
    assert [row for row in then.vault if isinstance(row, JobSource)] == [url, there]
    assert next(row for row in then.vault if isinstance(row, JobWords)).proxied_account == "secret"
    assert then.events[0].fetching is True
    assert "secret" not in repr(then.events)
    later = scene().when(submit(ALICE, job=JOB, wish={"sources": (there,)}))
    assert later.events[0].fetching is False


LARGE = {"width": 1024, "height": 1024, "steps": 50}


def test_a_job_that_is_too_large_is_made_smaller_only_if_its_client_says_so():
    scene(kudos=0).when(submit(ALICE, **LARGE)).then_rejected(
        "INSUFFICIENT_KUDOS", "input", "params", "width"
    )
    payload = payload_of(ImageParams(**LARGE), use_nsfw_censor=True)
    command = submit(ALICE, job=JOB, wish={"allow_downgrade": True, "slow_workers": False}, **LARGE)
    then = scene(kudos=0).when(msgspec.structs.replace(command, payload=payload))
    made = then.events[0]
    assert made.downgraded
    assert made.width * made.height <= 576 * 576
    assert made.steps <= 40
    assert "not_slow" not in made.requirements
    smaller = then.result.smaller
    assert (smaller.width, smaller.height, smaller.steps) == (made.width, made.height, made.steps)
    words = next(row for row in then.vault if isinstance(row, JobWords))
    changed = {"width": made.width, "height": made.height, "steps": made.steps}
    assert msgspec.json.decode(words.payload) == msgspec.json.decode(payload) | changed
    assert sum(amount for _, amount in made.quote) == made.price + made.tax + made.surcharge


def test_a_job_that_may_be_had_whole_is_not_made_smaller():
    made = event(wish={"allow_downgrade": True}, **LARGE)
    assert (made.downgraded, made.width, made.steps) == (False, 1024, 50)


def test_what_a_smaller_job_costs_is_held_against_max_kudos():
    made = event(kudos=0, wish={"allow_downgrade": True}, **LARGE)
    total = sum(amount for _, amount in made.quote)
    wish = {"allow_downgrade": True}
    assert event(kudos=0, max_kudos=total, wish=wish, **LARGE).downgraded
    too_little = submit(ALICE, max_kudos=total - 1, wish=wish, **LARGE)
    scene(kudos=0).when(too_little).then_rejected("INVALID_INPUT", "input", "maxKudos")


def test_a_busy_cluster_has_smaller_free_limits():
    side = {"width": 1024, "height": 1024}
    idle, busy = Load(threads=1, queued=0), Load(threads=1, queued=1000)
    rich = scene(kudos=1000)
    assert rich.when(submit(ALICE, wish={"load": idle}, **side)).names[0] == "ImageJobSubmitted"
    rich.when(submit(ALICE, wish={"load": busy}, **side)).then_rejected(
        "INSUFFICIENT_KUDOS", "input", "params", "width"
    )


def test_leases_are_longer_with_a_control_type_and_with_slow_models():
    params = ImageParams(width=1024, height=1024, steps=30)
    plain = lease_seconds(params, 1)
    controlled = msgspec.structs.replace(params, control_type=ControlType.CANNY)
    assert lease_seconds(controlled, 1) == 2 * plain
    assert lease_seconds(params, 2, slow_models=True) == 6 * plain
    assert event(**LARGE).lease_seconds == lease_seconds(ImageParams(**LARGE), 1)
    for model in (FLUX, QWEN, Z_IMAGE):
        assert event(models=("stable", model), **LARGE).lease_seconds == 3 * lease_seconds(
            ImageParams(**LARGE), 1
        )
    assert event(models=(CASCADE,), **LARGE).lease_seconds == lease_seconds(ImageParams(**LARGE), 1)


def test_a_lease_of_a_job_for_any_model_is_longer_if_slow_ones_may_draw_it():
    small = lease_seconds(ImageParams(**LARGE), 1)
    assert event(models=(), **LARGE).lease_seconds == small
    assert event(models=(), max_kudos=900_000, **LARGE).lease_seconds == 3 * small


def test_the_payload_has_what_was_asked_for_and_no_more():
    plain = msgspec.json.decode(payload_of(ImageParams(denoising_strength=0.5), use_nsfw_censor=False))
    assert plain.keys() == {
        "width", "height", "steps", "cfg_scale", "sampler_name", "karras", "tiling", "hires_fix", "clip_skip",
        "post_processing", "use_nsfw_censor",
    }  # fmt: skip
    smaller = resized(
        payload_of(ImageParams(), use_nsfw_censor=True), ImageParams(width=64, height=128, steps=3)
    )
    assert msgspec.json.decode(smaller) == msgspec.json.decode(
        payload_of(ImageParams(width=64, height=128, steps=3), use_nsfw_censor=True)
    )

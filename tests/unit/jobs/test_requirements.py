"""What a worker must allow to serve a job: what follows from the request, from who asks, from the choice of workers."""

import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.jobs.image_params import (
    MODERN_POST_PROCESSORS,
    ControlType,
    Lora,
    PostProcessor,
    Sampler,
    TextualInversion,
    Workflow,
)
from events.accounts import Role
from events.base import ANONYMOUS
from events.jobs import SourceProcessing
from projections.queue import REQUIREMENTS
from tests.factories import grant, register, submit, uid
from tests.given import Scene, given

ALICE = uid(1)
SDXL, CASCADE = "SDXL 1.0", "Stable Cascade 1.0"
IMG2IMG = {"source_processing": SourceProcessing.IMG2IMG}
#: what every job of a user whom nobody trusts, with the kudos in hand, requires
PLAIN = {"untrusted_requester", "not_extra_slow"}


def scene(*roles: Role, kudos: int = 1_000_000) -> Scene:
    made = given(OpenRealm(), register(ALICE))
    if kudos:
        made.and_given(grant(ALICE, kudos))
    return made.and_given(*(GrantRole(user=ALICE, role=role) for role in roles))


def required(*roles: Role, kudos: int = 1_000_000, requester=ALICE, **wish: object) -> set[str]:
    (event, *_) = scene(*roles, kudos=kudos).when(submit(requester, **wish)).events
    names = event.requirements
    assert list(names) == sorted(names, key=REQUIREMENTS.__getitem__)  # one way to write them
    return set(names)


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        ({}, set()),
        ({"nsfw": True}, {"nsfw"}),
        ({"post_processing": (PostProcessor.GFPGAN,)}, {"post_processing"}),
        *(
            ({"post_processing": (name,)}, {"post_processing", "modern_post_processing"})
            for name in sorted(MODERN_POST_PROCESSORS)
        ),
        (IMG2IMG, {"img2img"}),
        ({"source_processing": SourceProcessing.INPAINTING}, {"img2img", "painting"}),
        ({"source_processing": SourceProcessing.OUTPAINTING}, {"img2img", "painting"}),
        (
            {"source_processing": SourceProcessing.REMIX, "extra_sources": 1, "models": [CASCADE]},
            {"img2img", "extra_sources"},
        ),
        ({**IMG2IMG, "control_type": ControlType.CANNY}, {"img2img", "controlnet"}),
        (
            {**IMG2IMG, "control_type": ControlType.CANNY, "image_is_control": True},
            {"img2img", "controlnet", "control_map"},
        ),
        (
            {**IMG2IMG, "control_type": ControlType.CANNY, "return_control_map": True},
            {"img2img", "controlnet", "control_map"},
        ),
        ({"loras": (Lora(name="x"),)}, {"lora"}),
        ({"loras": (Lora(name="195519"),)}, {"lora", "lcm"}),
        ({"loras": (Lora(name="246747", is_version=True),)}, {"lora", "lcm"}),
        ({"loras": (Lora(name="246747"),)}, {"lora"}),
        ({"sampler": Sampler.LCM, "steps": 8}, {"lcm"}),
        ({"tis": (TextualInversion(name="x"),)}, {"textual_inversion"}),
        ({"workflow": Workflow.QR_CODE}, {"qr_code"}),
        ({"workflow": Workflow.QR_CODE, "models": [SDXL]}, {"qr_code", "sdxl_controlnet"}),
        ({"transparent": True}, {"transparent"}),
        ({"transparent": True, "models": [SDXL]}, {"transparent", "sdxl_controlnet"}),
        ({"hires_fix": True}, {"hires_fix"}),
        ({"hires_fix": True, "models": [CASCADE]}, {"hires_fix", "cascade_2pass"}),
        ({"tiling": True}, {"tiling"}),
        ({"clip_skip": 2}, {"clip_skip"}),
        ({"steps": 30}, set()),
        ({"steps": 31}, {"many_steps"}),
        ({"steps": 16, "sampler": Sampler.K_HEUN}, {"many_steps"}),
        ({"steps": 7, "wish": {"usual_steps": 6}}, {"many_steps"}),
        ({"wish": {"trusted_workers": True}}, {"trusted_worker"}),
        ({"wish": {"slow_workers": False}}, {"not_slow"}),
        ({"wish": {"unsafe_address": True}}, {"unsafe_address", "untrusted_unsafe_address"}),
    ],
)
def test_what_a_job_requires(wish, names):
    assert required(**wish) == PLAIN | names


def test_jobs_that_accept_extra_slow_workers_do_not_require_others():
    assert required(wish={"extra_slow_workers": True}) == PLAIN - {"not_extra_slow"}


@pytest.mark.parametrize("role", [Role.TRUSTED, Role.MODERATOR, Role.OPERATOR])
def test_trusted_users_require_nothing_for_who_they_are(role):
    assert required(role, kudos=0) == {"not_extra_slow"}
    assert required(role, wish={"unsafe_address": True}) == {"not_extra_slow", "unsafe_address"}


def test_a_job_that_its_requester_cannot_pay_in_full_says_so():
    assert required(kudos=950) == PLAIN
    assert required(kudos=949) == PLAIN | {"not_covered"}
    assert required(requester=ANONYMOUS) == PLAIN | {"not_covered"}


def test_who_asks_for_others_is_not_trusted_for_it():
    assert required(Role.SERVICE) == PLAIN

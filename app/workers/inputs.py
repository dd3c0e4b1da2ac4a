"""The API's inputs of workers, and from a poll's input the values that `app.workers.capabilities` checks.

Look next: `app.workers.graphql`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import strawberry

from app.platform import generation_notes
from app.platform.commands import Rejection
from app.platform.generation_notes import GenerationNote
from app.platform.graphql.scalars import JSON
from app.platform.graphql.shared import InterrogationForm, NoteType, NoteValue
from app.workers.capabilities import FormsServed, ImagesServed, Polling, TextsServed


@strawberry.enum(description="What an image worker's program can do besides.")
class ImageFeature(Enum):
    """Features of programs, each a requirement of jobs."""

    TEXTUAL_INVERSION = strawberry.enum_value("textual_inversion", description="Textual inversions.")
    EXTRA_SOURCES = strawberry.enum_value("extra_sources", description="Several source images, for remixes.")
    CONTROL_MAP = strawberry.enum_value(
        "control_map", description="Control maps that are supplied, or wanted back."
    )
    QR_CODE = strawberry.enum_value("qr_code", description="The workflow that draws codes into pictures.")
    TRANSPARENT = strawberry.enum_value("transparent", description="Transparent backgrounds.")
    HIRES_FIX = strawberry.enum_value("hires_fix", description="A second pass for large pictures.")
    CASCADE_2PASS = strawberry.enum_value("cascade_2pass", description="A second pass with Stable Cascade.")
    TILING = strawberry.enum_value("tiling", description="Pictures whose opposite edges fit.")
    CLIP_SKIP = strawberry.enum_value("clip_skip", description="Leaving out the last layers of CLIP.")
    LCM = strawberry.enum_value("lcm", description="The sampler lcm.")
    MODERN_POST_PROCESSING = strawberry.enum_value(
        "modern_post_processing", description="The post-processors that came late, such as 4xNomos8kSC."
    )


#: what every program is taken to do
USUAL_FEATURES = (ImageFeature.HIRES_FIX, ImageFeature.TILING, ImageFeature.CLIP_SKIP)


@strawberry.input(description="What workers of all kinds say of themselves.")
class WorkerCapabilities:
    """Capabilities of any worker; a null is the default."""

    nsfw: bool | None = strawberry.field(
        default=True, description="Takes jobs that may be not safe for work."
    )
    blacklist: list[str] | None = strawberry.field(
        default_factory=list,
        description="Jobs with one of these words in their prompt are not offered; at most 200, never stored.",
    )
    threads: int | None = strawberry.field(
        default=1, description="How many generations it makes at a time, 1 to 50; of interrogations to 100."
    )
    allow_unsafe_address: bool | None = strawberry.field(
        default=True, description="Takes jobs from addresses that the operator's list calls unsafe."
    )
    trusted_requesters_only: bool | None = strawberry.field(
        default=False, description="Takes only jobs of trusted users, of its owner and of its priority users."
    )
    require_upfront_kudos: bool | None = strawberry.field(
        default=False,
        description="Takes only jobs whose requester had all the kudos for it, or is trusted or a priority user.",
    )
    extra_slow: bool | None = strawberry.field(
        default=False,
        description="Its leases last three times as long, and it gets only jobs that accept extra slow workers.",
    )
    priority_users: list[str] | None = strawberry.field(
        default_factory=list,
        description="Users (name#7) whose jobs come next after its owner's, at most 20; never stored.",
    )
    test_mode: bool | None = strawberry.field(
        default=False, description="It tries itself out: it gets only its owner's jobs."
    )


@strawberry.input(description="What an image worker serves.")
class ImageCapabilitiesInput(WorkerCapabilities):
    """Capabilities of an image worker; a null is the default."""

    models: list[str] = strawberry.field(description="The models it has, 1 to 300.")
    max_pixels: int | None = strawberry.field(
        default=262_144, description="The largest picture, width x height."
    )
    allow_post_processing: bool | None = strawberry.field(
        default=True, description="Takes jobs with post-processing."
    )
    allow_img2img: bool | None = strawberry.field(default=True, description="Takes jobs with a source image.")
    allow_painting: bool | None = strawberry.field(
        default=True, description="Takes inpainting and outpainting."
    )
    allow_lora: bool | None = strawberry.field(default=False, description="Takes jobs with LoRAs.")
    allow_controlnet: bool | None = strawberry.field(
        default=False, description="Takes jobs with a ControlNet."
    )
    allow_sdxl_controlnet: bool | None = strawberry.field(
        default=False, description="Takes ControlNets, workflows and transparency with SDXL models."
    )
    features: list[ImageFeature] | None = strawberry.field(
        default_factory=lambda: list(USUAL_FEATURES), description="What its program can do besides."
    )
    limit_max_steps: bool | None = strawberry.field(
        default=False, description="Takes no jobs with more than the usual steps of their models."
    )


@strawberry.input(description="What a text worker serves; lengths are tokens.")
class TextCapabilitiesInput(WorkerCapabilities):
    """Capabilities of a text worker; a null is the default."""

    models: list[str] = strawberry.field(description="The models it has, 1 to 200.")
    max_length: int | None = strawberry.field(
        default=512, description="Tokens it writes at most, 1 to 65,536."
    )
    max_context_length: int | None = strawberry.field(
        default=2048, description="Tokens it reads at most, 80 to 1,048,576."
    )
    soft_prompts: list[str] | None = strawberry.field(
        default_factory=list, description="Soft prompts it has, by name, at most 200."
    )


@strawberry.input(description="What an interrogation worker serves.")
class InterrogationCapabilitiesInput(WorkerCapabilities):
    """Capabilities of an interrogation worker; a null is the default."""

    forms: list[InterrogationForm] = strawberry.field(
        description="What it can tell of a picture, or make of it: at least one."
    )
    max_tiles: int | None = strawberry.field(
        default=16, description="The largest picture, in squares of 512 x 512 pixels, 1 to 256."
    )


@strawberry.input(
    description="A worker asks for work. Exactly one of image, text and interrogation is given."
)
class PopJobInput:
    """Input of popJob."""

    worker_name: str = strawberry.field(
        description="Unique; the first poll registers it for the key's owner."
    )
    bridge_agent: str | None = strawberry.field(
        default="unknown:0:unknown",
        description="name:version:contact of its program; the contact is not kept.",
    )
    amount: int | None = strawberry.field(
        default=1, description="How many generations of one job at most, 1 to 20."
    )
    wait_seconds: int | None = strawberry.field(
        default=0, description="Wait so long for a job to come, 0 to 60, before answering NoJob."
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key gives the same assignment, with fresh links."
    )
    image: ImageCapabilitiesInput | None = strawberry.field(default=None, description="For image workers.")
    text: TextCapabilitiesInput | None = strawberry.field(default=None, description="For text workers.")
    interrogation: InterrogationCapabilitiesInput | None = strawberry.field(
        default=None, description="For interrogation workers."
    )


@strawberry.enum(description="What a worker says of a generation.")
class ResultState(Enum):
    """States of results."""

    OK = strawberry.enum_value("OK", description="The picture was uploaded.")
    CENSORED = strawberry.enum_value("CENSORED", description="Drawn, and withheld as not safe for work.")
    CSAM = strawberry.enum_value("CSAM", description="Drawn, and withheld as child abuse material.")
    FAULTED = strawberry.enum_value("FAULTED", description="It could not be drawn; somebody else may try.")


@strawberry.input(description="What a worker notes of a generation.")
class GenerationNoteInput:
    """One note."""

    type: NoteType = strawberry.field(description="What it is about.")
    value: NoteValue = strawberry.field(description="What it says.")
    ref: str | None = strawberry.field(
        default=None, description="Which one, or what the value leads to; at most 255 characters."
    )

    def plain(self) -> GenerationNote:
        """Without the API's types."""
        return GenerationNote(
            generation_notes.NoteType(self.type.value),
            generation_notes.NoteValue(self.value.value),
            self.ref,
        )


@strawberry.input(description="What became of one generation.")
class GenerationResultInput:
    """One result."""

    generation_id: strawberry.ID = strawberry.field(description="The generation.")
    state: ResultState = strawberry.field(description="What became of it.")
    seed: str | None = strawberry.field(default=None, description="The seed it was drawn with, in digits.")
    metadata: JSON | None = strawberry.field(
        default=None, description="Anything else, at most 20,000 characters."
    )
    notes: list[GenerationNoteInput] | None = strawberry.field(
        default_factory=list,
        description="What its client should know of it, at most 50: a LoRA that could not be had, a censored picture.",
    )
    text: str | None = strawberry.field(
        default=None, description="What was written, of a text generation; it may be empty."
    )
    form: JSON | None = strawberry.field(
        default=None,
        description="What was told of the picture, of an interrogation, in the shape of its form: CAPTION and DESCRIBE a "
        "text (at most 2,000 and 10,000 characters), NSFW true or false, INTERROGATION a map from keywords to confidences "
        "from 0 to 1 or a list of {keyword, confidence} (at most 500), VECTORIZE an SVG document (at most 500,000 "
        "characters), PALETTE a map from colours (#rrggbb) to shares from 0 to 1 or a list of {hex, share} (at most 64), "
        "AESTHETIC a number from 0 to 10. A post-processed picture is uploaded instead.",
    )


@strawberry.input(description="Results of a lease, any subset of its generations.")
class SubmitResultInput:
    """Input of submitResult."""

    lease_id: strawberry.ID = strawberry.field(description="The lease.")
    results: list[GenerationResultInput] = strawberry.field(description="1 to 20 results.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="Optional: a repeated result gives its first reward without one."
    )


@strawberry.input(description="Which lease to extend.")
class ExtendLeaseInput:
    """Input of extendLease."""

    lease_id: strawberry.ID = strawberry.field(description="The lease.")


@strawberry.input(description="Which lease to give back.")
class ReleaseLeaseInput:
    """Input of releaseLease."""

    lease_id: strawberry.ID = strawberry.field(description="The lease.")


@strawberry.input(description="Start or end a worker's maintenance.")
class SetWorkerMaintenanceInput:
    """Input of setWorkerMaintenance."""

    worker: str = strawberry.field(description="The worker's id or name; it must be yours.")
    maintenance: bool = strawberry.field(description="True: from now on it serves only its owner.")
    message: str | None = strawberry.field(
        default=None, description="What it is told, at most 300 characters."
    )


def polling_of(given: PopJobInput) -> Polling | Rejection:
    """The values to check; exactly one kind must be given."""
    kinds = [kind for kind in (given.image, given.text, given.interrogation) if kind is not None]
    if len(kinds) != 1:
        message = "give exactly one of image, text and interrogation"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    return Polling(
        name=given.worker_name,
        agent=given.bridge_agent or "",
        amount=given.amount or 0,
        wait_seconds=given.wait_seconds or 0,
        served=_served(kinds[0]),
    )


def _served(
    kind: ImageCapabilitiesInput | TextCapabilitiesInput | InterrogationCapabilitiesInput,
) -> ImagesServed | TextsServed | FormsServed:
    common: dict[str, Any] = {
        "extra_slow": bool(kind.extra_slow),
        "blacklist": kind.blacklist or [],
        "threads": kind.threads or 0,
        "priority_users": kind.priority_users or [],
        "test_mode": bool(kind.test_mode),
    }
    everybody = frozenset(_of_everybody(kind))
    match kind:
        case ImageCapabilitiesInput():
            return ImagesServed(
                **common,
                allows=everybody.union(_of_images(kind)),
                models=kind.models,
                max_pixels=kind.max_pixels or 0,
            )
        case TextCapabilitiesInput():
            return TextsServed(
                **common,
                allows=everybody | ({"soft_prompt"} if kind.soft_prompts else set()),
                models=kind.models,
                max_length=kind.max_length or 0,
                max_context_length=kind.max_context_length or 0,
                soft_prompts=kind.soft_prompts or [],
            )
        case InterrogationCapabilitiesInput():
            return FormsServed(
                **common,
                allows=everybody,
                forms=[str(form.value) for form in kind.forms],
                max_tiles=kind.max_tiles or 0,
            )


def _of_everybody(kind: WorkerCapabilities) -> Iterator[str]:
    """The requirements that a worker of any kind allows, by their names."""
    said = {
        "nsfw": kind.nsfw,
        "unsafe_address": kind.allow_unsafe_address,
        "untrusted_requester": not kind.trusted_requesters_only,
        "not_covered": not kind.require_upfront_kudos,
        "not_extra_slow": not kind.extra_slow,
    }
    yield from (name for name, allowed in said.items() if allowed)


def _of_images(image: ImageCapabilitiesInput) -> Iterator[str]:
    """What only image workers are asked."""
    said = {
        "post_processing": image.allow_post_processing,
        "img2img": image.allow_img2img,
        "painting": image.allow_painting,
        "lora": image.allow_lora,
        "controlnet": image.allow_controlnet,
        "sdxl_controlnet": image.allow_sdxl_controlnet,
        "many_steps": not image.limit_max_steps,
    }
    yield from (name for name, allowed in said.items() if allowed)
    yield from (str(feature.value) for feature in image.features or ())

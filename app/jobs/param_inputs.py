"""The API's inputs of how pictures are drawn: parameters, LoRAs, textual inversions, texts of workflows.

Nothing is checked here but types. Look next: `app.jobs.inputs`, `app.jobs.image_params` for the bounds.
"""

from __future__ import annotations

import strawberry

from app.jobs import image_params
from app.platform import post_processors
from app.platform.graphql.enums import described_enum

Sampler = described_enum(
    image_params.Sampler,
    "Sampler",
    "How noise becomes a picture.",
    lambda sampler: f"Workers know it as {sampler.value}.",
)
PostProcessor = described_enum(
    post_processors.PostProcessor,
    "PostProcessor",
    "What may be done to a finished picture. At most one that enlarges it.",
    lambda processor: f"Workers know it as {processor.value}.",
)


ControlType = described_enum(
    image_params.ControlType,
    "ControlType",
    "What of its source a ControlNet holds fast.",
    lambda control: f"Workers know it as {control.value}.",
)
Workflow = described_enum(
    image_params.Workflow,
    "Workflow",
    "A chain of steps that workers know by name.",
    lambda workflow: f"Workers know it as {workflow.value}.",
)
Injection = described_enum(
    image_params.Injection,
    "Injection",
    "Where a worker puts a textual inversion.",
    lambda place: {"PROMPT": "In the prompt.", "NEGATIVE_PROMPT": "In the negative prompt."}[place.name],
)


class Unsaid(int):
    """A default that can be told from the same number given by a client."""


@strawberry.input(description="A LoRA: a small addition to a model.")
class LoraInput:
    """One LoRA."""

    name: str = strawberry.field(
        description="Its name or id on CivitAI, 1 to 255 characters; with isVersion the id of a version."
    )
    model: float | None = strawberry.field(
        default=1.0, description="How strongly it works on the model, -5 to 5."
    )
    clip: float | None = strawberry.field(
        default=1.0, description="How strongly it works on the text encoder, -5 to 5."
    )
    inject_trigger: str | None = strawberry.field(
        default=None,
        description='A trigger word that the worker adds to the prompt, 1 to 30 characters; "any" for any of them.',
    )
    is_version: bool | None = strawberry.field(
        default=False, description="`name` is the id of a version, in digits."
    )


@strawberry.input(description="A textual inversion: a word that a model was taught.")
class TextualInversionInput:
    """One textual inversion."""

    name: str = strawberry.field(description="Its name or id on CivitAI, 1 to 255 characters.")
    inject_ti: Injection | None = strawberry.field(  # type: ignore[valid-type]
        default=None, description="Where the worker puts it. Null: the prompt names it."
    )
    strength: float | None = strawberry.field(
        default=1.0, description="How strongly it works where it is injected, -5 to 5."
    )


@strawberry.input(description="A text for a workflow.")
class ExtraTextInput:
    """One text."""

    text: str = strawberry.field(description="1 to 2,000 characters. It never enters the public log.")
    reference: str = strawberry.field(
        description="What it is for, 3 to 100 characters: qr_code for what a QR code says."
    )


@strawberry.input(description="How pictures are to be drawn.")
class ImageParamsInput:
    """Parameters of an image job; a null is the default."""

    width: int | None = strawberry.field(default=512, description="Pixels, 64 to 3072, a multiple of 64.")
    height: int | None = strawberry.field(default=512, description="Pixels, 64 to 3072, a multiple of 64.")
    steps: int | None = strawberry.field(
        default=Unsaid(30),
        description="Sampling steps, 1 to 500. With a controlType at most 40, and 20 if you say nothing.",
    )
    cfg_scale: float | None = strawberry.field(
        default=5.0, description="How closely to follow the prompt, 0 to 100, two decimals."
    )
    sampler: Sampler | None = strawberry.field(  # type: ignore[valid-type]
        default=Sampler.K_EULER_A, description="How noise becomes a picture."
    )
    seed: str | None = strawberry.field(
        default=None, description="Text or a number; the same seed draws the same picture. Null: chance."
    )
    seed_variation: int | None = strawberry.field(
        default=None, description="What is added to the seed from one picture to the next, 1 to 1000."
    )
    n: int | None = strawberry.field(default=1, description="How many pictures, 1 to 20.")
    karras: bool | None = strawberry.field(default=True, description="Use the Karras noise schedule.")
    tiling: bool | None = strawberry.field(default=False, description="Make pictures that tile.")
    hires_fix: bool | None = strawberry.field(default=False, description="Draw small first, then larger.")
    hires_fix_denoising_strength: float | None = strawberry.field(
        default=None, description="How much the second pass may change, 0.01 to 1."
    )
    clip_skip: int | None = strawberry.field(
        default=1, description="Layers of the text encoder to skip, 1 to 12."
    )
    post_processing: list[PostProcessor] | None = strawberry.field(  # type: ignore[valid-type]
        default_factory=list, description="What to do to the finished pictures, in this order."
    )
    facefixer_strength: float | None = strawberry.field(
        default=None, description="How strongly faces are mended, 0 to 1."
    )
    denoising_strength: float | None = strawberry.field(
        default=None,
        description="How far from its source a picture may go, 0.01 to 1. Null: the worker's choice.",
    )
    control_type: ControlType | None = strawberry.field(  # type: ignore[valid-type]
        default=None,
        description="What of its source a ControlNet holds fast. Needs a source; for Stable Diffusion 1 and 2 models, "
        "and not with inpainting.",
    )
    image_is_control: bool | None = strawberry.field(
        default=False, description="The source is a control map already."
    )
    return_control_map: bool | None = strawberry.field(
        default=False, description="Give the control map of the source instead of a picture."
    )
    loras: list[LoraInput] | None = strawberry.field(
        default_factory=list, description="At most 5. Which ones never enters the public log."
    )
    tis: list[TextualInversionInput] | None = strawberry.field(
        default_factory=list,
        description="Textual inversions, at most 20. Which ones never enters the public log.",
    )
    workflow: Workflow | None = strawberry.field(  # type: ignore[valid-type]
        default=None,
        description="A chain of steps. QR_CODE draws a picture that is a QR code; it needs an extra text with the "
        "reference qr_code, and is for Stable Diffusion 1 and SDXL models.",
    )
    transparent: bool | None = strawberry.field(
        default=False,
        description="Draw with a transparent background. For Stable Diffusion 1 and SDXL models, and with neither a "
        "controlType nor extra sources.",
    )
    extra_texts: list[ExtraTextInput] | None = strawberry.field(
        default_factory=list, description="Texts for the workflow, at most 10."
    )

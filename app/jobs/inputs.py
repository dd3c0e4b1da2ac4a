"""The API's inputs of image jobs, and from them the raw values that `app.jobs.image_request` checks.

Nothing is checked here but types: every bound is named in one place, the checks. Look next: `app.jobs.image_request`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

from app.jobs import image_params
from app.platform.graphql.enums import described_enum
from app.platform.graphql.scalars import Kudos

Sampler = described_enum(
    image_params.Sampler,
    "Sampler",
    "How noise becomes a picture.",
    lambda sampler: f"Workers know it as {sampler.value}.",
)
PostProcessor = described_enum(
    image_params.PostProcessor,
    "PostProcessor",
    "What may be done to a finished picture. At most one that enlarges it.",
    lambda processor: f"Workers know it as {processor.value}.",
)


@strawberry.input(description="How pictures are to be drawn.")
class ImageParamsInput:
    """Parameters of an image job; a null is the default."""

    width: int | None = strawberry.field(default=512, description="Pixels, 64 to 3072, a multiple of 64.")
    height: int | None = strawberry.field(default=512, description="Pixels, 64 to 3072, a multiple of 64.")
    steps: int | None = strawberry.field(default=30, description="Sampling steps, 1 to 500.")
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


@strawberry.input(description="An image job.")
class SubmitImageJobInput:
    """Input of submitImageJob and quoteImageJob."""

    prompt: str = strawberry.field(description="What to draw. It never enters the public log.")
    negative_prompt: str | None = strawberry.field(default=None, description="What not to draw.")
    models: list[str] | None = strawberry.field(
        default_factory=list,
        description="Any of these models will do, at most 20; none means any model at all.",
    )
    params: ImageParamsInput | None = strawberry.field(
        default_factory=ImageParamsInput, description="How to draw it."
    )
    share: bool | None = strawberry.field(
        default=None,
        description="Give the pictures and the prompt to the public data set (CC0-1.0), for a lower tax. "
        "Null: not shared. Anonymous jobs are shared whatever this says.",
    )
    nsfw: bool | None = strawberry.field(default=False, description="The pictures may be not safe for work.")
    censor_nsfw: bool | None = strawberry.field(
        default=True, description="Workers censor what turns out not safe for work although `nsfw` is false."
    )
    max_kudos: Kudos | None = strawberry.field(
        default=None, description="Refuse if the quote is higher than this."
    )
    wait_seconds: int | None = strawberry.field(
        default=0,
        description="Wait so long for the job to end, 0 to 60, before answering with the job as it then stands.",
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="The same key gives the same job, however often it is sent within 7 days. "
        "Without an account it must be a UUID.",
    )


def raw_of(given: SubmitImageJobInput) -> dict[str, Any]:
    """The values to check, by the names of `ImageRequest`'s fields."""
    raw = {
        name: _plain(value)
        for name, value in vars(given).items()
        if name not in ("idempotency_key", "censor_nsfw", "wait_seconds")
    }
    raw["params"] = {name: _plain(value) for name, value in vars(given.params).items()}
    return raw


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value

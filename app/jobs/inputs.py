"""The API's inputs of image jobs, and from them the raw values that `app.jobs.image_request` checks.

Nothing is checked here but types: every bound is named in one place, the checks. Look next: `app.jobs.param_inputs`,
`app.jobs.image_request`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

from app.jobs.param_inputs import ImageParamsInput, Unsaid
from app.platform import webhooks
from app.platform.graphql.scalars import Kudos
from app.platform.graphql.shared import SourceProcessing
from app.platform.webhooks import WebhookInput


@strawberry.input(description="A picture that you give: exactly one of the two.")
class SourceImageInput:
    """A source image."""

    upload_id: strawberry.ID | None = strawberry.field(default=None, description="What you uploaded.")
    url: str | None = strawberry.field(
        default=None, description="An https URL, at most 2,000 characters, from which it is fetched once."
    )


@strawberry.input(description="A further source of a remix.")
class ExtraSourceInput:
    """One of them."""

    image: SourceImageInput = strawberry.field(description="The picture.")
    strength: float | None = strawberry.field(default=1.0, description="How much of it is taken, 0 to 1.")


@strawberry.input(description="An image job.")
class SubmitImageJobInput:
    """Input of submitImageJob and quoteImageJob."""

    prompt: str = strawberry.field(description="What to draw. It never enters the public log.")
    negative_prompt: str | None = strawberry.field(
        default=None, description="What not to draw. Null: what follows ### in the prompt, if that holds it."
    )
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
    source: SourceImageInput | None = strawberry.field(
        default=None, description="A picture to start from. Nothing made from one is ever shared."
    )
    source_processing: SourceProcessing | None = strawberry.field(
        default=SourceProcessing.IMG2IMG, description="What is done with the source."
    )
    source_mask: SourceImageInput | None = strawberry.field(
        default=None,
        description="Says by its white what inpainting and outpainting may change. Without one the source's alpha does.",
    )
    extra_sources: list[ExtraSourceInput] | None = strawberry.field(
        default_factory=list,
        description="Further sources of a REMIX, at most 5; more than one is for trusted users.",
    )
    nsfw: bool | None = strawberry.field(default=False, description="The pictures may be not safe for work.")
    censor_nsfw: bool | None = strawberry.field(
        default=True, description="Workers censor what turns out not safe for work although `nsfw` is false."
    )
    workers: list[strawberry.ID] | None = strawberry.field(
        default_factory=list, description="Ids or names of at most 5 workers: only they may serve the job."
    )
    deny_workers: bool | None = strawberry.field(
        default=False, description="All workers but those may serve it, for 10 % more."
    )
    trusted_workers: bool | None = strawberry.field(
        default=False, description="Only workers of trusted users may serve it."
    )
    slow_workers: bool | None = strawberry.field(
        default=True, description="Slow workers may serve it, too; if not, it costs 20 % more."
    )
    extra_slow_workers: bool | None = strawberry.field(
        default=False, description="So may workers that take three times as long."
    )
    batching: bool | None = strawberry.field(
        default=True,
        description="A worker may draw several of its pictures at once, which may change them a little. False with "
        "more than one picture is for trusted users.",
    )
    allow_downgrade: bool | None = strawberry.field(
        default=False,
        description="If the kudos are short, make it smaller rather than refuse it; a warning says how small.",
    )
    proxied_account: str | None = strawberry.field(
        default=None,
        description="For whom you ask, by a name of your own, 1 to 255 characters; for accounts with the role service. "
        "It never enters the public log.",
    )
    max_kudos: Kudos | None = strawberry.field(
        default=None,
        description="Refuse if the quote is higher than this. A job that names no model is offered to models of dearer "
        "families, too, as far as this allows.",
    )
    webhook: WebhookInput | None = strawberry.field(default=None, description=webhooks.DESCRIPTION)
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
        name: plain(value)
        for name, value in vars(given).items()
        if name not in ("idempotency_key", "censor_nsfw", "wait_seconds", "webhook")
    }
    if given.params is not None and isinstance(given.params.steps, Unsaid):
        raw["params"]["steps"] = None
    return raw


#: most values are one of these
_SCALARS = frozenset({type(None), bool, int, float, str})


def plain(value: Any) -> Any:
    """A value of an input without the API's types."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "__strawberry_definition__"):
        return {name: plain(item) for name, item in vars(value).items()}
    return value

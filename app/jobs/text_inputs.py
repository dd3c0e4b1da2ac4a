"""The API's inputs of text jobs, and from them the raw values that `app.jobs.text_request` checks.

Nothing is checked here but types: every bound is named in one place, the checks. Look next: `app.jobs.text_request`,
`app.jobs.text_params`.
"""

from __future__ import annotations

from typing import Any

import strawberry

from app.platform import webhooks
from app.platform.graphql.scalars import Kudos
from app.platform.webhooks import WebhookInput


@strawberry.input(description="How texts are to be written.")
class TextParamsInput:
    """Parameters of a text job; a null is the default, or where there is none, the backend's own."""

    n: int | None = strawberry.field(default=1, description="How many texts, 1 to 20.")
    max_length: int | None = strawberry.field(
        default=80, description="Tokens that are written at most, 16 to 4,096. What is written is charged."
    )
    max_context_length: int | None = strawberry.field(
        default=2048,
        description="Tokens that are read at most, 80 to 1,048,576: of a longer prompt only the end. At least maxLength.",
    )
    rep_pen: float | None = strawberry.field(default=None, description="Penalty on repetition, 1 to 3.")
    rep_pen_range: int | None = strawberry.field(
        default=None, description="Tokens over which repetition is looked at, 0 to 4,096."
    )
    rep_pen_slope: float | None = strawberry.field(
        default=None, description="How much more recent repetition counts, 0 to 10."
    )
    temperature: float | None = strawberry.field(
        default=None, description="How much is left to chance, 0 to 5."
    )
    tfs: float | None = strawberry.field(default=None, description="Tail-free sampling, 0 to 1.")
    top_a: float | None = strawberry.field(default=None, description="Top-a sampling, 0 to 1.")
    top_k: int | None = strawberry.field(
        default=None, description="Only so many of the likeliest tokens, 0 to 200; 0: all."
    )
    top_p: float | None = strawberry.field(
        default=None, description="Only the likeliest tokens up to this probability together, 0.001 to 1."
    )
    typical: float | None = strawberry.field(default=None, description="Typical sampling, 0 to 1.")
    min_p: float | None = strawberry.field(
        default=None,
        description="Only tokens at least so likely, in proportion to the likeliest, 0 to 1.",
    )
    smoothing_factor: float | None = strawberry.field(
        default=None, description="Quadratic sampling, 0 to 10."
    )
    dynatemp_range: float | None = strawberry.field(
        default=None, description="By how much the temperature may vary, 0 to 5."
    )
    dynatemp_exponent: float | None = strawberry.field(
        default=None, description="How the temperature follows from what is known, 0 to 5."
    )
    sampler_order: list[int] | None = strawberry.field(
        default_factory=list,
        description="The order of the samplers by the numbers of the backend: at least 7 different ones, 0 to 100, at "
        "most 30 numbers. Empty: the backend's own.",
    )
    stop_sequence: list[str] | None = strawberry.field(
        default_factory=list,
        description="Texts after which nothing more is written: at most 128 different ones, 2,000 characters in all.",
    )
    singleline: bool | None = strawberry.field(default=None, description="Stop at the end of the line.")
    frmtadsnsp: bool | None = strawberry.field(
        default=None, description="Put a space before the text if the prompt needs one."
    )
    frmtrmblln: bool | None = strawberry.field(default=None, description="Remove blank lines.")
    frmtrmspch: bool | None = strawberry.field(default=None, description="Remove special characters.")
    frmttriminc: bool | None = strawberry.field(default=None, description="Remove an unfinished sentence.")
    use_default_badwordsids: bool | None = strawberry.field(
        default=None, description="Never write the tokens that the backend bans by default."
    )


@strawberry.input(description="A text job.")
class SubmitTextJobInput:
    """Input of submitTextJob and quoteTextJob."""

    prompt: str = strawberry.field(
        description="What to go on from, at most 200,000 characters. It never enters the public log."
    )
    models: list[str] | None = strawberry.field(
        default_factory=list,
        description="Any of these models will do, at most 20; none means any model at all, of up to 15 billion parameters "
        "unless maxKudos allows larger ones.",
    )
    params: TextParamsInput | None = strawberry.field(
        default_factory=TextParamsInput, description="How to write it."
    )
    soft_prompt: str | None = strawberry.field(
        default=None, description="A soft prompt, by the name that workers declare, 1 to 100 characters."
    )
    nsfw: bool | None = strawberry.field(default=False, description="The texts may be not safe for work.")
    workers: list[strawberry.ID] | None = strawberry.field(
        default_factory=list, description="Ids or names of at most 5 workers: only they may serve the job."
    )
    deny_workers: bool | None = strawberry.field(
        default=False, description="All workers but those may serve it, for 10 % more."
    )
    trusted_workers: bool | None = strawberry.field(
        default=False, description="Only workers of trusted users may serve it."
    )
    validated_backends: bool | None = strawberry.field(
        default=False, description="Only workers whose program the operator knows may serve it."
    )
    slow_workers: bool | None = strawberry.field(
        default=True, description="Slow workers may serve it, too; if not, it costs 20 % more."
    )
    extra_slow_workers: bool | None = strawberry.field(
        default=False, description="So may workers that take three times as long."
    )
    batching: bool | None = strawberry.field(
        default=True,
        description="A worker may write several of its texts at once. False with more than one is for trusted users.",
    )
    allow_downgrade: bool | None = strawberry.field(
        default=False,
        description="If the kudos are short, shorten it rather than refuse it; a warning says how much.",
    )
    proxied_account: str | None = strawberry.field(
        default=None,
        description="For whom you ask, by a name of your own, 1 to 255 characters; for accounts with the role service. "
        "It never enters the public log.",
    )
    max_kudos: Kudos | None = strawberry.field(
        default=None,
        description="Refuse if the quote is higher than this. A job that names no model is offered to models of all "
        "sizes as far as this allows.",
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


def raw_text(given: SubmitTextJobInput) -> dict[str, Any]:
    """The values to check, by the names of `TextRequest`'s fields."""
    raw = {
        name: value
        for name, value in vars(given).items()
        if name not in ("idempotency_key", "wait_seconds", "webhook", "params")
    }
    return raw | {"params": None if given.params is None else dict(vars(given.params))}

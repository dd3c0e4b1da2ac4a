"""The API's input of interrogations, and from it the raw values that `app.jobs.interrogation_request` checks.

Nothing is checked here but types. Look next: `app.jobs.interrogation_request` for the bounds.
"""

from __future__ import annotations

from typing import Any

import strawberry

from app.jobs.inputs import SourceImageInput, plain
from app.platform import webhooks
from app.platform.graphql.scalars import Kudos
from app.platform.graphql.shared import InterrogationForm
from app.platform.webhooks import WebhookInput


@strawberry.input(description="An interrogation: what is asked of a picture. Nothing of it is ever shared.")
class SubmitInterrogationJobInput:
    """Input of submitInterrogationJob and quoteInterrogationJob."""

    forms: list[InterrogationForm] = strawberry.field(
        description="What to tell of the picture, or to make of it: 1 to 20, none of them twice."
    )
    source: SourceImageInput = strawberry.field(
        description="The picture. By URL it is fetched before anything is queued; forms that make a picture cost by its "
        "size, so for them it must be uploaded."
    )
    nsfw: bool | None = strawberry.field(
        default=False, description="The picture may be not safe for work: only workers that take such get it."
    )
    reuse: bool | None = strawberry.field(
        default=True,
        description="What was told of the same URL within 5 days will do, free, and what is told now may be told others "
        "who ask the same. False: neither.",
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
    proxied_account: str | None = strawberry.field(
        default=None,
        description="For whom you ask, by a name of your own, 1 to 255 characters; for accounts with the role service. "
        "It never enters the public log.",
    )
    max_kudos: Kudos | None = strawberry.field(
        default=None, description="Refuse if the quote is higher than this."
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


def raw_of(given: SubmitInterrogationJobInput) -> dict[str, Any]:
    """The values to check, by the names of `InterrogationRequest`'s fields."""
    return {
        name: plain(value)
        for name, value in vars(given).items()
        if name not in ("idempotency_key", "wait_seconds", "webhook")
    }

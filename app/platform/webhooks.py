"""The webhook that a job may come with: what a client writes of it, checked; its secret; and whose URLs may be told.

Every slice that takes jobs puts `WebhookInput` into its input, calls `job_webhook`, and hands the row to its decider,
which adds it to the words of the job. Look next: `app.webhooks` for all that happens then, docs/webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final
from uuid import UUID

import msgspec
import strawberry

from app.platform.commands import Rejection
from app.platform.graphql.enums import described_enum
from app.platform.keys import webhook_secret
from app.platform.outside import ForbiddenUrlError, Outside
from app.platform.rates import WEBHOOKS
from app.platform.services import Services
from app.platform.vault import JobWebhook
from events import webhooks
from events.base import ANONYMOUS

#: what secrets begin with, by the Standard Webhooks specification
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what stands before a secret
#: bytes of a secret that a client gives
SECRET_BYTES: Final = (24, 64)
#: the description of the field that submissions have
DESCRIPTION: Final = "Where to tell what becomes of this job. Not for anonymous users."
SHOWN: Final = "What the job's webhook is signed with; null if it has none, or you gave a secret of your own."

WebhookEvent = described_enum(
    webhooks.WebhookEvent,
    "WebhookEvent",
    "What a webhook may be told of. Clients must expect new values.",
    lambda event: {
        "GENERATION_DONE": "generation.done: a generation was delivered.",
        "GENERATION_CENSORED": "generation.censored: a worker did it and withheld it.",
        "GENERATION_FAULTED": "generation.faulted: a generation was given up after failures.",
        "JOB_DONE": "job.done: nothing of a job waits or runs any more, and something was delivered.",
        "JOB_FAULTED": "job.faulted: a job ended without anything to show.",
        "JOB_CANCELLED": "job.cancelled: a cancelled job has ended.",
        "JOB_EXPIRED": "job.expired: a job that nobody served has ended.",
    }[event.name],
)


@strawberry.input(description="Where to tell what becomes of one job.")
class WebhookInput:
    """A webhook of one job."""

    url: str = strawberry.field(
        description="An https URL on the public internet, at most 2,000 characters. It never enters the public log."
    )
    events: list[WebhookEvent] | None = strawberry.field(  # type: ignore[valid-type]
        default=None, description="What to tell; null for everything."
    )
    secret: str | None = strawberry.field(
        default=None,
        description='What to sign with: "whsec_" and base64 of 24 to 64 bytes. Null: a secret of this job, which the '
        "result shows.",
    )


class Told(msgspec.Struct, frozen=True):
    """Where a client wants to be told what becomes of its job, and from what address it asks."""

    address: str
    webhook: WebhookInput | None


async def job_webhook(
    services: Services, actor: UUID, told: Told, job: UUID
) -> JobWebhook | Rejection | None:
    """The row that a job's webhook makes, None where none was given, or why it is refused."""
    if (given := told.webhook) is None:
        return None
    path = ("input", "webhook")
    if actor == ANONYMOUS:
        message = "webhooks are for users with an account: nobody answers for those of anonymous users"
        return Rejection(code="FORBIDDEN", message=message, path=path)
    url = checked_url(services, given.url, (*path, "url"))
    if isinstance(url, Rejection):
        return url
    events = checked_events(given.events, (*path, "events"))
    if isinstance(events, Rejection):
        return events
    if given.secret is not None and secret_bytes(given.secret) is None:
        low, high = SECRET_BYTES
        message = f"a secret is {SECRET_PREFIX} and the base64 of {low} to {high} bytes"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "secret"))
    if (limited := await too_often(services, actor, told.address)) is not None:
        return limited
    return JobWebhook(job, actor, url, events, given.secret or "")


async def too_often(services: Services, actor: UUID, address: str) -> Rejection | None:
    """Count what makes this server call strangers; a rejection beyond the limit."""
    for who in (address, str(actor)):
        if (delay := await services.rates.delay(WEBHOOKS, "webhook", who)) is not None:
            message = "too many webhooks in this minute"
            detail = {"retry_after_seconds": round(delay, 1)}
            return Rejection(code="TRY_AGAIN", message=message, detail=detail)
    return None


def checked_url(services: Services, text: str, path: tuple[str, ...]) -> str | Rejection:
    """A URL that a webhook may lead to, by its form; what its name leads to is looked at whenever it is told."""
    try:
        url = outside_of(services.settings.webhook_networks).url(text)
    except ForbiddenUrlError as error:
        return Rejection(code="INVALID_INPUT", message=str(error), path=path)
    if url.scheme != "https":
        return Rejection(code="INVALID_INPUT", message="a webhook's URL begins with https://", path=path)
    return text


def checked_events(
    given: list[Any] | None, path: tuple[str, ...]
) -> tuple[webhooks.WebhookEvent, ...] | Rejection:
    """What is told: all where nothing is said. Each is told once, however often it is named."""
    if given is None:
        return tuple(webhooks.WebhookEvent)
    named = {webhooks.WebhookEvent(event.value) for event in given}
    if not named:
        message = "name something to tell, or leave it null for everything"
        return Rejection(code="INVALID_INPUT", message=message, path=path)
    return tuple(event for event in webhooks.WebhookEvent if event in named)


def webhook_secret_of(services: Services, job: UUID, given: WebhookInput | None) -> str | None:
    """What a client is shown of its job's secret: nothing that it gave itself."""
    if given is None or given.secret is not None:
        return None
    return secret_text(webhook_secret(services.settings.pepper, job))


def secret_text(secret: bytes) -> str:
    """A secret as receivers want it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def secret_bytes(text: str) -> bytes | None:
    """The secret in a text; None if it is none that a client may give."""
    if not text.startswith(SECRET_PREFIX):
        return None
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX).encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return secret if SECRET_BYTES[0] <= len(secret) <= SECRET_BYTES[1] else None


def outside_of(networks: str) -> Outside:
    """Where webhooks may lead."""
    return Outside.of(networks)

"""Checks what a client asks of a picture, field by field, and names every fault at once.

Pure. Look next: `app.jobs.fields` for how values are taken, `app.jobs.interrogation_wish` for who may ask for how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from app.jobs.fields import Fault, Fields, boolean, each, integer, refusal, words
from app.jobs.image_request import (
    MAX_PROXIED_CHARS,
    MAX_WORKER_CHARS,
    MAX_WORKERS,
    PictureGiven,
    picture_given,
)
from app.platform.post_processors import PostProcessor, makes_picture
from events.jobs import InterrogationForm

#: forms that one job asks for
MAX_FORMS: Final = 20

_KNOWN: Final[dict[str, str]] = {
    name: form.value for form in (*InterrogationForm, *PostProcessor) for name in (form.name, form.value)
}
_MAX_KUDOS: Final = 2**63 - 1


class InterrogationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An interrogation that a client may ask for."""

    #: as workers know them, each once, in the client's order
    forms: tuple[str, ...]
    source: PictureGiven
    nsfw: bool = False
    #: what was told before will do, and what is told now may be told others
    reuse: bool = True
    #: workers by id or name: only these, or with `deny_workers` all but these
    workers: tuple[str, ...] = ()
    deny_workers: bool = False
    trusted_workers: bool = False
    slow_workers: bool = True
    extra_slow_workers: bool = False
    #: for whom a service asks, by a name of its own
    proxied_account: str | None = None
    #: the most the client will pay, in hundredths of kudos
    max_kudos: int | None = None


def validate_interrogation_request(raw: Mapping[str, object]) -> InterrogationRequest | tuple[Fault, ...]:
    """The request that `raw` makes, or every fault in it.

    Args:
        raw: the fields of `InterrogationRequest` by their names. What is missing or None takes its default; there is
            none for forms and source.
    """
    said = {name: value for name, value in raw.items() if value is not None}
    fields = Fields({"forms": (), "source": {}, **said}, ("input",))
    request = InterrogationRequest(
        forms=fields.take("forms", _forms, ()),
        source=fields.take("source", picture_given, PictureGiven(None, None)),
        nsfw=fields.take("nsfw", boolean, default=False),
        reuse=fields.take("reuse", boolean, default=True),
        workers=fields.take("workers", _workers, ()),
        deny_workers=fields.take("deny_workers", boolean, default=False),
        trusted_workers=fields.take("trusted_workers", boolean, default=False),
        slow_workers=fields.take("slow_workers", boolean, default=True),
        extra_slow_workers=fields.take("extra_slow_workers", boolean, default=False),
        proxied_account=fields.take("proxied_account", _PROXIED, None),
        max_kudos=fields.take("max_kudos", _MAX_KUDOS_CHECK, None),
    )
    return tuple(fields.faults) or _sized(request)


def _sized(request: InterrogationRequest) -> InterrogationRequest | tuple[Fault, ...]:
    """What makes a picture costs by the size of the source, which nobody knows before it is there."""
    if request.source.url is None or not any(map(makes_picture, request.forms)):
        return request
    message = "must be uploaded for forms that make a picture: they cost by its size, and the quote comes before it is fetched"
    return (Fault(("input", "source", "url"), message),)


def _form(value: object) -> str:
    found = _KNOWN.get(value) if isinstance(value, str) else None
    if found is None:
        raise refusal("must be a form of interrogation or a post-processor")
    return found


def _forms(value: object) -> tuple[str, ...]:
    forms = each(value, _form, MAX_FORMS)
    if not forms:
        raise refusal("must have at least one form")
    return forms


def _workers(value: object) -> tuple[str, ...]:
    return each(value, _WORKER, MAX_WORKERS)


_WORKER: Final = words(MAX_WORKER_CHARS, 1)
_PROXIED: Final = words(MAX_PROXIED_CHARS, 1)
_MAX_KUDOS_CHECK: Final = integer(0, _MAX_KUDOS)

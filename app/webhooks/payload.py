"""What a webhook is told: a small JSON text, made anew at every attempt. Pure.

Never a prompt. What a worker made is in it as long as the vault has it: words themselves, pictures as links. Look next:
docs/webhooks.md; `app.webhooks.record`, which reads what goes in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from app.platform import form_results
from app.webhooks.told import PING, event_of
from events.base import Fact
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    GenerationFaulted,
    InterrogationForm,
    JobEnded,
    JobEvent,
    JobKind,
    generations_of,
    kind_of,
)
from projections.generations import GenerationState

#: characters of what is told of a form at most; a longer drawing is asked for by the job's id
MAX_RESULT: Final = 64 * 1024

_STATES: Final = {
    GenerationCensored: GenerationState.CENSORED,
    GenerationFaulted: GenerationState.FAULTED,
}


class Words(msgspec.Struct, frozen=True):
    """What is known of a generation besides the fact: nothing of it once its words were erased."""

    worker_name: str | None = None
    seed: str | None = None
    image_url: str | None = None
    text: str | None = None
    #: what an interrogation was about, and what was told of it, as the vault keeps it
    form: str | None = None
    result: str | None = None


class JobView(msgspec.Struct, frozen=True):
    """What is known of a job besides the fact."""

    kind: JobKind
    #: hundredths of kudos
    charged: int


class _Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a delivery is about; what is not known or does not apply is left out."""

    webhook_id: UUID | None = None
    job_id: UUID | None = None
    kind: JobKind | None = None
    generation_id: UUID | None = None
    state: str | None = None
    kudos: str | None = None
    model: str | None = None
    worker_id: UUID | None = None
    worker_name: str | None = None
    seed: str | None = None
    image_url: str | None = None
    text: str | None = None
    form: str | None = None
    result: Any = None


class _Payload(msgspec.Struct, frozen=True):
    """The whole text."""

    type: str
    #: when it happened
    timestamp: datetime
    data: _Data


def payload_of(webhook: UUID, fact: Fact, job: JobView, words: Words) -> bytes:
    """What is sent about a fact."""
    event = fact.event
    told = event_of(event)
    if told is None or not isinstance(event, JobEvent):
        return msgspec.json.encode(_Payload(PING, fact.occurred_at, _Data(webhook_id=webhook)))
    if isinstance(event, JobEnded):
        data = _Data(job_id=event.job, kind=job.kind, state=event.state, kudos=_kudos(job.charged))
    else:
        data = _generation(event, words)
    return msgspec.json.encode(_Payload(told.value, fact.occurred_at, data))


def _generation(event: JobEvent, words: Words) -> _Data:
    made = event if isinstance(event, GenerationDelivered | GenerationCensored) else None
    return _Data(
        job_id=event.job,
        kind=kind_of(event),
        generation_id=generations_of(event)[0],
        state=_STATES.get(type(event), GenerationState.DONE),
        kudos=_kudos(0 if made is None else made.charged),
        model=None if made is None else made.model,
        worker_id=None if made is None else made.worker,
        worker_name=words.worker_name,
        seed=words.seed,
        image_url=words.image_url,
        text=words.text,
        form=words.form,
        result=_result(words),
    )


def _result(words: Words) -> Any:
    """What was told of a picture: pairs by their names, all else as it is; nothing of what is too long."""
    if words.form is None or words.result is None or len(words.result) > MAX_RESULT:
        return None
    told = form_results.decode(InterrogationForm(words.form), words.result)
    if not isinstance(told, tuple):
        return told
    return [msgspec.structs.asdict(each) for each in told]


def _kudos(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02d}"

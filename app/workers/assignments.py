"""Work as the API hands it to workers of each kind: what a lease is about, by links as fresh as the lease.

Resolvers only map. Look next: `app.workers.handlers`, which reads it, `app.workers.graphql`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from app.platform.graphql.inline import Place, inline
from app.platform.graphql.scalars import JSON
from app.platform.graphql.shared import InterrogationForm, JobKind, SourceProcessing
from app.platform.services import Info, services_of
from app.platform.sources import MAX_SOURCE_BYTES
from app.platform.vault import SourceRole
from app.workers import handlers
from app.workers.messages import told
from app.workers.types import WorkerMessage, worker_message
from events import jobs as facts


@strawberry.interface(description="Work for a worker, of whatever kind: a lease on generations of one job.")
class Assignment:
    """What the work of all kinds shares."""

    lease_id: strawberry.ID = strawberry.field(description="The lease.")
    job_id: strawberry.ID = strawberry.field(description="The job.")
    kind: JobKind = strawberry.field(description="What the job asks for.")
    expires_at: datetime = strawberry.field(description="Deliver, extend or give back before this.")
    messages: list[WorkerMessage] = strawberry.field(
        description="What the worker is told, newest first, at most 20: with every poll, until it expires."
    )


@strawberry.type(description="A picture to draw.")
class ImageTask:
    """One generation of an assignment."""

    id: strawberry.ID = strawberry.field(description="The generation.")
    seed: str = strawberry.field(description="The seed to draw it with.")
    upload_url: str = strawberry.field(
        description="PUT the picture (WebP, PNG or JPEG, at most 20 MB) there, without a Content-Type header."
    )


@strawberry.type(description="A further source image, for a remix.")
class ExtraSource:
    """One of several sources."""

    url: str = strawberry.field(description="GET the picture (WebP, PNG or JPEG) there.")
    strength: float = strawberry.field(description="How much of it the new picture takes.")
    key: strawberry.Private[str]

    @strawberry.field(description="The picture itself, in base64; at most 4 pictures in one operation.")
    async def base64(self, info: Info) -> str | None:
        """Read when it is asked for; null once it was erased."""
        return await _inline(info, self.key)


@strawberry.interface(description="The source images of an assignment, by links as fresh as the lease.")
class SourceLinks:
    """What a job is drawn from besides its words."""

    source_image_url: str | None = strawberry.field(
        description="GET the source image (WebP, PNG or JPEG, at most 10 MiB) there; null if it has none."
    )
    source_mask_url: str | None = strawberry.field(
        description="GET the mask there: what is white in it may be painted anew; null if it has none."
    )
    extra_sources: list[ExtraSource] = strawberry.field(
        description="Further source images in their order, at most 5."
    )


@strawberry.type(description="Work for an image worker.")
class ImageAssignment(Assignment, SourceLinks):
    """A lease on generations of one image job."""

    model: str = strawberry.field(description="The model to draw with.")
    payload: JSON = strawberry.field(
        description="prompt, negative_prompt, width, height, steps, cfg_scale, sampler_name, karras, tiling, "
        "hires_fix, clip_skip, post_processing, use_nsfw_censor and what else the client asked for."
    )
    generations: list[ImageTask] = strawberry.field(description="The pictures to draw.")
    source_processing: SourceProcessing | None = strawberry.field(
        description="What to do with the source image; null: there is none."
    )
    keys: strawberry.Private[dict[SourceRole, str]]

    @strawberry.field(
        description="The source image itself, in base64, for workers that cannot reach the storage; null if there is "
        "none. At most 4 pictures in one operation."
    )
    async def source_image_base64(self, info: Info) -> str | None:
        """Read when it is asked for."""
        return await _inline(info, self.keys.get(SourceRole.SOURCE))

    @strawberry.field(description="The mask itself, in base64; null if there is none.")
    async def source_mask_base64(self, info: Info) -> str | None:
        """Read when it is asked for."""
        return await _inline(info, self.keys.get(SourceRole.MASK))


@strawberry.type(description="A text to write.")
class TextTask:
    """One generation of an assignment."""

    id: strawberry.ID = strawberry.field(description="The generation.")
    seed: str = strawberry.field(description="The seed to write it with.")


@strawberry.type(description="Work for a text worker.")
class TextAssignment(Assignment):
    """A lease on generations of one text job."""

    model: str = strawberry.field(description="The model to write with.")
    payload: JSON = strawberry.field(
        description="prompt, max_length, max_context_length, temperature and what else the client asked for, by the "
        "names that text backends know."
    )
    soft_prompt: str | None = strawberry.field(description="The soft prompt to use; null: none.")
    generations: list[TextTask] = strawberry.field(description="The texts to write.")


@strawberry.type(description="A form of interrogation to tell.")
class FormTask:
    """One generation of an assignment."""

    id: strawberry.ID = strawberry.field(description="The generation.")
    form: InterrogationForm = strawberry.field(description="What to tell of the picture, or to make of it.")
    upload_url: str | None = strawberry.field(
        description="For forms that make a picture: PUT it there, without a Content-Type header."
    )


@strawberry.type(description="Work for an interrogation worker.")
class InterrogationAssignment(Assignment):
    """A lease on forms of one interrogation."""

    source_image_url: str | None = strawberry.field(
        description="GET the picture (WebP, PNG or JPEG, at most 10 MiB) there; null once it was erased."
    )
    forms: list[FormTask] = strawberry.field(description="What to tell; each may be submitted by itself.")
    key: strawberry.Private[str | None]

    @strawberry.field(description="The picture itself, in base64, for workers that cannot reach the storage.")
    async def source_image_base64(self, info: Info) -> str | None:
        """Read when it is asked for."""
        return await _inline(info, self.key)


async def assignment_of(info: Info, work: handlers.Assignment) -> Assignment:
    """The work of a lease, as its kind of worker needs it."""
    common: dict[str, Any] = {
        "lease_id": strawberry.ID(str(work.lease.id)),
        "job_id": strawberry.ID(str(work.lease.job)),
        "kind": JobKind(work.lease.kind.value),
        "expires_at": work.lease.expires_at,
        "messages": await messages_for(info, work.lease.worker),
    }
    match work.lease.kind:
        case facts.JobKind.IMAGE:
            return _image_assignment(work, common)
        case facts.JobKind.TEXT:
            written = [TextTask(id=task.id, seed=task.seed) for task in tasks(work.uploads)]
            apart = ("soft_prompt", "negative_prompt")
            payload = JSON({name: value for name, value in work.payload.items() if name not in apart})
            soft_prompt = work.payload.get("soft_prompt")
            return TextAssignment(
                **common,
                model=work.lease.model,
                payload=payload,
                soft_prompt=soft_prompt,
                generations=written,
            )
        case facts.JobKind.INTERROGATION:
            return _interrogation_assignment(work, common)


def _image_assignment(work: handlers.Assignment, common: dict[str, Any]) -> ImageAssignment:
    processing = work.payload.get("source_processing") if work.sources else None
    return ImageAssignment(
        **common,
        model=work.lease.model,
        payload=JSON(work.payload),
        generations=tasks(work.uploads),
        source_processing=None if processing is None else SourceProcessing(processing),
        keys={source.role: source.key for source in work.sources},
        **links(work.sources),
    )


def _interrogation_assignment(work: handlers.Assignment, common: dict[str, Any]) -> InterrogationAssignment:
    source = next(iter(work.sources), None)
    forms = [
        FormTask(
            id=strawberry.ID(str(upload.generation)),
            form=InterrogationForm(upload.form),
            upload_url=upload.url or None,
        )
        for upload in work.uploads
    ]
    return InterrogationAssignment(
        **common,
        source_image_url=None if source is None else source.url,
        key=None if source is None else source.key,
        forms=forms,
    )


def links(sources: tuple[handlers.Source, ...]) -> dict[str, Any]:
    """The fields of `SourceLinks`."""
    by_role = {source.role: source.url for source in sources}
    extra = [source for source in sources if source.role is SourceRole.EXTRA]
    return {
        "source_image_url": by_role.get(SourceRole.SOURCE),
        "source_mask_url": by_role.get(SourceRole.MASK),
        "extra_sources": [
            ExtraSource(url=source.url, strength=source.strength, key=source.key) for source in extra
        ],
    }


async def _inline(info: Info, key: str | None) -> str | None:
    """A source of a job, in base64."""
    if key is None:
        return None
    place = Place(services_of(info).settings.bucket_sources, key)
    return await inline(info, place, limit=MAX_SOURCE_BYTES)


async def messages_for(info: Info, worker: UUID) -> list[WorkerMessage]:
    """What a worker is told with its polls."""
    messages = await told(services_of(info), worker)
    return [worker_message(message, info.context.viewer.subject) for message in messages]


def tasks(uploads: tuple[handlers.Upload, ...]) -> list[ImageTask]:
    """What a lease is still to deliver."""
    return [
        ImageTask(id=strawberry.ID(str(upload.generation)), seed=str(upload.seed), upload_url=upload.url)
        for upload in uploads
    ]

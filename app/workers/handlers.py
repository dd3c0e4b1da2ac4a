"""Delivering, extending, giving back, maintenance: objects checked before the command, links made after it.

The object is looked at before the writer is asked, never under the lock. Look next: `app.workers.lease_decider`,
`app.workers.polling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from app.platform.commands import Done, Rejection
from app.platform.generation_notes import GenerationNote, NotesError, encode_notes
from app.platform.handling import idempotency, parse_id, run
from app.platform.objects import (
    MAX_OBJECT_BYTES,
    Missing,
    ObjectHead,
    result_key,
    sniff_image,
)
from app.platform.services import Services
from app.platform.storage_errors import StorageUnavailableError
from app.platform.vault import SourceRole
from app.workers.capabilities import MAX_NAME
from app.workers.conduct import unreasonable_text_speed
from app.workers.decider import SetMaintenance
from app.workers.lease_decider import (
    ExtendLease,
    GenerationResult,
    ReleaseLease,
    ResultState,
    SubmitResults,
)
from app.workers.queries import BY_ID, BY_NAME, DIGEST, GENERATIONS, LEASE, LIVE_WORK, WORK, Named, Work
from app.workers.told import Told, makes_picture, words_of
from events.base import ANONYMOUS
from events.jobs import JobKind
from projections.generations import Generation, GenerationState
from projections.leases import Lease, LeaseState

#: upload links outlive their lease by so much, in seconds
GRACE_SECONDS = 120
#: what S3 signs at most
MAX_LINK_SECONDS = 7 * 86_400
MAX_RESULTS = 20
MAX_SEED = 100
MAX_METADATA = 20_000
MAX_MESSAGE = 300
MAX_ASSIGNMENTS = 100


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker reports of one generation, unchecked."""

    generation: str
    state: ResultState
    seed: str | None
    metadata: Any
    notes: tuple[GenerationNote, ...] = ()
    #: of a text job, and of an interrogation
    text: str | None = None
    form: Any = None


class Upload(msgspec.Struct, frozen=True):
    """A generation that a lease still has to deliver, its seed and where to put the picture."""

    generation: UUID
    seed: int
    #: empty where words are delivered
    url: str
    #: of an interrogation, what is asked of the picture; empty of other kinds
    form: str = ""


class Source(msgspec.Struct, frozen=True):
    """A picture that the job is drawn from, and where a worker gets it."""

    role: SourceRole
    strength: float
    #: in the bucket of sources
    key: str
    url: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs to do the work of a lease."""

    lease: Lease
    payload: dict[str, Any]
    uploads: tuple[Upload, ...]
    #: in the order of their ordinals
    sources: tuple[Source, ...]


async def assignment(services: Services, lease: UUID) -> Assignment | None:
    """The work of a lease, with links as long as the lease and a grace; None if its words were erased meanwhile.

    What the lease has delivered, or a lease that has ended, gets no link: nothing may replace what was accepted.
    """
    work = await WORK.one(services.pool, realm=services.realm, id=lease)
    return None if work is None else _assignment(services, work, await _forms(services, [work]))


async def live_assignments(services: Services, actor: UUID, worker_name: str | None) -> list[Assignment]:
    """The work of the caller's live leases, with fresh links: what a worker that was cut off goes on with.

    At most 100, those that end first. An unknown worker, or another's, has none for this caller.
    """
    worker: UUID | None = None
    if worker_name is not None:
        named = await find_worker(services, worker_name)
        if named is None:
            return []
        worker = named.worker.id
    if actor == ANONYMOUS:  # owns no workers
        return []
    found = await LIVE_WORK.all(
        services.pool, realm=services.realm, owner=actor, worker=worker, limit=MAX_ASSIGNMENTS
    )
    forms = await _forms(services, found)
    return [_assignment(services, work, forms) for work in found]


async def _forms(services: Services, found: Sequence[Work]) -> dict[UUID, str]:
    """What is asked of the picture, by generation; of other kinds of work nothing is read."""
    asked = [key for work in found if work.lease.kind is JobKind.INTERROGATION for key in work.lease.pending]
    if not asked:
        return {}
    rows: list[Generation] = await GENERATIONS.all(services.pool, realm=services.realm, ids=asked)
    return {row.id: row.form for row in rows if row.form is not None}


def _assignment(services: Services, work: Work, forms: Mapping[UUID, str]) -> Assignment:
    payload = {
        "prompt": work.prompt,
        "negative_prompt": work.negative_prompt,
        **msgspec.json.decode(work.payload),
    }
    left = int((work.lease.expires_at - datetime.now(UTC)).total_seconds())
    seconds = min(max(1, left) + GRACE_SECONDS, MAX_LINK_SECONDS)
    bucket = services.settings.bucket_results
    uploads = tuple(
        Upload(
            key,
            work.seeds[key],
            services.objects.presign_put(bucket, result_key(work.lease.id, key), seconds)
            if makes_picture(work.lease.kind, forms.get(key))
            else "",
            forms.get(key, ""),
        )
        for key in work.lease.pending
        if key in work.seeds
    )
    return Assignment(
        lease=work.lease, payload=payload, uploads=uploads, sources=_sources(services, work, seconds)
    )


def _sources(services: Services, work: Work, seconds: int) -> tuple[Source, ...]:
    bucket = services.settings.bucket_sources
    # Whatever type their uploader gave them, nothing here is to be shown by a browser.
    return tuple(
        Source(
            source.role,
            source.strength,
            source.key,
            services.objects.presign_get(bucket, source.key, seconds, "application/octet-stream"),
        )
        for source in work.sources
    )


async def submit_results(
    services: Services,
    actor: UUID,
    lease_text: str,
    reported: list[Reported],
    key: str | None,
    parameters: object,
) -> Done | Rejection:
    """Check what was uploaded, then settle."""
    lease = await _lease(services, actor, lease_text)
    if isinstance(lease, Rejection):
        return lease
    if not 1 <= len(reported) <= MAX_RESULTS:
        message = f"1 to {MAX_RESULTS} results at once"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "results"))
    settled = await _known(services, lease)
    results = []
    for index, report in enumerate(reported):
        result = await _checked(services, lease, report, settled, ("input", "results", str(index)))
        if isinstance(result, Rejection):
            if result.code == "STORAGE_UNAVAILABLE":  # no fault of the worker's: it gets more time
                await run(services, ExtendLease(lease=lease.id, owner=actor), actor=actor)
            return result
        results.append(result)
    if len({result.generation for result in results}) < len(results):
        return Rejection(
            code="INVALID_INPUT", message="a generation is named twice", path=("input", "results")
        )
    promise = idempotency(actor, "submitResult", key, parameters)
    command = SubmitResults(
        lease=lease.id,
        owner=actor,
        results=tuple(results),
        storage_away=await _storage_away(services, lease, results),
        source=await _source(services, lease),
    )
    return await run(services, command, actor=actor, promise=promise)


async def _source(services: Services, lease: Lease) -> UUID | None:
    """By what the URL of an interrogated picture is known again; of other kinds of work nothing is read."""
    if lease.kind is not JobKind.INTERROGATION:
        return None
    return await DIGEST.one(services.pool, realm=services.realm, job=lease.job)


async def _storage_away(services: Services, lease: Lease, results: Sequence[GenerationResult]) -> bool:
    """Whether a worker that gave up could not upload anything: storage failed lately, or does not answer now."""
    given_up = [result.generation for result in results if result.state is ResultState.FAULTED]
    if not given_up or services.objects.failed_lately:
        return bool(given_up)
    try:
        bucket = services.settings.bucket_results
        await services.objects.head_of_object(services.http, bucket, result_key(lease.id, given_up[0]))
    except StorageUnavailableError:
        return True
    return False


class _Known(msgspec.Struct, frozen=True):
    """Of a lease's generations those that are settled, and which forms of an interrogation they are."""

    settled: frozenset[UUID]
    forms: dict[UUID, str]

    def __contains__(self, generation: UUID) -> bool:
        """Whether a generation is settled."""
        return generation in self.settled


async def _known(services: Services, lease: Lease) -> _Known:
    """What is settled: whatever comes now repeats or is too late, and is not looked at."""
    if lease.state is LeaseState.RELEASED:
        return _Known(frozenset(lease.generations), {})
    rows: list[Generation] = await GENERATIONS.all(
        services.pool, realm=services.realm, ids=list(lease.generations)
    )
    open_ = (GenerationState.WAITING, GenerationState.PROCESSING)
    settled = frozenset(
        row.id
        for row in rows
        if row.state not in open_ and (row.lease == lease.id or row.id not in lease.pending)
    )
    return _Known(settled, {row.id: row.form for row in rows if row.form is not None})


async def _checked(
    services: Services, lease: Lease, report: Reported, settled: _Known, path: tuple[str, ...]
) -> GenerationResult | Rejection:
    """One report with its words bounded and its object there."""
    generation = parse_id(report.generation)
    if generation is None or generation not in lease.generations:
        message = "this generation is not of this lease"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "generationId"))
    if report.seed is not None and not (
        report.seed.isascii() and report.seed.isdigit() and len(report.seed) <= MAX_SEED
    ):
        return Rejection(code="INVALID_INPUT", message="a seed is a number in digits", path=(*path, "seed"))
    metadata = None if report.metadata is None else msgspec.json.encode(report.metadata).decode()
    if metadata is not None and (len(metadata) > MAX_METADATA or "\\u0000" in metadata):
        message = f"metadata has at most {MAX_METADATA} characters of JSON and no NUL"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "metadata"))
    try:
        notes = encode_notes(report.notes)
    except NotesError as error:
        place = () if error.place is None else (str(error.place), "ref")
        return Rejection(code="INVALID_INPUT", message=str(error), path=(*path, "notes", *place))
    head, told = None, Told()
    if report.state is ResultState.OK and generation not in settled:
        form = settled.forms.get(generation)
        checked = words_of(lease.kind, form, report.text, report.form, path)
        if isinstance(checked, Rejection):
            return checked
        told = checked
        if makes_picture(lease.kind, form):
            found = await _uploaded(services, lease, generation, path)
            if isinstance(found, Rejection):
                return found
            head = found
    return GenerationResult(
        generation=generation,
        state=report.state,
        etag=head.etag if head else None,
        version=head.version if head else "",
        seed=report.seed,
        metadata=metadata,
        notes=notes,
        text=told.text,
        form=told.form,
        fastest=_fastest(services, lease),
    )


def _fastest(services: Services, lease: Lease) -> int | None:
    """Of texts the size of the model decides which speeds cannot be."""
    if lease.kind is not JobKind.TEXT:
        return None
    return unreasonable_text_speed(lease.model, services.models.parameters(lease.model))


async def _uploaded(
    services: Services, lease: Lease, generation: UUID, path: tuple[str, ...]
) -> ObjectHead | Rejection:
    """An uploaded picture: there, not too large, and one by its first bytes."""
    key = result_key(lease.id, generation)
    try:
        head = await services.objects.head_of_object(services.http, services.settings.bucket_results, key)
    except StorageUnavailableError:
        message = "the object storage does not answer: nothing was decided, try again"
        return Rejection(code="STORAGE_UNAVAILABLE", message=message, path=path)
    if isinstance(head, Missing):
        return Rejection(code="OBJECT_MISSING", message="nothing was uploaded for this generation", path=path)
    if head.size > MAX_OBJECT_BYTES:
        message = f"the picture has {head.size} bytes, at most {MAX_OBJECT_BYTES} are taken"
        return Rejection(code="INVALID_INPUT", message=message, path=path)
    if sniff_image(head.magic) is None:
        return Rejection(
            code="INVALID_INPUT", message="what was uploaded is no WebP, PNG or JPEG picture", path=path
        )
    return head


async def extend_lease(
    services: Services, actor: UUID, lease_text: str
) -> tuple[Done, Assignment | None] | Rejection:
    """More time for a lease; answers with its work, so that the links are as fresh as the lease."""
    lease = await _lease(services, actor, lease_text)
    if isinstance(lease, Rejection):
        return lease
    outcome = await run(services, ExtendLease(lease=lease.id, owner=actor), actor=actor)
    if isinstance(outcome, Rejection):
        return outcome
    return outcome, await assignment(services, lease.id)


async def release_lease(services: Services, actor: UUID, lease_text: str) -> Done | Rejection:
    """Give back what a lease has not delivered."""
    lease = await _lease(services, actor, lease_text)
    if isinstance(lease, Rejection):
        return lease
    return await run(services, ReleaseLease(lease=lease.id, owner=actor), actor=actor)


async def set_maintenance(
    services: Services, actor: UUID, worker_text: str, message: str | None, *, maintenance: bool
) -> tuple[Done, Named] | Rejection:
    """Start or end maintenance of a worker, named by id or name: by its owner or a moderator."""
    words = message or ""
    if len(words) > MAX_MESSAGE or "\0" in words:
        fault = f"a message has at most {MAX_MESSAGE} characters"
        return Rejection(code="INVALID_INPUT", message=fault, path=("input", "message"))
    worker = await find_worker(services, worker_text)
    if worker is None:
        return Rejection(code="NOT_FOUND", message="you have no such worker", path=("input", "worker"))
    command = SetMaintenance(
        worker=worker.worker.id,
        owner=worker.worker.owner,
        by=actor,
        maintenance=maintenance,
        message=words,
    )
    outcome = await run(services, command, actor=actor)
    if isinstance(outcome, Rejection):
        return outcome
    changed = msgspec.structs.replace(worker.worker, maintenance=maintenance)
    return outcome, Named(worker.name, words or None, changed, worker.owner)


async def find_worker(services: Services, text: str) -> Named | None:
    """The worker of an id or name."""
    worker = parse_id(text)
    if worker is not None and (found := await BY_ID.one(services.pool, realm=services.realm, id=worker)):
        return found
    if len(text) > MAX_NAME or "\0" in text:  # no worker's name, and the database would not take it
        return None
    return await BY_NAME.one(services.pool, realm=services.realm, name=text)


async def _lease(services: Services, actor: UUID, text: str) -> Lease | Rejection:
    """A lease of the caller's; anybody else's does not exist."""
    key = parse_id(text)
    lease: Lease | None = (
        None if key is None else await LEASE.one(services.pool, realm=services.realm, id=key)
    )
    if lease is None or lease.owner != actor:
        return Rejection(code="NOT_FOUND", message="you have no such lease", path=("input", "leaseId"))
    return lease

"""The catalogue of errors: what a mutation may answer, and what refuses a whole request.

Two kinds, never mixed: `UserError` members of result unions (data, for expected failures), and
`ApiError` (a top-level GraphQL error: authentication, limits, retry). Slices build these types and
add none of their own codes elsewhere. How exceptions become errors is in `masking.py`.
"""

from datetime import datetime
from enum import Enum

import strawberry

from app.platform.graphql.scalars import Kudos


@strawberry.enum(description="Why a mutation was refused. Clients must expect new values.")
class ErrorCode(Enum):
    """Codes of `UserError`, the same names in GraphQL and in rejections."""

    INVALID_INPUT = strawberry.enum_value(
        "INVALID_INPUT", description="A value of the input is not acceptable; `path` names it."
    )
    NOT_FOUND = strawberry.enum_value(
        "NOT_FOUND", description="What the input names does not exist, or not for this caller."
    )
    FORBIDDEN = strawberry.enum_value("FORBIDDEN", description="The caller may not do this.")
    IDEMPOTENCY_CONFLICT = strawberry.enum_value(
        "IDEMPOTENCY_CONFLICT", description="The idempotency key was used before with another input."
    )
    INSUFFICIENT_KUDOS = strawberry.enum_value(
        "INSUFFICIENT_KUDOS", description="The available kudos do not cover what this needs."
    )
    TOO_MANY_JOBS = strawberry.enum_value(
        "TOO_MANY_JOBS", description="The caller has as many waiting generations as it may have."
    )
    WORKER_IN_MAINTENANCE = strawberry.enum_value(
        "WORKER_IN_MAINTENANCE", description="The worker is in maintenance and takes no jobs but its owner's."
    )
    WORKER_PAUSED = strawberry.enum_value(
        "WORKER_PAUSED", description="A moderator paused the worker: it is given no work at all."
    )
    WORKER_BUSY = strawberry.enum_value(
        "WORKER_BUSY", description="The worker is at work: it cannot be deleted before its leases end."
    )
    TOO_MANY_WORKERS = strawberry.enum_value(
        "TOO_MANY_WORKERS", description="The caller has as many workers as it may have."
    )
    LEASE_ENDED = strawberry.enum_value(
        "LEASE_ENDED", description="The lease has expired or was released, and nothing is paid for it."
    )
    ASSIGNMENT_ENDED = strawberry.enum_value(
        "ASSIGNMENT_ENDED", description="The picture was judged or skipped, or the time for it is over."
    )
    JOB_NOT_ENDED = strawberry.enum_value(
        "JOB_NOT_ENDED", description="The job has not ended: its pictures are rated when it has."
    )
    NOT_SHARED = strawberry.enum_value(
        "NOT_SHARED",
        description="The job's pictures are not shared, or not any more: ratings are of shared ones.",
    )
    ALREADY_RATED = strawberry.enum_value(
        "ALREADY_RATED", description="It was rated otherwise before, and a judgement stands."
    )
    BEST_NOT_HIGHEST = strawberry.enum_value(
        "BEST_NOT_HIGHEST", description="Another picture is rated higher than the one that is named the best."
    )
    OBJECT_MISSING = strawberry.enum_value(
        "OBJECT_MISSING", description="Nothing acceptable was uploaded to the given link."
    )
    STORAGE_UNAVAILABLE = strawberry.enum_value(
        "STORAGE_UNAVAILABLE",
        description="The object storage does not answer; the same call may be repeated, and leases are extended.",
    )
    TRY_AGAIN = strawberry.enum_value(
        "TRY_AGAIN", description="The server is too busy for this just now; the same call may succeed later."
    )
    MAINTENANCE_MODE = strawberry.enum_value(
        "MAINTENANCE_MODE", description="The whole house is in maintenance and takes no new jobs."
    )
    INVITE_ONLY = strawberry.enum_value(
        "INVITE_ONLY", description="New workers are taken from invited and trusted users only at present."
    )
    REGISTRATION_CLOSED = strawberry.enum_value(
        "REGISTRATION_CLOSED", description="No accounts can be opened at present."
    )
    UNSAFE_ADDRESS = strawberry.enum_value(
        "UNSAFE_ADDRESS", description="Nothing is taken from the caller's network at present."
    )


@strawberry.interface(
    description="An expected failure: every member of a result union that is one has this shape."
)
class UserError:
    """Base of the failures that result unions hold."""

    code: ErrorCode = strawberry.field(description="What clients switch on.")
    message: str = strawberry.field(description="For people to read; it may change.")
    path: list[str] = strawberry.field(
        default_factory=list,
        description="Names and indexes from the argument down to the value at fault; empty when none is.",
    )


@strawberry.type(description="A value of the input is not acceptable.")
class InvalidInput(UserError):
    """The input is at fault at `path`."""

    code: ErrorCode = strawberry.field(
        default=ErrorCode.INVALID_INPUT, description="INVALID_INPUT, or a narrower code."
    )


@strawberry.type(description="What the input names does not exist, or not for this caller.")
class NotFound(UserError):
    """Also answered for what exists but is another's: the two must look the same."""

    code: ErrorCode = strawberry.field(default=ErrorCode.NOT_FOUND, description="NOT_FOUND.")


@strawberry.type(description="The caller may not do this.")
class Forbidden(UserError):
    """The caller is known and lacks the right."""

    code: ErrorCode = strawberry.field(default=ErrorCode.FORBIDDEN, description="FORBIDDEN.")


@strawberry.type(description="The idempotency key was used before with another input.")
class IdempotencyConflict(UserError):
    """Nothing was done; the first outcome stands."""

    code: ErrorCode = strawberry.field(
        default=ErrorCode.IDEMPOTENCY_CONFLICT, description="IDEMPOTENCY_CONFLICT."
    )


@strawberry.type(description="The largest job that the available kudos would cover.")
class LargestJob:
    """A hint beside INSUFFICIENT_KUDOS."""

    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")
    steps: int = strawberry.field(description="Sampling steps.")
    n: int = strawberry.field(description="Number of pictures.")


@strawberry.type(description="The available kudos do not cover what this needs.")
class InsufficientKudos(UserError):
    """Amounts in hundredths inside, decimal strings outside."""

    code: ErrorCode = strawberry.field(
        default=ErrorCode.INSUFFICIENT_KUDOS, description="INSUFFICIENT_KUDOS."
    )
    required: Kudos = strawberry.field(description="What it needs.")
    available: Kudos = strawberry.field(description="What the caller has and holds for nothing else.")
    missing: Kudos = strawberry.field(description="Required less available.")
    largest: LargestJob | None = strawberry.field(
        default=None, description="The largest job of this kind that would be covered, if any is."
    )
    limit_pixels: int | None = strawberry.field(
        default=None, description="Width x height up to which a job of yours needs no kudos in hand."
    )
    limit_steps: int | None = strawberry.field(
        default=None, description="Accurate steps up to which a job of yours needs no kudos in hand."
    )
    limit_tokens: int | None = strawberry.field(
        default=None, description="Of texts: maxLength up to which a job of yours needs no kudos in hand."
    )
    limit_prompt_tokens: int | None = strawberry.field(
        default=None,
        description="Of texts: tokens of the prompt, about a quarter of its characters, up to which it needs none.",
    )
    largest_length: int | None = strawberry.field(
        default=None,
        description="Of texts: the largest maxLength of the same job that would be accepted, if any is.",
    )


@strawberry.type(description="The caller has as many waiting generations as it may have.")
class TooManyJobs(UserError):
    """Both counts are of generations, not of jobs."""

    code: ErrorCode = strawberry.field(default=ErrorCode.TOO_MANY_JOBS, description="TOO_MANY_JOBS.")
    waiting: int = strawberry.field(description="Generations of the caller that wait now.")
    would_wait: int = strawberry.field(description="Generations that would wait with those asked for.")
    limit: int = strawberry.field(description="How many may wait.")


@strawberry.type(description="The worker is in maintenance.")
class WorkerInMaintenance(UserError):
    """Set by the worker's owner or a moderator, or by rule after too many failures."""

    code: ErrorCode = strawberry.field(
        default=ErrorCode.WORKER_IN_MAINTENANCE, description="WORKER_IN_MAINTENANCE."
    )
    maintenance_message: str | None = strawberry.field(
        default=None,
        description="What the one who set the maintenance wrote, or why the worker rests by rule.",
    )
    maintenance_until: datetime | None = strawberry.field(
        default=None, description="When a rest by rule ends; null if only its owner ends it."
    )


@strawberry.type(description="A moderator paused the worker.")
class WorkerPaused(UserError):
    """No work at all is given to it, not even its owner's; what it has leased it may still deliver."""

    code: ErrorCode = strawberry.field(default=ErrorCode.WORKER_PAUSED, description="WORKER_PAUSED.")


@strawberry.type(description="The worker is at work.")
class WorkerBusy(UserError):
    """It can be deleted once its leases have ended."""

    code: ErrorCode = strawberry.field(default=ErrorCode.WORKER_BUSY, description="WORKER_BUSY.")
    leases: int = strawberry.field(description="Leases of the worker that live.")
    until: datetime = strawberry.field(description="When the last of them ends, unless it is extended.")


@strawberry.type(description="The caller has as many workers as it may have.")
class TooManyWorkers(UserError):
    """Trusted users may have more."""

    code: ErrorCode = strawberry.field(default=ErrorCode.TOO_MANY_WORKERS, description="TOO_MANY_WORKERS.")
    workers: int = strawberry.field(description="Workers that the caller has.")
    limit: int = strawberry.field(description="How many it may have.")


@strawberry.type(description="The lease has ended and nothing is paid for it.")
class LeaseEnded(UserError):
    """The message says whether it expired, was released, or the job ended."""

    code: ErrorCode = strawberry.field(default=ErrorCode.LEASE_ENDED, description="LEASE_ENDED.")


@strawberry.type(description="What was handed out cannot be judged any more.")
class AssignmentEnded(UserError):
    """The message says whether it was judged, skipped, or its time is over."""

    code: ErrorCode = strawberry.field(default=ErrorCode.ASSIGNMENT_ENDED, description="ASSIGNMENT_ENDED.")


@strawberry.type(description="Nothing acceptable was uploaded to the given link.")
class ObjectMissing(UserError):
    """The caller may upload and ask again; a worker, while its lease lives."""

    code: ErrorCode = strawberry.field(default=ErrorCode.OBJECT_MISSING, description="OBJECT_MISSING.")


@strawberry.type(description="The object storage does not answer.")
class StorageUnavailable(UserError):
    """Nothing was decided: the same call may be repeated."""

    code: ErrorCode = strawberry.field(
        default=ErrorCode.STORAGE_UNAVAILABLE, description="STORAGE_UNAVAILABLE."
    )


@strawberry.type(description="The server is too busy for this just now.")
class TryAgain(UserError):
    """Nothing was decided: the same call may be repeated after a while."""

    code: ErrorCode = strawberry.field(default=ErrorCode.TRY_AGAIN, description="TRY_AGAIN.")
    retry_after_seconds: float = strawberry.field(description="Seconds to wait before the next attempt.")


@strawberry.type(description="The whole house is in maintenance.")
class MaintenanceMode(UserError):
    """What was taken before is served to its end; see the query `modes`."""

    code: ErrorCode = strawberry.field(default=ErrorCode.MAINTENANCE_MODE, description="MAINTENANCE_MODE.")


@strawberry.type(description="New workers are taken from invited and trusted users only at present.")
class InviteOnly(UserError):
    """A moderator invites whom it gives a number of workers, by `setWorkerLimit`."""

    code: ErrorCode = strawberry.field(default=ErrorCode.INVITE_ONLY, description="INVITE_ONLY.")


@strawberry.type(description="No accounts can be opened at present.")
class RegistrationClosed(UserError):
    """Those that there are work on."""

    code: ErrorCode = strawberry.field(
        default=ErrorCode.REGISTRATION_CLOSED, description="REGISTRATION_CLOSED."
    )


@strawberry.type(description="Nothing is taken from the caller's network at present.")
class UnsafeAddress(UserError):
    """Trusted users may submit from anywhere."""

    code: ErrorCode = strawberry.field(default=ErrorCode.UNSAFE_ADDRESS, description="UNSAFE_ADDRESS.")

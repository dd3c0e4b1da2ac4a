"""From a decider's rejection to the error type of the API, by its code.

Look next: `app.platform.graphql.errors` for the types, `app.platform.commands.Rejection`.
"""

from __future__ import annotations

from typing import Any

from app.platform import metrics
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.errors import (
    ErrorCode,
    InsufficientKudos,
    LargestJob,
    UserError,
)

_TYPES: dict[str, type[UserError]] = {
    "NOT_FOUND": errors.NotFound,
    "FORBIDDEN": errors.Forbidden,
    "IDEMPOTENCY_CONFLICT": errors.IdempotencyConflict,
    "TOO_MANY_JOBS": errors.TooManyJobs,
    "WORKER_IN_MAINTENANCE": errors.WorkerInMaintenance,
    "WORKER_PAUSED": errors.WorkerPaused,
    "WORKER_BUSY": errors.WorkerBusy,
    "TOO_MANY_WORKERS": errors.TooManyWorkers,
    "LEASE_ENDED": errors.LeaseEnded,
    "ASSIGNMENT_ENDED": errors.AssignmentEnded,
    "OBJECT_MISSING": errors.ObjectMissing,
    "STORAGE_UNAVAILABLE": errors.StorageUnavailable,
    "TRY_AGAIN": errors.TryAgain,
    "MAINTENANCE_MODE": errors.MaintenanceMode,
    "INVITE_ONLY": errors.InviteOnly,
    "REGISTRATION_CLOSED": errors.RegistrationClosed,
    "UNSAFE_ADDRESS": errors.UnsafeAddress,
}


def error_of(rejection: Rejection) -> Any:
    """The API's error for a rejection."""
    code = ErrorCode(rejection.code)
    metrics.child(metrics.REFUSALS, rejection.code).inc()
    path = list(rejection.path)
    if rejection.code == "INSUFFICIENT_KUDOS":
        return _insufficient(rejection, path)
    kind = _TYPES.get(rejection.code, errors.InvalidInput)
    return kind(code=code, message=rejection.message, path=path, **rejection.detail)


def _insufficient(rejection: Rejection, path: list[str]) -> InsufficientKudos:
    detail = rejection.detail
    largest = detail.get("largest")
    return InsufficientKudos(
        message=rejection.message,
        path=path,
        required=detail["required"],
        available=detail["available"],
        missing=detail["missing"],
        limit_pixels=detail.get("limit_pixels"),
        limit_steps=detail.get("limit_steps"),
        limit_tokens=detail.get("limit_tokens"),
        limit_prompt_tokens=detail.get("limit_prompt_tokens"),
        largest_length=detail.get("largest_length"),
        largest=None
        if largest is None
        else LargestJob(width=largest.width, height=largest.height, steps=largest.steps, n=largest.n),
    )

"""Where the picture of a generation lies, and why there is none.

Look next: `app.jobs.types`, `app.platform.graphql.inline`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from app.jobs.queries import GenerationView
from app.platform.graphql.inline import Place
from app.platform.objects import result_key, shared_keys
from app.platform.settings import Settings
from projections.generations import HIDING, GenerationState

#: bytes of a picture that is shown inline
MAX_INLINE_BYTES: Final = 5 * 1024 * 1024


class Absence(StrEnum):
    """Why there is no picture."""

    NOT_DELIVERED = "NOT_DELIVERED"
    REPORTED = "REPORTED"
    EXPIRED = "EXPIRED"


def absence_of(view: GenerationView) -> Absence | None:
    """Why a generation has no picture to show, or of an interrogation nothing that was told; None if it has."""
    if view.state is not GenerationState.DONE or (view.lease is None and view.reused is None):
        return Absence.NOT_DELIVERED
    if view.report in HIDING:
        return Absence.REPORTED
    return Absence.EXPIRED if view.erased and view.sha256 is None else None


def place_of(settings: Settings, view: GenerationView) -> Place | None:
    """Where its picture lies: as the worker uploaded it, and once that is erased, as it was published."""
    if absence_of(view) is not None or view.lease is None:
        return None
    if view.erased:
        return Place(settings.bucket_shared, shared_keys(view.id)[0])
    return Place(settings.bucket_results, result_key(view.lease, view.id), view.version or "")

"""Which type of the API shows a job, and its generations, by the job's kind.

Look next: `app.jobs.types` for what they share, `app.jobs.image_types`.
"""

from __future__ import annotations

from typing import Final

from app.jobs.following import Look
from app.jobs.image_types import ImageGeneration, ImageJob, image_generation, image_job
from app.jobs.queries import GenerationView
from events.jobs import JobKind
from projections.jobs import Job as JobRow

#: a job of whatever kind, and a generation of one
AnyJob = ImageJob
AnyGeneration = ImageGeneration

#: what shows a job, and what one of its generations, of each kind
_SHOWN: Final = {JobKind.IMAGE: (image_job, image_generation)}
#: the types that implement Job, which no field of the schema names
JOB_TYPES: Final = (ImageJob,)


def job_of(row: JobRow, look: Look | None = None) -> AnyJob:
    """A job row as the API shows it, with what was read together with it."""
    show, _ = _SHOWN[row.kind]
    return show(row, look)


def generation_of(kind: JobKind, view: GenerationView) -> AnyGeneration:
    """A generation of a job of a kind as the API shows it."""
    _, show = _SHOWN[kind]
    return show(view)

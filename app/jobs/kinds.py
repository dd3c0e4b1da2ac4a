"""Which type of the API shows a job, and its generations, by the job's kind.

Look next: `app.jobs.types` for what they share, `app.jobs.image_types`, `app.jobs.text_types`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.jobs.following import Look
from app.jobs.image_types import ImageGeneration, ImageJob, image_generation, image_job
from app.jobs.interrogation_types import (
    FormGeneration,
    InterrogationJob,
    form_generation,
    interrogation_job,
)
from app.jobs.queries import GenerationView
from app.jobs.text_types import TextGeneration, TextJob, text_generation, text_job
from events.jobs import JobKind
from projections.jobs import Job as JobRow
from projections.queue import text_bounds

#: a job of whatever kind, and a generation of one
AnyJob = ImageJob | TextJob | InterrogationJob
AnyGeneration = ImageGeneration | TextGeneration | FormGeneration

#: what shows a job of each kind
_JOBS: Final[dict[JobKind, Callable[[JobRow, Look | None], AnyJob]]] = {
    JobKind.IMAGE: image_job,
    JobKind.TEXT: text_job,
    JobKind.INTERROGATION: interrogation_job,
}
#: the types that implement Job, which no field of the schema names
JOB_TYPES: Final = (ImageJob, TextJob, InterrogationJob)


def job_of(row: JobRow, look: Look | None = None) -> AnyJob:
    """A job row as the API shows it, with what was read together with it."""
    return _JOBS[row.kind](row, look)


def generation_of(row: JobRow, view: GenerationView) -> AnyGeneration:
    """A generation of a job as the API shows it."""
    match row.kind:
        case JobKind.TEXT:
            _, length = text_bounds(row.size)
            return text_generation(view, length)
        case JobKind.INTERROGATION:
            return form_generation(view)
        case JobKind.IMAGE:
            return image_generation(view)

"""Which job a worker gets: the best of what the search found and of what this very batch changed. Pure.

The same rule as a naive scan of all waiting jobs at the batch's place in the log. Look next: `projections.queue`,
`projections.store.search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.platform.rows import Rows
from projections.generations import GenerationState
from projections.jobs import Job
from projections.queue import (
    OTHERS,
    OWN,
    Candidate,
    Search,
    form_model,
    nearness,
    order,
    unmet_by,
    waits,
)
from projections.workers import Worker


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The best job, and those of its waiting generations that this worker is not barred from."""

    job: Job
    generations: tuple[UUID, ...]
    blacklisted: int


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No candidate will do; `after` is set when more may wait behind the last of them."""

    after: tuple[int, int] | None
    blacklisted: int


def best(worker: Worker, search: Search, allowed: int, rows: Rows) -> Match | Nothing:
    """The first candidate that is confirmed, by what the worker allows as it stands under the lock."""
    found = rows.found(search)
    standing = replace(search, allowed=search.allowed & allowed)
    blacklisted = 0
    for candidate in _candidates(search, rows):
        job = rows.job(candidate.job)
        if job is None or not waits(job) or unmet_by(standing, job) is not None:
            continue
        if worker.maintenance and job.requester != worker.owner:
            continue  # maintenance began after the search was made
        if candidate.blacklisted:
            blacklisted += 1
            continue
        if generations := _untried(standing, job, rows):
            return Match(job=job, generations=generations, blacklisted=blacklisted)
    return Nothing(after=found.after, blacklisted=blacklisted)


def _candidates(search: Search, rows: Rows) -> Iterator[Candidate]:
    """What was found and what this batch queued, best first, each job once: an owner's own job is found twice."""
    found: Iterable[Candidate] = rows.found(search).candidates
    if queued := _queued(search, rows):
        found = sorted((*found, *queued), key=order)
    seen = set()
    for candidate in found:
        if candidate.job not in seen and candidate.job not in rows.gone:
            seen.add(candidate.job)
            yield candidate


def _queued(search: Search, rows: Rows) -> list[Candidate]:
    """Jobs that wait because of this batch, where the search could not see them yet."""
    found = rows.found(search)
    made = []
    for job in rows.queued.values():
        near = nearness(search, job.requester)
        if search.own_only and near != OWN:
            continue
        prompt = rows.prompts.get(job.id)
        if prompt is None and search.blacklist:
            continue
        barred = any(word in prompt.lower() for word in search.blacklist) if prompt else False
        within = _below(job, search.after) and (found.after is None or not _below(job, found.after))
        if near != OTHERS or within:
            made.append(Candidate(job.id, near, job.rank, job.position, barred))
    return made


def _below(job: Job, place: tuple[int, int] | None) -> bool:
    """Whether a job comes after a place (rank, position) in the queue; everything comes after the start."""
    if place is None:
        return True
    return (-job.rank, job.position) > (-place[0], place[1])


def _untried(search: Search, job: Job, rows: Rows) -> tuple[UUID, ...]:
    """Of an interrogation only the forms that the worker tells."""
    return tuple(
        generation.id
        for generation in rows.generations_of(job.id)
        if generation.state is GenerationState.WAITING
        and search.worker not in generation.barred
        and (generation.form is None or form_model(generation.form) in search.models)
    )

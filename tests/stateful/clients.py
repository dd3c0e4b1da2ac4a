"""Rules of clients: submitting, cancelling."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, precondition, rule

from app.jobs.decider import CancelJob, SubmitImageJob
from app.jobs.image_params import Lora, PostProcessor
from app.platform.vault import JobWebhook
from app.sources.decider import RefuseSources
from events.base import ANONYMOUS
from events.jobs import SourceFault, SourceProcessing
from tests.factories import submit
from tests.stateful.model import MODELS, SIZES, PictureWish
from tests.stateful.ordering import TOLD, Ordering, sources_of
from tests.stateful.report import part_of
from tests.stateful.town import jobs, seldom, users, workers

#: what a job may be besides its size: shared, not safe for work, with mended faces, at a price that is too low or exact,
#: with a LoRA, from a picture that is there or that has to be fetched, for trusted workers, not for slow ones, also for
#: those that say that they are slow
FLAGS = (
    "", "shared", "nsfw", "faces", "shared faces", "capped", "priced", "lora", "lora priced", "uploaded", "uploaded faces",
    "fetched", "fetched shared", "trusted", "hasty", "hasty uploaded lora", "patient",
)  # fmt: skip
MODELS_NAMED = ("", "a", "b", "bc", "abc", "c")
SOURCES = {"uploaded": "uploaded", "fetched": "is fetched"}


class Clients(Ordering):
    """What clients do with jobs."""

    @rule(
        target=jobs,
        who=users,
        size=st.sampled_from(list(SIZES)),
        n=st.integers(1, 4),
        models=st.sampled_from(MODELS_NAMED),
        flags=st.sampled_from(FLAGS),
        about=st.sampled_from(("cat", "dog")),
    )
    def submit(
        self, who: UUID, size: str, n: int, models: str, flags: str, about: str
    ) -> UUID | MultipleResults[UUID]:
        words = flags.split()
        source = next((SOURCES[word] for word in words if word in SOURCES), "")
        # as the handler does it: anonymous pictures are always shared, and what was made from a source never
        shared = not source and ("shared" in words or who == ANONYMOUS)
        wish = PictureWish(
            size=size, n=n, models=frozenset(models), shared=shared, nsfw="nsfw" in words, faces="faces" in words,
            about=about, lora="lora" in words, source=source, trusted_workers="trusted" in words,
            hasty="hasty" in words, patient="patient" in words,
        )  # fmt: skip
        limit = wish.quote() - 1 if "capped" in words else wish.quote() if "priced" in words else None
        return self._submit(who, replace(wish, most=limit))

    @rule(target=jobs, who=users, worker=workers, another=workers, deny=st.booleans(), n=st.integers(1, 2))
    @seldom(6)
    def choose(
        self, who: UUID, worker: UUID, another: UUID, deny: bool, n: int
    ) -> UUID | MultipleResults[UUID]:
        """A job for some workers only, or for all but those."""
        chosen = tuple(dict.fromkeys((worker, another)))
        wish = PictureWish(n=n, shared=who == ANONYMOUS, patient=True)
        return self._submit(who, replace(wish, denied=chosen) if deny else replace(wish, only=chosen))

    def something_fetched(self) -> bool:
        """Whether a source is on its way, or was."""
        return any(job.wish.source == "is fetched" for job in self.model.jobs.values())

    @precondition(something_fetched)
    @rule(which=st.integers(0, 3), cause=st.none() | st.sampled_from(list(SourceFault)))
    @seldom(6)
    def source(self, which: int, cause: SourceFault | None) -> None:
        """What the fetching actor found out, also when nobody waits for it any more."""
        found = [job for job in self.model.jobs.values() if job.wish.source == "is fetched"]
        job = found[which % len(found)].id
        if cause is None:
            self.fetched(job)
        else:
            gone = RefuseSources(job=job, cause=cause)
            self.send(lambda: (gone, lambda: self.model.source_fails(job, cause.value)))

    def _submit(self, who: UUID, wish: PictureWish) -> UUID | MultipleResults[UUID]:
        def command(job: UUID) -> SubmitImageJob:
            return _command(
                job, who, wish, self.words(f"A {wish.about.upper()}"), self.hook_of(job, who, wish)
            )

        return self.order_as(who, wish, command, "submitImageJob")

    @rule(target=jobs, who=users, n=st.integers(1, 4), shared=st.booleans(), told=st.sampled_from(TOLD))
    def order(self, who: UUID, n: int, shared: bool, told: tuple[str, ...]) -> UUID | MultipleResults[UUID]:
        """A job that anybody can serve."""
        return self._submit(who, PictureWish(n=n, shared=shared or who == ANONYMOUS, told=told))

    @initialize(target=jobs, n=st.integers(1, 3))
    def first_jobs(self, n: int) -> MultipleResults[UUID]:
        """The richest goes first, but for the workers of the other."""
        _, rich, poor, *_ = self.model.users
        return multiple(self._submitted(rich, PictureWish(n=n)), self._submitted(poor, PictureWish(n=n)))

    def _submitted(self, who: UUID, wish: PictureWish) -> UUID:
        made = self._submit(who, wish)
        assert isinstance(made, UUID)
        return made

    @rule(job=jobs)
    @seldom(3)
    def cancel(self, job: UUID) -> None:
        self.send(lambda: (CancelJob(job=job), lambda: self.model.cancel(job)))


def _command(
    job: UUID, who: UUID, wish: PictureWish, prompt: str, webhook: JobWebhook | None
) -> SubmitImageJob:
    side = SIZES[wish.size].side
    picture = (
        {"source_processing": SourceProcessing.IMG2IMG, "denoising_strength": 0.5} if wish.source else {}
    )
    command = submit(
        who,
        job=job,
        generations=[part_of(job, ordinal) for ordinal in range(wish.n)],
        models=sorted(MODELS[model] for model in wish.models),
        nsfw=wish.nsfw,
        shared=wish.shared,
        prompt=prompt,
        max_kudos=wish.most,
        width=side,
        height=side,
        post_processing=(PostProcessor.GFPGAN,) if wish.faces else (),
        loras=(Lora(name=prompt),) if wish.lora else (),
        **picture,
    )
    return msgspec.structs.replace(
        command,
        negative_prompt=prompt,
        payload=f'{{"x": "{prompt}"}}',
        allowed_workers=wish.only,
        denied_workers=wish.denied,
        trusted_workers=wish.trusted_workers,
        slow_workers=not wish.hasty,
        extra_slow_workers=wish.patient,
        sources=sources_of(job, wish, prompt),
        unsafe_address=wish.unsafe,
        webhook=webhook,
    )

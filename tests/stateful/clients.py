"""Rules of clients: submitting, cancelling."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, rule

from app.jobs.decider import CancelJob, SubmitImageJob
from app.jobs.image_params import PostProcessor
from events.base import ANONYMOUS
from tests.factories import submit
from tests.stateful.model import SIZES, Done, Wish
from tests.stateful.report import part_of
from tests.stateful.town import Town, jobs, seldom, users

#: what a job may be besides its size: shared, not safe for work, with mended faces, at a price that is too low or exact
FLAGS = ("", "shared", "nsfw", "faces", "shared faces", "capped", "priced")
MODELS = ("", "a", "b", "bc", "abc")


class Clients(Town):
    """What clients do with jobs."""

    @rule(
        target=jobs,
        who=users,
        size=st.sampled_from(list(SIZES)),
        n=st.integers(1, 4),
        models=st.sampled_from(MODELS),
        flags=st.sampled_from(FLAGS),
        about=st.sampled_from(("cat", "dog")),
    )
    def submit(
        self, who: UUID, size: str, n: int, models: str, flags: str, about: str
    ) -> UUID | MultipleResults[UUID]:
        # as the handler does it: anonymous pictures are always shared
        wish = Wish(
            size, n, frozenset(models), "shared" in flags or who == ANONYMOUS, "nsfw" in flags, "faces" in flags, about
        )  # fmt: skip
        limit = {"capped": wish.quote - 1, "priced": wish.quote}.get(flags)
        return self._submit(who, Wish(**{**vars(wish), "most": limit}))

    def _submit(self, who: UUID, wish: Wish) -> UUID | MultipleResults[UUID]:
        first = self.ids.next("job")

        def ask() -> Any:
            job = self.fresh(first)
            command = _command(job, who, wish, self.words(f"A {wish.about.upper()}"))
            return command, lambda: self.model.submit(job, who, command.generations, wish)

        answer = self.send(ask, who=who, mutation="submitImageJob")
        return self.ids.new("job") if isinstance(answer, Done) else multiple()

    @rule(target=jobs, who=users, n=st.integers(1, 4), shared=st.booleans())
    def order(self, who: UUID, n: int, shared: bool) -> UUID | MultipleResults[UUID]:
        """A job that anybody can serve."""
        return self._submit(who, Wish(n=n, shared=shared or who == ANONYMOUS))

    @initialize(target=jobs, n=st.integers(1, 3))
    def first_jobs(self, n: int) -> MultipleResults[UUID]:
        """The richest goes first, but for the workers of the other."""
        _, rich, poor, *_ = self.model.users
        return multiple(self._submitted(rich, Wish(n=n)), self._submitted(poor, Wish(n=n)))

    def _submitted(self, who: UUID, wish: Wish) -> UUID:
        made = self._submit(who, wish)
        assert isinstance(made, UUID)
        return made

    @rule(job=jobs)
    @seldom(3)
    def cancel(self, job: UUID) -> None:
        self.send(lambda: (CancelJob(job=job), lambda: self.model.cancel(job)))


def _command(job: UUID, who: UUID, wish: Wish, prompt: str) -> SubmitImageJob:
    side = SIZES[wish.size].side
    command = submit(
        who,
        job=job,
        generations=[part_of(job, ordinal) for ordinal in range(wish.n)],
        models=sorted(wish.models),
        nsfw=wish.nsfw,
        shared=wish.shared,
        prompt=prompt,
        max_kudos=wish.most,
        width=side,
        height=side,
        post_processing=(PostProcessor.GFPGAN,) if wish.faces else (),
    )
    return msgspec.structs.replace(command, negative_prompt=prompt, payload=f'{{"x": "{prompt}"}}')

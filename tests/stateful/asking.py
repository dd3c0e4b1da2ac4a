"""Rules of clients who ask for texts, and who ask what a picture shows: also what was told of it before.

Look next: `ordering.py`, `clients.py` for pictures.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, rule

from app.jobs.interrogation_decider import SubmitInterrogationJob
from app.jobs.interrogation_wish import ToldBefore
from app.jobs.text_decider import SubmitTextJob
from tests.factories import submit_forms, submit_text
from tests.stateful.model import TEXT_MODELS, FormWish, TextWish
from tests.stateful.ordering import TOLD, Ordering, sources_of
from tests.stateful.report import part_of, plain
from tests.stateful.town import jobs, users

MODELS_NAMED = ("", "", "w", "wx", "y", "wxy")
#: tokens to write at most: what anybody may ask for, what who holds kudos may, what must be in hand
LENGTHS = (80, 80, 320, 600)
#: tokens of the prompt, likewise
PROMPTS = (20, 20, 1_000, 1_250, 2_048)
FLAGS = ("", "", "", "nsfw", "capped", "priced", "trusted", "hasty", "patient")
FORMS_ASKED = (("caption",), ("caption", "interrogation"), ("nsfw", "caption", "interrogation"))


class Asking(Ordering):
    """Texts and forms."""

    @rule(
        target=jobs,
        who=users,
        n=st.integers(1, 3),
        length=st.sampled_from(LENGTHS),
        prompt=st.sampled_from(PROMPTS),
        models=st.sampled_from(MODELS_NAMED),
        flag=st.sampled_from(FLAGS),
        told=st.sampled_from(TOLD),
    )
    def write(
        self, who: UUID, n: int, length: int, prompt: int, models: str, flag: str, told: tuple[str, ...]
    ) -> UUID | MultipleResults[UUID]:
        """Ask for texts, of models or of any model at all."""
        wish = TextWish(
            n=n, length=length, prompt=prompt, models=frozenset(models), told=told, nsfw=flag == "nsfw",
            trusted_workers=flag == "trusted", hasty=flag == "hasty", patient=flag == "patient",
        )  # fmt: skip
        limits = {"capped": wish.quote() - 1, "priced": wish.quote()}
        return self.write_as(who, replace(wish, most=limits.get(flag)))

    def write_as(self, who: UUID, wish: TextWish) -> UUID | MultipleResults[UUID]:
        """Ask for texts."""

        def command(job: UUID) -> SubmitTextJob:
            made = submit_text(
                who,
                job=job,
                generations=[part_of(job, ordinal) for ordinal in range(wish.n)],
                models=sorted(TEXT_MODELS[model] for model in wish.models),
                nsfw=wish.nsfw,
                prompt=self.words(f"A {wish.about.upper()}").ljust(
                    4 * wish.prompt if wish.prompt > 20 else 0
                ),
                max_kudos=wish.most,
                max_length=wish.length,
            )
            return msgspec.structs.replace(
                made,
                denied_workers=wish.denied,
                allowed_workers=wish.only,
                trusted_workers=wish.trusted_workers,
                slow_workers=not wish.hasty,
                extra_slow_workers=wish.patient,
                unsafe_address=wish.unsafe,
                webhook=self.hook_of(job, who, wish),
            )

        return self.order_as(who, wish, command, "submitTextJob")

    @rule(
        target=jobs,
        who=users,
        forms=st.sampled_from(FORMS_ASKED),
        about=st.sampled_from(("cat", "cat", "dog")),
        source=st.sampled_from(("uploaded", "is fetched", "a picture")),
        flag=st.sampled_from(FLAGS),
        told=st.sampled_from(TOLD),
    )
    def interrogate(
        self, who: UUID, forms: tuple[str, ...], about: str, source: str, flag: str, told: tuple[str, ...]
    ) -> UUID | MultipleResults[UUID]:
        """Ask what a picture shows, or to have it mended as well."""
        if source == "a picture":
            source, forms = "uploaded", (*forms, "GFPGAN")
        wish = FormWish(
            n=len(forms), forms=forms, about=about, source=source, told=told, nsfw=flag == "nsfw",
            trusted_workers=flag == "trusted", hasty=flag == "hasty", patient=flag == "patient",
        )  # fmt: skip
        limits = {"capped": wish.quote() - 1, "priced": wish.quote()}
        return self.interrogate_as(who, replace(wish, most=limits.get(flag)))

    def interrogate_as(self, who: UUID, wish: FormWish) -> UUID | MultipleResults[UUID]:
        """Ask what a picture shows; who chooses workers wants their word and nobody else's."""
        chooses = wish.source != "is fetched" or wish.trusted_workers or wish.only or wish.denied
        told = () if chooses else self._told_before(wish)

        def command(job: UUID) -> SubmitInterrogationJob:
            fetched = len(told) < wish.n
            return submit_forms(
                who,
                *wish.forms,
                job=job,
                generations=[part_of(job, ordinal) for ordinal in range(wish.n)],
                tiles=0 if wish.source == "is fetched" else 1,
                nsfw=wish.nsfw,
                max_kudos=wish.most,
                told=told,
                sources=sources_of(job, wish, self.words("picture"), self.url_of(wish)) if fetched else (),
                denied_workers=wish.denied,
                allowed_workers=wish.only,
                trusted_workers=wish.trusted_workers,
                slow_workers=not wish.hasty,
                extra_slow_workers=wish.patient,
                unsafe_address=wish.unsafe,
                webhook=self.hook_of(job, who, wish),
            )

        again = {each.form: each.generation for each in told}
        return self.order_as(who, wish, command, "submitInterrogationJob", again)

    def _told_before(self, wish: FormWish) -> tuple[ToldBefore, ...]:
        """What the handler finds, which is what the model says that was told last."""
        self.flush()
        url = self.url_of(wish)
        found = {each.form: each for each in self.world.told_before(url, wish.forms, nsfw=wish.nsfw)}
        reported = self.model.reported(url, self.world.pictures())
        for form in wish.forms:
            known = self.model.told_before(url, form, self.clock, nsfw=wish.nsfw, reported=reported)
            given = found.get(form)
            assert (given is None) == (not known), plain(f"{form} was told for {known}, found is {given}")
            assert given is None or given.generation in known, plain(f"{form}: {given} is not of {known}")
        return tuple(found.values())

"""Rules of sharing: what the publisher finds out about a delivery, its verdicts, and what is taken back."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from app.jobs.decider import WithdrawConsent
from app.sharing.decider import PublishPicture, WithdrawPictures, WithholdPicture
from app.sharing.story import NotShareableError, story_of
from events.jobs import GenerationDelivered
from events.sharing import WithheldReason
from tests.stateful.report import plain
from tests.stateful.town import Town, jobs, seldom

#: how many of the last events the publisher looks at
LOOKS_BACK = 40


class Sharing(Town):
    """What becomes of pictures."""

    @rule(job=jobs, which=st.integers(0, 3), publish=st.booleans())
    def verdict(self, job: UUID, which: int, publish: bool) -> None:
        """A verdict on a picture, also on one that is not there, not shared or judged before."""
        generations = self.model.jobs[job].generations
        generation = generations[which % len(generations)].id
        if publish:
            self.publish_as(job, generation)
        else:
            command = WithholdPicture(job=job, generation=generation, reason=WithheldReason.MISSING)
            self.send(lambda: (command, lambda: self.model.verdict(generation, "MISSING")))

    def publish_as(self, job: UUID, generation: UUID) -> None:
        """Record that a picture is published."""
        sha = f"{self.ids.new('other').int:064x}"
        command = PublishPicture(
            job=job,
            generation=generation,
            sha256=sha,
            perceptual_hash="0" * 16,
            width=1,
            height=1,
            size=1,
            takedowns=len(self.model.takedowns),
        )
        self.send(lambda: (command, lambda: self.model.verdict(generation, sha)))

    @rule(job=jobs)
    @seldom(3)
    def withdraw_consent(self, job: UUID) -> None:
        self.send(lambda: (WithdrawConsent(job=job), lambda: self.model.withdraw_consent(job)))

    @rule(job=jobs)
    @seldom(4)
    def withdraw_pictures(self, job: UUID) -> None:
        """An actor says that it took back what is not shared any more, whether or not there is something."""
        self.send(lambda: (WithdrawPictures(job=job), lambda: self.model.withdraw_pictures(job)))

    @rule()
    @seldom(1)
    def publisher_looks(self) -> None:
        """Whoever asks for a delivery's story gets it if the picture is to be shared, and only then."""
        self.flush()
        for event in self.events[-LOOKS_BACK:]:
            if event.type != GenerationDelivered.TYPE:
                continue
            try:
                story = story_of(self.world.owner, self.world.realm, event.position)
                generation, shareable, ended = story.generation.id, True, story.unshared
            except NotShareableError:
                generation, shareable, ended = None, False, None
            expected = self.model.to_be_shared()
            delivered = plain(event.data.decode())
            assert shareable == any(str(key) in event.data.decode() for key in expected), delivered
            assert generation is None or generation in expected, delivered
            if generation is not None:
                assert ended == self.model.unshared(*self.model.generations[generation]), delivered

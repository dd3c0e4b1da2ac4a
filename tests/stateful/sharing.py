"""Rules of sharing: what the publisher finds out about a delivery, and its verdicts."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from app.sharing.decider import PublishPicture, WithholdPicture
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
            sha = f"{self.ids.new('other').int:064x}"
            command: PublishPicture | WithholdPicture = PublishPicture(
                job=job,
                generation=generation,
                sha256=sha,
                perceptual_hash="0" * 16,
                width=1,
                height=1,
                size=1,
            )
        else:
            sha, command = (
                "MISSING",
                WithholdPicture(job=job, generation=generation, reason=WithheldReason.MISSING),
            )
        self.send(lambda: (command, lambda: self.model.verdict(generation, sha)))

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
                generation, shareable = story.generation.id, True
            except NotShareableError:
                generation, shareable = None, False
            expected = self.model.to_be_shared()
            delivered = plain(event.data.decode())
            assert shareable == any(str(key) in event.data.decode() for key in expected), delivered
            assert generation is None or generation in expected, delivered

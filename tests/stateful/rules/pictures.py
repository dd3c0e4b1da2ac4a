"""What becomes of pictures: verdicts, consent taken back, reports and cases."""

from __future__ import annotations

from uuid import UUID

from tests.stateful.rules.results import Results
from tests.stateful.rules.shapes import NOBODY, Answer, Done, Generation, Job, Refused


class Pictures(Results):
    """Sharing and moderation."""

    def to_be_shared(self) -> set[UUID]:
        """Exactly these pictures get a verdict: they are shared, or withheld."""
        return {
            g.id
            for job in self.jobs.values()
            if job.wish.shared
            for g in job.generations
            if g.state == "DONE"
        }

    def verdict(self, generation: UUID, verdict: str) -> Answer:
        job, picture = self.generations[generation]
        if not job.wish.shared or picture.state != "DONE":
            return Refused("FORBIDDEN")
        changed = picture.sha256 is None and picture.withheld is None
        if changed and verdict == "MISSING":
            picture.withheld = verdict
        elif changed and self.unshared(job, picture):
            return Refused("FORBIDDEN")
        elif changed:
            picture.sha256 = verdict
        return Done(changed, says={"sha256": picture.sha256, "withheld": picture.withheld})

    def unshared(self, job: Job, picture: Generation) -> str | None:
        """Why a picture is not shared any more."""
        return job.unshared or ("REPORTED" if picture.report else None)

    def withdraw_consent(self, key: UUID) -> Answer:
        job = self.jobs[key]
        if job.requester == NOBODY and job.wish.kind == "IMAGE":
            return Refused("FORBIDDEN")
        if not job.wish.shared or job.unshared:
            return Done(changed=False)
        job.unshared, job.withdrawing = "CONSENT_WITHDRAWN", True
        return Done(changed=True)

    def withdraw_pictures(self, key: UUID) -> Answer:
        """What is not shared any more was removed."""
        job = self.jobs[key]
        changed, job.withdrawing = job.withdrawing, False
        for picture in job.generations if changed else ():
            if picture.sha256 and self.unshared(job, picture):
                picture.sha256, picture.withheld = None, job.unshared or "REPORTED"
        return Done(changed)

    def decide_case(self, generation: UUID, verdict: str, by: UUID) -> Answer:
        job, picture = self.generations[generation]
        if not self.moderates(by):
            return Refused("FORBIDDEN")
        if picture.report is None:
            return Refused("NOT_FOUND")
        if picture.report != "OPEN":
            return Done(changed=False) if picture.report == verdict else Refused("INVALID_INPUT")
        picture.report = verdict
        if verdict == "UPHELD":
            job.unshared, job.withdrawing = job.unshared or "REPORTED", job.wish.shared
        return Done(changed=True, says={"verdict": verdict})

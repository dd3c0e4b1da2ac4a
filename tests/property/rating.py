"""Moves about pictures that are rated: published, handed out, judged, reported; and what must be true of it all.

Look next: `histories.py`, `words.py` for the other moves.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from app.ledger.rating_rewards import DAILY_TRUSTED
from app.platform.commands import Command
from app.ratings.case_decider import DecidePictureCase, ReportPicture
from app.ratings.decider import Candidate, RateComparison, RateImage, RequestRatings, SkipImage
from app.ratings.identity import comparison_id, rating_id, repeat_id
from app.ratings.job_decider import OwnRating, RateJob
from app.sharing.decider import PublishPicture
from app.workers.lease_decider import ResultState
from events.base import ANONYMOUS, Fact
from events.images import PictureReportReason
from events.moderation import Verdict
from events.ratings import Assigned, BestNamed, ImageRated, PicturesCompared, Preference, RatingsAssigned
from projections.generations import GenerationState
from projections.ratings import RatingState
from tests.factories import submit
from tests.model import MemoryLog, day_of
from tests.property.playing import USERS, WORKERS
from tests.property.words import Words

EVERYBODY = (*USERS, ANONYMOUS)


class Raters(Words):
    """Plays moves of raters."""

    def _gallery(self, a: int, b: int, c: int) -> None:
        """A shared job is drawn, and its pictures published: mostly all."""
        job = self.new()
        made = [self.new() for _ in range(1 + b % 3)]
        self.do(submit(EVERYBODY[a % 5], job=job, generations=made, models=(), shared=True, nsfw=c == 11))
        for worker in WORKERS:
            pops = self.polls(worker, 20, 0)
            self.do(pops)
            lease = self.rows("leases").get(pops.lease)
            if lease is not None:
                self.do(self.results(lease, lease.generations, ResultState.OK))
        for _ in range(len(made) if c else 1):
            if (command := self._publish(a, b, c)) is not None:
                self.do(command)

    def _publish(self, a: int, _: int, __: int) -> Command | None:
        """What an actor does with a picture that is delivered; now and then with one that it did before."""
        jobs = self.log.jobs()
        done = [
            g
            for g in self.rows("generations").values()
            if g.state is GenerationState.DONE and jobs[g.job].shared and (g.sha256 is None or a == 11)
        ]
        if not done:
            return None
        one = done[a % len(done)]
        return PublishPicture(
            job=one.job, generation=one.id, sha256="ab", perceptual_hash="cd", width=512, height=512, size=9
        )

    def _hand(self, a: int, b: int, c: int) -> Command | None:
        """Any pictures are proposed to anybody: wanted or not, again, in pairs."""
        if not (pictures := list(self.rows("pictures").values())):
            return None
        rater, start = EVERYBODY[a % 5], b % len(pictures)
        proposed: list[Candidate] = []
        turned = [*pictures[start:], *pictures[:start]][:6]
        for number, picture in enumerate(turned):
            other = turned[number - 1] if c % 4 == 3 and len(turned) > 1 else None
            again = c % 4 == 2
            if rater == ANONYMOUS:
                key = self.new()
            elif other is not None:
                key = comparison_id(rater, picture.id, other.id)
            else:
                key = repeat_id(rater, picture.id) if again else rating_id(rater, picture.id)
            assigned = Assigned(
                id=key,
                picture=picture.id,
                other=None if other is None else other.id,
                image_set=picture.image_set,
                again=again and other is None,
            )
            proposed.append(Candidate(assigned=assigned, wanted=c % 4 == 0))
        return RequestRatings(rater=rater, amount=1 + c, candidates=tuple(proposed))

    def _judge(self, a: int, b: int, c: int) -> Command | None:
        """Something in hand, mostly, is judged by who has it, mostly."""
        rows = self.rows("ratings").values()
        if not (found := [x for x in rows if x.state is RatingState.ASSIGNED or c == 0]):
            return None
        row = found[a % len(found)]
        rater = row.rater if b else USERS[a % 4]
        if c == 11:
            return SkipImage(rating=row.id, rater=rater)
        if row.other is not None and c < 10:
            preference = tuple(Preference)[c % 3]
            pictures = (row.picture, row.other)
            return RateComparison(rating=row.id, rater=rater, pictures=pictures, preference=preference)
        artifacts = b if b < 6 else None
        return RateImage(
            rating=row.id, rater=rater, picture=row.picture, value=1 + c % 10, artifacts=artifacts
        )

    def _rate_own(self, a: int, b: int, c: int) -> Command | None:
        """A requester, mostly, rates pictures of a job that shares them, mostly."""
        shown = {picture.job for picture in self.rows("pictures").values()}
        if not (jobs := [job for job in self.log.jobs().values() if job.id in shown or c == 0]):
            return None
        job = jobs[a % len(jobs)]
        made = tuple(g.id for g in self.log.generations_of(job.id))
        ratings = tuple(
            OwnRating(picture=key, value=1 + (b + number * c) % 10, artifacts=c if c < 6 else None)
            for number, key in enumerate(made[: b % 4])
        )
        best = made[c % len(made)] if b > 5 else None
        rater = job.requester if c != 1 else USERS[a % 4]
        return RateJob(job=job.id, rater=rater, generations=made, ratings=ratings, best=best)

    def _bad(self, a: int, b: int, c: int) -> Command | None:
        """A picture is reported, or a case decided, by who may or by anybody."""
        pictures = list(self.rows("pictures").values())
        reported = [picture for picture in pictures if picture.report is not None]
        if reported and c % 2:
            picture = reported[a % len(reported)]
            verdict = tuple(Verdict)[c % 3 % 2]
            return DecidePictureCase(
                case=picture.report, picture=picture.id, verdict=verdict, by=self._mostly_may(b)
            )
        if not pictures:
            return None
        picture, rater = pictures[a % len(pictures)], EVERYBODY[b % 5]
        rating = rating_id(rater, picture.id) if c % 4 == 0 else None
        reason = tuple(PictureReportReason)[c % 3]
        return ReportPicture(picture=picture.id, rater=rater, reason=reason, case=self.new(), rating=rating)


def check_ratings(log: MemoryLog) -> None:
    """Nothing is judged twice, nor its owner's; nobody is paid beyond the day's number, or a job's cost."""
    given = [fact for fact in log.facts if isinstance(fact.event, ImageRated | PicturesCompared | BestNamed)]
    _check_judged(log, [fact.event for fact in given])
    _check_paid(log, given)
    for fact in log.facts:
        if isinstance(fact.event, RatingsAssigned):
            _check_handed(log, fact.event)


def _check_judged(log: MemoryLog, events: list[Any]) -> None:
    """Each judgement is given once, and pictures know how many there are."""
    pictures: Any = log.state["pictures"]
    judged: set[tuple[UUID, ...]] = set()
    counted: Counter[UUID] = Counter()
    for event in events:
        what = _judgement(event)
        many_people = event.rater == ANONYMOUS and not isinstance(event, BestNamed)
        assert many_people or what not in judged, what
        judged.add(what)
        if isinstance(event, ImageRated):
            assert event.own == (pictures[event.picture].owner == event.rater)
            counted[event.picture] += not (event.own or event.again or event.rater == ANONYMOUS)
    for key, picture in pictures.items():
        assert picture.ratings == counted[key]


def _check_paid(log: MemoryLog, facts: list[Fact]) -> None:
    """What was earned, each day, by each job, and in all."""
    paid: Counter[tuple[UUID, int]] = Counter()
    earned: Counter[UUID] = Counter()
    of_jobs: Counter[UUID] = Counter()
    for fact in facts:
        event: Any = fact.event
        assert 0 <= event.escrowed <= event.reward
        assert event.rater != ANONYMOUS or not event.reward
        earned[event.rater] += event.reward
        paid[event.rater, day_of(fact.occurred_at)] += event.reward > 0
        if isinstance(event, BestNamed) or getattr(event, "own", False):
            of_jobs[event.job] += event.reward
    assert max(paid.values(), default=0) <= DAILY_TRUSTED
    for job, amount in of_jobs.items():
        assert amount <= max(0, log.jobs()[job].charged - 100)
    for user, account in log.accounts().items():
        assert account.rated == earned[user]


def _check_handed(log: MemoryLog, event: RatingsAssigned) -> None:
    """Nobody is handed what was made for them."""
    pictures: Any = log.state["pictures"]
    for assigned in event.assignments:
        for key in (assigned.picture, assigned.other):
            assert key is None or pictures[key].owner != event.rater or event.rater == ANONYMOUS


def _judgement(event: ImageRated | PicturesCompared | BestNamed) -> tuple[UUID, ...]:
    """What a judgement is of: once for each rater."""
    match event:
        case BestNamed():
            return (event.job,)
        case PicturesCompared():
            return (event.rater, *sorted((event.picture, event.other)))
        case ImageRated(again=True):
            return (event.rater, event.picture, event.picture)
        case _:
            return (event.rater, event.picture)

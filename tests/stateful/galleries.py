"""Rules of raters: pictures imported and taken down, handed out, judged, reported; raters assessed, marked, cleared.

Look next: `tests/stateful/rules/rated.py` for what must come of it, `sharing.py` for how pictures are published.
"""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from app.accounts.decider import SetTrust
from app.images.decider import (
    Import,
    ImportPictures,
    LiftTakedown,
    OpenImageSet,
    OrderTakedown,
    TakeDownPictures,
    set_id,
)
from app.platform.picture_words import ImportedPictureWords
from app.raters.decider import AssessRater, JudgeRater, MarkRatings
from app.ratings.case_decider import DecidePictureCase, ReportPicture
from app.ratings.decider import Candidate, RateComparison, RateImage, RequestRatings, SkipImage
from app.ratings.identity import comparison_id, rating_id, repeat_id
from events.base import ANONYMOUS
from events.images import ImportedPicture, PictureReportReason
from events.moderation import Verdict
from events.ratings import Assigned, Preference, RaterScores, RaterVerdict, RatingTag, Standing
from tests.stateful.model import Answer, Done, Offer, Task
from tests.stateful.moderating import Moderating
from tests.stateful.report import call
from tests.stateful.town import seldom, users

#: raters wanted of an imported picture; pictures of one import
TARGET, AT_ONCE = 2, 4
#: a picture is rated, two are compared, one is rated again; in which order both are shown
TASKS = ("rate", "rate", "compare", "again")
#: what is said: (value, flaws, characters of the note)
WORDS = ((8, 1, 0), (3, None, 9), (10, 0, 0), (1, 5, 0), (11, 1, 0), (5, 6, 0), (5, None, 501))


class Galleries(Moderating):
    """What raters do, and what is done with them."""

    def something_shown(self) -> bool:
        """Whether there ever was a picture to rate."""
        return bool(self.model.shown)

    def something_handed(self) -> bool:
        """Whether somebody was ever asked."""
        return bool(self.model.tasks)

    @rule(amount=st.integers(1, AT_ONCE))
    @seldom(2)
    def import_set(self, amount: int) -> None:
        """Some pictures come, and come a second time."""
        pictures = self.import_as(amount)
        self.import_again(pictures)

    def import_as(self, amount: int, target: int = TARGET) -> tuple[UUID, ...]:
        """Import new pictures."""
        opening = OpenImageSet(name=f"set-{target}", licence="CC0-1.0", target=target, description="")
        before = target in self.opened
        self.opened.add(target)
        self.send(lambda: (opening, lambda: Done(changed=not before, says={"before": before})))
        pictures = tuple(self.ids.new("picture") for _ in range(amount))
        self.import_again(pictures, target)
        return pictures

    def import_again(self, pictures: tuple[UUID, ...], target: int = TARGET) -> None:
        """Import these, which may be there."""
        place = set_id(f"set-{target}")
        words = [ImportedPictureWords(key, place, self.words(f"https://{key}"), "") for key in pictures]
        imports = tuple(Import(ImportedPicture(one.picture, 0, 0, False), one) for one in words)
        command = ImportPictures(image_set=place, imports=imports)
        self.send(lambda: (command, lambda: self.model.import_pictures(pictures, target)))

    # --- handing out and judging

    @precondition(something_shown)
    @rule(
        rater=users,
        first=st.integers(0, 9),
        amount=st.integers(1, 4),
        task=st.sampled_from(TASKS),
        wanted=st.booleans(),
    )
    def hand_out(self, rater: UUID, first: int, amount: int, task: str, wanted: bool) -> None:
        """Any pictures are proposed, also those that must not be shown."""
        pictures = list(self.model.shown)
        first %= len(pictures)
        self.hand_as(rater, amount, (pictures[first:] + pictures[:first])[:6], task, wanted=wanted)

    def hand_as(
        self, rater: UUID, amount: int, pictures: list[UUID], task: str = "rate", *, wanted: bool = True
    ) -> Answer:
        """Propose pictures to somebody."""
        offers = []
        for number, picture in enumerate(pictures):
            other = pictures[number - 1] if task == "compare" and len(pictures) > 1 else None
            again = task == "again"
            key = self._asked(rater, picture, other, again=again)
            offers.append(Offer(key, picture, other, again, wanted and task == "rate"))
        command = RequestRatings(rater=rater, amount=amount, candidates=tuple(map(_candidate, offers)))
        return self.send(lambda: (command, lambda: self.model.hand(rater, amount, tuple(offers))))

    def _asked(self, rater: UUID, picture: UUID, other: UUID | None, *, again: bool) -> UUID:
        if rater == ANONYMOUS:
            return self.ids.new("other")
        if other is not None:
            return call(comparison_id(rater, picture, other), f"{rater}:{picture}/{other}")
        if again:
            return call(repeat_id(rater, picture), f"{rater}:{picture}/again")
        return call(rating_id(rater, picture), f"{rater}:{picture}")

    @precondition(something_handed)
    @rule(
        which=st.integers(0, 20),
        said=st.sampled_from(WORDS),
        how=st.sampled_from(("right", "right", "wrong")),
    )
    def judge_one(self, which: int, said: tuple[int, int | None, int], how: str) -> None:
        """Something that is, or was, in hand is judged; now and then as if it were of the other kind."""
        task = self._handed(which)
        if (task.other is None) == (how == "right"):
            self.rate_as(task, *said)
        else:
            self.compare_as(task, tuple(Preference)[which % 3])

    @precondition(something_handed)
    @rule(which=st.integers(0, 20), by=users)
    @seldom(4)
    def judge_for_another(self, which: int, by: UUID) -> None:
        """Somebody answers what maybe another was asked."""
        self.rate_as(self._handed(which), 7, 2, by=by)

    def _handed(self, which: int) -> Task:
        tasks = list(self.model.tasks.values())
        opened = [task for task in tasks if task.state == "ASSIGNED"] if which % 4 else tasks
        return (opened or tasks)[which % len(opened or tasks)]

    def rate_as(
        self, task: Task, value: int, flaws: int | None, note: int = 0, by: UUID | None = None
    ) -> None:
        """Say how good a picture is."""
        rater, key = by or task.rater, task.id
        command = RateImage(
            rating=key,
            rater=rater,
            picture=task.picture,
            value=value,
            artifacts=flaws,
            tags=(RatingTag.PHOTO,),
            note=(self.words("") + "!" * note)[:note] if note else "",
        )
        self.send(
            lambda: (command, lambda: self.model.rate(key, rater, value, flaws, note, 1)),
            who=rater,
            mutation="rateImage",
        )

    def compare_as(self, task: Task, preference: Preference) -> None:
        """Say which of two is better."""
        pictures = (task.picture,) if task.other is None else (task.picture, task.other)
        rater, key = task.rater, task.id
        command = RateComparison(rating=key, rater=rater, pictures=pictures, preference=preference)
        self.send(
            lambda: (command, lambda: self.model.compare_two(key, rater, preference.value)),
            who=rater,
            mutation="rateComparison",
        )

    @precondition(something_handed)
    @rule(which=st.integers(0, 20))
    @seldom(4)
    def skip_one(self, which: int) -> None:
        task = self._handed(which)
        command = SkipImage(rating=task.id, rater=task.rater)
        self.send(lambda: (command, lambda: self.model.skip(task.id, task.rater)))

    # --- reports and takedowns

    @precondition(something_shown)
    @rule(
        which=st.integers(0, 9),
        by=users,
        decided=st.sampled_from((None, *Verdict)),
        who=st.sampled_from("mu"),
    )
    @seldom(4)
    def accuse(self, which: int, by: UUID, decided: Verdict | None, who: str) -> None:
        """A picture is reported, out of the hand if it is there; maybe somebody decides."""
        picture = list(self.model.shown)[which % len(self.model.shown)]
        self.complain_as(picture, by)
        if decided is not None and (case := self.model.shown[picture].case) is not None:
            judge = self.moderator() if who == "m" else by
            command = DecidePictureCase(case=case, picture=picture, verdict=decided, by=judge)
            self.send(
                lambda: (command, lambda: self.model.decide_complaint(picture, case, decided.value, judge))
            )

    def complain_as(self, picture: UUID, by: UUID) -> None:
        """Report a picture."""
        case, rating = self.ids.new("other"), rating_id(by, picture)
        reason = PictureReportReason.BROKEN
        command = ReportPicture(picture=picture, rater=by, reason=reason, case=case, rating=rating)
        self.send(lambda: (command, lambda: self.model.complain(picture, by, case, rating)))

    @precondition(lambda self: any(picture.job is None for picture in self.model.shown.values()))
    @rule(which=st.integers(0, 9), by=users, lifted=st.booleans())
    @seldom(2)
    def take_down(self, which: int, by: UUID, lifted: bool) -> None:
        """A takedown is ordered, by who may or not, and takes imported pictures; what is lifted brings nothing back."""
        imported = [key for key, picture in self.model.shown.items() if picture.job is None]
        key, taken = self.ids.new("other"), (imported[which % len(imported)],)
        who = self.moderator() if which % 3 else by
        order = OrderTakedown(takedown=key, sha256="ab" * 32, perceptual_hash=None, distance=0, by=who)
        self.send(lambda: (order, lambda: self.model.order_takedown(key, who)))
        if lifted:
            lift = LiftTakedown(takedown=key, by=by)
            self.send(lambda: (lift, lambda: self.model.lift_takedown(key, by)))
        taking = TakeDownPictures(takedown=key, pictures=taken, jobs=())
        self.send(lambda: (taking, lambda: self.model.take_down(key, taken)))

    # --- how far raters are believed

    @precondition(something_handed)
    @rule(
        which=st.integers(0, 9),
        standing=st.sampled_from(Standing),
        ratings=st.integers(1, 60),
        marks=st.booleans(),
    )
    @seldom(6)
    def assess(self, which: int, standing: Standing, ratings: int, marks: bool) -> None:
        """A rater is assessed; marks follow, or the marks there are are lifted."""
        if (rater := self._rater(which)) is None:
            return
        self.assess_as(rater, standing, ratings)
        if marks:
            self.mark_as(rater, suspect=bool(which % 5) == (self.model.judges[rater].standing == "SUSPECT"))

    def _rater(self, which: int) -> UUID | None:
        """Who may be assessed: the anonymous user is many people."""
        raters = [key for key in self.model.judges if key != ANONYMOUS]
        return raters[which % len(raters)] if raters else None

    def assess_as(self, rater: UUID, standing: Standing, ratings: int = 50) -> None:
        """Record what an assessment says."""
        scores = RaterScores(
            ratings=ratings, known=0, known_missed=0, repeats=0, repeat_error=None, hasty=None, pace=None,
            entropy=None, bias=None, spread=None, reliability=None, copying=None,
        )  # fmt: skip
        command = AssessRater(rater=rater, up_to=1, scores=scores, standing=standing, causes=())
        self.send(lambda: (command, lambda: self.model.assess(rater, standing.value, ratings)))

    def mark_as(self, rater: UUID, *, suspect: bool) -> None:
        """All of a rater's ratings are marked, or are so no more."""
        self.flush()
        self.begin()
        theirs = [task for task in self.model.tasks.values() if task.rater == rater]
        ratings = tuple(task.id for task in theirs)
        pictures = tuple({task.picture for task in theirs})
        command = MarkRatings(rater=rater, ratings=ratings, pictures=pictures, suspect=suspect)
        self.send(lambda: (command, lambda: self.model.mark(rater, ratings, suspect=suspect)))

    @precondition(something_handed)
    @rule(
        which=st.integers(0, 9), verdict=st.sampled_from(RaterVerdict), by=st.sampled_from("cmu"), who=users
    )
    @seldom(3)
    def judge_rater(self, which: int, verdict: RaterVerdict, by: str, who: UUID) -> None:
        """An operator, a moderator or anybody decides of a rater; then the marks follow."""
        if (rater := self._rater(which)) is None:
            return
        judge = {"c": None, "m": self.moderator() if by == "m" else None, "u": who}[by]
        self.judge_as(rater, verdict, judge)
        self.mark_as(rater, suspect=self.model.judges[rater].standing == "SUSPECT")

    def judge_as(self, rater: UUID, verdict: RaterVerdict, by: UUID | None = None) -> None:
        """Decide of a rater; nobody: an operator."""
        command = JudgeRater(rater=rater, verdict=verdict, by=by)
        self.send(lambda: (command, lambda: self.model.judge(rater, verdict.value, by)))

    def set_trust_as(self, user: UUID) -> None:
        """An operator trusts somebody."""
        command = SetTrust(user=user, trusted=True, by=None)
        self.send(lambda: (command, lambda: self.model.set_trust(user, None, trusted=True)))


def _candidate(offer: Offer) -> Candidate:
    assigned = Assigned(
        id=offer.id, picture=offer.picture, other=offer.other, image_set=_ANY, again=offer.again
    )
    return Candidate(assigned=assigned, wanted=offer.wanted)


#: which set it is counts for nothing here
_ANY = set_id(f"set-{TARGET}")

"""Pictures that are rated: who is shown which, what is said of them, what that earns, and what goes back.

Look next: `tests/stateful/galleries.py`, which plays it; `docs/rating.md` and `docs/raters.md` for the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tests.stateful.rules.shapes import NOBODY, TRUST_AGE, Answer, Done, Refused
from tests.stateful.rules.telling import Telling

#: raters wanted of a shared picture; what may be in hand at once, and for how long
WANTED, AHEAD, ANSWERED_IN = 5, 10, timedelta(minutes=30)
#: what a rating earns, and besides if it tells of flaws, and a comparison; how many are paid a day, of who is believed
WORTH, WORTH_FLAWS, WORTH_COMPARED, A_DAY, A_DAY_BELIEVED = 500, 500, 500, 200, 1_000
#: how long raters that are looked into wait for the next picture
SLOWLY = {"WATCHED": timedelta(seconds=10), "SUSPECT": timedelta(seconds=60)}
#: ratings that count which earn trust
TRUST_RATINGS = 100
NOTE, TAGS = 500, 8


@dataclass
class Shown:
    """A picture that is rated, or was."""

    target: int
    owner: UUID | None = None
    job: UUID | None = None
    #: OPEN, HIDDEN, UPHELD or REMOVED
    state: str = "OPEN"
    ratings: int = 0
    comparisons: int = 0
    case: UUID | None = None
    reporter: UUID | None = None

    @property
    def wanted(self) -> int:
        return max(0, self.target - self.ratings) if self.state == "OPEN" else 0


@dataclass
class Task:
    """What was handed to somebody, and what they said."""

    id: UUID
    rater: UUID
    picture: UUID
    other: UUID | None
    again: bool
    until: datetime
    state: str = "ASSIGNED"
    value: int | None = None
    flaws: int | None = None
    preference: str | None = None
    reward: int = 0
    suspect: bool = False


@dataclass
class Judge:
    """Somebody who rates."""

    standing: str = "NEW"
    given: int = 0
    with_flaws: int = 0
    repeated: int = 0
    comparisons: int = 0
    skipped: int = 0
    reported: int = 0
    handed: datetime | None = None
    #: (day, judgements paid on it)
    paid: tuple[int, int] = (0, 0)
    rewarded: int = 0
    reversed: int = 0
    restored: int = 0
    marked: int = 0
    trusted: bool = False
    verdict: str | None = None
    #: ratings that the last assessment looked at
    looked_at: int | None = None


@dataclass(frozen=True)
class Offer:
    """A picture, or two, that may be handed out."""

    id: UUID
    picture: UUID
    other: UUID | None
    again: bool
    #: only if it wants raters
    wanted: bool


class Rated(Telling):
    """Raters and what they are shown."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.shown: dict[UUID, Shown] = {}
        #: by who is asked, what, and whether again: nobody is asked the same twice, but the anonymous user is many
        self.tasks: dict[tuple[object, ...], Task] = {}
        self.judges: dict[UUID, Judge] = {}
        self.takedowns: dict[UUID, bool] = {}

    # --- pictures come and go

    def import_pictures(self, pictures: tuple[UUID, ...], target: int) -> Answer:
        new = [key for key in pictures if key not in self.shown]
        self.shown |= {key: Shown(target) for key in new}
        return Done(bool(new), says={"added": len(new)})

    def verdict(self, generation: UUID, verdict: str) -> Answer:
        answer = super().verdict(generation, verdict)
        job, picture = self.generations[generation]
        if isinstance(answer, Done) and answer.changed and picture.sha256 is not None:
            self.shown[generation] = Shown(WANTED, owner=job.requester, job=job.id)
        return answer

    def withdraw_pictures(self, key: UUID) -> Answer:
        job = self.jobs[key]
        gone = [g.id for g in job.generations if job.withdrawing and g.sha256 and self.unshared(job, g)]
        answer = super().withdraw_pictures(key)
        for picture in gone:
            self.shown[picture].state = "REMOVED"
        return answer

    def order_takedown(self, key: UUID, by: UUID) -> Answer:
        if not self.moderates(by):
            return Refused("FORBIDDEN")
        changed = key not in self.takedowns
        self.takedowns.setdefault(key, False)
        return Done(changed)

    def lift_takedown(self, key: UUID, by: UUID) -> Answer:
        if not self.moderates(by):
            return Refused("FORBIDDEN")
        if key not in self.takedowns:
            return Refused("NOT_FOUND")
        changed, self.takedowns[key] = not self.takedowns[key], True
        return Done(changed)

    def take_down(self, key: UUID, pictures: tuple[UUID, ...]) -> Answer:
        if key not in self.takedowns:
            return Refused("NOT_FOUND")
        gone = [self.shown[one] for one in pictures if self.shown[one].state != "REMOVED"]
        for picture in gone:
            picture.state = "REMOVED"
        return Done(bool(gone))

    # --- handing out and judging

    def hand(self, rater: UUID, amount: int, offers: tuple[Offer, ...]) -> Answer:
        judge = self.judges.get(rater, Judge())
        pause = SLOWLY.get(judge.standing)
        if pause and judge.handed and self.now < judge.handed + pause:
            return Refused("TRY_AGAIN")
        room = amount if rater == NOBODY else min(amount, AHEAD - self._in_hand(rater))
        room = min(room, 1) if pause else room
        chosen: dict[tuple[object, ...], Offer] = {}
        for offer in offers:
            if len(chosen) < room and self._may_see(rater, offer):
                chosen.setdefault(self._asked(rater, offer), offer)
        for what, offer in chosen.items():
            until = self.now + ANSWERED_IN
            self.tasks[what] = Task(offer.id, rater, offer.picture, offer.other, offer.again, until)
        if chosen:
            self._judge(rater).handed = self.now
        return Done(bool(chosen), says={"enough": room <= 0})

    def _in_hand(self, rater: UUID) -> int:
        theirs = (task for task in self.tasks.values() if task.rater == rater)
        return sum(task.state == "ASSIGNED" and task.until > self.now for task in theirs)

    def _asked(self, rater: UUID, offer: Offer) -> tuple[object, ...]:
        both = frozenset({offer.picture, offer.other})
        return (offer.id,) if rater == NOBODY else (rater, both, offer.again)

    def _may_see(self, rater: UUID, offer: Offer) -> bool:
        for key in (offer.picture, offer.other):
            if key and (self.shown[key].state != "OPEN" or self.shown[key].owner == rater):
                return False
        if offer.wanted and not self.shown[offer.picture].wanted:
            return False
        if offer.again:
            before = self.tasks.get((rater, frozenset({offer.picture, None}), False))
            if before is None or before.state != "DONE":
                return False
        task = self.tasks.get(self._asked(rater, offer))
        return task is None or (task.state == "ASSIGNED" and task.until <= self.now)

    def _judge(self, rater: UUID) -> Judge:
        return self.judges.setdefault(rater, Judge())

    def task(self, key: UUID, rater: UUID) -> Task | None:
        """What this rater was handed under an id."""
        return next((t for t in self.tasks.values() if t.id == key and t.rater == rater), None)

    def _open(self, task: Task) -> bool:
        return task.state == "ASSIGNED" and task.until > self.now

    def rate(
        self, key: UUID, rater: UUID, value: int, flaws: int | None, note: int = 0, tags: int = 0
    ) -> Answer:
        task = self.task(key, rater)
        if not 1 <= value <= 10 or not (flaws is None or 0 <= flaws <= 5) or note > NOTE or tags > TAGS:
            return Refused("INVALID_INPUT")
        if task is None:
            return Refused("NOT_FOUND")
        if task.other is not None:
            return Refused("INVALID_INPUT")
        if task.state == "DONE" and (task.value, task.flaws) == (value, flaws):
            return Done(changed=False, says={"rating": key})
        if not self._open(task):
            return Refused("ASSIGNMENT_ENDED")
        judge = self._judge(rater)
        task.state, task.value, task.flaws = "DONE", value, flaws
        task.reward = self._reward(rater, WORTH + (0 if flaws is None else WORTH_FLAWS))
        if task.again:
            judge.repeated += 1
        else:
            judge.given += 1
            judge.with_flaws += flaws is not None
            self.shown[task.picture].ratings += rater != NOBODY
        return Done(changed=True, says={"rating": key})

    def compare_two(self, key: UUID, rater: UUID, preference: str) -> Answer:
        task = self.task(key, rater)
        if task is None:
            return Refused("NOT_FOUND")
        if task.other is None:
            return Refused("INVALID_INPUT")
        if task.state == "DONE" and task.preference == preference:
            return Done(changed=False)
        if not self._open(task):
            return Refused("ASSIGNMENT_ENDED")
        task.state, task.preference = "DONE", preference
        task.reward = self._reward(rater, WORTH_COMPARED)
        self._judge(rater).comparisons += 1
        for picture in (task.picture, task.other):
            self.shown[picture].comparisons += 1
        return Done(changed=True, says={"rating": key})

    def skip(self, key: UUID, rater: UUID) -> Answer:
        task = self.task(key, rater)
        if task is None:
            return Refused("NOT_FOUND")
        if task.state == "DONE":
            return Refused("ASSIGNMENT_ENDED")
        return Done(self._give_back(task), says={"rating": key})

    def _give_back(self, task: Task) -> bool:
        changed, task.state = task.state == "ASSIGNED", "SKIPPED"
        self._judge(task.rater).skipped += changed
        return changed

    # --- reports

    def complain(self, key: UUID, rater: UUID, case: UUID, rating: UUID | None) -> Answer:
        picture = self.shown[key]
        hidden = picture.state == "HIDDEN"
        if picture.state in ("UPHELD", "REMOVED"):
            return Refused("NOT_FOUND")
        if not hidden and picture.reporter == rater:
            return Refused("FORBIDDEN")
        task = self.task(rating, rater) if rating else None
        given_back = task is not None and task.state == "ASSIGNED" and self._give_back(task)
        if not hidden:
            picture.state, picture.case, picture.reporter = "HIDDEN", case, rater
            self._judge(rater).reported += 1
        return Done(given_back or not hidden, says={"case": picture.case})

    def decide_complaint(self, key: UUID, case: UUID, verdict: str, by: UUID) -> Answer:
        picture = self.shown[key]
        if not self.moderates(by):
            return Refused("FORBIDDEN")
        if picture.case != case:
            return Refused("NOT_FOUND")
        if picture.state != "HIDDEN":
            gone = picture.state in ("UPHELD", "REMOVED")
            return Done(changed=False) if gone == (verdict == "UPHELD") else Refused("INVALID_INPUT")
        # what is only an address has no files that must go first
        picture.state = "OPEN" if verdict == "DISMISSED" else "UPHELD" if picture.job else "REMOVED"
        return Done(changed=True)

    # --- money

    def believed(self, rater: UUID) -> bool:
        """Whether what somebody earns by rating may be spent at once."""
        judge = self.judges.get(rater, Judge())
        return (self.trusted(rater) or judge.trusted) and judge.standing not in SLOWLY

    def _reward(self, rater: UUID, worth: int) -> int:
        judge, today = self._judge(rater), int(self.now.timestamp()) // 86_400
        paid = judge.paid[1] if judge.paid[0] == today else 0
        if rater == NOBODY or paid >= (A_DAY_BELIEVED if self.believed(rater) else A_DAY):
            return 0
        judge.paid, judge.rewarded = (today, paid + 1), judge.rewarded + worth
        self._pay_rater(rater, worth)
        return worth

    def _pay_rater(self, rater: UUID, amount: int) -> None:
        user, waits = self.users[rater], 0 if self.believed(rater) else amount
        user.rated += amount
        user.balance += amount - waits
        user.escrow += waits
        user.of_ratings += waits

    # --- how far raters are believed

    def assess(self, rater: UUID, standing: str, ratings: int) -> Answer:
        judge = self.judges.get(rater)
        if judge is None:
            return Refused("NOT_FOUND")
        if judge.verdict == "CLEARED" and standing == "SUSPECT":
            standing = "WATCHED"
        if judge.verdict == "CONFIRMED":
            standing = "SUSPECT"
        changed = standing != judge.standing or ratings * 100 > (judge.looked_at or 0) * 125
        if changed:
            judge.standing, judge.looked_at = standing, ratings
        released = self._trust_rater(rater, judge)
        return Done(changed or released, says={"standing": judge.standing, "marked": judge.marked})

    def _trust_rater(self, rater: UUID, judge: Judge) -> bool:
        user = self.users[rater]
        old = user.opened is not None and self.now - user.opened >= TRUST_AGE
        worthy = judge.trusted or self.trusted(rater) or (judge.given >= TRUST_RATINGS and old)
        released = user.of_ratings if worthy and judge.standing == "GOOD" else 0
        if released:
            judge.trusted, user.of_ratings = True, 0
            user.escrow -= released
            user.balance += released
        return bool(released)

    def mark(self, rater: UUID, ratings: tuple[UUID, ...], *, suspect: bool) -> Answer:
        judge = self.judges.get(rater)
        if judge is None:
            return Refused("NOT_FOUND")
        if (judge.standing == "SUSPECT") != suspect:
            return Refused("INVALID_INPUT")
        tasks = [task for key in ratings if (task := self.task(key, rater))]
        meant = [t for t in tasks if t.value is not None and not t.again and t.suspect != suspect]
        for task in meant:
            task.suspect = suspect
            judge.marked += 1 if suspect else -1
            self.shown[task.picture].ratings += -1 if suspect else 1
        earned = sum(task.reward for task in meant)
        if suspect:
            self._take_back(rater, judge, earned)
        else:
            again = min(earned, judge.reversed - judge.restored)
            judge.restored += again
            self._pay_rater(rater, again)
        return Done(bool(meant), says={"marked": judge.marked})

    def _take_back(self, rater: UUID, judge: Judge, earned: int) -> None:
        """Out of what waits first, then of what may be spent; what is gone is gone."""
        user = self.users[rater]
        waits = min(earned, user.of_ratings)
        free = min(earned - waits, max(0, self.available(rater)))
        user.of_ratings -= waits
        user.escrow -= waits
        user.balance -= free
        user.rated -= waits + free
        judge.reversed += waits + free

    def judge(self, rater: UUID, verdict: str, by: UUID | None) -> Answer:
        if by is not None and not self.moderates(by):
            return Refused("FORBIDDEN")
        judge = self.judges.get(rater)
        if judge is None:
            return Refused("NOT_FOUND")
        standing = "GOOD" if verdict == "CLEARED" else "SUSPECT"
        assessed = judge.looked_at is not None and judge.standing != standing
        changed = judge.verdict != verdict or assessed
        judge.verdict = verdict
        judge.standing = standing if assessed else judge.standing
        return Done(changed, says={"standing": judge.standing, "marked": judge.marked})

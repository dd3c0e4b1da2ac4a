"""Whatever happened: no release has what is not shared now, and each has a tombstone for what was.

Histories are played by the real deciders; what should be in a release is said here a second time, in the simplest words.
"""

import hashlib
import json
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pyarrow.dataset as ds
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.accounts.decider import GrantRole
from app.datasets.build import Source, build
from app.datasets.people import People
from app.images.decider import OrderTakedown, TakeDownPictures
from app.jobs.decider import WithdrawConsent
from app.moderation.decider import DecideCase
from app.platform.commands import Command, rules
from app.platform.picture_words import ImportedPictureWords
from app.raters.decider import RULES as RATERS
from app.raters.decider import AssessRater, MarkRatings
from app.sharing.decider import PublishPicture, WithdrawPictures
from app.workers.lease_decider import ResultState
from app.workers.reports import case_of
from events.accounts import Role
from events.base import Event, Recorded
from events.images import PictureCaseDecided, PictureReported, PicturesTakenDown, TakedownOrdered
from events.jobs import GenerationDelivered, ImageJobSubmitted
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.ratings import ImageRated, PicturesCompared, RaterScores, RatingsMarked, Standing
from events.sharing import (
    PicturePublished,
    PicturesWithdrawn,
    ShareConsentForced,
    ShareConsentGiven,
    ShareConsentWithdrawn,
)
from projections.cases import CaseState
from projections.generations import GenerationState
from tests.datasets.conftest import PEPPER
from tests.factories import RULES, submit
from tests.model import MemoryLog
from tests.property.histories import Play
from tests.property.playing import USERS, WORKERS, Move

KINDS = (
    "gallery", "gallery", "gallery", "source", "fetched", "serve", "serve", "force", "force",
    "consent", "withdraw", "tell", "tell", "case", "case", "take_down", "bad", "bad",
    "hand", "hand", "hand", "judge", "judge", "judge", "judge", "rate_own", "rate_own", "mark",
)  # fmt: skip
moves = st.tuples(st.sampled_from(KINDS), *[st.integers(0, 11)] * 3)

SCORES = RaterScores(
    ratings=100, known=0, known_missed=0, repeats=0, repeat_error=None, hasty=0, pace=10, entropy=2500,
    bias=0, spread=1000, reliability=900, copying=None,
)  # fmt: skip


def file_of(picture: UUID) -> bytes:
    return b"the picture " + picture.bytes


class House(Play):
    """Plays moves, and serves as the log and the shared bucket of releases."""

    realm = 0

    def __init__(self) -> None:
        super().__init__(MemoryLog(RULES | rules(RATERS)))
        self.fetched: set[UUID] = set()
        self.do(GrantRole(user=USERS[3], role=Role.MODERATOR))
        for number in range(3):
            self._gallery(number, number + 1, 1)

    def _consent(self, a: int, _: int, __: int) -> Command:
        """Mostly to what is shared."""
        shared = [job.id for job in self.log.jobs().values() if job.shared and job.unshared is None]
        return WithdrawConsent(job=shared[a % len(shared)] if shared else self.new())

    def _withdraw(self, a: int, _: int, __: int) -> Command:
        """What an actor does once sharing has ended."""
        ended = [job.id for job in self.log.jobs().values() if job.withdrawing]
        return WithdrawPictures(job=ended[a % len(ended)] if ended else self.new())

    def _publish(self, a: int, _: int, __: int) -> Command | None:
        jobs = self.log.jobs()
        waits = [
            g
            for g in self.rows("generations").values()
            if g.state is GenerationState.DONE and jobs[g.job].shared and g.sha256 is None
        ]
        return self._published(waits[a % len(waits)]) if waits else None

    def _force(self, a: int, _: int, __: int) -> Command | None:
        """Somebody tries to publish what was delivered, whether it is shared or not."""
        done = [g for g in self.rows("generations").values() if g.state is GenerationState.DONE]
        return self._published(done[a % len(done)]) if done else None

    def _published(self, generation: object) -> Command:
        key: UUID = generation.id  # type: ignore[attr-defined]
        return PublishPicture(
            job=generation.job,  # type: ignore[attr-defined]
            generation=key,
            sha256=hashlib.sha256(file_of(key)).hexdigest(),
            perceptual_hash=f"{key.int & 2**64 - 1:016x}",
            width=512,
            height=512,
            size=len(file_of(key)),
            takedowns=sum(event.type == TakedownOrdered.TYPE for event in self.log.events),
        )

    def _serve(self, a: int, _: int, c: int) -> None:
        """A worker takes what there is, and delivers it."""
        poll = self.polls(WORKERS[a % 3], 20, 0)
        self.do(poll)
        if (lease := self.rows("leases").get(poll.lease)) is not None:
            self.do(self.results(lease, lease.generations, ResultState.OK))

    def _tell(self, a: int, b: int, c: int) -> None:
        """A worker draws two shared pictures: one is published, what it got for the other it reports."""
        job = self.new()
        self.do(submit(USERS[a % 4], job=job, generations=[self.new(), self.new()], models=(), shared=True))
        for state in (ResultState.OK, ResultState.CSAM):
            poll = self.polls(WORKERS[b % 3], 0, c)
            self.do(poll)
            if (lease := self.rows("leases").get(poll.lease)) is not None:
                self.do(self.results(lease, lease.generations, state))
            for made in self.log.generations_of(job):
                if made.state is GenerationState.DONE and made.sha256 is None:
                    self.do(self._published(made))

    def _case(self, a: int, _: int, c: int) -> Command | None:
        """A moderator decides about a report, mostly that it is right."""
        found = [g for g in self.rows("generations").values() if g.report is CaseState.OPEN]
        if not found:
            return None
        verdict = Verdict.UPHELD if c % 3 else Verdict.DISMISSED
        told = found[a % len(found)]
        return DecideCase(
            case=case_of(told.id), job=told.job, generation=told.id, verdict=verdict, by=USERS[3]
        )

    def _take_down(self, a: int, _: int, __: int) -> None:
        pictures = list(self.rows("pictures").values())
        if not pictures:
            return
        gone, takedown = pictures[a % len(pictures)], self.new()
        self.do(
            OrderTakedown(takedown=takedown, sha256=gone.sha256, perceptual_hash=None, distance=0, by=None)
        )
        self.do(TakeDownPictures(takedown=takedown, pictures=(gone.id,), jobs=(gone.job,)))

    def _mark(self, a: int, _: int, c: int) -> None:
        rated = [row for row in self.rows("ratings").values() if row.value is not None and not row.own]
        if not rated:
            return
        row = rated[a % len(rated)]
        standing = Standing.SUSPECT if c % 4 else Standing.GOOD
        self.do(AssessRater(rater=row.rater, up_to=self.last(), scores=SCORES, standing=standing, causes=()))
        self.do(MarkRatings(rater=row.rater, ratings=(row.id,), pictures=(row.picture,), suspect=c % 4 > 0))

    # --- as the log

    def last(self) -> int:
        return len(self.log.events)

    def at(self, position: int) -> Recorded:
        if not 0 < position <= self.last():
            raise KeyError(position)
        return self.log.events[position - 1]

    def events(self, after: int, upto: int, names: Sequence[str]) -> Iterator[Recorded]:
        return (event for event in self.log.events[after:upto] if event.type in names)

    # --- as the bucket

    def fetch(self, picture: UUID) -> tuple[bytes, bytes]:
        self.fetched.add(picture)
        file = file_of(picture)
        said = {
            "id": str(picture), "set": "", "prompt": f"prompt {picture.int % 3}", "negative_prompt": None,
            "steps": 20, "sampler": "k_euler", "cfg": 7.5, "karras": True, "pp": [], "seed": "1", "model": "m",
            "user_type": "registered", "sha256": hashlib.sha256(file).hexdigest(), "licence": "CC0-1.0",
            "delivered_at": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return file, json.dumps(said).encode()

    def words(self, _: Sequence[UUID]) -> dict[UUID, ImportedPictureWords]:
        return {}


def is_away(after: Sequence[Event], job: UUID, picture: UUID) -> bool:
    """Whether a published picture is not shared any more, or nobody may see it until it is decided about."""
    ended = hidden = False
    for event in after:
        match event:
            case ShareConsentWithdrawn() | CaseDecided(verdict=Verdict.UPHELD):
                ended |= event.job == job
            case CaseOpened():
                ended |= event.generation == picture
            case PicturesWithdrawn():
                ended |= picture in event.generations
            case PicturesTakenDown():
                ended |= picture in {each.picture for each in event.pictures}
            case PictureReported():
                hidden |= event.picture == picture
            case PictureCaseDecided() if event.picture == picture:
                hidden = False
                ended |= event.verdict is Verdict.UPHELD
            case _:
                pass
    return ended or hidden


def expected(house: House, cut: int) -> tuple[set[str], set[str]]:
    """What a release of a position has now, and what it has tombstones for, by looking at each picture alone."""
    facts = house.log.facts
    shown, gone = set(), set()
    for place, published in enumerate(facts[:cut]):
        if not isinstance(published.event, PicturePublished):
            continue
        job, picture = published.event.job, published.event.generation
        before = [fact.event for fact in facts[:place]]
        wish = next(e for e in before if isinstance(e, ImageJobSubmitted) and e.job == job)
        assert wish.source_processing is None
        assert wish.shared
        assert any(isinstance(e, ShareConsentGiven | ShareConsentForced) and e.job == job for e in before)
        away = is_away([fact.event for fact in facts[place:]], job, picture)
        (gone if away else shown).add(str(picture))
    return shown, gone


def check_release(house: House, cut: int) -> None:
    shown, gone = expected(house, cut)
    house.fetched.clear()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder /= build(Source(house, house, People(PEPPER, 0)), cut, folder).name

        def column(table: str, name: str) -> set[str]:
            values = ds.dataset(folder / table, format="parquet").to_table(columns=[name])[name].to_pylist()
            return {str(value).removesuffix(".webp") for value in values}

        files = set()
        for path in folder.glob("images/*.tar"):
            with tarfile.open(path) as tar:
                files |= {name.partition(".")[0] for name in tar.getnames()}
        tombstones = {line.split()[1] for line in (folder / "TOMBSTONES").read_text().splitlines()}
        rated = {str(f.event.picture) for f in house.log.facts[:cut] if isinstance(f.event, ImageRated)}
        assert files == column("metadata", "image_name") == column("splits", "id") == shown
        assert column("ratings", "id") == rated & shown
        assert (
            column("aggregates", "id") | column("pairs", "image_0_uid") | column("pairs", "image_1_uid")
            <= shown
        )
        assert tombstones == gone
        assert {str(picture) for picture in house.fetched} == shown, "nothing else was even looked at"


def ends_of(house: House, position: int, job: UUID, picture: UUID) -> set[type[Event]]:
    """The kinds of facts each of which ended the sharing of a picture."""
    after = [fact.event for fact in house.log.facts[position:]]
    return {type(event) for event in after if is_away([event], job, picture)}


def everything() -> list[Move]:
    """One history in which all of it happens, in an order of no meaning."""
    mixed = [(kind, 5 * number % 12, 7 * number % 12, number % 12) for number, kind in enumerate(KINDS * 3)]
    # what a report ends stays in the bucket until an actor has removed it: here it never does
    return [*mixed, ("tell", 0, 0, 0), ("tell", 1, 1, 0), *[("case", number, 0, 1) for number in range(9)]]


@settings(max_examples=10)
@given(st.lists(moves, min_size=10, max_size=30), st.integers(1, 100))
@example(everything(), 80)
def test_no_release_has_what_is_not_shared(made: list[Move], part: int):
    house = House()
    house.play(made)
    check_release(house, max(1, house.last() * part // 100))
    check_release(house, house.last())


def test_one_of_these_histories_has_everything_that_ends_sharing():
    """Without these it would prove little."""
    house = House()
    house.play(everything())
    seen = {type(fact.event) for fact in house.log.facts}
    wanted = {
        PicturePublished, ShareConsentWithdrawn, PicturesWithdrawn, CaseOpened, CaseDecided, PicturesTakenDown,
        PictureReported, PictureCaseDecided, ImageRated, PicturesCompared, RatingsMarked,
    }  # fmt: skip
    assert wanted <= seen, wanted - seen
    shown, gone = expected(house, house.last())
    alone = Counter(
        kinds.pop()
        for published in house.log.facts
        if isinstance(event := published.event, PicturePublished)
        and len(kinds := ends_of(house, published.position, event.job, event.generation)) == 1
    )
    enough = {ShareConsentWithdrawn, CaseDecided, PicturesTakenDown, PictureReported}
    assert enough <= set(alone), "each of these, and it alone, ends the sharing of some picture"
    assert len(shown) > 2
    assert len(gone) > 5
    drawn_from_pictures = {
        job for fact in house.log.facts if isinstance(fact.event, ImageJobSubmitted) and (job := fact.event.job)
        and fact.event.source_processing is not None
    }  # fmt: skip
    delivered = {fact.event.job for fact in house.log.facts if isinstance(fact.event, GenerationDelivered)}
    assert drawn_from_pictures & delivered, "one was drawn from a picture, and tried to be published"

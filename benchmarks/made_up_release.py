"""A log of shared pictures and their ratings, made up as it is read, and a shared bucket that is made up with it.

For measuring and testing releases without a database: the same numbers give the same events, and nothing is kept in
memory. May not stand in for the log where its order, its chain or its rules matter. Look next: `app.datasets.reading`.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

import msgspec
from PIL import Image

from app.datasets.reading import GoneError
from app.platform.picture_words import ImportedPictureWords
from events.base import ANONYMOUS, Event, Recorded
from events.images import (
    SHARED_SET,
    ImageSetOpened,
    ImagesImported,
    ImportedPicture,
    PictureMirrored,
    RedistributionSet,
)
from events.jobs import ImageJobSubmitted
from events.ratings import (
    AccountKind,
    BestNamed,
    ImageRated,
    PicturesCompared,
    Preference,
    RaterAssessed,
    RaterContext,
    RaterScores,
    RatingMark,
    RatingsMarked,
    RatingTag,
    Standing,
)
from events.sharing import (
    PicturePublished,
    PicturesWithdrawn,
    ShareConsentForced,
    ShareConsentGiven,
    ShareConsentWithdrawn,
    WithheldReason,
)

_SPACE: Final = UUID(int=0x5A7E)
_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
IMPORTED_SET: Final = uuid5(_SPACE, "imported set")
_SUBJECTS: Final = ("a castle", "a harbour", "an old face", "a quiet street", "two foxes", "a glass of tea")
_MANNERS: Final = (
    "in fog",
    "at noon",
    "in oil",
    "as a photograph",
    "by candlelight",
    "in snow",
    "from above",
)
_JOB_PICTURES: Final = 2


class MadeUp:
    """A log, and its pictures. Both `Log` and `Pictures` of `app.datasets.reading`."""

    realm = 0

    def __init__(
        self,
        pictures: int,
        ratings: int,
        *,
        users: int = 60,
        imports: int = 0,
        withdrawn: Sequence[int] = (),
        side: int = 16,
        copies: int = 0,
        redistributed: bool = True,
        extra: Sequence[Event] = (),
    ) -> None:
        """Say how much there is.

        Args:
            pictures: shared ones, two of each job.
            ratings: of them, and a comparison for each tenth of them.
            users: who asks for pictures and rates; the first one is anonymous.
            imports: imported pictures.
            withdrawn: numbers of jobs whose consent is taken back, after everything else.
            side: of the pictures, in pixels.
            copies: of how many imported pictures there is a copy.
            redistributed: whether releases may hold those.
            extra: what happens after that.
        """
        self._pictures = pictures
        self._ratings = ratings
        self._users = users
        self._imports = imports
        self._withdrawn = withdrawn
        self._side = side
        self._copies = copies
        self._redistributed = redistributed
        self._extra = extra
        self.gone = {self.picture(job * _JOB_PICTURES + n) for job in withdrawn for n in range(_JOB_PICTURES)}
        self.fetched = 0
        self._last: int | None = None

    def job(self, number: int) -> UUID:
        """The id of a job."""
        return uuid5(_SPACE, f"job {number}")

    @staticmethod
    def picture(number: int) -> UUID:
        """The id of a shared picture."""
        return _id("picture", number)

    @staticmethod
    def user(number: int) -> UUID:
        """The id of a user."""
        return ANONYMOUS if number == 0 else _id("user", number)

    def last(self) -> int:
        """See `Log`."""
        if self._last is None:
            self._last = sum(1 for _ in self._events())
        return self._last

    def at(self, position: int) -> Recorded:
        """See `Log`."""
        if not 0 < position <= self.last():
            raise KeyError(position)
        for number, event in enumerate(self._events(), 1):
            if number == position:
                return _recorded(number, event)
        raise KeyError(position)

    def events(self, after: int, upto: int, names: Sequence[str]) -> Iterator[Recorded]:
        """See `Log`."""
        if after >= upto:
            return
        wanted = frozenset(names)
        for position, event in enumerate(self._events(), 1):
            if position > upto:
                return
            if position > after and event.TYPE in wanted:
                yield _recorded(position, event)

    def fetch(self, picture: UUID) -> tuple[bytes, bytes]:
        """See `Pictures`."""
        if picture in self.gone:
            raise GoneError(picture, "is not in the shared bucket")
        self.fetched += 1
        file = self._file(picture)
        number = int(picture.int >> 8) % (len(_SUBJECTS) * len(_MANNERS) * 1000)
        said = {
            "id": str(picture),
            "set": "",
            "prompt": prompt_of(number, self._pictures),
            "negative_prompt": None,
            "steps": 20,
            "sampler": "k_euler",
            "cfg": 7.5,
            "karras": True,
            "pp": [],
            "seed": str(number),
            "model": "stable_diffusion",
            "user_type": "registered",
            "sha256": hashlib.sha256(file).hexdigest(),
            "licence": "CC0-1.0",
            "delivered_at": _BEGIN,
        }
        return file, msgspec.json.encode(said, order="sorted") + b"\n"

    def copy(self, picture: UUID, sha256: str) -> bytes:
        """See `Pictures`."""
        file = self._file(picture)
        if hashlib.sha256(file).hexdigest() != sha256:
            raise GoneError(picture, "has no copy in the bucket of data sets")
        self.fetched += 1
        return file

    @staticmethod
    def imported(number: int) -> UUID:
        """The id of an imported picture."""
        return _id("imported", number)

    def words(self, pictures: Sequence[UUID]) -> dict[UUID, ImportedPictureWords]:
        """See `Pictures`."""
        return {
            picture: ImportedPictureWords(
                picture=picture,
                image_set=IMPORTED_SET,
                url=f"https://pictures.example/{picture}.jpg",
                key="",
                caption=f"found {picture.hex[:6]}",
                similarity=0.31,
                punsafe=0.01,
                pwatermark=0.2,
            )
            for picture in pictures
        }

    def _file(self, picture: UUID) -> bytes:
        return _drawn(picture.bytes[:3] if self._side > 16 else picture.bytes[:1], self._side)

    def _events(self) -> Iterator[Event]:
        dice = random.Random(7)
        for job in range(self._pictures // _JOB_PICTURES):
            yield from self._job(job)
        yield from self._import()
        for number in range(self._ratings):
            yield from self._rating(dice, number)
        for user in range(1, self._users):
            yield _assessed(self.user(user), user)
        for job in self._withdrawn:
            requester = self.user(job % self._users)
            pictures = tuple(self.picture(job * _JOB_PICTURES + n) for n in range(_JOB_PICTURES))
            yield ShareConsentWithdrawn(job=self.job(job), requester=requester)
            yield PicturesWithdrawn(
                job=self.job(job),
                requester=requester,
                generations=pictures,
                reason=WithheldReason.CONSENT_WITHDRAWN,
            )
        yield from self._extra

    def _job(self, number: int) -> Iterator[Event]:
        job, requester = self.job(number), self.user(number % self._users)
        pictures = tuple(self.picture(number * _JOB_PICTURES + n) for n in range(_JOB_PICTURES))
        yield submitted(job, requester, pictures)
        consent = ShareConsentForced if requester == ANONYMOUS else ShareConsentGiven
        yield consent(job=job, requester=requester, text_version=1)
        for picture in pictures:
            file = self._file(picture)
            yield PicturePublished(
                job=job,
                requester=requester,
                generation=picture,
                sha256=hashlib.sha256(file).hexdigest(),
                perceptual_hash=f"{picture.int & 2**64 - 1:016x}",
                width=self._side,
                height=self._side,
                size=len(file),
                model="stable_diffusion",
            )

    def _import(self) -> Iterator[Event]:
        if not self._imports:
            return
        yield ImageSetOpened(image_set=IMPORTED_SET, name="found", licence="CC-BY-4.0", target=5)
        for first in range(0, self._imports, 500):
            yield ImagesImported(
                image_set=IMPORTED_SET,
                target=5,
                pictures=tuple(
                    ImportedPicture(self.imported(number), 640, 480, number % 9 == 0)
                    for number in range(first, min(first + 500, self._imports))
                ),
            )
        if self._redistributed and self._copies:
            yield RedistributionSet(image_set=IMPORTED_SET, allowed=True)
        for number in range(self._copies):
            file = self._file(self.imported(number))
            yield PictureMirrored(
                picture=self.imported(number),
                image_set=IMPORTED_SET,
                sha256=hashlib.sha256(file).hexdigest(),
                perceptual_hash=f"{number:016x}",
                width=self._side,
                height=self._side,
                size=len(file),
                original_sha256=hashlib.sha256(b"original %d" % number).hexdigest(),
            )

    def _rating(self, dice: random.Random, number: int) -> Iterator[Event]:
        rater = number // max(1, self._ratings // self._users) % self._users
        which = number % self._pictures if self._pictures else 0
        merit = 2 + 7 * (self.picture(which).bytes[0] / 255)
        value = max(1, min(10, round(merit + dice.gauss(0, 1))))
        rating, picture = _id("rating", number), self.picture(which)
        yield ImageRated(
            rater=self.user(rater),
            context=_context(rater, number),
            reward=0,
            escrowed=0,
            postings=(),
            rating=rating,
            picture=picture,
            image_set=SHARED_SET,
            job=self.job(which // _JOB_PICTURES),
            value=value,
            artifacts=None if number % 3 else dice.randrange(6),
            tags=(RatingTag.PHOTO,) if number % 7 == 0 else (),
            own=number % 50 == 49,
            again=False,
        )
        if number % 97 == 5:
            yield RatingsMarked(
                rater=self.user(rater), suspect=True, marks=(RatingMark(rating, picture, value, None),)
            )
        if number % 10 == 3:
            yield PicturesCompared(
                rater=self.user(rater),
                context=_context(rater, number),
                reward=0,
                escrowed=0,
                postings=(),
                rating=_id("comparison", number),
                picture=picture,
                other=self.picture(which ^ 1),
                image_set=SHARED_SET,
                job=self.job(which // _JOB_PICTURES),
                preference=dice.choice(list(Preference)),
            )
        if number % 40 == 1:
            yield BestNamed(
                rater=self.user(which // _JOB_PICTURES % self._users),
                context=_context(rater, number),
                reward=0,
                escrowed=0,
                postings=(),
                job=self.job(which // _JOB_PICTURES),
                best=picture,
                others=(self.picture(which ^ 1),),
                derived=False,
            )


def prompt_of(number: int, pictures: int) -> str:
    """A prompt; some are used by several people."""
    of = number % max(1, pictures // 3)
    return f"{_SUBJECTS[of % 6]} {_MANNERS[of // 6 % 7]}, number {of // 42}"


def submitted(job: UUID, requester: UUID, pictures: tuple[UUID, ...], **more: object) -> ImageJobSubmitted:
    """A job that is shared."""
    said: dict[str, object] = {
        "job": job,
        "requester": requester,
        "generations": pictures,
        "models": (),
        "width": 512,
        "height": 512,
        "steps": 20,
        "accurate_steps": 20,
        "sampler": "k_euler",
        "cfg_scale": 7.5,
        "karras": True,
        "tiling": False,
        "hires_fix": False,
        "clip_skip": 1,
        "post_processing": (),
        "nsfw": False,
        "shared": True,
        "price_book": 1,
        "price": 100,
        "tax": 100,
        "quote": (),
        "priority": 0,
        "tier": 0,
        "rank": 0,
        "lease_seconds": 60,
        **more,
    }
    return ImageJobSubmitted(**said)  # type: ignore[arg-type]


def _context(rater: int, number: int) -> RaterContext:
    return RaterContext(
        generated=rater * 10,
        given=number % 1000,
        account_age=86_400 * rater,
        balance=-5000 if rater == 0 else 100 * rater,
        trusted=rater % 2 == 1,
        kind=AccountKind.ANONYMOUS if rater == 0 else AccountKind.REGISTERED,
        client="gallery",
        client_version="1.2",
        took=1500 + number % 400,
    )


def _assessed(rater: UUID, number: int) -> RaterAssessed:
    scores = RaterScores(
        ratings=100,
        known=0,
        known_missed=0,
        repeats=0,
        repeat_error=None,
        hasty=0,
        pace=10,
        entropy=2500,
        bias=number - 30,
        spread=1000,
        reliability=900 - number,
        copying=None,
    )
    standing = Standing.GOOD if number % 3 else Standing.SUSPECT
    return RaterAssessed(rater=rater, up_to=1, scores=scores, standing=standing, causes=())


def _id(kind: str, number: int) -> UUID:
    digest = hashlib.blake2b(b"%s %d" % (kind.encode(), number), digest_size=16).digest()
    return UUID(bytes=digest)


@lru_cache(4096)
def _drawn(colour: bytes, side: int) -> bytes:
    warmth = colour[0]
    picture = Image.new("RGB", (side, side), (warmth, 90, 255 - warmth))
    file = io.BytesIO()
    picture.save(file, "webp", lossless=True)
    return file.getvalue()


def _recorded(position: int, event: Event) -> Recorded:
    return Recorded(
        position=position,
        event_id=UUID(int=position),
        stream=event.stream(),
        type=event.TYPE,
        schema_version=event.SCHEMA_VERSION,
        subject=event.subject(),
        occurred_at=_BEGIN + timedelta(seconds=position),
        data=msgspec.json.encode(event),
        metadata=b"{}",
        hash=hashlib.sha256(b"%d" % position).digest(),
    )

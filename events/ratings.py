"""Facts about ratings: what was handed out, how it was rated, what for, and how far its rater is believed.

Each rating holds what was known of its rater at that moment, so that whoever reads it later can tell good raters from
bad ones. Notes are words and live in the vault, and so do known answers: the log is public, and would give them away.
Amounts are hundredths of kudos. Look next: `projections.ratings`, `projections.raters`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from events.base import Event, Postings


class RaterEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one rater, about that user."""

    rater: UUID

    def stream(self) -> str:
        """The rater's stream."""
        return f"rater-{self.rater}"

    def subject(self) -> UUID | None:
        """The rater."""
        return self.rater


class AccountKind(StrEnum):
    """What kind of account a rater has."""

    ANONYMOUS = "ANONYMOUS"
    REGISTERED = "REGISTERED"
    SERVICE = "SERVICE"
    MODERATOR = "MODERATOR"
    OPERATOR = "OPERATOR"


class RatingTag(StrEnum):
    """What a rater saw in a picture; a closed list, since the log holds no words."""

    WATERMARK = "WATERMARK"
    TEXT = "TEXT"
    BLURRY = "BLURRY"
    NOISY = "NOISY"
    CROPPED = "CROPPED"
    DEFORMED = "DEFORMED"
    OVEREXPOSED = "OVEREXPOSED"
    DULL = "DULL"
    BEAUTIFUL = "BEAUTIFUL"
    ORIGINAL = "ORIGINAL"
    PHOTO = "PHOTO"
    ARTWORK = "ARTWORK"
    NSFW = "NSFW"


class Preference(StrEnum):
    """Which of two pictures is better."""

    FIRST = "FIRST"
    SECOND = "SECOND"
    TIE = "TIE"


class Standing(StrEnum):
    """How far a rater is believed, by the last assessment."""

    #: too little is known
    NEW = "NEW"
    GOOD = "GOOD"
    #: something looks odd: what it earns waits
    WATCHED = "WATCHED"
    #: its ratings are marked
    SUSPECT = "SUSPECT"


class RaterCause(StrEnum):
    """What an assessment found against a rater."""

    #: known answers missed
    KNOWN_ANSWERS = "KNOWN_ANSWERS"
    #: judges the same picture otherwise when asked again
    INCONSISTENT = "INCONSISTENT"
    #: faster than one can look
    HASTY = "HASTY"
    #: more in an hour, or in a day, than people do
    PACE = "PACE"
    #: always the same few values
    MONOTONOUS = "MONOTONOUS"
    #: says nothing of what the others see
    UNRELIABLE = "UNRELIABLE"
    #: says what another one says, errors and all
    COPYING = "COPYING"
    #: lifts or sinks the same pictures as others, against everybody else
    COLLUDING = "COLLUDING"


class RaterVerdict(StrEnum):
    """What a moderator decided of a rater: nothing is wrong with it, or it is as the assessment says."""

    CLEARED = "CLEARED"
    CONFIRMED = "CONFIRMED"


class RaterContext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was known of a rater at the moment of a rating."""

    #: pictures that were generated for it
    generated: int
    #: ratings it had given before
    given: int
    #: seconds since its account was opened
    account_age: int
    #: hundredths of kudos
    balance: int
    trusted: bool
    #: what kind of account it has
    kind: AccountKind
    #: the program it uses; empty where it does not say
    client: str
    #: of that program
    client_version: str
    #: milliseconds since the picture was handed out; None where none was
    took: int | None


class Assigned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One picture, or two, that a rater is to judge."""

    id: UUID
    picture: UUID
    #: the picture to compare it with; None where it is to be rated
    other: UUID | None = None
    image_set: UUID
    #: it was rated by the same rater before
    again: bool = False


class RatingsAssigned(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rater was handed pictures to judge, until a time."""

    TYPE: ClassVar[str] = "ratings.RatingsAssigned"

    #: at most ten
    assignments: tuple[Assigned, ...]
    #: until when they may be answered
    expires_at: datetime


class RewardedEvent(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A judgement, what was known of who gave it, and what it earned."""

    #: what was known of the rater
    context: RaterContext
    #: out of the treasury; 0 where it is not paid
    reward: int
    #: how much of the reward waits in the rater's escrow
    escrowed: int
    postings: Postings


class ImageRated(RewardedEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rater rated one picture."""

    TYPE: ClassVar[str] = "ratings.ImageRated"

    #: the assignment's id
    rating: UUID
    picture: UUID
    image_set: UUID
    #: whose generation the picture is; None for an imported one
    job: UUID | None
    #: from 1, worst, to 10
    value: int
    #: from 0, flawless, to 5, garbage; None where nothing is said
    artifacts: int | None
    tags: tuple[RatingTag, ...]
    #: the picture was made for the rater
    own: bool
    #: the rater had rated it before: told apart, never counted twice
    again: bool


class PicturesCompared(RewardedEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rater said which of two pictures is better."""

    TYPE: ClassVar[str] = "ratings.PicturesCompared"

    rating: UUID
    picture: UUID
    other: UUID
    image_set: UUID
    #: whose generations both are; None where they are not of one job
    job: UUID | None
    preference: Preference


class BestNamed(RewardedEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A requester named the best picture of a job, or rated one above all others."""

    TYPE: ClassVar[str] = "ratings.BestNamed"

    job: UUID
    best: UUID
    #: those it was chosen from
    others: tuple[UUID, ...]
    #: nobody named it: it was rated highest
    derived: bool


class PictureSkipped(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rater does not want to judge what was handed out: it is not handed to that rater again."""

    TYPE: ClassVar[str] = "ratings.PictureSkipped"

    rating: UUID
    picture: UUID
    other: UUID | None


class RaterScores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an assessment computed of a rater; None where there is too little to say."""

    #: ratings looked at
    ratings: int
    #: pictures with known answers among them
    known: int
    #: how many of those were missed
    known_missed: int
    #: pictures rated twice
    repeats: int
    #: by how much both ratings of a picture differ in the mean, in thousandths of a point
    repeat_error: int | None
    #: ratings faster than one can look, in thousandths of all
    hasty: int | None
    #: most ratings within an hour
    pace: int | None
    #: of the values, in thousandths of a bit
    entropy: int | None
    #: how much higher than others it rates, in thousandths of a point
    bias: int | None
    #: how far apart it rates what others rate a point apart, in thousandths
    spread: int | None
    #: correlation of what it says with what the picture is worth, in thousandths, from 0 to 1000
    reliability: int | None
    #: how much its errors are those of one other rater, in thousandths of a correlation
    copying: int | None
    #: standard error of the reliability, in thousandths
    reliability_error: int | None = None
    #: ratings that are just the mean of those before, rounded, in thousandths of those that had two before
    echo: int | None = None
    #: how many had two before
    echoes: int = 0
    #: pictures that it rated as well as the one whose errors it shares most
    shared: int = 0
    #: raters whose errors it shares
    accomplices: int = 0


class RaterAssessed(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rater was assessed by all ratings up to a position."""

    TYPE: ClassVar[str] = "ratings.RaterAssessed"

    #: of the last event that was looked at
    up_to: int
    scores: RaterScores
    standing: Standing
    #: what speaks against it
    causes: tuple[RaterCause, ...]


class RatingMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A rating that is marked, with what it said, so that sums can leave it out."""

    rating: UUID
    picture: UUID
    #: from 1 to 10
    value: int
    #: from 0 to 5, if anything was said
    artifacts: int | None


class RatingsMarked(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ratings are marked as suspect, or are so no more. They stay what they are."""

    TYPE: ClassVar[str] = "ratings.RatingsMarked"

    suspect: bool
    #: at most 500; only such that are neither own nor repeats
    marks: tuple[RatingMark, ...]


class RatingRewardsReversed(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rewards of marked ratings went back to the treasury, as far as they were still there."""

    TYPE: ClassVar[str] = "ratings.RatingRewardsReversed"

    #: what went back
    amount: int
    #: how much of it was still in escrow
    escrowed: int
    #: what was gone already: recorded, not owed
    uncovered: int
    #: how many ratings
    ratings: int
    postings: Postings


class RatingRewardsRestored(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rewards that were reversed are paid again: a moderator cleared the rater."""

    TYPE: ClassVar[str] = "ratings.RatingRewardsRestored"

    #: in hundredths
    amount: int
    #: how much of it waits in escrow
    escrowed: int
    postings: Postings


class RatingEscrowReleased(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ratings earned and waited in escrow may be spent from now on: the rater earned trust by rating."""

    TYPE: ClassVar[str] = "ratings.RatingEscrowReleased"

    amount: int
    postings: Postings


class RaterJudged(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator decided of a rater."""

    TYPE: ClassVar[str] = "ratings.RaterJudged"

    verdict: RaterVerdict


class AppealMade(RaterEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rater asked moderators to look at its standing again; its words are in the vault."""

    TYPE: ClassVar[str] = "ratings.AppealMade"

    appeal: UUID


EVENTS: tuple[type[Event], ...] = (
    RatingsAssigned,
    ImageRated,
    PicturesCompared,
    BestNamed,
    PictureSkipped,
    RaterAssessed,
    RatingsMarked,
    RatingRewardsReversed,
    RatingRewardsRestored,
    RatingEscrowReleased,
    RaterJudged,
    AppealMade,
)

"""What may become of sets of pictures: opened, imported into, mirrored, taken down. Pure.

Ids of sets follow from their names and ids of pictures from what they are, so that importing again adds nothing. Look
next: `app.images.importing`, `app.images.takedown`, `projections.pictures`.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid5

import msgspec

from app.ledger.standing import moderates
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.picture_words import ImageSetWords, ImportedPictureWords
from app.platform.rows import Rows
from app.platform.takedowns import MOST_DISTANCE, outdated
from events.base import Event
from events.images import (
    IMPORTED_AT_ONCE,
    ImageSetOpened,
    ImagesImported,
    ImportedPicture,
    MirrorFailed,
    MirrorFault,
    PictureMirrored,
    PicturesTakenDown,
    RedistributionSet,
    TakedownCarriedOut,
    TakedownLifted,
    TakedownOrdered,
    TakenDown,
)
from projections.pictures import PictureState

#: the names of sets, and of licences, as identifiers
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LICENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
MOST_DESCRIPTION: Final = 2_000
MOST_TARGET: Final = 100
#: what the ids of sets are made under
_SETS: Final = UUID("5a7e0000-0000-4000-8000-000000000002")
_HEX: Final = re.compile(r"[0-9a-f]+")


def set_id(name: str) -> UUID:
    """The id of a set: it follows from its name, so no two sets share one."""
    return uuid5(_SETS, name)


def picture_id(image_set: UUID, what: str) -> UUID:
    """The id of an imported picture: it follows from its set and its address, or its file's SHA-256."""
    return uuid5(image_set, what)


def takedown_of_case(case: UUID) -> UUID:
    """The id of the takedown that follows from a case: there is one at most."""
    return uuid5(case, "takedown")


class OpenImageSet(Command, frozen=True, kw_only=True):
    """Open a set of pictures, if it is not there."""

    name: str
    licence: str
    target: int
    description: str


class Opened(Result, frozen=True, kw_only=True):
    """The set."""

    image_set: UUID
    target: int
    #: it was there before
    before: bool


class SetRedistribution(Command, frozen=True, kw_only=True):
    """Say whether releases may hold copies of a set's pictures."""

    image_set: UUID
    allowed: bool


class Import(msgspec.Struct, frozen=True):
    """One picture to import, with its words."""

    picture: ImportedPicture
    words: ImportedPictureWords


class ImportPictures(Command, frozen=True, kw_only=True):
    """Add pictures to a set: those that are not in it."""

    image_set: UUID
    imports: tuple[Import, ...]


class Imported(Result, frozen=True, kw_only=True):
    """How many pictures came in."""

    added: int


class RecordMirror(Command, frozen=True, kw_only=True):
    """Record that a copy of an imported picture lies in the bucket: it was put there before."""

    picture: UUID
    words: ImportedPictureWords
    sha256: str
    perceptual_hash: str
    #: pixels, pixels, bytes
    width: int
    height: int
    size: int
    #: how many takedowns it was held against
    takedowns: int
    #: of the file that the copy was made from
    original_sha256: str


class FailMirror(Command, frozen=True, kw_only=True):
    """Record that an imported picture cannot be had."""

    picture: UUID
    reason: MirrorFault


class MirrorSettled(Result, frozen=True, kw_only=True):
    """Whether this attempt is the one that counts."""

    kept: bool


class OrderTakedown(Command, frozen=True, kw_only=True):
    """Take down what has a hash. `by` None: the house itself, for an upheld report."""

    takedown: UUID
    sha256: str | None
    perceptual_hash: str | None
    distance: int
    by: UUID | None


class LiftTakedown(Command, frozen=True, kw_only=True):
    """Let such pictures come again."""

    takedown: UUID
    by: UUID


class Ordered(Result, frozen=True, kw_only=True):
    """The takedown."""

    takedown: UUID


class TakeDownPictures(Command, frozen=True, kw_only=True):
    """Record what a takedown took: it was removed from the buckets before."""

    takedown: UUID
    pictures: tuple[UUID, ...]
    #: whose generations those of them are that are shared
    jobs: tuple[UUID, ...]


class FinishTakedown(Command, frozen=True, kw_only=True):
    """Record that nothing more is there to take down."""

    takedown: UUID


def open_image_set(command: OpenImageSet, rows: Rows) -> Decision | Rejection:
    """A set that is there stays as it is, and must be meant as it is."""
    if not _NAME.fullmatch(command.name):
        return _invalid("name", "a set's name has 1 to 64 lower case letters, digits and -")
    if not _LICENCE.fullmatch(command.licence):
        return _invalid("licence", "a licence is an SPDX id, such as CC-BY-4.0 or LicenseRef-mine")
    if not 1 <= command.target <= MOST_TARGET:
        return _invalid("target", f"the target is 1 to {MOST_TARGET} raters a picture")
    if len(command.description) > MOST_DESCRIPTION:
        return _invalid("description", f"a description has at most {MOST_DESCRIPTION} characters")
    key = set_id(command.name)
    found = rows.image_set(key)
    words = ImageSetWords(key, command.description)
    if found is None:
        event = ImageSetOpened(
            image_set=key, name=command.name, licence=command.licence, target=command.target
        )
        return Decision((event,), Opened(image_set=key, target=command.target, before=False), (words,))
    if (found.licence, found.target) != (command.licence, command.target):
        message = f"the set is there with the licence {found.licence} and the target {found.target}"
        return _invalid("licence" if found.licence != command.licence else "target", message)
    return Decision((), Opened(image_set=key, target=found.target, before=True))


def set_redistribution(command: SetRedistribution, rows: Rows) -> Decision | Rejection:
    """Said again, nothing happens."""
    found = rows.image_set(command.image_set)
    if found is None:
        return Rejection(code="NOT_FOUND", message="no such set", path=("input", "set"))
    events: tuple[Event, ...] = ()
    if found.redistributed != command.allowed:
        events = (RedistributionSet(image_set=found.id, allowed=command.allowed),)
    return Decision(events, Opened(image_set=found.id, target=found.target, before=True))


def import_pictures(command: ImportPictures, rows: Rows) -> Decision | Rejection:
    """Only what is not there, each once."""
    found = rows.image_set(command.image_set)
    if found is None:
        return Rejection(code="NOT_FOUND", message="no such set")
    new = {each.picture.id: each for each in command.imports if rows.picture(each.picture.id) is None}
    if not new:
        return Decision((), Imported(added=0))
    event = ImagesImported(
        image_set=found.id, target=found.target, pictures=tuple(each.picture for each in new.values())
    )
    words = tuple(each.words for each in new.values())
    return Decision((event,), Imported(added=len(new)), words)


def record_mirror(command: RecordMirror, rows: Rows) -> Decision | Rejection:
    """Once: a picture that has a copy, or is gone, needs none."""
    picture = rows.picture(command.picture)
    if picture is None or picture.job is not None:
        return Rejection(code="NOT_FOUND", message="no such imported picture")
    if picture.sha256 is not None or picture.state is PictureState.REMOVED:
        return Decision((), MirrorSettled(kept=False))
    if (again := outdated(command.takedowns, rows)) is not None:
        return again
    event = PictureMirrored(
        picture=picture.id,
        image_set=picture.image_set,
        sha256=command.sha256,
        perceptual_hash=command.perceptual_hash,
        width=command.width,
        height=command.height,
        size=command.size,
        original_sha256=command.original_sha256,
    )
    return Decision((event,), MirrorSettled(kept=True), (command.words,))


def fail_mirror(command: FailMirror, rows: Rows) -> Decision | Rejection:
    """Once, and not where there is a copy already."""
    picture = rows.picture(command.picture)
    if picture is None or picture.job is not None:
        return Rejection(code="NOT_FOUND", message="no such imported picture")
    if picture.sha256 is not None or picture.state is PictureState.REMOVED:
        return Decision((), MirrorSettled(kept=False))
    event = MirrorFailed(picture=picture.id, image_set=picture.image_set, reason=command.reason)
    return Decision((event,), MirrorSettled(kept=True))


def order_takedown(command: OrderTakedown, rows: Rows) -> Decision | Rejection:
    """By moderators, and by the house for reports that moderators upheld."""
    if command.by is not None and not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators order takedowns")
    if command.sha256 is None and command.perceptual_hash is None:
        return _invalid("sha256", "give a SHA-256, a perceptual hash, or both")
    if command.sha256 is not None and not _is_hex(command.sha256, 64):
        return _invalid("sha256", "a SHA-256 has 64 hexadecimal digits, in lower case")
    if command.perceptual_hash is not None and not _is_hex(command.perceptual_hash, 16):
        return _invalid("perceptualHash", "a perceptual hash has 16 hexadecimal digits, in lower case")
    if not 0 <= command.distance <= MOST_DISTANCE:
        return _invalid("distance", f"the distance is 0 to {MOST_DISTANCE} bits")
    if rows.takedown(command.takedown) is not None:
        return Decision((), Ordered(takedown=command.takedown))
    event = TakedownOrdered(
        takedown=command.takedown,
        sha256=command.sha256,
        perceptual_hash=command.perceptual_hash,
        distance=command.distance,
    )
    return Decision((event,), Ordered(takedown=command.takedown))


def lift_takedown(command: LiftTakedown, rows: Rows) -> Decision | Rejection:
    """What it took does not come back."""
    if not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators lift takedowns")
    takedown = rows.takedown(command.takedown)
    if takedown is None:
        return Rejection(code="NOT_FOUND", message="no such takedown", path=("input", "takedown"))
    if takedown.lifted:
        return Decision((), Ordered(takedown=takedown.id))
    return Decision((TakedownLifted(takedown=takedown.id),), Ordered(takedown=takedown.id))


def take_down_pictures(command: TakeDownPictures, rows: Rows) -> Decision | Rejection:
    """Each picture once, whichever takedown it falls under."""
    takedown = rows.takedown(command.takedown)
    if takedown is None:
        return Rejection(code="NOT_FOUND", message="no such takedown")
    pictures = [rows.picture(key) for key in command.pictures]
    gone = tuple(
        TakenDown(picture.id, picture.image_set, picture.job)
        for picture in pictures
        if picture is not None and picture.state is not PictureState.REMOVED
    )
    events = (PicturesTakenDown(takedown=takedown.id, pictures=gone),) if gone else ()
    return Decision(events, Ordered(takedown=takedown.id))


def finish_takedown(command: FinishTakedown, rows: Rows) -> Decision | Rejection:
    """Once."""
    takedown = rows.takedown(command.takedown)
    if takedown is None:
        return Rejection(code="NOT_FOUND", message="no such takedown")
    events = () if takedown.complete else (TakedownCarriedOut(takedown=takedown.id),)
    return Decision(events, Ordered(takedown=takedown.id))


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.fullmatch(text) is not None


def _invalid(field: str, message: str) -> Rejection:
    return Rejection(code="INVALID_INPUT", message=message, path=("input", field))


def _needs_import(command: ImportPictures) -> Needs:
    assert len(command.imports) <= IMPORTED_AT_ONCE, "imports come in pages"
    keys = tuple(each.picture.id for each in command.imports)
    return Needs(image_sets=(command.image_set,), pictures=keys)


RULES = (
    Rule(OpenImageSet, Opened, lambda c: Needs(image_sets=(set_id(c.name),)), open_image_set),
    Rule(SetRedistribution, Opened, lambda c: Needs(image_sets=(c.image_set,)), set_redistribution),
    Rule(ImportPictures, Imported, _needs_import, import_pictures),
    Rule(RecordMirror, MirrorSettled, lambda c: Needs(pictures=(c.picture,)), record_mirror),
    Rule(FailMirror, MirrorSettled, lambda c: Needs(pictures=(c.picture,)), fail_mirror),
    Rule(
        OrderTakedown,
        Ordered,
        lambda c: Needs(takedowns=(c.takedown,), accounts=() if c.by is None else (c.by,)),
        order_takedown,
    ),
    Rule(
        LiftTakedown,
        Ordered,
        lambda c: Needs(takedowns=(c.takedown,), accounts=(c.by,)),
        lift_takedown,
    ),
    Rule(
        TakeDownPictures,
        Ordered,
        lambda c: Needs(takedowns=(c.takedown,), pictures=c.pictures, jobs=c.jobs),
        take_down_pictures,
    ),
    Rule(FinishTakedown, Ordered, lambda c: Needs(takedowns=(c.takedown,)), finish_takedown),
)

"""Facts about pictures that people rate: sets of them, imports, mirrors, reports by raters, takedowns.

A set has a name that is an identifier and a licence by its SPDX id; what else is said of it, and the addresses and
captions of imported pictures, are words and live in the vault. Look next: `events.ratings`, `projections.pictures`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from events.base import Event
from events.moderation import Verdict

#: the set of the pictures that requesters share: it is there from the beginning, and nobody opens it
SHARED_SET: Final = UUID("5a7e0000-0000-4000-8000-000000000001")
#: pictures in one event of an import, at most
IMPORTED_AT_ONCE: Final = 500


class ImageSetEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one set of pictures."""

    image_set: UUID

    def stream(self) -> str:
        """The set's stream."""
        return f"imageset-{self.image_set}"


class PictureEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one picture that is rated."""

    #: the generation's id where it is a shared one
    picture: UUID
    image_set: UUID

    def stream(self) -> str:
        """The picture's stream."""
        return f"picture-{self.picture}"


class ImageSetOpened(ImageSetEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator opened a named set, for pictures to be imported into."""

    TYPE: ClassVar[str] = "images.ImageSetOpened"

    #: lower case letters, digits and `-`, at most 64
    name: str
    #: the SPDX id of its licence, as `CC-BY-4.0`, or `LicenseRef-` and an identifier
    licence: str
    #: how many raters are wanted for each of its pictures
    target: int


class RedistributionSet(ImageSetEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator said whether a set's licence lets releases hold copies of its pictures; before that it does not."""

    TYPE: ClassVar[str] = "images.RedistributionSet"

    #: whether releases that are built from here on hold copies; if not, no release does, whenever it was cut
    allowed: bool


class ImportedPicture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One picture of an import; its address is in the vault."""

    id: UUID
    #: pixels, as the import says; 0 where it says nothing
    width: int
    height: int
    #: may be not safe for work, or nobody says that it is
    nsfw: bool


class ImagesImported(ImageSetEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures that were not there before came into a set."""

    TYPE: ClassVar[str] = "images.ImagesImported"

    #: the set's, for each picture
    target: int
    #: at most `IMPORTED_AT_ONCE`
    pictures: tuple[ImportedPicture, ...]


class MirrorFault(StrEnum):
    """Why an imported picture is not mirrored, and not shown any more."""

    UNREACHABLE = "UNREACHABLE"
    FORBIDDEN_ADDRESS = "FORBIDDEN_ADDRESS"
    #: its server took longer than it may, each time
    TOO_SLOW = "TOO_SLOW"
    #: its server asks that its pictures come into no index and no data set (`X-Robots-Tag`)
    DECLINED = "DECLINED"
    TOO_LARGE = "TOO_LARGE"
    NO_PICTURE = "NO_PICTURE"
    #: another one than the import's hash says
    CHANGED = "CHANGED"
    #: its hash is on the list of what was taken down
    BLOCKLISTED = "BLOCKLISTED"


class PictureMirrored(PictureEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A copy of an imported picture is in the bucket of data sets."""

    TYPE: ClassVar[str] = "images.PictureMirrored"

    #: SHA-256 of the copy, hexadecimal
    sha256: str
    #: perceptual hash of the picture, hexadecimal
    perceptual_hash: str
    #: pixels
    width: int
    height: int
    #: size of the copy in bytes
    size: int
    #: SHA-256 of the file that the copy was made from, hexadecimal; None where nobody kept it
    original_sha256: str | None = None


class MirrorFailed(PictureEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An imported picture cannot be had: it is not handed out again."""

    TYPE: ClassVar[str] = "images.MirrorFailed"

    reason: MirrorFault


class PictureReportReason(StrEnum):
    """What a rater says is wrong with a picture."""

    ILLEGAL = "ILLEGAL"
    #: it shows somebody who may not want that
    PERSONAL = "PERSONAL"
    #: it does not load, or is no picture
    BROKEN = "BROKEN"


class PictureReported(PictureEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rater reported a picture for moderators to judge; from here on nobody is handed it."""

    TYPE: ClassVar[str] = "images.PictureReported"

    case: UUID
    rater: UUID
    reason: PictureReportReason

    def subject(self) -> UUID | None:
        """Who reported it."""
        return self.rater


class PictureCaseDecided(PictureEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator upheld a rater's report, and the picture is shown to nobody any more; or dismissed it."""

    TYPE: ClassVar[str] = "images.PictureCaseDecided"

    case: UUID
    verdict: Verdict


class TakedownEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one takedown."""

    takedown: UUID

    def stream(self) -> str:
        """The takedown's stream."""
        return f"takedown-{self.takedown}"


class TakedownOrdered(TakedownEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator ordered that pictures with a hash are neither shared nor rated nor released, now or ever."""

    TYPE: ClassVar[str] = "images.TakedownOrdered"

    #: of the file, hexadecimal; None where only the perceptual hash counts
    sha256: str | None
    #: of the picture, hexadecimal; None where only that very file is meant
    perceptual_hash: str | None
    #: in how many of 64 bits a perceptual hash may differ
    distance: int


class TakedownLifted(TakedownEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator lifted a takedown: what it took down does not come back, but such pictures may come again."""

    TYPE: ClassVar[str] = "images.TakedownLifted"


class TakenDown(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One picture that is gone by a takedown."""

    picture: UUID
    image_set: UUID
    #: whose generation it was; None for an imported one
    job: UUID | None


class PicturesTakenDown(TakedownEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures with the hash of a takedown were removed from every bucket."""

    TYPE: ClassVar[str] = "images.PicturesTakenDown"

    #: at most `IMPORTED_AT_ONCE`
    pictures: tuple[TakenDown, ...]


class TakedownCarriedOut(TakedownEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing with the hash of a takedown is left."""

    TYPE: ClassVar[str] = "images.TakedownCarriedOut"


EVENTS: tuple[type[Event], ...] = (
    ImageSetOpened,
    RedistributionSet,
    ImagesImported,
    PictureMirrored,
    MirrorFailed,
    PictureReported,
    PictureCaseDecided,
    TakedownOrdered,
    TakedownLifted,
    PicturesTakenDown,
    TakedownCarriedOut,
)

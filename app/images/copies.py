"""What is said of a copy of an imported picture, whether it was a file of the import or was fetched from its address.

Loads nothing that only imports need: actors use it, too. Look next: `app.images.importing`, `app.images.mirroring`.
"""

from __future__ import annotations

from typing import Final

from app.images.decider import RecordMirror
from app.platform.picture_words import ImportedPictureWords
from app.platform.pictures.clean import CleanPicture

#: how often a picture is held against the takedowns anew, if orders keep coming in between
TRIES: Final = 5


def mirrored(words: ImportedPictureWords, clean: CleanPicture, takedowns: int, original: str) -> RecordMirror:
    """What says that the copy of a picture lies where its words say; `original`: hash of the file it was made from."""
    return RecordMirror(
        picture=words.picture,
        words=words,
        sha256=clean.sha256,
        perceptual_hash=clean.perceptual_hash,
        width=clean.width,
        height=clean.height,
        size=len(clean.webp),
        takedowns=takedowns,
        original_sha256=original,
    )

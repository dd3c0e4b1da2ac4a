"""What a worker may note of a generation: kinds and values, their bounds, and how the vault keeps them.

Workers write them (`app.workers`), clients read them (`app.jobs`); they are words, so they never enter the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

#: notes of one generation at most, and characters of a reference
MAX_NOTES: Final = 50
MAX_REF: Final = 255


class NoteType(StrEnum):
    """What a note is about, by the names that workers know."""

    LORA = "lora"
    TI = "ti"
    CENSORSHIP = "censorship"
    SOURCE_IMAGE = "source_image"
    SOURCE_MASK = "source_mask"
    EXTRA_SOURCE_IMAGES = "extra_source_images"
    BATCH_INDEX = "batch_index"
    INFORMATION = "information"
    AESTHETIC_SCORE = "aesthetic_score"


class NoteValue(StrEnum):
    """What it says."""

    DOWNLOAD_FAILED = "download_failed"
    PARSE_FAILED = "parse_failed"
    BASELINE_MISMATCH = "baseline_mismatch"
    CSAM = "csam"
    NSFW = "nsfw"
    SEE_REF = "see_ref"


class GenerationNote(msgspec.Struct, frozen=True):
    """One note."""

    type: NoteType
    value: NoteValue
    #: which LoRA, or what else the value leads to
    ref: str | None = None


class NotesError(ValueError):
    """Too many notes, or a reference that is too long; `place` is the note's index, if one is at fault."""

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.place = place


def encode_notes(notes: Sequence[GenerationNote]) -> str | None:
    """As the vault keeps them; None where there are none.

    Raises:
        NotesError: they break a bound.
    """
    if len(notes) > MAX_NOTES:
        raise NotesError(f"a generation has at most {MAX_NOTES} notes")
    for place, note in enumerate(notes):
        ref = note.ref or ""
        if len(ref) > MAX_REF or "\0" in ref:
            raise NotesError(f"ref has at most {MAX_REF} characters and no NUL", place)
    return msgspec.json.encode(notes).decode() if notes else None


def decode_notes(kept: str | None) -> list[GenerationNote]:
    """The notes of a generation as the vault kept them."""
    return [] if kept is None else msgspec.json.decode(kept, type=list[GenerationNote])

"""What is published beside a shared picture: how it was made, and by which rules it is here.

Pure. It names no user and no worker: the job's id and whether the requester had an account are all there is.
Look next: `app.platform.pictures.clean` for the picture itself.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from app.platform.pictures import perceptual_hash as hashing

#: The licence that requesters agree to (SPDX identifier).
LICENCE: Final = "CC0-1.0"


class UserType(StrEnum):
    """Whether a picture's requester had an account."""

    ANON = "anon"
    REGISTERED = "registered"


class SharedMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The object stored as JSON beside a shared picture. Field names are those that data sets already use."""

    #: of the generation
    id: str
    #: of the job: the pictures of one request are a set
    set: str
    prompt: str
    negative_prompt: str | None
    #: pixels asked for; an upscaler among `pp` enlarges the picture itself
    width: int
    height: int
    steps: int
    sampler: str
    cfg: float
    karras: bool
    #: post-processors in order
    pp: tuple[str, ...]
    #: as text: some readers of JSON lose digits of large numbers
    seed: str
    model: str
    #: whether the worker reported the picture as censored; such pictures are not published
    censored: bool
    user_type: UserType
    #: of the published file, hexadecimal
    sha256: str
    #: hexadecimal
    perceptual_hash: str
    perceptual_hash_algorithm: str = hashing.ALGORITHM
    licence: str = LICENCE
    #: where in the log the delivery stands
    position: int
    submitted_at: datetime
    delivered_at: datetime


def encode(metadata: SharedMetadata) -> bytes:
    """The JSON text, byte for byte the same for the same metadata: keys sorted, no blanks, one line.

    Raises:
        ValueError: an instant has no offset and so is none.
    """
    if metadata.submitted_at.tzinfo is None or metadata.delivered_at.tzinfo is None:
        raise ValueError("instants need an offset")
    return msgspec.json.encode(metadata, order="sorted") + b"\n"

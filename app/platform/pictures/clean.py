"""The gate for a picture that is to be shared: decoded, of the size asked for, and stripped of all else.

Pure but for Pillow: bytes in, bytes or a reason out; nothing is fetched or stored. The bytes come from
strangers, so nothing of them is believed. Look next: `app.platform.pictures.containers`, `app.platform.pictures.perceptual_hash`.
"""

import hashlib
import io
import struct
import zlib
from typing import Final

import msgspec
from PIL import Image

from app.platform.pictures.containers import AnimatedError, ContainerError, is_webp, strip
from app.platform.pictures.perceptual_hash import perceptual_hash
from events.sharing import WithheldReason

MAX_BYTES: Final = 20 * 1024 * 1024
#: Decoded at four bytes each this is 256 MB: what one actor may use for one picture.
MAX_PIXELS: Final = 8192 * 8192

_FORMATS: Final = ("WEBP", "PNG", "JPEG")
_QUALITY: Final = 95
_METHOD: Final = 4
# Whatever hostile bytes make the decoders raise.
_DECODER_ERRORS: Final = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
)
_BOMBS: Final = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class CleanPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture fit to be shared."""

    #: the whole file, holding no metadata
    webp: bytes
    #: of the file, in pixels
    width: int
    height: int
    #: of `webp`, hexadecimal
    sha256: str
    #: hexadecimal, by `app.platform.pictures.perceptual_hash.ALGORITHM`
    perceptual_hash: str


class Withheld(msgspec.Struct, frozen=True):
    """A picture that must not be shared."""

    reason: WithheldReason


class _WithheldError(Exception):
    """Ends the inspection with a reason."""

    def __init__(self, reason: WithheldReason) -> None:
        super().__init__(reason)
        self.reason = reason


def inspect(data: bytes, expected: tuple[int, int] | None) -> CleanPicture | Withheld:
    """The picture without metadata as WebP, or why it must not be shared.

    A WebP file keeps its pixels bit for bit; PNG and JPEG are encoded anew, always in the same way.

    Args:
        data: a WebP, PNG or JPEG file.
        expected: width and height in pixels; None where any will do.
    """
    try:
        return _inspect(data, expected)
    except _WithheldError as withheld:
        return Withheld(withheld.reason)
    except AnimatedError:
        return Withheld(WithheldReason.ANIMATED)
    except _BOMBS:
        return Withheld(WithheldReason.TOO_LARGE)
    except (ContainerError, *_DECODER_ERRORS):
        return Withheld(WithheldReason.DECODE_FAILED)


def _inspect(data: bytes, size: tuple[int, int] | None) -> CleanPicture:
    if len(data) > MAX_BYTES:
        raise _WithheldError(WithheldReason.TOO_LARGE)
    bare = strip(data)
    webp = bare if is_webp(bare) else _encode(_decode(bare, size))
    # What will be published is what is decoded and hashed: the file is known to be whole, and anyone who has
    # it can compute the same hashes.
    picture = _decode(webp, size)
    return CleanPicture(
        webp=webp,
        width=picture.width,
        height=picture.height,
        sha256=hashlib.sha256(webp).hexdigest(),
        perceptual_hash=perceptual_hash(picture),
    )


def _decode(data: bytes, size: tuple[int, int] | None) -> Image.Image:
    """The pixels, in colour, without the text, profile and EXIF that an encoder would copy."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check_header(image, size)
        image.load()
        mode = "RGBA" if image.has_transparency_data else "RGB"
        plain: Image.Image = image if image.mode == mode else image.convert(mode)
        plain.info.clear()
        return plain


def _check_header(image: Image.Image, size: tuple[int, int] | None) -> None:
    """Refuse by what the header says, before any pixel is decoded."""
    if image.width * image.height > MAX_PIXELS:
        raise _WithheldError(WithheldReason.TOO_LARGE)
    if getattr(image, "n_frames", 1) > 1:
        raise _WithheldError(WithheldReason.ANIMATED)
    if size is not None and image.size != size:
        raise _WithheldError(WithheldReason.WRONG_SIZE)


def _encode(plain: Image.Image) -> bytes:
    output = io.BytesIO()
    plain.save(output, "WEBP", quality=_QUALITY, method=_METHOD, exif=b"", xmp=b"", icc_profile=b"")
    return strip(output.getvalue())

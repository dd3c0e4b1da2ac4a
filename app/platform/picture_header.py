"""What the first bytes of a WebP, PNG or JPEG file say of its picture, without decoding anything. Pure.

The bytes come from strangers: a file may lie about what follows, but the decoders of these formats hold a file to its
header, so that a picture whose header is small cannot unpack to a large one. Look next: `app.platform.sources`,
`app.platform.objects.sniff_image`.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from app.platform.objects import ImageKind, sniff_image

#: Beginnings of this many bytes hold the header of any usual file: cameras put previews and profiles before it.
HEADER_BYTES: Final = 256 * 1024

_RIFF_HEADER: Final = 12
_WEBP_ALPHA: Final = 0x10
_WEBP_ANIMATION: Final = 0x02
_PNG_MAGIC: Final = 8
#: length, name and checksum around the body of a PNG chunk
_PNG_FRAME: Final = 12
_PNG_ALPHA_COLOURS: Final = frozenset({4, 6})
#: JPEG markers of frames: their bodies begin with precision, height and width
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN: Final = 0xDA


class Header(msgspec.Struct, frozen=True):
    """One still picture, as its file promises it."""

    kind: ImageKind
    #: pixels
    width: int
    height: int
    #: whether it has an alpha channel or a transparent colour
    alpha: bool


def read_header(data: bytes) -> Header | None:
    """The header in the beginning of a file; None if there is none, it is cut short, or the picture moves."""
    kind = sniff_image(data)
    try:
        match kind:
            case "webp":
                return _webp(data)
            case "png":
                return _png(data)
            case "jpeg":
                return _jpeg(data)
            case _:
                return None
    except (struct.error, IndexError):
        return None


def _webp(data: bytes) -> Header | None:
    body = data[_RIFF_HEADER + 8 :]
    match data[_RIFF_HEADER : _RIFF_HEADER + 4]:
        case b"VP8X":
            if body[0] & _WEBP_ANIMATION:
                return None
            width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
            if len(body) < 10:
                return None
            return Header("webp", width, height, bool(body[0] & _WEBP_ALPHA))
        case b"VP8L":
            (packed,) = struct.unpack_from("<I", body, 1)
            if body[0] != 0x2F:
                return None
            return Header("webp", 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF), bool(packed >> 28 & 1))
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", body, 6)
            if body[3:6] != b"\x9d\x01\x2a":
                return None
            return _sized("webp", width & 0x3FFF, height & 0x3FFF)
        case _:
            return None


def _png(data: bytes) -> Header | None:
    if data[_PNG_MAGIC + 4 : _PNG_MAGIC + 8] != b"IHDR":
        return None
    width, height, _, colour = struct.unpack_from(">IIBB", data, _PNG_MAGIC + 8)
    alpha = colour in _PNG_ALPHA_COLOURS
    at = _PNG_MAGIC
    while at + 8 <= len(data):
        name = data[at + 4 : at + 8]
        if name == b"acTL":
            return None
        if name == b"tRNS":
            alpha = True
        if name in (b"IDAT", b"IEND"):
            break
        at += _PNG_FRAME + int(struct.unpack_from(">I", data, at)[0])
    return _sized("png", width, height, alpha=alpha)


def _jpeg(data: bytes) -> Header | None:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == _JPEG_SCAN or not 0xC0 <= marker <= 0xFE:
            return None
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return _sized("jpeg", width, height)
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _sized(kind: ImageKind, width: int, height: int, *, alpha: bool = False) -> Header | None:
    return Header(kind, width, height, alpha) if width and height else None

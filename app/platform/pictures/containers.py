"""Takes everything but the picture out of WebP, PNG and JPEG files, without touching a pixel.

Pure. Worker software writes prompts, paths and names into EXIF, XMP, text and private chunks. A file that is
rebuilt from its picture alone cannot carry them, nor anything behind its end; and the decoder that is given
it never parses a stranger's metadata. What a forger hides in the pixels, or behind the coded picture within
its own chunk, stays: no software writes its metadata there. Look next: `app.platform.pictures.clean`.
"""

import struct
from typing import Final

_RIFF_HEADER: Final = 12
_RIFF_CHUNK: Final = 8
#: a still picture has at most six kinds; a file of empty chunks would fill the memory
_MAX_CHUNKS: Final = 64
_EXTENDED: Final = b"VP8X"
_ALPHA: Final = b"ALPH"
_LOSSY: Final = b"VP8 "
_LOSSLESS: Final = b"VP8L"
_EXTENDED_SIZE: Final = 10
_ALPHA_FLAG: Final = 0x10
_ANIMATION_FLAG: Final = 0x02
_ANIMATION: Final = frozenset({b"ANIM", b"ANMF"})

_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
#: length, name and checksum around the body of a PNG chunk
_PNG_FRAME: Final = 12
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})

_JPEG_MAGIC: Final = b"\xff\xd8"
_JPEG_SCAN: Final = 0xDA
_JPEG_COMMENT: Final = 0xFE
_JPEG_APPS: Final = range(0xE0, 0xF0)
#: JFIF and Adobe segments say how colours are stored
_JPEG_COLOUR_APPS: Final = frozenset({0xE0, 0xEE})


class ContainerError(Exception):
    """The bytes are not one whole file of an accepted format with one picture."""


class AnimatedError(ContainerError):
    """The file holds an animation."""


def is_webp(data: bytes) -> bool:
    """Whether the bytes say of themselves that they are WebP."""
    return data[:4] == b"RIFF" and data[8:_RIFF_HEADER] == b"WEBP"


def strip(data: bytes) -> bytes:
    """The same picture in a file of the same format that holds nothing else.

    Raises:
        AnimatedError: it is an animation.
        ContainerError: it is no file of an accepted format, is cut short, or holds not exactly one picture.
    """
    if is_webp(data):
        return _strip_webp(data)
    if data.startswith(_PNG_MAGIC):
        return _strip_png(data)
    if data.startswith(_JPEG_MAGIC):
        return _strip_jpeg(data)
    raise ContainerError("neither WebP nor PNG nor JPEG")


def _strip_webp(data: bytes) -> bytes:
    chunks = _riff_chunks(data)
    names = [name for name, _ in chunks]
    if _ANIMATION.intersection(names):
        raise AnimatedError
    pictures = [chunk for chunk in chunks if chunk[0] in (_LOSSY, _LOSSLESS)]
    alphas = [chunk for chunk in chunks if chunk[0] == _ALPHA]
    if len(pictures) != 1 or len(alphas) > 1 or _EXTENDED in names[1:]:
        raise ContainerError("not exactly one picture")
    if names[0] != _EXTENDED:
        # Without the extended header a file is its first chunk; readers ignore the rest.
        if names[0] != pictures[0][0]:
            raise ContainerError("the picture does not come first")
        return _riff_file(pictures)
    header = _clean_extended_header(chunks[0][1])
    if pictures[0][0] == _LOSSLESS or not header[0] & _ALPHA_FLAG:
        alphas = []
    return _riff_file([(_EXTENDED, header), *alphas, *pictures])


def _riff_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of the RIFF container in order; bytes behind its declared end are left out."""
    end = _RIFF_CHUNK + int(struct.unpack_from("<I", data, 4)[0])
    found: list[tuple[bytes, bytes]] = []
    at = _RIFF_HEADER
    while at + _RIFF_CHUNK <= min(end, len(data)):
        size = int(struct.unpack_from("<I", data, at + 4)[0])
        body = data[at + _RIFF_CHUNK : at + _RIFF_CHUNK + size]
        if len(body) != size:
            raise ContainerError("cut short")
        found.append((data[at : at + 4], body))
        if len(found) > _MAX_CHUNKS:
            raise ContainerError("too many chunks")
        at += _RIFF_CHUNK + size + size % 2
    if not found:
        raise ContainerError("no chunks")
    return found


def _clean_extended_header(header: bytes) -> bytes:
    """The extended header with the flag for transparency and the size of the canvas, everything else zero."""
    if len(header) < _EXTENDED_SIZE:
        raise ContainerError("cut short")
    if header[0] & _ANIMATION_FLAG:
        raise AnimatedError
    return bytes([header[0] & _ALPHA_FLAG, 0, 0, 0]) + header[4:_EXTENDED_SIZE]


def _riff_file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _strip_png(data: bytes) -> bytes:
    kept = [_PNG_MAGIC]
    at = len(_PNG_MAGIC)
    while at + _PNG_FRAME <= len(data):
        end = at + _PNG_FRAME + int(struct.unpack_from(">I", data, at)[0])
        name = data[at + 4 : at + 8]
        if end > len(data):
            break
        if name == b"acTL":
            raise AnimatedError
        if name in _PNG_KEPT:
            kept.append(data[at:end])
        if name == b"IEND":
            return b"".join(kept)
        at = end
    raise ContainerError("cut short")


def _strip_jpeg(data: bytes) -> bytes:
    """Leave out comments and application segments before the first scan; what follows is the decoder's."""
    kept = [_JPEG_MAGIC]
    at = len(_JPEG_MAGIC)
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or not 0xC0 <= marker <= _JPEG_COMMENT:
            raise ContainerError("no marker where one must be")
        if marker == _JPEG_SCAN:
            return b"".join((*kept, data[at:]))
        end = at + 2 + int(struct.unpack_from(">H", data, at + 2)[0])
        private = marker == _JPEG_COMMENT or (marker in _JPEG_APPS and marker not in _JPEG_COLOUR_APPS)
        if not private:
            kept.append(data[at:end])
        at = end
    raise ContainerError("cut short")

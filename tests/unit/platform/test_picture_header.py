"""What the beginning of a file says of its picture, held against what Pillow finds in the whole file."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from app.platform.picture_header import Header, read_header


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = (70, 33), **save: Any) -> bytes:
    output = io.BytesIO()
    Image.new(mode, size, 1 if mode in "LP" else None).save(output, kind, **save)
    return output.getvalue()


def half_transparent(kind: str, **save: Any) -> bytes:
    picture = Image.new("RGBA", (70, 33), (10, 20, 30, 255))
    picture.putpixel((1, 1), (0, 0, 0, 0))
    output = io.BytesIO()
    picture.save(output, kind, **save)
    return output.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


OPAQUE = {
    "lossy WebP": encoded("WEBP"),
    "lossless WebP": encoded("WEBP", lossless=True),
    "extended WebP": encoded("WEBP", exif=b"Exif\0\0" + b"x" * 100),
    "PNG": encoded("PNG"),
    "grey PNG": encoded("PNG", "L"),
    "palette PNG": encoded("PNG", "P"),
    "JPEG": encoded("JPEG"),
    "progressive JPEG": encoded("JPEG", progressive=True),
    "JPEG with profiles": encoded("JPEG", exif=b"Exif\0\0" + b"x" * 60_000, icc_profile=b"p" * 100_000),
}
TRANSPARENT = {
    "lossy WebP": half_transparent("WEBP"),
    "lossless WebP": half_transparent("WEBP", lossless=True),
    "PNG": half_transparent("PNG"),
    "grey PNG": encoded("PNG", "LA"),
    "PNG with a transparent colour": encoded("PNG", transparency=(1, 1, 1)),
    "palette PNG with a transparent colour": encoded("PNG", "P", transparency=0),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_size_and_kind_of_an_opaque_picture(name: str):
    with Image.open(io.BytesIO(OPAQUE[name])) as image:
        kind = (image.format or "").lower()
    assert read_header(OPAQUE[name]) == Header(kind, 70, 33, alpha=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_is_seen(name: str):
    header = read_header(TRANSPARENT[name])
    assert header is not None
    assert (header.width, header.height, header.alpha) == (70, 33, True)


@pytest.mark.parametrize("data", [*OPAQUE.values(), *TRANSPARENT.values()])
def test_a_file_cut_short_anywhere_raises_nothing(data: bytes):
    whole = read_header(data)
    assert whole is not None
    for end in range(min(len(data), 600)):
        found = read_header(data[:end])
        assert found is None or (found.width, found.height) == (whole.width, whole.height)


def test_a_header_that_is_all_there_is_enough():
    for data in (OPAQUE["lossy WebP"], OPAQUE["PNG"]):
        assert read_header(data[:64]) is not None


def test_declared_sizes_are_believed_up_to_the_largest():
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0))
    found = read_header(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b""))
    assert found == Header("png", 2**31 - 1, 2**31 - 1, alpha=True)


def test_pictures_that_move_are_none():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("WEBP", "PNG"):
        output = io.BytesIO()
        frames[0].save(output, kind, save_all=True, append_images=frames[1:])
        assert read_header(output.getvalue()) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(50),
        b"<html>",
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WEBPVP8 " + bytes(40),
        b"RIFF\0\0\0\0WEBPVP8L" + bytes(40),
        b"RIFF\0\0\0\0WEBPEXIF" + bytes(40),
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"a\0b"),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)),
        b"\xff\xd8\xff" + bytes(100),
        b"\xff\xd8\xff\xda\0\x02",
        b"\xff\xd8" + b"\xff" * 1000,
        b"\xff\xd8\xff\xe0\0\0" + bytes(20),
    ],
)
def test_what_is_no_picture_has_no_header(data: bytes):
    assert read_header(data) is None

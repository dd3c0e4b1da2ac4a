"""The gate for shared pictures: whole, still, of the size asked for, and holding nothing but the picture."""

import hashlib
import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from app.platform.pictures.clean import MAX_BYTES, CleanPicture, Withheld, inspect
from app.platform.pictures.containers import ContainerError, strip
from events.sharing import WithheldReason

SECRET = b"a prompt, a path and a name"


def image(mode: str = "RGB", width: int = 128, height: int = 64) -> Image.Image:
    bands = [Image.linear_gradient("L").resize((width, height)).rotate(90 * turn) for turn in range(4)]
    return Image.merge(mode, bands[: len(mode)])


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    output = io.BytesIO()
    picture.save(output, kind, **options)
    return output.getvalue()


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGBA").tobytes()


def clean(data: bytes, width: int = 128, height: int = 64, scale: int = 1) -> CleanPicture:
    result = inspect(data, (width * scale, height * scale))
    assert isinstance(result, CleanPicture), result
    return result


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def with_metadata() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", SECRET.decode())
    text.add_itxt("workflow", SECRET.decode())
    text.add_text("compressed", SECRET.decode(), zip=True)
    everything = {"exif": exif.tobytes(), "xmp": SECRET, "icc_profile": SECRET}
    simple = saved(image(), "WEBP", quality=80)
    return {
        "webp lossy": saved(image(), "WEBP", quality=80, **everything),
        "webp lossless": saved(image(), "WEBP", lossless=True, **everything),
        "webp lossy with alpha": saved(image("RGBA"), "WEBP", quality=80, **everything),
        "webp lossless with alpha": saved(image("RGBA"), "WEBP", lossless=True, **everything),
        "webp with a tail": simple + SECRET,
        "webp with a chunk behind": riff(simple[12:], chunk(b"SECR", SECRET)),
        "png": saved(image(), "PNG", pnginfo=text, exif=exif.tobytes(), icc_profile=SECRET) + SECRET,
        "png with alpha": saved(image("RGBA"), "PNG", pnginfo=text),
        "jpeg progressive": saved(image(), "JPEG", progressive=True, comment=SECRET),
        "jpeg": saved(image(), "JPEG", exif=exif.tobytes(), comment=SECRET, icc_profile=SECRET),
    }


@pytest.mark.parametrize("kind", with_metadata())
def test_a_clean_picture_holds_no_metadata(kind: str):
    data = with_metadata()[kind]
    assert SECRET in data or "compressed" in kind
    found = clean(data)
    assert SECRET not in found.webp
    opened = Image.open(io.BytesIO(found.webp))
    opened.load()
    assert set(opened.info) <= {"loop", "background", "timestamp", "duration"}
    assert found.webp[:4] == b"RIFF"
    assert (opened.size, found.width, found.height) == ((128, 64), 128, 64)
    assert found.sha256 == hashlib.sha256(found.webp).hexdigest()
    assert len(found.perceptual_hash) == 16


@pytest.mark.parametrize("kind", [name for name in with_metadata() if name.startswith("webp")])
def test_a_webp_file_keeps_every_pixel(kind: str):
    data = with_metadata()[kind]
    assert pixels(clean(data).webp) == pixels(data)


@pytest.mark.parametrize("kind", with_metadata())
def test_no_decoder_ever_meets_the_metadata(kind: str):
    data = with_metadata()[kind]
    bare = strip(data)
    assert SECRET not in bare
    assert b"Exif" not in bare
    assert b"zTXt" not in bare
    assert pixels(bare) == pixels(data)
    assert strip(bare) == bare


@pytest.mark.parametrize("kind", with_metadata())
def test_the_same_bytes_always_make_the_same_file(kind: str):
    data = with_metadata()[kind]
    once = clean(data)
    assert once == clean(data)
    assert clean(once.webp) == once


def test_transparency_survives_encoding():
    assert Image.open(io.BytesIO(clean(saved(image("RGBA"), "PNG")).webp)).mode == "RGBA"
    assert Image.open(io.BytesIO(clean(saved(image("RGB"), "PNG")).webp)).mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "I;16"])
def test_pictures_of_other_modes_are_encoded_too(mode: str):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    picture = Image.new("I;16", (128, 64), 999) if mode == "I;16" else image().convert(mode)
    assert clean(saved(picture, kind)).width == 128


def test_the_size_must_be_the_one_asked_for():
    data = saved(image(), "WEBP")
    for width, height in ((64, 128), (128, 128), (64, 64)):
        assert inspect(data, (width, height)) == Withheld(WithheldReason.WRONG_SIZE)


def test_an_upscaler_enlarges_what_is_expected():
    data = saved(image(width=512, height=256), "WEBP")
    assert clean(data, scale=4).width == 512
    assert inspect(data, (256, 128)) == Withheld(WithheldReason.WRONG_SIZE)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animations_are_withheld(kind: str):
    frames = [image(), image().rotate(180)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert inspect(data, (128, 64)) == Withheld(WithheldReason.ANIMATED)


def png_claiming(width: int, height: int) -> bytes:
    def part(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(b"\0" * 99))
        + part(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8_193, 9_600, 60_000])
def test_a_decompression_bomb_is_withheld_unopened(side: int):
    assert inspect(png_claiming(side, side), (side, side)) == Withheld(WithheldReason.TOO_LARGE)


def test_too_many_bytes_are_withheld():
    data = saved(image(), "WEBP")
    assert inspect(data.ljust(MAX_BYTES + 1, b"\0"), (128, 64)) == Withheld(WithheldReason.TOO_LARGE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"not a picture at all",
        riff(),
        riff(chunk(b"EXIF", SECRET)),
        riff(saved(image(), "WEBP")[12:], *[chunk(b"NONE", b"")] * 100),
        riff(chunk(b"VP8X", b"\0" * 10)),
        saved(image(), "GIF"),
        saved(image(), "BMP"),
        png_claiming(128, 64),
    ],
)
def test_what_is_no_whole_picture_is_withheld(data: bytes):
    assert inspect(data, (128, 64)) == Withheld(WithheldReason.DECODE_FAILED)


def test_two_pictures_in_one_file_are_withheld():
    simple = saved(image(), "WEBP")
    header = chunk(b"VP8X", bytes(4) + (127).to_bytes(3, "little") + (63).to_bytes(3, "little"))
    assert clean(riff(header, simple[12:])).width == 128
    with pytest.raises(ContainerError):
        strip(riff(header, simple[12:], simple[12:]))
    assert inspect(riff(header, simple[12:], simple[12:]), (128, 64)) == Withheld(
        WithheldReason.DECODE_FAILED
    )
    assert inspect(riff(header, header, simple[12:]), (128, 64)) == Withheld(WithheldReason.DECODE_FAILED)


@pytest.mark.parametrize("kind", with_metadata())
def test_a_file_cut_short_is_withheld(kind: str):
    data = with_metadata()[kind].removesuffix(SECRET)
    whole = strip(data)
    for keep in (1, 11, 13, 19, 29, 35, len(whole) // 3, len(whole) // 2, len(whole) - 40):
        assert inspect(whole[:keep], (128, 64)) == Withheld(WithheldReason.DECODE_FAILED), keep


FILES = [
    *with_metadata().values(),
    saved(image(), "WEBP", save_all=True, append_images=[image().rotate(180)], duration=9),
]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 30),
)
def test_damaged_files_are_published_whole_or_withheld(data: bytes, damage: list[tuple[int, int]], cut: int):
    damaged = bytearray(data)
    for place, value in damage:
        damaged[place % len(damaged)] = value
    result = inspect(bytes(damaged[: len(damaged) - cut]), (128, 64))
    if isinstance(result, CleanPicture):
        with Image.open(io.BytesIO(result.webp), formats=("WEBP",)) as opened:
            opened.load()
            assert opened.size == (128, 64)
    else:
        assert isinstance(result, Withheld)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"RIFF\xff\0\0\0WEBP", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]),
)
def test_noise_is_withheld(noise: bytes, magic: bytes):
    assert isinstance(inspect(magic + noise, (128, 64)), Withheld)

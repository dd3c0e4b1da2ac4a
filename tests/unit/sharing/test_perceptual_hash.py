"""A hash of how a picture looks: the common pHash, the same on every machine."""

import io
import random

import pytest
from PIL import Image, ImageDraw, ImageFilter

from app.platform.pictures.perceptual_hash import distance, perceptual_hash


def drawing(seed: int, width: int = 512, height: int = 384) -> Image.Image:
    chance = random.Random(seed)
    image = Image.new("RGB", (width, height), (chance.randrange(256), chance.randrange(256), 90))
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        left, top = chance.randrange(width), chance.randrange(height)
        box = (left, top, left + chance.randrange(10, width // 2), top + chance.randrange(10, height // 2))
        draw.rectangle(box, fill=(chance.randrange(256), chance.randrange(256), chance.randrange(256)))
    return image


# Golden hashes, computed with imagehash.phash: anyone can check ours with that library.
@pytest.mark.parametrize(
    ("seed", "known"),
    [
        (0, "ffc09ee38381e143"),
        (1, "d13366cd3d64546c"),
        (2, "806bf14c6ba81fe6"),
        (3, "93554b8a6ea97691"),
        (4, "e8c1b736874b5827"),
        (5, "903f27c069d136cf"),
    ],
)
def test_the_hash_is_the_one_that_imagehash_computes(seed: int, known: str):
    assert perceptual_hash(drawing(seed)) == known


def edits(image: Image.Image) -> list[Image.Image]:
    output = io.BytesIO()
    image.save(output, "JPEG", quality=30)
    return [
        Image.open(output).convert("RGB"),
        image.resize((image.width // 2, image.height // 2)),
        image.resize((image.width * 2, image.height * 2)),
        image.filter(ImageFilter.GaussianBlur(2)),
        image.convert("RGBA"),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_the_same_picture_encoded_or_scaled_anew_stays_near(seed: int):
    image = drawing(seed)
    assert max(distance(perceptual_hash(image), perceptual_hash(edit)) for edit in edits(image)) <= 6


def test_other_pictures_are_far():
    hashes = [perceptual_hash(drawing(seed)) for seed in range(8)]
    assert min(distance(one, other) for i, one in enumerate(hashes) for other in hashes[:i]) >= 14


@pytest.mark.parametrize("grey", [1, 9, 255])
def test_an_even_surface_has_one_hash_instead_of_noise(grey: int):
    assert perceptual_hash(Image.new("L", (640, 512), grey)) == "8000000000000000"
    assert perceptual_hash(Image.new("L", (640, 512), 0)) == "0000000000000000"

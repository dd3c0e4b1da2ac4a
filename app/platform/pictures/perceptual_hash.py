"""A 64-bit hash of how a picture looks: near pictures have hashes that differ in few bits.

Pure but for Pillow. The algorithm is the common pHash (as `imagehash.phash` computes it): grey, 32 x 32
pixels, discrete cosine transform, a bit for each of the 64 lowest frequencies that says whether it is above
their median. Everything after the scaling is done in whole numbers, so that the hash is the same on every
machine and an even surface has one hash instead of noise. Why: docs/decisions/0008-perceptual-hash.md.
"""

import math
from typing import Final

from PIL import Image

#: What is written beside a hash; another algorithm gets another name.
ALGORITHM: Final = "phash-dct-64"

_SIDE: Final = 32
_LOW: Final = 8
# Large enough that rounding the cosines moves no coefficient by more than a part in ten million.
_SCALE: Final = 1 << 24
_COSINES: Final = tuple(
    tuple(
        round(_SCALE * math.cos(math.pi * frequency * (2 * place + 1) / (2 * _SIDE)))
        for place in range(_SIDE)
    )
    for frequency in range(_LOW)
)


def perceptual_hash(image: Image.Image) -> str:
    """The hash as 16 hexadecimal digits, the lowest frequency first. Transparency is not looked at."""
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[start : start + _SIDE] for start in range(0, _SIDE * _SIDE, _SIDE)]
    columns = [_transform(bytes(column)) for column in zip(*rows, strict=True)]
    frequencies = [value for row in zip(*columns, strict=True) for value in _transform(row)]
    ordered = sorted(frequencies)
    middle = ordered[len(ordered) // 2 - 1] + ordered[len(ordered) // 2]
    bits = "".join("1" if 2 * value > middle else "0" for value in frequencies)
    return f"{int(bits, 2):016x}"


def distance(one: str, other: str) -> int:
    """How many of the 64 bits differ: at most about 8 for the same picture, encoded or scaled anew."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _transform(values: bytes | tuple[int, ...]) -> list[int]:
    return [sum(map(int.__mul__, cosines, values)) for cosines in _COSINES]

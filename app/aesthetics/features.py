"""What a picture looks like, in some fifty numbers: colour, contrast, texture, frequencies, layout. Pure.

Plain statistics of the pixels, with names, so that whoever reads a model sees what it goes by. They know nothing of what
a picture shows. Look next: `app.aesthetics.embedding` for vectors of a model instead, `app.aesthetics.ridge`.

Sources: colourfulness by Hasler and Süsstrunk, "Measuring colourfulness in natural images" (2003); the energy of
spatial frequencies falls as a power of the frequency in natural scenes by Field, "Relations between the statistics of
natural images and the response properties of cortical cells" (1987).
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

#: pixels of the longer side that a picture is looked at with
SIDE: Final = 256
_HUES: Final = 8
_BANDS: Final = 8


def features(picture: Image.Image) -> dict[str, float]:
    """The numbers of one picture, by name, always the same names in the same order.

    Args:
        picture: of any size and mode; transparency is laid on grey.
    """
    width, height = picture.size
    rgb = _pixels(picture)
    light: Array = rgb @ np.array([0.2126, 0.7152, 0.0722])  # Rec. 709
    return {
        "log_pixels": float(np.log(width * height)),
        "log_aspect": float(np.log(width / height)),
        **_colour(rgb),
        **_contrast(light),
        **_texture(light),
        **_frequencies(light),
        **_layout(light),
    }


def vector(picture: Image.Image) -> Array:
    """The same numbers, without their names (`NAMES`)."""
    return np.array(list(features(picture).values()), dtype=np.float64)


def _pixels(picture: Image.Image) -> Array:
    """Red, green and blue between 0 and 1, with a longer side of `SIDE` pixels."""
    if picture.mode != "RGB":
        whole = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", whole.size, (128, 128, 128, 255)), whole).convert(
            "RGB"
        )
    scale = SIDE / max(picture.size)
    size = (max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR), dtype=np.float64) / 255.0


def _colour(rgb: Array) -> dict[str, float]:
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    top, bottom = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = top - bottom
    saturation = np.divide(chroma, top, out=np.zeros_like(top), where=top > 0)
    opponent, other = red - green, (red + green) / 2 - blue
    colourfulness = float(
        np.hypot(opponent.std(), other.std()) + 0.3 * np.hypot(opponent.mean(), other.mean())
    )
    found = {f"mean_{name}": float(rgb[..., i].mean()) for i, name in enumerate(("red", "green", "blue"))}
    found |= {
        "saturation_mean": float(saturation.mean()),
        "saturation_deviation": float(saturation.std()),
        "colourfulness": colourfulness,
        "grey_share": float((chroma < 0.05).mean()),
    }
    weights = chroma.sum()
    hue = np.arctan2(np.sqrt(3.0) * (green - blue), 2.0 * red - green - blue)
    counted, _ = np.histogram(hue, bins=_HUES, range=(-np.pi, np.pi), weights=chroma)
    shares = counted / weights if weights > 0 else np.full(_HUES, 1.0 / _HUES)
    found |= {f"hue_{i}": float(share) for i, share in enumerate(shares)}
    return found | {"hue_entropy": _entropy(shares)}


def _contrast(light: Array) -> dict[str, float]:
    low, middle, high = np.percentile(light, (5, 50, 95))
    deviation = float(light.std())
    centred = light - light.mean()
    counted, _ = np.histogram(light, bins=32, range=(0.0, 1.0))
    return {
        "light_mean": float(light.mean()),
        "light_deviation": deviation,
        "light_low": float(low),
        "light_middle": float(middle),
        "light_high": float(high),
        "light_skew": float((centred**3).mean() / deviation**3) if deviation > 1e-6 else 0.0,
        "light_entropy": _entropy(counted / light.size),
        "dark_share": float((light < 0.05).mean()),
        "bright_share": float((light > 0.95).mean()),
    }


def _texture(light: Array) -> dict[str, float]:
    across, down = np.diff(light, axis=1)[:-1], np.diff(light, axis=0)[:, :-1]
    steep = np.hypot(across, down)
    inner = light[1:-1, 1:-1]
    bent = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:] - 4 * inner
    energy = float(np.square(steep).sum())
    # of the structure tensor: 1 where all edges run one way, 0 where they run all ways
    tilted = np.hypot((across**2 - down**2).sum(), 2 * (across * down).sum())
    return {
        "edge_mean": float(steep.mean()),
        "edge_deviation": float(steep.std()),
        "edge_share": float((steep > 0.1).mean()),
        "sharpness": float(np.log1p(1e4 * bent.var())),
        "direction": float(tilted / energy) if energy > 0 else 0.0,
    }


def _frequencies(light: Array) -> dict[str, float]:
    side = min(light.shape)
    top, left = (light.shape[0] - side) // 2, (light.shape[1] - side) // 2
    square = light[top : top + side, left : left + side]
    window = np.outer(np.hanning(side), np.hanning(side))
    power = np.square(np.abs(np.fft.fft2((square - square.mean()) * window)))
    places = np.fft.fftfreq(side)
    radius = np.hypot(places[:, None], places[None, :])
    edges = np.geomspace(1.5 / SIDE, 0.5, _BANDS + 1)
    bands = []
    for low, high in itertools.pairwise(edges):
        inside = (radius >= low) & (radius < high)
        bands.append(float(np.log(power[inside].mean() + 1e-9)) if inside.any() else 0.0)
    centres = np.log(np.sqrt(edges[:-1] * edges[1:]))
    slope = np.polyfit(centres, np.array(bands), 1)[0]
    return {**{f"band_{i}": band for i, band in enumerate(bands)}, "slope": float(slope)}


def _layout(light: Array) -> dict[str, float]:
    height, width = light.shape
    middle = light[height // 4 : height - height // 4, width // 4 : width - width // 4]
    steep = np.hypot(np.diff(light, axis=1)[:-1], np.diff(light, axis=0)[:, :-1])
    within = steep[height // 4 : height - height // 4, width // 4 : width - width // 4]
    weights = steep.sum() + 1e-9
    rows, columns = np.arange(steep.shape[0]) / steep.shape[0], np.arange(steep.shape[1]) / steep.shape[1]
    return {
        "middle_light": float(middle.mean() - light.mean()),
        "middle_edges": float(within.sum() / weights),
        "mirrored": _correlation(light, light[:, ::-1]),
        "upper_light": float(light[: height // 2].mean() - light[height // 2 :].mean()),
        "edges_across": float((steep.sum(axis=0) * columns).sum() / weights),
        "edges_down": float((steep.sum(axis=1) * rows).sum() / weights),
    }


def _entropy(shares: NDArray[Any]) -> float:
    """In bits."""
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())


def _correlation(one: Array, other: Array) -> float:
    spread = one.std() * other.std()
    if spread < 1e-9:
        return 1.0
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread)


#: the names of the numbers in a vector
NAMES: Final = tuple(features(Image.new("RGB", (8, 8), (128, 128, 128))))

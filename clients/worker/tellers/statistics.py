"""Tells of a picture what its colours and brightness tell. No model: nothing here knows what a picture shows.

Whatever it says in words, it says that it was reckoned, not seen. Whether a picture is safe for work cannot be
reckoned so, and is not offered. The same picture gives the same answers, always.
"""

import asyncio
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from clients.worker.backends import BackendError
from clients.worker.tellers import Telling

#: The longer side of what is reckoned with, in pixels.
SIDE = 256
COLOURS = 6
#: Colours and the longer side of a vector drawing, in squares.
DRAWN_COLOURS, DRAWN_SIDE = 8, 64
#: Names for colours, each with a red, a green and a blue that bears it.
_NAMED = {
    "black": (0, 0, 0),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (190, 190, 190),
    "white": (255, 255, 255),
    "red": (200, 30, 30),
    "orange": (240, 140, 30),
    "brown": (120, 75, 40),
    "beige": (225, 205, 170),
    "yellow": (240, 220, 50),
    "green": (50, 150, 60),
    "dark green": (20, 70, 35),
    "turquoise": (60, 180, 180),
    "light blue": (140, 190, 235),
    "blue": (40, 80, 190),
    "dark blue": (20, 30, 90),
    "violet": (120, 60, 160),
    "pink": (240, 150, 180),
}
#: How much an upscaler enlarges, by its name in the API.
_FACTOR = re.compile(r"_X([24])(?:_|PLUS|$)|^NMKD_SIAX$")
#: WebP can hold no longer side.
LONGEST_SIDE = 16383
UPSCALERS = (
    *("REALESRGAN_X2PLUS", "REALESRGAN_X4PLUS", "REALESRGAN_X4PLUS_ANIME_6B", "NMKD_SIAX", "ANIMESHARP_X4"),
    *("LSDIRPLUS_X4", "MODERNSPANIMATIONV1_X2", "NOMOS2_HQ_DAT2_X4", "NOMOS2_REALPLKSR_DYSAMPLE_X4"),
    *("NOMOS8KSC_X4", "NOMOSWEBPHOTO_REALPLKSR_X4"),
)


class StatisticsTeller:
    """The teller that needs nothing but this machine."""

    confession = (
        "the procedural teller reckons with colours and brightness and enlarges by interpolation; it is no model, "
        "and knows nothing of what a picture shows"
    )
    forms: tuple[str, ...] = (
        "CAPTION",
        "DESCRIBE",
        "INTERROGATION",
        "PALETTE",
        "AESTHETIC",
        "VECTORIZE",
        *UPSCALERS,
    )

    async def prepare(self) -> None:
        """Nothing to load."""

    async def tell(self, form: str, picture: Image.Image) -> Telling:
        """Reckon it on a thread."""
        return await asyncio.to_thread(reckoned, form, picture)

    async def close(self) -> None:
        """Nothing to give up."""


def reckoned(form: str, picture: Image.Image) -> Telling:
    """What can be told without a model. Raises BackendError for other forms."""
    if form in UPSCALERS:
        return Telling(picture=enlarged(form, picture))
    if form not in _TOLD:
        raise BackendError(f"{form} cannot be told by statistics")
    return Telling(told=_TOLD[form](picture))


def palette(picture: Image.Image) -> list[dict[str, Any]]:
    """The main colours, most of the picture first, each with its share."""
    return [
        {"hex": "#{:02x}{:02x}{:02x}".format(*colour), "share": share} for colour, share in _main(picture)
    ]


def looks(picture: Image.Image) -> dict[str, float]:
    """Keywords for colours, light and shape, each with how sure it is: its share of the picture, or how marked it is."""
    values = _small(picture).astype(np.float64) / 255
    bright = values @ (0.299, 0.587, 0.114)
    chroma = values.max(axis=2) - values.min(axis=2)
    found: dict[str, float] = {}
    for colour, share in _main(picture):
        name = _name(colour)
        found[name] = found.get(name, 0.0) + share
    found |= {
        "dark": float((bright < 0.3).mean()),
        "bright": float((bright > 0.7).mean()),
        "colourful": float(min(1.0, chroma.mean() * 2)),
        "monochrome": float((chroma < 0.08).mean()),
        "contrasty": float(min(1.0, bright.std() * 4)),
        _format(picture): 1.0,
    }
    kept = {name: round(min(1.0, sure), 3) for name, sure in found.items() if sure >= 0.1}
    return dict(sorted(kept.items(), key=lambda pair: (-pair[1], pair[0])))


def caption(picture: Image.Image) -> str:
    """One sentence about colours and light."""
    return f"A {light_and_colours(picture)} picture (reckoned from its colours, not seen)"


def light_and_colours(picture: Image.Image) -> str:
    """Its light and its main colours in a few words."""
    return f"{_light(picture)}, mostly {_colours(picture, 2)}"


def description(picture: Image.Image) -> str:
    """Some more sentences about them."""
    words = ", ".join(f"{name} {sure:.0%}" for name, sure in looks(picture).items())
    return (
        f"A {_format(picture)} picture of {picture.width} x {picture.height} pixels. It is "
        f"{light_and_colours(picture)}. Reckoned from its colours and brightness, not seen: {words}."
    )


def score(picture: Image.Image) -> float:
    """How colourful, contrasty and sharp it is, from 0 to 10: a statistic, not a taste.

    Colourfulness is that of Hasler and Suesstrunk (2003), sharpness the mean gradient of the brightness.
    """
    values = _small(picture).astype(np.float64)
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    opponents = red - green, (red + green) / 2 - blue
    colourful = np.hypot(*(each.std() for each in opponents)) + 0.3 * np.hypot(
        *(each.mean() for each in opponents)
    )
    bright = values @ (0.299, 0.587, 0.114)
    down, along = np.gradient(bright)
    parts = colourful / 100, bright.std() / 80, np.hypot(down, along).mean() / 15
    return round(float(sum(min(1.0, part) for part in parts)) / 3 * 10, 2)


def drawing(picture: Image.Image) -> str:
    """A vector drawing: the picture in few colours on a coarse grid, runs of a colour as one rectangle each."""
    shrink = DRAWN_SIDE / max(picture.size)
    size = max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink))
    coarse = picture.convert("RGB").resize(size, Image.Resampling.BOX)
    posterised = np.asarray(coarse.quantize(DRAWN_COLOURS, Image.Quantize.MEDIANCUT).convert("RGB"))
    shapes = [_row(posterised[y], y) for y in range(size[1])]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        f'width="{picture.width}" height="{picture.height}" shape-rendering="crispEdges">'
    )
    return head + "".join(shapes) + "</svg>"


def enlarged(form: str, picture: Image.Image) -> bytes:
    """The picture enlarged by interpolation, as WebP. Raises BackendError if it would be too large."""
    found = _FACTOR.search(form)
    factor = int(found[1] or 4) if found else 1
    width, height = picture.width * factor, picture.height * factor
    if max(width, height) > LONGEST_SIDE:
        raise BackendError(f"a picture of {width} x {height} pixels is too large")
    body = io.BytesIO()
    picture.resize((width, height), Image.Resampling.LANCZOS).save(body, "WEBP", quality=90, method=2)
    return body.getvalue()


def _small(picture: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    shrink = min(1.0, SIDE / max(picture.size))
    size = max(2, round(picture.width * shrink)), max(2, round(picture.height * shrink))
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX))


def _main(picture: Image.Image) -> list[tuple[tuple[int, ...], float]]:
    """The main colours with their shares, the greatest first."""
    few = np.asarray(
        Image.fromarray(_small(picture)).quantize(COLOURS, Image.Quantize.MEDIANCUT).convert("RGB")
    )
    colours, counts = np.unique(few.reshape(-1, 3), axis=0, return_counts=True)
    shares = counts / counts.sum()
    found = [
        (tuple(map(int, colour)), round(float(share), 3))
        for colour, share in zip(colours, shares, strict=True)
    ]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _name(colour: tuple[int, ...]) -> str:
    """What a colour is called: the nearest name."""
    return min(
        _NAMED,
        key=lambda name: sum((one - other) ** 2 for one, other in zip(colour, _NAMED[name], strict=True)),
    )


def _colours(picture: Image.Image, most: int) -> str:
    names = list(dict.fromkeys(_name(colour) for colour, _ in _main(picture)))[:most]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _light(picture: Image.Image) -> str:
    mean = float((_small(picture).astype(np.float64) @ (0.299, 0.587, 0.114)).mean())
    return "dark" if mean < 85 else "bright" if mean > 170 else "moderately lit"


def _format(picture: Image.Image) -> str:
    return (
        "square" if picture.width == picture.height else "wide" if picture.width > picture.height else "tall"
    )


def _row(colours: np.ndarray[Any, Any], y: int) -> str:
    """The rectangles of one row of squares."""
    ends = [*(np.flatnonzero((colours[1:] != colours[:-1]).any(axis=1)) + 1), len(colours)]
    shapes, start = [], 0
    for end in ends:
        red, green, blue = colours[start]
        fill = f"#{red:02x}{green:02x}{blue:02x}"
        shapes.append(f'<rect x="{start}" y="{y}" width="{end - start}" height="1" fill="{fill}"/>')
        start = end
    return "".join(shapes)


_TOLD: dict[str, Callable[[Image.Image], Any]] = {
    "CAPTION": caption,
    "DESCRIBE": description,
    "INTERROGATION": looks,
    "PALETTE": palette,
    "AESTHETIC": score,
    "VECTORIZE": drawing,
}

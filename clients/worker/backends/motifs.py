"""What the procedural backend draws: each motif turns a random generator and a palette into a picture.

A canvas is (height, width, 3) of 32-bit floats from 0 to 1. Lengths are in units of the longer side, so that a
picture keeps its look in any size. Randomness comes from the generator alone: the same one draws the same picture.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from clients.worker.backends.palettes import painted

Array = NDArray[np.float32]
#: Side of the tile of noise that the motifs look things up in.
TILE = 256


def noise_tile(rng: np.random.Generator, roughness: float) -> Array:
    """A square of smooth noise that repeats seamlessly: mean 0, deviation 1.

    `roughness` is the fall of the spectrum: 3 is like clouds, 2 like rock.
    """
    fx, fy = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    waves = rng.standard_normal(radius.shape) + 1j * rng.standard_normal(radius.shape)
    waves *= radius ** (-roughness / 2 - 0.5)
    waves[0, 0] = 0.0
    tile = np.fft.irfft2(waves, s=(TILE, TILE))
    even: Array = (tile / tile.std()).astype(np.float32)
    return even


def looked_up(tile: Array, u: Array, v: Array) -> Array:
    """The tile's value at every point (1 = its whole side), blended between its pixels, repeating outside."""
    x, y = u * np.float32(TILE), v * np.float32(TILE)
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    x0, y0 = left.astype(np.int32) % TILE, top.astype(np.int32) % TILE
    x1, y1 = (x0 + 1) % TILE, (y0 + 1) % TILE
    upper = tile[y0, x0] * (1 - fx) + tile[y0, x1] * fx
    lower = tile[y1, x0] * (1 - fx) + tile[y1, x1] * fx
    blended: Array = upper * (1 - fy) + lower * fy
    return blended


def grid(width: int, height: int) -> tuple[Array, Array]:
    """The coordinates of every pixel's middle, the longer side being 1."""
    unit = np.float32(1 / max(width, height))
    x = (np.arange(width, dtype=np.float32) + np.float32(0.5)) * unit
    y = (np.arange(height, dtype=np.float32) + np.float32(0.5)) * unit
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))


def silk(rng: np.random.Generator, colours: Array, width: int, height: int) -> Array:
    """Folds of cloth: noise displaced by noise displaced by noise, lit from the side."""
    u, v = grid(width, height)
    first, second = noise_tile(rng, 4.4), noise_tile(rng, 3.8)
    scale, bend = np.float32(rng.uniform(0.5, 0.75)), np.float32(rng.uniform(0.08, 0.13))
    a = looked_up(first, u * scale, v * scale)
    b = looked_up(second, v * scale + np.float32(0.37), u * scale + np.float32(0.71))
    folds = looked_up(first, u * scale + bend * b + np.float32(0.5), v * scale + bend * a)
    tone = np.float32(0.48) + np.float32(0.3) * np.sin(folds * np.float32(2.8)) + np.float32(0.12) * a
    down, across = np.gradient(tone)
    light = (across - down) * np.float32(max(width, height) / 14)
    shade = np.clip(np.float32(1.0) + np.float32(0.2) * np.tanh(light), 0.6, 1.3)
    lit: Array = painted(np.clip(tone, 0, 1), colours) * shade[..., None]
    return lit


def ridges(rng: np.random.Generator, colours: Array, width: int, height: int) -> Array:
    """A sun over ranges of hills, the far ones pale in the haze."""
    u, v = grid(width, height)
    tall = np.float32(height / max(width, height))
    tile = noise_tile(rng, 2.6)
    clouds = looked_up(tile, u * np.float32(0.35), v * np.float32(1.1))
    tone = _sunlit(
        rng, np.float32(0.42) + np.float32(0.5) * v / tall + np.float32(0.035) * clouds, u, v, tall
    )
    layers = int(rng.integers(5, 8))
    for layer in range(layers):
        near = (layer + 1) / layers
        line = u[0] * np.float32(0.12 + 0.28 * near) + np.float32(rng.uniform(0, 1))
        crest = looked_up(tile, line, np.full_like(line, rng.uniform(0, 1)))
        top = tall * np.float32(0.44 + 0.46 * near**1.15) - tall * np.float32(0.095 - 0.035 * near) * crest
        rows, below, edge = _below(top, v, height)
        haze = np.clip(below / (tall * np.float32(0.35)), 0, 1) * np.float32(0.16 * (1.1 - near))
        tone[rows] += (np.float32(0.62 * (1 - near) ** 1.1 + 0.03) + haze - tone[rows]) * edge
    return painted(tone, colours)


def waves(rng: np.random.Generator, colours: Array, width: int, height: int) -> Array:
    """A sun over the sea: rows of swell that grow towards the viewer."""
    u, v = grid(width, height)
    tall = np.float32(height / max(width, height))
    tile = noise_tile(rng, 2.8)
    clouds = looked_up(tile, u * np.float32(0.3), v * np.float32(0.9))
    tone = _sunlit(
        rng, np.float32(0.55) + np.float32(0.42) * v / tall + np.float32(0.05) * clouds, u, v, tall
    )
    count = int(rng.integers(11, 15))
    for row in range(count):
        near = (row + 1) / count
        rise = np.float32(0.004 + 0.03 * near**1.4)
        pace, phase = np.float32(rng.uniform(10, 15) / (0.25 + near)), np.float32(rng.uniform(0, 6.3))
        ripple = looked_up(tile, u[0] * np.float32(0.7), np.full_like(u[0], rng.uniform(0, 1)))
        swell = np.sin(u[0] * pace + phase) + np.float32(0.45) * ripple
        rows, below, edge = _below(tall * np.float32(0.46 + 0.5 * near**1.35) - rise * swell, v, height)
        deep = np.clip(below / (tall * np.float32(0.05 + 0.13 * near)), 0, 1) * np.float32(0.24)
        foam = np.exp(-((below * np.float32(110 / (0.35 + near))) ** 2)) * np.float32(0.26)
        tone[rows] += (np.float32(0.6 - 0.32 * near) - deep + foam - tone[rows]) * edge
    return painted(tone, colours)


def cosmos(rng: np.random.Generator, colours: Array, width: int, height: int) -> Array:
    """A nebula among stars."""
    u, v = grid(width, height)
    first, second = noise_tile(rng, 3.2), noise_tile(rng, 2.6)
    scale = np.float32(rng.uniform(0.4, 0.6))
    a = looked_up(first, u * scale, v * scale)
    dust = looked_up(second, u * scale + np.float32(0.05) * a, v * scale - np.float32(0.05) * a)
    glow = np.clip(np.float32(0.34) + np.float32(0.2) * dust + np.float32(0.18) * a, 0, 1) ** np.float32(1.5)
    canvas = painted(np.clip(glow, 0, 0.95), colours)
    starry: Array = np.clip(canvas + _stars(rng, width, height)[..., None], 0, 1)
    return starry


def bloom(rng: np.random.Generator, colours: Array, width: int, height: int) -> Array:
    """Rings of petals around a heart of light."""
    u, v = grid(width, height)
    longer = max(width, height)
    tile = noise_tile(rng, 3.2)
    wobble = looked_up(tile, u * np.float32(0.3), v * np.float32(0.3))
    x = u - np.float32(width / longer * rng.uniform(0.42, 0.58))
    y = v - np.float32(height / longer * rng.uniform(0.42, 0.58))
    radius = np.hypot(x, y) * (1 + np.float32(0.05) * wobble)
    angle = np.arctan2(y, x) + np.float32(0.08) * wobble
    tone = np.float32(0.16) + np.float32(0.05) * wobble - radius * np.float32(0.1)
    petals, rings = int(rng.integers(5, 10)), int(rng.integers(5, 8))
    turn, reach = rng.uniform(0, 6.3), min(width, height) / longer * 0.56
    opening, vein = (
        np.cos(angle * petals + np.float32(turn)),
        np.cos(angle * (petals * 8)) * np.float32(0.025),
    )
    for ring in range(rings):
        inward = ring / rings
        wave = opening if ring % 2 == 0 else -opening
        petal = np.float32(0.78) + np.float32(0.22) * np.sqrt(np.float32(0.5) + np.float32(0.5) * wave)
        rim = np.float32(reach * (1 - 0.86 * inward)) * petal
        across = np.minimum(radius / rim, 1)
        edge = np.clip((rim - radius) * np.float32(longer / 1.5), 0, 1)
        shadow = np.exp(np.minimum(rim - radius, 0) * np.float32(55)) * np.float32(0.1)
        leaf = np.float32(0.14 + 0.52 * inward) + across * (
            np.float32(0.1) + vein + np.float32(0.22) * across**2
        )
        tone = tone * (1 - shadow) * (1 - edge) + leaf * edge
    heart = np.exp(-((radius / np.float32(reach * 0.11)) ** 2))
    return painted(tone + (1 - tone) * heart, colours)


def _below(top: Array, v: Array, height: int) -> tuple[slice, Array, Array]:
    """Where a picture lies below a line: the rows it may touch, the depth there, the cover from 0 to 1."""
    pixel = float(v[-1, 0]) / (height - 0.5)
    rows = slice(min(height - 1, max(0, int(float(top.min()) / pixel) - 1)), height)
    depth = v[rows] - top
    return rows, depth, np.clip(depth / np.float32(pixel), 0, 1)


def _sunlit(rng: np.random.Generator, sky: Array, u: Array, v: Array, tall: np.float32) -> Array:
    """The sky's tones with a disc and its glow."""
    wide = float(u[0, -1])
    x, y = rng.uniform(0.2, 0.8) * wide, float(tall) * rng.uniform(0.16, 0.34)
    size = min(wide, float(tall)) * rng.uniform(0.05, 0.09)
    distance = np.hypot(u - np.float32(x), v - np.float32(y))
    disc = np.clip((np.float32(size) - distance) * np.float32(220), 0, 1)
    glow = np.float32(0.55) * np.exp(-distance / np.float32(size * 3.2))
    lit: Array = sky + (1 - sky) * np.maximum(disc, glow)
    return lit


def _stars(rng: np.random.Generator, width: int, height: int) -> Array:
    """Stars as brightness to add: many faint ones, a few bright with a halo."""
    sky = np.zeros((height, width), dtype=np.float32)
    count = max(8, width * height // 900)
    xs, ys = rng.integers(0, width, count), rng.integers(0, height, count)
    np.maximum.at(sky, (ys, xs), (rng.random(count) ** 4 * 0.9).astype(np.float32))
    unit = max(width, height) / 512
    for _ in range(int(rng.integers(7, 14))):
        x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.9, 2.2) * unit
        reach = int(size * 7) + 2
        left, top = max(0, int(x) - reach), max(0, int(y) - reach)
        row, column = np.mgrid[top : min(height, int(y) + reach), left : min(width, int(x) + reach)]
        dx, dy = np.abs(column - x), np.abs(row - y)
        core = np.exp(-((dx**2 + dy**2) / size**2))
        rays = 0.45 * np.exp(-(dx * 0.28 + dy * 2.4) / size) + 0.45 * np.exp(-(dy * 0.28 + dx * 2.4) / size)
        patch = sky[top : top + row.shape[0], left : left + row.shape[1]]
        patch += (core + rays).astype(np.float32)
    return sky


Motif = Callable[[np.random.Generator, Array, int, int], Array]
DRAWN_BY: Mapping[str, Motif] = {
    "silk": silk,
    "ridges": ridges,
    "waves": waves,
    "cosmos": cosmos,
    "bloom": bloom,
}

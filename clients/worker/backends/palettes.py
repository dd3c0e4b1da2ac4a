"""Colours and words for the procedural backend: which words of a prompt call for which colours and which motif.

A palette is five colours from dark to light. Words are matched whole, lower-case; the first that is known decides.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PALETTES: Mapping[str, Sequence[str]] = {
    "dusk": ("#1b1238", "#5b2a6b", "#c0506a", "#f59a62", "#ffe3b0"),
    "ocean": ("#04162e", "#0b3f63", "#1f7f99", "#7cc6c4", "#eef7ec"),
    "forest": ("#0c1f17", "#1f4a34", "#4f8254", "#a8bf74", "#f3efc9"),
    "ember": ("#190b10", "#5c1620", "#b5362a", "#f0863a", "#ffe6a3"),
    "frost": ("#16243f", "#3d5f8c", "#86abc9", "#c9dfe8", "#fbfdfd"),
    "meadow": ("#173a3a", "#3f7a4e", "#93b94f", "#f2d06b", "#fff6da"),
    "rose": ("#2a1026", "#7a2b55", "#cf6a86", "#f3b2ae", "#fff0e6"),
    "gold": ("#20160c", "#5f4018", "#b07f2c", "#e5bf63", "#fff5d6"),
    "night": ("#05060f", "#141b3c", "#33407d", "#7f83c4", "#e6e2ff"),
    "aurora": ("#070f24", "#123f5a", "#1f8f86", "#7fdc9a", "#f1ffe0"),
    "earth": ("#1f1713", "#55382a", "#96694a", "#cfab82", "#f6ead6"),
    "candy": ("#2b1a52", "#8a3fa0", "#ee6fa8", "#ffb787", "#fff1c9"),
}

_PALETTE_WORDS: Mapping[str, str] = {
    "dusk": "sunset sunrise dusk dawn evening twilight purple violet horizon",
    "ocean": "ocean sea water river lake underwater blue wave waves ship island rain",
    "forest": "forest tree trees jungle wood woods moss green garden leaf dragon",
    "ember": "fire lava volcano ember flame hell red autumn phoenix hot",
    "frost": "snow ice winter frost glacier frozen white cold cloud clouds",
    "meadow": "meadow spring field grass valley hill hills summer farm yellow bird",
    "rose": "rose flower flowers blossom cherry pink love portrait woman girl face",
    "gold": "gold golden treasure crown palace temple king queen light lamp",
    "night": "night moon space galaxy stars star cosmos universe dark black nebula",
    "aurora": "aurora northern magic fairy alien cyberpunk neon emerald crystal",
    "earth": "desert sand earth canyon rock stone brown horse castle ruins coffee",
    "candy": "candy rainbow colorful colourful cat dog cute toy cartoon city party",
}

_MOTIF_WORDS: Mapping[str, str] = {
    "ridges": "mountain mountains landscape valley hill hills sunset sunrise desert canyon forest castle horizon field",
    "waves": "ocean sea water river lake wave waves ship island rain beach underwater",
    "cosmos": "space galaxy star stars cosmos universe night nebula moon planet aurora",
    "bloom": "flower flowers rose blossom cherry mandala sun eye crown portrait face woman girl man",
}

#: The motifs, the first for prompts whose words call for none of the others more often than not.
MOTIFS = ("silk", "ridges", "waves", "cosmos", "bloom")


def _index(words: Mapping[str, str]) -> dict[str, str]:
    return {word: name for name, line in words.items() for word in line.split()}


_PALETTE_OF = _index(_PALETTE_WORDS)
_MOTIF_OF = _index(_MOTIF_WORDS)


def chosen(prompt: str, digest: bytes) -> tuple[str, str]:
    """The names of palette and motif for a prompt; `digest` decides where no word does."""
    words = re.findall(r"\w+", prompt.lower())
    palettes, motifs = list(PALETTES), (*MOTIFS, MOTIFS[0])
    palette = next((_PALETTE_OF[word] for word in words if word in _PALETTE_OF), None)
    motif = next((_MOTIF_OF[word] for word in words if word in _MOTIF_OF), None)
    return palette or palettes[digest[0] % len(palettes)], motif or motifs[digest[1] % len(motifs)]


def stops(name: str) -> NDArray[np.float32]:
    """The palette's colours, shape (5, 3), each channel from 0 to 1."""
    colours = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in PALETTES[name]]
    return np.array(colours, dtype=np.float32) / np.float32(255)


def painted(tone: NDArray[np.float32], colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each tone (0 dark to 1 light) as a colour of the palette; adds the channel axis."""
    steps = np.linspace(0.0, 1.0, 1024, dtype=np.float32)
    at = np.linspace(0.0, 1.0, len(colours), dtype=np.float32)
    table = np.stack([np.interp(steps, at, colours[:, channel]) for channel in range(3)], axis=1)
    index = np.clip(tone * 1023, 0, 1023).astype(np.int32)
    colour: NDArray[np.float32] = table.astype(np.float32).take(index, axis=0)
    return colour

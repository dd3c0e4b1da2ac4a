"""How a picture becomes numbers: plain statistics, or a model that the user names.

A model is `module:function`, taking a PIL picture and giving a vector; or a file `*.onnx` with one picture as input
(1 x 3 x height x width, normalised as for ImageNet), of which the first output is flattened. Nothing is downloaded. Look
next: `app.aesthetics.features`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.aesthetics import features

Embed = Callable[[Image.Image], NDArray[np.float64]]

#: what plain statistics are called in tables and model cards
PLAIN: Final = "plain statistics"
#: the mean and deviation of ImageNet's pixels, as models trained on it expect
_MEAN: Final = np.array([0.485, 0.456, 0.406])
_DEVIATION: Final = np.array([0.229, 0.224, 0.225])


class EmbeddingError(Exception):
    """The named model cannot be used; the message says why and what is missing."""


def named(model: str | None) -> tuple[Embed, tuple[str, ...]]:
    """What turns pictures into numbers, and the names of the numbers where they have any.

    Raises:
        EmbeddingError: there is no such model, or what runs it is not installed.
    """
    if model is None:
        return features.vector, features.NAMES
    if model.endswith(".onnx"):
        return _onnx(Path(model)), ()
    module, _, function = model.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise EmbeddingError(f"no model {model!r}: give module:function or a file *.onnx ({error})") from None
    return lambda picture: np.asarray(found(picture), dtype=np.float64).ravel(), ()


def _onnx(path: Path) -> Embed:
    if not path.is_file():
        raise EmbeddingError(f"there is no file {path}")
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        raise EmbeddingError("models in ONNX need the package onnxruntime: pip install onnxruntime") from None
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    side = given.shape[-1] if isinstance(given.shape[-1], int) else 224

    def embed(picture: Image.Image) -> NDArray[np.float64]:
        small = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        pixels = (np.asarray(small, dtype=np.float64) / 255.0 - _MEAN) / _DEVIATION
        tensor = pixels.transpose(2, 0, 1)[None].astype(np.float32)
        return np.asarray(session.run(None, {given.name: tensor})[0], dtype=np.float64).ravel()

    return embed

"""EfficientNet-Lite0, which knows a thousand kinds of things (ImageNet), run with plain numpy.

The network is that of https://arxiv.org/abs/1905.11946 without squeeze-and-excitation and with ReLU6, as published by
Google as "lite0": 4.7 million weights, some 0.4 billion multiplications a picture. Layout here is height, width,
channels. Batch normalisation is folded into the convolutions once. Look next: `tensors.py`, `local.py`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clients.worker.tellers.tensors import Floats

#: Pixels of a side that the network was trained with, and how much of the picture's middle is seen.
SIDE = 224
SEEN = 224 / 256
#: The stages: how often a block comes, its kernel's side, the stride of its first, the widening, its channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EPSILON = 1e-3


class _Layer(NamedTuple):
    """A convolution with its normalisation folded in."""

    weight: Floats
    bias: Floats


class _Block(NamedTuple):
    """An inverted bottleneck: widen (unless it is the first stage), look around, narrow."""

    widen: _Layer | None
    around: _Layer
    narrow: _Layer
    kernel: int
    stride: int
    shortcut: bool


class EfficientNet:
    """The network with its weights."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        """Raises KeyError if the weights are of another network."""
        self._stem = _folded(weights, "_conv_stem", "_bn0")
        self._blocks = list(_blocks(weights))
        self._head = _folded(weights, "_conv_head", "_bn1")
        self._classes = _Layer(weights["_fc.weight"].T.copy(), weights["_fc.bias"])

    def classify(self, picture: Image.Image) -> Floats:
        """How sure it is of each of the thousand kinds; all together make 1."""
        seen = _seen(picture)
        flow = _relu6(_convolved(seen, self._stem, kernel=3, stride=2))
        for block in self._blocks:
            flow = _through(flow, block)
        flow = _relu6(_pointwise(flow, self._head))
        scores = flow.mean(axis=(0, 1)) @ self._classes.weight + self._classes.bias
        powers = np.exp(scores - scores.max())
        sure: Floats = powers / powers.sum()
        return sure


def _blocks(weights: dict[str, Floats]) -> Any:
    number, channels = 0, 32
    for times, kernel, first_stride, widening, out in _STAGES:
        for turn in range(times):
            name = f"_blocks.{number}"
            stride = first_stride if turn == 0 else 1
            yield _Block(
                widen=None if widening == 1 else _folded(weights, f"{name}._expand_conv", f"{name}._bn0"),
                around=_folded(weights, f"{name}._depthwise_conv", f"{name}._bn1"),
                narrow=_folded(weights, f"{name}._project_conv", f"{name}._bn2"),
                kernel=kernel,
                stride=stride,
                shortcut=stride == 1 and channels == out,
            )
            number, channels = number + 1, out


def _folded(weights: dict[str, Floats], convolution: str, normalisation: str) -> _Layer:
    """A convolution's weights as (kernel, kernel, in, out), (kernel, kernel, channels) or (in, out)."""
    given = {
        name: weights[f"{normalisation}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    }
    scale = given["weight"] / np.sqrt(given["running_var"] + _EPSILON)
    weight = weights[f"{convolution}.weight"] * scale[:, None, None, None]
    bias = given["bias"] - given["running_mean"] * scale
    out, inside, side, _ = weight.shape
    if side == 1:
        return _Layer(np.ascontiguousarray(weight.reshape(out, inside).T), bias)
    order = (2, 3, 1, 0)
    laid = weight.transpose(order)
    return _Layer(np.ascontiguousarray(laid[:, :, 0, :] if inside == 1 else laid), bias)


def _seen(picture: Image.Image) -> Floats:
    """The picture's middle square, as the network was trained to see it."""
    side = round(min(picture.size) * SEEN)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    square = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
    return (np.asarray(square, np.float32) - 127.0) / 128.0


def _through(flow: Floats, block: _Block) -> Floats:
    wide = flow if block.widen is None else _relu6(_pointwise(flow, block.widen))
    wide = _relu6(_depthwise(wide, block.around, block.kernel, block.stride))
    narrow = _pointwise(wide, block.narrow)
    return flow + narrow if block.shortcut else narrow


def _relu6(flow: Floats) -> Floats:
    return np.clip(flow, 0, 6, out=flow)


def _pointwise(flow: Floats, layer: _Layer) -> Floats:
    mixed: Floats = flow @ layer.weight
    mixed += layer.bias
    return mixed


def _windows(flow: Floats, kernel: int, stride: int) -> Any:
    """For each place in the kernel, the values that it meets; padded as TensorFlow does for "same"."""
    height, width = (-(-side // stride) for side in flow.shape[:2])
    pads = [
        max(0, (length - 1) * stride + kernel - side)
        for length, side in zip((height, width), flow.shape[:2], strict=True)
    ]
    padded = np.pad(flow, [*((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    for y in range(kernel):
        for x in range(kernel):
            yield (
                y,
                x,
                padded[y : y + height * stride : stride, x : x + width * stride : stride][:height, :width],
            )


def _depthwise(flow: Floats, layer: _Layer, kernel: int, stride: int) -> Floats:
    summed: NDArray[np.float32] | None = None
    for y, x, met in _windows(flow, kernel, stride):
        part = met * layer.weight[y, x]
        summed = part if summed is None else np.add(summed, part, out=summed)
    assert summed is not None
    summed += layer.bias
    return summed


def _convolved(flow: Floats, layer: _Layer, *, kernel: int, stride: int) -> Floats:
    summed: NDArray[np.float32] | None = None
    for y, x, met in _windows(flow, kernel, stride):
        part = met @ layer.weight[y, x]
        summed = part if summed is None else np.add(summed, part, out=summed)
    assert summed is not None
    summed += layer.bias
    return summed

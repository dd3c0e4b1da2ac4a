"""Reads the weights of a network from a PyTorch file, without PyTorch: plain arrays of floats, and nothing else.

The format is that of PyTorch before 1.6: four pickles (a mark, a version, the machine, the tensors by name), then the
names of the storages and their contents. Pickles can run code, so that only what such a file needs is let through.
"""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MARK = 0x1950A86A20F9469CFC6C
_TYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Floats = NDArray[np.float32]


class WeightsError(Exception):
    """The file is not what it should be."""


class _Unpickler(pickle.Unpickler):
    """Knows tensors as (storage, offset, shape, strides) and storages as (type, name, elements)."""

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle may name. Raises WeightsError for anything else."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _TYPES:
            return name
        raise WeightsError(f"the file names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        """A storage."""
        _, kind, name, _, size, _ = pid
        return kind, name, size


def _tensor(storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Any:
    return storage, offset, shape, strides


def weights_of(path: Path) -> dict[str, Floats]:
    """Every tensor of floats in the file, by its name. Raises WeightsError or OSError."""
    with path.open("rb") as file:
        try:
            if _Unpickler(file).load() != _MARK:
                raise WeightsError("no file of weights")
            _Unpickler(file).load()
            _Unpickler(file).load()
            tensors = _Unpickler(file).load()
            storages = _storages(file, tensors)
        except (pickle.UnpicklingError, EOFError, ValueError, TypeError, struct.error) as error:
            raise WeightsError("the file of weights is damaged") from error
    return {
        name: _laid(storages[storage], offset, shape, strides)
        for name, ((kind, storage, _), offset, shape, strides) in tensors.items()
        if kind == "FloatStorage"
    }


def _laid(flat: NDArray[Any], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Floats:
    """The tensor: its elements need not lie in their order. Raises WeightsError if it reaches beyond its storage."""
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if min((offset, *strides, *shape), default=0) < 0 or last >= len(flat):
        raise WeightsError("a tensor reaches beyond its storage")
    steps = tuple(stride * flat.itemsize for stride in strides)
    view = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)
    return np.ascontiguousarray(view, np.float32)


def _storages(file: BinaryIO, tensors: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The contents of the storages, in the order in which the file has them."""
    types = {name: _TYPES[kind] for (kind, name, _), *_ in tensors.values()}
    found = {}
    for name in _Unpickler(file).load():
        (size,) = struct.unpack("<q", file.read(8))
        body = file.read(size * types[name].itemsize)
        found[name] = np.frombuffer(body, types[name], count=size)
    return found

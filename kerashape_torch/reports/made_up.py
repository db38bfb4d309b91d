"""Made-up numbers, the same on every machine: inputs that a model can take, and what weights are seeded with."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from kerashape_torch.errors import KerashapeError
from kerashape_torch.graph import Graph, SymbolicTensor
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.structure import flatten, flatten_shapes

_FREE_SIZES = {4: 64}
"""What a free axis is given, by the rank of the tensor: images are 64 wide, other free axes 16 long."""
_AT_A_TIME = 1 << 20
"""So many numbers are drawn before they are put in their place, so that memory holds an input once."""


def uniform(key: str, shape: Sequence[int], dtype: str = "float64") -> np.ndarray[Any, Any]:
    """Numbers from 0 to 1 that follow from a text alone: the upper 53 bits of PCG64's raw numbers, a stream that NumPy
    keeps as it is for good, seeded with the CRC32 of the text.

    >>> uniform("dense/kernel", (2, 2)).round(3)
    array([[0.538, 0.801],
           [0.345, 0.912]])
    """
    stream = np.random.PCG64(zlib.crc32(key.encode()))
    found = np.empty(math.prod(shape), dtype)
    for start in range(0, found.size, _AT_A_TIME):
        part = found[start:start + _AT_A_TIME]
        part[...] = (stream.random_raw(part.size) >> np.uint64(11)) * 2.0**-53
    return found.reshape(shape)


def made_up_inputs(model: Model, batch: int, dtype: torch.dtype | None = None, shape: Any = None) -> list[Any]:
    """A tensor for each input: numbers from 0 to 1, or integers that every embedding they meet has a row for; for
    strings an array of them, all alike. They follow from the place of the input and from its shape."""
    tensors = model.graph.flat_inputs
    wanted = flatten_shapes(shape) if shape is not None else [x.shape for x in tensors]
    return [_made_up(x, real_sizes(sizes, batch), _rows(model.graph, x), dtype, f"input {place}")
            for place, (x, sizes) in enumerate(zip(tensors, wanted))]


def real_sizes(shape: Sequence[int | None], batch: int) -> list[int]:
    """A shape without None.

    >>> real_sizes((None, None, None, 3), 2), real_sizes((None, None, 8), 2)
    ([2, 64, 64, 3], [2, 16, 8])
    """
    return [size if size is not None else batch if axis == 0 else _FREE_SIZES.get(len(shape), 16)
            for axis, size in enumerate(shape)]


def _made_up(x: SymbolicTensor, sizes: list[int], rows: int | None, dtype: torch.dtype | None, key: str) -> Any:
    if x.dtype == "string":
        return np.full(sizes, "a")
    own = getattr(torch, x.dtype, None)
    if own is None:
        raise KerashapeError(f"input {x.node.layer.name!r} takes {x.dtype}, and torch has no such tensors")
    return drawn(key, sizes, own, rows, dtype)


def drawn(key: str, sizes: list[int], own: torch.dtype, rows: int | None = None,
          dtype: torch.dtype | None = None) -> torch.Tensor:
    """A tensor of a dtype, or of another one if it is of floats: numbers from 0 to 1, or integers below ``rows``."""
    if rows is not None or not own.is_floating_point:
        return torch.from_numpy(np.floor(uniform(key, sizes) * (rows or 2)).astype("int64")).to(own)
    kind = dtype or own
    return torch.from_numpy(uniform(key, sizes, "float64" if kind == torch.float64 else "float32")).to(kind)


def _rows(graph: Graph, tensor: SymbolicTensor) -> int | None:
    """The smallest number of rows among the tables that a tensor is looked up in; None where there is none."""
    return min(_tables(graph, tensor), default=None)


def _tables(graph: Graph, tensor: SymbolicTensor) -> Iterator[int]:
    follow, seen = [tensor], {id(tensor)}
    for x in follow:
        for node in graph.nodes:
            if not any(x is given for given in node.inputs):
                continue
            layer = node.layer
            if isinstance(layer, Model):
                for given, own in zip(flatten(layer.bind(node.args, node.kwargs)["inputs"]), layer.graph.flat_inputs):
                    if given is x:  # it may also be there as a mask
                        yield from _tables(layer.graph, own)
                continue
            found = [size for each in (layer, *layer.sublayers()) if (size := _table_size(each)) is not None]
            yield from found
            if not found and not layer.weights:
                fresh = [y for y in flatten(node.outputs) if id(y) not in seen]
                seen.update(map(id, fresh))
                follow.extend(fresh)


def _table_size(layer: Layer) -> int | None:
    """Embeddings have a row for each integer, encodings a place."""
    argument = {"Embedding": "input_dim", "ReversibleEmbedding": "input_dim", "CategoryEncoding": "num_tokens"}
    name = next((argument[cls.__name__] for cls in type(layer).__mro__ if cls.__name__ in argument), None)
    return getattr(layer, name) if name else None

"""``keras.ops`` on symbolic tensors: each call is a layer of the graph, as in Keras. On real tensors the op just runs.

>>> from kerashape_torch import Input, ops
>>> x = Input((4, 6))
>>> ops.mean(x[:, ::2] * 2.0, axis=-1, keepdims=True)
SymbolicTensor(shape=(None, 2, 1), dtype='float32')
>>> import torch
>>> ops.clip(torch.tensor([-1.0, 3.0]), 0, 2)
tensor([0., 2.])
"""

from collections.abc import Callable
from typing import Any

from kerashape_torch.errors import did_you_mean
from kerashape_torch.graph import OPERATORS
from kerashape_torch.ops import elementwise, shaping  # noqa: F401  importing them enters their ops in the catalog
from kerashape_torch.ops.operation import PUBLIC, Operation

_SYNONYMS = {"abs": "absolute"}
_FOR_OPERATORS = ("add", "subtract", "multiply", "power", "floor_divide", "mod", "matmul", "negative", "absolute",
                  "get_item", "less", "less_equal", "greater", "greater_equal", "not_equal", "logical_and",
                  "logical_or", "logical_xor", "logical_not")

OPERATORS.update({name: PUBLIC[name] for name in _FOR_OPERATORS})
OPERATORS["divide"] = PUBLIC["true_divide"]  # Python's / makes TrueDivide in Keras, ops.divide makes Divide
OPERATORS["activation"] = elementwise.of_activation

__all__ = ["Operation"]


def __getattr__(name: str) -> Callable[..., Any]:
    found = PUBLIC.get(_SYNONYMS.get(name, name))
    if found is None:
        raise AttributeError(f"kerashape_torch.ops has no {name!r}.{did_you_mean(name, [*PUBLIC, *_SYNONYMS])}")
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC, *_SYNONYMS])

"""``keras.ops`` on symbolic tensors: each call is a layer of the graph, as in Keras. On real tensors the op just runs.

>>> from kerashape_torch import Input, ops
>>> x = Input((4, 6))
>>> ops.mean(x[:, ::2] * 2.0, axis=-1, keepdims=True)
SymbolicTensor(shape=(None, 2, 1), dtype='float32')
>>> ops.image.resize(Input((8, 8, 3)), (4, 4)).shape
(None, 4, 4, 3)
>>> import torch
>>> ops.clip(torch.tensor([-1.0, 3.0]), 0, 2)
tensor([0., 2.])
"""

from kerashape_torch.graph import OPERATORS
from kerashape_torch.ops import (  # importing them enters their ops in the catalog
    activation,
    creation,
    elementwise,
    images,
    indexing,
    neural,
    products,
    reductions,
    shaping,
    spectral,
    tensors,
)
from kerashape_torch.ops.operation import PUBLIC, Operation, namespace

_FAMILIES = (activation, creation, elementwise, images, indexing, neural, products, reductions, shaping, spectral,
             tensors)
_FOR_OPERATORS = ("add", "subtract", "multiply", "power", "floor_divide", "mod", "matmul", "negative", "absolute",
                  "get_item", "less", "less_equal", "greater", "greater_equal", "not_equal", "logical_and",
                  "logical_or", "logical_xor", "logical_not")

OPERATORS.update({name: PUBLIC[name] for name in _FOR_OPERATORS})
OPERATORS["divide"] = PUBLIC["true_divide"]  # Python's / makes TrueDivide in Keras, ops.divide makes Divide
OPERATORS["activation"] = activation.of_activation

__all__ = ["Operation"]

from kerashape_torch.ops import image, linalg, nn, numpy  # noqa: E402, F401  as Keras has them

__getattr__, __dir__ = namespace()

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

from kerashape_torch.graph import OPERATOR_LOADERS
from kerashape_torch.ops.operation import Operation, load_families, namespace

OPERATOR_LOADERS.append(load_families)

__all__ = ["Operation"]

from kerashape_torch.ops import image, linalg, nn, numpy  # noqa: E402, F401  as Keras has them

__getattr__, __dir__ = namespace()

"""All families of ops, and what Python's operators mean.

Loaded when the first op is asked for, since a model of layers needs none.
"""

from kerashape_torch.graph import OPERATORS
from kerashape_torch.ops import (  # noqa: F401  importing them enters their ops in the catalog
    activation,
    beyond,
    control,
    creation,
    elementwise,
    images,
    indexing,
    neural,
    products,
    reductions,
    shaping,
    sized,
    spectral,
    tensors,
)
from kerashape_torch.ops.operation import PUBLIC

_FOR_OPERATORS = ("add", "subtract", "multiply", "power", "floor_divide", "mod", "matmul", "negative", "absolute",
                  "get_item", "less", "less_equal", "greater", "greater_equal", "not_equal", "logical_and",
                  "logical_or", "logical_xor", "logical_not", "sum")

OPERATORS.update({name: PUBLIC[name] for name in _FOR_OPERATORS})
OPERATORS["divide"] = PUBLIC["true_divide"]  # Python's / makes TrueDivide in Keras, ops.divide makes Divide
OPERATORS["given free sizes"] = sized.given_free_sizes
OPERATORS["sizes in a tensor"] = sized.sizes_for
OPERATORS["activation"] = activation.of_activation

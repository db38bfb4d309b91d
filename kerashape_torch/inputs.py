"""Input: where data enters a model."""

from typing import Any

from kerashape_torch.dtypes import DType
from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import Node, SymbolicTensor, TensorSpec
from kerashape_torch.layer import Layer
from kerashape_torch.shape import standardize


class InputLayer(Layer):
    """Where data enters a model. ``Input(shape)`` makes one and gives back its tensor.

    Input shape:  none; the batch axis is left out of ``shape`` and given by ``batch_size`` or ``batch_shape``
    Output shape: (batch, *shape)

    >>> InputLayer(shape=(50, 50, 3)).output_shape
    (None, 50, 50, 3)
    """

    built_when_made = True
    shape: Any = None
    batch_size: int | None = None
    dtype: DType = None
    sparse: bool | None = False
    ragged: bool | None = False
    batch_shape: Any = None
    optional: bool = False
    keeps_dtype = True

    def __post_init__(self) -> None:
        if self.shape is not None and self.batch_shape is not None:
            raise ConfigError(f"Input takes shape or batch_shape, not both: got shape={self.shape!r}, "
                              f"batch_shape={self.batch_shape!r}")
        if self.shape is not None:
            self.batch_shape = (self.batch_size, *standardize(self.shape, "Input(shape=...)"))
        self.batch_shape = self._declared_shape()
        if self.batch_shape is None:
            raise ConfigError("Input needs a shape, without the batch axis: Input(shape=(3,))")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dtype = self.dtype or "float32"
        Node(self, (), {}, [], TensorSpec(self.batch_shape, self.dtype))

    def dtype_unless_told(self) -> str:
        return "float32"

    def call_shapes(self) -> list[Any]:
        return [self.batch_shape]

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, "sparse": bool(self.sparse),
                "ragged": bool(self.ragged), "name": self.name, "optional": self.optional}


def Input(shape: Any = None, batch_size: int | None = None, dtype: str | None = None, sparse: bool | None = None,
          ragged: bool | None = None, batch_shape: Any = None, name: str | None = None, tensor: Any = None,
          optional: bool = False) -> SymbolicTensor:
    """A symbolic tensor to start a model from. The batch axis is left out of ``shape``.

    >>> Input((3,)).shape, Input(batch_shape=(30, 50, 50, 3)).shape
    ((None, 3), (30, 50, 50, 3))
    """
    if tensor is not None:
        raise ConfigError("Input(tensor=...) is not taken: a description holds no tensors")
    layer = InputLayer(shape=shape, batch_size=batch_size, dtype=dtype, sparse=sparse or False, ragged=ragged or False,
                       batch_shape=batch_shape, name=name, optional=optional)
    found: SymbolicTensor = layer.output
    return found

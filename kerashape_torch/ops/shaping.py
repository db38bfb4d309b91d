"""Ops that make fewer elements of many, multiply matrices, or move elements."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch.config import Axis
from kerashape_torch.ops import rules
from kerashape_torch.ops.operation import PUBLIC, Operation, TorchFunction, applied, op, own, stock, torch_dtype

# ---- reductions ------------------------------------------------------------------------------------------------------


def _dim(axis: Any) -> Any:
    return axis if axis is None or isinstance(axis, int) else tuple(axis)


def _reduction(name: str, axis: Any, keepdims: bool, **arguments: Any) -> TorchFunction:
    if axis is None and not keepdims:
        return stock(name, **arguments)
    return stock(name, dim=_dim(axis), **({"keepdim": True} if keepdims else {}), **arguments)


@op("numpy", rules.reduced_float)
def mean(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The mean; of integers it is a float."""
    return _reduction("mean", axis, keepdims, **({} if "float" in x.dtype else {"dtype": torch_dtype("float32")}))


@op("numpy", rules.reduced_sum)
def sum_(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The sum; small integers are added up as 32 bits."""
    dtype = rules.summed_dtype(x.dtype)
    return _reduction("sum", axis, keepdims, **({} if "float" in dtype else {"dtype": torch_dtype(dtype)}))


def _extreme(name: str, axis: Any, keepdims: bool, initial: Any) -> TorchFunction:
    dim = () if axis is None else _dim(axis)
    if initial is not None:
        return own(name, initial=initial, dim=dim, keepdim=keepdims)
    return stock(name, dim=dim, **({"keepdim": True} if keepdims else {}))


@op("numpy", rules.reduced)
def max_(x: Any, /, axis: Any = None, keepdims: bool = False, initial: Any = None) -> TorchFunction:
    """The largest element; at least ``initial``."""
    return _extreme("amax", axis, keepdims, initial)


@op("numpy", rules.reduced)
def min_(x: Any, /, axis: Any = None, keepdims: bool = False, initial: Any = None) -> TorchFunction:
    """The smallest element; at most ``initial``."""
    return _extreme("amin", axis, keepdims, initial)


@op("numpy", rules.reduced_float)
def var(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The variance of the elements themselves, not of a sample."""
    return stock("var", dim=_dim(axis), correction=0, keepdim=keepdims)


@op("numpy", rules.reduced_float)
def std(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """The standard deviation of the elements themselves, not of a sample."""
    return stock("std", dim=_dim(axis), correction=0, keepdim=keepdims)


@op("numpy", rules.reduced_bool)
def any_(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Whether one element is true."""
    return _reduction("any", axis, keepdims)


@op("numpy", rules.reduced_bool)
def all_(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Whether every element is true."""
    return _reduction("all", axis, keepdims)


@op("numpy", rules.reduced_index)
def argmax(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Where the largest element is, as int32."""
    return own("argmax", dim=axis, keepdim=keepdims)


@op("numpy", rules.reduced_index)
def argmin(x: Any, /, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """Where the smallest element is, as int32."""
    return own("argmin", dim=axis, keepdim=keepdims)


# ---- products --------------------------------------------------------------------------------------------------------


@op("numpy", rules.matrix_product)
def matmul(x1: Any, x2: Any, /) -> TorchFunction:
    """The product of matrices in the last two axes."""
    return stock("matmul")


class Einsum(Operation):
    """A sum of products by Einstein's convention. Its shape is found by running it without values."""

    subscripts: str
    keras_module = "keras.src.ops.numpy"

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {str(i): x for i, x in enumerate(args)}

    def input_specs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        return list(args)

    def function(self, *operands: Any) -> TorchFunction:
        return own("einsum", subscripts=self.subscripts)


def einsum(subscripts: str, *operands: Any) -> Any:
    """A sum of products by Einstein's convention.

    >>> from kerashape_torch import Input
    >>> einsum("bij,bjk->bik", Input((4, 6)), Input((6, 5))).shape
    (None, 4, 5)
    """
    return applied(Einsum(subscripts), operands)


PUBLIC["einsum"] = einsum


# ---- elements moved --------------------------------------------------------------------------------------------------


@op("numpy", rules.sliced)
def get_item(x: Any, key: Any, /) -> TorchFunction:
    """``x[key]``, with integers, slices, ``...`` and None."""
    keys = key if isinstance(key, (tuple, list)) else (key,)
    backwards = any(isinstance(k, slice) and k.step is not None and k.step < 0 for k in keys)
    return own("get_item") if backwards or isinstance(key, list) else operator.getitem


@op("numpy", rules.reshaped)
def reshape(x: Any, /, newshape: Any) -> TorchFunction:
    """The same elements in another shape; -1 is what is left."""
    return stock("reshape", shape=tuple(-1 if size is None else size for size in newshape))


@op("numpy", rules.transposed)
def transpose(x: Any, /, axes: Any = None) -> TorchFunction:
    """The axes in another order; in reverse where none is given."""
    return stock("permute", dims=tuple(axes if axes is not None else reversed(range(x.ndim))))


@op("numpy", rules.expanded)
def expand_dims(x: Any, /, axis: Any) -> TorchFunction:
    """With new axes of size 1."""
    return stock("unsqueeze", dim=axis) if isinstance(axis, int) else own("unsqueeze", axes=tuple(axis))


@op("numpy", rules.squeezed)
def squeeze(x: Any, /, axis: Any = None) -> TorchFunction:
    """Without axes of size 1; an axis that is None stays, whatever size comes."""
    ones = tuple(i for i, size in enumerate(x.shape) if size == 1)
    return stock("squeeze", dim=ones if axis is None else _dim(axis))


@op("numpy", rules.concatenated, elementwise=True)
def concatenate(xs: Any, /, axis: Axis = 0) -> TorchFunction:
    """Tensors side by side along one axis."""
    return stock("cat", dim=axis)


@op("numpy", rules.stacked)
def stack(x: Any, /, axis: int = 0) -> TorchFunction:
    """Tensors side by side along a new axis."""
    return stock("stack", dim=axis)


def shape(x: Any) -> tuple[Any, ...]:
    """The shape of a tensor, with None where it is not known; no layer is made."""
    return tuple(x.shape)


PUBLIC["shape"] = shape

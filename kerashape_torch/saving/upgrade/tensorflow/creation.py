"""Functions that make tensors: of sizes, and of constants."""

from __future__ import annotations

import functools
from typing import Any

from kerashape_torch.saving.upgrade.constants import array, within_reason
from kerashape_torch.saving.upgrade.expressions import Key, Op, Slice
from kerashape_torch.saving.upgrade.sizes import Shapes, Size
from kerashape_torch.saving.upgrade.tensorflow.table import (
    Untranslated,
    dtype_of,
    fixed,
    is_tensor,
    tf,
)

# ---- sizes that are not known ----------------------------------------------------------------------------------------


def written(sizes: Any, what: str) -> list[Any]:
    """Sizes one by one, as numbers and as those of axes."""
    if not isinstance(fixed(sizes, what), list):
        raise Untranslated(f"{what} is the shape of another tensor, which is not known before there are tensors")
    return list(sizes)


def everywhere(sizes: list[Any]) -> Op:
    """A condition that holds in every place of a shape, of which some sizes are open: they come from tensors."""
    parts = [_along(size, axis, len(sizes)) for axis, size in enumerate(sizes) if isinstance(size, Size)]
    known = [1 if isinstance(size, Size) else size for size in sizes]
    condition = functools.reduce(lambda x, y: Op("LogicalAnd", x, y), parts)
    return condition if set(known) == {1} else Op("Tile", condition, repeats=known)


def _along(size: Size, axis: int, rank: int) -> Op:
    """True in every place of one axis, where the others have size 1."""
    return Op("Reshape", row(size, "bool"), newshape=[1] * axis + [-1] + [1] * (rank - axis - 1))


def row(size: Size, dtype: str) -> Op:
    """As many ones as a size says."""
    if size.axis is None:
        raise Untranslated("it asks for a size that comes of others, which are not known before there are tensors")
    after = len(size.shapes.of(size.of)) - size.axis - 1
    return Op("OnesLike", Op("GetItem", size.of, Key([*[0] * size.axis, Slice(None, None, None), *[0] * after])),
              dtype=dtype)


def counted(size: Size) -> Op:
    """A size as a tensor: as many ones as it says, together."""
    return Op("Sum", row(size, "int32"))


@tf("size")
def _size(input: Any, out_type: Any = "int32") -> Any:
    return Op("Sum", Op("OnesLike", input, dtype=dtype_of(out_type)))


# ---- filled ----------------------------------------------------------------------------------------------------------


@tf("broadcast_to", takes_sizes=True)
def broadcast_to(input: Any, shape: Any) -> Any:
    sizes = written(shape, "shape")
    if not any(isinstance(size, Size) for size in sizes):
        return Op("BroadcastTo", input, shape=sizes)
    return Op("Where", everywhere(sizes), input, False)


@tf("fill", takes_sizes=True)
def _fill(dims: Any, value: Any) -> Any:
    return broadcast_to(value, dims)


def _of_one_number(shape: Any, value: float, dtype: Any, op: str) -> Any:
    sizes, name = written(shape, "shape"), dtype_of(dtype)
    if not any(isinstance(size, Size) for size in sizes):
        return Op("Cast", Op("BroadcastTo", value, shape=sizes), dtype=name)
    return Op(op, everywhere(sizes), dtype=name)


@tf("ones", takes_sizes=True)
def _ones(shape: Any, dtype: Any = "float32") -> Any:
    return _of_one_number(shape, 1.0, dtype, "OnesLike")


@tf("zeros", takes_sizes=True)
def _zeros(shape: Any, dtype: Any = "float32") -> Any:
    return _of_one_number(shape, 0.0, dtype, "ZerosLike")


@tf("eye")
def _eye(num_rows: int, num_columns: int | None = None, batch_shape: Any = None, dtype: Any = "float32") -> Any:
    if batch_shape:
        raise Untranslated("batch_shape is not had")
    columns = num_rows if num_columns is None else num_columns
    within_reason(num_rows, columns)
    return array([[int(row == column) for column in range(columns)] for row in range(num_rows)], dtype_of(dtype))


# ---- in steps --------------------------------------------------------------------------------------------------------


@tf("range", takes_sizes=True)
def _range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Any:
    first, end = (0, start) if limit is None else (start, limit)
    if any(is_tensor(x) for x in (first, end, delta)):
        raise Untranslated("its result has a shape that depends on numbers")
    if isinstance(end, Size) and isinstance(first, int) and delta == 1:
        name = "int32" if dtype is None else dtype_of(dtype)
        counted = Op("Subtract", Op("Cumsum", row(end, name), axis=0), 1)
        if first < 0:
            raise Untranslated("it starts below 0, and its end is not known before there are tensors")
        return Op("GetItem", counted, Key([Slice(first, None, None)])) if first else counted
    if any(isinstance(x, Size) for x in (first, end, delta)):
        raise Untranslated("its start or step is a size, which is not known before there are tensors")
    return _steps(first, end, delta, dtype)


def _steps(first: Any, end: Any, delta: Any, dtype: Any) -> Any:
    import numpy as np

    if not delta:
        raise Untranslated("its step is 0")
    within_reason(max(0, int((end - first) / delta)))
    usual = "int32" if all(isinstance(x, int) for x in (first, end, delta)) else "float32"
    return array(np.arange(first, end, delta), usual if dtype is None else dtype_of(dtype))


@tf("linspace")
def _linspace(start: Any, stop: Any, num: Any, axis: int = 0) -> Any:
    if is_tensor(start) or is_tensor(stop):
        return Op("Linspace", start, stop, num=fixed(num, "num"), axis=axis)
    import numpy as np

    within_reason(fixed(num, "num"))
    return array(np.linspace(start, stop, num, axis=axis), "float32")


@tf("sequence_mask", takes_sizes=True)
def _sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = "bool") -> Any:
    if maxlen is None:
        raise Untranslated("without maxlen its result has a shape that depends on numbers")
    mask = Op("Less", _range(fixed(maxlen, "maxlen")), Op("ExpandDims", lengths, axis=-1))
    return mask if dtype_of(dtype) == "bool" else Op("Cast", mask, dtype=dtype_of(dtype))


@tf("meshgrid")
def _meshgrid(*args: Any, indexing: str = "xy") -> Any:
    raise Untranslated("the file does not say which tensors it was applied to: Keras 2 writes the first alone",
                       "build the model in code, with ops.meshgrid there, and load its weights")


@tf("linalg.diag")
def _diag(diagonal: Any, k: Any = 0, num_rows: Any = -1, num_cols: Any = -1, padding_value: Any = 0, align: Any = None,
          *, shapes: Shapes) -> Any:
    if (k, num_rows, num_cols, padding_value) != (0, -1, -1, 0):
        raise Untranslated("another diagonal than the main one, a shape or a padding is not had")
    size = (shapes.of(diagonal) or (None,))[-1]
    if size is None:
        raise Untranslated("how long the diagonal is, is not known before there are tensors")
    return Op("Multiply", Op("ExpandDims", diagonal, axis=-1), _eye(size))

"""Ops that have no tensor among their operands: their numbers are known when a file is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kerashape_torch.graph import snake_case
from kerashape_torch.saving.upgrade.expressions import Array, AsLayer, Key, Op, Output, Slice, Tensor, map_tensors
from kerashape_torch.saving.upgrade.scope import refuse

MOST = 2 ** 22
"""Elements that a constant may come to. A file cannot ask for more memory than that by a few numbers."""


def array(values: Any, dtype: str) -> Any:
    """An array of numbers as it stands in an expression; one number alone stays one."""
    import numpy as np

    found = np.asarray(values, dtype=dtype)
    return Array(found.tolist(), dtype) if found.ndim else found.item()


def dtype_of(value: Any) -> str:
    """The dtype of a constant: that of an array, or what numbers are by themselves."""
    while isinstance(value, list) and value and not isinstance(value, Array):
        value = value[0]
    kinds = {bool: "bool", int: "int32"}
    return value.dtype if isinstance(value, Array) else kinds.get(type(value), "float32")


def within_reason(*sizes: int) -> None:
    """Refuses a constant of a shape that no model has.

    Raises:
        ConfigError: there are too many elements.
    """
    if math.prod(sizes) > MOST:
        refuse("a functional model", f"a constant of shape {sizes} is larger than any that a model has")


def is_computed(value: Any) -> bool:
    """Whether all of a structure is known now: constants, and ops of them that are done here."""
    if isinstance(value, Op):
        plain = not isinstance(value, (AsLayer, Output)) and _function_of(value) is not None
        return plain and is_computed([*value.operands, *value.config.values()])
    found: list[bool] = []
    if not isinstance(value, Tensor):
        map_tensors(value, lambda x: found.append(is_computed(x)))
    return not isinstance(value, Tensor) and all(found)


def computed(value: Any) -> Any:
    """The numbers of an op of constants."""
    import numpy as np

    if not isinstance(value, Op):
        return value
    function = _function_of(value)
    assert function is not None
    operands = [_in_numpy(operand) for operand in value.operands]
    with np.errstate(all="ignore"):
        found = np.asarray(function(*operands, **value.config))
    return array(found, {"float64": "float32", "int64": "int32"}.get(found.dtype.name, found.dtype.name))


def _in_numpy(operand: Any) -> Any:
    import numpy as np

    if isinstance(operand, Op):
        operand = computed(operand)
    if isinstance(operand, Key) or not isinstance(operand, list):
        return operand
    if any(isinstance(item, (list, Op)) and not isinstance(item, Array) for item in operand):
        operand = [_in_numpy(item) for item in operand]
    found = np.asarray(operand)
    dtype = getattr(operand, "dtype", {"float64": "float32", "int64": "int32"}.get(found.dtype.name))
    return found if dtype is None else found.astype(dtype)


def _function_of(value: Op) -> Callable[..., Any] | None:
    name = value.class_name
    if name in _OTHERS:
        return _OTHERS[name]
    return _of_numpy(snake_case(name)) if name in _ELEMENTWISE or name in _SHAPES else None


def _of_numpy(name: str) -> Callable[..., Any]:
    import numpy as np

    def function(*operands: Any, **config: Any) -> Any:
        within_reason(*np.broadcast_shapes(*(np.shape(x) for x in operands)) if len(operands) > 1 else ())
        return getattr(np, name)(*operands, **config)

    return function


def _getting(x: Any, key: Any) -> Any:
    parts = key if isinstance(key, Key) else Key([key])
    return x[tuple(slice(*part) if isinstance(part, Slice) else part for part in parts)]


def _tile(x: Any, repeats: Any) -> Any:
    import numpy as np

    within_reason(np.size(x), *repeats)
    return np.tile(x, repeats)


def _broadcast_to(x: Any, shape: Any) -> Any:
    import numpy as np

    within_reason(*shape)
    return np.broadcast_to(np.asarray(x, None if hasattr(x, "dtype") or isinstance(x, bool) else (
        "float32" if isinstance(x, float) else "int32")), shape)


def _cast(x: Any, dtype: str) -> Any:
    import numpy as np

    return np.asarray(x).astype(dtype)


def _reshape(x: Any, newshape: Any) -> Any:
    import numpy as np

    return np.reshape(x, newshape)


_ELEMENTWISE = frozenset((
    "Absolute", "Add", "Ceil", "Cos", "Equal", "Exp", "Floor", "FloorDivide", "Greater", "GreaterEqual", "Less",
    "LessEqual", "Log", "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum", "Minimum", "Mod", "Multiply", "Negative",
    "NotEqual", "Power", "Reciprocal", "Round", "Sin", "Sqrt", "Square", "Subtract", "TrueDivide", "Where"))
_SHAPES = frozenset(("ExpandDims", "Flip", "Squeeze", "Swapaxes", "Transpose", "Tril", "Triu"))
_OTHERS: Mapping[str, Callable[..., Any]] = {
    "BroadcastTo": _broadcast_to, "Cast": _cast, "GetItem": _getting, "Reshape": _reshape, "Tile": _tile}

"""Shapes in Keras notation: tuples in which ``None`` is an axis whose size is not known yet.

Everything here is arithmetic on such tuples; no tensor exists yet.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from kerashape_torch.errors import ConfigError, ShapeError

Size = int | None
Shape = tuple[Size, ...]

AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def standardize(shape: Any, what: str = "shape") -> Shape:
    """A shape from any sequence of integers and None.

    >>> standardize([None, 3])
    (None, 3)
    """
    if is_standard(shape):
        return shape  # type: ignore[no-any-return]
    if isinstance(shape, (str, bytes)) or not isinstance(shape, Iterable):
        hint = f"; for one axis write ({shape},)" if isinstance(shape, int) else ""
        raise ConfigError(f"{what} must be a tuple of integers and None, got {shape!r}{hint}")
    return tuple(_size(axis, what, shape) for axis in shape)


def is_standard(shape: Any) -> bool:
    """Whether a value is what :func:`standardize` makes, as the shapes of all symbolic tensors are."""
    if type(shape) is not tuple:
        return False
    for axis in shape:  # noqa: SIM110 - a generator in all() takes three times as long, and every rule asks this
        if axis is not None and (type(axis) is not int or axis < 0):
            return False
    return True


def _size(axis: Any, what: str, shape: Any) -> Size:
    if axis is None:
        return None
    try:
        size = operator.index(axis)
    except TypeError:
        raise ConfigError(f"{what} must be a tuple of integers and None, got {shape!r}") from None
    if size < 0:
        raise ConfigError(f"{what} has a negative axis: {shape!r}")
    return size


def to_text(shape: Any) -> str:
    """A shape, or a list or dict of shapes, as Keras writes it.

    >>> to_text((None, 3)), to_text((None,)), to_text([(None, 3), (4,)])
    ('(None, 3)', '(None)', '[(None, 3), (4)]')
    """
    from kerashape_torch.structure import is_shape

    if is_shape(shape):
        return "(" + ", ".join(str(axis) for axis in shape) + ")"
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{key}: {to_text(value)}" for key, value in shape.items()) + "}"
    return "[" + ", ".join(to_text(value) for value in shape) + "]"


def fixed(size: Size, what: str, needed_by: str = "the weights") -> int:
    """A size that must be known.

    >>> fixed(3, "features")
    3
    """
    if size is None:
        raise ShapeError(f"{what}: the size of this axis is None, and {needed_by} need it",
                         hint=f"give the number of {what} in the input shape")
    return size


def product(sizes: Iterable[Size]) -> Size:
    """The product of sizes; unknown as soon as one is.

    >>> product((2, 3)), product((2, None)), product(())
    (6, None, 1)
    """
    total = 1
    for size in sizes:
        if size is None:
            return None
        total *= size
    return total


def count(shape: Sequence[int]) -> int:
    """The number of elements of a fully known shape: (30, 4, 10) has 1200."""
    total = 1
    for size in shape:
        total *= size
    return total


def elements(sizes: Iterable[Size]) -> int:
    """The product of sizes that must all be known.

    >>> elements((30, 4, 10))
    1200
    """
    total = product(sizes)
    if total is None:
        raise ShapeError("an axis is None, and what a call costs depends on its size",
                         hint="give all sizes, the batch too: (32, 224, 224, 3)")
    return total


def axis_index(axis: int, rank: int, what: str = "axis") -> int:
    """An axis counted from the front.

    >>> axis_index(-1, 4)
    3
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"{what}={axis} is not an axis of a tensor of rank {rank}")
    return axis % rank


def require_rank(shape: Shape, rank: int | Sequence[int], axes: str, hint: str | None = None) -> None:
    """Refuses a shape of another rank, and says what the axes should be.

    >>> require_rank((None, 8, 8, 3), 4, "(batch, height, width, channels)")
    """
    ranks = (rank,) if isinstance(rank, int) else tuple(rank)
    if len(shape) not in ranks:
        wanted = " or ".join(str(r) for r in ranks)
        raise ShapeError(f"expected rank {wanted}, {axes}, got rank {len(shape)}", hint=hint)


def require_min_rank(shape: Shape, rank: int, axes: str) -> None:
    if len(shape) < rank:
        raise ShapeError(f"expected rank {rank} or more, {axes}, got rank {len(shape)}")


def broadcast(first: Shape, second: Shape) -> Shape:
    """NumPy's broadcasting, with None.

    An unknown axis meets a 1 or another None as None; it meets a known size as that size.

    >>> broadcast((None, 1, 4), (3, 4))
    (None, 3, 4)
    """
    rank = max(len(first), len(second))
    left = (1,) * (rank - len(first)) + tuple(first)
    right = (1,) * (rank - len(second)) + tuple(second)
    return tuple(_broadcast_axis(a, b, i - rank, first, second) for i, (a, b) in enumerate(zip(left, right)))


def _broadcast_axis(a: Size, b: Size, axis: int, first: Shape, second: Shape) -> Size:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if a is None:
        return b
    if b is None:
        return a
    raise ShapeError(f"axis {axis}: {a} and {b} differ and neither is 1, in {to_text(first)} and {to_text(second)}")


def window_output(size: Size, window: int, stride: int = 1, padding: str = "valid", dilation: int = 1,
                  axis: str = "axis") -> Size:
    """The number of places of a sliding window.

    ``same`` and ``causal`` give ``ceil(size / stride)``; ``valid`` counts the windows that fit.

    >>> window_output(28, 3), window_output(28, 3, 2, "same"), window_output(None, 3)
    (26, 14, None)
    """
    if size is None:
        return None
    if padding != "valid":
        return -(-size // stride)
    reach = (window - 1) * dilation + 1
    if size < reach:
        dilated = f" (dilated by {dilation}: {reach})" if dilation > 1 else ""
        raise ShapeError(f"{axis}: a window of {window}{dilated} with padding 'valid' needs at least {reach}, "
                         f"got {size}")
    return (size - reach) // stride + 1


def transposed_output(size: Size, window: int, stride: int = 1, padding: str = "valid",
                      output_padding: int | None = None, dilation: int = 1) -> Size:
    """The size that a transposed convolution gives back, by Keras' rule.

    >>> transposed_output(14, 3, 2, "same"), transposed_output(14, 3, 2, "valid")
    (28, 29)
    """
    if size is None:
        return None
    reach = (window - 1) * dilation + 1
    if output_padding is None:
        return size * stride + max(reach - stride, 0) if padding == "valid" else size * stride
    around = reach // 2 if padding == "same" else 0
    return (size - 1) * stride + reach - 2 * around + output_padding


def same_padding(size: int, window: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Elements that padding ``same`` adds (before, after); the odd one goes after, as in Keras.

    >>> same_padding(28, 3), same_padding(28, 3, 2), same_padding(27, 3, 2)
    ((1, 1), (0, 1), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def channels_first_axis(axis: int, rank: int) -> int:
    """Where an axis in Keras' order is once the last axis has moved to position 1.

    >>> channels_first_axis(-1, 4), channels_first_axis(1, 4), channels_first_axis(0, 4)
    (1, 2, 0)
    """
    axis = axis_index(axis, rank)
    return 1 if axis == rank - 1 else axis + (axis > 0)


def channels_first_shape(shape: Shape) -> Shape:
    """The shape of a tensor once its last axis has moved to position 1.

    >>> channels_first_shape((None, 8, 8, 3))
    (None, 3, 8, 8)
    """
    return (shape[0], shape[-1], *shape[1:-1]) if len(shape) > 2 else shape

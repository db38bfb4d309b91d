"""Shapes without a closed rule: run the function on meta tensors at two sizes, and see which axes move."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from kerashape_torch import masks
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import MaskedSpec, TensorSpec, following
from kerashape_torch.shape import Size
from kerashape_torch.structure import flatten, map_structure

_SIZES = ((lambda axis: 8 + axis, lambda axis: 16 + 3 * axis), (lambda axis: 8, lambda axis: 16))
"""Two sizes for each free axis: first different ones on each axis, then alike ones for functions that need that."""


def infer_by_running(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The output specs of a function of torch tensors, for arguments in which tensors are :class:`TensorSpec`.

    Axes that are None are tried at two sizes; output axes that differ between the two are None. Nothing is computed:
    the tensors are on torch's meta device. Where that fails, as in arithmetic of sizes that becomes a shape, tensors of
    known numbers keep them.

    Raises:
        ShapeError: the function fails on such shapes, or needs values where only shapes exist.
        ConfigError: it gives something that is no tensor.

    >>> infer_by_running(lambda x: x[:, :2].flatten(1), (TensorSpec((None, 5, 3)),), {})
    TensorSpec(shape=(None, 6), dtype='float32')
    """
    problem: Exception | None = None
    for sizes, known in itertools.product(_SIZES, (False, True)):
        try:
            first, second = (_run(function, args, kwargs, size, known) for size in sizes)
        except Exception as error:  # whatever the user's function raises
            problem = problem or error
            continue
        return _all_merged(first, second)
    raise ShapeError(f"{getattr(function, '__name__', 'the function')} fails on tensors of these shapes: {problem}",
                     hint=_hint(problem)) from problem


def _hint(problem: Exception | None) -> str:
    if "to numpy" in str(problem):
        return "a NumPy array meets a tensor: ops.convert_to_tensor(array) makes one of it, in __init__ or build"
    return "it is run on tensors without values to find its shape; give output_shape where it needs values"


def _run(function: Callable[..., Any], args: Any, kwargs: Any, size: Callable[[int], int], known: bool) -> Any:
    """What comes out at these sizes. Tensors of numbers that Python knows have no values either, unless ``known``."""
    import torch

    from kerashape_torch.known import KnownNumbers

    def tensor(x: Any) -> Any:
        if not isinstance(x, TensorSpec):
            return x
        shape = [size(axis) if known is None else known for axis, known in enumerate(x.shape)]
        made = torch.empty(shape, dtype=getattr(torch, x.dtype), device="meta")
        return masks.carrying(made, None if x.mask is None else tensor(x.mask))

    args, kwargs = map_structure(tensor, (args, kwargs))
    with (torch.device("meta"), torch.no_grad(), following(None),
          KnownNumbers() if known else contextlib.nullcontext()):
        return function(*args, **kwargs)


def _all_merged(first: Any, second: Any) -> Any:
    others = iter(flatten(second))
    return map_structure(lambda x: merged(x, next(others)), first)


def mask_of(x: Any) -> Any:
    """What a spec or a torch tensor carries."""
    return x.mask if isinstance(x, TensorSpec) else masks.carried(x)


def merged(first: Any, second: Any) -> TensorSpec:
    """What two runs at different sizes say of one tensor."""
    if not hasattr(first, "shape"):
        raise ConfigError(f"what should be a tensor is {first!r}: an operand is nothing that torch computes with")
    if len(first.shape) != len(second.shape):
        raise ShapeError("the rank of the output depends on the size of an axis that is None")
    shape: tuple[Size, ...] = tuple(a if a == b else None for a, b in zip(first.shape, second.shape))
    dtype = str(first.dtype).removeprefix("torch.")
    mask, other = mask_of(first), mask_of(second)
    return TensorSpec(shape, dtype) if mask is None or other is None else MaskedSpec(shape, dtype, merged(mask, other))

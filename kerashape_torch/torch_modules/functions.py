"""Functions of tensors that torch lacks, for ``keras.ops``: element by element, and reductions.

Compiled graphs call them: none of them looks at data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from kerashape_torch.dtypes import narrow
from kerashape_torch.structure import flatten, map_structure

Axes = int | tuple[int, ...] | None

# ---- operands and dtypes ---------------------------------------------------------------------------------------------


def as_tensor(x: Any, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    """A tensor of a tensor, an array or numbers; Python's numbers become 32 bits, as in Keras."""
    tensor = torch.as_tensor(x, device=device)
    if dtype is None and not hasattr(x, "dtype"):
        dtype = getattr(torch, narrow(dtype_name(tensor)))
    return tensor.to(dtype) if dtype is not None else tensor


def dtype_name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def tensors_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The operands of an op with arrays as tensors; the first operand at least is one."""
    leaves = flatten((args, dict(kwargs)))
    device = next((x.device for x in leaves if isinstance(x, Tensor)), None)
    args, kwargs = map_structure(
        lambda x: as_tensor(x, device=device) if hasattr(x, "dtype") else x, (args, dict(kwargs)))
    if args and not any(hasattr(x, "dtype") for x in leaves):
        args = (as_tensor(args[0]), *args[1:])
    return args, dict(kwargs)


def cast_all(operands: Any, dtype: str) -> Any:
    """Tensors in another dtype; 64 bits stay 64."""
    return map_structure(lambda x: x if not isinstance(x, Tensor) or narrow(dtype_name(x)) == dtype
                         else x.to(getattr(torch, dtype)), operands)


def on_tensors(x1: Any, x2: Any, function: str) -> Tensor:
    """A function of torch that takes tensors alone, for a tensor and a number."""
    like = x1 if isinstance(x1, Tensor) else x2
    first, second = (torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (x1, x2))
    result: Tensor = getattr(torch, function)(first, second)
    return result


def unchanged(x: Tensor) -> Tensor:
    """``x`` itself, as an op of its own."""
    return x.view_as(x)


# ---- element by element ----------------------------------------------------------------------------------------------


def larger(number: float, x: Tensor) -> Tensor:
    """``torch.clamp_min`` with the number first."""
    return torch.clamp_min(x, number)


def smaller(number: float, x: Tensor) -> Tensor:
    """``torch.clamp_max`` with the number first."""
    return torch.clamp_max(x, number)


def where_not_zero(condition: Any, x1: Any, x2: Any) -> Tensor:
    """``torch.where`` for a condition that is no tensor of bool: of numbers, or one number."""
    if not isinstance(condition, Tensor):
        condition = torch.as_tensor(condition, device=next(x.device for x in (x1, x2) if isinstance(x, Tensor)))
    return torch.where(condition != 0, x1, x2)


def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """The quotient, and 0 where the divisor is 0."""
    x1, x2 = (x if isinstance(x, Tensor) else torch.as_tensor(x, device=o.device) for x, o in ((x1, x2), (x2, x1)))
    return torch.where(x2 == 0, 0, x1 / torch.where(x2 == 0, 1, x2))


def cbrt(x: Tensor) -> Tensor:
    """The cube root, of negative numbers too."""
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


def imag(x: Tensor) -> Tensor:
    """The imaginary part, which is 0 for real numbers."""
    return x.imag if x.is_complex() else torch.zeros_like(x)


def isclose(x1: Tensor, x2: Any, rtol: float, atol: float, equal_nan: bool = False) -> Tensor:
    """``torch.isclose`` for a tensor and a number too. Integers are close where they are equal, as in Keras."""
    like = x1 if isinstance(x1, Tensor) else x2
    x1, x2 = (torch.as_tensor(x, device=like.device) for x in (x1, x2))
    dtype = torch.promote_types(x1.dtype, x2.dtype)
    if not dtype.is_floating_point:
        return torch.eq(x1, x2)
    return torch.isclose(x1.to(dtype), x2.to(dtype), rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(x1: Tensor, x2: Any, rtol: float, atol: float, equal_nan: bool) -> Tensor:
    """Whether all elements are close, as a tensor."""
    return isclose(x1, x2, rtol, atol, equal_nan).all()


def round_(x: Tensor, decimals: int) -> Tensor:
    """Rounded to decimals; integers stay integers."""
    if x.is_floating_point():
        return torch.round(x, decimals=decimals)
    return torch.round(x.to(torch.float32), decimals=decimals).to(x.dtype)


def ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    """``x1 * 2 ** x2`` for integers ``x2``."""
    return x1 * torch.exp2(x2.to(x1.dtype if x1.is_floating_point() else torch.float32))


def full_like(x: Tensor, fill_value: Any, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor like ``x`` with one value or a tensor's values in it."""
    value = torch.as_tensor(fill_value, dtype=dtype or x.dtype, device=x.device)
    return value.expand(x.shape).clone()


def saturate_cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Another dtype, with what does not fit at its ends."""
    if dtype in (torch.bool, x.dtype) or dtype.is_complex:
        return (x.clamp(0, 1) if dtype is torch.bool and x.dtype is not torch.bool else x).to(dtype)
    ends = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    if x.dtype is torch.bool:
        return x.to(dtype)
    own = torch.finfo(x.dtype) if x.dtype.is_floating_point else torch.iinfo(x.dtype)
    low, high = max(own.min, ends.min), min(own.max, ends.max)
    if x.dtype.is_floating_point and not dtype.is_floating_point:
        high = _below(high, x.dtype)
    return torch.clamp(x, low, high).to(dtype)


def _below(limit: float, dtype: torch.dtype) -> float:
    """The largest number of a float dtype that is not above an integer."""
    nearest = torch.tensor(limit, dtype=dtype, device="cpu")
    if int(nearest) > limit:
        nearest = torch.nextafter(nearest, torch.zeros_like(nearest))
    return float(nearest)


def select(conditions: Any, choices: Any, default: Any) -> Tensor:
    """The choice whose condition holds first."""
    like = next(x for x in (*conditions, *choices) if isinstance(x, Tensor))
    result = default if isinstance(default, Tensor) else as_tensor(default, device=like.device)
    for condition, choice in zip(reversed(conditions), reversed(choices)):
        result = torch.where(condition.bool(), choice, result)
    return result


# ---- reductions ------------------------------------------------------------------------------------------------------


def amax(x: Tensor, initial: float, dim: Any, keepdim: bool) -> Tensor:
    """The largest element, at least ``initial``."""
    return torch.clamp_min(torch.amax(x, dim=dim, keepdim=keepdim), initial)


def amin(x: Tensor, initial: float, dim: Any, keepdim: bool) -> Tensor:
    """The smallest element, at most ``initial``."""
    return torch.clamp_max(torch.amin(x, dim=dim, keepdim=keepdim), initial)


def argmax(x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    """``torch.argmax`` as int32, of bool too."""
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.argmax(x, dim=dim, keepdim=keepdim).to(torch.int32)


def argmin(x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    """``torch.argmin`` as int32, of bool too."""
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.argmin(x, dim=dim, keepdim=keepdim).to(torch.int32)


def prod(x: Tensor, dim: Axes, keepdim: bool, dtype: torch.dtype | None = None) -> Tensor:
    """The product along several axes, which torch takes one by one."""
    for axis in sorted((axis % x.dim() for axis in axes_of(dim, x.dim())), reverse=True):
        x = torch.prod(x, dim=axis, keepdim=keepdim, dtype=dtype)
    return x if dtype is None else x.to(dtype)


def axes_of(dim: Axes, rank: int) -> tuple[int, ...]:
    return tuple(range(rank)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)


def without_nan(x: Tensor, instead: float) -> Tensor:
    """Another number where there is none; integers always have one."""
    return torch.where(torch.isnan(x), instead, x) if x.is_floating_point() else x


_EXTREMES: dict[str, Callable[..., Tensor]] = {"amax": torch.amax, "amin": torch.amin, "argmax": argmax,
                                               "argmin": argmin}


def nan_extreme(x: Tensor, function: str, dim: Axes, keepdim: bool) -> Tensor:
    """The largest or smallest number (``amax``, ``amin``) or its place (``argmax``, ``argmin``); where there are none,
    nan or -1."""
    far = float("-inf") if function.endswith("max") else float("inf")
    place = function.startswith("arg")
    found = _EXTREMES[function](without_nan(x, far), dim=dim if place else axes_of(dim, x.dim()), keepdim=keepdim)
    if not x.is_floating_point():
        return found
    empty = torch.isnan(x).all(dim=axes_of(dim, x.dim()), keepdim=keepdim)
    return torch.where(empty, -1 if place else float("nan"), found)


def nanprod(x: Tensor, dim: Axes, keepdim: bool, dtype: torch.dtype | None = None) -> Tensor:
    """The product of the numbers."""
    return prod(without_nan(x, 1.0), dim, keepdim, dtype)


def nanmean(x: Tensor, dim: Axes, keepdim: bool) -> Tensor:
    """The mean of the numbers."""
    return torch.nanmean(x, dim=axes_of(dim, x.dim()), keepdim=keepdim)


def nanvar(x: Tensor, dim: Axes, keepdim: bool) -> Tensor:
    """The variance of the numbers."""
    axes = axes_of(dim, x.dim())
    valid = ~torch.isnan(x)
    squares = torch.where(valid, x - torch.nanmean(x, dim=axes, keepdim=True), 0).square()
    return squares.sum(dim=axes, keepdim=keepdim) / valid.sum(dim=axes, keepdim=keepdim)


def nanstd(x: Tensor, dim: Axes, keepdim: bool) -> Tensor:
    """The standard deviation of the numbers."""
    return nanvar(x, dim, keepdim).sqrt()


def quantile(x: Tensor, q: Any, dim: Axes, keepdim: bool, method: str, scale: float = 1.0, nan: bool = False) -> Tensor:
    """Quantiles along several axes together; those of a list ``q`` come first."""
    x = x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)  # which is all that torch can
    axes = sorted(axis % x.dim() for axis in axes_of(dim, x.dim()))
    rest = [axis for axis in range(x.dim()) if axis not in axes]
    flat = x.permute(*rest, *axes).flatten(len(rest)) if axes else x.unsqueeze(-1)
    places = torch.as_tensor(q, dtype=x.dtype, device=x.device) / scale
    found = (torch.nanquantile if nan else torch.quantile)(flat, places, dim=-1, interpolation=method)
    for axis in axes if keepdim else ():
        found = found.unsqueeze(axis + places.dim())
    return found


def median(x: Tensor, dim: Axes, keepdim: bool, nan: bool = False) -> Tensor:
    """The middle element; between two, the one halfway."""
    return quantile(x, 0.5, dim, keepdim, "linear", nan=nan)


def average(x: Tensor, dim: int | None, weights: Tensor | None = None) -> Tensor:
    """The mean, weighted; the weights lie along one axis or everywhere."""
    if weights is None:
        return torch.mean(x) if dim is None else torch.mean(x, dim=dim)
    if dim is None:
        return (x * weights).sum() / weights.sum()
    if weights.dim() < x.dim():
        shape = [1] * x.dim()
        shape[dim] = -1
        weights = weights.reshape(shape)
    return (x * weights).sum(dim) / weights.sum(dim)


def ptp(x: Tensor, dim: Axes, keepdim: bool) -> Tensor:
    """From the smallest to the largest element."""
    axes = axes_of(dim, x.dim())
    return torch.amax(x, dim=axes, keepdim=keepdim) - torch.amin(x, dim=axes, keepdim=keepdim)


def logsumexp(x: Tensor, dim: Axes, keepdim: bool) -> Tensor:
    """``log(sum(exp(x)))`` along several axes or all."""
    return torch.logsumexp(x, dim=axes_of(dim, x.dim()), keepdim=keepdim)


def moments(x: Tensor, axes: Axes, keepdims: bool) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    dims = axes_of(axes, x.dim())
    wide = x.to(torch.float32) if x.dtype is torch.float16 else x
    mean = torch.mean(wide, dim=dims, keepdim=keepdims)
    variance = torch.var(wide, dim=dims, correction=0, keepdim=keepdims)
    return mean.to(x.dtype), variance.to(x.dtype)


def cumulative(x: Tensor, function: str, dim: int | None, dtype: torch.dtype | None,
               nan: float | None = None) -> Tensor:
    """``torch.cumsum`` or ``torch.cumprod``, of all elements in a row where no axis is given."""
    x = x if nan is None else without_nan(x, nan)
    x = x.flatten() if dim is None else x
    result: Tensor = getattr(torch, function)(x, dim=dim or 0, dtype=dtype)
    return result


# ---- made of numbers -------------------------------------------------------------------------------------------------


def full(fill_value: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """One value everywhere, or the values of a tensor along the last axes."""
    return as_tensor(fill_value, dtype).expand(shape).clone()


def spaced(start: Any, stop: Any, kind: str, num: int, endpoint: bool, axis: int, dtype: torch.dtype,
           retstep: bool = False, base: float = 10.0) -> Any:
    """Numbers from ``start`` to ``stop``: at equal distances (``linear``), as exponents (``power``), or so that each is
    the same multiple of the one before (``geometric``)."""
    device = next((x.device for x in (start, stop) if isinstance(x, Tensor)), None)
    first, last = (torch.as_tensor(x, dtype=dtype, device=device) for x in (start, stop))
    first, last = first + torch.zeros_like(last), last + torch.zeros_like(first)  # both of the shape of both
    if kind == "geometric":
        exponents = spaced(first.abs().log10(), last.abs().log10(), "power", num, endpoint, axis, dtype)
        return exponents * first.sign().unsqueeze(axis)
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts else torch.full_like(first, float("nan"))
    shares = torch.arange(num, dtype=dtype, device=device).reshape(-1, *[1] * first.dim()) / max(parts, 1)
    numbers = (first + shares * (last - first)).movedim(0, axis)
    numbers = base**numbers if kind == "power" else numbers
    return (numbers, step) if retstep else numbers

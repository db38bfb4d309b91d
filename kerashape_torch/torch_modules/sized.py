"""Functions of tensors and of sizes that are known when they run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerashape_torch.dtypes import dtype_name
from kerashape_torch.sizes import reckoned
from kerashape_torch.torch_modules import Call, Inline
from kerashape_torch.torch_modules.lambdas import on_device_of


def _device(call: Call, x: Any) -> Any:
    return call(getattr, x, "device")


_WRITTEN: dict[str, Callable[..., Any]] = {
    "get_item": lambda call, x, sizes: call(operator.getitem, x, sizes),
    "broadcast_to": lambda call, x, sizes: call(torch.broadcast_to, x, sizes),
    "reshape": lambda call, x, sizes: call(torch.reshape, x, sizes),
    "tile": lambda call, x, sizes: call(torch.tile, x, sizes),
    "repeat": lambda call, x, sizes, dim: call(torch.repeat_interleave, x, sizes[0], dim=dim),
    "full": lambda call, x, sizes, value, dtype: call(torch.full, sizes, value, dtype=dtype, device=_device(call, x)),
    "arange": lambda call, x, sizes, dtype: call(torch.arange, *sizes, dtype=dtype, device=_device(call, x))}


class Sized(Inline):
    """A function of torch of the first tensor and of sizes that the tensors say.

    Args:
        does: one of ``get_item``, ``broadcast_to``, ``reshape``, ``tile``, ``repeat``, ``full`` and ``arange``.
        sizes: see :func:`kerashape_torch.sizes.placed`.
        arguments: others of the function.
    """

    def __init__(self, does: str, sizes: Any, **arguments: Any) -> None:
        super().__init__()
        self.does, self.sizes, self.arguments = does, sizes, arguments

    def written(self, call: Call, *tensors: Any) -> Any:
        sizes, arguments = reckoned((self.sizes, self.arguments), tensors, lambda x, axis: call("size", x, axis), call)
        return _WRITTEN[self.does](call, tensors[0], sizes, **arguments)

    def extra_repr(self) -> str:
        return ", ".join([self.does, repr(self.sizes), *(f"{name}={x!r}" for name, x in self.arguments.items())])


class Called(nn.Module):
    """A function that is called with tensors, and with sizes that they say, wherever these are in its arguments.

    It stays a module: the function may have a generator of its own, or find out what to do from the sizes.

    Args:
        function: of this package, of torch tensors.
        args, kwargs: see :func:`kerashape_torch.sizes.placed`.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        super().__init__()
        self.function, self.args, self.kwargs = function, args, dict(kwargs)

    def forward(self, *tensors: Tensor) -> Any:
        args, kwargs = reckoned((self.args, self.kwargs), tensors, lambda x, axis: x.shape[axis])
        with on_device_of(tensors):
            return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        return ", ".join([self.function.__qualname__, *map(repr, self.args),
                          *(f"{name}={x!r}" for name, x in self.kwargs.items())])

    def in_torch(self, call: Call, *tensors: Any) -> Any:
        """What it does in functions of torch, which draw from torch's generator; None where there are no such."""
        args, kwargs = reckoned((self.args, self.kwargs), tensors, lambda x, axis: call("size", x, axis), call)
        draw = _IN_TORCH.get(self.function.__name__)
        return None if draw is None else draw(call, _device(call, tensors[0]), *args, **kwargs)


def _normal(call: Call, device: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None,
            seed: Any = None) -> Any:
    return _moved(call, call(torch.randn, shape, dtype=_dtype(dtype), device=device), stddev, mean)


def _uniform(call: Call, device: Any, shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None,
             seed: Any = None) -> Any:
    known = isinstance(minval, (int, float)) and isinstance(maxval, (int, float))
    scale = maxval - minval if known else call(operator.sub, maxval, minval)
    return _moved(call, call(torch.rand, shape, dtype=_dtype(dtype), device=device), scale, minval)


def _dtype(dtype: Any) -> torch.dtype:
    return getattr(torch, dtype_name(dtype or "float32"))  # type: ignore[no-any-return]


def _moved(call: Call, x: Any, scale: Any, offset: Any) -> Any:
    x = x if isinstance(scale, (int, float)) and scale == 1 else call(operator.mul, x, scale)
    return x if isinstance(offset, (int, float)) and offset == 0 else call(operator.add, x, offset)


_IN_TORCH: dict[str, Callable[..., Any]] = {"normal": _normal, "uniform": _uniform}

"""CUDA without a device: tensors that say they are there and hold their numbers on the CPU.

An operation of torch that gets tensors of both devices is refused, as CUDA refuses it, so that what was made on the
wrong device is found on any machine. There are no gradients, no streams and no kernels of CUDA here.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from kerashape_torch.torch_modules import watched

aten: Any = torch.ops.aten
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)

_ACROSS = {aten.copy_.default, aten._to_copy.default}
_LENGTHS_ARE_HERE = {aten._pack_padded_sequence.default, aten._pad_packed_sequence.default}
_INDEXES = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._unsafe_index.Tensor}
_OWN: Any = Tensor  # torch has no types for what it hides
_GUARDED = {_OWN.__getitem__, _OWN.__setitem__, _OWN.contiguous, _OWN.copy_, _OWN.item, _OWN.__bool__, _OWN.__int__,
            _OWN.__float__, _OWN.__index__, _OWN.new_tensor}
"""What torch asks the device's driver for before an operation begins."""


class There(Tensor):
    """A tensor on the device."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        made = Tensor._make_wrapper_subclass(cls, held.shape, strides=held.stride(), dtype=held.dtype, device=CUDA,
                                             storage_offset=held.storage_offset())
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _held(x: Any) -> Any:
    return x.held if isinstance(x, There) else x


def _there(x: Any) -> Any:
    return There(x) if isinstance(x, Tensor) and not isinstance(x, There) else x


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    there = any(isinstance(x, There) for x in tensors)
    for x in tensors if there and func not in _ACROSS else ():
        if not isinstance(x, There) and not x.is_meta and not _may_be_here(func, x, args):
            raise RuntimeError(f"{func} got tensors on CUDA and one on the CPU, {tuple(x.shape)}")
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == "cuda"
        kwargs = {**kwargs, "device": CPU if there else kwargs["device"]}
    elif func is aten.copy_.default:
        there = isinstance(args[0], There)
    if func is aten._fused_sdp_choice.default:
        return 0
    result = _by_parts(func)(*tree_map(_held, args), **tree_map(_held, kwargs))
    if torch.Tag.inplace_view in func.tags and there:
        _reshape_wrapper(func, args, kwargs)
    if func in _LENGTHS_ARE_HERE:
        return There(result[0]), result[1]
    given = {id(_held(x)): x for x in tensors}
    return tree_map(lambda x: given.get(id(x)) if id(x) in given else _there(x) if there else x, result)


def _may_be_here(func: Any, x: Tensor, args: Any) -> bool:
    """A number beside tensors, indices, and lengths of sequences may stay on the CPU."""
    if func in _INDEXES:
        return any(x is index for index in args[1]) or (x.dim() == 0 and x is not args[0])
    if func in _LENGTHS_ARE_HERE:
        return x is args[1]
    return x.dim() == 0 and torch.Tag.pointwise in func.tags and not (func._schema.is_mutable and x is args[0])


def _reshape_wrapper(func: Any, args: Any, kwargs: Any) -> None:
    from torch.utils._mode_utils import no_dispatch

    before = torch._C._meta_in_tls_dispatch_include()
    torch._C._set_meta_in_tls_dispatch_include(True)
    try:
        with no_dispatch():
            func(*args, **kwargs)
    finally:
        torch._C._set_meta_in_tls_dispatch_include(before)


def _by_parts(func: Any) -> Any:
    """What has a kernel on CUDA alone, by other operations."""
    if func is aten._thnn_fused_lstm_cell.default:
        return _lstm_cell
    return _gru_cell if func is aten._thnn_fused_gru_cell.default else func


def _lstm_cell(x: Tensor, h: Tensor, cell: Tensor, *biases: Any) -> tuple[Tensor, Tensor, Tensor]:
    i, f, g, o = sum((bias for bias in biases if bias is not None), x + h).chunk(4, 1)
    after = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * after.tanh(), after, x


def _gru_cell(x: Tensor, h: Tensor, state: Tensor, *biases: Any) -> tuple[Tensor, Tensor]:
    x, h = (x + biases[0], h + biases[1]) if biases and biases[0] is not None else (x, h)
    (r, z, n), (hr, hz, hn) = x.chunk(3, 1), h.chunk(3, 1)
    n = (n + (r + hr).sigmoid() * hn).tanh()
    return n + (z + hz).sigmoid() * (state - n), x


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Keeps torch from asking for the driver."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = {name: _placed(x) for name, x in (kwargs or {}).items()}
        if func is Tensor.cuda:
            func, args = Tensor.to, (args[0], CUDA)
        elif func is Tensor.to:
            args = tuple(map(_placed, args))
        elif func in (torch.as_tensor, torch.tensor) and kwargs.get("device") == CUDA:
            return func(*args, **{**kwargs, "device": CPU}).to(CUDA)
        elif func in _GUARDED and isinstance(args[0], There):
            result = func(*tree_map(_held, args), **kwargs)
            return args[0] if func is Tensor.copy_ else _there(result)
        elif func is Tensor.copy_:
            return func(args[0], _held(args[1]), **kwargs)
        return func(*args, **kwargs)


def _placed(x: Any) -> Any:
    return CUDA if isinstance(x, (str, torch.device)) and str(x).startswith("cuda") else x


class _Generator(torch.Generator):
    def __new__(cls, device: Any = CPU) -> _Generator:
        return super().__new__(cls)


@contextlib.contextmanager
def pretended_cuda() -> Iterator[None]:
    """Inside, ``"cuda"`` is a device."""
    with contextlib.ExitStack() as stack:
        for name, value in (("torch.cuda.is_available", lambda: True), ("torch.cuda._lazy_init", lambda: None),
                            ("torch.backends.cudnn.is_acceptable", lambda x: False), ("torch.Generator", _Generator)):
            stack.enter_context(mock.patch(name, value))
        for name, module in list(sys.modules.items()):  # numbers may be looked at: no mode is to be seen
            if name.startswith("kerashape_torch.") and module is not watched and hasattr(module, "is_watched"):
                stack.enter_context(mock.patch.object(module, "is_watched", lambda x: x.is_meta))
        overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        stack.enter_context(warnings.catch_warnings())
        with torch.no_grad(), _Functions(), _Dispatch():
            yield

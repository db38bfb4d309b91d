"""How a module was constructed: its arguments, read off its attributes, and proved by constructing it anew.

A module keeps each argument under its own name; torch's do, and so do those of :mod:`kerashape_torch.torch_modules`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.port.program import Made
from kerashape_torch.torch_modules import FixedMode, Function

_LITERAL_SIZE = 64
"""A constant of up to this many numbers is written out."""
_UNSAID = ("device", "dtype")
_RECURRENT = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
_SIZES = ("in_channels", "out_channels", "in_features", "out_features", "num_features", "num_channels", "num_groups",
          "num_embeddings", "embedding_dim", "input_size", "hidden_size", "output_size", "normalized_shape")
"""Arguments that go without their names when they come first."""
Read = Callable[[nn.Module], Any]


def made(module: nn.Module, where: str, read: Read) -> Made:
    """The construction of a module; ``read`` says what the modules in its arguments become.

    Raises:
        KerashapeError: the arguments cannot be found, or give another module.
    """
    mode = module.__dict__.get("train")
    training = mode.training if isinstance(mode, FixedMode) else None
    if type(module) in (nn.Sequential, nn.ModuleList):
        children = {name: read(child) for name, child in module.named_children()}
        return Made(type(module), children, source=module, training=training)
    if isinstance(module, Function):
        given = {"function": module.function, **{str(i): x for i, x in enumerate(module.args)}, **module.kwargs}
        return Made(Function, given, positional=1 + len(module.args), source=module, training=training)
    parameters = [(name, default) for name, default in _parameters(type(module))
                  if name not in _UNSAID or name in vars(module)]
    arguments = {name: _argument(module, name, default, where) for name, default in parameters}
    found = _tidied(module, arguments)
    new = _constructed(type(module), found)
    absent = [] if new is None else [name for name, x in new._parameters.items()
                                     if x is not None and module._parameters.get(name, x) is None]
    _take_out(new, absent)
    if not _same(new, module):
        raise KerashapeError(f"{where}: the arguments of {type(module).__name__} cannot be found in it, so it is not "
                             "written as source")
    unsaid = _unsaid(type(module), found, module, absent)
    positional = _positional(type(module))
    given = {name: _read_modules(value, read) for name, value in found.items()}
    trained = dict(new.named_parameters()) if new is not None else {}
    frozen = [name for name, x in module.named_parameters() if not x.requires_grad and trained[name].requires_grad]
    return Made(type(module), given, unsaid, positional, module, training, absent, frozen)


def _read_modules(value: Any, read: Read) -> Any:
    if isinstance(value, nn.ModuleList):
        return [read(item) for item in value]
    if isinstance(value, nn.Module):
        return read(value)
    if type(value) in (list, tuple):
        return type(value)(_read_modules(item, read) for item in value)
    return value


# ---- parameters ------------------------------------------------------------------------------------------------------


def _parameters(cls: type) -> list[tuple[str, Any]]:
    """The parameters of a constructor and their defaults; what it passes on is looked up in the next class."""
    if issubclass(cls, nn.RNNBase) and cls.__module__.startswith("torch."):
        extra = [("nonlinearity", "tanh")] if cls is nn.RNN else []
        return [*((name, inspect.Parameter.empty) for name in _RECURRENT), *extra]
    found: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        passed_on = False
        named: dict[str, Any] = {}
        for parameter in list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                passed_on = True
            elif not parameter.name.startswith("_"):
                (named if parameter.kind is parameter.KEYWORD_ONLY else found).setdefault(
                    parameter.name, parameter.default)
        last = {**last, **named}
        if not passed_on:
            break
    return [*found.items(), *last.items()]


def _positional(cls: type) -> int:
    """How many of the first arguments go without their names: sizes, but for those of a window beside others."""
    first: list[str] = []
    for name, default in _parameters(cls):
        if (default is not inspect.Parameter.empty and name != "p") or (first and name not in _SIZES):
            break
        first.append(name)
    return len(first)


def _argument(module: nn.Module, name: str, default: Any, where: str) -> Any:
    try:
        value = getattr(module, name)
    except AttributeError:
        raise KerashapeError(f"{where}: {type(module).__name__} does not keep its argument {name!r}, so it is not "
                             "written as source") from None
    if name == "bias" and (value is None or isinstance(value, (Tensor, bool))):
        return value if isinstance(value, bool) else value is not None
    if isinstance(value, Tensor):
        if name in module.state_dict(keep_vars=True):  # a weight, which takes the place of a constant
            return default
        if value.numel() > _LITERAL_SIZE or value.is_meta:
            raise KerashapeError(f"{where}: {type(module).__name__} holds {value.numel()} constants in {name!r}, too "
                                 "many to be written as source")
        return value.tolist()
    return tuple(value) if isinstance(value, torch.Size) else value


def _tidied(module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
    """One number where all are alike, as people write the arguments of torch's modules; in a module of ours, where that
    makes no difference at all."""
    tidy = {name: _one(value) for name, value in arguments.items()}
    if type(module).__module__.startswith("torch."):
        return tidy
    for name, value in arguments.items():
        if tidy[name] != value:
            new = _constructed(type(module), {**arguments, name: tidy[name]})
            if new is None or not _same(new, module) or getattr(new, name, None) != getattr(module, name, None):
                tidy[name] = value
    return tidy


def _one(value: Any) -> Any:
    if isinstance(value, tuple) and value and all(type(x) in (int, float) and x == value[0] for x in value):
        return int(value[0]) if value[0] == int(value[0]) else value[0]
    return value


# ---- proof -----------------------------------------------------------------------------------------------------------


def _constructed(cls: type, arguments: dict[str, Any]) -> nn.Module | None:
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            module: nn.Module = cls(**arguments)
        return module
    except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError, NotImplementedError):
        return None


def _unsaid(cls: type, arguments: dict[str, Any], module: nn.Module, absent: list[str]) -> set[str]:
    """The arguments without which the same module comes out."""
    optional = [name for name, default in _parameters(cls) if default is not inspect.Parameter.empty
                or issubclass(cls, nn.RNNBase)]
    kept = dict(arguments)
    for name in optional:
        less = {key: value for key, value in kept.items() if key != name}
        new = _constructed(cls, less)
        _take_out(new, absent)
        if _same(new, module):
            kept = less
    return set(arguments) - set(kept)


def _take_out(new: nn.Module | None, absent: list[str]) -> None:
    """Takes weights out that the model does without."""
    for name in absent if new is not None else ():
        setattr(new, name, None)


def _same(one: nn.Module | None, other: nn.Module) -> bool:
    """Whether two modules hold the same, but for the numbers in their tensors."""
    return one is not None and type(one) is type(other) and _content(one) == _content(other)


_OWN = frozenset(vars(nn.Module())) | {"_flat_weights", "_flat_weight_refs", "train"}


def _content(module: nn.Module) -> dict[str, Any]:
    tensors = [(name, tuple(x.shape)) for name, x in _tensors(module)]
    children = [(name, id(child) if isinstance(child, fx.GraphModule) else _content(child))
                for name, child in module.named_children()]
    plain = {name: _plain(value) for name, value in vars(module).items() if name not in _OWN}
    return {**plain, " tensors": tensors, " children": children, " kept": sorted(module._non_persistent_buffers_set)}


def _tensors(module: nn.Module) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _plain(value: Any) -> Any:
    """A value to compare: one number for several alike, and no objects that differ by being two."""
    if isinstance(value, (tuple, list)):
        items = [_plain(item) for item in value]
        return items[0] if items and all(item == items[0] for item in items) else items
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    compares = any("__eq__" in vars(base) for base in type(value).__mro__[:-1])
    if not compares and hasattr(value, "__dict__") and not callable(value):
        return type(value), {k: _plain(v) for k, v in vars(value).items()}
    return value

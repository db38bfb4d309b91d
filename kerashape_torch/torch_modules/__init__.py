"""The few modules that torch lacks, and those that lowering dissolves into plain function calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Call = Callable[..., Any]
"""How functions are called, and methods of the first argument by their names: now, or as nodes of a graph."""


def _now(function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Any:
    return getattr(args[0], function)(*args[1:], **kwargs) if isinstance(function, str) else function(*args, **kwargs)


class Inline(nn.Module):
    """A module without state. Lowering emits the calls that it makes in place of it."""

    def written(self, call: Call, /, *inputs: Any, **named: Any) -> Any:
        """What it gives, where ``call`` calls all functions."""
        raise NotImplementedError

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.written(_now, *inputs, **named)


class Function(Inline):
    """A function of tensors as a module: ``Function(torch.cat, dim=1)([a, b])``."""

    def __init__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.function = function
        self.args = args
        self.kwargs = kwargs

    def written(self, call: Call, /, *inputs: Any, **named: Any) -> Any:
        return call(self.function, *inputs, *self.args, **self.kwargs, **named)

    def extra_repr(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return ", ".join([name, *map(repr, self.args), *(f"{k}={v!r}" for k, v in self.kwargs.items())])


class Fold(Inline):
    """A function of two tensors folded over a list: ``Fold(torch.add)([a, b, c])``."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.function = function

    def written(self, call: Call, /, *inputs: Any, **named: Any) -> Any:
        return functools.reduce(lambda a, b: call(self.function, a, b), inputs[0])

    def extra_repr(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))


class FixedMode:
    """Stands in for ``module.train``: the Keras call said ``training=`` once and for all.

    ``base(x, training=False)`` keeps a base model's BatchNormalization in inference while the rest is trained.
    """

    def __init__(self, module: nn.Module, training: bool) -> None:
        self.module = module
        self.training = training
        self(training)

    def __call__(self, mode: bool = True) -> nn.Module:
        return type(self.module).train(self.module, self.training)


def place(root: nn.Module, path: str, module: nn.Module) -> None:
    """Puts a module at a path; the modules on the way are made where there are none."""
    *above, last = path.split(".")
    for name in above:
        if name not in root._modules:
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)
    root.add_module(last, module)


def set_at(module: nn.Module, path: str, value: Tensor | nn.Module) -> None:
    """Makes what lies at a path, a parameter, a buffer or a module, this very one."""
    above, _, last = path.rpartition(".")
    setattr(module.get_submodule(above), last, value)

"""A user's function as a module, so that it has a name in the graph and knows whether the module trains."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerashape_torch.structure import flatten


def on_device_of(*inputs: Any) -> Any:
    """A context in which tensors that a user's function makes are where its inputs are; torch.compile knows no such
    context, and makes them on the CPU."""
    if torch.compiler.is_compiling():
        return contextlib.nullcontext()
    device = next((x.device for x in flatten(inputs) if isinstance(x, Tensor)), None)
    return contextlib.nullcontext() if device is None or device.type == "cpu" else device


class UserFunction(nn.Module):
    """``function(inputs, **arguments)``, with ``training`` where the function has such an argument."""

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any], takes_training: bool) -> None:
        super().__init__()
        self.function = function
        self.arguments = dict(arguments)
        self.takes_training = takes_training

    def forward(self, inputs: Any, **masks: Any) -> Any:
        training = {"training": self.training} if self.takes_training else {}
        with on_device_of(inputs):
            return self.function(inputs, **{**self.arguments, **masks, **training})

    def extra_repr(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return ", ".join([name, *(f"{key}={value!r}" for key, value in self.arguments.items())])

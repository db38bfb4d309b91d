"""Mixed precision: weights in one dtype, numbers in another."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.func import functional_call

from kerashape_torch.torch_modules import set_at


class MixedPrecision(nn.Module):
    """A module that computes in another dtype than its weights have, as a Keras layer of a mixed policy does: they are
    cast whenever they are read, so that gradients arrive in their own dtype.

    It has the parts of the module under the module's own names: a state dict is the same with and without it.
    Batch normalization keeps its weights, since torch takes tensors of 16 bits beside them; parts that have a policy of
    their own see to themselves.

    >>> dense = MixedPrecision(nn.Linear(2, 3), torch.bfloat16)
    >>> dense(torch.zeros(1, 2, dtype=torch.bfloat16)).dtype, list(dense.state_dict())
    (torch.bfloat16, ['weight', 'bias'])
    """

    module: nn.Module

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.__dict__["module"] = module  # no part of this one: its parts are
        self._parameters, self._buffers, self._modules = module._parameters, module._buffers, module._modules
        self._non_persistent_buffers_set = module._non_persistent_buffers_set
        self.dtype = dtype
        self.read = _read(module)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        weights = {name: self.get_parameter(name).to(self.dtype) for name in self.read}
        return functional_call(self.module, weights, args, kwargs)

    def train(self, mode: bool = True) -> MixedPrecision:
        self.module.train(mode)
        return super().train(mode)

    def extra_repr(self) -> str:
        return f"{self.dtype}, {type(self.module).__name__}({self.module.extra_repr()})"


def _read(module: nn.Module, prefix: str = "") -> list[str]:
    """The names of the parameters that are cast."""
    if isinstance(module, (nn.modules.batchnorm._BatchNorm, fx.GraphModule, MixedPrecision)):
        return []
    own = [f"{prefix}{name}" for name, x in module._parameters.items() if x is not None and x.is_floating_point()]
    return own + [name for part, child in module.named_children() for name in _read(child, f"{prefix}{part}.")]


def cast_weights(mixed: MixedPrecision) -> None:
    """The parameters that are cast at each call become what they are cast to: for inference, where they stay."""
    for name in _read(mixed.module):
        weight = mixed.module.get_parameter(name)
        set_at(mixed.module, name, nn.Parameter(weight.detach().to(mixed.dtype), False))

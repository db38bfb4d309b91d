"""A model without an input shape, as a module whose first call infers every weight shape from the tensor."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

from kerashape_torch.errors import KerashapeError, ShapeError, WeightsError
from kerashape_torch.lowering.casting import cast_module
from kerashape_torch.lowering.weights import initialize, keras_weights, materialize
from kerashape_torch.shape import Shape
from kerashape_torch.torch_modules import set_at
from kerashape_torch.torch_modules.places import tensor_at
from kerashape_torch.torch_modules.strings import shapes_of_inputs

# torch's stubs give these the arguments of a tensor.
_LazyParameter: Any = UninitializedParameter
_LazyBuffer: Any = UninitializedBuffer
_PROBE = 224
"""A size that most stacks of windows, groups and pools accept; only names are read off the model built with it."""


class _Lazy(LazyModuleMixin, nn.Module):
    """A place for parameters that have no shape yet."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch announces that lazy modules are new
            super().__init__()

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the model that holds this place does it for all."""


class LazyModel(_Lazy):
    """Lazy in the sense of ``torch.nn.modules.lazy``: ``to``, ``state_dict``, ``load_state_dict`` and optimizers work
    before the first call, and after it the module is an ordinary ``torch.fx.GraphModule``.

    The sizes that no weight needs stay free: an LSTM that saw 5 steps takes 9 next.
    """

    def __init__(self, compile_for: Callable[[Any], fx.GraphModule], name: str, device: torch.device | None,
                 dtype: torch.dtype | None) -> None:
        super().__init__()
        self._compile_for = compile_for
        self._name = name
        self.register_buffer("_where", torch.empty(0, device=device, dtype=dtype), persistent=False)
        probe = self._probe()
        if probe is not None:
            kept = probe.state_dict()  # constants are not in it: the layers make them
            for name, tensor in [*probe.named_parameters(), *probe.named_buffers()]:
                if name in kept:
                    self._place(name, tensor, device, dtype)
        self.eval()

    def _probe(self) -> fx.GraphModule | None:
        for rank in (2, 3, 4, 5, 6, 1):
            try:
                return self._without_memory((None, *(_PROBE,) * (rank - 1)))
            except KerashapeError:
                continue
        return None

    def _without_memory(self, shape: Any) -> fx.GraphModule:
        return materialize(self._compile_for(shape), torch.device("meta"))

    def _place(self, name: str, tensor: Tensor, device: torch.device | None, dtype: torch.dtype | None) -> None:
        *above, last = name.split(".")
        holder: nn.Module = self
        for part in above:
            if part not in holder._modules:
                holder.add_module(part, _Lazy())
            holder = holder.get_submodule(part)
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        if isinstance(tensor, nn.Parameter):
            holder.register_parameter(last, _LazyParameter(tensor.requires_grad, device=device, dtype=kind))
        elif tensor.dim():
            holder.register_buffer(last, _LazyBuffer(tensor.requires_grad, device=device, dtype=kind))
        else:
            holder.register_buffer(last, torch.zeros((), device=device, dtype=kind))

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        # torch's own hook looks for its marks on the module afterwards; this module is an ordinary one by then
        self.initialize_parameters(*args, **(kwargs or {}))

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Builds the module for the tensors of the first call, and becomes it."""
        shapes = shapes_of_inputs([*args, kwargs])
        if not shapes:
            raise ShapeError(f"{self._name} takes tensors, got none")
        module = self._fitting(shapes)
        mine = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        where = mine.pop("_where")
        fresh = self._keep_what_is_here(module, mine)
        materialize(module, where.device)
        cast_module(module, where.dtype) if where.dtype != torch.float32 else None
        initialize(module, only=lambda spec: any(place.path in fresh for place in spec.places))
        module.train(self.training)
        self.__class__ = type(module)  # type: ignore[assignment]
        self.__dict__ = module.__dict__

    def _fitting(self, shapes: list[tuple[int, ...]]) -> fx.GraphModule:
        """The module with as many free sizes as the layers allow."""
        problem: Exception | None = None
        for candidates in zip(*map(_candidates, shapes)):
            try:
                return self._compile_for(candidates[0] if len(candidates) == 1 else list(candidates))
            except KerashapeError as error:
                problem = error
        raise problem or ShapeError("no shape fits")

    @staticmethod
    def _keep_what_is_here(module: fx.GraphModule, mine: dict[str, Tensor]) -> set[str]:
        """Puts the parameters that users may already hold into the new module; returns the paths not yet filled."""
        fresh = {place.path for spec in keras_weights(module).specs for place in spec.places}
        for path, tensor in mine.items():
            try:
                target = tensor_at(module, path)
            except AttributeError:
                continue
            if is_lazy(tensor):
                tensor.materialize(target.shape)
                with torch.no_grad():
                    tensor.zero_()
            elif tensor.shape != target.shape:
                raise WeightsError(f"{path} was loaded with shape {tuple(tensor.shape)}, and this input asks for "
                                   f"{tuple(target.shape)}")
            else:
                fresh.discard(path)
            set_at(module, path, tensor)
        return fresh

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return type(self).forward(self, *args, **kwargs)  # by now the class is another: see initialize_parameters


def _candidates(shape: tuple[int, ...]) -> tuple[Shape, Shape, Shape]:
    """Only the last size given, only the first, all but the batch: the first that the layers accept is taken."""
    if len(shape) < 2:
        return (None,), (None,), (None,)
    free = (None,) * (len(shape) - 1)
    return (*free, *shape[-1:]), (None, *shape[1:2], *free[1:]), (None, *shape[1:])

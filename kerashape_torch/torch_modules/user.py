"""A layer of the user's own as a torch module: its weights are parameters, its ``forward`` is run on them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kerashape_torch import masks
from kerashape_torch.composed import (
    INHERITED,
    Call,
    Trial,
    attributes,
    inner_specs,
    is_plain,
    mask_argument,
    masks_apart,
    part_modules,
    with_masks,
)
from kerashape_torch.errors import KerashapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.parts import set_in_call
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.torch_modules import place, set_at
from kerashape_torch.torch_modules.activity import as_it_is, listener
from kerashape_torch.torch_modules.lambdas import on_device_of
from kerashape_torch.torch_modules.places import empty, keras_value
from kerashape_torch.torch_modules.recurrent import Options, Recurrent, States
from kerashape_torch.torch_modules.shared import share
from kerashape_torch.user_layers import adds_losses, argument_names, holds, torch_function, with_weights
from kerashape_torch.weights import WeightSpec


class UserLayer(nn.Module):
    """Runs the layer's function with the weights, the layers inside as modules, and ``training``, as attributes of a
    copy of the layer.

    Args:
        layer: as the user made it.
        trial: what its function does with the shapes; the layer in it has what ``build`` computed.
    """

    def __init__(self, layer: Any, trial: Trial) -> None:
        super().__init__()
        self._layer = trial.layer
        self._given = layer.given()
        function = torch_function(layer)
        assert function is not None
        self._function = function
        self._takes_training = "training" in argument_names(function, shaped=False)
        for spec in trial.specs:
            tensor = empty(spec, "float32")
            name = spec.places[0].path
            if tensor.is_floating_point():
                self.register_parameter(name, nn.Parameter(tensor, requires_grad=spec.trainable))
            else:
                self.register_buffer(name, tensor)
        for name, value in vars(trial.layer).items():
            if isinstance(value, Tensor) and not hasattr(self, name):  # numbers that __init__ or build has made
                self.register_buffer(name, value, persistent=False)
        self._losses = listener(as_it_is) if adds_losses(layer) else None
        parts = {inner: self._part(path, inner, calls) for path, (inner, calls) in trial.calls.items()}
        share(self, trial.again())
        self._parts = attributes(trial.layer, lambda inner: parts.get(inner, inner))
        self._lists = {name: value for name, value in {**vars(trial.layer), **self._parts}.items() if holds(value)}
        own = {*vars(layer), *self._parts, *(spec.places[0].path for spec in trial.specs)}
        self._properties = {name for name in dir(type(layer)) if isinstance(getattr(type(layer), name), property)}
        self._attributes = [name for name in vars(trial.layer) if name not in self._properties]
        is_masked = any(call.is_masked for _, calls in trial.calls.values() for call in calls)
        self._masked = {"masked": True} if is_masked else {}
        self._built = {name: value for name, value in sorted(vars(trial.layer).items()) if name not in own}

    def _part(self, path: str, layer: Any, calls: list[Call]) -> Part:
        modules = part_modules(layer, calls, heard=path != INHERITED)  # it has the regularizer of the layer itself
        for number, module in enumerate(modules):
            place(self, f"{path}__{number}" if number else path, module)
            for name, tensor in (*modules[0].named_parameters(), *modules[0].named_buffers()) if number else ():
                set_at(module, name, tensor)
        return Part(layer, calls, modules, inner_specs(layer, calls))

    def forward(self, *args: Any, carried: Any = None, **kwargs: Any) -> Any:
        """The function on tensors; ``carried`` has a mask or None for each of them that is no mask itself."""
        if carried is not None:
            found = iter(carried)
            kwargs, said = masks_apart(kwargs)
            args, kwargs = map_structure(
                lambda x: masks.carrying(x, next(found)) if isinstance(x, Tensor) else x, (args, kwargs))
            kwargs |= said
            kwargs |= masks.brought_along(self._layer, self._layer.bind(args, kwargs), masks.carried)
        weights = self._parts[INHERITED].weights() if INHERITED in self._parts else {}
        given = {"_tried": {}, "training": self.training, "_losses": self._losses, **weights, **self._parameters,
                 **self._buffers, **self._parts}
        given.update(with_weights(self._lists, given))  # torch 2.6 compiles no |=
        layer = self._copy({name: value for name, value in given.items() if name not in self._properties})
        if self._takes_training:
            kwargs["training"] = self.training
        with on_device_of(args, kwargs):
            return self._function(layer, *args, **kwargs)

    def _copy(self, changes: dict[str, Any]) -> Any:
        """:meth:`Layer.copy`, written so that torch 2.6 compiles it, which follows no ``__dict__``."""
        made = object.__new__(type(self._layer))
        for name in self._attributes:
            setattr(made, name, getattr(self._layer, name))
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    def _get_name(self) -> str:
        return type(self._layer).__name__

    def extra_repr(self) -> str:
        given = {**self._given, **self._built, **self._masked}
        return ", ".join(f"{name}={value!r}" for name, value in given.items() if name != "name")


class Part:
    """A layer inside, where the function around it runs: called on tensors as the layer is on symbolic ones."""

    def __init__(self, layer: Any, calls: list[Call], modules: list[nn.Module], specs: list[WeightSpec]) -> None:
        self._layer = layer
        self._calls = calls
        self._modules = modules
        self._specs = {spec.name: spec for spec in specs}
        self._set_in_call = set_in_call(layer)

    def weights(self) -> dict[str, Tensor]:
        """Its weights in Keras' layout, by name."""
        return {name: keras_value(self._modules[0], spec) for name, spec in self._specs.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = Call.of(args, kwargs, lambda x: x)
        for call, module in zip(self._calls, self._modules):
            if call.fits(given):
                found = [x for x in flatten(tuple(given)) if isinstance(x, Tensor)]
                specs = [spec for spec in flatten(tuple(call)) if isinstance(spec, TensorSpec)]
                carried = [mask for mask in map(masks.carried, found) if mask is not None]
                tensors = [*map(_as, specs, found)]
                if is_plain(self._layer, self._calls):
                    name = mask_argument(self._layer, call)
                    masked = {} if name is None else {name: carried if name == "carried" else carried[0]}
                    outputs = _in_mode(module, kwargs.get("training"), tensors, masked)
                else:
                    outputs = _in_mode(module, kwargs.get("training"), [*tensors, *carried], {})
                return with_masks(self._layer, call, args, kwargs, outputs)
        raise KerashapeError(f"{self._layer.describe()} is called in another way than on shapes alone, where the layer "
                             "around it was tried in inference and in training: with "
                             f"{map_structure(lambda x: tuple(x.shape) if isinstance(x, Tensor) else x, tuple(given))}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._specs:
            return keras_value(self._modules[0], self._specs[name])
        return self._set_in_call[name] if name in self._set_in_call else getattr(self._layer, name)


def _in_mode(module: nn.Module, training: bool | None, tensors: list[Tensor], masked: dict[str, Any]) -> Any:
    """Runs a module, in the mode that the call says if it is another than the module's."""
    mode = module.training
    if training is None or training == mode:
        return module(*tensors, **masked)
    try:
        return module.train(training)(*tensors, **masked)
    finally:
        module.train(mode)


def _as(spec: Any, x: Tensor) -> Tensor:
    wanted = getattr(torch, spec.dtype)
    return x.to(wanted) if wanted.is_floating_point and not x.is_floating_point() else x


class UserCell(Recurrent):
    """A cell of the user's own, step by step."""

    def __init__(self, cell: UserLayer, state_sizes: list[Any], options: Options) -> None:
        super().__init__()
        self.cell = cell
        self.configure(options, state_sizes)

    def run(self, sequences: Tensor, states: States | None, mask: Tensor | None = None) -> tuple[Tensor, States]:
        if states is None:
            states = self._zeros(sequences)
        return self.over_steps(self._step, sequences, states, mask)

    def _step(self, inputs: Tensor, states: States) -> tuple[Tensor, States]:
        output, after = self.cell(inputs, states)
        return output, [after] if isinstance(after, Tensor) else list(after)

    def _zeros(self, sequences: Tensor) -> States:
        """The first states: the cell's own, if it says some."""
        batch, layer = sequences.shape[0], self.cell._layer
        if hasattr(layer, "get_initial_state"):
            given = layer.get_initial_state(batch_size=batch)
            given = [given] if isinstance(given, Tensor) else list(given)
            return [state.to(sequences) for state in given]
        return [sequences.new_zeros(batch, size) for size in self.state_sizes]

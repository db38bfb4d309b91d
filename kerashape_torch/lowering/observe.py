"""A compiled module seen from training: the same parts, but more comes out of them.

Inference pays nothing for it: the graph is made anew, over the modules that are there already. Those with activity
regularizers inside are made anew too, with the same tensors.
"""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.layer import Layer
from kerashape_torch.layers.recurrent import RNN, Recurrent
from kerashape_torch.layers.recurrent_cells import Cell, StackedRNNCells
from kerashape_torch.lowering.compile import assemble
from kerashape_torch.lowering.lower import lower
from kerashape_torch.lowering.weights import device_of
from kerashape_torch.models import Model
from kerashape_torch.own_weights import weight_layers
from kerashape_torch.torch_modules import set_at
from kerashape_torch.torch_modules.activity import Heard, is_heard, listening
from kerashape_torch.torch_modules.mixed import MixedPrecision
from kerashape_torch.torch_modules.places import tensor_at


class Observed:
    """A model's module that gives its outputs, the masks that these carry, and what activity regularizers look at."""

    def __init__(self, model: Model, module: nn.Module) -> None:
        """Makes the graph of the module anew.

        Raises:
            KerashapeError: what an activity regularizer of Keras hears is not to be had here.
        """
        _refuse(model, None)
        self.heard: Heard = []
        with listening(self.heard):
            again = assemble(lower(model.graph, weight_layers(model), "keras", observed=True), model.name)
        device = device_of(module)
        parts: dict[str, Any] = {}
        self.twins: list[tuple[Any, Any]] = []
        for node in again.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                made, own = _at(again, str(node.target)), _at(module, str(node.target))
                if own is None:
                    own = made.to(device)
                elif isinstance(made, nn.Module) and is_heard(made):
                    self.twins.append((made, own))
                    own = made
                parts[str(node.target)] = own
        self.module = fx.GraphModule(parts, again.graph)

    def __call__(self, inputs: Any) -> tuple[Any, list[Any], Heard]:
        for twin, own in self.twins:
            _follow(twin, own)
        self.heard.clear()
        outputs, masks = self.module(inputs)
        heard = list(self.heard)
        self.heard.clear()
        return outputs, masks, heard


def _at(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def _follow(twin: nn.Module, own: nn.Module) -> None:
    """Gives a module the tensors of another one, and its modes, both of which may have changed."""
    held = (*twin.named_parameters(remove_duplicate=False), *twin.named_buffers(remove_duplicate=False))
    for name in [name for name, _ in held]:
        set_at(twin, name, tensor_at(own, name))
    modes = {name: part.training for name, part in own.named_modules(remove_duplicate=False)}
    for name, part in twin.named_modules(remove_duplicate=False):
        part.training = modes.get(name, own.training)
        if isinstance(part, MixedPrecision):
            part.module.training = part.training


def _refuse(layer: Layer, around: Layer | None) -> None:
    """Refuses regularizers of what no module here gives."""
    if isinstance(layer, StackedRNNCells) and isinstance(around, RNN) and layer.output_regularizer() is not None:
        raise KerashapeError(f"{layer.describe()} has an activity regularizer, which in Keras sees the states of all "
                             "cells after each step; here each cell runs over all steps. Give it to the cells, or to "
                             f"{around.describe()}")
    if isinstance(layer, (Cell, Recurrent)):
        for each in {*layer.layers_to_name()} - {*layer.sublayers()}:
            if each.output_regularizer() is not None:
                raise KerashapeError(f"{each.describe()} has an activity regularizer, and {layer.describe()} runs it "
                                     "inside its steps. Give the regularizer to the layer around it, or take it away")
    for inner in layer.sublayers():
        _refuse(inner, layer)

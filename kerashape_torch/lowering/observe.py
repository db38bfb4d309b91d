"""A compiled module seen from training: the same parts, but more comes out of them.

Inference pays nothing for it: the graph is made anew, over the modules that are there already.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import fx, nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.layer import Layer
from kerashape_torch.layers.wrappers import Wrapper
from kerashape_torch.lowering.compile import assemble
from kerashape_torch.lowering.lower import lower
from kerashape_torch.lowering.weights import device_of
from kerashape_torch.models import Model


class Observed(NamedTuple):
    """A module that gives its outputs, the masks that these carry, and the tensors that regularizers look at.

    Attributes:
        module: shares all its parts with the module that it was made of.
        regularizers: one for each of those tensors.
    """

    module: nn.Module
    regularizers: list[Any]


def observe(model: Model, module: nn.Module) -> Observed:
    """Makes the graph of a model's module anew.

    Raises:
        KerashapeError: a layer inside another one has an activity regularizer.
    """
    lowered = lower(model.graph, model.layers, "keras", observed=True)
    _refuse_hidden(model)
    again = assemble(lowered, model.name)
    device = device_of(module)
    parts: dict[str, Any] = {}
    for node in again.graph.nodes:
        if node.op in ("call_module", "get_attr"):
            own = _at(module, str(node.target))
            parts[str(node.target)] = _at(again, str(node.target)).to(device) if own is None else own
    return Observed(fx.GraphModule(parts, again.graph), lowered.activity_regularizers)


def _at(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def _refuse_hidden(model: Model) -> None:
    """Layers inside wrappers and recurrent layers are called by those, where nobody sees their outputs."""

    def check(layer: Layer, inside: Layer | None) -> None:
        if layer.penalizes_its_parts and layer.output_regularizer() is not None:
            raise KerashapeError(f"{layer.describe()}: Keras gives its activity_regularizer to the parts inside, where "
                                 "nobody sees their outputs here. Put an ActivityRegularization after it instead")
        is_heard = isinstance(inside, Wrapper) and inside.hears(layer)
        if inside is not None and not is_heard and layer.output_regularizer() is not None:
            raise KerashapeError(f"{layer.describe()} has an activity regularizer, and {inside.describe()} hides its "
                                 "outputs. Give the regularizer to the outer layer, or take it away")
        for inner in layer.sublayers():
            check(inner, inside if isinstance(layer, Model) else layer)

    check(model, None)

"""A layer or a model as a part of another layer's module."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from kerashape_torch import activations
from kerashape_torch.layer import ANY, KERAS, Layer
from kerashape_torch.models import Model
from kerashape_torch.own_weights import OwnWeight, weight_layers
from kerashape_torch.weights import WeightSpec


def is_one_module(layer: Layer, shape: Any, order: str = KERAS) -> bool:
    """Whether the layer's own module says all of it, in this order of axes."""
    if isinstance(layer, Model) or layer.layout(shape) not in (order, ANY):
        return False
    activation = layer.appended_activation
    if activation is None:
        return True
    return not isinstance(activation, Layer) and activations.get(activation) is activations.linear


def part_module(layer: Layer, shape: Any, order: str = KERAS, masked: bool = False, heard: bool = True) -> Any:
    """A module for a layer or model inside another layer, the activation in it. It takes and gives Keras' order; or
    channels first, if asked and if this is how it works. If ``masked``, it takes a mask too. Its activity regularizer
    is ``heard`` where Keras calls the layer itself, and not its ``call`` alone."""
    if is_one_module(layer, shape, order):
        module = (layer.masked_module if masked else layer.module)(shape)
        return listened_to(layer, module, order) if heard else module
    module = layer.inner_module(shape, masked)
    return listened_to(layer, module) if heard else module


def listened_to(layer: Layer, module: Any, order: str = KERAS) -> Any:
    """The layer's module, which tells the activity regularizer what it gives, if it is made while training listens."""
    listener = layer.listener(order)
    if listener is not None:
        module.register_forward_hook(listener.hook)
    return module


def part_specs(layer: Layer, shape: Any, at: str, order: str = KERAS) -> list[WeightSpec]:
    """The weights of :func:`part_module`, which lies at a path of the module around it."""
    return specs_at(layer, (shape,), at if is_one_module(layer, shape, order) else f"{at}.{torch_name(layer.name)}")


def specs_at(layer: Layer, shapes: Sequence[Any], at: str) -> list[WeightSpec]:
    """The weights of a layer or model whose own module lies at a path of the module around it.

    ``trainable=False`` freezes what a layer has itself; one that only holds others leaves theirs alone, as in Keras.
    """
    if isinstance(layer, Model):
        specs = [spec.below(layer.name) for spec in _model_specs(layer, at)]
    else:
        specs = [spec.below(layer.name, at) for spec in layer.weight_specs(*shapes)]
    is_frozen = not layer.trainable and (isinstance(layer, Model) or not layer.sublayers())
    return [spec._replace(trainable=False) for spec in specs] if is_frozen else specs


def _model_specs(model: Model, path: str) -> list[WeightSpec]:
    specs = []
    for layer in weight_layers(model):
        below = f"{path}.{torch_name(layer.name)}"
        inner = _model_specs(layer, below) if isinstance(layer, Model) else [
            spec.below(torch=below) for spec in layer.weights]
        inner = [spec.below("" if isinstance(layer, OwnWeight) else layer.name) for spec in inner]
        specs += inner if layer.trainable else [spec._replace(trainable=False) for spec in inner]
    return specs


def torch_name(name: str) -> str:
    """The name of the submodule; without torch loaded nobody asks for it, and it is not loaded for this."""
    lower = sys.modules.get("kerashape_torch.lowering.lower")
    return lower.module_name(name) if lower is not None else name

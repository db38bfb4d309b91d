"""A layer or a model as a part of another layer's module."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from kerashape_torch import activations
from kerashape_torch.errors import ConfigError
from kerashape_torch.layer import ANY, KERAS, Layer
from kerashape_torch.models import Model
from kerashape_torch.own_weights import OwnWeight, weight_layers
from kerashape_torch.structure import flatten
from kerashape_torch.user_layers import torch_function
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
    return [spec for _, specs in held_at(layer, shapes, at) for spec in specs]


def held_at(layer: Layer, shapes: Sequence[Any], at: str) -> list[tuple[Layer, list[WeightSpec]]]:
    """The same, with the layers that have them: see :func:`held_specs`."""
    return [(owner, [spec.below(layer.name, at) for spec in (_frozen(specs) if _is_frozen(layer) else specs)])
            for owner, specs in held_specs(layer, shapes)]


def _is_frozen(part: Layer) -> bool:
    return not part.trainable and (isinstance(part, Model) or not part.sublayers())


def _frozen(specs: Iterable[WeightSpec]) -> list[WeightSpec]:
    return [spec._replace(trainable=False) for spec in specs]


# ---- whose a weight is -----------------------------------------------------------------------------------------------


def held_specs(layer: Layer, shapes: Sequence[Any] | None = None) -> list[tuple[Layer, list[WeightSpec]]]:
    """The layers that have the weights of a layer, each with its own as they lie below that one's path: those of a
    model and of a layer around another one, which have none of their own, or the layer itself. ``shapes`` are those
    that its rules are told, if not the ones it has been called with."""
    if not isinstance(layer, Model) and not has_anothers_weights(layer):
        return [(layer, layer.weights if shapes is None else layer.weight_specs(*shapes))]
    parts: list[tuple[Layer, Any, str, bool]] = []
    if isinstance(layer, Model):
        parts = [(inner, None, torch_name(inner.name), not inner.trainable) for inner in weight_layers(layer)]
    else:
        for inner, shape in layer.shapes_inside(  # type: ignore[attr-defined]
                *(layer.call_shapes() if shapes is None else shapes)):
            at = "layer" if is_one_module(inner, shape) else f"layer.{torch_name(inner.name)}"
            parts.append((inner, [shape], at, _is_frozen(inner)))
    return [(owner, [spec.below("" if isinstance(inner, OwnWeight) else inner.name, at)
                     for spec in (_frozen(specs) if is_frozen else specs)])
            for inner, known, at, is_frozen in parts for owner, specs in held_specs(inner, known)]


def where_first(held: Iterable[tuple[Layer, list[WeightSpec]]]) -> dict[Layer, list[WeightSpec]]:
    """The weights of each layer where it is met first."""
    found: dict[Layer, list[WeightSpec]] = {}
    for owner, specs in held:
        found.setdefault(owner, specs)
    return found


def has_anothers_weights(layer: Layer) -> bool:
    """Whether a layer around another one has that one's weights and no more."""
    return getattr(layer, "passes_weights_on", False)


def layers_with_weights(layer: Layer) -> Sequence[Layer]:
    """The layers inside a model, or inside a layer around another one, that have its weights, in Keras' order."""
    return weight_layers(layer) if isinstance(layer, Model) else layer.sublayers()


def owners(layers: Iterable[Layer]) -> Iterator[Layer]:
    """The layers that have the weights of these, each once, in Keras' order."""
    seen: set[Layer] = set()
    waiting = list(layers)[::-1]
    while waiting:
        layer = waiting.pop()
        if layer not in seen:
            seen.add(layer)
            if isinstance(layer, Model) or has_anothers_weights(layer):
                waiting += reversed(layers_with_weights(layer))
            else:
                yield layer


def torch_name(name: str) -> str:
    """The name of the submodule; without torch loaded nobody asks for it, and it is not loaded for this."""
    lower = sys.modules.get("kerashape_torch.lowering.lower")
    return lower.module_name(name) if lower is not None else name


class OfACall:
    """What the call of a layer inside has put on it, and does not keep: it may be put on another, and nothing else."""

    def __init__(self, layer: Layer, name: str) -> None:
        self._said = (f"{layer.describe()} sets {name!r} in its call, and only what a call returns is kept. "
                      f"Way out: return it")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("__") else ConfigError(self._said)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise ConfigError(self._said)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __matmul__ = __getitem__ = _refuse
    __iter__ = _refuse

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = flatten([list(args), list((kwargs or {}).values())])
        raise ConfigError(next(x._said for x in given if isinstance(x, cls)))


def set_in_call(layer: Layer) -> dict[str, OfACall]:
    """What stands for each attribute that the call of a layer sets, and that the layer does not have else."""
    function = torch_function(layer)
    names = () if function is None else _attributes_set(function)
    return {name: OfACall(layer, name) for name in names if name not in vars(layer)}


@functools.cache
def _attributes_set(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple({each.argval: None for each in dis.get_instructions(function) if each.opname == "STORE_ATTR"})

"""Where Keras keeps each weight in a file: ``layers/dense_1/vars/0``.

A group is named after the class, not after the layer, and numbered in the order of ``model.layers``; inside a layer the
groups are called as Keras' attributes are. Keras keeps a layer that it meets again, inside another model, only where it
met it first, although a config makes two layers of it; we write it in each place, and ask for the first alone.

In a model with a ``call`` of its own a layer is met as an attribute and among ``layers``. Keras 3 looks first at what
comes first in the alphabet, tf_keras at what comes last, and it does not count what it has met.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kerashape_torch.composed import built_first, held_first, layers_inside
from kerashape_torch.graph import snake_case
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.own_weights import OwnWeight, weights_of_its_own
from kerashape_torch.parts import has_anothers_weights, held_specs, owners
from kerashape_torch.structure import flatten
from kerashape_torch.weights import WeightSpec

TOP = "top_level_model_weights"
"""Where a file that is laid out by layers keeps the weights of a model's own."""
_ATTENTION = {"query": "query_dense", "key": "key_dense", "value": "value_dense", "gate": "_gate_dense",
              "attention_output": "output_dense"}
_NAMED_PARTS = {"MultiHeadAttention": _ATTENTION,
                "GroupQueryAttention": {part: f"_{attribute.lstrip('_')}" for part, attribute in _ATTENTION.items()},
                **{f"ConvLSTM{rank}D": {"conv_lstm_cell": "cell"} for rank in (1, 2, 3)}}
"""Parts of a layer that are no layers here: the first step of a weight's path, and Keras' attribute for it."""

_ATTRIBUTES = {"layer": "layer", "cell": "cell", "forward_layer": "forward_layer", "_backward_layer": "backward_layer"}
"""Attributes here that hold a layer, and what Keras calls them; a later one is believed before an earlier one."""


class Kept(NamedTuple):
    """A weight, and where a file keeps it.

    Attributes:
        holder: its layer, or how errors speak of it.
        spec: as that layer states it.
        path: of the dataset in the file; empty where the numbers are part of another weight's.
        copies: paths of datasets with the same numbers.
        older: the path that tf_keras gives it.
        part: what of the layer it belongs to: the group of its path, which LoRA's weights have too.
        kind: the class of the innermost layer that has it, such as the ``LSTM`` in a ``Bidirectional``.
        channels_first: whether that layer has images channels first.
        policy: the dtype policy of the layer, or of the part of it, that has the weight.
        around: the name of the layer around that layer which is one of the model; the path of the spec begins there.
    """

    holder: Layer | str
    spec: WeightSpec
    path: str
    copies: tuple[str, ...] = ()
    part: str = ""
    kind: str = ""
    channels_first: bool = False
    policy: str = "float32"
    around: str = ""
    older: str = ""

    @property
    def owner(self) -> str:
        """How errors speak of its layer."""
        return self.holder if isinstance(self.holder, str) else self.holder.describe()

    @property
    def layer(self) -> str:
        """The name of its layer in the model."""
        return self.around or (self.holder.split(" = ")[0] if isinstance(self.holder, str) else self.holder.name)

    @property
    def group(self) -> str:
        """The group of the dataset."""
        return self.path.rpartition("/")[0]


class Layout(NamedTuple):
    """Where a file keeps the weights of a model, whichever way it is laid out.

    Attributes:
        kept: every weight once, in Keras' order.
        layers: for each layer of the model that has weights, its name and which of ``kept`` are its own: those of a
            model inside it all together, the trainable ones first.
    """

    kept: list[Kept]
    layers: list[tuple[str, list[int]]]

    def described(self) -> Layout:
        """The same without the layers themselves: only how errors speak of them."""
        said = {id(place.holder): place.owner for place in {id(place.holder): place for place in self.kept}.values()}
        return Layout([place._replace(holder=said[id(place.holder)]) for place in self.kept], self.layers)


def weight_layout(model: Model) -> Layout:
    """The layout of a model whose input shape is known."""
    numbers: dict[Layer, list[int]] = {}
    kept: list[Kept] = []
    for layer, places in kept_weights(model):
        numbers[layer] = list(range(len(kept), len(kept) + len(places)))
        kept += places
    layers = []
    for layer in model.layers:
        own = [number for each in owners([layer]) for number in numbers.get(each, ())]
        if own:
            layers.append((layer.name, sorted(own, key=lambda number: not kept[number].spec.trainable)))
    top = [number for weight in weights_of_its_own(model) for number in numbers[weight]]
    return Layout(kept, [*layers, (TOP, top)] if top else layers)


def kept_weights(model: Model) -> list[tuple[Layer, list[Kept]]]:
    """The layers of a model that have weights, in Keras' order, each with the places of its weights in a file."""
    found: dict[Layer, list[Kept]] = {}
    for (layer, group), (_, older) in zip(layer_groups(model), layer_groups(model, is_older=True)):
        places = (place._replace(older=place.path.replace(group, older, 1)) for place in _kept(layer, group))
        for owner, specs in held_specs(layer) if has_anothers_weights(layer) else [(layer, None)]:
            kept = [*places] if specs is None else [
                place._replace(holder=owner, around=layer.name) for _, place in zip(specs, places)]
            first = found.setdefault(owner, kept)
            if first is not kept:
                found[owner] = [place._replace(copies=(*place.copies, again.path, *again.copies))
                                for place, again in zip(first, kept)]
    return [(layer, kept) for layer, kept in found.items() if kept]


def layer_groups(model: Model, above: str = "", is_older: bool = False) -> Iterator[tuple[Layer, str]]:
    """The layers that hold weights themselves, and their groups, as tf_keras calls them if ``is_older``; models are
    walked through."""
    for number, weight in enumerate(weights_of_its_own(model)):
        yield weight, f"{above}vars/{number}"
    for layer, group in _groups_of(model, is_older).items():
        if isinstance(layer, Model):
            yield from layer_groups(layer, f"{above}{group}/", is_older)
        else:
            yield layer, f"{above}{group}"


def _groups_of(model: Model, is_older: bool = False) -> dict[Layer, str]:
    """The layers of a model in Keras' order, and their groups."""
    groups = _groups_in(_shown(model) | {"layers": layers_inside(model)} if model.follows_call
                        else {"layers": model.layers}, is_older)
    return {layer: groups[layer] for layer in model.layers}


def _shown(layer: Layer) -> dict[str, Any]:
    """What has layers in it among the attributes and the properties of a user's class: Keras looks at both."""
    found = held_first(layer)
    properties = {name for each in type(layer).__mro__ if issubclass(each, Layer) and each.is_users_own()
                  for name, value in vars(each).items() if isinstance(value, property)}
    for name in properties:
        with contextlib.suppress(Exception):  # whatever the user's property raises
            value = getattr(built_first(layer), name)
            if any(isinstance(each, Layer) for each in flatten(value)):
                found[name] = value
    return found


def _groups_in(attributes: Mapping[str, Any], is_older: bool = False) -> dict[Layer, str]:
    """The groups of the layers in attributes, in lists and dicts too. Keras looks at attributes by the alphabet, at
    private ones last."""
    found: dict[Layer, str] = {}

    def walk(value: Any, group: str) -> None:
        if isinstance(value, Layer):
            found.setdefault(value, group)
            return
        counts: Counter[str] = Counter()
        for each in value.values() if isinstance(value, dict) else value:
            is_met = is_older and isinstance(each, Layer) and each in found
            if isinstance(each, (Layer, list, tuple, dict)) and not is_met:
                name = _group_name(each) if isinstance(each, Layer) else "container"
                walk(each, f"{group}/{name}_{counts[name]}" if counts[name] else f"{group}/{name}")
                counts[name] += 1

    in_order = sorted(attributes, reverse=True) if is_older else sorted(
        attributes, key=lambda name: f"~{name}" if name.startswith("_") else name)
    for name in in_order:
        walk(attributes[name], name)
    return found


def _group_name(layer: Layer) -> str:
    return snake_case(layer.keras_class_name) if isinstance(layer, Model) else layer.name_prefix


def _kept(layer: Layer, group: str) -> list[Kept]:
    counts: Counter[str] = Counter()
    found = []
    specs = layer.weights
    if isinstance(layer, OwnWeight):
        return [Kept(layer, specs[0], group, (), group.rpartition("/")[0], "", False, layer.dtype or "float32")]
    normalizes = type(layer).__name__ == "SpectralNormalization" and specs[0].name != "vector_u"
    if normalizes:
        counts[f"{group}/vars"] = 1  # Keras keeps the wrapped kernel here once more, before its own vector
    for spec in specs:
        attributes, inner = _attributes(layer, spec.full_path.split("/")[:-1])
        where = "/".join((group, *attributes, "vars"))
        place = Kept(layer, spec, "", (), where, type(inner).__name__,
                     getattr(inner, "data_format", None) == "channels_first", inner.dtype or "float32")
        if spec.factor is None:
            is_kernel = normalizes and spec.name in ("kernel", "embeddings")
            place = place._replace(path=f"{where}/{counts[where]}", copies=(f"{group}/vars/0",) if is_kernel else ())
            counts[where] += 1
        found.append(place)
    return found


def _attributes(owner: Layer, parts: list[str]) -> tuple[list[str], Layer]:
    """Keras' attributes on the way from a layer to the part of it that has a weight, and the last layer on that way."""
    found: list[str] = []
    inner: Any = owner
    for part in parts:
        attribute, inner = _step(inner, part)
        found.append(attribute)
        owner = inner if isinstance(inner, Layer) else owner
    return found, owner


def _step(owner: Any, part: str) -> tuple[str, Any]:
    if owner is None:
        return part, None
    named = _NAMED_PARTS.get(type(owner).__name__)
    if named is not None and part in named:
        return named[part], None
    return _inner_layers(owner).get(part, (part, None))


def _inner_layers(owner: Layer) -> dict[str, tuple[str, Layer]]:
    """The layers inside a layer by name, each with Keras' attribute for it."""
    if isinstance(owner, Model):
        return {inner.name: (group, inner) for inner, group in _groups_of(owner).items()}
    attributes: dict[str, Any] = {}
    for container in ("layers", "cells"):
        held = getattr(owner, container, None)
        if isinstance(held, (list, tuple)) and all(isinstance(inner, Layer) for inner in held):
            attributes[container] = held
    attributes |= _shown(owner)
    found = {inner.name: (group, inner) for inner, group in _groups_in(attributes).items()}
    for ours, keras in _ATTRIBUTES.items():
        inner = getattr(owner, ours, None)
        if isinstance(inner, Layer):
            found[inner.name] = (keras, inner)
    return found

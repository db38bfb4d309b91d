"""Weights of a layer that lies in several modules, as one called by itself and in a ``TimeDistributed`` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from kerashape_torch.composed import walked
from kerashape_torch.errors import ConfigError
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.torch_modules import set_at
from kerashape_torch.torch_modules.places import tensor_at
from kerashape_torch.weights import WeightSpec


def share(root: nn.Module, again: Iterable[tuple[Layer, WeightSpec, WeightSpec]]) -> None:
    """Makes one tensor of each weight that lies in two places. Where it is a buffer, which torch may replace whenever a
    module moves, the modules that have it become one.

    Args:
        root: the module around all of them.
        again: a layer, its weight where it lies first, and the same weight where it lies as well.
    """
    ones: dict[int, nn.Parameter] = {}
    modules: dict[str, tuple[Layer, str]] = {}
    for layer, first, other in again:
        for here, there in zip(first.places, other.places):
            if here == there:
                continue
            if here != there._replace(path=here.path):
                raise _two_places(layer, f"as {here.path}", f"as {there.path}")
            tensor = tensor_at(root, here.path)
            if isinstance(tensor, nn.Parameter):
                ones[id(tensor_at(root, there.path))] = tensor
            else:
                modules[there.path.rpartition(".")[0]] = layer, here.path.rpartition(".")[0]
    for path, tensor in [*root.named_parameters(remove_duplicate=False)] if ones else []:
        if id(tensor) in ones:
            set_at(root, path, ones[id(tensor)])
    for path, (layer, first_path) in modules.items():
        one = root.get_submodule(first_path)
        if _text(one) != _text(root.get_submodule(path)):
            raise _two_places(layer, f"as {first_path}", f"as {path}")
        set_at(root, path, one)


def _text(module: nn.Module) -> tuple[str, bool]:
    """What a module does, as far as it says so."""
    return repr(module), "train" in vars(module)  # whoever replaced that fixed the mode


def refuse_layers_in_two_places(specs: Mapping[Layer, Iterable[WeightSpec]]) -> None:
    """
    Raises:
        ConfigError: a layer is called in another one, which has its weights among its own, and elsewhere too.
    """
    places: dict[Layer, Layer] = {layer: layer for layer in specs}
    for layer in specs:
        for inner in walked(layer, lambda each: () if isinstance(each, Model) else each.sublayers()):
            other = places.setdefault(inner, layer)
            if other is not layer and any(f"/{inner.name}/" in spec.full_path for spec in specs[layer]):
                raise _two_places(inner, "by itself" if other is inner else f"in {other.describe()}",
                                  f"in {layer.describe()}")


def _two_places(layer: Layer, one: str, other: str) -> ConfigError:
    return ConfigError(f"{layer.describe()} is called {one} and {other}: Keras has its weights once, and here they "
                       "would be two. Way out: a layer for each")

"""Where Keras' weights lie in torch modules: from Keras' layout to torch's, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.weights import Place, WeightSpec


def tensor_at(module: nn.Module, path: str) -> Tensor:
    """The parameter or buffer at a path."""
    above, _, last = path.rpartition(".")
    found = getattr(module.get_submodule(above), last)
    if not isinstance(found, Tensor):
        raise KerashapeError(f"{path} is not a tensor of the module")
    return found


def _swap_gates(value: Tensor, gates: tuple[int, ...]) -> Tensor:
    blocks = value.chunk(len(gates), dim=-1)
    return torch.cat([blocks[gate] for gate in gates], dim=-1)


def to_place(value: Tensor, place: Place, parts: int = 1) -> Tensor:
    """A Keras weight, which lives in so many parts, as it lies in one place of the torch module."""
    if place.entry is not None:
        value = value.chunk(parts)[place.entry].flatten()
    if place.gates:
        value = _swap_gates(value, place.gates)
    for pattern in place.pattern.split(";") if place.pattern else ():
        value = rearrange(value, pattern, **_used(pattern, place.sizes))
    return value


def from_place(value: Tensor, place: Place) -> Tensor:
    """What :func:`to_place` did, undone; gradients flow through."""
    for pattern in reversed(place.pattern.split(";")) if place.pattern else ():
        left, right = pattern.split("->")
        value = rearrange(value, f"{right} -> {left}", **_used(pattern, place.sizes))
    if place.gates:
        inverse = tuple(place.gates.index(i) for i in range(len(place.gates)))
        value = _swap_gates(value, inverse)
    return value


def _used(pattern: str, sizes: Mapping[str, int]) -> dict[str, int]:
    names = set(pattern.replace("(", " ").replace(")", " ").split())
    return {name: size for name, size in sizes.items() if name in names}


def keras_value(module: nn.Module, spec: WeightSpec) -> Tensor:
    """A weight's tensor in Keras' layout; a view where einops can give one."""
    return joined(spec, {place.path: tensor_at(module, place.path) for place in spec.places})


def joined(spec: WeightSpec, held: Mapping[str, Tensor]) -> Tensor:
    parts = [from_place(held[place.path], place) for place in spec.places]
    indexed = [place.entry for place in spec.places]
    if all(index is not None for index in indexed):
        parts = [part for _, part in sorted(zip(indexed, parts), key=lambda pair: pair[0] or 0)]
        return torch.cat(parts).reshape(spec.shape)
    return parts[0]


def empty(spec: WeightSpec, dtype: str) -> Tensor:
    """A tensor for a weight that lies in one place, as it lies there."""
    (place,) = spec.places
    return to_place(torch.empty(spec.shape, dtype=getattr(torch, spec.dtype or dtype)), place)

"""How masks travel, as in Keras: a call takes those of its tensors, and its outputs carry what the layer makes of them.

A mask is a tensor of booleans that goes beside another tensor: False where that one holds nothing but padding. Whoever
follows masks says with ``mask_of`` where to find a tensor's: on the tensor itself while a model is described, or among
the values of the module that is being made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.structure import flatten, map_structure

MaskOf = Callable[[Any], Any]


def brought_along(layer: Any, bound: Mapping[str, Any], mask_of: MaskOf) -> dict[str, Any]:
    """The mask arguments that a call leaves out and that its tensors bring along.

    As in Keras, the mask of the only tensor goes to ``mask``, and where there are several that of each goes to
    ``<name>_mask``, if the layer's call has such an argument: a recurrent layer that is given states is given no mask.
    """
    if not layer.has_policy:  # ops mind no masks
        return {}
    tensors = {name: value for name, value in bound.items() if _is_all_tensors(value)}
    wanted = {"mask" if len(tensors) == 1 else f"{name}_mask": value for name, value in tensors.items()}
    found = {name: map_structure(mask_of, value) for name, value in wanted.items()
             if name in layer.call_arguments and bound.get(name) is None}
    return {name: masks for name, masks in found.items() if any(mask is not None for mask in flatten(masks))}


def passed_on(layer: Any, bound: Mapping[str, Any], mask_of: MaskOf) -> list[Any]:
    """The masks of a call's outputs, in order, as far as there are any; ``bound`` has what was brought along."""
    if not layer.supports_masking or not bound:
        return []
    first, previous = next(iter(bound.values())), bound.get("mask")
    if previous is None:
        previous = map_structure(mask_of, first) if isinstance(first, (list, tuple, dict)) else mask_of(first)
    made = layer.compute_mask(first, previous)
    return [] if made is None else flatten(made)


def require_symbolic(layer: Any, mask: Any) -> None:
    """Refuses numbers as the mask of a call that describes a layer; to one of the user's own they may mean anything."""
    for x in flatten(mask) if layer.has_policy and not type(layer).is_users_own() else ():
        if x is not None and not getattr(x, "is_symbolic", False):
            raise ConfigError(f"{layer.describe()}: the mask of a call is a symbolic tensor, got {type(x).__name__}. "
                              "Make it an input of the model: mask=Input((steps,), dtype='bool')")


def carried(x: Any) -> Any:
    """The mask of a torch tensor while a user's function runs, as in Keras an attribute; None if it has none."""
    return getattr(x, "_keras_mask", None)


def carrying(x: Any, mask: Any) -> Any:
    """The same numbers as another tensor, which carries a mask if there is one."""
    if mask is None:
        return x
    x = x.view_as(x)
    x._keras_mask = mask
    return x


def take_off(structure: Any) -> None:
    """Lets tensors carry no masks from now on."""
    for x in flatten(structure):
        if carried(x) is not None:
            x._keras_mask = None


def handed_on(layer: Any, bound: Mapping[str, Any], outputs: Any) -> Any:
    """What a layer made of torch tensors, with the masks that Keras gives it. One that it carries already stays."""
    if not layer.supports_masking or not bound:
        return outputs
    first, previous = next(iter(bound.values())), bound.get("mask")
    if previous is None:
        previous = map_structure(carried, first)
    if all(carried(x) is not None for x in flatten(outputs)):
        return outputs
    made = flatten(layer.compute_mask(first, previous))
    found = iter([*made, *[None] * (len(flatten(outputs)) - len(made))])
    return map_structure(lambda x: _unless(x, next(found)), outputs)


def _unless(x: Any, mask: Any) -> Any:
    return x if carried(x) is not None else carrying(x, mask)


def _is_all_tensors(value: Any) -> bool:
    found = flatten(value)
    return len(found) > 0 and all(  # torch.compile of 2.11 knows no bool() of a list
        getattr(x, "is_symbolic", False) or hasattr(x, "detach") for x in found)

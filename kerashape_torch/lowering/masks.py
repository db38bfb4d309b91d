"""Where masks go. Until they are lowered, a mask that would change a number is refused, never ignored."""

from __future__ import annotations

from kerashape_torch.errors import KerashapeError
from kerashape_torch.graph import Graph
from kerashape_torch.models import Model
from kerashape_torch.structure import flatten


def refuse_masks_that_matter(graph: Graph, masked: set[int] | None = None) -> set[int]:
    """Follows masks as Keras does: a layer that supports masking passes them on, another drops them.

    Raises:
        KerashapeError: a mask reaches a layer whose numbers it would change.
    """
    masked = set() if masked is None else masked
    makers: dict[int, str] = {}
    for node in graph.nodes:
        layer = node.layer
        if isinstance(layer, Model):
            inside = {id(own) for own, x in zip(layer.graph.flat_inputs, node.inputs) if id(x) in masked}
            after = refuse_masks_that_matter(layer.graph, inside)
            masked.update(id(x) for x, own in zip(flatten(node.outputs), layer.graph.flat_outputs) if id(own) in after)
            continue
        reached = next((x for x in node.inputs if id(x) in masked), None)
        explicit = any(name.endswith("mask") and name != "use_causal_mask" and name != "attention_mask"
                       and value is not None for name, value in layer.bind(node.args, node.kwargs).items())
        if layer.uses_mask and (reached is not None or explicit):
            maker = makers.get(id(reached), "a layer before it")
            came_from = f"made by {maker}" if reached is not None else "given to it"
            raise KerashapeError(f"{layer.describe()} would use the mask {came_from}, and masks are not compiled yet: "
                                 "its numbers would differ from Keras'. Shapes and counts are right all the same. "
                                 "Way out: mask_zero=False, or no Masking layer, where the sequences are full")
        if layer.makes_mask() or (reached is not None and layer.supports_masking):
            maker = layer.name if layer.makes_mask() else makers.get(id(reached), layer.name)
            for x in flatten(node.outputs):
                masked.add(id(x))
                makers[id(x)] = maker
    return masked

"""What each call of a model computes and moves, from its shapes alone; no torch is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kerashape_torch.graph import Graph, TensorSpec
from kerashape_torch.models import Model
from kerashape_torch.shape import Shape
from kerashape_torch.shape_table import Weight, class_name, layer_weights
from kerashape_torch.structure import flatten


class Cost(NamedTuple):
    """One call of a layer.

    Attributes:
        name: of the layer, behind the names of the models around it: ``encoder/conv``.
        class_name: of its class.
        output_shape: of its first output.
        params: how many numbers its weights hold.
        flops: operations of its products, two for each multiplication with its addition: see :meth:`Layer.flops`. None
            where no rule says it: for products among ``keras.ops``, and for functions of a user's own.
        bytes: of the inputs and weights that it reads and the outputs that it writes.
    """

    name: str
    class_name: str
    output_shape: Shape
    params: int
    flops: int | None
    bytes: int

    @property
    def intensity(self) -> float:
        """Operations for each byte: what is below the ratio of a machine's ceilings waits for memory."""
        return (self.flops or 0) / self.bytes if self.bytes else 0.0


def costs(model: Model, shapes: Sequence[Shape], dtype: str | None = None) -> list[Cost]:
    """Every call of a model in the order in which they run, for known input shapes.

    Args:
        model: built.
        shapes: of the inputs, in Keras' order, with no None in them.
        dtype: of weights and floats, where it is not the model's own.

    >>> from kerashape_torch import Sequential
    >>> from kerashape_torch.layers import Dense
    >>> [dense] = costs(Sequential([Dense(10, input_shape=(784,))]), [(32, 784)])
    >>> dense.flops, dense.bytes == 4 * (32 * 784 + 784 * 10 + 10 + 32 * 10)
    (501760, True)
    """
    return list(_costs(model.graph, shapes, dtype, ""))


def _costs(graph: Graph, shapes: Sequence[Shape], dtype: str | None, above: str) -> Iterator[Cost]:
    known = graph.known([TensorSpec(shape, x.dtype) for shape, x in zip(shapes, graph.flat_inputs)])
    for node in graph.nodes:
        layer = node.layer
        if not node.inputs:
            continue
        inputs = [known.get(id(x), x) for x in node.inputs]
        if isinstance(layer, Model):
            yield from _costs(layer.graph, [x.shape for x in inputs], dtype, f"{above}{layer.name}/")
            continue
        outputs = [known[id(x)] for x in flatten(node.outputs)]
        weights = layer_weights(layer)
        tensors: list[Any] = [*inputs, *outputs, *weights]
        moved = sum(_bytes(x.shape, x.dtype, dtype) for x in tensors)
        yield Cost(above + layer.name, class_name(layer), outputs[0].shape, sum(w.size for w in weights),
                   layer.flops(*graph.shapes_at(node, known)) if layer.flops_are_known else None, moved)


def _bytes(shape: Any, own: str, asked: str | None) -> int:
    kind = asked if asked is not None and "float" in own else own
    return -(-Weight("", shape, dtype=kind).bits // 8)

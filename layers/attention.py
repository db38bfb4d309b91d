"""Attention of one head: [query, value] or [query, value, key] in, a mean of the values for each query out."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from kerashape_torch import ops
from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import TensorSpec, shapes_of
from kerashape_torch.kinds import Choice
from kerashape_torch.layer import Layer
from kerashape_torch.shape import Shape, elements, fixed, to_text
from kerashape_torch.structure import is_shape
from kerashape_torch.weights import WeightSpec, weight


class Attention(Layer):
    """Means of the values, weighed by how well each key fits each query (Luong's attention).

    Scores are products of query and key, times a learned number with ``use_scale``; with ``score_mode="concat"`` sums
    of ``tanh(query + key)``. Called with ``return_attention_scores=True`` it also gives the weights.

    Input shape:  a list: query (batch, queries, width), value (batch, keys, features) and, if it is another tensor, key
                  (batch, keys, width)
    Output shape: (batch, queries, features), and the weights (batch, queries, keys)

    Keras' shape rule accepts queries and keys of different widths, and its computation refuses them: so does compiling.

    >>> Attention().compute_output_shape([(None, 3, 4), (None, 5, 6), (None, 5, 4)])
    (None, 3, 6)
    """

    use_scale: bool = False
    score_mode: Annotated[str, Choice("dot", "concat")] = "dot"
    dropout: float = 0.0
    seed: int | None = None
    call_arguments = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
    supports_masking = True
    uses_mask = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the query."""
        if previous_mask is None or previous_mask[0] is None:
            return None
        return ops.convert_to_tensor(previous_mask[0])  # an op that changes nothing, and is in Keras' graph

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        query, value, _ = _three(shapes)
        return (*query[:-1], *value[-1:])

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output = super().outputs_for(specs, args, kwargs)
        if not self.bind(args, kwargs).get("return_attention_scores"):
            return output
        query, _, key = _three(shapes_of(specs[0]))
        return output, TensorSpec((*query[:-1], key[-2]), output.dtype)

    def weight_specs(self, shapes: list[Shape]) -> list[WeightSpec]:
        specs = [weight("scale", (), "ones")] if self.use_scale else []
        return [*specs, weight("concat_score_weight", (), "ones")] if self.score_mode == "concat" else specs

    def flops(self, shapes: list[Shape]) -> int:
        query, value, key = _three(shapes)
        widths = elements(value[-1:]) + (elements(query[-1:]) if self.score_mode == "dot" else 0)
        return 2 * elements(query[:-1]) * elements(key[-2:-1]) * widths

    def module(self, shapes: list[Shape]) -> Any:
        from kerashape_torch.torch_modules.attention import Attention

        self.check_widths(shapes)
        return Attention(self.score_mode, self.use_scale, self.dropout)

    def check_widths(self, shapes: list[Shape]) -> None:
        """Refuses queries and keys that cannot be compared, where the numbers would be made."""
        query, _, key = _three(shapes)
        if None not in (query[-1], key[-1]) and query[-1] != key[-1]:
            raise ShapeError(f"width: the query has {query[-1]} and the key {key[-1]}",
                             hint="a key of its own is the third tensor of the list"
                             ).at(self.describe(), to_text(shapes))


def _three(shapes: Any) -> tuple[Shape, Shape, Shape]:
    if is_shape(shapes) or len(shapes) not in (2, 3):
        given = "one tensor" if is_shape(shapes) else f"a list of {len(shapes)}"
        raise ShapeError(f"takes a list of two or three tensors, [query, value] or [query, value, key], got {given}")
    for name, shape in zip(("query", "value", "key"), shapes):
        if len(shape) < 2:
            raise ShapeError(f"{name}: expected (batch, ..., steps, features), got rank {len(shape)}")
    return shapes[0], shapes[1], shapes[-1]


class AdditiveAttention(Attention):
    """Means of the values, weighed by ``sum(scale * tanh(query + key))`` (Bahdanau's attention).

    Input shape:  a list: query (batch, queries, width), value (batch, keys, features) and, if it is another tensor, key
                  (batch, keys, width)
    Output shape: (batch, queries, features), and with ``return_attention_scores=True`` the weights
                  (batch, queries, keys)

    >>> AdditiveAttention().compute_output_shape([(None, 3, 4), (None, 5, 4)])
    (None, 3, 4)
    """

    unwritten = ("score_mode",)

    use_scale: bool = True
    dropout: float = 0.0

    def weight_specs(self, shapes: list[Shape]) -> list[WeightSpec]:
        width = _three(shapes)[0][-1]
        if not self.use_scale:
            return []
        return [weight("scale", (fixed(width, "width of the query"),), "glorot_uniform", axes=("features",))]

    def flops(self, shapes: list[Shape]) -> int:
        query, value, _ = _three(shapes)
        return 2 * elements(query[:-1]) * elements(value[-2:])

    def module(self, shapes: list[Shape]) -> Any:
        from kerashape_torch.torch_modules.attention import AdditiveAttention

        self.check_widths(shapes)
        return AdditiveAttention(_three(shapes)[0][-1] or 0, self.use_scale, self.dropout)

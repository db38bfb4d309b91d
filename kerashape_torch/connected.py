"""What is known of a layer once it is connected: what it takes and gives, as tensors and as shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import Node, shapes_of, symbolic
from kerashape_torch.shape import to_text

if TYPE_CHECKING:
    from kerashape_torch.shape import Shape
    from kerashape_torch.weights import WeightSpec


class Connected:
    """What is called on symbolic tensors, or is told its input shape."""

    nodes: list[Node]
    declared_shape: Shape | None
    weights_may_be_refused: ClassVar[bool] = True
    """Whether its weight rule may refuse what its shape rule takes, even if all sizes of a sample are known. Said of a
    class of this package; of others it is found out."""

    if TYPE_CHECKING:

        def input_specs(self, args: Any, kwargs: Any) -> list[Any]: ...
        def describe(self, name: str | None = None) -> str: ...
        def compute_output_shape(self, *shapes: Any, **_: Any) -> Any: ...
        def weight_specs(self, *shapes: Any) -> list[WeightSpec]: ...

    @property
    def input(self) -> Any:
        """What the layer was called on first: a symbolic tensor, or a list of them.

        Raises:
            ShapeError: it has not been called.
        """
        call = self._first_call
        found = symbolic((call.args, call.kwargs))
        return found[0] if len(found) == 1 else found

    @property
    def output(self) -> Any:
        """What the first call gave, for a model of what is inside another: ``Model(model.inputs, layer.output)``.

        Raises:
            ShapeError: the layer has not been called.

        >>> from kerashape_torch import Model, Sequential
        >>> from kerashape_torch.layers import Dense
        >>> model = Sequential([Dense(4, input_shape=(3,), name="features"), Dense(1)])
        >>> Model(model.inputs, model.get_layer("features").output).output_shape
        (None, 4)
        """
        return self._first_call.outputs

    @property
    def _first_call(self) -> Node:
        if not self.nodes:
            raise ShapeError(f"{self.describe()} has no input and no output yet",
                             hint="call it on Input(...), or add it to a model that has an input shape")
        return self.nodes[0]

    def call_shapes(self) -> list[Any]:
        """The shapes that the rules take, from the first call or from the declared input shape.

        Raises:
            ShapeError: the layer is not connected and no input shape was given.
        """
        if self.nodes:
            return list(map(shapes_of, self.input_specs(self.nodes[0].args, self.nodes[0].kwargs)))
        if self.declared_shape is not None:
            return [self.declared_shape]
        raise ShapeError(f"the input shape of {self.describe()} is not known yet",
                         hint="give it input_shape=..., or call it on Input(...), or add it to a model that has one")

    @property
    def input_shape(self) -> Any:
        """The input shape with its batch axis: ``(None, 3)``; a list where there are several."""
        shapes = self.call_shapes()
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The output shape with its batch axis; a list where there are several."""
        if self.nodes:
            return shapes_of(self.nodes[0].outputs)
        return self.compute_output_shape(*self.call_shapes())

    def check_weights(self, specs: Sequence[Any]) -> None:
        """Refuses :meth:`input_specs` from which no weights follow, or others than those that an earlier call made."""
        shapes = list(map(shapes_of, specs))
        if not (self.nodes or self.weights_may_be_refused or [
                shape for shape in shapes if type(shape) is not tuple or None in shape[1:]]):
            return  # they are reckoned when someone asks for them
        asked = self.weight_specs(*shapes)
        shared = {spec.full_path: spec.shape for spec in self.weight_specs(*self.call_shapes())} if self.nodes else {}
        for spec in asked if shared else ():
            first = shared.get(spec.full_path, spec.shape)
            if first != spec.shape:
                raise ShapeError(f"{spec.name} is {to_text(first)} since the first call, on "
                                 f"{to_text(self.input_shape)}; this input asks for {to_text(spec.shape)}",
                                 hint="a layer called twice shares its weights: use two layers, or inputs alike")

"""An fx graph whose nodes know where they come from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import fx

from kerashape_torch.models import Model, Sequential


class ModelCall(NamedTuple):
    """A call of a model inside a model.

    Attributes:
        path: of its modules.
        number: of the call.
        name: of what it is.
        given: the names of the nodes that it takes, and of the model's inputs.
        of_a_class: whether a user's class is behind it, so that its layers have the names of attributes.
    """

    path: str
    number: int
    name: str
    given: tuple[tuple[str, str], ...]
    of_a_class: bool


class MarkedGraph(fx.Graph):
    """A graph whose nodes know where they come from: ``meta["keras_layer"]`` is the layer's name, and
    ``meta["keras_calls"]`` the calls of models inside models, from the outermost one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = ""
        self.calls: tuple[ModelCall, ...] = ()
        self.count = 0

    @contextlib.contextmanager
    def inside(self, path: str, model: Model, given: Sequence[fx.Node]) -> Iterator[None]:
        """Nodes made meanwhile belong to this call of a model."""
        outside, self.count = self.calls, self.count + 1
        kind = model.keras_class_name
        is_of_a_class = kind not in (Model.keras_class_name, Sequential.keras_class_name)
        name = kind if is_of_a_class else path.rpartition(".")[2]
        names = getattr(model, "argument_names", None) or [x.node.layer.name for x in model.graph.flat_inputs]
        taken = tuple(zip((node.name for node in given), names))
        self.calls = (*outside, ModelCall(path, self.count, name, taken, is_of_a_class))
        try:
            yield
        finally:
            self.calls = outside

    def create_node(self, *arguments: Any, **named: Any) -> fx.Node:
        node = super().create_node(*arguments, **named)
        node.meta.update(keras_layer=self.layer, keras_calls=self.calls)
        return node

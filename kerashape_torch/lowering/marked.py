"""An fx graph whose nodes know where they come from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import fx

from kerashape_torch.models import Model, Sequential


class ModelCall(NamedTuple):
    """A call of a model inside a model: the path of its modules, the number of the call, and the name of what it is."""

    path: str
    number: int
    name: str


class MarkedGraph(fx.Graph):
    """A graph whose nodes know where they come from: ``meta["keras_layer"]`` is the layer's name, and
    ``meta["keras_calls"]`` the calls of models inside models, from the outermost one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = ""
        self.calls: tuple[ModelCall, ...] = ()
        self.count = 0

    @contextlib.contextmanager
    def inside(self, path: str, model: Model) -> Iterator[None]:
        """Nodes made meanwhile belong to this call of a model."""
        outside, self.count = self.calls, self.count + 1
        kind = model.keras_class_name
        is_of_a_class = kind not in (Model.keras_class_name, Sequential.keras_class_name)
        self.calls = (*outside, ModelCall(path, self.count, kind if is_of_a_class else path.rpartition(".")[2]))
        try:
            yield
        finally:
            self.calls = outside

    def create_node(self, *arguments: Any, **named: Any) -> fx.Node:
        node = super().create_node(*arguments, **named)
        node.meta.update(keras_layer=self.layer, keras_calls=self.calls)
        return node

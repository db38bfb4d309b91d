"""Real Keras, where somebody has it installed: Keras 3, or Keras 2 as tf_keras. Nothing else here ever imports it."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from kerashape_torch.errors import KerashapeError
from kerashape_torch.structure import flatten


class Unavailable(KerashapeError):
    """There is no Keras, or none that takes the file."""


class Oracle:
    """A model file as Keras itself reads it.

    Args:
        package: Keras, as a module.
        model: what it made of the file.
    """

    def __init__(self, package: Any, model: Any) -> None:
        self.package = package
        self.model = model

    @property
    def name(self) -> str:
        """Which Keras this is: ``keras 3.15.1 on torch``."""
        return f"{self.package.__name__} {self.package.__version__} on {self.package.backend.backend()}"

    @staticmethod
    def graph_of(model: Any) -> Any:
        """The functional model that a Sequential of Keras 3 keeps inside; of others the model itself."""
        return getattr(model, "_functional", None) or model

    def tensors_of(self, model: Any) -> dict[str, list[Any]]:
        """The symbolic tensors that the layers and ops of a model give, by their names, in the order of their calls."""
        graph = self.graph_of(model)
        nodes = {id(node) for level in graph._nodes_by_depth.values() for node in level}
        return {each.name: [x for node in each._inbound_nodes if id(node) in nodes for x in flatten(_outputs(node))]
                for each in getattr(graph, "operations", graph.layers)}

    def inputs_of(self, model: Any, name: str) -> list[Any]:
        """The symbolic tensors that a model or layer inside another one is first called with."""
        graph = self.graph_of(model)
        nodes = {id(node) for level in graph._nodes_by_depth.values() for node in level}
        inner = graph.get_layer(name)
        first = next(node for node in inner._inbound_nodes if id(node) in nodes)
        found = getattr(first, "input_tensors", None)  # in Keras 2, one tensor has no truth
        return flatten(first.keras_inputs if found is None else found)

    def values(self, model: Any, tensors: list[Any], inputs: list[Any]) -> list[np.ndarray[Any, Any]]:
        """What symbolic tensors of a model are for its inputs, in inference."""
        graph = self.graph_of(model)
        try:
            whole = self.package.Model(graph.inputs, tensors)
            return [_array(x) for x in flatten(whole(inputs, training=False))]
        except Exception as error:  # whatever a Keras raises that reads a model and cannot run it, as cuDNN's on a CPU
            raise Unavailable(f"{self.name} cannot run it: {_first_line(error)}") from error


def load(path: Any, version: str | None = None) -> Oracle:
    """The file in the Keras that wrote it, or else in the other one, whichever is installed and takes it.

    Keras 3 reads some files of Keras 2 with other numbers.

    Raises:
        Unavailable: there is none, or all refuse the file.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")  # for a Keras that nobody has imported or set up yet
    problems = []
    names = ("keras", "tf_keras")
    for name in reversed(names) if (version or "3").startswith(("0", "1", "2")) else names:
        try:
            package = importlib.import_module(name)
        except ImportError:
            continue
        try:
            return Oracle(package, package.models.load_model(path, compile=False))
        except Exception as error:  # whatever Keras raises on files that it cannot read
            problems.append(f"{name} {package.__version__} cannot load it: {_first_line(error)}")
    if problems:
        raise Unavailable("; ".join(problems))
    raise Unavailable("Keras is not installed here")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _outputs(node: Any) -> Any:
    found = getattr(node, "output_tensors", None)  # Keras 3; in Keras 2 it is there too, and holds one tensor as it is
    return found if found is not None else node.outputs


def _array(x: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.asarray(x.detach().cpu().float() if hasattr(x, "detach") else x)
    return array

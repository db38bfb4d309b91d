"""What a function does with layers, followed on symbolic tensors until it is a graph."""

from __future__ import annotations

import contextlib
import inspect
import itertools
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.graph import Constant, Graph, SymbolicTensor, TensorSpec, following
from kerashape_torch.inner_weights import weights_can_be_read
from kerashape_torch.inputs import Input
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.structure import flatten, map_structure

Refusal = Callable[[str], ConfigError]


def followed(call: Callable[..., Any], specs: Mapping[str, Any], said: Mapping[str, Any], held: Sequence[Layer],
             refusal: Refusal) -> Graph:
    """The graph of a call.

    Args:
        call: of tensors and other arguments by name. Where it has an argument ``training``, layers may be called in
            training alone if they rest in inference: the graph has them.
        specs: what it is given for tensors.
        said: its other arguments, without ``training``.
        held: the layers that are the same whenever it is called; others it makes anew.
        refusal: the error for a reason why it cannot be followed.
    """
    if "training" not in inspect.signature(call).parameters:
        return _steady(call, specs, said, held, refusal)
    in_training = _by_mode(_steady(call, specs, {**said, "training": _ByMode(1)}, held, refusal))
    with _forgetting_calls(held):
        in_inference = _traced(call, specs, {**said, "training": None}, refusal)
    if len(in_inference.losses) != len(in_training.losses):
        raise refusal("it adds other losses in training than in inference")
    known = set(held)
    if _calls(in_inference, known) != _calls(in_training, known):
        raise refusal("it does other things in training than in inference")
    return in_training


def _steady(call: Callable[..., Any], specs: Mapping[str, Any], said: Mapping[str, Any], held: Sequence[Layer],
            refusal: Refusal) -> Graph:
    """The graph of a call whose constants are the same whenever it is followed. Where they are not, something draws
    them, and would draw others in each run."""
    graph = _traced(call, specs, said, refusal)
    constants = _constants(graph)
    if constants:
        with _forgetting_calls(held):
            again = _constants(_traced(call, specs, said, refusal))
        if again != constants:
            raise refusal("it has other numbers each time, as from NumPy's or torch's generator. Way out: draw them by "
                          "kerashape_torch.random, which does so in each run")
    return graph


@contextlib.contextmanager
def _forgetting_calls(held: Sequence[Layer]) -> Iterator[None]:
    """Layers know nothing of calls inside the ``with``, once it is over."""
    counts = {layer: len(layer.nodes) for layer in held}
    yield
    for layer, count in counts.items():
        del layer.nodes[count:]


def _constants(graph: Graph) -> list[Any]:
    found = [x.value for node in graph.nodes for x in flatten((node.args, node.kwargs)) if isinstance(x, Constant)]
    if found:
        import numpy as np

    return [np.asarray(x.detach().cpu() if hasattr(x, "detach") else x).tobytes() for x in found]


def followed_by_mode(call: Callable[..., Any], specs: Mapping[str, Any], said: Mapping[str, Any],
                     held: Sequence[Layer], refusal: Refusal) -> tuple[Graph, Graph]:
    """The graphs of a call in training and in inference, where these may be any others; see :func:`followed`."""
    graphs = []
    for mode in (True, False):
        graphs.append(_steady(call, specs, {**said, "training": mode}, held, refusal))
        for node in graphs[-1].nodes:  # what is handed on is the mode of the module
            if node.kwargs.get("training") is mode:
                del node.kwargs["training"]
    return graphs[0], graphs[1]


def _traced(call: Callable[..., Any], specs: Mapping[str, Any], said: Mapping[str, Any], refusal: Refusal) -> Graph:
    inputs = map_structure(lambda x: Input(batch_shape=x.shape, dtype=x.dtype), dict(specs))
    try:
        with following(flatten(inputs)), weights_can_be_read(), _collecting() as losses:
            graph = Graph(alone(inputs), call(**inputs, **said))
            graph.losses = losses
            return graph
    except KerashapeError:
        raise
    except Exception as error:  # whatever the user's function raises
        raise refusal(f"{type(error).__name__}: {error}") from error


_losses: ContextVar[list[SymbolicTensor] | None] = ContextVar("losses", default=None)


@contextlib.contextmanager
def _collecting() -> Iterator[list[SymbolicTensor]]:
    found: list[SymbolicTensor] = []
    token = _losses.set(found)
    try:
        yield found
    finally:
        _losses.reset(token)


def add_to_losses(loss: SymbolicTensor) -> None:
    """Adds a number to the losses of the call that is being followed."""
    found = _losses.get()
    if found is not None:
        found.append(loss)


def apart(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of a call that are tensors, alone or in lists and dicts, and the others."""
    tensors = {name: x for name, x in given.items() if any(isinstance(each, TensorSpec) for each in flatten(x))}
    return tensors, {name: x for name, x in given.items() if name not in tensors}


def alone(tensors: Mapping[str, Any]) -> Any:
    """The inputs of a model whose call takes these tensors by name."""
    found = list(tensors.values())
    return found[0] if len(found) == 1 else found


class _ByMode(int):
    """``training`` of a call that is followed: true, and left to the mode of the module wherever it is handed on."""


def _by_mode(graph: Graph) -> Graph:
    for node in graph.nodes:
        node.args = map_structure(lambda x: None if isinstance(x, _ByMode) else x, node.args)
        node.kwargs = {name: x for name, x in node.kwargs.items() if not isinstance(x, _ByMode)}
    return graph


def _calls(graph: Graph, held: Container[Layer]) -> list[Any]:
    """What a graph does in inference, call after call; layers that a model does not hold are made anew for each."""
    serial = itertools.count()
    places = {id(x): next(serial) for x in graph.flat_inputs}
    found: list[Any] = []

    def said(x: Any) -> Any:
        return places.get(id(x), x.items if isinstance(x, Constant) else repr(x))

    for node in graph.nodes:
        if node.inputs and _rests(node.layer):
            places.update(zip(map(id, flatten(node.outputs)), (places[id(x)] for x in node.inputs)))
            continue
        places.update((id(x), next(serial)) for x in flatten(node.outputs) if id(x) not in places)
        kwargs = {name: map_structure(said, x) for name, x in node.kwargs.items() if name != "training"}
        found.append((node.layer if node.layer in held else repr(node.layer), map_structure(said, node.args), kwargs))
    return [*found, map_structure(said, graph.outputs)]


def _rests(layer: Layer) -> bool:
    return all(map(_rests, layer.operations)) if isinstance(layer, Model) else layer.rests_in_inference

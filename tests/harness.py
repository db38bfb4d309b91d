"""Replays the cases recorded from real Keras: one description of how a case calls its layer, for all tests."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kerashape_torch import Input
from kerashape_torch.config import custom_object_scope, deserialize
from kerashape_torch.graph import SymbolicTensor
from kerashape_torch.layer import Layer
from kerashape_torch.lowering import set_keras_weights
from kerashape_torch.lowering.weights import to_numpy
from kerashape_torch.models import InputLayer, Model
from kerashape_torch.structure import flatten, is_shape
from kerashape_torch.weights import WeightSpec

DATA = Path(__file__).parent / "data"
NOT_LAYERS = {"Model", "Functional", "Sequential"}
LEGACY = {"legacy", "locally_connected", "cudnn_recurrent"}  # families that no Keras 3 has: see test_legacy_layers
TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
"""The version of torch. Where a test asks for 2.11 or 2.13, 2.6 or 2.11 falls short; none in between was tried."""
NO_CASES = {*LEGACY, "applications"}  # families that have no recorded cases of keras.layers

Case = dict[str, Any]

# Recorded cases that cannot be replayed from their config, or that Keras itself gets wrong: case id -> why.
NOT_REPLAYABLE: dict[str, str] = {
    "IntegerLookup_012": "its vocabulary came from adapt() and is not in its config",
    "StringLookup_012": "its vocabulary came from adapt() and is not in its config",
    "TextVectorization_013": "its vocabulary came from adapt() and is not in its config",
}


@functools.cache
def layer_cases() -> list[Case]:
    """Shape cases: config, input shapes, and what Keras said of them."""
    with gzip.open(DATA / "layer_cases.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@functools.cache
def numeric_cases() -> list[Case]:
    """Number cases: config, weights, inputs and outputs; the arrays are read by :func:`arrays`."""
    found = []
    for path in sorted((DATA / "layer_numeric").glob("*.json")):
        found += json.loads(path.read_text())["cases"]
    return found


@functools.cache
def replayable_cases() -> list[Case]:
    """The number cases that tell all that is needed to run them again."""
    return [case for case in numeric_cases() if known(case) and case["id"] not in NOT_REPLAYABLE]


def is_half(case: Case) -> bool:
    """Whether the case's layer computes in 16 bits."""
    return any(name in str(case["config"]["config"].get("dtype")) for name in ("float16", "bfloat16"))


def is_stateful(case: Case) -> bool:
    """Whether a layer of the case carries state from call to call, and so needs a batch of known size."""
    return '"stateful": true' in json.dumps(case["config"])


def arrays(case: Case) -> dict[str, np.ndarray]:
    """The arrays of a numeric case by their short names: input_0, weight_0, output_0, ..."""
    with np.load(DATA / "layer_numeric" / f"{case['class_name']}.npz") as stored:
        prefix = f"{case['id']}/"
        return {name.removeprefix(prefix): stored[name] for name in stored.files if name.startswith(prefix)}


def known(case: Case) -> bool:
    """Whether the catalog has every class that a case's config names."""
    return all(name in Layer.catalog() for name in _layer_classes(case["config"]))


def _layer_classes(config: Any) -> list[str]:
    if isinstance(config, dict):
        inner = [name for value in config.values() for name in _layer_classes(value)]
        is_layer = config.get("module") == "keras.layers" and "class_name" in config
        return [config["class_name"], *inner] if is_layer else inner
    if isinstance(config, list):
        return [name for value in config for name in _layer_classes(value)]
    return []


def plain(value: Any) -> Any:
    """JSON's view of a value: tuples are lists."""
    return json.loads(json.dumps(value))


def make(case: Case) -> Layer:
    """The case's layer, from its config. Lambdas of the corpus are given by name, as a user would give them."""
    with custom_object_scope(LAMBDAS.get(case["id"])):
        return deserialize(case["config"])


def keras_layer(case: Case) -> Any:
    """The case's layer in Keras itself."""
    import keras

    config = plain(case["config"])
    if case["class_name"] == "RandomShear":  # Keras writes 0.2 as [-0.2, 0.2], and refuses to load that
        factors = {name: config["config"][name] for name in ("x_factor", "y_factor")}
        config["config"].update((name, ends[1]) for name, ends in factors.items() if ends[0] < 0)
    return keras.saving.deserialize_keras_object(config)


LAMBDAS: dict[str, dict[str, Any]] = {
    "Lambda_000": {"lambda": lambda x: x * 2 + 1},
    "Lambda_001": {"lambda": lambda x: x[:, 0, :]},
    "Lambda_005": {"lambda": lambda x: x.sum(1)},
}
"""Replacements for recorded Lambda bytecode, which is never run: case id -> custom objects."""

MODEL_LAMBDAS: dict[str, dict[str, Any]] = {
    "lambda_layers": {"affine": lambda t: t * 2.0 + 1.0, "with_args": lambda t, k: abs(t) * k,
                      "combine": lambda ts: ts[0] - 0.5 * ts[1]},
    "lambda_named_function": {"by_name": torch.tanh, "op_by_name": torch.abs},
    "lambda_global_reference": {"uses_global": lambda t: torch.tanh(t) * 3.0},
}
"""The same for whole models: name of the recorded model -> functions by the names of its layers."""


def _map_tensor_marks(function: Any, value: Any) -> Any:
    if isinstance(value, dict) and "tensor" in value:
        return function(value["tensor"])
    if isinstance(value, list):
        return [_map_tensor_marks(function, item) for item in value]
    return value


def arrange(style: str, tensors: list[Any]) -> list[Any]:
    """Positional arguments in the way that a case calls its layer."""
    if style == "single":
        return [tensors[0]]
    if style == "list":
        return [list(tensors)]
    if style == "args":
        return list(tensors)
    if style == "cell":
        return [tensors[0], list(tensors[1:])]
    if style == "cell2":
        return [tensors[0], [list(tensors[1:3]), list(tensors[3:5])]]
    raise AssertionError(f"unknown call style {style}")


def call(case: Case, layer: Layer, shapes: list[Any] | None = None) -> Any:
    """The symbolic outputs of a case."""
    if isinstance(layer, InputLayer):
        return layer.output
    marks = tensor_marks(case)
    batch_shapes = [*map(tuple, shapes or case["input_shapes"]), *((None, *mark["shape"][1:]) for mark in marks)]
    dtypes = [*case["input_dtypes"], *(mark["dtype"] for mark in marks)]
    args, kwargs = arguments(case, [Input(batch_shape=s, dtype=d) for s, d in zip(batch_shapes, dtypes)])
    return layer(*args, **kwargs)


def as_model(layer: Layer, outputs: Any) -> Model:
    """The model of one call, its inputs in the order of the call's tensors."""
    node = flatten(outputs)[0].node
    return Model(list(dict.fromkeys(node.inputs)), outputs)


def shapes_as_recorded(outputs: Any) -> Any:
    """Shapes as the corpus writes them: one output is one list, several are a list of lists."""
    if isinstance(outputs, SymbolicTensor):
        return list(outputs.shape)
    if isinstance(outputs, dict):
        return {key: shapes_as_recorded(value) for key, value in outputs.items()}
    return [shapes_as_recorded(x) for x in outputs]


def flat_shapes(shapes: Any) -> list[list[int | None]]:
    """All shapes of a nested record, in order."""
    if shapes is None:
        return []
    if is_shape(shapes):
        return [list(shapes)]
    return [shape for item in (shapes.values() if isinstance(shapes, dict) else shapes) for shape in flat_shapes(item)]


def tensor_marks(case: Case) -> list[dict[str, Any]]:
    """What a case says of the tensors that its call takes by keyword, in order."""
    found: list[dict[str, Any]] = []
    _map_tensor_marks(found.append, list((case.get("call_kwargs") or {}).values()))
    return found


def arguments(case: Case, tensors: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a case's call, with these tensors in their places: the positional ones, then the others."""
    marked = case.get("call_kwargs") or {}
    positional = len(tensors) - len(tensor_marks(case))
    rest = iter(tensors[positional:])
    kwargs = {name: _map_tensor_marks(lambda _: next(rest), value) for name, value in marked.items()}
    return arrange(case["call_style"], list(tensors[:positional])), kwargs


def compiled(case: Case, layer: Layer, inputs: list[np.ndarray], device: str = "cpu") -> torch.nn.Module:
    """The compiled module of a case's call on such inputs; it takes them in this order."""
    dtypes = [*case["input_dtypes"], *(mark["dtype"] for mark in tensor_marks(case))]
    batch = None if not is_stateful(case) else len(inputs[0])
    tensors = [Input(batch_shape=(batch, *x.shape[1:]), dtype=dtype) for x, dtype in zip(inputs, dtypes)]
    args, kwargs = arguments(case, tensors)
    return Model(tensors, layer(*args, **kwargs)).to_torch(device=device)


def run_numeric(case: Case, layer: Layer, device: str = "cpu") -> list[np.ndarray]:
    """Compiles a numeric case's layer, sets Keras' weights and runs it."""
    stored = arrays(case)
    inputs = [*(stored[f"input_{i}"] for i in range(case["n_inputs"])),
              *(stored[f"kwarg_{i}"] for i in range(case["n_kwargs"]))]
    module = compiled(case, layer, inputs, device)
    count = sum(1 for name in stored if name.startswith("weight_"))
    set_keras_weights(module, [stored[f"weight_{i}"] for i in range(count)])
    with torch.inference_mode():
        result = module(*[as_input(x, device) for x in inputs])
    return [to_numpy(x) if isinstance(x, torch.Tensor) else x for x in flatten(result)]


def as_input(x: np.ndarray, device: str = "cpu") -> Any:
    """What a compiled module takes for an array: a tensor, and strings as they are."""
    return x if x.dtype.kind in "US" else torch.as_tensor(np.ascontiguousarray(x), device=device)


def stand_in(shape: list[int], dtype: str) -> Any:
    """What has a shape and no numbers: a tensor on the meta device, or empty strings."""
    return np.full(shape, "") if dtype == "string" else torch.zeros(shape, dtype=getattr(torch, dtype), device="meta")


def random_input(random: np.random.Generator, shape: list[int], dtype: str, indices: bool = False) -> np.ndarray:
    """Integers, and what stands for some, are 0 or 1, so that they are in every table."""
    if indices or dtype in ("bool", "int32", "int64", "uint8"):
        return random.integers(0, 2, shape).astype(dtype)
    return random.normal(size=shape).astype(dtype)


def random_weight(random: np.random.Generator, spec: WeightSpec, like: np.ndarray) -> np.ndarray:
    """Variances are positive."""
    array = random.normal(size=like.shape).astype("float32")
    return np.abs(array) + 1 if "variance" in spec.name else array


def recorded_outputs(case: Case) -> list[list[np.ndarray]]:
    """For each output the numbers that are right: Keras' own, and the other backend's where backends differ."""
    stored = arrays(case)
    return [[stored[key] for key in (f"output_{i}", f"other_output_{i}") if key in stored]
            for i in range(case["n_outputs"])]


def agrees(got: np.ndarray, accepted: list[np.ndarray], rtol: float = 1e-4, atol: float = 1e-5) -> bool:
    """Whether an output equals one of the accepted ones."""
    return any(got.shape == want.shape and np.allclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
               for want in accepted)


@contextlib.contextmanager
def own_generator(seed: int = 0) -> Any:
    """Random numbers that no other test sees."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


__all__ = ["DATA", "LAMBDAS", "NOT_LAYERS", "TORCH", "agrees", "arrays", "as_model", "call", "flat_shapes", "known",
           "layer_cases", "make", "numeric_cases", "own_generator", "plain", "recorded_outputs",
           "run_numeric", "shapes_as_recorded"]

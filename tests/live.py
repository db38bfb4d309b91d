"""Keras itself as the oracle, for what was not recorded: the same layer here and there, with the same weights."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import harness
import keras
import numpy as np
import torch
from harness import Case, plain

from kerashape_torch import Input, Model, set_keras_weights
from kerashape_torch.config import deserialize
from kerashape_torch.layer import Layer
from kerashape_torch.lowering import keras_weights
from kerashape_torch.structure import flatten
from kerashape_torch.torch_modules.places import from_place, tensor_at


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def same_layer(oracle: keras.layers.Layer) -> Layer:
    """The layer that Keras' config describes; it must write that config again."""
    written = keras.saving.serialize_keras_object(oracle)
    layer = deserialize(plain(written))
    assert plain(layer.get_config()) == plain(written["config"])
    return layer


def compiled(oracle: keras.layers.Layer, *shape: int | None) -> torch.nn.Module:
    """The compiled module of an unbuilt Keras layer; both get the same random weights, variances being positive."""
    layer = same_layer(oracle)
    oracle.build(shape)
    inputs = Input(batch_shape=shape)
    module = Model(inputs, layer(inputs)).to_torch()
    names = [spec.name for spec in keras_weights(module).specs]
    weights = [numbers(*w.shape, seed=i) for i, w in enumerate(oracle.get_weights())]
    weights = [np.abs(w) + 0.5 if "var" in name or "stddev" in name else w
               for name, w in zip(names, weights, strict=True)]
    oracle.set_weights(weights)
    set_keras_weights(module, weights)
    return module


class Pair(NamedTuple):
    """One recorded case, live: the compiled module and Keras' layer with the same random weights, and their inputs."""

    ours: torch.nn.Module
    theirs: keras.layers.Layer
    inputs: list[np.ndarray]
    call: Callable[[list[torch.Tensor]], Any]


def pair(case: Case) -> Pair:
    random = np.random.default_rng(zlib.crc32(case["id"].encode()))
    marks = harness.tensor_marks(case)
    shapes = [*case["real_input_shapes"], *([2, *mark["shape"][1:]] for mark in marks)]
    dtypes = [*case["input_dtypes"], *(mark["dtype"] for mark in marks)]
    indices = case["class_name"].endswith("Embedding")
    inputs = [harness.random_input(random, shape, dtype, indices) for shape, dtype in zip(shapes, dtypes)]
    ours, theirs = harness.compiled(case, harness.make(case), inputs), harness.keras_layer(case)

    def call(tensors: list[torch.Tensor]) -> Any:
        args, kwargs = harness.arguments(case, tensors)
        kwargs = {"training": False, **kwargs} if theirs._call_has_training_arg else kwargs
        return theirs(*args, **kwargs)

    call([torch.as_tensor(x) for x in inputs])  # builds it
    if harness.is_stateful(case):
        theirs.reset_state()
    weights = [harness.random_weight(random, spec, array) for spec, array in
               zip(keras_weights(ours).specs, theirs.get_weights(), strict=True)]
    theirs.set_weights(weights)
    set_keras_weights(ours, weights)
    return Pair(ours, theirs, inputs, call)


# ---- gradients -------------------------------------------------------------------------------------------------------


def weighed(outputs: Any) -> torch.Tensor | None:
    """A sum of all outputs of floats in which each element counts differently."""
    floats = [x for x in flatten(outputs) if isinstance(x, torch.Tensor) and x.is_floating_point()]
    terms = [(x * torch.linspace(0.5, 1.5, x.numel(), dtype=x.dtype).reshape(x.shape)).sum() for x in floats]
    return sum(terms) if terms else None  # type: ignore[return-value]


def keras_gradients(module: torch.nn.Module) -> list[torch.Tensor | None]:
    """The gradient of each Keras weight, in Keras' order and layout; None where there is none."""

    def gradient(spec: Any) -> torch.Tensor | None:
        parts = [tensor_at(module, place.path).grad for place in spec.places]
        if any(part is None for part in parts):
            return None
        laid = [from_place(part, place) for part, place in zip(parts, spec.places)]
        return laid[0] if len(laid) == 1 else torch.stack(laid)

    return [gradient(spec) for spec in keras_weights(module).specs]


def gradients_agree(got: list[Any], want: list[Any]) -> None:
    """No gradient is a gradient of 0. What cancels out, as that of a key's bias, is exact to the largest of all."""
    largest = max([1.0, *(float(g.nan_to_num().abs().max()) for g in want if g is not None and g.numel())])
    for x, y in zip(got, want, strict=True):
        if x is None and y is None:
            continue
        x, y = (torch.zeros_like(y) if x is None else x), (torch.zeros_like(x) if y is None else y)
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5 * largest, equal_nan=True)


# ---- layers that were not recorded -----------------------------------------------------------------------------------


def run_keras(oracle: keras.layers.Layer, x: np.ndarray, **kwargs: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(oracle(x, **kwargs))


def close(got: Any, want: Any) -> None:
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else got
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def agree_between_convolutions(oracle: keras.layers.Layer) -> None:
    """Where the tensor already runs channels first when it comes to the layer, its axes must have moved along."""
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(oracle(keras.layers.Conv2D(4, 2)(inputs))))
    model.set_weights([numbers(*w.shape, seed=i) for i, w in enumerate(model.get_weights())])
    module = deserialize(json.loads(model.to_json())).to_torch()
    set_keras_weights(module, model.get_weights())
    x = numbers(2, 5, 6, 3)
    close(module(torch.tensor(x)), run_keras(model, x))

"""Dtype policies, and tensors of integers and booleans, held against Keras.

Symbolic dtypes are alike, and numbers as exact as the dtype allows.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import DATA
from live import numbers

import kerashape_torch as kt
from kerashape_torch import get_keras_weights, set_keras_weights
from kerashape_torch.structure import flatten

K = Any


def cnn(k: K, **dtype: Any) -> Any:
    layers = k.layers
    x = k.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu", **dtype)(x)
    y = layers.MaxPooling2D(**dtype)(layers.BatchNormalization(**dtype)(y))
    return k.Model(x, layers.Dense(3, activation="softmax", **dtype)(layers.Flatten(**dtype)(y)))


def sequence(k: K, **dtype: Any) -> Any:
    layers = k.layers
    x = k.Input((6,), dtype="int32")
    y = layers.Embedding(9, 4, **dtype)(x)
    y = layers.LayerNormalization(**dtype)(y)
    y = layers.MultiHeadAttention(2, 3, **dtype)(y, y)
    return k.Model(x, layers.Dense(2, **dtype)(layers.GlobalAveragePooling1D(**dtype)(y)))


def mixture(k: K, **dtype: Any) -> Any:
    """One layer in the dtype, between two in float32."""
    layers = k.layers
    x = k.Input((5,))
    y = layers.Dense(4, **dtype)(layers.Dense(6, activation="tanh")(x))
    return k.Model(x, layers.Add()([layers.Dense(4)(y), layers.Activation("relu")(y)]))


def both(build: Callable[..., Any], dtype: str) -> tuple[Any, Any, Any]:
    keras.utils.clear_session(free_memory=False)
    theirs, ours = build(keras, dtype=dtype), build(kt, dtype=dtype)
    module = ours.to_torch()
    arrays = [np.abs(numbers(*w.shape, seed=i)) * 0.5 for i, w in enumerate(theirs.get_weights())]
    theirs.set_weights(arrays)
    set_keras_weights(module, arrays)
    return theirs, ours, module


def assert_alike(theirs: Any, module: Any, *inputs: torch.Tensor, tolerance: float) -> None:
    with torch.inference_mode():
        want, got = theirs(list(inputs) if len(inputs) > 1 else inputs[0]), module(*inputs)
    for x, y in zip(flatten(got), flatten(want), strict=True):
        assert x.dtype == y.dtype
        torch.testing.assert_close(x.double(), y.double(), rtol=tolerance, atol=tolerance)


TOLERANCE = {"float64": 1e-6, "float32": 1e-4, "float16": 5e-3, "mixed_float16": 5e-3, "bfloat16": 4e-2,
             "mixed_bfloat16": 4e-2}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("build", [cnn, sequence, mixture])
def test_policies(build: Callable[..., Any], dtype: str) -> None:
    theirs, ours, module = both(build, dtype)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        assert [x.dtype for x in flatten(mine.nodes[0].outputs)] == [x.dtype for x in keras.tree.flatten(other.output)]
        if isinstance(mine, kt.layers.InputLayer):
            continue  # its dtype is that of the tensor, and there is nothing to compute
        assert mine.compute_dtype == other.compute_dtype and mine.variable_dtype == other.variable_dtype
        assert [w.dtype or mine.variable_dtype for w in mine.weights] == [w.dtype for w in other.weights]
    shape = [3, *theirs.input_shape[1:]]
    x = torch.randint(0, 9, shape, dtype=torch.int32) if build is sequence else torch.as_tensor(numbers(*shape))
    assert_alike(theirs, module, x, tolerance=TOLERANCE[dtype])


HOLDERS: dict[str, Callable[[K], Any]] = {
    "outer": lambda k: k.layers.Bidirectional(k.layers.LSTM(4), dtype="mixed_bfloat16"),
    "inner": lambda k: k.layers.Bidirectional(k.layers.LSTM(4, dtype="mixed_bfloat16")),
    "cell": lambda k: k.layers.RNN(k.layers.GRUCell(4, dtype="mixed_bfloat16"), stateful=True),
    "stack": lambda k: k.layers.RNN([k.layers.LSTMCell(4, dtype="float64"), k.layers.GRUCell(4, dtype="float64")]),
    "each_step": lambda k: k.layers.TimeDistributed(k.layers.Dense(4, dtype="mixed_bfloat16")),
    "each_step_outer": lambda k: k.layers.TimeDistributed(k.layers.Dense(4), dtype="mixed_bfloat16"),
    "spectral": lambda k: k.layers.SpectralNormalization(k.layers.Dense(4, activation="relu", dtype="mixed_bfloat16")),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_layer_that_holds_another_of_another_policy(name: str) -> None:
    def build(k: K, dtype: str) -> Any:
        x = k.Input((5, 3), batch_size=2)
        return k.Model(x, k.layers.Activation("tanh", dtype=dtype)(HOLDERS[name](k)(x)))

    theirs, ours, module = both(build, "float32")
    assert ours.layers[1].nodes[0].outputs.dtype == theirs.layers[1].output.dtype
    assert [x.dtype for x in kt.shape_table(ours).rows[1].weights] == [w.dtype for w in theirs.layers[1].weights]
    assert_alike(theirs, module, torch.as_tensor(numbers(2, 5, 3)), tolerance=4e-2)


def test_mixed_precision_is_trained_in_the_dtype_of_its_weights() -> None:
    full, mixed = cnn(kt).to_torch(), cnn(kt, dtype="mixed_bfloat16").to_torch()
    set_keras_weights(full, [np.abs(numbers(*a.shape, seed=i)) for i, a in enumerate(get_keras_weights(full))])
    mixed.load_state_dict(full.state_dict())
    assert list(mixed.state_dict()) == list(full.state_dict())
    for module in (full, mixed):
        module.train()(torch.as_tensor(numbers(4, 8, 8, 3))).float().square().sum().backward()
    for (name, a), b in zip(full.named_parameters(), mixed.parameters(), strict=True):
        assert b.dtype == b.grad.dtype == torch.float32, name
        alike = torch.cosine_similarity(a.grad.flatten(), b.grad.flatten(), 0)  # of near numbers either is the maximum
        assert alike > 0.98, name
    for a, b in zip(full.buffers(), mixed.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=4e-2, atol=4e-2)
    assert not mixed.eval().get_submodule("batch_normalization").training


@pytest.mark.filterwarnings("ignore:Unable to find the path of the module:UserWarning")  # torch 2.6's, in export
def test_mixed_precision_moves_and_compiles() -> None:
    module = cnn(kt, dtype="mixed_bfloat16").to_torch()
    x = torch.as_tensor(numbers(2, 8, 8, 3))
    want = module(x)
    torch.testing.assert_close(torch.compile(module, backend="eager", fullgraph=True)(x), want)
    torch.testing.assert_close(torch.export.export(module, (x,), strict=False).module()(x), want)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(module)))
    twin.load_state_dict({name: torch.zeros_like(value) for name, value in module.state_dict().items()})
    assert twin(x).dtype == torch.bfloat16 and not torch.equal(twin(x), want) and torch.equal(module(x), want)
    assert module.double().get_submodule("dense").weight.dtype == torch.float64


# Not LayerNormalization: on torch Keras rounds its moments to integers, and what comes out normalizes nothing.
LAYERS: dict[str, tuple[tuple[int, ...], Callable[[K], Any]]] = {
    "dense": ((4,), lambda k: k.layers.Dense(3)),
    "conv": ((6, 4), lambda k: k.layers.Conv1D(3, 2)),
    "conv2d": ((6, 6, 2), lambda k: k.layers.Conv2D(3, 2)),
    "lstm": ((5, 4), lambda k: k.layers.LSTM(3)),
    "einsum": ((5, 4), lambda k: k.layers.EinsumDense("abc,cd->abd", (None, 3))),
    "batch": ((4,), lambda k: k.layers.BatchNormalization()),
    "softmax": ((4,), lambda k: k.layers.Activation("softmax")),
    "relu": ((4,), lambda k: k.layers.ReLU()),
    "mean": ((5, 4), lambda k: k.layers.GlobalAveragePooling1D()),
    "flatten": ((5, 4), lambda k: k.layers.Flatten()),
    "reshape": ((5, 4), lambda k: k.layers.Reshape((4, 5))),
    "embedding": ((5,), lambda k: k.layers.Embedding(7, 3)),
    "each_step": ((5,), lambda k: k.layers.TimeDistributed(k.layers.Embedding(7, 3))),
    "rescaling": ((4,), lambda k: k.layers.Rescaling(0.5)),
    "dropout": ((4,), lambda k: k.layers.Dropout(0.5)),
}


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", LAYERS)
def test_tensors_that_are_no_floats(name: str, dtype: str) -> None:
    shape, make = LAYERS[name]
    x = (np.random.default_rng(0).integers(0, 7, (3, *shape)) % (2 if dtype == "bool" else 7)).astype(dtype)

    def build(k: K) -> Any:
        given = k.Input(shape, dtype=dtype)
        return k.Model(given, make(k)(given))

    try:
        theirs = build(keras)
        want = theirs(torch.as_tensor(x))
    except Exception as error:
        pytest.skip(f"Keras on torch refuses it: {type(error).__name__}")
    ours = build(kt)
    module = ours.to_torch()
    set_keras_weights(module, theirs.get_weights())
    got = module(torch.as_tensor(x))
    torch.testing.assert_close(got.double(), want.double(), rtol=1e-4, atol=1e-5)
    assert ours.outputs.dtype == theirs.outputs[0].dtype
    assert [a.shape for a in get_keras_weights(module)] == [a.shape for a in theirs.get_weights()]


# ---- a module in another dtype ---------------------------------------------------------------------------------------

FILES = sorted(path for path in (DATA / "functional").glob("*.keras") if not path.stem.startswith("lambda_"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_models_run_in_another_dtype(path: Path) -> None:
    """Also where a graph casts to float32 or makes numbers, and where a layer has a policy of its own."""
    model = kt.load_model(path)
    module, double, half = (model.to_torch(dtype=dtype) for dtype in (None, "float64", "bfloat16"))
    with np.load(path.with_suffix(".npz")) as stored:
        inputs = [torch.as_tensor(stored[key]) for key in sorted(stored.files) if key.startswith("input_")]
    with torch.no_grad():
        wanted = flatten(module(*inputs))
        if {p.dtype for p in module.parameters()} <= {torch.float32} and "mixed" not in path.stem:
            for x, want in zip(flatten(double(*in_dtype(inputs, torch.float64))), wanted, strict=True):
                scale = max(1.0, float(want.abs().max())) if want.is_floating_point() else 1.0
                torch.testing.assert_close(x, want.to(x.dtype), rtol=1e-4, atol=1e-5 * scale, equal_nan=True)
        found = flatten(half(*in_dtype(inputs, torch.bfloat16)))
    assert [x.shape for x in found] == [x.shape for x in wanted]
    given = [x.numpy() for x in inputs]
    batched = kt.predict(module, given if len(given) > 1 else given[0], batch_size=len(given[0]), dtype="bfloat16")
    assert [x.shape for x in flatten(batched)] == [tuple(x.shape) for x in wanted]


def in_dtype(inputs: list[torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
    return [x.to(dtype) if x.is_floating_point() else x for x in inputs]


def test_a_lazy_module_takes_another_dtype() -> None:
    model = kt.Sequential([kt.layers.Lambda(lambda x: x), kt.layers.Dense(3)])
    module = model.to_torch().to(torch.bfloat16)
    assert module(torch.ones(2, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("optimize", [None, "inference"])
def test_numbers_that_a_graph_makes_are_of_the_other_dtype(optimize: Any) -> None:
    x, tokens = kt.Input((4,)), kt.Input((4,), dtype="int32")
    places = kt.ops.cast(kt.ops.cumsum(kt.ops.ones_like(tokens), axis=1), "float32")
    made = kt.layers.Dense(3)(kt.ops.cast(x > 0, "float32") * x + kt.ops.one_hot(tokens[:, 0], 4) + places)
    module = kt.Model([x, tokens], made).to_torch(dtype="bfloat16", optimize=optimize)
    given = torch.ones(2, 4, dtype=torch.bfloat16), torch.ones(2, 4, dtype=torch.int32)
    assert module(*given).dtype == torch.bfloat16

"""keras.ops on symbolic tensors: shapes, dtypes, names, configs and numbers, each against Keras itself."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import pytest
import torch

import kerashape_torch
from kerashape_torch import Input, Model, activations, ops
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError, UnknownLayerError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.meta_rule import infer_by_running
from kerashape_torch.ops import Operation
from kerashape_torch.structure import flatten

# Each writes the same lines with Keras' ops and with ours: o is the ops module; x (None, 4, 6) is float, i the same of
# int32, b of bool, p positive floats, v (None, 6) a row for each sample.
CASES: dict[str, Callable[..., Any]] = {
    "add_number": lambda o, x, i, b, p, v: x + 1.5,
    "number_add": lambda o, x, i, b, p, v: 2 + x,
    "add_tensors": lambda o, x, i, b, p, v: o.add(x, i),
    "add_by_name": lambda o, x, i, b, p, v: o.add(x1=x, x2=2),
    "add_bool": lambda o, x, i, b, p, v: i + b,
    "integers_and_a_float": lambda o, x, i, b, p, v: i * 0.5,
    "subtract": lambda o, x, i, b, p, v: 2 - x,
    "multiply_broadcast": lambda o, x, i, b, p, v: x * o.expand_dims(v, 1),
    "divide_integers": lambda o, x, i, b, p, v: i / 2,
    "number_divide": lambda o, x, i, b, p, v: 2 / p,
    "divide_function": lambda o, x, i, b, p, v: o.divide(x, 2),
    "true_divide": lambda o, x, i, b, p, v: o.true_divide(x, p),
    "power": lambda o, x, i, b, p, v: x ** 2,
    "number_power": lambda o, x, i, b, p, v: 2.0 ** x,
    "power_integers": lambda o, x, i, b, p, v: i ** 2,
    "floor_divide": lambda o, x, i, b, p, v: x // 0.3,
    "mod": lambda o, x, i, b, p, v: x % 0.7,
    "negative": lambda o, x, i, b, p, v: -x,
    "abs": lambda o, x, i, b, p, v: abs(x),
    "abs_function": lambda o, x, i, b, p, v: o.abs(i),
    "square": lambda o, x, i, b, p, v: o.square(x),
    "sqrt": lambda o, x, i, b, p, v: o.sqrt(p),
    "exp": lambda o, x, i, b, p, v: o.exp(x),
    "exp_integers": lambda o, x, i, b, p, v: o.exp(i),
    "log": lambda o, x, i, b, p, v: o.log(p),
    "log1p": lambda o, x, i, b, p, v: o.log1p(p),
    "rsqrt": lambda o, x, i, b, p, v: o.rsqrt(p),
    "erf": lambda o, x, i, b, p, v: o.erf(x),
    "sign": lambda o, x, i, b, p, v: o.sign(x),
    "sin": lambda o, x, i, b, p, v: o.sin(x),
    "arctan": lambda o, x, i, b, p, v: o.arctan(x),
    "reciprocal": lambda o, x, i, b, p, v: o.reciprocal(p),
    "isfinite": lambda o, x, i, b, p, v: o.isfinite(x),
    "matmul": lambda o, x, i, b, p, v: o.matmul(x, o.transpose(x, (0, 2, 1))),
    "matmul_operator": lambda o, x, i, b, p, v: x @ o.expand_dims(v, -1),
    "einsum": lambda o, x, i, b, p, v: o.einsum("bij,bkj->bik", x, p),
    "einsum_row": lambda o, x, i, b, p, v: o.einsum("bij,bj->bi", x, v),
    "get_item_range": lambda o, x, i, b, p, v: x[:, -2:, 1:9],
    "get_item_integer": lambda o, x, i, b, p, v: x[:, 1],
    "get_item_first": lambda o, x, i, b, p, v: x[0],
    "get_item_new_axis": lambda o, x, i, b, p, v: x[..., None, ::2],
    "get_item_backwards": lambda o, x, i, b, p, v: x[..., ::-1],
    "get_item_backwards_range": lambda o, x, i, b, p, v: x[:, 3:0:-2, -1:0:-2],
    "get_item_backwards_nothing": lambda o, x, i, b, p, v: x[:, 1:2:-1],
    "reshape": lambda o, x, i, b, p, v: o.reshape(x, (-1, 4, 3, 2)),
    "reshape_batch": lambda o, x, i, b, p, v: o.reshape(x, (-1, 3)),
    "transpose": lambda o, x, i, b, p, v: o.transpose(x, (0, 2, 1)),
    "transpose_all": lambda o, x, i, b, p, v: o.transpose(x),
    "expand_dims": lambda o, x, i, b, p, v: o.expand_dims(x, -1),
    "squeeze": lambda o, x, i, b, p, v: o.squeeze(x[:, :1]),
    "squeeze_axis": lambda o, x, i, b, p, v: o.squeeze(x[:, :1], axis=1),
    "concatenate": lambda o, x, i, b, p, v: o.concatenate([x, i, p[:, :2]], axis=1),
    "concatenate_last": lambda o, x, i, b, p, v: o.concatenate([x, p], axis=-1),
    "stack": lambda o, x, i, b, p, v: o.stack([x, p], axis=1),
    "stack_last": lambda o, x, i, b, p, v: o.stack([v, v, v], axis=-1),
    "sum_all": lambda o, x, i, b, p, v: o.sum(x),
    "sum": lambda o, x, i, b, p, v: o.sum(x, axis=-1, keepdims=True),
    "sum_integers": lambda o, x, i, b, p, v: o.sum(i, axis=1),
    "sum_bool": lambda o, x, i, b, p, v: o.sum(b, axis=(1, 2)),
    "mean": lambda o, x, i, b, p, v: o.mean(x, axis=[1, 2]),
    "mean_keep": lambda o, x, i, b, p, v: o.mean(x, axis=-1, keepdims=True),
    "mean_integers": lambda o, x, i, b, p, v: o.mean(i, axis=1),
    "mean_all": lambda o, x, i, b, p, v: o.mean(x, keepdims=True),
    "max": lambda o, x, i, b, p, v: o.max(x, axis=(1, 2)),
    "max_initial": lambda o, x, i, b, p, v: o.max(x, axis=1, initial=0.5),
    "max_all": lambda o, x, i, b, p, v: o.max(x),
    "min": lambda o, x, i, b, p, v: o.min(x, axis=1, keepdims=True),
    "min_initial": lambda o, x, i, b, p, v: o.min(x, axis=1, initial=-0.1),
    "var": lambda o, x, i, b, p, v: o.var(x, axis=1),
    "std": lambda o, x, i, b, p, v: o.std(x, axis=(1, 2), keepdims=True),
    "any": lambda o, x, i, b, p, v: o.any(b, axis=-1),
    "all": lambda o, x, i, b, p, v: o.all(b, axis=1, keepdims=True),
    "argmax": lambda o, x, i, b, p, v: o.argmax(x, axis=-1),
    "argmin": lambda o, x, i, b, p, v: o.argmin(x, axis=1, keepdims=True),
    "clip": lambda o, x, i, b, p, v: o.clip(x, -0.5, 1),
    "clip_integers": lambda o, x, i, b, p, v: o.clip(i, 0, 2),
    "maximum": lambda o, x, i, b, p, v: o.maximum(x, p),
    "maximum_number": lambda o, x, i, b, p, v: o.maximum(x, 0),
    "number_maximum": lambda o, x, i, b, p, v: o.maximum(0.1, x),
    "minimum_number": lambda o, x, i, b, p, v: o.minimum(x, 0.2),
    "number_minimum": lambda o, x, i, b, p, v: o.minimum(0, x),
    "cast": lambda o, x, i, b, p, v: o.cast(i, "float32"),
    "cast_bool": lambda o, x, i, b, p, v: o.cast(b, "int32"),
    "zeros_like": lambda o, x, i, b, p, v: o.zeros_like(x, dtype="int32"),
    "ones_like": lambda o, x, i, b, p, v: o.ones_like(x),
    "where": lambda o, x, i, b, p, v: o.where(b, x, 0.0),
    "where_tensors": lambda o, x, i, b, p, v: o.where(x > 0, x, p),
    "greater": lambda o, x, i, b, p, v: x > 0.2,
    "less_equal": lambda o, x, i, b, p, v: x <= p,
    "not_equal": lambda o, x, i, b, p, v: i != 0,
    "equal": lambda o, x, i, b, p, v: o.equal(i, 1),
    "logical": lambda o, x, i, b, p, v: (b & ~(x > 0)) | (x < -1),
    "logical_xor": lambda o, x, i, b, p, v: b ^ (x > 0),
    "softmax": lambda o, x, i, b, p, v: o.softmax(x),
    "softmax_axis": lambda o, x, i, b, p, v: o.softmax(x, axis=1),
    "softmax_axes": lambda o, x, i, b, p, v: o.softmax(x, axis=(1, 2)),
    "log_softmax": lambda o, x, i, b, p, v: o.log_softmax(x),
    "relu": lambda o, x, i, b, p, v: o.relu(x),
    "leaky_relu": lambda o, x, i, b, p, v: o.leaky_relu(x, negative_slope=0.05),
    "gelu": lambda o, x, i, b, p, v: o.gelu(x),
    "gelu_exact": lambda o, x, i, b, p, v: o.gelu(x, approximate=False),
    "elu": lambda o, x, i, b, p, v: o.elu(x, alpha=0.7),
    "celu": lambda o, x, i, b, p, v: o.celu(x, alpha=0.7),
    "glu": lambda o, x, i, b, p, v: o.glu(x),
    "squareplus": lambda o, x, i, b, p, v: o.squareplus(x),
    "soft_shrink": lambda o, x, i, b, p, v: o.soft_shrink(x),
    "hard_shrink": lambda o, x, i, b, p, v: o.hard_shrink(x, threshold=0.3),
    "threshold": lambda o, x, i, b, p, v: o.threshold(x, 0.1, -1.0),
    "tanh": lambda o, x, i, b, p, v: o.tanh(x),
    "many_activations": lambda o, x, i, b, p, v: [
        getattr(o, name)(x) for name in ("relu6", "sigmoid", "softplus", "softsign", "silu", "log_sigmoid",
                                         "hard_sigmoid", "hard_silu", "selu", "hard_tanh", "tanh_shrink",
                                         "sparse_plus", "sparse_sigmoid")],
}

# Keras' torch backend fails on these, or warns, although its rules accept them: NumPy says what is right.
BY_NUMPY: dict[str, Callable[..., Any]] = {
    "get_item_backwards": lambda x: x[..., ::-1],
    "get_item_backwards_range": lambda x: x[:, 3:0:-2, -1:0:-2],
    "get_item_backwards_nothing": lambda x: x[:, 1:2:-1],
    "transpose_all": lambda x: x.T,
    "softmax_axes": lambda x: np.exp(x) / np.exp(x).sum((1, 2), keepdims=True),
}

REFUSED: dict[str, Callable[..., Any]] = {
    "shapes_that_do_not_meet": lambda o, x, i, b, p, v: x + x[:, :3],
    "matmul_sizes": lambda o, x, i, b, p, v: o.matmul(x, x),
    "index_outside": lambda o, x, i, b, p, v: x[:, 4],
    "too_many_axes": lambda o, x, i, b, p, v: x[0, 0, 0, 0],
    "two_ellipses": lambda o, x, i, b, p, v: x[..., 1, ...],
    "transpose_axes": lambda o, x, i, b, p, v: o.transpose(x, (0, 1, 5)),
    "squeeze_size": lambda o, x, i, b, p, v: o.squeeze(x, axis=1),
    "concatenate_sizes": lambda o, x, i, b, p, v: o.concatenate([x, x[:, :2]], axis=2),
    "stack_sizes": lambda o, x, i, b, p, v: o.stack([x, x[:, :2]], axis=1),
    "reduce_axis": lambda o, x, i, b, p, v: o.sum(x, axis=3),
    "reshape_sizes": lambda o, x, i, b, p, v: o.reshape(x[0], (5, 5)),
}


@functools.cache
def arrays() -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(2, 4, 6)).astype("float32")
    return [x, generator.integers(-3, 4, (2, 4, 6)).astype("int32"), generator.random((2, 4, 6)) > 0.5,
            generator.random((2, 4, 6)).astype("float32") + 0.1, generator.normal(size=(2, 6)).astype("float32")]


def layers_of(model: Any) -> list[dict[str, Any]]:
    """A model's layers as configs; what a layer was built for is told elsewhere."""
    layers = harness.plain(model.get_config()["layers"])
    return [{key: value for key, value in layer.items() if key != "build_config"} for layer in layers]


DTYPES = ("float32", "int32", "bool", "float32", "float32")
SHAPES = ((4, 6), (4, 6), (4, 6), (4, 6), (6,))


def ours(case: Callable[..., Any]) -> tuple[list[Any], Any]:
    inputs = [Input(shape, dtype=dtype, name=name) for shape, dtype, name in zip(SHAPES, DTYPES, "xibpv")]
    return inputs, case(ops, *inputs)


def kerases(case: Callable[..., Any]) -> tuple[list[Any], Any]:
    import keras

    keras.backend.clear_session(free_memory=False)  # names are numbered anew
    inputs = [keras.Input(shape, dtype=dtype, name=name) for shape, dtype, name in zip(SHAPES, DTYPES, "xibpv")]
    return inputs, case(keras.ops, *inputs)


@pytest.mark.parametrize("name", CASES)
def test_as_keras(name: str) -> None:
    """Shape, dtype, config and numbers of the same lines."""
    import keras

    inputs, outputs = ours(CASES[name])
    model = Model(inputs, outputs)
    keras_inputs, keras_outputs = kerases(CASES[name])
    keras_model = keras.Model(keras_inputs, keras_outputs)
    assert [(x.shape, x.dtype) for x in flatten(outputs)] == [(x.shape, x.dtype) for x in flatten(keras_outputs)]
    assert layers_of(model) == layers_of(keras_model)
    module = model.to_torch()
    got = flatten(module(*[torch.as_tensor(a) for a in arrays()]))
    if name in BY_NUMPY:
        expected = [BY_NUMPY[name](arrays()[0])]
    else:
        expected = [keras.ops.convert_to_numpy(x) for x in
                    flatten(keras_model([keras.ops.convert_to_tensor(a) for a in arrays()]))]
    for result, want in zip(got, expected, strict=True):
        assert str(result.dtype).removeprefix("torch.") == str(want.dtype)
        np.testing.assert_allclose(result.numpy(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_in_keras(name: str) -> None:
    with pytest.raises(KerashapeError):
        ours(REFUSED[name])
    with pytest.raises((ValueError, IndexError)):
        kerases(REFUSED[name])


@pytest.mark.parametrize("name", CASES)
def test_config_round_trip(name: str) -> None:
    inputs, outputs = ours(CASES[name])
    model = Model(inputs, outputs)
    config = harness.plain(model.get_config())
    assert harness.plain(Model.from_config(config).get_config()) == config


@pytest.mark.parametrize("name", ["add_number", "mean", "get_item_integer", "einsum", "relu", "maximum_number",
                                  "squeeze"])
def test_any_batch_and_real_tensors(name: str) -> None:
    """The module takes another batch; and the same line on real tensors gives the same numbers."""
    inputs, outputs = ours(CASES[name])
    module = Model(inputs, outputs).to_torch()
    tensors = [torch.cat([torch.as_tensor(a), torch.as_tensor(a[:1])]) for a in arrays()]
    assert torch.equal(module(*tensors), CASES[name](ops, *tensors))


@pytest.mark.parametrize("name", activations._TABLE)
def test_activations_on_symbolic_tensors(name: str) -> None:
    """``keras.activations.relu(x)`` in a model, for every activation that Keras itself can call so."""
    import keras

    arguments = {"threshold": {"threshold": 0.5, "default_value": 0.0}}.get(name, {})

    def call(module: Any, x: Any) -> Any:
        return getattr(module, name)(x, **arguments)

    x = Input((4, 6), name="x")
    keras.backend.clear_session(free_memory=False)
    keras_x = keras.Input((4, 6), name="x")
    if name in ("mish", "sparsemax", "keras2_hard_sigmoid"):  # no ops in Keras, which fails on them or has them not
        with pytest.raises(ConfigError, match="Activation"):
            call(activations, x)
        return
    if name in ("hard_silu", "hard_swish"):  # nor on this one, whose op there is
        assert call(activations, x).node.layer.get_config() == {"name": "hard_silu"}
        return
    model, keras_model = Model(x, call(activations, x)), keras.Model(keras_x, call(keras.activations, keras_x))
    assert layers_of(model) == layers_of(keras_model)
    want = keras.ops.convert_to_numpy(keras_model(arrays()[0]))
    np.testing.assert_allclose(model.to_torch()(torch.as_tensor(arrays()[0])).numpy(), want, rtol=1e-5, atol=1e-6)


def test_the_add_of_ops_is_not_the_layer_add() -> None:
    from kerashape_torch.layers import Add

    x = Input((3,))
    layer, op = Add()([x, x]).node.layer, (x + x).node.layer
    assert isinstance(layer, Add) and not isinstance(op, Add)
    assert isinstance(op, Operation) and type(op).__name__ == "Add"
    assert type(kerashape_torch.saving.deserialize_keras_object(op.serialize())) is type(op)
    assert type(kerashape_torch.saving.deserialize_keras_object(layer.serialize())) is Add
    assert [y.node.layer.name for y in flatten(Model(x, [Add()([x, x]), x + x]).outputs)] == ["add", "add_1"]


def test_unknown_ops_name_the_nearest() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'concatenate'"):
        _ = ops.concatenat
    config = {"module": "keras.src.ops.numpy", "class_name": "Addd", "config": {"name": "a"}, "registered_name": "Addd"}
    with pytest.raises(UnknownLayerError, match=r"keras\.ops.*Did you mean 'Add'"):
        kerashape_torch.saving.deserialize_keras_object(config)


def test_errors_name_the_op_and_the_way() -> None:
    x = Input((4, 6), name="x")
    with pytest.raises(ShapeError) as caught:
        _ = (x * 2)[:, 7]
    assert str(caught.value) == ("get_item = GetItem() cannot take (None, 4, 6)\n"
                                 "  [:, 7]: index 7 is outside an axis of 4\n"
                                 "  reached by: x (None, 4, 6) -> multiply (None, 4, 6)")
    with pytest.raises(ConfigError, match="takes symbolic tensors, arrays and numbers, got object"):
        _ = ops.add(x, object())
    with pytest.raises(ShapeError, match="as many places as are true"):
        ops.where(x > 0)


def test_elementwise_ops_cost_no_permute() -> None:
    """Between convolutions they run channels first; a concatenation moves its axis instead of its tensors."""
    from kerashape_torch.layers import Conv2D

    x = Input((8, 8, 3))
    y = Conv2D(4, 3, padding="same")(x)
    y = ops.concatenate([ops.relu(y) * 2.0 + y, y], axis=-1)
    module = Model(x, Conv2D(2, 1)(ops.softmax(y, axis=-1))).to_torch()
    permutes = [node for node in module.graph.nodes if node.target is torch.permute]
    assert len(permutes) == 2


def test_shape_rules_load_no_torch() -> None:
    code = ("import sys; from kerashape_torch import Input, ops; x = Input((4, 6)); y = Input((4, 6), dtype='int32')\n"
            "z = ((x + y - 1) * 2 / 3) ** 2; z = -z[:, 1:, ::-1]\n"
            "z = ops.reshape(ops.transpose(ops.softmax(z), (0, 2, 1)), (-1, 18)); z = ops.mean(z, axis=-1)\n"
            "assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_export_and_compile() -> None:
    inputs, outputs = ours(CASES["get_item_backwards_range"])
    module = Model(inputs, [outputs, *ours(CASES["softmax_axes"])[1:]][0]).to_torch()
    batch = torch.export.Dim("batch", max=64)  # torch 2.6 asks for a bound where a batch is sliced
    names = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    tensors = tuple(torch.as_tensor(np.concatenate([a, a])) for a in arrays())
    program = torch.export.export(module, tensors, dynamic_shapes={name: {0: batch} for name in names},
                                  strict=False)
    small = tuple(torch.as_tensor(a) for a in arrays())
    assert torch.equal(program.module()(*small), module(*small))


def test_what_gives_no_tensor_is_refused() -> None:
    with pytest.raises(ConfigError, match="what should be a tensor is 3: an operand"):
        infer_by_running(lambda x: 3, (TensorSpec((None, 2)),), {})

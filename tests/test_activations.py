"""Activations: the numbers, names and configs are those of Keras itself."""

import copy
import doctest
import functools
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch

import kerashape_torch as kt
from kerashape_torch import activations, config, identifiers
from kerashape_torch.errors import ConfigError, UnsafeConfigError

NAMES = sorted(name for name in dir(keras.activations)
               if not name.startswith("_") and name not in ("get", "serialize", "deserialize"))
NEEDS = {"threshold": {"threshold": 0.3, "default_value": -2.0}}
GRID = np.concatenate([np.linspace(-8, 8, 129), [-30, -1, -0.5, 0, 0.5, 1, 3, 6, 30, 61]]).astype("float32")
GRID = np.concatenate([GRID, [0.1]]).astype("float32").reshape(10, 14)

VARIED = [
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"max_value": 6}),
    ("relu", {"max_value": 2.5}),
    ("relu", {"threshold": 1.5}),
    ("relu", {"threshold": -1.5}),
    ("relu", {"threshold": -1.5, "max_value": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 6, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 6}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 0.5}),
    ("gelu", {"approximate": True}),
    ("squareplus", {"b": 2}),
    ("soft_shrink", {"threshold": 1.0}),
    ("hard_shrink", {"threshold": 1.0}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": (0, 1)}),
    ("softmax", {"axis": None}),
    ("log_softmax", {"axis": 0}),
    ("log_softmax", {"axis": None}),
    ("log_softmax", {"axis": (0, 1)}),
    ("glu", {"axis": 0}),
    ("sparsemax", {"axis": 0}),
]


def same(ours, theirs):
    torch.testing.assert_close(ours, torch.as_tensor(theirs, device="cpu"), rtol=1e-5, atol=1e-6)


def test_every_activation_of_keras_is_here():
    assert {*NAMES, "keras2_hard_sigmoid"} == set(activations._TABLE)
    assert all(getattr(activations, name) is activations.get(name) for name in NAMES)


@pytest.mark.parametrize(("name", "arguments"), [(name, NEEDS.get(name, {})) for name in NAMES] + VARIED)
def test_numbers_are_those_of_keras(name, arguments):
    x = torch.from_numpy(GRID)
    theirs = getattr(keras.activations, name)(GRID, **arguments)
    same(getattr(activations, name)(x, **arguments), theirs)
    function = activations.lowered(name, arguments=arguments)
    same(x if function is None else function(x), theirs)


@pytest.mark.parametrize("close", [[0.1, 0.2, 0.3, 0.4, 0.5], [1.0, 0.9, -3.0], [0.0, 0.0, 0.0], [-5.0, 5.0, 5.0]])
def test_sparsemax_is_that_of_this_keras(close):
    # Keras up to 3.15.1 computes another threshold than the definition's; if this fails on a newer one, follow it.
    same(activations.sparsemax(torch.tensor([close])), keras.activations.sparsemax(np.array([close], "float32")))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "threshold"])
def test_lowered_is_stock_or_a_function_of_the_module_and_takes_keywords_only(name):
    function = activations.lowered(name)
    if name == "linear":
        assert function is None
        return
    assert isinstance(function, functools.partial) and not function.args
    ours = {"squareplus", "sparse_plus", "sparse_sigmoid", "sparsemax"}
    assert (function.func.__module__ == activations.__name__) == (name in ours)

    graph = torch.fx.Graph()
    x = torch.from_numpy(GRID)
    graph.output(graph.call_function(function.func, (graph.placeholder("x"),), function.keywords))
    torch.testing.assert_close(torch.fx.GraphModule(torch.nn.Module(), graph)(x), function(x))


@pytest.mark.parametrize(("name", "func", "keywords"), [
    ("relu", torch.relu, {}),
    ("gelu", torch.nn.functional.gelu, {"approximate": "none"}),
    ("softmax", torch.softmax, {"dim": -1}),
    ("leaky_relu", torch.nn.functional.leaky_relu, {"negative_slope": 0.2}),
    ("hard_sigmoid", torch.nn.functional.hardsigmoid, {}),
    ("swish", torch.nn.functional.silu, {}),
    ("hard_swish", torch.nn.functional.hardswish, {}),
])
def test_lowered_names_the_torch_function(name, func, keywords):
    function = activations.lowered(name)
    assert function.func is func and function.keywords == keywords


def test_lowered_moves_axes():
    to_channels_first = {-1: 1, 1: 2, 2: 3, 3: 1}.__getitem__
    assert activations.lowered("softmax", to_channels_first).keywords == {"dim": 1}
    assert activations.lowered("log_softmax", to_channels_first).keywords == {"dim": 1}
    assert activations.lowered("glu", to_channels_first).keywords == {"dim": 1}
    assert activations.lowered("sparsemax", to_channels_first).keywords == {"axis": 1}
    assert activations.lowered("softmax", to_channels_first, {"axis": (1, 2)}).keywords == {"axes": (2, 3)}
    assert activations.lowered("softmax", to_channels_first, {"axis": None}).keywords == {"axes": None}
    assert activations.lowered("relu", to_channels_first).keywords == {}


def test_lowered_sees_through_a_partial_and_keeps_a_users_function():
    bound = functools.partial(activations.softmax, axis=1)
    assert activations.lowered(bound).keywords == {"dim": 1}

    def mine(x):
        return x

    assert activations.lowered(mine) is mine
    assert activations.lowered(None) is None
    assert activations.name_of(mine) is None and activations.name_of(activations.swish) == "silu"


def test_threshold_needs_its_arguments():
    with pytest.raises(TypeError, match="threshold"):
        activations.get("threshold")(torch.ones(1))


@pytest.mark.parametrize("name", ["squareplus", "sparse_plus", "sparse_sigmoid", "sparsemax"])
def test_our_own_functions_are_exported_and_traced(name):
    function = activations.lowered(name)

    class Model(torch.nn.Module):
        def forward(self, x):
            return function(x)

    x = torch.from_numpy(GRID)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(Model(), (x,), dynamic_shapes={"x": {0: batch}}).module()
    torch.testing.assert_close(exported(x[:3]), function(x[:3]))
    torch.testing.assert_close(torch.fx.symbolic_trace(Model())(x), function(x))


def test_public_functions_compile_without_a_graph_break():
    def model(x):
        for name in NAMES:
            if name not in ("threshold", "glu"):
                x = x + activations.get(name)(x)
        return activations.softmax(x, axis=(0, 1)) + activations.relu(x, 0.1, 6.0, 1.0)

    compiled = torch.compile(model, fullgraph=True, backend="eager")
    x = torch.from_numpy(GRID).clamp(-1, 1)
    torch.testing.assert_close(compiled(x), model(x))


def test_public_functions_are_traced_by_fx():
    traced = torch.fx.symbolic_trace(lambda x: activations.gelu(activations.softmax(x)))
    assert [node.op for node in traced.graph.nodes] == ["placeholder", "call_function", "call_function", "output"]


def test_symbolic_tensors_are_asked():
    class Symbolic:
        is_symbolic = True

        def apply_function(self, name, kwargs):
            return name, kwargs

    assert activations.softmax(Symbolic(), 1) == ("softmax", {"axis": 1})
    assert activations.hard_swish(x=Symbolic()) == ("hard_silu", {})
    tensor = Symbolic()
    assert activations.linear(tensor) is tensor


# ---- identifiers -----------------------------------------------------------------------------------------------------


@config.register_keras_serializable("mine")
def registered(x):
    return x


def plain(x):
    return 2 * x


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get(plain) is plain
    assert activations.get({"module": "builtins", "class_name": "function", "config": "relu",
                            "registered_name": "function"}) is activations.relu
    assert activations.get("mine>registered") is registered
    with config.custom_object_scope({"plain": plain}):
        assert activations.get("plain") is plain


@pytest.mark.parametrize(("wrong", "words"), [
    ("rellu", r"'rellu' is not one of keras.activations. Did you mean 'relu'\?"),
    (3, "a name, a function or a layer, got 3"),
    (keras.layers.LeakyReLU, r"Did you mean LeakyReLU\(\)"),
    ({"config": "relu"}, "needs the keys"),
    ({"class_name": "function", "config": "nothing"}, "'nothing' is not one of"),
])
def test_get_refuses(wrong, words):
    with pytest.raises(ConfigError, match=words):
        activations.get(wrong)


def test_bytecode_is_refused():
    with pytest.raises(UnsafeConfigError):
        activations.get({"class_name": "__lambda__", "config": {"value": "4wAAAA=="}})


@pytest.mark.parametrize("name", NAMES)
def test_serialize_is_that_of_keras(name):
    written = activations.serialize(getattr(activations, name))
    assert written == keras.activations.serialize(getattr(keras.activations, name))
    assert activations.deserialize(written) is getattr(activations, name)


def test_users_functions_are_written_as_keras_writes_them():
    assert activations.serialize(plain) == keras.activations.serialize(plain)
    assert activations.serialize(registered)["config"] == "mine>registered"
    written = json.loads(json.dumps(activations.serialize(plain)))
    assert activations.deserialize(written, {"plain": plain}) is plain
    assert keras.activations.deserialize(written, {"plain": plain}) is plain
    assert activations.deserialize(activations.serialize(registered)) is registered
    assert activations.deserialize(None) is None
    with pytest.raises(ConfigError, match="neither get_config"):
        activations.serialize(functools.partial(plain))


class Twice:
    """It has no name and no config, so it can be called and not saved."""

    def __call__(self, x):
        return 2 * x


def test_an_object_that_is_called():
    layer = kt.layers.Dense(2, activation=Twice(), kernel_initializer="ones", input_shape=(3,))
    assert layer.to_torch()(torch.ones(1, 3)).tolist() == [[6, 6]]
    layer = kt.layers.Dense(2, activation=torch.nn.Threshold(5, 1), kernel_initializer="ones", input_shape=(3,))
    assert copy.deepcopy(layer.to_torch())(torch.ones(1, 3)).tolist() == [[1, 1]]
    with pytest.raises(ConfigError, match="neither get_config"):
        layer.get_config()
    with pytest.raises(ConfigError, match=r"an activation is a name, a function or a layer, got L2"):
        kt.layers.Dense(2, activation=kt.regularizers.L2())


class Holder(config.Record, catalog=False):
    activation: activations.Activation = None


def test_field():
    assert Holder().get_config() == {"activation": "linear"}
    assert keras.layers.Dense(1).get_config()["activation"] == "linear"
    assert Holder("swish").activation == "swish"
    assert Holder("swish").get_config() == {"activation": "silu"}
    assert Holder({"class_name": "function", "config": "relu"}).activation is activations.relu
    assert Holder.from_config({"activation": {"class_name": "function", "config": "relu"}}).activation == "relu"
    with config.custom_object_scope({"plain": plain}):
        held = Holder("plain")
    assert held.get_config()["activation"]["config"] == "plain"
    with pytest.raises(ConfigError, match=r"^Holder\(activation=...\): 'rellu' is not one of"):
        Holder("rellu")


def test_nothing_heavy_is_imported():
    code = ("import sys, kerashape_torch.activations, kerashape_torch.initializers, kerashape_torch.regularizers, "
            "kerashape_torch.constraints; assert not {'torch', 'numpy', 'keras'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", [activations, identifiers])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0

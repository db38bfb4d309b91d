"""Models written once and built twice, by Keras and by us: names, shapes, counts, configs and numbers must be alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import plain

import kerashape_torch
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layers import LSTM, Add, Dense
from kerashape_torch.lowering import get_keras_weights, predict, set_keras_weights
from kerashape_torch.models import Input, Model, Sequential, clone_model, model_from_json
from kerashape_torch.structure import flatten

K = Any
BUILDERS: dict[str, Callable[[K], Any]] = {}


def builder(function: Callable[[K], Any]) -> Callable[[K], Any]:
    BUILDERS[function.__name__] = function
    return function


@builder
def sequence(k: K) -> Any:
    return k.Sequential([k.layers.Input((6,)), k.layers.Dense(4, activation="relu"), k.layers.Dropout(0.5),
                         k.layers.Dense(3, activation="softmax")])


@builder
def sequence_added(k: K) -> Any:
    model = k.Sequential(name="mine")
    model.add(k.layers.Input((5, 3)))
    for _ in range(3):
        model.add(k.layers.Dense(4))
    model.add(k.layers.Flatten())
    return model


@builder
def cnn(k: K) -> Any:
    layers = k.layers
    return k.Sequential([layers.Input((16, 16, 3)), layers.Conv2D(4, 3, padding="same", strides=2, activation="relu"),
                         layers.BatchNormalization(), layers.MaxPooling2D(), layers.Conv2D(6, 3), layers.Flatten(),
                         layers.Dense(2)])


@builder
def branches(k: K) -> Any:
    layers = k.layers
    x = k.Input((8, 8, 3), name="image")
    a = layers.Conv2D(4, 1)(x)
    b = layers.Conv2D(4, 3, padding="same")(x)
    c = layers.Concatenate()([a, b, layers.MaxPooling2D(3, 1, "same")(x)])
    y = layers.GlobalAveragePooling2D()(layers.Add()([layers.Conv2D(11, 1)(c), c]))
    return k.Model(x, y)


@builder
def shared(k: K) -> Any:
    a, b = k.Input((4,)), k.Input((4,))
    dense = k.layers.Dense(3)
    return k.Model([a, b], k.layers.Subtract()([dense(a), dense(b)]))


@builder
def nested_functional(k: K) -> Any:
    x = k.Input((4,))
    inner = k.Model(x, k.layers.Dense(4)(k.layers.Dense(3)(x)))
    y = k.Input((4,))
    return k.Model(y, k.layers.Add()([inner(inner(y)), k.layers.Dense(4)(y)]))


@builder
def nested_sequential(k: K) -> Any:
    y = k.Input((4,))
    first = k.layers.Dense(4)(y)
    inner = k.Sequential([k.layers.Dense(3), k.layers.Dense(2)])
    return k.Model(y, k.layers.Dense(1)(inner(first)))


@builder
def sequential_of_models(k: K) -> Any:
    base = k.Sequential([k.layers.Input((6,)), k.layers.Dense(5)])
    return k.Sequential([base, k.layers.Dense(2)])


@builder
def many_outputs(k: K) -> Any:
    a, b = k.Input((3,), name="left"), k.Input((2,), name="right")
    both = k.layers.Concatenate()([a, b])
    return k.Model({"left": a, "right": b}, {"sum": k.layers.Dense(1, name="s")(both), "all": [both, a]})


@builder
def a_layer_created_before_it_is_used(k: K) -> Any:
    late, early = k.layers.Dense(2), k.layers.Dense(3)
    x = k.Input((4,))
    return k.Model(x, late(early(x)))


@builder
def recurrent(k: K) -> Any:
    layers = k.layers
    x = k.Input((None, 3))
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    y = layers.TimeDistributed(layers.Dense(5))(y)
    return k.Model(x, layers.Dense(1)(layers.GRU(3)(layers.LSTM(4, return_sequences=True)(y))))


@builder
def unused_input(k: K) -> Any:
    a, b = k.Input((3,)), k.Input((2,))
    return k.Model([a, b], k.layers.Dense(2)(a))


def build_both(name: str) -> tuple[Any, Model]:
    keras.utils.clear_session(free_memory=False)
    return BUILDERS[name](keras), BUILDERS[name](kerashape_torch)


def keras_shapes(value: Any) -> Any:
    return plain(value) if value is not None else None


all_models = pytest.mark.parametrize("name", list(BUILDERS))


@all_models
def test_names_shapes_and_counts(name: str) -> None:
    theirs, ours = build_both(name)
    assert ours.name == theirs.name
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert plain(ours.input_shape) == plain(theirs.input_shape)
    assert plain(ours.output_shape) == plain(theirs.output_shape)
    assert ours.count_params() == theirs.count_params()
    assert [spec.shape for spec in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    inside = [[inner.name for inner in layer.layers] for layer in ours.layers if isinstance(layer, Model)]
    assert inside == [[inner.name for inner in layer.layers] for layer in theirs.layers if hasattr(layer, "layers")]


@all_models
def test_keras_loads_what_we_write(name: str) -> None:
    theirs, ours = build_both(name)
    back = keras.models.model_from_json(ours.to_json())
    assert plain(back.output_shape) == plain(theirs.output_shape)
    assert [layer.name for layer in back.layers] == [layer.name for layer in theirs.layers]
    assert back.count_params() == theirs.count_params()


@all_models
def test_we_load_what_keras_writes(name: str) -> None:
    theirs, _ = build_both(name)
    back = model_from_json(theirs.to_json())
    assert plain(back.output_shape) == plain(theirs.output_shape)
    assert [layer.name for layer in back.layers] == [layer.name for layer in theirs.layers]
    assert plain(back.get_config()) == without_inner_builds(plain(theirs.get_config()))


def without_inner_builds(config: Any) -> Any:
    """Keras also notes what the layer inside a wrapper was built with, which follows from the wrapper's own shape."""
    for layer in config["layers"]:
        for inner in ("layer", "backward_layer"):
            if isinstance(layer["config"].get(inner), dict):
                layer["config"][inner].pop("build_config")
    return config


@all_models
def test_configs_round_trip(name: str) -> None:
    ours = BUILDERS[name](kerashape_torch)
    config = ours.get_config()
    assert plain(type(ours).from_config(plain(config)).get_config()) == plain(config)
    assert plain(clone_model(ours).get_config()) == plain(config)


@all_models
def test_numbers_and_weights(name: str) -> None:
    theirs, ours = build_both(name)
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.1, 0.9, w.shape).astype("float32") for w in theirs.weights]
    theirs.set_weights(weights)
    module = ours.to_torch()
    set_keras_weights(module, weights)
    for got, want in zip(get_keras_weights(module), weights, strict=True):
        np.testing.assert_array_equal(got, want)
    tensors = [rng.normal(size=(2, *(size or 5 for size in x.shape[1:]))).astype("float32") for x in theirs.inputs]
    given: Any = tensors[0] if len(tensors) == 1 else tensors
    if isinstance(ours.graph.inputs, dict):
        given = dict(zip(sorted(ours.graph.inputs), tensors))
    want, got = theirs.predict(given, verbose=0), predict(module, given)
    assert type(got) is type(want)
    for a, b in zip(flatten(got), flatten(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_layers_in_two_unrelated_models_keep_their_names() -> None:
    x = Input((4,))
    encoded = Dense(3)(x)
    encoder = Model(x, encoded)
    autoencoder = Model(x, Dense(4)(encoded))
    assert [layer.name for layer in encoder.layers] == ["input_layer", "dense"]
    assert [layer.name for layer in autoencoder.layers] == ["input_layer", "dense", "dense_1"]
    code = Input((3,))
    decoder = Model(code, autoencoder.layers[-1](code))
    assert [layer.name for layer in decoder.layers][-1] == "dense_1"


def test_names_do_not_depend_on_what_was_built_before() -> None:
    for _ in range(3):
        model = Sequential([Dense(1, input_shape=(2,)), Dense(1)])
        assert [layer.name for layer in model.layers] == ["dense", "dense_1"]


def test_get_layer_pop_and_build() -> None:
    model = Sequential([Dense(4, name="first"), Dense(2)])
    with pytest.raises(ShapeError, match="not known yet"):
        _ = model.output_shape
    model.build((None, 3))
    assert model.get_layer("first").output_shape == (None, 4)
    assert model.get_layer(index=1).output_shape == (None, 2)
    with pytest.raises(ConfigError, match="Did you mean 'first'"):
        model.get_layer("frist")
    model.pop()
    assert model.output_shape == (None, 4)
    model.add(Dense(9))
    assert model.output_shape == (None, 9)


def test_trainable_reaches_every_layer() -> None:
    model = Sequential([Sequential([Dense(4, input_shape=(3,))]), Dense(2)])
    model.layers[0].trainable = False
    assert (model.count_params(trainable=True), model.count_params(trainable=False)) == (10, 16)
    module = model.to_torch()
    assert [p.requires_grad for p in module.parameters()] == [False, False, True, True]
    model.trainable = False
    assert model.count_params(trainable=True) == 0


def test_a_model_on_another_shape_infers_again() -> None:
    x = Input((None, 3))
    model = Model(x, Dense(4)(x))
    assert model(Input((7, 3))).shape == (None, 7, 4)
    assert model.compute_output_shape((2, 9, 3)) == (2, 9, 4)
    with pytest.raises(ShapeError, match="is 3, got 5"):
        model(Input((7, 5)))


def test_ten_thousand_layers() -> None:
    """Built, counted, written, read back and named without recursion; Keras fails at a thousand."""
    model = Sequential([Dense(8, input_shape=(8,)), *(Dense(8) for _ in range(9_999))])
    assert model.count_params() == 720_000
    assert model.layers[-1].name == "dense_9999"
    x = tensor = Input((8,))
    for _ in range(5_000):
        tensor = Add()([tensor, Dense(8)(tensor)])
    residual = Model(x, tensor)
    assert len(residual.layers) == 10_001
    back = Model.from_config(residual.get_config())
    assert back.layers[-1].name == "add_4999"
    module = residual.to_torch(device="meta")
    assert module(torch.zeros(2, 8, device="meta")).shape == (2, 8)


def test_a_disconnected_graph_is_named() -> None:
    a, b = Input((3,), name="left"), Input((3,), name="right")
    with pytest.raises(ConfigError, match="'right'"):
        Model(a, Add()([a, b]))


def test_a_layer_in_place_of_a_tensor_is_refused() -> None:
    x = Input((3, 2))
    with pytest.raises(KerashapeError, match="called on symbolic tensors, got SymbolicTensor, Dense"):
        LSTM(2)(x, mask=Dense(3))


def test_two_layers_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="twin"):
        Sequential([Dense(3, name="twin", input_shape=(3,)), Dense(3, name="twin")])
    x = Input((3,))
    with pytest.raises(ConfigError, match="twin"):
        Model(x, Dense(3, name="twin")(Dense(3, name="twin")(x)))

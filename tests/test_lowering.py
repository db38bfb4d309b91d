"""What a compiled model is: a plain GraphModule of stock modules, with axes moved only where their order changes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from harness import DATA, own_generator
from torch import fx, nn

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layers import (
    LSTM,
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    Permute,
    ReLU,
    Softmax,
    ZeroPadding2D,
)
from kerashape_torch.models import Input, Model, Sequential


def permutes(module: Any) -> int:
    return sum(node.target in (torch.permute, torch.transpose) for node in module.graph.nodes)


def plain_cnn() -> Sequential:
    return Sequential([Input((32, 32, 3)), Conv2D(8, 3, activation="relu"), BatchNormalization(), MaxPooling2D(),
                       Conv2D(16, 3, padding="same"), ReLU(), Dropout(0.1), MaxPooling2D(), Flatten(),
                       Dense(10, activation="softmax")])


def test_a_plain_cnn_permutes_at_its_input_and_before_flatten() -> None:
    module = plain_cnn().to_torch()
    assert isinstance(module, fx.GraphModule)
    assert permutes(module) == 2
    kinds = [type(module.get_submodule(str(n.target))) for n in module.graph.nodes if n.op == "call_module"]
    assert {nn.Conv2d, nn.MaxPool2d, nn.Linear} <= set(kinds)
    assert list(module.state_dict())[:2] == ["conv2d.weight", "conv2d.bias"]


def test_no_permute_with_global_pooling_or_channels_first() -> None:
    x = Input((8, 8, 3))
    pooled = Model(x, GlobalAveragePooling2D()(Conv2D(4, 3)(x))).to_torch()
    assert permutes(pooled) == 1
    first = Sequential([Input((3, 8, 8)), Conv2D(4, 3, data_format="channels_first"),
                        MaxPooling2D(data_format="channels_first"), Flatten(), Dense(2)]).to_torch()
    assert permutes(first) == 0
    assert permutes(Sequential([Input((5,)), Dense(3), Dense(2)]).to_torch()) == 0


def test_merges_and_activations_follow_their_inputs() -> None:
    x = Input((8, 8, 3))
    a, b = Conv2D(4, 3, padding="same")(x), Conv2D(4, 1, activation="softmax")(x)
    y = Softmax()(Concatenate()([Add()([a, b]), a]))
    model = Model(x, Conv2D(2, 1)(Activation("log_softmax")(y)))
    module = model.to_torch()
    assert permutes(module) == 2  # in and out
    cat = next(node for node in module.graph.nodes if node.target is torch.cat)
    assert cat.kwargs["dim"] == 1
    image = torch.randn(2, 8, 8, 3)
    inner = Model(x, y).to_torch()
    inner.load_state_dict({k: v for k, v in module.state_dict().items() if k in inner.state_dict()})
    torch.testing.assert_close(inner(image).sum(-1), torch.ones(2, 8, 8))


def test_a_value_is_permuted_once_for_all_who_want_it() -> None:
    x = Input((8, 8, 3))
    model = Model(x, Add()([Conv2D(4, 1)(x), Conv2D(4, 1)(x), Conv2D(4, 1)(x)]))
    assert permutes(model.to_torch()) == 2


def test_the_torch_layout_takes_and_gives_channels_first() -> None:
    x = Input((8, 8, 3))
    model = Model(x, Conv2D(4, 3, padding="same")(x))
    ours, theirs = model.to_torch(), model.to_torch(layout="torch")
    theirs.load_state_dict(ours.state_dict())
    assert permutes(theirs) == 0
    image = torch.randn(2, 8, 8, 3)
    torch.testing.assert_close(theirs(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), ours(image))
    sequence = Sequential([Input((5, 3)), LSTM(4)])
    assert sequence.to_torch(layout="torch")(torch.zeros(2, 5, 3)).shape == (2, 4)


def test_padding_is_folded_into_the_convolution() -> None:
    model = Sequential([Input((16, 16, 3)), ZeroPadding2D((2, 1)), Conv2D(4, 3, strides=2),
                        ZeroPadding2D(((0, 1), (0, 1))), Conv2D(4, 3, strides=2)])
    module = model.to_torch()
    assert module.conv2d.padding == (2, 1)
    assert not hasattr(module, "zero_padding2d")
    assert isinstance(module.zero_padding2d_1, nn.ZeroPad2d)
    conv, image = module.conv2d, torch.randn(2, 16, 16, 3)
    padded = nn.functional.pad(image.permute(0, 3, 1, 2), (1, 1, 2, 2))
    want = nn.functional.conv2d(padded, conv.weight, conv.bias, stride=2)
    torch.testing.assert_close(conv(image.permute(0, 3, 1, 2)), want)


def test_a_padding_that_others_see_stays() -> None:
    x = Input((8, 8, 3))
    padded = ZeroPadding2D(1)(x)
    module = Model(x, [Conv2D(3, 3)(padded), padded]).to_torch()
    assert module.conv2d.padding == (0, 0)
    assert [tuple(y.shape) for y in module(torch.zeros(1, 8, 8, 3))] == [(1, 8, 8, 3), (1, 10, 10, 3)]


def test_inputs_by_position_name_list_and_dict() -> None:
    a, b = Input((3,), name="a"), Input((2,), name="b.1")
    model = Model({"left": a, "right": b}, {"sum": Dense(1)(Concatenate()([a, b])), "same": [a]})
    module = model.to_torch()
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    want = module(x, y)
    assert set(want) == {"sum", "same"} and isinstance(want["same"], list)
    for got in (module([x, y]), module({"left": x, "right": y}), module({"b.1": y, "a": x}), module(a=x, b_1=y)):
        torch.testing.assert_close(got["sum"], want["sum"])
    with pytest.raises(ShapeError, match="takes the inputs left, right"):
        module({"up": x, "down": y})
    single = Sequential([Input((3,), name="only"), Dense(1)]).to_torch()
    torch.testing.assert_close(single([x]), single(x))
    torch.testing.assert_close(single({"only": x}), single(x))


def test_a_tensor_that_does_not_fit_is_named() -> None:
    module = Sequential([Input((28, 28, 1), name="image"), Conv2D(2, 3)]).to_torch()
    message = r"'image' takes \(None, 28, 28, 1\); got \(4, 1, 28, 28\).*\n.*channels first"
    with pytest.raises(ShapeError, match=message):
        module(torch.zeros(4, 1, 28, 28))
    with pytest.raises(ShapeError, match="batch axis missing"):
        module(torch.zeros(28, 28, 1))
    assert module(torch.zeros(4, 28, 28)).shape == (4, 26, 26, 2)  # a last axis of 1 may be left out, as in Keras


def test_shared_layers_share_and_nested_models_nest() -> None:
    x = Input((4,))
    inner = Model(x, Dense(4, name="d")(x), name="inner")
    model = Model(x, Add()([inner(x), inner(inner(x))]))
    module = model.to_torch()
    assert list(module.state_dict()) == ["inner.d.weight", "inner.d.bias"]
    assert len(kt.get_keras_weights(module)) == 2


def test_a_layer_shared_at_two_sizes_keeps_one_weight() -> None:
    small, large = Input((8, 8, 3)), Input((9, 9, 3))
    conv = Conv2D(4, 3, strides=2, padding="same")
    module = Model([small, large], [conv(small), conv(large)]).to_torch()
    assert len(list(module.parameters())) == 2
    one = torch.randn(1, 9, 9, 3)
    alone = Model(large, conv(large)).to_torch()
    alone.load_state_dict({k: v for k, v in module.state_dict().items() if k in alone.state_dict()})
    torch.testing.assert_close(module(torch.zeros(1, 8, 8, 3), one)[1], alone(one))


def test_free_sizes_stay_free() -> None:
    x = Input((None, None, 3))
    model = Model(x, Conv2D(4, 3, strides=2, padding="same")(x))
    module = model.to_torch()
    for height, width in ((8, 8), (9, 12), (7, 5)):
        fixed = Input((height, width, 3))
        same = Model(fixed, model.layers[-1](fixed)).to_torch()
        same.load_state_dict(module.state_dict())
        image = torch.randn(2, height, width, 3)
        torch.testing.assert_close(module(image), same(image))


EXPORTABLE = ["unet", "text_cnn", "seq2seq_lstm_states", "func_inception_branches", "nested_functional_in_functional",
              "conv3d_net", "bidirectional_modes"]


# torch says so of every nn.LSTM, nn.GRU and nn.RNN that it exports
@pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights:UserWarning")
@pytest.mark.parametrize("name", EXPORTABLE)
def test_compiles_and_exports_with_a_dynamic_batch(name: str) -> None:
    module = kt.load_model(DATA / "functional" / f"{name}.keras").to_torch()
    with np.load(DATA / "functional" / f"{name}.npz") as stored:
        inputs = tuple(torch.as_tensor(stored[key]) for key in sorted(stored.files) if key.startswith("input_"))
    batch = torch.export.Dim("batch", min=2, max=64)
    names = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    dynamic = {name: {0: batch} for name in names}
    with own_generator():
        exported = torch.export.export(module, inputs, dynamic_shapes=dynamic, strict=False).module()
    larger = tuple(torch.cat([x, x, x[:1]]) for x in inputs)
    torch.testing.assert_close(exported(*larger), module(*larger))


@pytest.mark.parametrize("name", ["unet", "text_cnn"])
def test_one_graph_for_torch_compile(name: str) -> None:
    module = kt.load_model(DATA / "functional" / f"{name}.keras").to_torch()
    with np.load(DATA / "functional" / f"{name}.npz") as stored:
        inputs = [torch.as_tensor(stored[key]) for key in sorted(stored.files) if key.startswith("input_")]
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*inputs), module(*inputs))


def test_initializers_fill_the_weights() -> None:
    model = Sequential([Input((400,)), Dense(300, kernel_initializer="he_normal", bias_initializer="ones"),
                        BatchNormalization(), Dense(5, kernel_initializer=kt.initializers.Constant(0.5))])
    with own_generator():
        module = model.to_torch()
    weight = module.dense.weight
    assert weight.detach().std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert abs(weight.mean()) < 1e-3
    assert weight.abs().max() <= 2 * (2 / 400) ** 0.5 / 0.8796 + 1e-6  # truncated at two standard deviations
    assert bool((module.dense.bias == 1).all())
    assert bool((module.dense_1.weight == 0.5).all())
    assert bool((module.batch_normalization.running_var == 1).all())


def test_devices_and_dtypes() -> None:
    model = plain_cnn()
    meta = model.to_torch(device="meta")
    assert all(p.is_meta for p in meta.parameters())
    half = model.to_torch(dtype="bfloat16")
    assert half(torch.zeros(1, 32, 32, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert model.to_torch(device="auto") is not None
    with pytest.raises(ConfigError, match="device must be"):
        model.to_torch(device="gpu7")
    with pytest.raises(ConfigError, match="layout must be"):
        model.to_torch(layout="nchw")
    if not torch.cuda.is_available():
        with pytest.raises(KerashapeError, match="auto"):
            model.to_torch(device="cuda")


def test_training_said_in_the_call_holds() -> None:
    x = Input((4,))
    base = Sequential([Input((4,)), Dense(4), BatchNormalization()], name="base")
    frozen = Model(x, Dense(2)(base(x, training=False))).to_torch().train()
    before = frozen.base.batch_normalization.running_mean.clone()
    frozen(torch.randn(16, 4))
    torch.testing.assert_close(frozen.base.batch_normalization.running_mean, before)
    noisy = Model(x, Dropout(0.5)(x, training=True)).to_torch()
    assert not noisy.training
    with own_generator():
        assert bool((noisy(torch.ones(64, 4)) == 0).any())
    assert copy.deepcopy(frozen)(torch.randn(3, 4)).shape == (3, 2)


def test_layers_called_on_real_tensors_say_what_to_do() -> None:
    with pytest.raises(KerashapeError, match=r"to_torch\(\)\(x\)"):
        Dense(3)(torch.zeros(2, 3))


def test_names_that_torch_keeps_for_itself() -> None:
    model = Sequential([Input((3,), name="class"), Dense(2, name="train"), Dense(2, name="a.b"),
                        Dense(1, name="float")])
    assert model.to_torch()(torch.zeros(1, 3)).shape == (1, 1)


def test_permute_of_the_user_is_kept() -> None:
    model = Sequential([Input((4, 5, 6)), Permute((3, 1, 2))])
    assert model.to_torch()(torch.zeros(2, 4, 5, 6)).shape == (2, 6, 4, 5)


def test_batch_normalization_statistics_follow_keras() -> None:
    import keras

    theirs = keras.Sequential([keras.layers.Input((6, 6, 3)), keras.layers.BatchNormalization(momentum=0.9)])
    module = Sequential([Input((6, 6, 3)), BatchNormalization(momentum=0.9)]).to_torch().train()
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.normal(2, 3, (4, 6, 6, 3)).astype("float32")
        want = theirs(x, training=True)
        torch.testing.assert_close(module(torch.as_tensor(x)), want.cpu(), rtol=1e-4, atol=1e-4)
    for got, expected in zip(kt.get_keras_weights(module), theirs.get_weights()):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_the_catalog_is_reachable_by_every_name() -> None:
    assert layers.Convolution2D is layers.Conv2D
    assert layers.AvgPool2D is layers.AveragePooling2D
    with pytest.raises(AttributeError, match="Did you mean 'Dense'"):
        _ = layers.Densse


@pytest.mark.parametrize("names", [("a-b", "a_b"), ("self", "torch"), ("isinstance", "class"), ("1", "_1")])
def test_names_of_inputs_that_python_or_the_module_needs(names: tuple[str, str]) -> None:
    a, b = (Input((4, 4, 3), name=name) for name in names)
    module = Model([a, b], layers.Concatenate()([layers.Conv2D(2, 1)(a), b])).to_torch()
    given = {name: torch.ones(1, 4, 4, 3) for name in names}
    assert module(given).shape == module(*given.values()).shape == (1, 4, 4, 5)


def test_a_name_is_a_string() -> None:
    with pytest.raises(ConfigError, match="must be a string without '/', got 7"):
        layers.Dense(2, name=7)


@pytest.mark.parametrize("name", ['training"); ran.append(1) or (lambda x: x)#', "a\nb", "\\", 'x" or "', "\u2028"])
def test_names_of_layers_are_never_run(name: str) -> None:
    """fx writes the paths of modules into the source of ``forward`` as they are."""
    layer = Dense(2, name=name)
    module = Sequential([Input((3,)), layer]).to_torch()
    assert module(torch.zeros(1, 3)).shape == (1, 2)
    path, = dict(module.named_children())
    assert path.isprintable() and '"' not in path and "\\" not in path


def test_names_that_torch_cannot_tell_apart_are_two_modules() -> None:
    x = Input((3,))
    module = Model(x, Dense(5, name="a_b")(Dense(4, name="a.b")(x))).to_torch()
    assert {key: tuple(w.shape) for key, w in module.state_dict().items() if key.endswith("weight")} == {
        "a_b.weight": (4, 3), "a_b_.weight": (5, 4)}

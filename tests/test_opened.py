"""Layers of a user's own as source: what their ``call`` does with layers and ops is written as a class of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from test_idioms import both, same
from test_port import module_of

import kerashape_torch as kt
from kerashape_torch import layers, ops
from kerashape_torch.errors import KerashapeError
from kerashape_torch.opened import opened


def residual(k: Any) -> Any:
    class Residual(k.layers.Layer):
        def __init__(self, width: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.steps = []
            for _ in range(2):
                self.steps.append(k.layers.Dense(width, activation="relu"))
                self.steps.append(k.layers.LayerNormalization())
            self.drop = k.layers.Dropout(0.5)

        def build(self, shape: Any) -> None:
            for step in self.steps:
                step.build(shape)

        def call(self, x: Any, training: Any = None) -> Any:
            y = x
            for step in self.steps:
                y = step(y)
            return x + self.drop(y, training=training)

    x = k.Input((5, 4))
    y = Residual()(Residual()(x))
    return k.Model(x, k.layers.Dense(2, name="out")(y))


def written(model: Any, where: Path) -> str:
    """The source, which gives what was recorded."""
    kt.saving.port(model, where)
    done = subprocess.run([sys.executable, where / "model.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (where / "model.py").read_text()


def test_layers_alike_are_one_class_with_the_names_of_their_attributes(tmp_path: Path) -> None:
    text = written(residual(kt), tmp_path / "out")
    assert text.count("class Residual(nn.Module):") == 1 and "class Residual1" not in text
    assert "self.steps_0 = nn.Linear(4, 4)" in text and "self.drop = nn.Dropout()" in text
    assert "import kerashape" not in text and "from kerashape" not in text


def test_the_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    theirs, ours = both(residual)
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    written(ours, tmp_path / "out")
    x = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    code = ("import sys, numpy as np, torch; sys.path.insert(0, sys.argv[1]); import model; "
            "np.save(sys.argv[1] + '/y.npy', model.load()(torch.from_numpy(np.load(sys.argv[1] + '/x.npy'))).detach())")
    np.save(tmp_path / "out" / "x.npy", x)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], check=True)
    same(torch.from_numpy(np.load(tmp_path / "out" / "y.npy")), theirs(x))


class Meeting(layers.Layer):
    """Two tensors in, two out, and a part with a model in it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = {"left": kt.Sequential([layers.Dense(3), layers.Dense(2, activation="tanh")]),
                      "right": layers.Dense(2)}

    def call(self, a: Any, b: Any, scale: float = 1.0) -> Any:
        left, right = self.parts["left"](a), self.parts["right"](b)
        return left + right, ops.exp(left) * scale


def test_several_tensors_and_other_arguments(tmp_path: Path) -> None:
    a, b = kt.Input((4,)), kt.Input((6,))
    total, other = Meeting()(a, b, scale=3.0)
    model = kt.Model([a, b], {"total": total, "other": layers.Dense(1)(other)})
    assert "class Meeting(nn.Module):" in written(model, tmp_path / "out")


def test_models_with_a_call_have_the_names_of_their_attributes(tmp_path: Path) -> None:
    class Net(kt.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [Meeting() for _ in range(2)]
            self.head = layers.Dense(1)

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x, _ = block(x, x)
            return self.head(x)

    net = Net()
    net.build((None, 2))
    text = written(net, tmp_path / "out")
    assert "self.head = nn.Linear(2, 1)" in text and text.count("class Meeting(nn.Module):") == 1


def test_models_with_a_call_take_several_tensors(tmp_path: Path) -> None:
    class Inner(kt.Model):
        def __init__(self) -> None:
            super().__init__()
            self.meeting = Meeting()

        def call(self, a: Any, b: Any, training: Any = None) -> Any:
            return self.meeting(b, a)

    class Outer(kt.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.out = Inner(), layers.Dense(1)

        def call(self, x: Any, training: Any = None) -> Any:
            return self.out(self.inner(x, x[:, 1:], training=training)[0])

    outer = Outer()
    outer.build((None, 4))
    assert "class Inner(nn.Module):" in written(outer, tmp_path / "out")


def test_a_frozen_layer_stays_frozen() -> None:
    x = kt.Input((4,))
    layer = Meeting(trainable=False)
    model = kt.Model(x, [*layer(x, x), layers.Dense(1)(x)])
    inside = opened(model)
    assert inside is not None
    assert [w.trainable for w in inside.weights] == [w.trainable for w in model.weights] == [False] * 6 + [True] * 2


def test_a_layer_that_is_called_in_two_ways_is_not_opened() -> None:
    x = kt.Input((4,))
    layer = Meeting()
    assert opened(kt.Model(x, [layer(x, x)[1], layer(x, x, scale=2.0)[1]])) is None


def weighted(k: Any) -> Any:
    class Weighted(k.layers.Layer):
        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units, self.norm = units, k.layers.LayerNormalization()

        def build(self, shape: Any) -> None:
            self.kept = self.add_weight(shape=(), initializer="ones", trainable=False)
            self.w = self.add_weight(shape=(shape[-1], self.units), initializer="random_normal")
            self.norm.build((*shape[:-1], self.units))

        def call(self, x: Any) -> Any:
            return self.norm(k.ops.matmul(x, self.w) * self.kept + self.w[0])

    x = k.Input((5, 3))
    return k.Model(x, Weighted(2)(Weighted(4)(x)))


def test_weights_of_a_layers_own_are_written_too(tmp_path: Path) -> None:
    theirs, ours = both(weighted)
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    text = written(ours, tmp_path / "out")
    assert text.count("class Weighted(nn.Module):") == 1 and "self.w = Weight(" in text
    inside, x = opened(ours), np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    assert inside is not None
    assert [(w.shape, w.trainable) for w in inside.weights] == [(w.shape, w.trainable) for w in ours.weights]
    module = inside.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    same(module(torch.from_numpy(x)), theirs(x))


def test_weights_around_layers_of_ones_own() -> None:
    def program(k: Any) -> Any:
        class Inner(k.layers.Layer):
            def build(self, shape: Any) -> None:
                self.w = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="w")

            def call(self, x: Any) -> Any:
                return x * self.w

        class Around(k.layers.Layer):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.inner = Inner()

            def build(self, shape: Any) -> None:
                self.v = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="v")
                self.inner.build(shape)

            def call(self, x: Any) -> Any:
                return self.inner(x) + self.v

        x = k.Input((3,))
        return k.Model(x, Around()(x))

    theirs, ours = both(program)
    inside, x = opened(ours), np.random.default_rng(1).normal(size=(2, 3)).astype("float32")
    assert inside is not None
    assert [w.name for w in inside.weights] == [w.name for w in theirs.weights]
    module = inside.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    same(module(torch.from_numpy(x)), theirs(x))


class Torch(layers.Layer):
    def call(self, x: Any) -> Any:
        return torch.relu(x)


class Lossy(layers.Layer):
    def call(self, x: Any) -> Any:
        self.add_loss(ops.sum(x))
        return ops.relu(x)


class Moody(layers.Layer):
    def call(self, x: Any, training: bool = False) -> Any:
        return ops.relu(x) if training else x


class TrainsMore(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.dense(x) if training else x


class DrawsOnce(layers.Layer):
    """What is drawn goes into a layer with weights, and past it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def call(self, x: Any, training: bool = False) -> Any:
        noise = kt.random.normal((4,)) if training else ops.zeros((4,))
        return self.dense(x + noise) + noise * x


def test_a_layer_without_weights_is_one_for_each_mode(tmp_path: Path) -> None:
    x = kt.Input((4,))
    kt.saving.port(kt.Model(x, Moody(name="mine")(x)), tmp_path / "out")
    ported = module_of(tmp_path / "out").load()
    given = torch.tensor([[-1.0, 2.0, -3.0, 4.0]])
    torch.testing.assert_close(ported(given), given)
    torch.testing.assert_close(ported.train()(given), given.relu())


class Noisy(layers.Layer):
    def call(self, x: Any, training: bool = False) -> Any:
        return x + torch.rand(4) if training else x


@pytest.mark.parametrize("layer", [Torch, TrainsMore, DrawsOnce, Noisy])
def test_what_cannot_be_written_is_refused_as_before(layer: type[Any], tmp_path: Path) -> None:
    x = kt.Input((4,))
    model = kt.Model(x, layer(name="mine")(x))
    assert opened(model) is None
    with pytest.raises(KerashapeError, match=r"mine runs Python of your own, which is not written as source"):
        kt.saving.port(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_model_itself_stays_as_it_was() -> None:
    model = residual(kt)
    before = model.to_json(), [len(layer.nodes) for layer in model.layers]
    assert opened(model) is not None
    assert (model.to_json(), [len(layer.nodes) for layer in model.layers]) == before
    assert opened(kt.Sequential([kt.Input((3,)), layers.Dense(2)])) is None


def test_keras_writes_the_same_file_for_what_was_opened() -> None:
    keras.backend.clear_session(free_memory=False)
    theirs, ours = both(residual)
    x = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    inside = opened(ours)
    assert inside is not None
    module = inside.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    same(module(torch.from_numpy(x)), theirs(x))


def test_a_tensor_may_be_the_mask_of_a_model(tmp_path: Path) -> None:
    """Inputs are made up for the recorded case by what they go into."""

    class Inner(kt.Model):
        def __init__(self) -> None:
            super().__init__()
            self.pool = layers.GlobalAveragePooling1D()

        def call(self, x: Any) -> Any:
            return self.pool(x)

    tokens = kt.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True)(tokens)
    written(kt.Model(tokens, Inner()(x)), tmp_path / "out")


def masked(k: Any) -> Any:
    class Attention(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.supports_masking = True

        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(shape[-1],), name="w")

        def compute_mask(self, x: Any, mask: Any = None) -> None:
            return None

        def call(self, x: Any, mask: Any = None) -> Any:
            weights = k.ops.exp(k.ops.sum(x * self.w, axis=-1))
            if mask is not None:
                weights = weights * k.ops.cast(mask, "float32")
            return k.ops.sum(x * k.ops.expand_dims(weights, -1), axis=1)

    x = k.Input((5,), dtype="int32")
    words = k.layers.Embedding(9, 3, mask_zero=True)(x)
    attention = Attention()
    steps = k.layers.LSTM(3, return_sequences=True)(words)
    return k.Model(x, k.layers.Concatenate()([attention(words), attention(steps)]))


def test_a_layer_that_takes_a_mask_is_a_class_that_takes_two_tensors(tmp_path: Path) -> None:
    theirs, ours = both(masked)
    theirs.save(tmp_path / "model.keras")
    model = kt.load_model(tmp_path / "model.keras", {"Attention": type(ours.layers[-2])})
    text = written(model, tmp_path / "out")
    assert text.count("class Attention(nn.Module):") == 1 and text.count("= self.attention(") == 2
    words = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7], [0, 0, 1, 2, 0]], "int32")
    same(module_of(tmp_path / "out").load()(torch.from_numpy(words)), theirs(words))
    assert opened(model) is not None


def translator(k: Any) -> Any:
    """Tokens carry masks, through layers of one's own that hold layers, to others that are given them."""

    class Tokens(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.words, self.places = k.layers.Embedding(9, 4), k.layers.Embedding(6, 4)

        def call(self, inputs: Any) -> Any:
            return self.words(inputs) + self.places(k.ops.arange(0, k.ops.shape(inputs)[-1], 1))

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return k.ops.not_equal(inputs, 0)

    class Encoder(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.attention = k.layers.MultiHeadAttention(2, 2)
            self.norm = k.layers.LayerNormalization()
            self.supports_masking = True

        def call(self, inputs: Any, mask: Any = None) -> Any:
            allowed = None if mask is None else k.ops.cast(mask[:, None, :], "int32")
            return self.norm(inputs + self.attention(inputs, inputs, attention_mask=allowed))

    class Decoder(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.attention = k.layers.MultiHeadAttention(2, 2)
            self.supports_masking = True

        def call(self, inputs: Any, mask: Any = None) -> Any:
            own, encoded = inputs
            own_mask, encoded_mask = (None, None) if mask is None else mask
            return own + self.attention(own, encoded, query_mask=own_mask, key_mask=encoded_mask)

    source, target = k.Input((5,), dtype="int32", name="source"), k.Input((5,), dtype="int32", name="target")
    encoded = Encoder(name="encoder")(Tokens(name="tokens")(source))
    decoded = Decoder(name="decoder")([Tokens(name="more_tokens")(target), encoded])
    return k.Model([source, target], k.layers.LSTM(3, name="last")(decoded))


def test_masks_go_through_layers_that_hold_layers(tmp_path: Path) -> None:
    theirs, ours = both(translator)
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    theirs.save(tmp_path / "model.keras")
    classes = {type(layer).__name__: type(layer) for layer in ours.layers if layer.is_users_own()}
    text = written(kt.load_model(tmp_path / "model.keras", classes), tmp_path / "out")
    assert "def forward(self, inputs, mask):" in text and "class Decoder(nn.Module):" in text
    assert text.count("class Tokens") == 1  # both have the same constant
    assert text.count("source != 0") == text.count("target != 0") == 1  # a mask is found once for all that mind it
    source = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7], [0, 0, 1, 2, 0]], "int32")
    target = np.array([[4, 3, 2, 0, 0], [1, 0, 0, 0, 0], [0, 8, 1, 2, 0]], "int32")
    given = torch.from_numpy(source), torch.from_numpy(target)
    expected = theirs([source, target])
    same(module(*given), expected)
    same(module_of(tmp_path / "out").load()(*given), expected)


def test_a_refusal_says_why_a_call_cannot_be_followed(tmp_path: Path) -> None:
    x = kt.Input((4,))
    with pytest.raises(KerashapeError, match=r"as source \(it does other things in training than in inference\)"):
        kt.saving.port(kt.Model(x, TrainsMore()(x)), tmp_path / "out")


class Dropping(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.drop = layers.Dense(4, kernel_initializer="ones"), layers.Dropout(0.5)

    def call(self, x: Any, training: Any = None) -> Any:
        return self.drop(self.dense(x), training=training)


class DroppingModel(kt.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dropping = Dropping()

    def call(self, x: Any, training: bool = False) -> Any:
        return self.dropping(x, training=training)


@pytest.mark.parametrize("made", [Dropping, DroppingModel, Moody])
@pytest.mark.parametrize("mode", [None, False, True])
def test_the_mode_that_a_call_says_is_kept_and_no_other(made: type[Any], mode: bool | None, tmp_path: Path) -> None:
    x = kt.Input((4,))
    model = kt.Model(x, made()(x, **({} if mode is None else {"training": mode})))
    kt.saving.port(model, tmp_path / "out")
    ported, compiled = module_of(tmp_path / "out").load(), model.to_torch()
    given = torch.tensor([[-1.0, 2.0, 3.0, 4.0]] * 9)
    for training in (True, False):
        found, expected = (torch.manual_seed(0) and module.train(training)(given) for module in (ported, compiled))
        torch.testing.assert_close(found, expected)


def test_models_inside_that_are_alike_share_a_class(tmp_path: Path) -> None:
    class Feeding(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.mlp = kt.Sequential([layers.Dense(8, activation="gelu"), layers.Dropout(0.1), layers.Dense(4)])

        def call(self, x: Any) -> Any:
            return x + self.mlp(x)

    x = kt.Input((4,))
    text = written(kt.Model(x, Feeding()(Feeding()(x))), tmp_path / "out")
    assert text.count("class Feeding") == text.count("class Mlp") == 1
    assert "self.dense_1 = nn.Linear(8, 4)" in text


def test_what_a_layer_adds_to_the_loss_is_said_and_not_written(tmp_path: Path) -> None:
    x = kt.Input((4,))
    text = written(kt.Model(x, Lossy()(x)), tmp_path / "out")
    assert "torch.relu(x)" in text
    assert "What Lossy adds to the loss in training, as Keras has it, is not written." in text
    assert "adds to the loss" not in written(kt.Model(x, Moody()(x)), tmp_path / "other")


def by_modes(k: Any) -> Any:
    """Branches for training before, between and after layers with weights, and with weights of its own."""

    class Block(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first, self.second = k.layers.Dense(4), k.layers.Dense(4)
            self.norm = k.layers.BatchNormalization()

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")
            self.shift = self.add_weight(shape=(shape[-1],), initializer="ones", name="shift")
            for layer in (self.first, self.norm, self.second):
                layer.build(shape)

        def call(self, x: Any, training: Any = None) -> Any:
            def twice(y: Any) -> Any:
                return y / 0.5 if training else y

            x = x + twice(self.first(twice(x)))
            x = self.norm(x, training=training)
            y = self.second(x) * self.scale
            if training:
                y = y * 3.0 + self.shift
            return k.ops.tanh(x + y)

    x = k.Input((4,))
    return k.Model(x, Block(name="two")(Block(name="one")(x)))


def test_layers_with_weights_may_do_other_things_in_training(tmp_path: Path) -> None:
    theirs, ours = both(by_modes)
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    text = written(ours, tmp_path / "out")
    assert text.count("class Block(nn.Module):") == 1 and text.count("ByMode(") == 4  # with the class itself
    ported = module_of(tmp_path / "out").load()
    x = np.random.default_rng(1).normal(size=(5, 4)).astype("float32")
    for training in (False, True):
        expected = theirs(x, training=training)
        same(ported.train(training)(torch.from_numpy(x)), expected)
    assert not np.allclose(expected.detach(), theirs(x, training=False).detach(), atol=1e-2)


def test_noise_on_a_weight_in_training_alone(tmp_path: Path) -> None:
    class Noisy(layers.Layer):
        def build(self, shape: Any) -> None:
            self.mu = self.add_weight(shape=(shape[-1], 3), initializer="ones")
            self.sigma = self.add_weight(shape=(shape[-1], 3), initializer="ones")

        def call(self, x: Any, training: bool = False) -> Any:
            return ops.matmul(x, self.mu + self.sigma * kt.random.normal((4, 3)) if training else self.mu)

    x = kt.Input((4,))
    model = kt.Model(x, Noisy()(x))
    text, ported = written(model, tmp_path / "out"), module_of(tmp_path / "out").load()
    assert "def forward(self, x, unused, z):" in text or "def forward(self, x, y, unused):" in text
    given = torch.ones(2, 4)
    torch.testing.assert_close(ported(given), torch.full((2, 3), 4.0))
    torch.manual_seed(0)
    noise = torch.randn(4, 3)
    torch.manual_seed(0)
    torch.testing.assert_close(ported.train()(given), given @ (1 + noise))


def windows(k: Any) -> Any:
    """Attention with a table of places that is looked up by a weight of integers, and a mask that ``build`` makes."""

    class Windows(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = k.layers.Dense(3)

        def build(self, shape: Any) -> None:
            self.table = self.add_weight(shape=(7,), initializer="random_normal", name="table")
            self.places = self.add_weight(shape=(4, 4), dtype="int32", trainable=False, name="places",
                                          initializer=lambda shape, dtype=None: k.ops.ones(shape, dtype) * 3)
            self.dense.build(shape)

        def call(self, x: Any, mask: Any = None) -> Any:
            weights = k.ops.take(self.table, self.places, axis=0)
            if mask is not None:
                weights = weights + mask
            return k.ops.matmul(k.ops.softmax(weights), self.dense(x))

    class Block(k.layers.Layer):
        def __init__(self, shift: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.shift, self.windows = shift, Windows()

        def build(self, shape: Any) -> None:
            self.allowed = k.ops.triu(k.ops.full((4, 4), -1e9), k=1) if self.shift else None
            self.windows.build(shape)

        def call(self, x: Any) -> Any:
            return x + self.windows(x, mask=self.allowed)

    x = k.Input((4, 3))
    return k.Model(x, Block(2, name="second")(Block(0, name="first")(x)))


@pytest.mark.filterwarnings("ignore:Layer 'windows'")
def test_weights_of_integers_and_masks_that_are_constants(tmp_path: Path) -> None:
    theirs, ours = both(windows)
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    text = written(ours, tmp_path / "out")
    assert 'self.places = Weight((4, 4), kind="int32")' in text
    assert "self.windows(x)" in text and "self.windows(x, self.constant)" in text
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32"))
    same(module_of(tmp_path / "out").load()(x), theirs(x))

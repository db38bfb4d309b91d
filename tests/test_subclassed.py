"""Models with a ``call`` of their own: each program is run with Keras and with this package in its place."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from test_idioms import both, same

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError, ShapeError

Program = Callable[[Any], tuple[type[Any], Any]]
"""To a class, and the shape of what it takes, batch axis left out."""


def lists_and_late_names(k: Any) -> Any:
    class Net(k.Model):
        def __init__(self, width: int = 8, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width
            self.zlast = k.layers.Dense(2, name="out")
            self.conv = k.layers.Conv2D(4, 3, padding="same", activation="relu")
            self.bn = k.layers.BatchNormalization()
            self.blocks = [k.layers.Conv2D(4, 3, padding="same") for _ in range(2)]
            self.pool = k.layers.GlobalAveragePooling2D()
            self.seq = k.Sequential([k.layers.Dense(width, activation="relu"), k.layers.Dropout(0.5)])

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.bn(self.conv(x), training=training)
            for block in self.blocks:
                x = x + block(x)
            return self.zlast(self.seq(self.pool(x), training=training))

        def get_config(self) -> Any:
            return {**super().get_config(), "width": self.width}

    return Net, (8, 8, 3)


def lists_filled_by_turns(k: Any) -> Any:
    class Stack(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense, self.norms = [], []
            for _ in range(3):
                self.dense.append(k.layers.Dense(4))
                self.norms.append(k.layers.LayerNormalization())
            self._out = k.layers.Dense(1)
            self.Activation = k.layers.Dense(4, activation="tanh")

        def call(self, inputs: Any) -> Any:
            x = self.Activation(inputs)
            for dense, norm in zip(self.dense, self.norms):
                x = k.ops.gelu(norm(dense(x)))
            return self._out(x)

    return Stack, (5,)


def containers_in_containers(k: Any) -> Any:
    class Nested(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.z = {"q": k.layers.Dense(3), "a": k.layers.Dense(3)}
            self.many = [[k.layers.Dense(3), k.layers.Dense(3)], (k.layers.Dense(3), {"x": k.layers.Dense(3)})]
            self.unused = k.layers.Dense(1)
            self.last = k.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            x = self.z["a"](self.z["q"](inputs))
            (a, b), (c, rest) = self.many
            return self.last(rest["x"](c(b(a(x)))))

    return Nested, (3,)


def several_inputs(k: Any) -> Any:
    class Two(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = k.layers.Dense(3), k.layers.Dense(3)
            self.dot = k.layers.Dot(-1)

        def call(self, inputs: Any) -> Any:
            left, right = inputs
            left, right = self.left(left), self.right(right)
            return {"sum": left + right, "dot": self.dot([left, right])}

    return Two, [(4,), (6,)]


def a_dict_of_inputs(k: Any) -> Any:
    class ByName(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.b, self.a = k.layers.Dense(3), k.layers.Dense(3)

        def call(self, inputs: Any, training: Any = None) -> Any:
            return k.ops.concatenate([self.b(inputs["b"]), self.a(inputs["a"])], axis=-1)

    return ByName, {"b": (4,), "a": (6,)}


def made_in_build(k: Any) -> Any:
    class Late(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first = k.layers.Dense(3)

        def build(self, input_shape: Any) -> None:
            self.second = k.layers.Dense(input_shape[-1])
            self.first.build(input_shape)
            self.second.build((*input_shape[:-1], 3))
            self.built = True

        def call(self, inputs: Any) -> Any:
            return inputs * self.second(self.first(inputs))

    return Late, (4,)


def models_in_models(k: Any) -> Any:
    class Encoder(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.hidden = k.layers.Dense(6, activation="relu")
            self.mean, self.spread = k.layers.Dense(2), k.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            x = self.hidden(inputs)
            return self.mean(x), self.spread(x)

    class Decoder(k.Model):
        def __init__(self, size: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.stack = k.Sequential([k.layers.Dense(6, activation="relu"), k.layers.Dense(size)])

        def call(self, inputs: Any) -> Any:
            return self.stack(inputs)

    class AutoEncoder(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.encoder, self.decoder = Encoder(), Decoder(7, name="decoder")

        def call(self, inputs: Any) -> Any:
            mean, spread = self.encoder(inputs)
            return self.decoder(mean + k.ops.exp(0.5 * spread) * 0.1)

    return AutoEncoder, (7,)


def a_layer_of_ones_own_inside(k: Any) -> Any:
    class Scale(k.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale

    class Scaled(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.scale, self.out = Scale(), k.layers.Dense(2)

        def call(self, inputs: Any, mask: Any = None) -> Any:
            return self.out(self.scale(inputs))

    return Scaled, (5,)


def a_shared_layer_and_a_functional_part(k: Any) -> Any:
    class Siamese(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            x = k.Input((4,))
            self.part = k.Model(x, k.layers.Dense(3, activation="relu")(x), name="part")
            self.again = self.part
            self.out = k.layers.Dense(1, activation="sigmoid")

        def call(self, inputs: Any) -> Any:
            left, right = inputs[:, :4], inputs[:, 4:]
            return self.out(k.ops.abs(self.part(left) - self.again(right)))

    return Siamese, (8,)


def a_base_class_between(k: Any) -> Any:
    class Base(k.Model):
        def describe_me(self) -> str:
            return type(self).__name__

    class Heir(Base):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.out = k.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.features(inputs)

        def features(self, inputs: Any) -> Any:
            return self.out(inputs)

    class Grandchild(Heir):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.more = k.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return super().call(self.more(inputs))

    return Grandchild, (4,)


def a_recurrent_one(k: Any) -> Any:
    class Tagger(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.embedding = k.layers.Embedding(11, 4, mask_zero=True)
            self.rnn = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True))
            self.out = k.layers.TimeDistributed(k.layers.Dense(2))

        def call(self, inputs: Any) -> Any:
            return self.out(self.rnn(self.embedding(inputs)))

    return Tagger, (6,)


def functional_forms(k: Any) -> Any:
    class Skip(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.left, self.right, self.out = k.layers.Dense(3), k.layers.Dense(3), k.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            x = k.layers.Activation("relu")(self.left(inputs))
            x = k.layers.add([x, self.right(inputs)])
            return self.out(k.layers.Concatenate()([x, inputs]))

    return Skip, (4,)


def tensors_beside_the_first(k: Any) -> Any:
    class Encoder(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.rnn = k.layers.LSTM(3, return_sequences=True, return_state=True)

        def call(self, x: Any, return_state: bool = False) -> Any:
            x, *states = self.rnn(x)
            return (x, states) if return_state else x

    class Decoder(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.rnn, self.out = k.layers.LSTM(3, return_sequences=True), k.layers.Dense(2)

        def call(self, x: Any, context: Any, states: Any = None, training: bool = True, scale: float = 1.0) -> Any:
            return self.out(self.rnn(x, initial_state=states) + k.ops.mean(context, 1, keepdims=True)) * scale

    class Seq2Seq(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.encoder, self.decoder = Encoder(), Decoder()

        def call(self, inputs: Any, training: Any = None) -> Any:
            context, states = self.encoder(inputs[:, :4], return_state=True)
            return self.decoder(inputs[:, 4:], context, states=states, training=training, scale=2.0)

    return Seq2Seq, (7, 2)


def a_mask_in_the_call(k: Any) -> Any:
    class Pool(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.supports_masking = True
            self.dense = k.layers.Dense(3)

        def call(self, x: Any, mask: Any = None, training: Any = None) -> Any:
            weights = k.ops.ones((6, 1)) if mask is None else k.ops.cast(mask, "float32")[..., None]
            return k.ops.sum(self.dense(x) * weights, axis=1)

    class Pooled(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.embedding = k.layers.Embedding(11, 4, mask_zero=True)
            self.pool, self.other = Pool(), Pool()

        def call(self, ids: Any, training: Any = None) -> Any:
            x = self.embedding(ids)
            return self.pool(x, training=training) + self.other(x, mask=k.ops.not_equal(ids, 3))

    return Pooled, (6,)


def layers_called_on_arrays(k: Any) -> Any:
    class Positions(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.tokens, self.places = k.layers.Embedding(11, 4), k.layers.Embedding(6, 4)
            self.attention = k.layers.MultiHeadAttention(2, 3)

        def call(self, ids: Any) -> Any:
            places = self.places(k.ops.arange(k.ops.shape(ids)[1]))
            x = self.tokens(ids) + places
            return self.attention(x, x)

    return Positions, (6,)


def the_batch_in_reshape(k: Any) -> Any:
    class Patches(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.conv, self.dense, self.out = k.layers.Conv2D(4, 2, strides=2), k.layers.Dense(3), k.layers.Dense(3)

        def call(self, images: Any) -> Any:
            batch = k.ops.shape(images)[0]
            x = self.conv(images)
            patches = k.ops.reshape(x, (batch, -1, x.shape[-1]))
            return k.ops.mean(self.dense(patches), axis=1) + self.out(k.ops.reshape(x, [batch, -1]))

    return Patches, (6, 6, 3)


def properties_with_layers(k: Any) -> Any:
    class Named(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.zs, self._hidden = [k.layers.Dense(3)], k.layers.Dense(3)

        @property
        def hidden(self) -> Any:
            return self._hidden

        @property
        def every(self) -> Any:
            return [self._hidden, *self.zs]

        @property
        def broken(self) -> Any:
            raise ValueError

        def call(self, inputs: Any) -> Any:
            return self.zs[0](self.hidden(inputs))

    return Named, (4,)


PROGRAMS = [lists_and_late_names, lists_filled_by_turns, containers_in_containers, several_inputs, a_dict_of_inputs,
            made_in_build, models_in_models, a_layer_of_ones_own_inside, a_shared_layer_and_a_functional_part,
            a_base_class_between, a_recurrent_one, functional_forms, tensors_beside_the_first, a_mask_in_the_call,
            layers_called_on_arrays, the_batch_in_reshape, properties_with_layers]
TAKES_INTEGERS = [a_recurrent_one, a_mask_in_the_call, layers_called_on_arrays]


def arrays(program: Program, shape: Any) -> Any:
    rng = np.random.default_rng(1)

    def made(each: Any) -> Any:
        whole = program in TAKES_INTEGERS
        found = rng.integers(0, 11, (3, *each)) if whole else rng.normal(size=(3, *each))
        return found.astype("int32" if whole else "float32")

    if isinstance(shape, dict):
        return {name: made(each) for name, each in shape.items()}
    return [made(each) for each in shape] if isinstance(shape, list) else made(shape)


def batched(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {name: (None, *each) for name, each in shape.items()}
    return [(None, *each) for each in shape] if isinstance(shape, list) else (None, *shape)


def tensors(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: torch.from_numpy(each) for name, each in x.items()}
    return [torch.from_numpy(each) for each in x] if isinstance(x, list) else torch.from_numpy(x)


def alike(found: Any, expected: Any) -> None:
    assert isinstance(found, dict) == isinstance(expected, dict)
    names = list(expected) if isinstance(expected, dict) else None
    same([found[name] for name in names] if names else found, [expected[name] for name in names] if names else expected)


def in_keras(program: Program, policy: str = "float32") -> tuple[Any, Any, Any]:
    keras.backend.clear_session(free_memory=False)
    keras.config.set_dtype_policy(policy)  # which clear_session forgets
    cls, shape = program(keras)
    theirs, x = cls(), arrays(program, shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*unbuilt state", UserWarning)  # Keras', of a layer that is never called
        theirs(x)
    rng = np.random.default_rng(0)
    theirs.set_weights([rng.normal(size=w.shape).astype(w.dtype) * 0.3 for w in theirs.get_weights()])
    return theirs, x, theirs(x, training=False)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_names_weights_and_numbers_are_keras(program: Program) -> None:
    theirs, x, expected = in_keras(program)
    cls, shape = program(kt)
    ours = cls()
    ours.build(batched(shape))
    called = [layer.name for layer in theirs.layers if layer.built]
    assert [layer.name for layer in ours.layers] == called
    assert [(w.name, w.shape, w.trainable) for w in ours.weights] == [
        (w.name, w.shape, w.trainable) for w in theirs.weights]
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    alike(module(tensors(x)), expected)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_files_of_keras(program: Program, tmp_path: Path) -> None:
    theirs, x, expected = in_keras(program)
    theirs.save(tmp_path / "model.keras")
    theirs.save_weights(tmp_path / "model.weights.h5")
    cls, shape = program(kt)
    loaded = kt.load_model(tmp_path / "model.keras", custom_objects={cls.__name__: cls})
    alike(loaded.to_torch()(tensors(x)), expected)
    ours = cls()
    ours.build(batched(shape))
    ours.load_weights(tmp_path / "model.weights.h5")
    alike(ours.to_torch()(tensors(x)), expected)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_our_files_in_keras(program: Program, tmp_path: Path) -> None:
    theirs, x, expected = in_keras(program)
    cls, shape = program(kt)
    ours = cls()
    ours.build(batched(shape))
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    ours.save(tmp_path / "model.keras", module)
    ours.save_weights(tmp_path / "model.weights.h5", module)
    fresh = in_keras(program)[0]
    fresh.load_weights(tmp_path / "model.weights.h5")
    alike(fresh(x, training=False), expected)
    if program is not several_inputs:  # Keras does not load a class whose __init__ takes no keywords
        loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={cls.__name__: type(fresh)})
        alike(loaded(x, training=False), expected)


# ---- as a model like all others --------------------------------------------------------------------------------------


def built(program: Program) -> Any:
    cls, shape = program(kt)
    model = cls()
    model.build(batched(shape))
    return model


def test_the_module_is_of_stock_modules_and_follows_its_mode() -> None:
    module = built(lists_and_late_names).to_torch()
    assert {type(part) for part in module.modules()} >= {torch.nn.Linear, torch.nn.Conv2d, torch.nn.Dropout}
    x = torch.rand(4, 8, 8, 3)
    same(module(x), module(x))
    module.train()
    assert not torch.equal(module(x), module(x))


def test_the_summary_is_keras() -> None:
    theirs = in_keras(lists_and_late_names)[0]
    keras.backend.clear_session(free_memory=False)
    shown: list[str] = []
    ours = built(lists_and_late_names)
    ours.summary(line_length=80, print_fn=shown.append)
    text: list[str] = []
    theirs.summary(line_length=80, print_fn=lambda line, line_break=None: text.append(line))
    # Keras shows the batch that it saw, and no shape for a layer without build
    expected = "\n".join(text).replace("(3, ", "(None, ").replace("?        ", "(None, 4)")
    assert shown[0].split() == expected.split()


def test_before_the_input_shape_is_known() -> None:
    cls, _ = lists_and_late_names(kt)
    model = cls()
    assert not model.built
    assert {row.output_shape for row in kt.shape_table(model).rows} == {None}
    with pytest.raises(ShapeError, match=r"the input shape of net is not known yet\s.*model.build"):
        _ = model.output_shape
    assert model.compute_output_shape((None, 8, 8, 3)) == (None, 2)
    assert not model.built
    assert next(row.output_shape for row in kt.shape_table(model, input_shape=(8, 8, 3)).rows) == (None, 2)
    lazy = model.to_torch()
    assert lazy(torch.rand(2, 8, 8, 3)).shape == (2, 2)
    assert not model.built


def test_it_is_a_layer_of_other_models() -> None:
    def program(k: Any) -> Any:
        inputs = k.Input((7,))
        net = models_in_models(k)[0](name="auto")
        return k.Model(inputs, k.layers.Dense(1)(net(inputs)))

    theirs, ours = both(program)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    module, x = ours.to_torch(), np.random.default_rng(1).normal(size=(3, 7)).astype("float32")
    kt.set_keras_weights(module, theirs.get_weights())
    same(module(torch.from_numpy(x)), theirs(x))


def test_a_model_around_it_goes_through_files(tmp_path: Path) -> None:
    def program(k: Any, cls: Any) -> Any:
        inputs = k.Input((8, 8, 3))
        return k.Model(inputs, k.layers.Dense(1)(cls(width=5, name="inner")(inputs)))

    keras.backend.clear_session(free_memory=False)
    own, cls = lists_and_late_names(keras)[0], lists_and_late_names(kt)[0]
    theirs, x = program(keras, own), np.random.default_rng(1).random((3, 8, 8, 3), "float32")
    theirs.save(tmp_path / "theirs.keras")
    loaded = kt.load_model(tmp_path / "theirs.keras", custom_objects={"Net": cls})
    same(loaded.to_torch()(torch.from_numpy(x)), theirs(x))
    loaded.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras", custom_objects={"Net": own})
    same(again(x), theirs(x))


@pytest.mark.parametrize("program", [lists_and_late_names, containers_in_containers, models_in_models, a_recurrent_one,
                                     functional_forms, layers_called_on_arrays, the_batch_in_reshape],
                         ids=lambda program: program.__name__)
def test_it_becomes_readable_source(program: Program, tmp_path: Path) -> None:
    kt.saving.port(built(program), tmp_path / "out")
    done = subprocess.run([sys.executable, tmp_path / "out" / "model.py", "--check"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert "kerashape" not in (tmp_path / "out" / "model.py").read_text().split('"""', 2)[2]


def without_an_argument_for_training(k: Any) -> Any:
    class Net(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense, self.norm, self.drop = k.layers.Dense(4), k.layers.BatchNormalization(), k.layers.Dropout(0.5)

        def call(self, inputs: Any) -> Any:
            return self.drop(self.norm(self.dense(inputs)))

    return Net, (4,)


@pytest.mark.parametrize("program", [models_in_models, without_an_argument_for_training, functional_forms],
                         ids=lambda program: program.__name__)
def test_training_steps_are_keras(program: Program) -> None:
    theirs, x, expected = in_keras(program)
    ours, y = built(program), np.ones(expected.shape, "float32")
    for model in (theirs, ours):
        model.compile("sgd", loss="mse")
    training = kt.training.of(ours)
    kt.set_keras_weights(training.module, theirs.get_weights())
    for _ in range(2):
        theirs.train_on_batch(x, y)
        training.step(x, y)
    for mine, other in zip(kt.get_keras_weights(training.module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_a_layer_meets_what_it_holds_in_the_same_order(tmp_path: Path) -> None:
    def program(k: Any) -> Any:
        class Holder(k.layers.Layer):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.zs, self.ys = [], {}
                for name in "qa":
                    self.zs.append(k.layers.Dense(3))
                    self.ys[name] = k.layers.Dense(3)
                self.many = [[k.layers.Dense(3)], k.layers.Dense(3), (k.layers.Dense(3), k.layers.Dense(3))]

            def build(self, shape: Any) -> None:
                for layer in (*self.zs, *self.ys.values(), self.many[0][0], self.many[1], *self.many[2]):
                    layer.build(shape)

            def call(self, x: Any) -> Any:
                for layer in (*self.zs, *self.ys.values(), self.many[0][0], self.many[1], *self.many[2]):
                    x = k.ops.tanh(layer(x))
                return x

        x = k.Input((3,))
        return k.Model(x, Holder(name="holder")(x))

    theirs, ours = both(program)
    x = np.random.default_rng(1).normal(size=(2, 3)).astype("float32")
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    same(module(torch.from_numpy(x)), theirs(x))
    theirs.save_weights(tmp_path / "their.weights.h5")
    ours.load_weights(tmp_path / "their.weights.h5")
    same(ours.to_torch()(torch.from_numpy(x)), theirs(x))


# ---- several tensors by name -----------------------------------------------------------------------------------------


def named_and_built(k: Any) -> Any:
    class Named(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first, self.last = k.layers.Dense(3), k.layers.Dense(2)

        def build(self, left_shape: Any, right_shape: Any = None) -> None:
            self.second = k.layers.Dense(left_shape[-1] + right_shape[-1])
            self.first.build(left_shape)
            self.second.build(right_shape)
            self.last.build((*left_shape[:-1], 3 + left_shape[-1] + right_shape[-1]))

        def call(self, left: Any, right: Any, training: Any = None) -> Any:
            return self.last(k.ops.concatenate([self.first(left), self.second(right)], axis=-1))

    return Named


def named_alone(k: Any) -> Any:
    class Named(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first, self.second, self.last = k.layers.Dense(3), k.layers.Dense(4), k.layers.Dense(2)

        def call(self, left: Any, right: Any, scale: float = 1.0) -> Any:
            return self.last(k.ops.concatenate([self.first(left), self.second(right) * scale], axis=-1))

    return Named


def with_named_tensors(program: Any) -> tuple[Any, tuple[Any, Any], Any]:
    keras.backend.clear_session(free_memory=False)
    rng = np.random.default_rng(1)
    theirs, x = program(keras)(), (rng.random((3, 4), "float32"), rng.random((3, 5), "float32"))
    return theirs, x, theirs(*x)


@pytest.mark.parametrize("program", [named_and_built, named_alone], ids=lambda program: program.__name__)
def test_our_files_of_several_named_tensors(program: Any, tmp_path: Path) -> None:
    theirs, x, expected = with_named_tensors(program)
    ours, own = program(kt)(), {"Named": program(kt)}
    ours.build(right_shape=(None, 5), left_shape=(None, 4))
    assert [shape[-1] for shape in ours.input_shape] == [4, 5]
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    ours.save(tmp_path / "model.keras", module)
    for loaded in (keras.models.load_model(tmp_path / "model.keras", custom_objects={"Named": type(theirs)})(*x),
                   kt.load_model(tmp_path / "model.keras", own).to_torch()(*map(torch.from_numpy, x))):
        same(loaded, expected)


def test_keras_files_of_several_named_tensors(tmp_path: Path) -> None:
    theirs, x, expected = with_named_tensors(named_and_built)
    theirs.save(tmp_path / "model.keras")
    loaded = kt.load_model(tmp_path / "model.keras", {"Named": named_and_built(kt)})
    assert [w.shape for w in loaded.weights] == [w.shape for w in theirs.weights]
    same(loaded.to_torch()(*map(torch.from_numpy, x)), expected)


def test_keras_files_that_have_the_first_shape_alone(tmp_path: Path) -> None:
    theirs, x, expected = with_named_tensors(named_alone)
    theirs.save(tmp_path / "model.keras")
    with pytest.raises(ShapeError, match=r"the call of named takes right too, besides left\s.*build\(left_shape="
                                         r"\.\.\., right_shape.* the first shape alone.* load_weights"):
        kt.load_model(tmp_path / "model.keras", {"Named": named_alone(kt)})
    ours = named_alone(kt)()
    ours.build((None, 4), right_shape=(None, 5))
    ours.load_weights(tmp_path / "model.keras")
    same(ours.to_torch()(*map(torch.from_numpy, x)), expected)
    with pytest.raises(ConfigError, match=r"build of named is given up_shape; its call takes left, right, scale"):
        named_alone(kt)().build(up_shape=(None, 4))


def test_the_order_of_arguments_by_name_says_nothing() -> None:
    ours, x, y = named_alone(kt)(), kt.Input((4,)), kt.Input((5,))
    assert ours(right=y, left=x).shape == ours(x, right=y).shape == (None, 2)


def test_a_default_of_training_means_nothing_in_a_file(tmp_path: Path) -> None:
    def program(k: Any) -> Any:
        class Net(k.Model):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.norm = k.layers.BatchNormalization()

            def call(self, x: Any, training: bool = True) -> Any:
                return self.norm(x, training=training)

        x = k.Input((4,))
        return k.Model(x, Net(name="net")(x)), Net

    theirs, x = program(keras)[0], np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    theirs.save(tmp_path / "model.keras")
    loaded = kt.load_model(tmp_path / "model.keras", custom_objects={"Net": program(kt)[1]})
    same(loaded.to_torch()(torch.from_numpy(x)), theirs(x, training=False))


def test_a_functional_model_with_an_init_of_its_own(tmp_path: Path) -> None:
    def program(k: Any) -> Any:
        class Net(k.Model):
            def __init__(self, **kwargs: Any) -> None:
                x = k.Input((4,))
                super().__init__(inputs=x, outputs=k.layers.Dense(3)(x), **kwargs)

        return Net

    theirs, x = program(keras)(), np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    theirs.save(tmp_path / "model.keras")
    loaded = kt.load_model(tmp_path / "model.keras", custom_objects={"Net": program(kt)})
    same(loaded.to_torch()(torch.from_numpy(x)), theirs(x))


def test_mixed_precision() -> None:
    kt.config.set_dtype_policy("mixed_bfloat16")
    try:
        theirs, x, expected = in_keras(models_in_models, "mixed_bfloat16")
        module = built(models_in_models).to_torch()
    finally:
        keras.config.set_dtype_policy("float32")
        kt.config.set_dtype_policy("float32")
    kt.set_keras_weights(module, theirs.get_weights())
    assert module(tensors(x)).dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(module(tensors(x)).float(), expected.float(), rtol=2e-2, atol=2e-2)  # eight bits


@pytest.mark.parametrize("drop", [lambda k: k.layers.Dropout(0.5), lambda k: k.Sequential([
    k.layers.Dropout(0.3), k.layers.GaussianNoise(0.1)])], ids=["a layer", "a model"])
def test_layers_that_rest_in_inference_may_be_called_in_training_alone(drop: Callable[[Any], Any]) -> None:
    def program(k: Any) -> Any:
        class Guide(k.Model):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.first, self.drop, self.last = k.layers.Dense(50), drop(k), k.layers.Dense(2)

            def call(self, inputs: Any, training: bool = False) -> Any:
                x = self.first(inputs)
                if training:
                    x = self.drop(x, training=training)
                return self.last(x)

        return Guide, (4,)

    theirs, x, expected = in_keras(program)
    module = built(program).to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    alike(module(tensors(x)), expected)
    module.train()
    assert not torch.equal(module(tensors(x)), module(tensors(x)))


def made_by_its_arguments(k: Any) -> Any:
    class Made(k.Model):
        def __init__(self, units: int = 3, **kwargs: Any) -> None:
            x = k.Input((4,))
            super().__init__(inputs=x, outputs=k.layers.Dense(units)(x), **kwargs)

    return Made


def like_any_other(k: Any) -> Any:
    class Like(k.Model):
        pass

    return Like


@pytest.mark.parametrize("program", [made_by_its_arguments, like_any_other], ids=lambda program: program.__name__)
def test_functional_models_of_a_class_go_through_files(program: Any, tmp_path: Path) -> None:
    def around(k: Any, cls: Any) -> Any:
        x = k.Input((4,))
        return k.Model(x, k.layers.Dense(1)(cls(name="inner")(x)))

    keras.backend.clear_session(free_memory=False)
    own, cls = program(keras), program(kt)
    x, inputs = np.random.default_rng(1).random((3, 4), "float32"), keras.Input((4,))
    graph = () if program is made_by_its_arguments else (inputs, keras.layers.Dense(3)(inputs))
    for theirs in (own(*graph), around(keras, lambda **kwargs: own(*graph, **kwargs))):
        theirs.save(tmp_path / "theirs.keras")
        loaded = kt.load_model(tmp_path / "theirs.keras", custom_objects={cls.__name__: cls})
        same(loaded.to_torch()(torch.from_numpy(x)), theirs(x))
        loaded.save(tmp_path / "ours.keras")
        again = keras.models.load_model(tmp_path / "ours.keras", custom_objects={cls.__name__: own})
        same(again(x), theirs(x))


def test_a_class_may_give_itself_a_name(tmp_path: Path) -> None:
    def program(k: Any) -> Any:
        class Named(k.Model):
            def __init__(self, **kw: Any) -> None:
                super().__init__(name="always", **kw)
                self.out = k.layers.Dense(2)

            def call(self, inputs: Any) -> Any:
                return self.out(inputs)

        return Named, (4,)

    theirs, x, expected = in_keras(program)
    theirs.save(tmp_path / "model.keras")
    own = {"Named": program(kt)[0]}
    loaded = kt.load_model(tmp_path / "model.keras", custom_objects=own)
    loaded.save(tmp_path / "model.keras")
    assert loaded.name == "always"
    alike(kt.load_model(tmp_path / "model.keras", custom_objects=own).to_torch()(tensors(x)), expected)
    again = keras.models.load_model(tmp_path / "model.keras", custom_objects={"Named": type(theirs)})
    alike(again(x), expected)


# ---- what cannot be followed -----------------------------------------------------------------------------------------


def net(call: Callable[..., Any], **more: Any) -> Any:
    """A model of one Dense with this call."""

    def init(self: Any) -> None:
        kt.Model.__init__(self)
        self.dense = kt.layers.Dense(2)

    return type("Net", (kt.Model,), {"__init__": init, "call": call, "__module__": __name__, **more})()


def with_torch(self: Any, x: Any) -> Any:
    return torch.relu(self.dense(x))


def with_numbers(self: Any, x: Any) -> Any:
    return self.dense(x) if x[0, 0] > 0 else x


def with_a_loss_of_nothing(self: Any, x: Any) -> Any:
    self.add_loss(0.1)
    return self.dense(x)


def with_a_loss_of_a_layer(self: Any, x: Any) -> Any:
    self.add_loss(kt.ops.sum(self.dense(x)))
    return x


def with_losses_by_mode(self: Any, x: Any, training: bool = False) -> Any:
    if training:
        self.add_loss(kt.ops.sum(x))
    return self.dense(x)


def two_ways(self: Any, x: Any, training: bool = False) -> Any:
    return self.dense(x) if training else x


def two_numbers(self: Any, x: Any, training: bool = False) -> Any:
    return self.dense(x) * (0.5 if training else 1.0)


@pytest.mark.parametrize(("call", "why"), [
    (two_numbers, "it does other things in training than in inference"),
    (with_torch, "TypeError: .*relu"), (with_numbers, "a symbolic tensor has no truth value"),
    (with_a_loss_of_nothing, "it adds a loss that is no tensor of its call: 0.1"),
    (with_a_loss_of_a_layer, r"it adds a loss of what dense = Dense\(.*\) gives, which no output needs"),
    (with_losses_by_mode, "it adds other losses in training than in inference"),
    (two_ways, "it does other things in training than in inference")])
def test_what_cannot_be_followed_says_the_way_out(call: Any, why: str) -> None:
    model = net(call)
    with pytest.raises(ConfigError, match=rf"the call of Net .*{why}.* Way out for others: a layer, class Net"):
        model.build((None, 3))
    assert not model.built


def test_two_ways_to_call_one_model_are_refused() -> None:
    model, x = net(lambda self, x, y=None, scale=1.0: self.dense(x if y is None else x + y) * scale), kt.Input((3,))
    model(x, scale=2.0)
    model(x, scale=2.0)
    with pytest.raises(ConfigError, match=r"is called with x, y and was built with x, scale=2.0. Way out: one model"):
        model(x, x)


def test_a_reshape_that_leaves_two_sizes_open() -> None:
    x = kt.ops.reshape(kt.Input((6, 4)), (-1, 4))  # samples are put together: the batch is another
    with pytest.raises(ShapeError, match=r"\(None, -1, 4\) leaves more than one size of \(None, 4\) open"):
        kt.ops.reshape(x, (None, -1, 4))


def test_a_layer_inside_is_not_followed_but_run() -> None:
    class Sum(kt.layers.Layer):
        def call(self, x: Any) -> Any:
            return kt.layers.add([x, x])

    model = net(lambda self, x: self.inner(self.dense(x)))
    model.inner = Sum()
    model.build((None, 3))
    module, x = model.to_torch(), torch.rand(4, 3)
    torch.testing.assert_close(module(x), 2 * module.dense(x))


def test_a_step_of_its_own_is_not_taken_for_keras() -> None:
    model = net(lambda self, x: self.dense(x), train_step=lambda self, data: {})
    model.build((None, 3))
    model.compile("sgd", loss="mse")
    with pytest.raises(ConfigError, match=r"Net has a train_step of its own"):
        kt.training.of(model)


def test_a_file_without_an_input_shape_says_the_way_out() -> None:
    cls, _ = a_base_class_between(kt)
    with pytest.raises(ConfigError, match=r"does not say for which input shape Grandchild was built. Way out: .*build"):
        kt.load_model({"module": None, "class_name": "Grandchild", "config": {}, "registered_name": "Grandchild"},
                      custom_objects={"Grandchild": cls})


def test_only_keras_3_has_a_file_for_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a model with a call of its own is saved as .keras"):
        built(a_base_class_between).save(tmp_path / "model.h5")

"""Models with a ``call`` of their own that have weights beside those of their layers: each program is run with Keras
and with this package in its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from keras.src.legacy.saving import legacy_h5_format
from test_idioms import same

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError, KerashapeError

Program = Callable[[Any], type[Any]]


def scaled(k: Any) -> Any:
    class Scaled(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.count = self.add_weight(shape=(4,), initializer="ones", trainable=False, name="count")
            self.hidden = k.layers.Dense(4)
            self.scale = self.add_weight(shape=(4,), initializer="ones", name="factor")
            self.shift = k.Variable(np.arange(4).astype("float32"), name="shift")

        def build(self, input_shape: Any) -> None:
            self.late = self.add_weight(shape=(input_shape[-1], 4), initializer="normal", name="late",
                                        regularizer="l2")
            self.kept = self.add_weight(shape=(), initializer="ones", name="kept", trainable=False)
            self.hidden.build((*input_shape[:-1], 4))

        def call(self, inputs: Any) -> Any:
            x = self.hidden(k.ops.tanh(k.ops.matmul(inputs, self.late)))
            return x * self.scale + self.count * self.kept - self.shift[None, :]

    return Scaled


def in_containers(k: Any) -> Any:
    class Mixed(k.Model):
        def __init__(self, width: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width
            self.gates = [self.add_weight(shape=(width,), initializer="ones", name=f"gate{i}") for i in range(2)]
            self._named = {"b": self.add_weight(shape=(width,), name="b", initializer="zeros")}
            self.last = k.layers.Dense(2)
            self.places = []

        def build(self, input_shape: Any) -> None:
            for i in range(2):
                self.places.append(k.layers.Dense(self.width))
                self.places[i].build(input_shape)
            self.gates.append(self.add_weight(shape=(self.width,), initializer="ones", name="gate2"))
            self.last.build(input_shape)

        def call(self, inputs: Any, training: Any = None) -> Any:
            x = inputs
            for gate, place in zip(self.gates, self.places):
                x = k.ops.tanh(place(x)) * gate
            return self.last(x + self._named["b"] * self.gates[2])

        def get_config(self) -> Any:
            return {**super().get_config(), "width": self.width}

    return Mixed


def inside_each_other(k: Any) -> Any:
    class Gated(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = k.layers.Dense(4)
            self.gate = self.add_weight(shape=(4,), initializer="zeros", name="gate")

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs) * k.ops.sigmoid(self.gate)

    class Outer(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.second, self.first = Gated(), Gated()
            self.mix = self.add_weight(shape=(1,), initializer="ones", name="mix")
            self.norm = k.layers.BatchNormalization()

        def call(self, inputs: Any, training: Any = None) -> Any:
            x = self.first(inputs)
            return self.norm(x + self.mix * self.second(self.second(x)), training=training)

    return Outer


def one_that_is_not_read(k: Any) -> Any:
    class Idle(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.steps = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="steps")
            self.idle = self.add_weight(shape=(3,), initializer="ones", name="idle")
            self.which = self.add_weight(shape=(2,), initializer="zeros", dtype="int32", trainable=False, name="which")
            self.dense = k.layers.Dense(4)

        def call(self, inputs: Any) -> Any:
            return k.ops.take(self.dense(inputs), self.which, axis=-1)

    return Idle


def given_back(k: Any) -> Any:
    class Given(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.table = self.add_weight(shape=(3, 4), initializer="ones", name="table", constraint="non_neg")

        def call(self, inputs: Any) -> Any:
            return self.table, k.ops.matmul(inputs, k.ops.transpose(self.table)) * self.table.shape[0]

    class Around(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.given = Given()

        def call(self, inputs: Any) -> Any:
            table, x = self.given(inputs)
            return k.ops.matmul(x, table)

    return Around


def read_from_layers(k: Any) -> Any:
    class Tied(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.code, self.norm = k.layers.Dense(3, activation="tanh"), k.layers.BatchNormalization()
            self.steps = k.layers.Conv1D(2, 3, padding="same")
            self.gated = k.layers.Dense(4)
            self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")

        def call(self, inputs: Any, training: Any = None) -> Any:
            code = self.norm(self.code(inputs), training=training)
            back = k.ops.matmul(code * self.norm.gamma, k.ops.transpose(self.code.kernel)) * self.scale
            steps = self.steps(back[:, :, None])
            penalty = k.ops.sum(k.ops.square(self.steps.kernel), axis=(0, 1)) + self.steps.bias
            return k.ops.sum(steps * penalty, axis=-1) + k.ops.sum(self.gated(back)) * self.gated.bias

    return Tied


def read_from_a_model(k: Any) -> Any:
    class Reader(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.net = one_that_is_not_read(k)()
            self.after = k.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            x = self.net(inputs)
            return self.after(x) + k.ops.sum(self.net.dense.bias) * k.ops.matmul(x, self.net.dense.kernel[:2, :3])

    return Reader


PROGRAMS = [read_from_a_model, read_from_layers, given_back, scaled, in_containers, inside_each_other,
            one_that_is_not_read]


def by_name(program: Program) -> str:
    return program.__name__


def inputs() -> Any:
    return np.random.default_rng(1).normal(size=(3, 4)).astype("float32")


def filled(model: Any) -> Any:
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape).astype(w.dtype) * 0.3 if w.dtype == "float32" else
                       rng.integers(0, 3, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def in_keras(program: Program, policy: str = "float32") -> tuple[Any, Any]:
    keras.backend.clear_session(free_memory=False)
    keras.config.set_dtype_policy(policy)  # which clear_session forgets
    theirs = program(keras)()
    theirs(inputs())
    return filled(theirs), theirs(inputs(), training=False)


def built(program: Program) -> Any:
    model = program(kt)()
    model.build((None, 4))
    return model


def run(module: Any) -> Any:
    return module(torch.from_numpy(inputs()))


@pytest.mark.parametrize("program", PROGRAMS, ids=by_name)
def test_names_order_and_numbers_are_keras(program: Program) -> None:
    theirs, expected = in_keras(program)
    ours = built(program)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [(w.name, w.shape, w.trainable) for w in ours.weights] == [
        (w.name, w.shape, w.trainable) for w in theirs.weights]
    assert ours.count_params() == theirs.count_params() == kt.shape_table(ours).params
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    for mine, other in zip(kt.get_keras_weights(module), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
    same(run(module), expected)
    same(run(kt.optimize_for_inference(module)), expected)


@pytest.mark.parametrize("program", PROGRAMS, ids=by_name)
def test_files_both_ways(program: Program, tmp_path: Path) -> None:
    theirs, expected = in_keras(program)
    theirs.save(tmp_path / "theirs.keras")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    cls = program(kt)
    loaded, ours = kt.load_model(tmp_path / "theirs.keras", {cls.__name__: cls}), built(program)
    ours.load_weights(tmp_path / "theirs.weights.h5")
    for model in (loaded, ours):
        same(run(model.to_torch()), expected)
    loaded.save(tmp_path / "ours.keras")
    ours.save_weights(tmp_path / "ours.weights.h5", ours.to_torch())
    fresh = in_keras(program)[0]
    fresh.load_weights(tmp_path / "ours.weights.h5")
    again = keras.models.load_model(tmp_path / "ours.keras", custom_objects={cls.__name__: type(theirs)})
    for model in (fresh, again):
        same(model(inputs(), training=False), expected)


def test_weights_in_an_older_form(tmp_path: Path) -> None:
    theirs, expected = in_keras(inside_each_other)  # Keras on torch fails to write two weights of one model's own
    with h5py.File(tmp_path / "old.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, theirs)
    ours = built(inside_each_other)
    ours.load_weights(tmp_path / "old.h5")
    same(run(ours.to_torch()), expected)


def with_losses(k: Any) -> Any:
    class Coder(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inside = k.layers.Dense(2, activity_regularizer="l2")
            self.outside = k.layers.Dense(4)
            self.beta = self.add_weight(shape=(2,), initializer="ones", name="beta")

        def call(self, inputs: Any, training: Any = None) -> Any:
            x = self.inside(inputs)
            self.add_loss(k.ops.mean(k.ops.square(x) * k.ops.exp(self.beta)))
            self.add_loss([k.ops.sum(k.ops.abs(x), axis=1)])
            return self.outside(x)

    return Coder


def losses_inside(k: Any) -> Any:
    class Pair(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first, self.second = with_losses(k)(), with_losses(k)()

        def call(self, inputs: Any) -> Any:
            x = self.second(self.first(self.first(inputs)))
            self.add_loss(k.ops.max(x))
            return x

    return Pair


def losses_in_a_layer(k: Any) -> Any:
    class Holder(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.net = with_losses(k)()

        def build(self, shape: Any) -> None:
            self.net(k.Input(shape[1:]))

        def call(self, inputs: Any) -> Any:
            return k.ops.tanh(self.net(inputs))

    class Around(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.holder = Holder()

        def call(self, inputs: Any) -> Any:
            return self.holder(inputs)

    return Around


@pytest.mark.parametrize("program", [with_losses, losses_inside, losses_in_a_layer], ids=by_name)
def test_losses_of_a_call_count_in_training(program: Program) -> None:
    theirs, expected = in_keras(program)
    ours, y = built(program), np.ones(expected.shape, "float32")
    for model in (theirs, ours):
        model.compile("sgd", loss="mse")
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    same(run(module), expected)
    training = kt.training.of(ours, module)
    for _ in range(2):
        assert float(training.test(inputs(), y)) == pytest.approx(theirs.test_on_batch(inputs(), y), rel=1e-4)
        training.reset()
        assert float(training.step(inputs(), y)) == pytest.approx(theirs.train_on_batch(inputs(), y), rel=1e-4)
        training.reset()
    for mine, other in zip(kt.get_keras_weights(module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def around(k: Any, cls: Any) -> Any:
    x = k.Input((4,))
    net = cls(name="net")
    return k.Model(x, k.layers.Dense(1)(net(k.layers.Dense(4)(net(x)))))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_they_are_parts_of_other_models(suffix: str, tmp_path: Path) -> None:
    def program(k: Any) -> Any:
        x = k.Input((4,))
        return k.Model(x, k.layers.Dense(1)(in_containers(k)(name="net")(x)))

    keras.backend.clear_session(free_memory=False)
    theirs, ours = filled(program(keras)), program(kt)
    assert [(w.name, w.trainable) for w in ours.weights] == [(w.name, w.trainable) for w in theirs.weights]
    assert [layer.count_params() for layer in ours.layers] == [layer.count_params() for layer in theirs.layers]
    assert [row.params for row in kt.shape_table(ours).rows if not row.depth] == [
        layer.count_params() for layer in theirs.layers]
    path, own = tmp_path / f"theirs.{suffix}", {"Mixed": in_containers(kt)}
    theirs.save(path)
    loaded = kt.load_model(path, own)
    same(run(loaded.to_torch()), theirs(inputs()))
    loaded.save(tmp_path / f"ours.{suffix}")
    again = keras.models.load_model(tmp_path / f"ours.{suffix}", custom_objects={"Mixed": in_containers(keras)})
    same(again(inputs()), theirs(inputs()))


def test_a_model_called_twice_has_them_once() -> None:
    keras.backend.clear_session(free_memory=False)
    cls = [type(inside_each_other(k)().first) for k in (keras, kt)]
    theirs, ours = filled(around(keras, cls[0])), around(kt, cls[1])
    module = ours.to_torch()
    assert "net/gate" in [spec.full_path for spec in kt.lowering.keras_weights(module).specs]
    kt.set_keras_weights(module, theirs.get_weights())
    same(run(module), theirs(inputs()))


def test_a_layer_may_hold_such_a_model() -> None:
    def program(k: Any) -> Any:
        class Holder(k.layers.Layer):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.net = type(inside_each_other(k)().first)()

            def build(self, input_shape: Any) -> None:
                self.net(k.Input(input_shape[1:]))

            def call(self, inputs: Any) -> Any:
                return k.ops.tanh(self.net(inputs))

        x = k.Input((4,))
        return k.Model(x, Holder()(x))

    keras.backend.clear_session(free_memory=False)
    theirs, ours = filled(program(keras)), program(kt)
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    same(run(module), theirs(inputs()))


def test_the_summary_counts_them() -> None:
    theirs, _ = in_keras(scaled)
    keras.backend.clear_session(free_memory=False)
    text: list[str] = []
    shown: list[str] = []
    theirs.summary(line_length=80, print_fn=lambda line, line_break=None: text.append(line))
    built(scaled).summary(line_length=80, print_fn=shown.append)
    assert shown[0].split() == "\n".join(text).replace("(3, ", "(None, ").split()


@pytest.mark.parametrize("program", [given_back, scaled, in_containers, inside_each_other], ids=by_name)
def test_training_steps_are_keras(program: Program) -> None:
    theirs, expected = in_keras(program)
    ours, y = built(program), np.ones(expected.shape, "float32")
    for k, model in ((keras, theirs), (kt, ours)):  # with a small epsilon, steps are made of rounding errors
        model.compile(k.optimizers.Adam(epsilon=1e-3), loss="mse")
    training = kt.training.of(ours)
    kt.set_keras_weights(training.module, theirs.get_weights())
    for _ in range(3):
        theirs.train_on_batch(inputs(), y)
        training.step(inputs(), y)
    for mine, other in zip(kt.get_keras_weights(training.module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_the_state_of_the_optimizer_goes_through_files(tmp_path: Path) -> None:
    theirs, expected = in_keras(scaled)
    theirs.compile("adam", loss="mse")
    y = np.ones(expected.shape, "float32")
    theirs.train_on_batch(inputs(), y)
    theirs.save(tmp_path / "model.keras")
    training = kt.training.of(kt.load_model(tmp_path / "model.keras", {"Scaled": scaled(kt)}))
    theirs.train_on_batch(inputs(), y)
    training.step(inputs(), y)
    for mine, other in zip(kt.get_keras_weights(training.module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_frozen_model_freezes_them(when: str) -> None:
    theirs, _ = in_keras(inside_each_other)
    ours = inside_each_other(kt)()
    for each in (ours, theirs):
        if when == "before" or each is theirs:
            each.first.trainable = False
    ours.build((None, 4))
    ours.first.trainable = False
    module = ours.to_torch()
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    assert not module.get_submodule(ours.first.name).gate.value.requires_grad
    ours.trainable = theirs.trainable = False
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights] == [False] * 11


@pytest.mark.parametrize("program", PROGRAMS, ids=by_name)
def test_they_are_written_as_source(program: Program, tmp_path: Path) -> None:
    theirs, ours = in_keras(program)[0], built(program)
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    if program is read_from_a_model:
        with pytest.raises(KerashapeError, match=r"bias of dense.* is read outside of the model that has this layer"):
            kt.saving.port(ours, tmp_path / "out")
        return
    kt.saving.port(ours, tmp_path / "out")
    text = (tmp_path / "out" / "model.py").read_text()
    assert "kerashape" not in text.split('"""', 2)[2] and "Weight(" in text
    done = subprocess.run([sys.executable, tmp_path / "out" / "model.py", "--check"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_a_weight_may_be_an_output() -> None:
    keras.backend.clear_session(free_memory=False)
    theirs, ours = given_back(keras)(), built(given_back).given
    theirs(inputs())
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.given.get_weights())
    table, x = theirs.given(inputs())
    same(run(module), (table.value, x))
    assert ours.compute_output_shape((7, 4)) == ((3, 4), (7, 3))


def test_plans_count_them() -> None:
    ours = built(scaled)
    assert kt.plan(ours, batch=8).needs.weights == 4 * ours.count_params()
    assert kt.plan(ours, optimizer="adam").needs.optimizer == 4 * 2 * ours.count_params(trainable=True)


@pytest.mark.parametrize("program", [scaled, in_containers, one_that_is_not_read], ids=by_name)
def test_mixed_precision(program: Program) -> None:
    kt.config.set_dtype_policy("mixed_bfloat16")
    try:
        theirs, expected = in_keras(program, "mixed_bfloat16")
        module = built(program).to_torch()
    finally:
        keras.config.set_dtype_policy("float32")
        kt.config.set_dtype_policy("float32")
    kt.set_keras_weights(module, theirs.get_weights())
    found = run(module)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected.float(), rtol=2e-2, atol=2e-2)  # eight bits


def test_looking_at_shapes_leaves_an_unbuilt_model_alone() -> None:
    ours = in_containers(kt)()
    for _ in range(2):
        assert ours.compute_output_shape((None, 4)) == (None, 2)
    assert not ours.built and len(ours.places) == 0 and len(ours.gates) == 2
    lazy = ours.to_torch()
    assert run(lazy).shape == (3, 2)
    ours.build((None, 4))
    assert len(ours.weights) == 4 + 6


def assigning(self: Any, x: Any) -> Any:
    self.steps.assign(self.steps + 1.0)
    return x * self.steps


def adding(self: Any, x: Any) -> Any:
    return x * self.add_weight(shape=(4,))


def reading_what_is_not_there(self: Any, x: Any) -> Any:
    return self.dense(x) * self.dense.weight


def reading_too_early(self: Any, x: Any) -> Any:
    return x * self.dense.kernel


def drawing_by_numpy(self: Any, x: Any) -> Any:
    return x + np.random.default_rng().normal(size=(4,)).astype("float32")


def drawing_by_torch(self: Any, x: Any, training: Any = None) -> Any:
    return self.dense(x) * torch.rand(4)


def asking_a_size(self: Any, x: Any) -> Any:
    return x if kt.ops.shape(x)[0] > 2 else -x


@pytest.mark.parametrize(("call", "why"), [
    (assigning, "the call of Net cannot be followed .*assign.* Way out for others"),
    (reading_what_is_not_there, "Dense.* has no 'weight'. Its weights are kernel, bias.* Way out for others"),
    (reading_too_early, "Dense.* has no 'kernel': it has weights once it has been called.* Way out for others"),
    (drawing_by_numpy, r"it has other numbers each time.* kerashape_torch.random.* Way out for others"),
    (drawing_by_torch, r"it has other numbers each time.* kerashape_torch.random.* Way out for others"),
    (adding, r"Net: add_weight is called in __init__ or build\(self, input_shape\)"),
    (asking_a_size, r"<size of axis 0 of \(None, 4\)> is known when the model runs.*order.*Way out for others")])
def test_what_is_refused(call: Any, why: str) -> None:
    class Net(kt.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = kt.layers.Dense(4)
            self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False)

    Net = type("Net", (Net,), {"call": call})
    model = Net()
    with pytest.raises(ConfigError, match=why):
        model.build((None, 4))
    assert not model.built and not hasattr(model, "training")


@pytest.mark.parametrize("name", ["kernel", "recurrent_kernel", "depthwise_kernel", "bias", "gamma", "beta",
                                  "embeddings", "moving_mean", "moving_variance"])
def test_no_layer_hides_a_weight_behind_a_method(name: str) -> None:
    assert not [cls for cls in kt.Layer.catalog().values() if callable(getattr(cls, name, None))]

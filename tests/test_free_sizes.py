"""Sizes that are known when a model runs, in a ``call`` that is followed: each program is run with Keras and with this
package in its place."""

from __future__ import annotations

import math
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from test_idioms import same

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError, KerashapeError


def class_token(k: Any, net: Any, x: Any) -> Any:
    batch = k.ops.shape(x)[0]
    token = k.ops.broadcast_to(net.token, (batch, 1, 4))
    return k.ops.concatenate([token, x], axis=1)


def tiled(k: Any, net: Any, x: Any) -> Any:
    return k.ops.concatenate([k.ops.tile(net.token, [k.ops.shape(x)[0], 2, 1]), x], axis=1)


def repeated(k: Any, net: Any, x: Any) -> Any:
    return k.ops.concatenate([k.ops.repeat(net.token, k.ops.shape(x)[0], axis=0), x], axis=1)


def zeros_and_ones(k: Any, net: Any, x: Any) -> Any:
    batch, length, width = k.ops.shape(x)
    made = k.ops.zeros((batch, length, width)) + k.ops.ones((batch, 1, 1)) + k.ops.full((batch, length, 1), 0.5)
    return made + net.token * x


def heads(k: Any, net: Any, x: Any) -> Any:
    batch, length, width = k.ops.shape(x)
    x = k.ops.transpose(k.ops.reshape(x, (batch, length, 2, width // 2)), (0, 2, 1, 3))
    x = k.ops.matmul(k.ops.softmax(k.ops.matmul(x, k.ops.transpose(x, (0, 1, 3, 2)))), x)
    return k.ops.reshape(k.ops.transpose(x, (0, 2, 1, 3)), (batch, length, width)) + net.token


def positions(k: Any, net: Any, x: Any) -> Any:
    return x + net.places(k.ops.arange(k.ops.shape(x)[1])) + net.token


def flattened(k: Any, net: Any, x: Any) -> Any:
    batch, length, _ = k.ops.shape(x)
    flat = k.ops.reshape(x, (-1, 4))
    return k.ops.reshape(flat, (batch, length, 4)) * net.token + k.ops.reshape(flat, (batch, -1, 4))


def sliced(k: Any, net: Any, x: Any) -> Any:
    length = k.ops.shape(x)[1]
    table = k.ops.repeat(net.token, 9, axis=1)
    return x[:, :length] + table[:, :length, :] * x[:, -1:] + table[:, length, None]


def reckoned(k: Any, net: Any, x: Any) -> Any:
    batch, length, width = k.ops.shape(x)
    half, quarter = math.ceil(length / 2), math.floor(length / 4) + 1
    flat = k.ops.reshape(x, (batch * length * 2, width // 2))
    merged = k.ops.reshape(flat, (batch, 2 * length, -1))[:, :: 1 + length % 1]
    wide = k.ops.concatenate([merged, -merged], axis=-1)
    return wide[:, half:length + quarter - half + 1] * net.token + k.ops.arange(1, 2 * length - (length - 2), length)[0]


def as_operands(k: Any, net: Any, x: Any) -> Any:
    batch, length, width = k.ops.shape(x)
    mean = k.ops.sum(x, axis=1, keepdims=True) / length
    scaled = mean * k.ops.cast(length, "float32") ** -0.5 + (2 * length - 1) * net.token * length ** -0.5
    least = k.ops.minimum(batch, 2) + k.ops.convert_to_tensor([length, width, 1, 0])
    return scaled + k.ops.full((batch, 1, 1), length / 8) + k.ops.cast(least, "float32")


def by_any_op(k: Any, net: Any, x: Any) -> Any:
    batch, length, width = k.ops.shape(x)
    padded = k.ops.pad(x, [[0, 0], [0, length], [0, 0]])
    steps = k.ops.linspace(0.0, 1.0, 2 * length)[:, None] + k.ops.eye(2 * length)[:, :1]
    first = k.ops.slice(x, (0, 0, 0), (batch, 1, width))
    return padded * net.token + steps + first + k.ops.one_hot(k.ops.argmax(x, -1), length)[:, :1, :1]


def sizes_in_a_tensor(k: Any, net: Any, x: Any) -> Any:
    """As code written for TensorFlow puts them together."""
    repeats = k.ops.concatenate([k.ops.expand_dims(k.ops.shape(x)[0], -1), k.ops.convert_to_tensor([1, 1])], axis=0)
    return k.ops.tile(net.token, repeats) * x


CALLS = [sliced, class_token, tiled, repeated, zeros_and_ones, heads, positions, flattened, reckoned, as_operands,
         by_any_op, sizes_in_a_tensor]
NOT_WRITTEN = (by_any_op,)
"""A package of one's own runs the ops that torch has no one function for."""


def program(k: Any, call: Any) -> Any:
    class Net(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            if call is positions:
                self.places = k.layers.Embedding(9, 4)
            self.token = self.add_weight(shape=(1, 1, 4), initializer="ones", name="token")
            self.out = k.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.out(call(k, self, inputs))

    return Net


def inputs(batch: int, length: int) -> Any:
    return np.random.default_rng(batch).normal(size=(batch, length, 4)).astype("float32")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_numbers_are_keras(call: Any, tmp_path: Path) -> None:
    keras.backend.clear_session(free_memory=False)
    theirs = program(keras, call)()
    theirs(inputs(3, 5))
    rng = np.random.default_rng(0)
    theirs.set_weights([rng.normal(size=w.shape).astype("float32") for w in theirs.get_weights()])
    ours = program(kt, call)()
    ours.build((None, None, 4))
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    for batch, length in ((3, 5), (2, 7)):
        x = inputs(batch, length)
        same(module(torch.from_numpy(x)), theirs(x))
        assert ours.compute_output_shape((batch, length, 4)) == tuple(theirs(x).shape)
    theirs.save(tmp_path / "model.keras")
    loaded = kt.load_model(tmp_path / "model.keras", {"Net": program(kt, call)})
    same(loaded.to_torch()(torch.from_numpy(inputs(3, 5))), theirs(inputs(3, 5)))
    if call in NOT_WRITTEN:
        with pytest.raises(KerashapeError, match="of sizes that are known when it runs"):
            kt.saving.port(loaded, tmp_path / "out")
        return
    kt.saving.port(loaded, tmp_path / "out")
    checks(tmp_path / "out")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_it_compiles_and_is_optimized(call: Any) -> None:
    """torch.compile knows no ``__index__`` of its symbolic numbers, which ops ask for that take numbers alone."""
    ours = program(kt, call)()
    ours.build((None, None, 4))
    module = ours.to_torch().eval()
    torch._dynamo.reset()
    compiled = module if call is by_any_op else torch.compile(module, backend="eager", dynamic=True, fullgraph=True)
    for batch, length in ((3, 5), (2, 7)):
        x = torch.from_numpy(inputs(batch, length))
        same(compiled(x), module(x))
        same(kt.optimize_for_inference(module)(x), module(x))


@pytest.mark.parametrize(("use", "said"), [
    (lambda k, n, x: x[:, : min(n, 3)], "has no value, order or truth"), (lambda k, n, x: x if n else -x, "truth"),
    (lambda k, n, x: x if n == 3 else -x, "truth"), (lambda k, n, x: x * math.sqrt(n), "may be reckoned with"),
    (lambda k, n, x: [x * i for i in range(2 * n + 1)], r"<\(2 \* size of axis 1 of \(None, None, 4\)\) \+ 1>")])
def test_what_depends_on_a_size_is_refused(use: Any, said: str) -> None:
    class Net(kt.Model):
        def call(self, x: Any) -> Any:
            return use(kt, kt.ops.shape(x)[1], x)

    with pytest.raises(ConfigError, match=said):
        Net().build((None, None, 4))


# ---- random numbers --------------------------------------------------------------------------------------------------


class Sampling(kt.Model):
    def __init__(self, draw: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.draw, self.seeds, self.dense = draw, kt.random.SeedGenerator(3), kt.layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.dense(x) * 0 + self.draw(self, x)


DRAWS = {
    "normal": lambda net, x: kt.random.normal(kt.ops.shape(x), mean=3.0, seed=net.seeds),
    "known": lambda net, x: kt.random.normal((4,), mean=3.0, stddev=kt.ops.exp(x[0, 0] * 0)),
    "uniform": lambda net, x: kt.random.uniform((kt.ops.shape(x)[0], 1, 4), 2.5, 3.5),
    "randint": lambda net, x: kt.ops.cast(kt.random.randint((kt.ops.shape(x)[1], 4), 2, 5), "float32"),
    "truncated_normal": lambda net, x: kt.random.truncated_normal(kt.ops.shape(x)) + 3,
    "dropout": lambda net, x: kt.random.dropout(x * 0 + 3, 0.5, seed=net.seeds),
    "shuffle": lambda net, x: kt.random.shuffle(kt.ops.zeros_like(x) + kt.ops.cast(kt.ops.arange(
        kt.ops.shape(x)[1])[:, None], "float32"), axis=1) * 3 / (kt.ops.shape(x)[1] / 2)}


@pytest.mark.parametrize("name", DRAWS)
def test_numbers_are_drawn_in_each_call(name: str, tmp_path: Path) -> None:
    """A call that was followed once is a call in Keras each time that the model runs."""
    torch.manual_seed(0)
    net = Sampling(DRAWS[name])
    net.build((None, None, 4))
    assert net.output_shape == (None, None, 4)
    module = net.to_torch().eval()
    for run in (module, kt.optimize_for_inference(module)):
        first, second = run(torch.ones(40, 50, 4)), run(torch.ones(40, 50, 4))
        assert first.shape == (40, 50, 4)
        assert not torch.equal(first, second)
        torch.testing.assert_close(first.mean(), torch.tensor(3.0), rtol=0, atol=1.2 if name == "known" else 0.15)
    if name not in ("normal", "known", "uniform"):
        with pytest.raises(KerashapeError, match=f"{name} draws random numbers"):
            kt.saving.port(net, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    kt.saving.port(net, tmp_path / "out")
    written = (tmp_path / "out" / "model.py").read_text()
    assert ("torch.rand(" if name == "uniform" else "torch.randn(") in written
    checks(tmp_path / "out")
    found = runpy.run_path(str(tmp_path / "out" / "model.py"))["load"]()(torch.ones(40, 50, 4))
    assert found.shape == (40, 50, 4)
    torch.testing.assert_close(found.mean(), torch.tensor(3.0), rtol=0, atol=1.2 if name == "known" else 0.15)


def checks(where: Path) -> None:
    done = subprocess.run([sys.executable, where / "model.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "kerashape" not in (where / "model.py").read_text().split('"""', 2)[2]


class Sampler(kt.layers.Layer):
    """As the variational autoencoders of Keras' own examples have it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed_generator = kt.random.SeedGenerator(1337)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        batch, size = kt.ops.shape(mean)[0], kt.ops.shape(mean)[1]
        epsilon = kt.random.normal(shape=(batch, size), seed=self.seed_generator)
        return mean + kt.ops.exp(0.5 * log_variance) * epsilon


def test_a_layer_that_samples_is_written(tmp_path: Path) -> None:
    x = kt.Input((3,))
    model = kt.Model(x, Sampler()([kt.layers.Dense(2)(x), kt.layers.Dense(2)(x)]))
    kt.saving.port(model, tmp_path / "out")
    assert "torch.randn((" in (tmp_path / "out" / "model.py").read_text()
    checks(tmp_path / "out")


class StochasticDepth(kt.layers.Layer):
    """As vision transformers have it in Keras' own examples: drops the branch of whole samples, in training alone."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.seed_generator = rate, kt.random.SeedGenerator(1337)

    def call(self, x: Any, training: Any = False) -> Any:
        if not training:
            return x
        kept = 1 - self.rate
        shape = (kt.ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        return x / kept * kt.ops.floor(kept + kt.random.uniform(shape, 0, 1, seed=self.seed_generator))


def test_a_layer_that_does_other_things_in_training_is_written(tmp_path: Path) -> None:
    x = kt.Input((3,))
    model = kt.Model(x, StochasticDepth(0.25)(kt.layers.Dense(4)(x)))
    kt.saving.port(model, tmp_path / "out")
    checks(tmp_path / "out")
    ported = runpy.run_path(str(tmp_path / "out" / "model.py"))["load"]()
    torch.manual_seed(0)
    drawn = ported.train()(torch.ones(1000, 3))
    rows = torch.unique(drawn, dim=0)  # a sample is dropped, or a third larger
    whole = ported.eval()(torch.ones(1, 3))
    torch.testing.assert_close(rows[rows.abs().sum(1) > 0], whole / 0.75)
    assert len(rows) == 2 and 0.7 < (drawn != 0).all(1).float().mean() < 0.8
    module = model.to_torch().train()  # and so is it in the module itself
    assert 0.7 < (module(torch.ones(1000, 3)) != 0).all(1).float().mean() < 0.8


def test_sizes_that_are_computed_are_refused_in_a_tensor() -> None:
    class Net(kt.Model):
        def call(self, x: Any) -> Any:
            return kt.ops.tile(x, kt.ops.argmax(x, axis=-1))

    with pytest.raises(KerashapeError, match=r"tile: its sizes come out of a tensor, and Argmax is not followed there"):
        Net().build((None, 3))


def test_all_that_take_sizes_take_them_from_a_tensor() -> None:
    """In Keras the backend decides whether they do."""
    class Net(kt.Model):
        def call(self, x: Any) -> Any:
            batch, length = kt.ops.shape(x)[0], kt.ops.shape(x)[1]
            whole = kt.ops.stack([batch, length, 4])
            halves = kt.ops.cast(kt.ops.stack([batch, length * 2, 2]), "int32")
            rows = kt.ops.reshape(whole, (3,))[:2] // 1
            made = kt.ops.zeros(whole) + kt.ops.full(shape=whole, fill_value=2.0) + kt.ops.ones(whole + 0)
            flat = kt.ops.broadcast_to(kt.ops.reshape(kt.ops.reshape(x, halves), whole), whole)
            return made * flat + kt.ops.expand_dims(kt.ops.ones(kt.ops.squeeze(rows[None], 0)), -1)

    model = Net()
    model.build((None, None, 4))
    x = torch.from_numpy(inputs(2, 3))
    torch.testing.assert_close(model.to_torch()(x), 3 * x + 1)

"""Layers, cells and functions of a user's own: described, written and read, compiled and trained."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import harness
import keras
import numpy as np
import pytest
import torch
from torch import nn

import kerashape_torch as kt
from kerashape_torch import layers, saving, utils
from kerashape_torch.errors import ConfigError, ShapeError, UnknownLayerError
from kerashape_torch.initializers import Initializer
from kerashape_torch.weights import weight


@saving.register_keras_serializable("mine")
class LowRank(layers.Layer):
    """Weighs the last axis with the product of two narrow kernels."""

    units: int
    rank: int = 2

    def build(self, shape: Any) -> None:
        self.down = self.add_weight((shape[-1], self.rank), name="down", regularizer="l2")
        self.up = self.add_weight((self.rank, self.units), name="up")

    def forward(self, x: Any) -> Any:
        return x @ self.down @ self.up


class Gain(layers.Layer):
    """The three rules, stated."""

    first: float = 1.0

    def weight_specs(self, shape: Any) -> Any:
        return [weight("gain", shape[-1:], "ones", axes=("channels",))]

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def module(self, shape: Any) -> Any:
        return Scaled(shape[-1])


class Scaled(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))

    def forward(self, x: Any) -> Any:
        return x * self.gain


class FromKeras(layers.Layer):
    """As people write layers for Keras; ``call`` speaks torch."""

    def __init__(self, units: int = 3, noise: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.noise = noise

    def build(self, input_shape: Any) -> None:
        self.seen = self.add_weight(shape=(), initializer="zeros", dtype="int64", trainable=False, name="count")
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform")
        self.b = self.add_weight(shape=(self.units,), initializer="ones", name="bias")
        self.by = input_shape[-1] ** -0.5
        super().build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self.seen += 1
            inputs = inputs + self.noise * torch.randn_like(inputs)
        return self.scaled(inputs @ self.w) + self.b

    def scaled(self, x: Any) -> Any:
        return x * self.by


class WithConfig(FromKeras):
    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update({"units": self.units})
        return config


class Pair(layers.Layer):
    """Two tensors in, two out; a third only where it is given."""

    def forward(self, x: Any, y: Any, z: Any = None, scale: float = 1.0) -> Any:
        return [x * scale, (x + y if z is None else x + y + z).sum(-1)]


OBJECTS = {cls.__name__: cls for cls in (Gain, FromKeras, WithConfig, Pair)}


def model_of(layer: Any, shape: Any) -> Any:
    x = kt.Input(shape)
    return kt.Model(x, layers.Dense(2)(layer(x)))


# ---- what a layer of one's own is like -------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "shape", "output", "weights"), [
    (LowRank(4), (None, 3), (None, None, 4), [("down", (3, 2)), ("up", (2, 4))]),
    (Gain(), (5, 3), (None, 5, 3), [("gain", (3,))]),
    (FromKeras(4), (5, 9), (None, 5, 4), [("variable_1", (9, 4)), ("bias", (4,)), ("count", ())]),
])
def test_described_written_read_and_run(layer: Any, shape: Any, output: Any, weights: Any, tmp_path: Path) -> None:
    model = model_of(layer, shape)
    assert layer.output_shape == output
    assert [(spec.full_path, spec.shape) for spec in layer.weights] == weights
    row = kt.shape_table(model).rows[1]
    assert (row.class_name, row.output_shape) == (type(layer).__name__, output)
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert f"{layer.name} ({type(layer).__name__})" in "\n".join(lines)
    assert "output" in layer.explain((7, shape[-1]))
    module = model.to_torch()
    x = torch.randn(2, 5, shape[-1])
    saving.save_model(model, tmp_path / "m.keras", weights=module)
    again = kt.load_model(tmp_path / "m.keras", custom_objects=OBJECTS)
    assert harness.plain(again.get_config()) == harness.plain(model.get_config())
    torch.testing.assert_close(again.to_torch()(x), module(x))
    named = kt.models.model_from_json(model.to_json(), custom_objects=OBJECTS)
    assert type(named.layers[1]) is type(layer) and named.layers[1].given() == again.layers[1].given()


@pytest.mark.parametrize("layer", [LowRank(4), Gain(), FromKeras(4, noise=0.1)])
def test_trained(layer: Any) -> None:
    module = model_of(layer, (3,)).to_torch().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    x, y = torch.randn(16, 3), torch.randn(16, 2)
    losses = []
    for _ in range(30):
        loss = (module(x) - y).square().mean() + kt.regularization_loss(module)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)
    if isinstance(layer, FromKeras):
        assert kt.get_keras_weights(module)[2] == 30


@pytest.mark.parametrize("layer", [LowRank(4), FromKeras(4)])
def test_what_people_do_with_a_module(layer: Any) -> None:
    module = model_of(layer, (5, 3)).to_torch()
    x = torch.randn(2, 5, 3)
    want = module(x)
    torch.testing.assert_close(torch.compile(module, fullgraph=True, backend="eager")(x), want)
    exported = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)
    torch.testing.assert_close(exported.module()(torch.cat([x, x]))[:2], want)
    twin = copy.deepcopy(module)
    with torch.no_grad():
        next(module.parameters()).zero_()
    torch.testing.assert_close(twin(x), want)
    inside = twin.get_submodule(layer.name)
    torch.testing.assert_close(pickle.loads(pickle.dumps(inside))(x), inside(x))
    assert repr(inside).startswith(f"{type(layer).__name__}(units=4")
    lazy = layer.copy(nodes=[]).to_torch()
    assert lazy(torch.zeros(3, 7)).shape == (3, 4)
    half = model_of(type(layer)(4, dtype="float16"), (3,))
    assert half.layers[1].nodes[0].outputs.dtype == "float16"
    inside = half.to_torch().get_submodule(half.layers[1].name)
    assert inside(torch.zeros(1, 3, dtype=torch.float16)).dtype == torch.float16


class InKeras(keras.layers.Layer):
    """The class above, word for word."""

    def __init__(self, units: int = 3, noise: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.noise = noise

    def build(self, input_shape: Any) -> None:
        self.seen = self.add_weight(shape=(), initializer="zeros", dtype="int64", trainable=False, name="count")
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform")
        self.b = self.add_weight(shape=(self.units,), initializer="ones", name="bias")
        self.by = input_shape[-1] ** -0.5
        super().build(input_shape)
        self.built = True

    call, scaled = FromKeras.call, FromKeras.scaled


def test_the_numbers_are_those_of_the_same_layer_in_keras() -> None:
    theirs, ours = InKeras(4), FromKeras(4)
    x = torch.randn(2, 3)
    want = theirs(x)
    module = ours.to_torch((3,))
    assert [tuple(w.shape) for w in theirs.weights] == [w.shape for w in ours.weight_specs((None, 3))]
    kt.set_keras_weights(module, theirs.get_weights())
    torch.testing.assert_close(module(x), want.detach())
    again = FromKeras.from_config(keras.saving.serialize_keras_object(theirs)["config"])
    assert (again.name, again.units) == (theirs.name, 4)


def test_a_layer_applies_its_own_activation() -> None:
    """An attribute ``activation`` is a user's own: what is appended is that of Keras' layers alone."""
    class Shifted(layers.Layer, catalog=False):
        activation: Any = "tanh"

        def call(self, x: Any) -> Any:
            return kt.activations.get(self.activation)(x) + 2

    x = torch.tensor([[-1.0, 2.0]])
    torch.testing.assert_close(Shifted().to_torch((None, 2))(x), x.tanh() + 2)
    torch.testing.assert_close(layers.TimeDistributed(Shifted()).to_torch((None, 1, 2))(x[None]), x[None].tanh() + 2)


def test_several_tensors() -> None:
    x, y, z = kt.Input((3,)), kt.Input((3,)), kt.Input((3,))
    first, second = Pair()(x, y, scale=2.0)
    assert (first.shape, second.shape) == ((None, 3), (None,))
    third = Pair()(x, y, z)[1]
    module = kt.Model([x, y, z], [first, second, third]).to_torch()
    a, b, c = torch.randn(3, 2, 3)
    for got, want in zip(module(a, b, c), (2 * a, (a + b).sum(-1), (a + b + c).sum(-1)), strict=True):
        torch.testing.assert_close(got, want)
    with pytest.raises(ConfigError, match="takes 4: x, y, z, scale"):
        Pair()(x, y, z, 1.0, 2.0)


def test_a_layer_called_twice_shares_its_weights() -> None:
    layer = LowRank(3)
    x, y = kt.Input((3,)), kt.Input((5, 3))
    model = kt.Model([x, y], [layer(x), layer(y)])
    assert model.count_params() == 12 and len(list(model.to_torch().parameters())) == 2
    with pytest.raises(ShapeError, match="since the first call"):
        layer(kt.Input((4,)))


def test_inside_other_layers() -> None:
    x = kt.Input((5, 3))
    model = kt.Model(x, layers.TimeDistributed(LowRank(4))(x))
    module = model.to_torch()
    kt.set_keras_weights(module, [np.ones((3, 2)), np.ones((2, 4))])
    assert module(torch.ones(2, 5, 3)).eq(6).all() and model.output_shape == (None, 5, 4)


@pytest.mark.parametrize(("dtype", "name"), [("int32", "int32"), (torch.int32, "int32"), (np.int64, "int64"),
                                             (np.dtype("uint8"), "uint8"), (torch.bool, "bool")], ids=str)
def test_weights_of_integers_begin_as_zeros(dtype: Any, name: str) -> None:
    class Counts(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.seen = self.add_weight((2, 3), dtype=dtype, trainable=False)

        def call(self, inputs: Any) -> Any:
            return inputs + self.seen.to(inputs.dtype).sum()

    layer = Counts()
    assert [(spec.dtype, spec.initializer) for spec in layer.weight_specs((None, 4))] == [(name, "zeros")]
    assert layer.to_torch((None, 4))(torch.ones(1, 4)).tolist() == [[1.0] * 4]


# ---- names -----------------------------------------------------------------------------------------------------------


def test_registered_names_are_those_of_keras() -> None:
    @keras.saving.register_keras_serializable("mine", "Other")
    class Theirs(keras.layers.Layer):
        pass

    @utils.register_keras_serializable("mine", "Other")
    class Ours(layers.Layer):
        pass

    class Child(Ours):
        pass

    theirs, ours = keras.saving.serialize_keras_object(Theirs()), saving.serialize_keras_object(Ours())
    for key in ("module", "registered_name"):
        assert theirs[key] == ours[key]
    assert ours["registered_name"] == "mine>Other"
    assert saving.serialize_keras_object(Child())["registered_name"] == "Child"
    assert type(saving.deserialize_keras_object(ours)) is Ours
    assert saving.get_registered_name(Ours) == "mine>Other" and saving.get_registered_object("mine>Other") is Ours
    assert saving.get_custom_objects()["mine>Other"] is Ours
    Ours.from_config(theirs["config"])  # with what Keras writes for every layer of a user's own
    del saving.get_custom_objects()["mine>Other"]
    with pytest.raises(UnknownLayerError, match="custom_objects"):
        saving.deserialize_keras_object(ours)
    with saving.CustomObjectScope({"Ours": Ours}):
        assert type(saving.deserialize_keras_object(ours)) is Ours


def test_a_config_that_keras_wrote() -> None:
    config = {"module": None, "class_name": "LowRank", "registered_name": "mine>LowRank", "config": {
        "name": "low", "trainable": True, "dtype": "float32", "autocast": True, "activity_regularizer": None,
        "units": 5, "rank": 3}, "build_config": {"input_shape": [None, 7]}}
    layer = saving.deserialize_keras_object(config)
    assert (type(layer), layer.units, layer.rank, layer.name) == (LowRank, 5, 3, "low")


def test_functions_by_name() -> None:
    @saving.register_keras_serializable("mine")
    def doubled(x: Any) -> Any:
        return 2 * x

    def tripled(x: Any) -> Any:
        return 3 * x

    class Sevens(Initializer):
        def __call__(self, shape: Any, dtype: Any = None, device: Any = None, generator: Any = None) -> Any:
            return torch.full(shape, 7.0, device=device)

    model = kt.Sequential([kt.Input((3,)), layers.Dense(2, activation=doubled, kernel_initializer=Sevens()),
                           layers.Activation(tripled), layers.Lambda(tripled)])
    text = model.to_json()
    assert json.loads(text)["config"]["layers"][1]["config"]["activation"]["config"] == "mine>doubled"
    again = kt.models.model_from_json(text, custom_objects={"tripled": tripled, "Sevens": Sevens})
    assert again.to_torch()(torch.ones(1, 3)).tolist() == [[378.0, 378.0]]


# ---- cells -----------------------------------------------------------------------------------------------------------


class Minimal(layers.Cell):
    """Keras' own example of a cell."""

    units: int

    @property
    def state_size(self) -> int:
        return self.units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight((shape[-1], self.units), "uniform", name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, self.units), "uniform", name="recurrent_kernel")

    def forward(self, x: Any, states: Any) -> Any:
        output = x @ self.kernel + states[0] @ self.recurrent_kernel
        return output, [output]


class MinimalInKeras(keras.layers.Layer):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = units

    build, call = Minimal.build, Minimal.forward


class Counting(layers.AbstractRNNCell):
    """Two states, an output of another size, and first states of its own."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = (units, 1)
        self.output_size = units + 1

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        total, steps = states
        total = total + inputs.sum(-1, keepdim=True)
        return torch.cat([total, steps + 1], -1) * (-1 if training else 1), (total, steps + 1)

    def get_initial_state(self, batch_size: int | None = None) -> Any:
        assert batch_size is not None
        return [torch.zeros(batch_size, self.units), torch.full((batch_size, 1), 10.0)]


@pytest.mark.parametrize("options", [{}, {"return_sequences": True, "return_state": True}, {"go_backwards": True}])
@pytest.mark.parametrize("stacked", [False, True])
def test_cells_run_as_in_keras(options: Any, stacked: bool) -> None:
    def make(k: Any, cell: Any) -> Any:
        return k.RNN([cell(4), k.GRUCell(3), cell(2)] if stacked else cell(4), **options)

    theirs, ours = make(keras.layers, MinimalInKeras), make(layers, Minimal)
    x = torch.randn(2, 5, 3)
    want = theirs(x)
    module = ours.to_torch((None, 3))
    names = [(spec.name, spec.shape) for spec in ours.weight_specs((None, None, 3))]
    assert names == [(w.name, w.shape) for w in theirs.weights]
    kt.set_keras_weights(module, theirs.get_weights())
    got = module(x)
    for a, b in zip(kt.structure.flatten(got), keras.tree.flatten(want), strict=True):
        torch.testing.assert_close(a, b.detach())
    again = saving.deserialize_keras_object(harness.plain(saving.serialize_keras_object(ours)), {"Minimal": Minimal})
    assert harness.plain(again.get_config()) == harness.plain(ours.get_config())


def test_a_cell_says_its_sizes_and_first_states() -> None:
    layer = layers.RNN(Counting(2), return_sequences=True, return_state=True)
    assert layer.compute_output_shape((None, 4, 3)) == [(None, 4, 3), (None, 2), (None, 1)]
    module = layer.to_torch((None, 3))
    outputs, total, steps = copy.deepcopy(module)(torch.ones(1, 4, 3))
    assert outputs[0, :, 2].tolist() == [11, 12, 13, 14] and total.tolist() == [[12, 12]] and steps.tolist() == [[14]]
    assert module.train()(torch.ones(1, 4, 3))[0][0, 0].tolist() == [-3, -3, -11]
    both = layers.Bidirectional(layers.RNN(Counting(2)))
    assert both.to_torch((4, 3))(torch.ones(1, 4, 3)).tolist() == [[12, 12, 14, 12, 12, 14]]
    x, states = kt.Input((3,)), [kt.Input((2,)), kt.Input((1,))]
    one = kt.Model([x, *states], Counting(2)(x, states)).to_torch()
    assert one(torch.ones(1, 3), torch.ones(1, 2), torch.ones(1, 1))[0].tolist() == [[4, 4, 2]]


def test_a_stateful_cell_and_its_training() -> None:
    module = layers.RNN(Minimal(4), stateful=True).to_torch((2, 5, 3))
    x = torch.randn(2, 5, 3)
    first, second = module(x), module(x)
    assert not torch.equal(first, second)
    module.train()(x).sum().backward()
    assert all(p.grad is not None for p in module.parameters())


# ---- what does not work says why -------------------------------------------------------------------------------------


class Unsized(layers.Cell):
    def forward(self, x: Any, states: Any) -> Any:
        return x, states


class Fails(layers.Layer):
    def build(self, shape: Any) -> None:
        self.add_weight((shape[7],), name="w")

    def forward(self, x: Any) -> Any:
        return x


class Hides(layers.Layer):
    units: int = 3

    def build(self, shape: Any) -> None:
        self.add_weight((3,), name="units")


class Reshapes(layers.Layer):
    def forward(self, x: Any) -> Any:
        return x.reshape(2, 3)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: layers.RNN(Unsized())(kt.Input((5, 3))), ConfigError, "state_size"),
    (lambda: layers.RNN(layers.Dense(3)), ConfigError, "takes a cell such as"),
    (lambda: Fails()(kt.Input((5, 3))), ShapeError, "Fails.build fails on"),
    (lambda: Hides()(kt.Input((5, 3))), ConfigError, "hides what the layer has"),
    (lambda: Reshapes()(kt.Input((5, 3))), ShapeError, "Reshapes.forward fails on tensors of these shapes"),
    (lambda: LowRank(4)(kt.Input((None,))), ShapeError, "an axis is None that the weights need"),
    (lambda: LowRank(), ConfigError, "needs the argument 'units'"),
])
def test_what_does_not_fit_is_refused(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_the_layer_of_the_readme_runs() -> None:
    root = Path(__file__).resolve().parent.parent
    section = (root / "README.md").read_text().split("## A layer of your own")[1]
    code = "\n".join(part.split("```")[0] for part in section.split("## ")[0].split("```python\n")[1:])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Layers of a user's own that hold other layers, or extend one of this package: each is also written for Keras."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import TORCH
from test_idioms import both, same

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.errors import ConfigError, KerashapeError


def written_for(k: Any) -> Any:
    """The classes as people write them, for Keras or for this package."""
    ops = k.ops

    class Block(k.layers.Layer):
        def __init__(self, units: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.inner = k.layers.Dense(units, activation="relu")
            self._outer = k.layers.Dense(units)

        def call(self, x: Any) -> Any:
            return x + self._outer(self.inner(x))

        def get_config(self) -> Any:
            return {**super().get_config(), "units": self.units}

    class Transformer(k.layers.Layer):
        def __init__(self, size: int = 8, heads: int = 2, rate: float = 0.1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.attention = k.layers.MultiHeadAttention(num_heads=heads, key_dim=size)
            self.feed = k.Sequential([k.layers.Dense(6, activation="relu"), k.layers.Dense(size)])
            self.norms = [k.layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
            self.dropout = k.layers.Dropout(rate)

        def call(self, inputs: Any, training: bool = False) -> Any:
            attended = self.attention(inputs, inputs, use_causal_mask=True, training=training)
            first = self.norms[0](inputs + self.dropout(attended, training=training))
            return self.norms[1](first + self.dropout(self.feed(first), training=training))

    class Positions(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.tokens = k.layers.Embedding(20, 8)
            self.places = k.layers.Embedding(10, 8)

        def call(self, x: Any) -> Any:
            return self.tokens(x) + self.places(ops.arange(0, ops.shape(x)[-1], 1))

    class Twice(k.layers.Dense):
        def call(self, x: Any) -> Any:
            return 2 * super().call(x)

    class Around(k.layers.Dense):
        def __init__(self, units: int = 5, **kwargs: Any) -> None:
            super().__init__(units, **{"activation": "tanh", **kwargs})

        def call(self, x: Any) -> Any:
            return ops.matmul(x, ops.abs(self.kernel)) - self.bias

    class Convolved(k.layers.Layer):
        def __init__(self, filters: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.filters = filters

        def build(self, shape: Any) -> None:
            self.convolutions = {"one": k.layers.Conv2D(self.filters, 3, padding="same", activation="relu"),
                                 "two": k.layers.Conv2D(self.filters, 3, padding="same")}
            self.norm = k.layers.BatchNormalization()
            self.scale = self.add_weight(shape=(self.filters,), initializer="ones", name="scale")
            wide = (*shape[:-1], self.filters)
            for layer, its in zip((*self.convolutions.values(), self.norm), (shape, wide, wide), strict=True):
                layer.build(its)

        def call(self, x: Any, training: bool = False) -> Any:
            for layer in self.convolutions.values():
                x = layer(x)
            return self.norm(x, training=training) * self.scale

    class Nested(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first = k.layers.Dense(5)
            self.blocks = [Block(5), Block(5)]
            self.states = k.layers.LSTM(5, return_sequences=True)

        def call(self, x: Any) -> Any:
            x = self.first(x)
            for block in [*self.blocks, self.blocks[0]]:
                x = block(x)
            return self.states(x, initial_state=[x[:, 0], x[:, 1]])

    class Tied(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.table = k.layers.Embedding(20, 6)

        def call(self, x: Any) -> Any:
            return ops.matmul(self.table(x), ops.transpose(self.table.embeddings))

    found = locals()
    return SimpleNamespace(**{name: found[name] for name in ("Block", "Transformer", "Positions", "Twice", "Around",
                                                            "Convolved", "Nested", "Tied")})


KERAS, OURS = written_for(keras), written_for(kt)
CASES = [("Block", (), (4,), "float32"), ("Transformer", (), (None, 8), "float32"),
         ("Positions", (), (10,), "int32"), ("Positions", (), (None,), "int32"), ("Twice", (6,), (3,), "float32"),
         ("Around", (), (3,), "float32"), ("Convolved", (), (8, 8, 3), "float32"),
         ("Convolved", (), (None, None, 3), "float32"), ("Nested", (), (4, 3), "float32"),
         ("Tied", (), (None,), "int32")]
each_case = pytest.mark.parametrize(("name", "args", "shape", "dtype"), CASES)


def models(name: str, args: Any, shape: Any, dtype: str) -> tuple[Any, Any, np.ndarray[Any, Any]]:
    """The same model in Keras and here, with the same weights, which Keras drew, and an input."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    made = []
    for k, classes in ((keras, KERAS), (kt, OURS)):
        x = k.Input(shape, dtype=dtype)
        hidden = k.layers.Dense(shape[-1])(x) if dtype == "float32" else x
        made.append(k.Model(x, k.layers.Dense(2)(getattr(classes, name)(*args)(hidden))))
    theirs, ours = made
    theirs.set_weights([w + 0.1 * np.random.rand(*w.shape).astype(w.dtype) for w in theirs.get_weights()])
    sizes = (2, *(6 if size is None else size for size in shape))
    x = np.random.randint(0, 9, sizes) if dtype == "int32" else np.random.randn(*sizes).astype("float32")
    return theirs, ours, x


def close(got: torch.Tensor, want: Any) -> None:
    np.testing.assert_allclose(got.detach().numpy(), keras.ops.convert_to_numpy(want), rtol=1e-4, atol=1e-5)


@each_case
@pytest.mark.filterwarnings("ignore:`build:UserWarning")  # Keras', of every layer without a build that it loads
def test_as_in_keras(name: str, args: Any, shape: Any, dtype: str, tmp_path: Path) -> None:
    theirs, ours, x = models(name, args, shape, dtype)
    assert [(w.path, tuple(w.shape)) for w in theirs.weights] == [(w.path, w.shape) for w in ours.weights]
    assert [layer.output.shape for layer in theirs.layers] == [layer.output_shape for layer in ours.layers]
    assert theirs.count_params() == ours.count_params()
    module, want = ours.to_torch(), theirs(x)
    kt.set_keras_weights(module, theirs.get_weights())
    close(module(torch.as_tensor(x)), want)
    for file in ("m.keras", "m.h5"):  # written there and read here, written here and read there
        theirs.save(tmp_path / file)
        close(kt.load_model(tmp_path / file, custom_objects=vars(OURS)).to_torch()(torch.as_tensor(x)), want)
        kt.saving.save_model(ours, tmp_path / file, weights=module)
        back = keras.models.load_model(tmp_path / file, custom_objects=vars(KERAS))
        np.testing.assert_allclose(back(x).detach(), want.detach(), rtol=1e-4, atol=1e-5)


@each_case
def test_gradients_and_statistics(name: str, args: Any, shape: Any, dtype: str) -> None:
    theirs, ours, x = models(name, args, shape, dtype)
    module = ours.to_torch().train()
    kt.set_keras_weights(module, theirs.get_weights())
    for model in (theirs, ours):  # what is drawn is not to be compared
        for layer in (getattr(each, "dropout", None) for each in model.layers):
            if layer is not None:
                layer.rate = 0.0
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    out, want = module(torch.as_tensor(x)), theirs(x, training=True)
    close(out, want)
    (out ** 2).sum().backward()
    (want ** 2).sum().backward()
    grads = [w.value.grad for w in theirs.trainable_weights]
    trainable = [spec for spec in kt.lowering.weights.keras_weights(module).specs if spec.trainable]
    for spec, grad in zip(trainable, grads, strict=True):
        (place,) = spec.places[:1]
        mine = kt.torch_modules.places.tensor_at(module, place.path).grad
        assert (mine is None) == (grad is None), spec.full_path
        if mine is not None and len(spec.places) == 1:
            torch.testing.assert_close(kt.torch_modules.places.from_place(mine, place), grad, rtol=1e-3, atol=1e-4)
    for mine, his in zip(kt.get_keras_weights(module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, his, rtol=1e-4, atol=1e-5)


@each_case
@pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights:UserWarning")  # torch's, of any LSTM
def test_what_people_do_with_a_module(name: str, args: Any, shape: Any, dtype: str) -> None:
    _, ours, x = models(name, args, shape, dtype)
    module, x = ours.to_torch(), torch.as_tensor(x)
    want = module(x)
    with torch._dynamo.config.patch(allow_rnn=True):
        # torch 2.6 follows no inspect.Signature, by which ops take their arguments: it leaves them to Python
        whole = torch.compile(module, fullgraph=TORCH >= (2, 11), backend="eager")
        torch.testing.assert_close(whole(x), want)
    batch = torch.export.Dim("batch", max=64)  # torch 2.6 asks for a bound where the batch is sliced
    exported = torch.export.export(module, (x,), dynamic_shapes=({0: batch},), strict=False)
    torch.testing.assert_close(exported.module()(torch.cat([x, x]))[:2], want)
    twin = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    torch.testing.assert_close(twin(x), want)
    again = ours.to_torch()
    again.load_state_dict(twin.state_dict())
    torch.testing.assert_close(again(x), want)
    double = ours.to_torch(dtype="float64")
    assert all(p.dtype == torch.float64 for p in double.parameters())
    assert not any(t.is_meta for t in (*twin.parameters(), *twin.buffers()))
    if name == "Block":
        lazy = OURS.Block(3).to_torch()
        assert lazy(torch.zeros(2, 3)).shape == (2, 3)
        inside = twin.get_submodule("block")
        assert repr(inside).startswith("Block(\n  (inner)") and list(dict(inside.named_children())) == [
            "inner", "_outer"]


class Held(layers.Layer):
    """At the top of a module, so that it can be pickled."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.dense(x))


def test_a_part_is_stock_where_it_can_be() -> None:
    module = Held().to_torch((3,))
    assert [*module.state_dict()] == ["held.dense.weight", "held.dense.bias"]
    assert type(module.get_submodule("held.dense")) is torch.nn.Linear
    inside = module.get_submodule("held")
    torch.testing.assert_close(pickle.loads(pickle.dumps(inside))(torch.ones(1, 3)), inside(torch.ones(1, 3)))


def test_names_and_tables() -> None:
    """Layers inside are numbered with those of the model, as in Keras."""
    x = kt.Input((3,))
    model = kt.Model(x, Held()(layers.Dense(3)(Held()(x))))
    assert [w.path for w in model.weights if w.name == "kernel"] == [
        "held_1/dense_2/kernel", "dense_1/kernel", "held/dense/kernel"]  # the outermost is made first
    row = kt.shape_table(model)["held_1"]
    assert (row.params, [w.shape for w in row.weights]) == (12, [(3, 3), (3,)])
    frozen = Held(trainable=False)
    assert not any(spec.trainable for spec in kt.Model(x, frozen(x)).weights)


def test_only_in_training() -> None:
    class Noisy(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.noise = layers.GaussianNoise(1.0)
            self.norm = layers.BatchNormalization()

        def call(self, x: Any, training: bool = False) -> Any:
            return self.norm(self.noise(x) if training else x, training=False)

    module = Noisy().to_torch((3,)).train()
    x = torch.ones(4, 3)
    assert not torch.equal(module(x), x)
    assert torch.equal(module.get_submodule("noisy.norm").running_mean, torch.zeros(3))
    torch.testing.assert_close(module.eval()(x), x / (1 + 1e-3) ** 0.5)


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dense = Dense.*another dtype policy"):
        Held(dtype="mixed_float16").to_torch((3,))
    with pytest.raises(ConfigError, match=r"subclass of layers.Cell"):
        class _Step(layers.LSTMCell):
            def call(self, inputs: Any, states: Any) -> Any:
                return inputs, states
    with pytest.raises(ConfigError, match=r"Make it a layer, class _Whole\(layers.Layer\)"):
        class _Whole(kt.Model):
            def forward(self, inputs: Any) -> Any:
                return inputs

    class Moody(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.softmax = layers.Attention()
            self.causal = False

        def call(self, x: Any) -> Any:
            return self.softmax([x, x], use_causal_mask=self.causal)

    module = Moody().to_torch((4, 3))
    module.get_submodule("moody")._layer.causal = True
    with pytest.raises(KerashapeError, match=r"called in another way than on shapes alone"):
        module(torch.ones(1, 4, 3))


def test_a_property_stands_before_a_weight_of_the_layer_that_is_extended() -> None:
    class Tenfold(layers.Dense):
        @property
        def kernel(self) -> float:
            return 10.0

        def call(self, x: Any) -> Any:
            return super().call(x) * self.kernel

    module, x = Tenfold(3).to_torch((4,)), torch.ones(2, 4)
    torch.testing.assert_close(module(x), x @ module.tenfold.inherited.weight.T * 10)


def test_a_class_may_put_its_own_rules_back() -> None:
    """What a class nearer to the user says holds, be it a function or a rule."""
    class Half(layers.Dense):
        def call(self, x: Any) -> Any:
            return super().call(x) / 2

    class Quarter(Half):
        def call(self, x: Any) -> Any:
            return super().call(x) / 2

    class Stock(Half):
        def module(self, shape: Any) -> Any:
            return torch.nn.Identity()

    x = torch.ones(2, 3)
    dense = layers.Dense(3, kernel_initializer="ones", input_shape=(3,)).to_torch()
    quarter = Quarter(3, kernel_initializer="ones").to_torch((3,))
    torch.testing.assert_close(quarter(x), dense(x) / 4)
    torch.testing.assert_close(Stock(3).to_torch((3,))(x), x)
    torch.testing.assert_close(layers.TimeDistributed(Half(3, kernel_initializer="ones")).to_torch((5, 3))(
        torch.ones(2, 5, 3)), torch.full((2, 5, 3), 1.5))


def test_layers_without_weights_may_be_made_where_they_are_called() -> None:
    def program(k: Any) -> Any:
        class Spot(k.layers.Layer):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.conv = k.layers.Conv2D(4, 3, padding="same")

            def build(self, shape: Any) -> None:
                self.conv.build(shape)

            def call(self, x: Any) -> Any:
                y = k.layers.Activation("relu")(self.conv(x))
                y = k.layers.concatenate([k.layers.add([x, y]), x])
                return k.layers.UpSampling2D()(k.layers.ReLU(max_value=2.0)(y))

        x = k.Input((6, 6, 4))
        return k.Model(x, Spot()(x))

    theirs, ours = both(program)
    module, x = ours.to_torch(), np.random.default_rng(1).random((3, 6, 6, 4), "float32")
    kt.set_keras_weights(module, theirs.get_weights())
    same(module(torch.from_numpy(x)), theirs(x))
    given = torch.from_numpy(x).requires_grad_()
    module(given).sum().backward()
    assert given.grad is not None and bool(given.grad.any())


@pytest.mark.parametrize("layer", [layers.Dense(2), layers.Dropout(0.5), layers.RandomFlip()])
def test_other_layers_are_to_be_made_before(layer: Any) -> None:
    with pytest.raises(KerashapeError, match=r"called on symbolic tensors, got Tensor.* make it in __init__ or build"):
        layer(torch.ones(2, 4, 4, 3))

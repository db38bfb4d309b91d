"""Programs in the idioms in which people write Keras: each is run with Keras and with this package in its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import TORCH

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError, ShapeError

Program = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _policies() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")
    kt.config.set_dtype_policy("float32")


def both(program: Program) -> tuple[Any, Any]:
    """The model of a program here and in Keras, where its weights are random numbers."""
    keras.backend.clear_session(free_memory=False)
    theirs = program(keras)
    rng = np.random.default_rng(0)
    theirs.set_weights([rng.normal(size=w.shape).astype(w.dtype) * 0.3 for w in theirs.get_weights()])
    return theirs, program(kt)


def data(model: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(3, *(7 if n is None else n for n in x.shape[1:]))).astype("float32") for x in model.inputs]


def same(found: Any, expected: Any) -> None:
    for ours, theirs in zip(found, expected, strict=True) if isinstance(found, (list, tuple)) else [(found, expected)]:
        np.testing.assert_allclose(ours.detach().float(), theirs.detach().float(), rtol=1e-4, atol=1e-5)


def check(program: Program) -> tuple[Any, Any]:
    """Names, weights and numbers are Keras', also those of a copy of the model, and of one from its own config."""
    theirs, ours = both(program)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [(w.shape, w.trainable) for w in ours.weights] == [(w.shape, w.trainable) for w in theirs.weights]
    inputs = data(theirs)
    expected = theirs(inputs if len(inputs) > 1 else inputs[0], training=False)
    for model in (ours, kt.models.clone_model(ours)):
        module = model.to_torch()
        kt.set_keras_weights(module, theirs.get_weights())
        same(module(*map(torch.from_numpy, inputs)), expected)
    return theirs, ours


# ---- models of other models ------------------------------------------------------------------------------------------


def features_of_a_base(k: Any) -> Any:
    inputs = k.Input((8, 8, 3))
    x = inputs
    for i, filters in enumerate((4, 5)):
        x = k.layers.Conv2D(filters, 3, padding="same", name=f"block{i}_conv")(x)
        x = k.layers.Activation("relu", name=f"block{i}_act")(x)
    base = k.Model(inputs, x, name="base")
    base.trainable = False
    features = k.Model(base.input, [base.get_layer("block0_act").output, base.output], name="features")
    image = k.Input((8, 8, 3))
    low, high = features(image, training=False)
    pooled = [k.layers.GlobalAveragePooling2D()(x) for x in (low, high)]
    return k.Model(image, k.layers.Dense(2)(k.layers.Concatenate()(pooled)))


def new_head_on_a_sequential(k: Any) -> Any:
    base = k.Sequential([k.layers.Input((6,)), k.layers.Dense(5, "relu"), k.layers.Dense(4), k.layers.Dense(9)])
    base.pop()
    return k.Model(base.inputs, k.layers.Dense(2, name="head")(base.layers[-1].output))


def slices_and_tuples(k: Any) -> Any:
    x = k.Input((6, 4))
    last = x[:, -3:, :]
    return k.Model(x, k.ops.concatenate((last, x[:, ::2]), axis=-1))


def layer_of_ones_own(k: Any) -> Any:
    class Scaled(k.layers.Layer):
        def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor
            self.dense = k.layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.dense(x) * self.factor

        def get_config(self) -> Any:
            return {**super().get_config(), "factor": self.factor}

    x = k.Input((4,))
    return k.Model(x, Scaled(0.5)(x))


@pytest.mark.parametrize("program", [features_of_a_base, new_head_on_a_sequential, slices_and_tuples,
                                     layer_of_ones_own])
def test_models_of_parts_of_models(program: Program) -> None:
    check(program)


def test_what_was_not_called_has_no_output() -> None:
    with pytest.raises(ShapeError, match=r"Dense\(units=3\) has no input and no output yet\n.*call it on"):
        _ = kt.layers.Dense(3).output


def arguments_by_name(k: Any) -> Any:
    x = k.Input((5, 8))
    y = k.layers.MultiHeadAttention(2, 4)(query=x, value=x)
    return k.Model(x, [k.layers.Dense(3)(inputs=y), k.layers.Attention()(inputs=[y, x])])


def test_calls_may_name_their_tensors() -> None:
    check(arguments_by_name)


# ---- settings and random numbers -------------------------------------------------------------------------------------


def mixed_precision(k: Any) -> Any:
    k.mixed_precision.set_global_policy("mixed_bfloat16")
    x = k.Input((4,))
    y = k.layers.Dense(3, activation="relu")(x)
    assert x.dtype == "float32"
    return k.Model(x, k.layers.Activation("softmax", dtype="float32")(y))


def test_policies_hold_for_all_layers_made_after_them() -> None:
    theirs, ours = both(mixed_precision)
    assert [x.compute_dtype for x in ours.layers[1:]] == [x.compute_dtype for x in theirs.layers[1:]]
    assert kt.mixed_precision.global_policy().variable_dtype == keras.mixed_precision.global_policy().variable_dtype
    inputs = data(theirs)[0]
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    found, expected = module(torch.from_numpy(inputs)), theirs(inputs)
    assert found.dtype == expected.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)  # bfloat16 has eight bits


def test_settings_are_keras_own() -> None:
    for name in ("backend", "epsilon", "floatx", "image_data_format"):
        assert getattr(kt.backend, name)() == getattr(kt.config, name)() == getattr(keras.config, name)()
    kt.backend.clear_session(free_memory=False)
    with pytest.raises(ConfigError, match="is 'channels_last' here, got 'channels_first'; give layers data_format"):
        kt.backend.set_image_data_format("channels_first")
    with pytest.raises(ConfigError, match="'float31' is no dtype policy"):
        kt.config.set_dtype_policy("float31")


def variational(k: Any) -> Any:
    class Sampling(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.seed_generator = k.random.SeedGenerator(1337)

        def call(self, inputs: Any) -> Any:
            mean, log_var = inputs
            shape = (k.ops.shape(mean)[0], k.ops.shape(mean)[1])
            noise = k.random.normal(shape=shape, seed=self.seed_generator)
            return mean + k.ops.exp(0.5 * log_var) * noise

    x = k.Input((6,))
    mean, log_var = k.layers.Dense(2)(x), k.layers.Dense(2)(x)
    return k.Model(x, [mean, Sampling()([mean, log_var])])


def test_a_layer_that_draws_numbers() -> None:
    theirs, ours = both(variational)
    assert ours.output_shape == list(theirs.output_shape)
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    inputs = torch.ones(2000, 6)
    mean, drawn = module(inputs)
    assert not torch.equal(drawn, module(inputs)[1])
    expected_mean, expected = theirs(inputs)
    same(mean, expected_mean)
    torch.testing.assert_close(drawn.mean(0), expected.mean(0), rtol=0.1, atol=0.1)  # they draw other numbers
    torch.testing.assert_close(drawn.std(0), expected.std(0), rtol=0.1, atol=0.1)


def test_tensors_made_in_a_call_are_where_its_inputs_are() -> None:
    """Here on torch's meta device; on CUDA alike."""
    class Placed(kt.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.places = kt.layers.Embedding(10, 4)

        def call(self, x: Any) -> Any:
            noise = kt.random.normal(x.shape, seed=3)
            return x + self.places(kt.ops.arange(x.shape[1])) + kt.ops.ones((4,)) * noise

    x = kt.Input((5, 4))
    y = kt.layers.Lambda(lambda t: t + kt.ops.ones((4,)))(Placed()(x))
    module = kt.Model(x, y).to_torch(device="meta")
    assert module(torch.empty(2, 5, 4, device="meta")).device.type == "meta"


@pytest.mark.parametrize(("name", "arguments"), [
    ("normal", {"mean": 1.0, "stddev": 2.0}), ("truncated_normal", {"stddev": 3.0}),
    ("uniform", {"minval": -1.0, "maxval": 3.0}), ("randint", {"minval": 2, "maxval": 5})])
def test_distributions_are_keras(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = (getattr(k.random, name)((100, 200), seed=1, **arguments) for k in (kt, keras))
    assert ours.dtype == theirs.dtype and torch.equal(ours, getattr(kt.random, name)((100, 200), seed=1, **arguments))
    for statistic in (torch.mean, torch.std, torch.amin, torch.amax):
        torch.testing.assert_close(statistic(ours.float()), statistic(theirs.float()), rtol=0.15, atol=0.05)


def test_choices_and_drops() -> None:
    x = torch.arange(1.0, 5.0).repeat(1000, 1)
    dropped = kt.random.dropout(x, 0.25, seed=3)
    assert (dropped / x).unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert kt.random.dropout(x, 0.25, noise_shape=(None, 1))[:, 0].eq(0).logical_or(x[:, 0].ne(0)).all()
    drawn = kt.random.categorical(torch.tensor([[0.0, -torch.inf, 0.0]]), 500)
    assert drawn.dtype == torch.int32 and set(drawn.unique().tolist()) == {0, 2}
    assert sorted(kt.random.shuffle(torch.arange(20)).tolist()) == list(range(20))
    with pytest.raises(ConfigError, match="must be a whole number, got 'seed'"):
        kt.random.SeedGenerator("seed")


# ---- masks inside layers of one's own --------------------------------------------------------------------------------


def masking_layers(k: Any) -> dict[str, Any]:
    """Layers that people write, around layers that mind masks."""
    own = k.layers

    class Recurrent(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense, self.lstm = own.Dense(5), own.LSTM(4)

        def call(self, x: Any) -> Any:
            return self.lstm(self.dense(x))

    class Outside(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner, self.norm = Recurrent(), own.LayerNormalization()

        def call(self, x: Any) -> Any:
            return self.inner(self.norm(x))

    class Lost(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.lstm = own.LSTM(4)

        def call(self, x: Any) -> Any:
            return self.lstm(x * 2.0)

    class Attending(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.attention = own.MultiHeadAttention(2, 4)
            self.supports_masking = True

        def call(self, x: Any, mask: Any = None) -> Any:
            wanted = None if mask is None else k.ops.cast(mask[:, None, :], "int32")
            return self.attention(query=x, value=x, key=x, attention_mask=wanted)

    class TakenOff(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.attention, self.lstm, self.add = own.MultiHeadAttention(2, 4), own.LSTM(4), own.Add()

        def call(self, x: Any) -> Any:
            y = self.attention(x, x)
            return self.lstm(x) + self.lstm(self.add([x, y]))

    class InModel(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.model = k.Sequential([own.Dense(5), own.Bidirectional(own.GRU(3, return_sequences=True))])
            self.pool = own.GlobalAveragePooling1D()

        def call(self, x: Any) -> Any:
            return self.pool(self.model(x))

    return {each.__name__: each for each in (Recurrent, Outside, Lost, Attending, TakenOff, InModel)}


def mask_making_layers(k: Any) -> dict[str, Any]:
    """Layers that people write, whose outputs carry masks."""
    own = k.layers

    class Embedded(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.embedding = own.Embedding(9, 6, mask_zero=True)

        def call(self, x: Any) -> Any:
            return self.embedding(x)

    class Positions(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.tokens, self.places = own.Embedding(9, 6), own.Embedding(6, 6)

        def call(self, x: Any) -> Any:
            return self.tokens(x) + self.places(k.ops.arange(k.ops.shape(x)[-1]))

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return k.ops.not_equal(inputs, 0)

    class ModelOfTokens(own.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            tokens = k.Input((6,))
            self.model = k.Model(tokens, own.Dense(4)(own.Embedding(9, 6, mask_zero=True)(tokens)))

        def call(self, x: Any) -> Any:
            return self.model(x)

    return {each.__name__: each for each in (Embedded, Positions, ModelOfTokens)}


TOKENS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 5, 6, 7, 8]], "float32")


def same_on_tokens(program: Program) -> torch.nn.Module:
    theirs, ours = both(program)
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    tokens = torch.from_numpy(TOKENS)
    same(module(tokens), theirs(tokens))
    return module


@pytest.mark.parametrize("name", masking_layers(kt))
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_masks_reach_layers_inside(name: str) -> None:
    def program(k: Any) -> Any:
        x = k.Input((6,))
        return k.Model(x, masking_layers(k)[name]()(k.layers.Embedding(9, 6, mask_zero=True)(x)))

    module = same_on_tokens(program)
    if name == "Attending":  # torch.compile takes no recurrent layers
        tokens = torch.from_numpy(TOKENS)
        compiled = torch.compile(module, backend="eager", fullgraph=TORCH >= (2, 11))  # 2.6 breaks at x.attribute = y
        torch.testing.assert_close(compiled(tokens), module(tokens))


@pytest.mark.parametrize("name", mask_making_layers(kt))
def test_masks_come_out_of_layers_inside(name: str) -> None:
    def program(k: Any) -> Any:
        x = k.Input((6,))
        return k.Model(x, k.layers.LSTM(3)(mask_making_layers(k)[name]()(x)))

    same_on_tokens(program)


@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_masks_come_from_around_a_model_and_in_one_call_of_two() -> None:
    def program(k: Any) -> Any:
        x, tensor = k.Input((6,)), k.Input((6, 6))
        layer = masking_layers(k)["Recurrent"]()
        model = k.Model(tensor, masking_layers(k)["Outside"]()(tensor))
        embedded = k.layers.Embedding(9, 6, mask_zero=True)(x)
        return k.Model(x, [model(embedded), layer(embedded), layer(embedded * 1.0)])

    same_on_tokens(program)


def test_a_decoder_that_computes_its_mask_from_sizes() -> None:
    def program(k: Any) -> Any:
        ops = k.ops

        class Decoder(k.layers.Layer):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.own, self.other = k.layers.MultiHeadAttention(2, 4), k.layers.MultiHeadAttention(2, 4)
                self.supports_masking = True

            def call(self, inputs: Any, mask: Any = None) -> Any:
                x, encoded = inputs
                of_x, of_encoded = (None, None) if mask is None else mask
                x = self.own(query=x, value=x, key=x, attention_mask=self.causal(x), query_mask=of_x)
                return self.other(query=x, value=encoded, key=encoded, query_mask=of_x, key_mask=of_encoded)

            def causal(self, x: Any) -> Any:
                batch, steps = ops.shape(x)[0], ops.shape(x)[1]
                mask = ops.cast(ops.arange(steps)[:, None] >= ops.arange(steps), "int32")
                often = ops.concatenate([ops.expand_dims(batch, -1), ops.convert_to_tensor([1, 1])], axis=0)
                return ops.tile(ops.reshape(mask, (1, steps, steps)), often)

        x = k.Input((None,))
        embedded = k.layers.Embedding(9, 6, mask_zero=True)(x)
        return k.Model(x, Decoder()([embedded, k.layers.Dense(6)(embedded)]))

    same_on_tokens(program)


# ---- loops -----------------------------------------------------------------------------------------------------------


def looping(k: Any) -> Any:
    ops = k.ops

    class Loops(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = k.layers.Dense(4)

        def call(self, x: Any) -> Any:
            state = ops.zeros_like(x[:, 0])
            state = ops.fori_loop(0, x.shape[1], lambda i, h: ops.tanh(self.dense(h) + x[:, i]), state)
            _, state = ops.while_loop(lambda n, _: n < 3, lambda n, h: (n + 1, 0.5 * h + ops.sin(h)), (0, state))
            halved = ops.while_loop(lambda h: ops.max(ops.abs(h)) > 0.5, lambda h: h / 2, x * 4)
            last, steps = ops.scan(lambda c, t: (0.9 * c + t, c * 2.0), state, ops.moveaxis(x, 1, 0))
            back = ops.scan(lambda c, t: (c + t, c), state, ops.moveaxis(x, 1, 0), reverse=True)[1]
            sums = ops.associative_scan(lambda a, b: a + b, x, axis=1)
            sums = sums + ops.associative_scan(lambda a, b: a * b, x, reverse=True, axis=1)
            parts = ops.vectorized_map(lambda row: ops.sum(row * row), x) + ops.map(lambda row: ops.max(row), x)
            chosen = ops.cond(ops.sum(parts) > 1e9, lambda: -last, lambda: last)
            chosen = chosen + ops.switch(5, [lambda a: a, lambda a: a * 3], state)
            return halved + sums + ops.moveaxis(steps + back, 0, 1) + (chosen + ops.reshape(parts, (-1, 1)))[:, None]

    x = k.Input((5, 4))
    return k.Model(x, Loops()(x))


def test_loops_inside_a_layer() -> None:
    check(looping)


def test_loops_take_no_symbolic_tensors() -> None:
    with pytest.raises(kt.errors.KerashapeError, match=r"ops.while_loop: it takes Python functions.*Way out: a Lambda"):
        kt.ops.while_loop(lambda x: True, lambda x: x, kt.Input((3,)))


# ---- weights, losses and cells ---------------------------------------------------------------------------------------


def weights_in_every_spelling(k: Any) -> Any:
    ops = k.ops

    class Linear(k.layers.Layer):
        def __init__(self, units: int = 3, input_dim: int = 2, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.w = self.add_weight(shape=(input_dim, units), initializer="random_normal", trainable=True)
            self.total = self.add_weight(shape=(units,), trainable=False, name="total")
            self.scale = k.Variable(ops.ones((units,)), name="scale")

        def build(self, input_shape: Any) -> None:
            self.b = self.add_weight(shape=(self.w.shape[-1],), initializer="zeros", name="bias")

        def call(self, x: Any) -> Any:
            return ops.matmul(x, self.w) * self.scale + self.b + self.total

    x = k.Input((4,))
    return k.Model(x, Linear(3, 4)(x))


def test_weights_in_every_spelling() -> None:
    theirs, ours = check(weights_in_every_spelling)
    assert ours.layers[1].get_config()["input_dim"] == theirs.layers[1].get_config()["input_dim"] == 4


def test_weights_are_declared_before_the_layer_runs() -> None:
    class Late(kt.Layer):
        def call(self, x: Any) -> Any:
            return x * self.add_weight((3,))

    with pytest.raises(ShapeError, match=r"late = Late\(\).*\n.*add_weight is called in __init__ or build"):
        Late()(kt.Input((3,)))


def losses_of_layers(k: Any) -> Any:
    class Divergence(k.layers.Layer):
        def __init__(self, beta: float = 0.5, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.beta = beta
            self.dense = k.layers.Dense(2, activity_regularizer="l2")

        def call(self, x: Any) -> Any:
            y = self.dense(x)
            self.add_loss(self.beta * k.ops.mean(k.ops.square(y)))
            self.add_loss(k.ops.sum(k.ops.abs(y), axis=1))
            return y

    x = k.Input((4,))
    model = k.Model(x, k.layers.Dense(1)(Divergence(0.3)(x)))
    model.compile(k.optimizers.SGD(0.1), loss="mse")
    return model


def test_losses_of_layers_count_in_training() -> None:
    theirs, ours = both(losses_of_layers)
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    training = kt.training.of(ours, module)
    x, y = data(theirs)[0], np.ones((3, 1), "float32")
    assert float(training.step(x, y)) == pytest.approx(float(theirs.train_on_batch(x, y)), rel=1e-4)
    theirs.train_on_batch(x, y)
    training.step(x, y)
    for found, wanted in zip(kt.get_keras_weights(module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def cells_of_ones_own(k: Any) -> Any:
    ops = k.ops

    @k.saving.register_keras_serializable("idioms")
    class MinimalCell(k.layers.Layer):
        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = self.state_size = units

        def build(self, input_shape: Any) -> None:
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
            self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

        def call(self, inputs: Any, states: Any) -> Any:
            output = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent_kernel))
            return output, [output]

        def get_config(self) -> Any:
            return {**super().get_config(), "units": self.units}

    x = k.Input((None, 5))
    y = k.layers.RNN(MinimalCell(6), return_sequences=True)(x)
    stacked = k.layers.RNN([MinimalCell(4), k.layers.GRUCell(3)])(y)
    return k.Model(x, [stacked, k.layers.Bidirectional(k.layers.RNN(MinimalCell(3)))(y)])


def test_cells_that_are_layers() -> None:
    check(cells_of_ones_own)


# ---- names, and what is refused --------------------------------------------------------------------------------------


def attention_inside(k: Any) -> Any:
    class Block(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.attention, self.dropout = k.layers.MultiHeadAttention(2, 4), k.layers.Dropout(0.1)

        def call(self, x: Any) -> Any:
            return x + self.dropout(self.attention(x, x))

    x = k.Input((5, 8))
    y = Block()(x)
    y = k.layers.Dropout(0.1)(y)
    return k.Model(x, k.layers.Softmax()(y))


def lambda_as_activation(k: Any) -> Any:
    x = k.Input((5,))
    return k.Model(x, k.layers.Dense(3, activation=lambda t: t * t)(x))


def test_attention_inside_a_layer_counts_in_names_of_others() -> None:
    _, ours = check(attention_inside)
    assert [layer.name for layer in ours.layers[2:]] == ["dropout_2", "softmax_1"]


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_an_activation_without_a_name() -> None:
    theirs, ours = both(lambda_as_activation)
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    inputs = data(theirs)[0]
    same(module(torch.from_numpy(inputs)), theirs(inputs))
    with pytest.raises(ConfigError, match=r"Dense.activation=.*bytecode of a Python lambda, which is never run"):
        kt.models.model_from_json(theirs.to_json())


def test_a_class_that_does_not_take_its_config() -> None:
    class Strict(kt.Layer):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

        def call(self, x: Any) -> Any:
            return x * self.size

    x = kt.Input((3,))
    model = kt.Model(x, Strict(2)(x))
    with pytest.raises(ConfigError, match=r"Strict does not take .*'name'; its __init__ needs all of name"):
        kt.models.model_from_json(model.to_json(), {"Strict": Strict})


def initializer_of_ones_own(k: Any) -> Any:
    class Half(k.initializers.Initializer):
        def __init__(self, scale: float = 1.0) -> None:
            self.scale = scale

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return k.ops.abs(k.random.normal(shape, dtype=dtype)) * self.scale

        def get_config(self) -> Any:
            return {"scale": self.scale}

    x = k.Input((5,))
    return k.Model(x, k.layers.Dense(3, kernel_initializer=Half(0.5))(x))


def test_an_initializer_written_for_keras() -> None:
    kernel = next(initializer_of_ones_own(kt).to_torch().parameters())
    assert kernel.shape == (3, 5) and bool((kernel >= 0).all()) and bool(kernel.any())
    both(initializer_of_ones_own)


def test_recurrent_layers_with_masks_are_ported(tmp_path: Any) -> None:
    x = kt.Input((6,))
    kt.saving.port(kt.Model(x, kt.layers.LSTM(3)(kt.layers.Embedding(9, 4, mask_zero=True)(x))), tmp_path / "out")
    done = subprocess.run([sys.executable, tmp_path / "out" / "model.py", "--check"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr

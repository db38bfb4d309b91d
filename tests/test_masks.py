"""Masks: random ones, with holes and padding on any side, here and in Keras, through every layer that minds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import TORCH, own_generator, plain
from live import close, gradients_agree, keras_gradients, numbers
from torch.fx.experimental.proxy_tensor import make_fx

import kerashape_torch as kt
from kerashape_torch import get_keras_weights, set_keras_weights
from kerashape_torch.models import model_from_json
from kerashape_torch.structure import flatten

K = Any
Builder = Callable[[K], Any]
BUILDERS: dict[str, Builder] = {}


def builder(function: Builder) -> Builder:
    BUILDERS[function.__name__] = function
    return function


def tokens(k: K, steps: int | None = 7) -> tuple[Any, Any]:
    x = k.Input((steps,), dtype="int32", name="tokens")
    return x, k.layers.Embedding(6, 5, mask_zero=True)(x)


def of(make: Builder) -> Builder:
    """A model: an embedding with a mask, then what is made of it."""

    def build(k: K) -> Any:
        x, y = tokens(k)
        return k.Model(x, make(k)(y))

    return build


RECURRENT: dict[str, Builder] = {
    "lstm": lambda k: k.layers.LSTM(4),
    "lstm_sequences": lambda k: k.layers.LSTM(4, return_sequences=True),
    "lstm_states": lambda k: k.layers.LSTM(4, return_state=True, return_sequences=True),
    "lstm_backwards": lambda k: k.layers.LSTM(4, go_backwards=True, return_sequences=True, return_state=True),
    "lstm_zeros": lambda k: k.layers.LSTM(4, return_sequences=True, zero_output_for_mask=True),
    "lstm_relu": lambda k: k.layers.LSTM(4, activation="relu", return_sequences=True, return_state=True),
    "lstm_relu_zeros": lambda k: k.layers.LSTM(4, activation="relu", return_sequences=True, zero_output_for_mask=True),
    "gru": lambda k: k.layers.GRU(4, return_state=True),
    "gru_before": lambda k: k.layers.GRU(4, reset_after=False, return_sequences=True),
    "gru_unrolled": lambda k: k.layers.GRU(4, return_sequences=True, unroll=True),
    "simple": lambda k: k.layers.SimpleRNN(4, return_sequences=True, return_state=True),
    "stacked": lambda k: k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(4)], return_sequences=True),
    "stacked_last": lambda k: k.layers.RNN([k.layers.LSTMCell(3), k.layers.LSTMCell(4)]),
    "both_ways": lambda k: k.layers.Bidirectional(k.layers.LSTM(4)),
    "both_ways_sequences": lambda k: k.layers.Bidirectional(k.layers.GRU(4, return_sequences=True), merge_mode="sum"),
    "both_ways_apart": lambda k: k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True), merge_mode=None),
    "both_ways_states": lambda k: k.layers.Bidirectional(k.layers.LSTM(3, return_state=True)),
    "both_ways_of_two": lambda k: k.layers.Bidirectional(
        k.layers.LSTM(3, return_sequences=True),
        backward_layer=k.layers.GRU(3, return_sequences=True, go_backwards=True)),
}
OTHERS: dict[str, Builder] = {
    "average": lambda k: k.layers.GlobalAveragePooling1D(),
    "average_kept": lambda k: k.layers.GlobalAveragePooling1D(keepdims=True),
    "maximum_drops_it": lambda k: k.layers.GlobalMaxPooling1D(),
    "softmax_sees_it": lambda k: (lambda y: k.layers.Activation("softmax")(y)),
    "time_distributed": lambda k: k.layers.TimeDistributed(k.layers.Dense(3)),
    "attention": lambda k: (lambda y: k.layers.Attention()([y, y])),
    "additive": lambda k: (lambda y: k.layers.AdditiveAttention()([y, y])),
    "heads": lambda k: (lambda y: k.layers.MultiHeadAttention(2, 3)(y, y)),
    "heads_causal": lambda k: (lambda y: k.layers.MultiHeadAttention(2, 3)(y, y, use_causal_mask=True)),
    "groups": lambda k: (lambda y: k.layers.GroupQueryAttention(3, 4, 2)(y, y)),
    "deep": lambda k: (lambda y: k.layers.GlobalAveragePooling1D()(k.layers.LSTM(3, return_sequences=True)(
        k.layers.Dropout(0.5)(k.layers.LayerNormalization()(k.layers.Dense(4, activation="relu")(y)))))),
}
BUILDERS |= {name: of(make) for name, make in {**RECURRENT, **OTHERS}.items()}


@builder
def masking(k: K) -> Any:
    x = k.Input((7, 3))
    return k.Model(x, k.layers.GRU(4, return_sequences=True)(k.layers.Masking(0.0)(x)))


@builder
def explicit(k: K) -> Any:
    x, mask = k.Input((7, 3)), k.Input((7,), dtype="bool")
    return k.Model([x, mask], k.layers.LSTM(4, return_sequences=True)(x, mask=mask))


@builder
def states_given(k: K) -> Any:
    """A recurrent layer that is given states is given no mask by Keras."""
    x, y = tokens(k)
    h, c = k.Input((4,)), k.Input((4,))
    return k.Model([x, h, c], k.layers.LSTM(4, return_sequences=True)(y, initial_state=[h, c]))


@builder
def encoder_and_decoder(k: K) -> Any:
    x, y = tokens(k)
    _, h, c = k.layers.LSTM(4, return_state=True)(y)
    z = k.Input((5,), dtype="int32", name="targets")
    w = k.layers.Embedding(6, 3, mask_zero=True)(z)
    return k.Model([x, z], k.layers.Dense(2)(k.layers.LSTM(4, return_sequences=True)(w, initial_state=[h, c])))


def merging(make: Builder) -> Builder:
    """Two masked tensors, and one without a mask, merged; the result goes to a layer that minds its mask."""

    def build(k: K) -> Any:
        x, y = tokens(k)
        z = k.Input((7,), dtype="int32", name="others")
        w = k.layers.Embedding(6, 5, mask_zero=True)(z)
        free = k.Input((7, 5), name="free")
        two, three = make(k), make(k)
        return k.Model([x, z, free], [two([y, w]), k.layers.LSTM(3)(two([y, w])), three([y, free, w])])

    return build


for _name in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
    BUILDERS[f"merge_{_name.lower()}"] = merging(lambda k, name=_name: getattr(k.layers, name)())
BUILDERS["merge_concatenate"] = merging(lambda k: k.layers.Concatenate())


@builder
def concatenated_steps(k: K) -> Any:
    x, y = tokens(k)
    free = k.Input((4, 5), name="free")
    return k.Model([x, free], k.layers.LSTM(3, return_sequences=True)(k.layers.Concatenate(axis=1)([y, free])))


@builder
def transformer(k: K) -> Any:
    x, y = tokens(k)
    for _ in range(2):
        attended = k.layers.MultiHeadAttention(2, 4)(y, y)
        y = k.layers.LayerNormalization()(k.layers.Add()([y, attended]))
        y = k.layers.LayerNormalization()(k.layers.Add()([y, k.layers.Dense(5)(k.layers.Dense(8, "relu")(y))]))
    return k.Model(x, [y, k.layers.GlobalAveragePooling1D()(y)])


@builder
def mask_goes_into_a_model(k: K) -> Any:
    inner = k.Input((7, 5))
    part = k.Model(inner, k.layers.LSTM(4, return_sequences=True)(k.layers.Dense(5)(inner)), name="part")
    x, y = tokens(k)
    return k.Model(x, [part(y), k.layers.GlobalAveragePooling1D()(part(y))])


@builder
def mask_goes_into_a_model_that_merges(k: K) -> Any:
    """The mask goes over the border of the model, and the model makes a new one of it."""
    inner = k.Input((7, 5))
    part = k.Model(inner, k.layers.Average()([k.layers.Activation("relu")(inner), inner]), name="part")
    x, y = tokens(k)
    return k.Model(x, k.layers.LSTM(3)(part(y)))


@builder
def mask_comes_out_of_a_model(k: K) -> Any:
    inner, embedded = tokens(k)
    part = k.Model(inner, k.layers.LSTM(4, return_sequences=True)(embedded), name="part")
    x = k.Input((7,), dtype="int32")
    y = part(x)
    return k.Model(x, [k.layers.GRU(3)(y), k.layers.GlobalAveragePooling1D()(y)])


@builder
def sequential(k: K) -> Any:
    return k.Sequential([k.Input((7,), dtype="int32"), k.layers.Embedding(6, 5, mask_zero=True), k.layers.Dropout(0.2),
                         k.layers.Bidirectional(k.layers.LSTM(4, return_sequences=True)), k.layers.GRU(3)])


@builder
def nested_sequential(k: K) -> Any:
    return k.Sequential([k.Input((7,), dtype="int32"), k.layers.Embedding(6, 5, mask_zero=True),
                         k.Sequential([k.layers.Dense(4), k.layers.LSTM(4, return_sequences=True)]), k.layers.GRU(3)])


@builder
def free_length(k: K) -> Any:
    x, y = tokens(k, None)
    return k.Model(x, k.layers.LSTM(4)(y))


@builder
def normalized_batch(k: K) -> Any:
    x, y = tokens(k)
    return k.Model(x, k.layers.BatchNormalization(momentum=0.7)(y))


@builder
def sentences(k: K) -> Any:
    """A mask of (batch, sentences, words) of which each sentence gets its part."""
    x = k.Input((4, 6), dtype="int32")
    y = k.layers.Embedding(6, 5, mask_zero=True)(x)
    return k.Model(x, k.layers.TimeDistributed(k.layers.LSTM(3))(y))


@builder
def images(k: K) -> Any:
    """A mask of whole images of a film."""
    film, mask = k.Input((7, 4, 5, 2)), k.Input((7,), dtype="bool")
    forward = k.layers.ConvLSTM2D(3, 2, return_sequences=True)(film, mask=mask)
    backward = k.layers.ConvLSTM2D(3, 2, go_backwards=True, return_state=True)(film, mask=mask)
    return k.Model([film, mask], [forward, *backward])


def both(name: str, seed: int = 0) -> tuple[Any, Any, list[np.ndarray]]:
    """The model in Keras and compiled, with the same weights, and inputs with holes; one sample has nothing at all.
    With the seed 2 there are no holes, and all samples end alike."""
    keras.utils.clear_session(free_memory=False)
    theirs = BUILDERS[name](keras)
    with own_generator(seed):
        module = BUILDERS[name](kt).to_torch()
    arrays = [numbers(*w.shape, seed=i + 10 * seed) * 0.7 for i, w in enumerate(get_keras_weights(module))]
    arrays = [np.abs(a) + 0.5 if "variance" in w.path else a for a, w in zip(arrays, theirs.weights, strict=True)]
    theirs.set_weights(arrays)
    set_keras_weights(module, arrays)
    random = np.random.default_rng(seed)
    return theirs, module, [_holey(random, x, seed) for x in theirs.inputs]


def _holey(random: np.random.Generator, x: Any, seed: int) -> np.ndarray:
    shape = [size or 7 for size in (6, *x.shape[1:])]
    one_is_whole = seed == 0
    kept = random.random(shape[:2]) < 0.6
    kept[0], kept[1, :3], kept[2, 3:], kept[3] = kept[0] | one_is_whole, False, False, False
    kept[:, 2] &= one_is_whole
    if seed == 2:
        kept[:, :3], kept[:, 3:] = True, False
    if x.dtype == "bool":
        return kept
    values = random.integers(1, 6, shape) if "int" in x.dtype else random.normal(size=shape)
    return (values * kept.reshape(*kept.shape, *[1] * (len(shape) - 2))).astype(x.dtype) if len(shape) > 1 else values


masks_may_end = pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
"""Keras says so where a mask ends: at a pooling layer, and at a model inside another."""


@masks_may_end
@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_numbers(name: str, seed: int) -> None:
    theirs, module, inputs = both(name, seed)
    want = theirs([torch.as_tensor(x) for x in inputs] if len(inputs) > 1 else torch.as_tensor(inputs[0]))
    with torch.inference_mode():
        got = module(*map(torch.as_tensor, inputs))
    for x, y in zip(flatten(got), flatten(want), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5, equal_nan=True)


@masks_may_end
@pytest.mark.parametrize("name", BUILDERS)
def test_the_graph_is_keras_graph(name: str) -> None:
    """With the layers that Keras makes for masks, their names, and configs that go both ways."""
    keras.utils.clear_session(free_memory=False)
    theirs, ours = BUILDERS[name](keras), BUILDERS[name](kt)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    if hasattr(theirs, "operations") and not isinstance(theirs, keras.Sequential):
        assert [op.name for op in ours.operations] == [op.name for op in theirs.operations]
    assert plain(ours.output_shape) == plain(theirs.output_shape)
    back = keras.models.model_from_json(ours.to_json())
    assert [layer.name for layer in back.layers] == [layer.name for layer in theirs.layers]
    again = model_from_json(theirs.to_json())
    assert [layer.name for layer in again.layers] == [layer.name for layer in theirs.layers]


# Where a query sees no key, torch's two kernels disagree on gradients, and torch 2.6 takes the other one for groups.
one_kernel = pytest.mark.skipif(TORCH < (2, 11), reason="torch 2.6 has no fused attention of grouped heads on the CPU")


@masks_may_end
@pytest.mark.parametrize("name", [pytest.param("groups", marks=one_kernel), *(n for n in BUILDERS if n != "groups")])
def test_gradients(name: str) -> None:
    theirs, module, inputs = both(name)
    given = [torch.as_tensor(x) for x in inputs]
    want = theirs(given if len(given) > 1 else given[0])
    got = module(*given)
    sum(x.nan_to_num().square().sum() for x in flatten(want)).backward()
    sum(x.nan_to_num().square().sum() for x in flatten(got)).backward()
    gradients_agree(keras_gradients(module), [w.value.grad for w in theirs.weights])


def test_batch_normalization_in_training_leaves_padding_out() -> None:
    theirs, module, inputs = both("normalized_batch")
    for _ in range(3):
        x = torch.as_tensor(inputs[0])
        close(module.train()(x), theirs(x, training=True).detach().numpy())
    for got, want in zip(get_keras_weights(module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_no_loop_over_time_where_torch_has_a_kernel() -> None:
    """The kept steps of all samples go through one call of torch's kernel, whatever the mask's pattern."""
    for name in ("lstm_sequences", "gru", "both_ways", "lstm_states", "simple"):
        _, module, inputs = both(name)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile, torch.no_grad():
            module(torch.as_tensor(inputs[0]))
        counts = {event.key: event.count for event in profile.key_averages()}
        assert sum(counts.get(f"aten::{kernel}", 0) for kernel in ("lstm", "gru", "rnn_tanh")) == 1, name


def test_what_a_tracer_records_holds_for_other_masks() -> None:
    model = kt.Sequential([kt.Input((6, 3)), kt.layers.Masking(), kt.layers.LSTM(4, return_sequences=True),
                           kt.layers.LSTM(2)])
    module = model.to_torch()
    seen, others = torch.randn(3, 6, 3), torch.randn(3, 6, 3)
    seen[:, 2:] = 0  # padding follows, and no sample keeps more than two steps
    others[0, 1], others[1, :4], others[2] = 0, 0, 0
    with torch.no_grad():
        traced = make_fx(module)(seen)
        torch.testing.assert_close(traced(others), module(others))
        torch.testing.assert_close(traced(seen), module(seen))


def test_compute_mask_runs_on_real_tensors() -> None:
    x = torch.tensor([[1, 0, 2]])
    assert kt.layers.Embedding(3, 2, mask_zero=True).compute_mask(x).tolist() == [[True, False, True]]
    assert kt.layers.Embedding(3, 2).compute_mask(x) is None
    assert kt.layers.Masking(2.0).compute_mask(torch.tensor([[[2.0, 2.0], [2.0, 1.0]]])).tolist() == [[False, True]]
    left, right = torch.tensor([[True, False]]), torch.tensor([[False, False]])
    assert kt.layers.Add().compute_mask([x, x], [left, right]).tolist() == [[True, False]]


@pytest.mark.parametrize("mask", [np.ones((2, 4), bool), [[True] * 4], False, "tokens"], ids=lambda x: type(x).__name__)
def test_numbers_are_no_mask(mask: Any) -> None:
    model = kt.Sequential([kt.layers.LSTM(3, input_shape=(4, 5))])
    for layer in (kt.layers.LSTM(3), kt.layers.Dense(3), model):
        with pytest.raises(kt.errors.ConfigError, match=r"the mask of a call is a symbolic tensor, got .* mask=Input"):
            layer(kt.Input((4, 5)), mask=mask)


def test_lambdas_take_and_make_masks() -> None:
    x = kt.Input((4, 2))
    doubled = kt.layers.Lambda(lambda y, mask=None: y * 2 if mask is None else y * mask.unsqueeze(-1))
    halved = kt.layers.Lambda(lambda y: y / 2, mask=lambda y, mask: mask)
    masked = kt.layers.Masking()(x)
    module = kt.Model(x, [doubled(masked), kt.layers.GlobalAveragePooling1D()(halved(masked))]).to_torch()
    value = torch.ones(1, 4, 2)
    value[0, 1] = 0
    first, second = module(value)
    assert first[0, :, 0].tolist() == [1, 0, 1, 1] and second[0].tolist() == [0.5, 0.5]


def test_a_mask_is_found_once_for_all_that_mind_it() -> None:
    x = kt.Input((6, 3))
    y = kt.layers.LSTM(4, return_sequences=True)(kt.layers.Masking(0.5)(x))
    module = kt.Model(x, kt.layers.GRU(2)(y)).to_torch()
    assert [node.target.__name__ for node in module.graph.nodes if node.op == "call_function"] == [
        "ne", "any", "zero_masked_steps"]

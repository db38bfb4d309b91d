"""Modules without an input shape: everything works before the first call, which infers every weight shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from harness import own_generator
from torch import fx
from torch.nn.parameter import UninitializedParameter

import kerashape_torch as kt
from kerashape_torch.errors import KerashapeError
from kerashape_torch.layers import (
    GRU,
    LSTM,
    Add,
    BatchNormalization,
    Conv1D,
    Conv2D,
    Dense,
    Flatten,
    MultiHeadAttention,
    RepeatVector,
)
from kerashape_torch.models import Sequential

MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "dense": (lambda: [Dense(4, activation="relu"), Dense(2)], (5, 3)),
    "dense on rows": (lambda: [Dense(4)], (2, 5, 3)),
    "cnn": (lambda: [Conv2D(4, 3, strides=2, padding="same"), BatchNormalization(), Flatten(), Dense(2)], (2, 9, 8, 3)),
    "channels first": (lambda: [Conv2D(4, 3, data_format="channels_first")], (2, 3, 9, 8)),
    "sequence": (lambda: [Conv1D(4, 3, padding="causal"), LSTM(5, return_sequences=True), GRU(2)], (2, 7, 3)),
    "nested": (lambda: [Sequential([Dense(4), Dense(3)]), RepeatVector(2)], (5, 6)),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_the_result_equals_the_module_that_was_given_the_shape(name: str) -> None:
    make, shape = MODELS[name]
    x = torch.randn(shape)
    lazy = Sequential(make()).to_torch()
    shaped = Sequential(make())
    shaped.build((None, *shape[1:]))
    eager = shaped.to_torch()
    before = set(lazy.state_dict())
    assert before == set(eager.state_dict())
    lazy(x)
    assert isinstance(lazy, fx.GraphModule)
    assert {k: v.shape for k, v in lazy.state_dict().items()} == {k: v.shape for k, v in eager.state_dict().items()}
    lazy.load_state_dict(eager.state_dict())
    torch.testing.assert_close(lazy(x), eager(x))
    for got, want in zip(kt.get_keras_weights(lazy), kt.get_keras_weights(eager), strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_model_itself_is_left_unbuilt() -> None:
    model = Sequential([Dense(4)])
    model.to_torch()(torch.zeros(2, 3))
    assert not model.built


def test_sizes_that_no_weight_needs_stay_free() -> None:
    module = LSTM(7).to_torch()
    assert module(torch.zeros(2, 5, 3)).shape == (2, 7)
    assert module(torch.zeros(3, 9, 3)).shape == (3, 7)
    with pytest.raises(KerashapeError, match="axis 2 is 4, not 3"):
        module(torch.zeros(2, 5, 4))


def test_to_before_the_first_call() -> None:
    module = Sequential([Dense(4)]).to_torch().to(torch.float64)
    assert module(torch.zeros(2, 3, dtype=torch.float64)).dtype == torch.float64
    meta = Sequential([Dense(4)]).to_torch(device="meta")
    assert meta(torch.zeros(2, 3, device="meta")).shape == (2, 4)


def test_optimizers_may_hold_the_parameters_before_they_have_shapes() -> None:
    module = Sequential([Dense(4), Dense(1)]).to_torch()
    assert all(isinstance(p, UninitializedParameter) for p in module.parameters())
    held = list(module.parameters())
    optimizer = torch.optim.SGD(held, lr=0.1)
    module(torch.ones(2, 3)).sum().backward()
    assert all(a is b for a, b in zip(held, module.parameters()))
    before = module.dense.bias.clone()
    optimizer.step()
    assert not torch.equal(before, module.dense.bias)


def test_load_state_dict_before_the_first_call() -> None:
    shaped = Sequential([Dense(4, input_shape=(3,)), Dense(2)])
    eager = shaped.to_torch()
    lazy = Sequential([Dense(4), Dense(2)]).to_torch()
    lazy.load_state_dict(eager.state_dict())
    x = torch.randn(5, 3)
    torch.testing.assert_close(lazy(x), eager(x))


def test_weights_of_another_shape_are_refused_at_the_first_call() -> None:
    lazy = Sequential([Dense(4)]).to_torch()
    lazy.load_state_dict({"dense.weight": torch.zeros(4, 9), "dense.bias": torch.zeros(4)})
    with pytest.raises(KerashapeError, match=r"dense\.weight was loaded with shape \(4, 9\)"):
        lazy(torch.zeros(2, 3))


def test_the_initializers_of_the_config_are_used() -> None:
    with own_generator():
        lazy = Sequential([Dense(400, kernel_initializer="he_uniform", bias_initializer="ones")]).to_torch()
        lazy(torch.zeros(1, 300))
    assert lazy.dense.weight.detach().abs().max() == pytest.approx((6 / 300) ** 0.5, rel=0.01)
    assert bool((lazy.dense.bias == 1).all())


def test_layers_alone() -> None:
    assert Dense(4).to_torch()(torch.zeros(2, 3)).shape == (2, 4)
    assert Dense(4).to_torch(input_shape=(3,))(torch.zeros(2, 3)).shape == (2, 4)
    assert Dense(4, input_shape=(3,)).to_torch(dtype="float64")(torch.zeros(2, 3).double()).dtype == torch.float64
    assert LSTM(4).to_torch(input_shape=(None, 3))(torch.zeros(2, 6, 3)).shape == (2, 4)
    assert Add().to_torch()([torch.ones(2, 3), torch.ones(2, 3)]).shape == (2, 3)
    assert MultiHeadAttention(2, 4).to_torch()(torch.zeros(2, 5, 8), torch.zeros(2, 6, 8)).shape == (2, 5, 8)
    layer = Dense(4)
    layer.to_torch()(torch.zeros(2, 3))
    assert not layer.built


def test_the_training_mode_is_kept() -> None:
    lazy = Sequential([Dense(4), BatchNormalization()]).to_torch()
    assert not lazy.training
    lazy.train()
    lazy(torch.randn(8, 3))
    assert lazy.training and lazy.batch_normalization.training
    assert not torch.equal(lazy.batch_normalization.running_mean, torch.zeros(4))

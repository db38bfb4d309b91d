"""``keras.backend``: functions of Keras 2, with Keras 2's numbers, on symbolic tensors, real ones and in a Lambda."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from backend_cases import CASES, names

import kerashape_torch as kt
from kerashape_torch import backend as K
from kerashape_torch.errors import ConfigError

RECORDED = np.load(Path(__file__).parent / "data" / "backend.npz")
EXPECTED = {expression: RECORDED[str(i)] for i, expression in enumerate(CASES)}


def same(found: torch.Tensor, expression: str) -> None:
    expected = EXPECTED[expression]
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-4, atol=1e-5)
    assert str(found.dtype).removeprefix("torch.") == str(expected.dtype)


@pytest.mark.parametrize("expression", CASES)
def test_numbers_are_those_of_keras_2(expression: str) -> None:
    tensors = dict(zip(names(expression), map(torch.from_numpy, CASES[expression])))
    same(eval(expression, {"K": K, **tensors}), expression)

    symbolic = {name: x if name == "w" else kt.Input(x.shape[1:], dtype=str(x.dtype).removeprefix("torch."))
                for name, x in tensors.items()}
    inputs = {name: x for name, x in symbolic.items() if name != "w"}
    model = kt.Model(list(inputs.values()), eval(expression, {"K": K, **symbolic}))
    same(model.to_torch()(*(tensors[name] for name in inputs)), expression)
    if len(inputs) == 1:
        function = eval(f"lambda x: {expression}", {"K": K, **tensors})
        x = inputs["x"]
        same(kt.Model(x, kt.layers.Lambda(function)(x)).to_torch()(tensors["x"]), expression)


def test_a_layer_of_keras_2_runs_as_it_is() -> None:
    class Attention(kt.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            self.supports_masking = True
            super().__init__(**kwargs)
            self.input_spec = [kt.layers.InputSpec(ndim=3)]

        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(name="w", shape=(input_shape[-1], 1), initializer="uniform", trainable=True)
            super().build(input_shape)

        def compute_mask(self, inputs: Any, mask: Any = None) -> None:
            return None

        def call(self, x: Any, mask: Any = None) -> Any:
            a = K.exp(K.squeeze(K.tanh(K.dot(x, self.w)), -1))
            if mask is not None:
                a = a * K.cast(mask, K.floatx())
            a = a / K.cast(K.sum(a, axis=1, keepdims=True) + K.epsilon(), K.floatx())
            return K.sum(x * K.expand_dims(a), axis=1)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape[0], input_shape[-1]

    model = kt.Sequential([kt.layers.Embedding(9, 4, mask_zero=True, input_length=5), Attention()])
    module = model.to_torch()
    w = module.get_parameter("attention.w").detach()
    words = torch.tensor([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7]])
    x = module.embedding(words).detach()
    a = ((x @ w).tanh().squeeze(-1).exp() * (words != 0))
    expected = (x * (a / a.sum(1, keepdim=True))[..., None]).sum(1)
    torch.testing.assert_close(module(words).detach(), expected, rtol=1e-4, atol=1e-5)


def test_training_is_told() -> None:
    class Noise(kt.layers.Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            return K.in_train_phase(lambda: x + K.random_normal(K.shape(x)), x, training=training)

    module = Noise().to_torch((None, 4))
    x = torch.ones(2, 4)
    assert torch.equal(module(x), x) and not torch.equal(module.train()(x), x)
    with pytest.raises(ConfigError, match=r"told whether it trains: K.in_train_phase\(x, alt, training=training\)"):
        K.in_train_phase(x, x)


def test_a_condition_of_fewer_axes_stands_for_those_behind() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert K.switch(torch.tensor([True, False]), x, -x).tolist() == [[0, 1, 2], [-3, -4, -5]]
    assert K.switch(torch.tensor(False), x, -x).tolist() == (-x).tolist()


def test_what_keras_3_has_of_it() -> None:
    K.reset_uids()
    assert [K.get_uid("a"), K.get_uid("a"), K.get_uid("b")] == [1, 2, 1]
    assert K.is_float_dtype("bfloat16") and K.is_int_dtype(torch.uint8) and not K.is_int_dtype("float32")
    assert K.standardize_dtype(torch.float16) == "float16" and K.result_type("int32", float) == "float32"
    with K.name_scope("block"):
        assert K.stack([1, 1, 5]) == (1, 1, 5)


def test_sizes_are_taken_for_a_vector() -> None:
    """As the boxes of YOLO are decoded: the sizes of a grid in another order divide a tensor."""
    def centers(x: Any) -> Any:
        sizes = K.shape(x)[1:3]
        return x / K.cast(sizes[..., ::-1], K.dtype(x))

    assert isinstance(K.shape(torch.ones(2, 4, 5)), tuple) and K.shape(torch.ones(2, 4, 5))[0] == 2
    x = kt.Input((2, 4, 2))
    module = kt.Model(x, kt.layers.Lambda(centers)(x)).to_torch()
    torch.testing.assert_close(module(torch.ones(1, 2, 4, 2)), torch.tensor([0.25, 0.5]).expand(1, 2, 4, 2))


def test_what_is_left_out_says_why() -> None:
    with pytest.raises(AttributeError, match=r"leaves out 'learning_phase': call\(self, x, training=None\)"):
        K.learning_phase  # noqa: B018
    with pytest.raises(AttributeError, match=r"no 'squere'. Did you mean 'square'\?"):
        K.squere  # noqa: B018

"""The wording of refusals. Each names the layer, both shapes, the axis, and the way out where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError, UnknownLayerError
from kerashape_torch.layers import LSTM, Add, Concatenate, Conv2D, Dense, Dot, MaxPooling2D, Reshape
from kerashape_torch.models import Input, Model, Sequential
from kerashape_torch.saving import deserialize_keras_object


def refusal(action: Callable[[], Any]) -> KerashapeError:
    with pytest.raises(KerashapeError) as caught:
        action()
    return caught.value


def says(action: Callable[[], Any], kind: type[KerashapeError], *lines: str) -> None:
    error = refusal(action)
    assert type(error) is kind
    assert str(error).splitlines() == list(lines)


def shrinking_cnn() -> None:
    Sequential([Conv2D(32, 3, input_shape=(8, 8, 1)), MaxPooling2D(3), Conv2D(64, 3)])


def test_a_window_larger_than_its_axis() -> None:
    says(shrinking_cnn, ShapeError,
         "conv2d_1 = Conv2D(filters=64, kernel_size=3) cannot take (None, 2, 2, 32)",
         "  height: a window of 3 with padding 'valid' needs at least 3, got 2",
         "  reached by: input_layer (None, 8, 8, 1) -> conv2d (None, 6, 6, 32) -> max_pooling2d (None, 2, 2, 32)")


def test_a_wrong_rank() -> None:
    says(lambda: Sequential([Dense(4, input_shape=(3,)), LSTM(2)]), ShapeError,
         "lstm = LSTM(units=2) cannot take (None, 4)",
         "  expected rank 3, (batch, steps, features), got rank 2",
         "  reached by: input_layer (None, 3) -> dense (None, 4)")


def test_an_unknown_last_axis() -> None:
    says(lambda: Dense(4)(Input((None,))), ShapeError,
         "dense = Dense(units=4) cannot take (None, None)",
         "  features: the size of this axis is None, and the weights need it",
         "  reached by: input_layer (None, None)",
         "  give the number of features in the input shape")


def test_merges_that_do_not_match() -> None:
    says(lambda: Add()([Dense(4)(Input((3,))), Dense(5)(Input((3,)))]), ShapeError,
         "add = Add() cannot take [(None, 4), (None, 5)]",
         "  axis 1: 4 and 5 differ and neither is 1, in [(None, 4), (None, 5)]",
         "  reached by: input_layer (None, 3) -> dense (None, 4)")
    says(lambda: Concatenate(axis=1)([Input((4, 3)), Input((5, 2))]), ShapeError,
         "concatenate = Concatenate(axis=1) cannot take [(None, 4, 3), (None, 5, 2)]",
         "  axis 2: 3 and 2 differ, and only axis 1 may, in [(None, 4, 3), (None, 5, 2)]",
         "  reached by: input_layer (None, 4, 3)")
    says(lambda: Dot(axes=1)([Input((3,)), Input((4,))]), ShapeError,
         "dot = Dot(axes=1) cannot take [(None, 3), (None, 4)]",
         "  axes: 3 at axis 1 of the first and 4 at axis 1 of the second differ, in [(None, 3), (None, 4)]",
         "  reached by: input_layer (None, 3)")


def test_a_shape_that_is_not_known_yet() -> None:
    model = Sequential([Dense(4)])
    says(lambda: model.output_shape, ShapeError,
         "the input shape of sequential is not known yet",
         "  give the first layer input_shape=..., or call model.build((None, ...)), or start with Input(...)")
    says(Dense(4).count_params, ShapeError,
         "the input shape of dense = Dense(units=4) is not known yet",
         "  give it input_shape=..., or call it on Input(...), or add it to a model that has one")


def test_a_reshape_that_does_not_fit() -> None:
    error = refusal(lambda: Reshape((5, 5))(Input((4, 6))))
    assert "24" in str(error) and "25" in str(error) and "reshape = Reshape(target_shape=(5, 5))" in str(error)


def test_an_unknown_class() -> None:
    says(lambda: deserialize_keras_object({"module": "keras.layers", "class_name": "Densse", "config": {}}),
         UnknownLayerError,
         "'Densse' is not one of keras.layers. Did you mean 'Dense'? "
         "If it is your own, pass custom_objects={'Densse': YourClass}")


def test_an_unknown_argument() -> None:
    says(lambda: Dense(unit=4), ConfigError, "Dense has no argument 'unit'. Did you mean 'units'?")
    says(lambda: Conv2D(4, 3, pading="same"), ConfigError, "Conv2D has no argument 'pading'. Did you mean 'padding'?")
    says(lambda: Dense(), ConfigError, "Dense needs the argument 'units'")
    says(lambda: Dense(4, units=4), ConfigError, "Dense(units=...) is given twice, by position and by name")


def test_conflicting_input_shapes() -> None:
    says(lambda: Dense(4, input_shape=(3,), input_dim=5), ConfigError,
         "Dense is given two input shapes: input_shape means (None, 3), input_dim means (None, 5). Keep one of them")
    assert Dense(4, input_shape=(3,), input_dim=3).input_shape == (None, 3)


def test_bad_types_and_values() -> None:
    says(lambda: Dense("four"), ConfigError, "Dense(units=...) must be an integer, got 'four'")
    says(lambda: Dense(0), ConfigError, "Dense(units=...) must be a positive integer, got 0")
    says(lambda: Dense(4, use_bias="yes"), ConfigError, "Dense(use_bias=...) must be True or False, got 'yes'")
    says(lambda: Conv2D(4, 3, padding="sane"), ConfigError,
         "Conv2D(padding=...) must be one of 'valid', 'same', got 'sane'. Did you mean 'same'?")
    says(lambda: Dense(4, input_shape=3), ConfigError,
         "input_shape must be a tuple of integers and None, got 3; for one axis write (3,)")
    says(lambda: Dense(4, dtype="flaot32"), ConfigError,
         "Dense(dtype=...) must be a dtype or a policy such as 'float32' or 'mixed_float16', got 'flaot32'")
    error = refusal(lambda: Dense(4, activation="rellu"))
    assert "Dense(activation=...)" in str(error) and "Did you mean 'relu'" in str(error)


def test_a_layer_shared_by_inputs_of_different_sizes() -> None:
    dense = Dense(4)
    dense(Input((3,)))
    says(lambda: dense(Input((5,))), ShapeError,
         "dense = Dense(units=4) cannot take (None, 5)",
         "  kernel is (3, 4) since the first call, on (None, 3); this input asks for (5, 4)",
         "  reached by: input_layer (None, 5)",
         "  a layer called twice shares its weights: use two layers, or inputs alike")


def test_models_refuse_what_is_no_tensor() -> None:
    says(lambda: Model((None, 3), Dense(4)), ConfigError,
         "the inputs of a model are symbolic tensors, such as Input(...) gives, got NoneType")
    says(lambda: Sequential([Dense(4), "relu"]), ConfigError,
         "a Sequential model takes layers, got 'relu' of type str")


def test_errors_are_value_errors() -> None:
    """As Keras raises for the same mistakes, so that code that catches them goes on working."""
    assert issubclass(ShapeError, KerashapeError) and issubclass(KerashapeError, ValueError)
    assert kt.errors.UnsafeConfigError.__mro__[1] is ConfigError


def test_weights_that_do_not_fit() -> None:
    import numpy as np

    module = Dense(2, input_shape=(3,)).to_torch()
    error = refusal(lambda: kt.set_keras_weights(module, [np.zeros((2, 3)), np.zeros(2)]))
    assert str(error) == "dense = Dense(units=2, input_shape=(3,)): dense/kernel is (3, 2), got (2, 3)"
    error = refusal(lambda: kt.set_keras_weights(module, [np.zeros((3, 2))]))
    assert str(error) == "the module has 2 Keras weights, got 1 arrays. It has: dense/kernel (3, 2), dense/bias (2)"

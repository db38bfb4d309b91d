"""Each row of the question that this package answers: how input_shape, units and dim relate, and how to see shapes.

The code is what people write for Keras, with ``keras`` replaced in the imports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import kerashape_torch
from kerashape_torch.layers import *  # noqa: F403  as the question's own code does
from kerashape_torch.layers import LSTM, Activation, Conv1D, Conv2D, Dense, Embedding, Input, Lambda
from kerashape_torch.models import Model, Sequential
from kerashape_torch.utils import plot_model


def shapes(model: Model) -> list[Any]:
    return [layer.output_shape for layer in model.layers]


def three_layers_in_sequence() -> Sequential:
    model = Sequential()
    model.add(Dense(units=4, input_shape=(3,)))  # hidden layer 1 with input
    model.add(Dense(units=4))  # hidden layer 2
    model.add(Dense(units=1))  # output layer
    return model


def three_layers_functional() -> Model:
    inp_tensor = Input((3,))
    hidden1_out = Dense(units=4)(inp_tensor)
    hidden2_out = Dense(units=4)(hidden1_out)
    final_out = Dense(units=1)(hidden2_out)
    assert (inp_tensor.shape, hidden1_out.shape, hidden2_out.shape) == ((None, 3), (None, 4), (None, 4))
    return Model(inp_tensor, final_out)


def case_1() -> Sequential:
    model = Sequential()
    model.add(Dense(15, input_shape=(5, 3), activation="relu", kernel_initializer="he_uniform", kernel_regularizer=None,
                    kernel_constraint="MaxNorm"))
    model.add(Dense(32, activation="relu"))
    model.add(Dense(8))
    return model


def case_2() -> Sequential:
    model1 = Sequential()
    model1.add(Dense(15, input_shape=(15,), kernel_initializer="he_uniform", kernel_constraint="MaxNorm",
                     kernel_regularizer=None, activation="relu"))
    model1.add(Dense(32, activation="relu"))
    model1.add(Dense(8))
    return model1


def test_units_fix_the_output_shape() -> None:
    assert Dense(units=4, input_shape=(3,)).output_shape == (None, 4)
    assert Conv2D(filters=7, kernel_size=3, input_shape=(50, 50, 3)).output_shape == (None, 48, 48, 7)


def test_a_shape_says_how_many_elements() -> None:
    from kerashape_torch.shape import count

    assert count((30, 4, 10)) == 1200


def test_the_input_is_a_tensor_not_a_layer() -> None:
    x = Input((3,))
    assert not isinstance(x, kerashape_torch.Layer)
    assert x.shape == (None, 3)
    assert [layer.name for layer in three_layers_in_sequence().layers] == ["dense", "dense_1", "dense_2"]


@pytest.mark.parametrize(("layer", "good", "bad"), [
    (Dense(4), (None, 3), (None,)),
    (Dense(4), (None, 5, 6, 3), ()),
    (Conv2D(4, 3), (None, 50, 50, 3), (None, 50, 3)),
    (Conv2D(4, 3, data_format="channels_first"), (None, 3, 50, 50), (None, 50, 50)),
    (Conv1D(4, 3), (None, 20, 3), (None, 3)),
    (LSTM(4), (None, 20, 3), (None, 3)),
], ids=lambda value: repr(value)[:40])
def test_each_layer_says_which_ranks_it_takes(layer: Any, good: Any, bad: Any) -> None:
    layer.compute_output_shape(good)
    with pytest.raises(kerashape_torch.errors.ShapeError, match="rank"):
        layer.compute_output_shape(bad)


def test_all_other_shapes_follow_from_the_input_shape() -> None:
    for model in (three_layers_in_sequence(), three_layers_functional()):
        assert model.input_shape == (None, 3)
        assert model.output_shape == (None, 1)
        assert shapes(model)[-3:] == [(None, 4), (None, 4), (None, 1)]


def test_without_an_input_shape_the_first_tensor_supplies_it() -> None:
    module = Sequential([Dense(4), Dense(1)]).to_torch()
    assert module(torch.zeros(30, 3)).shape == (30, 1)
    assert module.dense.weight.shape == (4, 3)


def test_a_dense_kernel_has_one_number_for_each_input_and_unit() -> None:
    kernel, bias = three_layers_in_sequence().layers[0].weights
    assert (kernel.name, kernel.shape) == ("kernel", (3, 4))
    assert (bias.name, bias.shape) == ("bias", (4,))
    assert "one number for each of 3 input features and 4 units" in Dense(units=4, input_shape=(3,)).explain()


def test_the_batch_axis_is_left_out_and_shown_as_none() -> None:
    assert Dense(4, input_shape=(50, 50, 3)).input_shape == (None, 50, 50, 3)
    assert Dense(4, batch_input_shape=(30, 50, 50, 3)).input_shape == (30, 50, 50, 3)
    assert Dense(4, batch_shape=(30, 50, 50, 3)).output_shape == (30, 50, 50, 4)
    assert Input(batch_shape=(30, 3)).shape == (30, 3)


def test_real_tensors_carry_the_batch() -> None:
    seen = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape))
        return x * 2

    x = Input((50, 50, 3))
    model = Model(x, Lambda(look)(x))
    assert model.output_shape == (None, 50, 50, 3)
    model.to_torch()(torch.zeros(30, 50, 50, 3))
    assert seen[-1] == (30, 50, 50, 3)


def test_input_dim_is_the_size_of_the_only_axis() -> None:
    model = Sequential()
    model.add(Dense(32, input_dim=784))
    model.add(Activation("relu"))
    assert (model.input_shape, model.output_shape) == ((None, 784), (None, 32))
    assert Dense(4, input_dim=3).input_shape == Dense(4, input_shape=(3,)).input_shape
    assert Input(batch_shape=(25, 10909)).ndim == 2


def test_input_dim_of_a_recurrent_layer_is_the_number_of_features() -> None:
    layer = LSTM(7, input_dim=3, input_length=5)
    assert layer.input_shape == (None, 5, 3)
    assert Embedding(input_dim=1000, output_dim=64, input_length=10).output_shape == (None, 10, 64)
    text = layer.explain()
    assert "features" in text and "steps" in text


def test_models_nest() -> None:
    inner = three_layers_functional()
    x = Input((3,))
    outer = Model(x, Sequential([inner, Dense(2)])(x))
    assert outer.output_shape == (None, 2)
    assert outer.to_torch()(torch.zeros(4, 3)).shape == (4, 2)


@pytest.mark.parametrize(("model", "expected", "kernels"), [
    (case_1(), [(None, 5, 15), (None, 5, 32), (None, 5, 8)], [(3, 15), (15, 32), (32, 8)]),
    (case_2(), [(None, 15), (None, 32), (None, 8)], [(15, 15), (15, 32), (32, 8)]),
], ids=["case 1", "case 2"])
def test_the_two_cases(model: Sequential, expected: list[Any], kernels: list[Any]) -> None:
    assert shapes(model) == expected
    assert [layer.weights[0].shape for layer in model.layers] == kernels
    assert model.to_torch()(torch.zeros(30, *model.input_shape[1:])).shape == (30, *expected[-1][1:])


def test_the_initializer_and_the_constraint_are_used() -> None:
    module = case_2().to_torch()
    weight = module.dense.weight
    assert weight.abs().max() <= (6 / 15) ** 0.5
    optimizer = torch.optim.SGD(module.parameters(), lr=1000.0)
    optimizer.register_step_post_hook(kerashape_torch.constraint_hook(module))
    module(torch.ones(4, 15)).sum().backward()
    optimizer.step()
    assert weight.norm(dim=1).max() <= 2 + 1e-5  # MaxNorm(2) over the kernel's first axis, which is torch's second


def test_plot_model_draws_every_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model1 = case_2()
    plot_model(model1, show_shapes=True)
    assert Path("model.png").read_bytes().startswith(b"\x89PNG")
    plot_model(model1, to_file="model.svg", show_shapes=True)
    assert "(None, 15)" in Path("model.svg").read_text()

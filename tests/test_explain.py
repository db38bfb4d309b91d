"""A layer in words: exact for some layers, and for all the recorded ones the count adds up and nothing fails."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import harness
import pytest
from harness import Case

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.layer import Layer
from kerashape_torch.layers import (
    GRU,
    LSTM,
    Attention,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dot,
    Embedding,
    Identity,
    LSTMCell,
    MultiHeadAttention,
    SeparableConv1D,
)
from kerashape_torch.models import Input, Sequential
from kerashape_torch.reports import explanation
from kerashape_torch.shape_table import shape_table


def by_class() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in harness.layer_cases():
        if harness.known(case) and case["error"] is None and case["class_name"] not in harness.NOT_LAYERS:
            found[case["class_name"]].append(case)
    return found


CASES = by_class()


# ---- every layer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_layer(name: str) -> None:
    for case in CASES[name]:
        layer = harness.make(case)
        assert layer.explain().startswith(f"{layer!r}\n")  # its shape may not be known yet
        output = harness.call(case, layer)
        found = explanation(layer)
        assert found.params == case["trainable_params"] + case["non_trainable_params"]
        fixed = sum(weight.params for weight in found.weights if not weight.trainable)
        assert fixed == case["non_trainable_params"]
        assert [list(weight.shape) for weight in found.weights] == [shape for _, shape, _ in case["weights"]]
        assert harness.plain(found.shapes[-1].shape) == harness.plain(harness.shapes_as_recorded(output))
        assert found.does and "`" not in str(found), case["id"]
        the_arithmetic_is_right(str(found))
        assert json.loads(json.dumps(found.to_dict()))["params"] == found.params


def the_arithmetic_is_right(text: str) -> None:
    """Every ``2 * 3 = 6`` and ``6 + 2 = 8`` in a text, and that each axis of a weight is counted once."""
    for left, right in re.findall(r"((?:[\d,]+ [*+] )+[\d,]+) = ([\d,]+)", text):
        assert eval(left.replace(",", "")) == int(right.replace(",", "")), text
    for shape, sentence in re.findall(r"\((\d[\d, ]*)\) +(one number for each of .*): ", text):
        product = 1
        for size in re.findall(r"\d+", re.sub(r"(\d+) gates \* (\d+)", lambda m: str(int(m[1]) * int(m[2])), sentence)):
            product *= int(size)
        assert product == eval(shape.replace(", ", " * ")), text


# ---- the words -------------------------------------------------------------------------------------------------------


def test_dense() -> None:
    assert Dense(units=4).explain(3) == """\
Dense(units=4)
Weighs the last axis: activation(inputs @ kernel + bias).

units=4           how many numbers come out for each vector that goes in: the size of the last output axis
input_shape=(3,)  the shape of one sample; the batch axis is left out here and is the None below

input   (None, 3)  batch, features
output  (None, 4)  batch, units
kernel  (3, 4)     one number for each of 3 input features and 4 units: 3 * 4 = 12
bias    (4)        one number for each of 4 units: 4
12 + 4 = 16 parameters"""


def test_lstm() -> None:
    """The three numbers that people mix up: units, input_dim, and the number of steps."""
    assert LSTM(units=7, input_shape=(5, 3)).explain() == """\
LSTM(units=7, input_shape=(5, 3))
Long short-term memory: gates i, f, c, o side by side in each weight, and two states, h and c.

units=7             how many numbers the state holds: what comes out for each step; it is not the number of steps
input_shape=(5, 3)  the shape of one sample; the batch axis is left out here and is the None below

input_dim is the number of features in each step, input_length the number of steps.
units is neither: it is the size of the state. No weight depends on the number of steps.

input             (None, 5, 3)  batch, steps, features
output            (None, 7)     batch, units
kernel            (3, 28)       one number for each of 3 input features and 4 gates * 7 units: 3 * 28 = 84
recurrent_kernel  (7, 28)       one number for each of 7 units and 4 gates * 7 units: 7 * 28 = 196
bias              (28)          one number for each of 4 gates * 7 units: 28
84 + 196 + 28 = 308 parameters"""


def test_conv2d() -> None:
    assert Conv2D(64, 3, strides=2, padding="same", use_bias=False).explain((None, None, 512)) == """\
Conv2D(filters=64, kernel_size=3, strides=2, padding='same', use_bias=False)
Slides windows over an image.

filters=64                     how many kernels slide over the input: the number of output channels
kernel_size=3                  the size of the window along each spatial axis
strides=2                      how far the window moves from place to place; larger than 1, it makes the output smaller
padding='same'                 zeros around the input, so that strides alone make it smaller
use_bias=False                 there is no bias to add
input_shape=(None, None, 512)  the shape of one sample; the batch axis is left out here and is the None below

input   (None, None, None, 512)  batch, height, width, channels
output  (None, None, None, 64)   batch, windows down, windows across, filters
kernel  (3, 3, 512, 64)          one number for each of 3 * 3 places in the window, 512 input channels and 64 filters: \
3 * 3 * 512 * 64 = 294,912
294,912 parameters"""


def test_embedding() -> None:
    assert Embedding(input_dim=10, output_dim=4, input_length=5).explain() == """\
Embedding(input_dim=10, output_dim=4, input_length=5)
Looks up a vector of output_dim numbers for each integer below input_dim.

input_dim=10    how many different integers may come in, 0 to 10 - 1: the rows of the table; it is no axis of the input
output_dim=4    how many numbers stand for each entry: the size of the last output axis
input_length=5  the number of steps of a sample

input       (None, 5)     batch, ...
output      (None, 5, 4)  batch, ..., output_dim
embeddings  (10, 4)       one number for each of 10 integers and 4 places of a vector: 10 * 4 = 40
40 parameters"""


def test_batch_normalization() -> None:
    lines = BatchNormalization(input_shape=(8, 8, 3)).explain().splitlines()
    assert lines[-1] == "3 + 3 + 3 + 3 = 12 parameters, 6 of them not trainable"
    assert "moving_variance  (3)              one number for each of 3 channels: 3" in lines


def test_a_shape_that_is_not_known() -> None:
    assert Dense(4, activation="relu").explain() == """\
Dense(units=4, activation='relu')
Weighs the last axis: activation(inputs @ kernel + bias).

units=4            how many numbers come out for each vector that goes in: the size of the last output axis
activation='relu'  the function that each output number goes through

input   (batch, ..., features)
output  (batch, ..., units)
Once the input shape is known, the output shape, every weight shape and the count follow from it."""
    assert explanation(Identity()).to_dict()["params"] is None


def words(layer: Layer, name: str, shape: object = None) -> str:
    """What an explanation says of an argument, a shape or a weight."""
    found = explanation(layer, shape)
    meanings = [x.meaning for x in (*found.arguments, *found.shapes, *found.weights) if x.name == name]
    assert len(meanings) == 1, found
    return meanings[0] or ""


def test_what_depends_on_the_class() -> None:
    assert words(LSTM(7, input_dim=3, input_length=5), "input_dim") == (
        "the number of features in each step. It is not the number of steps: that is input_length")
    assert words(Dense(7, input_dim=3), "input_dim") == (
        "the size of the only axis of a sample: the same as input_shape=(3,)")
    assert "larger" in words(Conv2DTranspose(4, 3, strides=2), "strides").split(", ")[-1]
    assert "cut off" in words(Conv2DTranspose(4, 3, padding="same"), "padding")
    assert words(Attention(dropout=0.5), "dropout") == "the part of the attention that is dropped in training"
    assert words(Concatenate(axis=1), "axis") == (
        "the axis along which the tensors are put together; -1 is the last")
    assert words(Dense(4, kernel_regularizer="l2"), "kernel_regularizer") == "what is added to the loss for the kernel"


def test_weights_of_several_kinds() -> None:
    assert words(GRU(4, input_shape=(5, 3)), "bias") == (
        "one number for each of 2 parts (input and recurrent) and 3 gates * 4 units: 2 * 12 = 24")
    separable = SeparableConv1D(4, 1, depth_multiplier=2, input_shape=(10, 3))
    assert words(separable, "depthwise_kernel") == (
        "one number for each of 1 place in the window, 3 input channels and 2 kernels for each: 1 * 3 * 2 = 6")
    assert words(separable, "pointwise_kernel") == (
        "one number for each of 1 place in the window, 6 depthwise channels and 4 filters: 1 * 6 * 4 = 24")
    both = explanation(Bidirectional(LSTM(4)), (5, 3))
    assert [w.name for w in both.weights][::3] == ["forward_lstm/lstm_cell/kernel", "backward_lstm/lstm_cell/kernel"]


def test_names_of_axes() -> None:
    attention = MultiHeadAttention(2, 3)
    shapes = [(4, 6), (5, 6)]
    assert words(attention, "query", shapes) == "batch, queries, features"
    assert words(attention, "value", shapes) == "batch, keys, features"
    assert words(Attention(), "input", shapes) == "batch, queries, width; batch, keys, features"
    assert words(LSTMCell(4), "states", [(3,), [(4,), (4,)]]) == "batch, units"
    assert words(Dot(axes=1), "output", [(3,), (3,)]) == "batch, 1"
    assert words(Dot(axes=(2, 1)), "output", [(3, 4), (4,)]) == ""  # its other axis is 3: not the (batch, 1) of vectors
    assert words(Conv2D(4, 3, data_format="channels_first"), "output", (3, 8, 8)) == (
        "batch, filters, windows down, windows across")


def test_ways_to_give_the_input_shape() -> None:
    assert words(Dense(4), "input_shape", (None, 3)) == "the input shape with its batch axis"
    assert words(Dense(4), "input_shape", (5, 3)).startswith("the shape of one sample;")
    assert words(Concatenate(), "input_shape", [(5,), (3,)]).startswith("the shapes of one sample of each input;")
    dense = Dense(4, input_shape=(3,))
    dense.explain(5)
    assert dense.input_shape == (None, 3)  # another shape is tried, and the layer is as it was


def test_a_call_says_more_than_the_shapes() -> None:
    x = Input((4, 6))
    attention = MultiHeadAttention(2, 3)
    attention(x, x, return_attention_scores=True)
    assert explanation(attention).shapes[-1].shape == ((None, 4, 6), (None, 2, 4, 4))


def test_a_frozen_layer() -> None:
    assert Dense(4, input_shape=(3,), trainable=False).explain().endswith("16 parameters, 16 of them not trainable")
    assert Dense(1, use_bias=False).explain(1).endswith("\n1 parameter")


def test_a_model_gives_its_table() -> None:
    model = Sequential([Dense(4), Dense(1)])
    assert model.explain((3,)) == str(shape_table(model, (3,)))


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="height: a window of 3"):
        Conv2D(4, 3).explain((2, 2, 1))
    for shape in ("x", 3.5, (3.5,), [(3,), "x"]):
        with pytest.raises(ConfigError, match="input_shape must be a tuple of integers and None"):
            Dense(4).explain(shape)
    with pytest.raises(ShapeError, match="takes inputs, states: got 3 shapes"):
        LSTMCell(4).explain([(3,), (4,), (4,)])

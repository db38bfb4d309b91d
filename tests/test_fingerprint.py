"""Fingerprints of numbers: the same everywhere, changed by what changes a model's numbers, and changing nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.layers import (
    LSTM,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    GlobalAveragePooling2D,
    Input,
    ReLU,
    ZeroPadding2D,
)
from kerashape_torch.models import Model, Sequential
from kerashape_torch.saving import serialize_keras_object
from kerashape_torch.testing.fingerprint import Fingerprint, fingerprint, read

EXAMPLES = Path(__file__).parent.parent / "examples"


def net(*convolutions: Any, dtype: Any = None) -> Sequential:
    return Sequential([Input((16, 16, 3), dtype=dtype), *convolutions, BatchNormalization(name="norm", dtype=dtype),
                       ReLU(dtype=dtype), GlobalAveragePooling2D(dtype=dtype),
                       Dense(4, activation="softmax", name="head", dtype=dtype)], name="net")


KEPT = """\
kerashape values 1
batch 2, 8 of 8 weights seeded
head (2, 4) float32, within 0.0001
  mean 0.25, std 0.1900935, min 0.03984907, max 0.5565954, absmax 0.5565954
  (0, 0) 0.04422851, (0, 1) 0.1403123, (0, 2) 0.5426684, (0, 3) 0.2727909, (1, 0) 0.03984907, (1, 1) 0.1482906, @
""".replace("@", "(1, 2) 0.5565954, (1, 3) 0.2552648")


def test_the_same_on_every_machine() -> None:
    found = fingerprint(net(Conv2D(8, 3, strides=2, padding="same", name="conv")))
    kept = read(KEPT)
    assert found.made_with == kept.made_with and str(kept) == KEPT.strip()
    assert not kept.moved_to(found) and not found.moved_to(kept)
    assert str(read(str(found))) == str(found)


def test_a_shift_is_caught() -> None:
    """Where the stride is 2, ``same`` pads right and bottom first; a layer before a ``valid`` window, what it is told:
    after each, all shapes are the same."""
    same = fingerprint(net(Conv2D(8, 3, strides=2, padding="same", name="conv")))
    padded = fingerprint(net(ZeroPadding2D(1), Conv2D(8, 3, strides=2, name="conv")))
    alike = fingerprint(net(ZeroPadding2D(((0, 1), (0, 1))), Conv2D(8, 3, strides=2, name="conv")))
    assert not same.moved_to(alike)
    moved = same.moved_to(padded).splitlines()
    assert moved[0].startswith("output head (2, 4): ") and moved[0].endswith("(0.0001 of the largest)")
    assert len(moved) > 5 and all(" -> " in line for line in moved[1:])


def test_a_new_layer_leaves_the_weights_of_others_alone() -> None:
    x = Input((5,), name="x")
    y = Dense(4, name="a")(x)
    short = Model(x, y, name="short")
    longer = Model(x, [y, Dense(3, name="b")(Dense(6, name="c")(x))], name="longer")
    assert fingerprint(short).outputs[0] == fingerprint(longer).outputs[0]
    assert fingerprint(short).moved_to(fingerprint(longer)) == "outputs: a -> a, b"


def test_weights_of_a_file_count() -> None:
    assert fingerprint(EXAMPLES / "unet.keras").made_with == "batch 2, 0 of 56 weights seeded"


class Loud(nn.Module):
    """Counts its calls, draws random numbers, and has a part that is kept in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.part, self.frozen, self.noise = nn.Linear(3, 4), nn.BatchNorm1d(4).eval(), nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.noise(self.frozen(self.part(x))) + torch.rand(4) + self.calls


def test_nothing_is_changed_by_it() -> None:
    torch.manual_seed(3)
    module = Loud()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first, second = fingerprint(module, 3), fingerprint(module, (None, 3))
    fingerprint(Sequential([Input((4,)), Dropout(0.5), GaussianNoise(1.0), Dense(3)]))
    assert first == second and float(module.calls) == 0
    assert (module.training, module.frozen.training, module.noise.training) == (True, False, True)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


def test_inputs_are_what_the_model_takes() -> None:
    text = Sequential([Input((7,), dtype="int32"), Embedding(11, 4, name="table"), LSTM(3, name="lstm")])
    assert fingerprint(text).outputs[0].shape == "(2, 3)"
    module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2))
    assert fingerprint(module, (None, 6)).outputs[0].shape == "(2, 6, 2)"
    assert fingerprint(text.to_torch()).made_with == "batch 2, weights as they are"
    assert fingerprint(Dense(2, name="d"), (None, 3)).outputs[0].name == "d"
    assert fingerprint(Sequential([Dense(2, name="d")]), 3).outputs[0].shape == "(2, 2)"
    assert fingerprint(serialize_keras_object(net(Conv2D(2, 3)))).outputs[0].shape == "(2, 4)"


class Two(nn.Module):
    """Takes tensors of two dtypes, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)

    def forward(self, values: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return self.table(ids) + values


def test_inputs_of_a_module_by_name_and_dtype() -> None:
    by_place = fingerprint(Two(), [(None, 3), (None,)]).outputs[0].shape
    assert by_place == "(2, 3)" and fingerprint(Two(), [(3,), ()], ["float32", "int64"]).outputs[0].shape == by_place
    torch.manual_seed(0)
    module = Two()
    named = fingerprint(module, {"values": (None, 3), "ids": (None,)}, {"values": "float32", "ids": "int64"})
    assert named.outputs[0].shape == by_place and named == fingerprint(
        module, {"ids": (None,), "values": (None, 3)}, {"ids": "int64", "values": "float32"})


@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-8), ("float32", 1e-4), ("float16", 5e-3),
                                               ("bfloat16", 4e-2), ("mixed_float16", 5e-3)])
def test_the_coarsest_dtype_says_how_near(dtype: str, within: float) -> None:
    found = fingerprint(Sequential([Input((3,)), Dense(4, dtype=dtype), Dense(2, name="out", dtype="float32")]))
    assert found.outputs[0].within == max(within, 1e-4)
    module = nn.Linear(3, 2).to(getattr(torch, dtype.removeprefix("mixed_")))
    assert fingerprint(module, 3).outputs[0].within == within


def test_integers_and_odd_numbers() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return {"b": x.argmax(-1), "a": [x / 0, x.bool(), x[:0], torch.complex(x, x)]}

    found = fingerprint(Odd(), 3)
    assert [(x.dtype, x.within) for x in found.outputs] == [
        ("float32", 1e-4), ("bool", 0), ("float32", 1e-4), ("complex64", 1e-4), ("int64", 0)]
    assert not found.moved_to(read(str(found))) and found.outputs[0].numbers["max"] == float("inf")


def test_what_cannot_be_run() -> None:
    with pytest.raises(KerashapeError, match="net has no input shape, so it cannot be run: give input_shape"):
        fingerprint(Sequential([Dense(2)], name="net"))
    with pytest.raises(KerashapeError, match="Linear knows no shapes by itself: give input_shape"):
        fingerprint(nn.Linear(3, 2))
    with pytest.raises(KerashapeError, match="Linear fails on made-up inputs: "):
        fingerprint(nn.Linear(3, 2), 4)


@pytest.mark.parametrize(("old", "new", "line"), [("values 1", "values 2", 7), ("mean ", "mean x", 10),
                                                  ("within", "near", 9), ("head (2, 4)", "head", 9),
                                                  ("(0, 0) ", "(0, 0)", 11)])
def test_a_spoilt_text_names_its_line(old: str, new: str, line: int) -> None:
    text = str(fingerprint(net(Conv2D(8, 3))))
    assert isinstance(read(text), Fingerprint) and old in text
    with pytest.raises(ConfigError, match=rf"^net\.txt, line {line}: "):
        read(text.replace(old, new, 1), "net.txt", 7)

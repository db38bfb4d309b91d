"""The summary is Keras' table: recorded ones line by line, and live ones for every option."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from harness import MODEL_LAMBDAS

import kerashape_torch
from kerashape_torch.errors import ConfigError
from kerashape_torch.models import Model, Sequential
from kerashape_torch.reports import print_summary
from kerashape_torch.shape_table import shape_table

DATA = Path(__file__).parent / "data" / "functional"


def text_of(model: Any, **options: Any) -> list[str]:
    printed: list[str] = []
    (print_summary if isinstance(model, Model) else type(model).summary)(model, print_fn=printed.append, **options)
    return [line.rstrip() for line in "\n".join(printed).strip().splitlines()]


def recorded(name: str) -> Model:
    config = json.loads((DATA / f"{name}.json").read_text())
    cls = Sequential if config["class_name"] == "Sequential" else Model
    return cls.from_config(config["config"], custom_objects=MODEL_LAMBDAS.get(name))


# Of a quantized model Keras counts integers and scales, where a model here has floats: see test_quantized.
@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".summary.txt") for path in DATA.glob("*.summary.txt")
                                        if "quantized" not in path.name))
def test_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    expected = (DATA / f"{name}.summary.txt").read_text().strip().splitlines()
    assert text_of(recorded(name), line_length=100, expand_nested=True) == [line.rstrip() for line in expected]


# ---- live ------------------------------------------------------------------------------------------------------------


def chain(lib: Any) -> Any:
    layers = lib.layers
    return lib.Sequential([lib.Input((8, 8, 3)),
                           layers.Conv2D(4, 3, name="a_very_long_name_that_needs_two_lines_at_least"),
                           layers.BatchNormalization(), layers.Flatten(), layers.Dense(10, activation="softmax")],
                          name="chain")


def unbuilt(lib: Any) -> Any:
    """Of layers without weights Keras says 0 for some and 0 (unbuilt) for others, such as Flatten; we say 0."""
    return lib.Sequential([lib.layers.Dense(4), lib.layers.Activation("relu"), lib.layers.BatchNormalization()],
                          name="unbuilt")


def empty(lib: Any) -> Any:
    return lib.Sequential(name="empty")


def branches(lib: Any) -> Any:
    layers = lib.layers
    a, b = lib.Input((4,), name="a"), lib.Input((None, 4), name="b", dtype="float16")
    shared = layers.Dense(6, name="shared", trainable=False)
    steps = layers.LSTM(6, return_sequences=True, return_state=True, name="steps")(shared(b))
    joined = layers.Concatenate(name="joined")([shared(a), steps[1], steps[2]])
    return lib.Model({"a": a, "b": b}, {"x": layers.Dropout(0.5, name="drop")(joined), "y": steps[0]}, name="branches")


def nested(lib: Any) -> Any:
    layers = lib.layers
    x = lib.Input((5,), name="x")
    inner = lib.Model(x, [layers.Dense(3, name="p")(x), layers.Dense(4, name="q")(x)], name="inner")
    tail = lib.Sequential([layers.Dense(2, name="r"), lib.Sequential([layers.Dense(2, name="s")], name="deep")],
                          name="tail")
    y = lib.Input((5,), name="y")
    p, q = inner(y)
    return lib.Model(y, [tail(layers.Concatenate(name="joined")([p, q])), inner(layers.ReLU(name="again")(y))[0]],
                     name="outer")


def frozen(lib: Any) -> Any:
    base = lib.Sequential([lib.Input((5,)), lib.layers.Dense(4, name="b1"), lib.layers.BatchNormalization(name="b2")],
                          name="base")
    base.trainable = False
    return lib.Sequential([lib.Input((5,)), base, lib.layers.Dense(3, name="mid", dtype="mixed_float16")], name="top")


def all_frozen(lib: Any) -> Any:
    model = chain(lib)
    model.trainable = False
    return model


def reused(lib: Any) -> Any:
    """A layer that two nested models share, and that an earlier model has called."""
    x, dense = lib.Input((3,), name="x"), lib.layers.Dense(3, name="dense")
    lib.Model(x, dense(x), name="earlier")
    one, two = (lib.Sequential([lib.Input((3,)), dense], name=name) for name in ("one", "two"))
    return lib.Model(x, two(one(x)), name="reused")


def one_layer(lib: Any) -> Any:
    x = lib.Input(batch_shape=(30, 2, 3), name="x")
    return lib.Model(x, lib.layers.Dense(100000, name="wide")(x), name="one_layer")


@pytest.mark.parametrize("make", [chain, unbuilt, empty, branches, nested, frozen, all_frozen, reused, one_layer])
def test_live(make: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    keras.backend.clear_session(free_memory=False)
    ours, theirs = make(kerashape_torch), make(keras)
    for columns in ("200", "90"):
        monkeypatch.setenv("COLUMNS", columns)
        for options in ({}, {"expand_nested": True}, {"show_trainable": True}, {"line_length": 70},
                        {"line_length": 160, "expand_nested": True, "show_trainable": True}):
            assert text_of(ours, **options) == text_of(theirs, **options), options


@pytest.mark.parametrize("options", [
    {"positions": [0.3, 0.6, 1.0]}, {"positions": [0.2, 0.5, 0.8, 1.0]}, {"layer_range": ["shared", "joined"]},
    {"layer_range": ["joined", "shared"]}, {"layer_range": ["j", "d.*"]},
], ids=str)
def test_live_positions_and_ranges(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    make = chain if len(options.get("positions", ())) == 3 else branches
    keras.backend.clear_session(free_memory=False)
    assert text_of(make(kerashape_torch), **options) == text_of(make(keras), **options)


def test_a_range_keeps_what_is_nested() -> None:
    lines = "\n".join(text_of(nested(kerashape_torch), layer_range=["tail", "tail"], expand_nested=True))
    assert "└ r (Dense)" in lines and "└ s (Dense)" in lines and "joined (" not in lines


@pytest.mark.parametrize(("options", "message"), [
    ({"layer_range": ["nope", "dense"]}, "matches no layers; they are: a_very_long"),
    ({"layer_range": ["dense"]}, "two names"),
    ({"line_length": 8}, "too short"),
])
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        text_of(chain(kerashape_torch), **options)


def test_it_prints_on_a_terminal_without_print_fn(capsys: pytest.CaptureFixture[str]) -> None:
    chain(kerashape_torch).summary()
    assert 'Model: "chain"' in capsys.readouterr().out


def test_names_are_not_markup() -> None:
    """Keras swallows a name in brackets where it says what a layer is connected to."""
    x = kerashape_torch.Input((3,), name="[bold]")
    y = kerashape_torch.Input((3,), name="y")
    lines = "\n".join(text_of(Model([x, y], kerashape_torch.layers.Add(name="[i]")([x, y]), name="[red]m")))
    assert all(text in lines for text in ('Model: "[red]m"', "[bold] (InputLayer)", "[bold][0][0]", "[i] (Add)"))


def test_a_table_is_enough() -> None:
    printed: list[str] = []
    print_summary(shape_table(unbuilt(kerashape_torch), (3,)), print_fn=printed.append)
    assert "(None, 4)" in printed[0] and "unbuilt)" not in printed[0]

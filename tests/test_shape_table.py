"""The rows of a shape table: of models, layers, files and torch modules; their sums, their JSON and their diffs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import torch
from torch import nn

from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layers import (
    LSTM,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    LSTMCell,
    ReLU,
)
from kerashape_torch.models import Input, Model, Sequential
from kerashape_torch.saving import load_model
from kerashape_torch.shape_table import Connection, ShapeTable, Weight, shape_table

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = [*sorted((harness.DATA / "functional").glob("*.keras")), *sorted(EXAMPLES.glob("*.keras"))]


def small() -> Sequential:
    return Sequential([Dense(4, name="one"), BatchNormalization(name="norm"), Dense(1, name="two")], name="small")


def branched() -> Model:
    """Two inputs, two outputs, a shared layer, and a nested model that is called twice."""
    x = Input((5,), name="x")
    inner = Model(x, [Dense(3, name="p")(x), Dense(4, name="q")(x)], name="inner")
    a, b, shared = Input((5,), name="a"), Input((5,), name="b"), Dense(5, name="shared")
    p, q = inner(shared(a))
    return Model([a, b], [Concatenate(name="joined")([p, q]), inner(shared(b))[0]], name="outer")


# ---- models ----------------------------------------------------------------------------------------------------------


def test_a_model() -> None:
    table = shape_table(small(), (3,))
    assert str(table) == """\
small: (None, 3) -> (None, 1), 37 parameters, 8 of them not trainable
layer  class               input      output     weights                                                    params
one    Dense               (None, 3)  (None, 4)  kernel (3, 4), bias (4)                                        16
norm   BatchNormalization  (None, 4)  (None, 4)  gamma (4), beta (4), moving_mean (4), moving_variance (4)      16
two    Dense               (None, 4)  (None, 1)  kernel (4, 1), bias (1)                                         5"""
    assert table["one"].weights == [Weight("kernel", (3, 4)), Weight("bias", (4,))]
    assert (len(table), table[0].name, table[-1].params, repr(table)) == (3, "one", 5, "<ShapeTable of small: 3 rows>")
    with pytest.raises(KeyError, match=r"no row 'tow'\. Did you mean 'two'\?"):
        table["tow"]


def test_several_inputs_and_outputs_shared_and_nested() -> None:
    model = branched()
    table = shape_table(model)
    assert str(table) == """\
outer: [(None, 5), (None, 5)] -> [(None, 7), (None, 3)], 72 parameters
layer   class        input                   output                  weights                  params
a       InputLayer   (None, 5)               (None, 5)               -                             0
shared  Dense        (None, 5)               (None, 5)               kernel (5, 5), bias (5)      30
b       InputLayer   (None, 5)               (None, 5)               -                             0
inner   Functional   (None, 5)               [(None, 3), (None, 4)]  -                            42
  x     InputLayer   (None, 5)               (None, 5)               -                             0
  p     Dense        (None, 5)               (None, 3)               kernel (5, 3), bias (3)      18
  q     Dense        (None, 5)               (None, 4)               kernel (5, 4), bias (4)      24
joined  Concatenate  [(None, 3), (None, 4)]  (None, 7)               -                             0"""
    assert table.params == model.count_params() == 72
    assert table["shared"].connected_to == (Connection("a"), Connection("b"))
    assert list(map(str, table["joined"].connected_to)) == ["inner[0][0]", "inner[0][1]"]
    assert [row.name for row in table.without_nested()] == ["a", "shared", "b", "inner", "joined"] and len(table) == 8


@pytest.mark.parametrize("shape", [3, (3,), (None, 3), [3], np.zeros((2, 3)).shape[1:]], ids=repr)
def test_the_batch_axis_may_be_left_out(shape: Any) -> None:
    assert shape_table(small(), shape).input_shape == (None, 3)


def test_another_input_shape_leaves_the_model_as_it_is() -> None:
    model = small()
    assert shape_table(model, (7, 3))["one"].output_shape == (None, 7, 4) and not model.built
    images = Sequential([Conv2D(4, 3, input_shape=(None, None, 3), name="c"), GlobalAveragePooling2D()])
    assert shape_table(images)["c"].output_shape == (None, None, None, 4)
    assert shape_table(images, (32, 32, 3))["c"].output_shape == (None, 30, 30, 4)
    assert images.input_shape == (None, None, None, 3)
    with pytest.raises(ShapeError, match="axis 3 of input 'input_layer' is 3, got 1"):
        shape_table(images, (32, 32, 1))


def test_a_model_without_a_shape() -> None:
    table = shape_table(small())
    assert str(table).startswith("small: ? -> ?, ? parameters\n")
    assert {row.params for row in table} == {None} and table.input_shape is None


def test_layers() -> None:
    assert [row.name for row in shape_table(Dense(4, name="d"), 3)] == ["input_layer", "d"]
    assert shape_table(Dense(4, input_shape=(3,))).params == 16
    cell = shape_table(LSTMCell(4, name="cell"), [(3,), [(4,), (4,)]])
    assert (cell["cell"].output_shape, cell.params) == ([(None, 4), [(None, 4), (None, 4)]], 128)
    with pytest.raises(ShapeError, match="is not known yet"):
        shape_table(Dense(4))


def test_refusals() -> None:
    for wrong in (3, None, [Dense(4)], Dense):
        with pytest.raises(KerashapeError, match="takes a model, a layer, a file or a torch module, got"):
            shape_table(wrong)
    for shape in ("x", 3.5, [(3,), "x"]):
        with pytest.raises(ConfigError, match="input_shape must be a tuple of integers and None"):
            shape_table(small(), shape)


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_add_up(path: Path) -> None:
    functions = harness.MODEL_LAMBDAS.get(path.stem)  # which a file only names
    table = shape_table(load_model(path, functions) if functions else path)
    summary = path.with_suffix(".summary.txt")
    if summary.exists() and "quantized" not in path.stem:  # of which Keras counts the scales too
        total = next(line for line in summary.read_text().splitlines() if "Total params" in line)
        assert f"{table.params:,}" == total.split(":")[1].split("(")[0].strip()
    for row in table:  # where nothing is nested, a row is the sum of its weights
        if row.class_name not in ("Functional", "Sequential"):
            assert row.params == sum(weight.size for weight in row.weights)
    assert table.params == table.trainable.params + table.non_trainable.params
    assert json.loads(table.to_json()) == harness.plain(table.to_dict())


def test_no_torch_for_models_and_files() -> None:
    code = f"""
import sys
from kerashape_torch import shape_table
from kerashape_torch.layers import Dense
from kerashape_torch.models import Sequential
table = shape_table({str(FILES[-1])!r})
print(table.diff(shape_table(Sequential([Dense(4)]), 3)))
assert not {{"torch", "h5py"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# ---- as data ---------------------------------------------------------------------------------------------------------


def test_to_json() -> None:
    found = json.loads(shape_table(branched()).to_json(indent=2))
    assert (found["input_shape"], found["output_shape"]) == ([[None, 5], [None, 5]], [[None, 7], [None, 3]])
    assert (found["params"], found["trainable_params"], found["non_trainable_params"]) == (72, 72, 0)
    assert found["layers"][5] == {
        "name": "p", "class_name": "Dense", "input_shape": [None, 5], "output_shape": [None, 3],
        "weights": [{"name": "kernel", "shape": [5, 3], "trainable": True, "dtype": "float32"},
                    {"name": "bias", "shape": [3], "trainable": True, "dtype": "float32"}],
        "params": 18, "trainable": True, "connected_to": ["x[0][0]"], "depth": 1}


def test_diff() -> None:
    before = shape_table(small(), 3)
    assert not before.diff(shape_table(small(), 3)) and str(before.diff(before)) == "no difference"
    after = shape_table(Sequential([Dense(4, use_bias=False, name="one"), ReLU(name="act"),
                                    Dense(1, name="two", trainable=False)]), 5)
    diff = before.diff(after)
    assert str(diff) == """\
small -> sequential: the model's input changed, 2 layers changed, 1 added, 1 removed

~ the model
    input  (None, 3)  ->  (None, 5)
                  ^              ^

~ one (Dense)
    kernel  (3, 4)  ->  (5, 4)
             ^           ^
    bias    (4)     ->  nothing

- norm  (BatchNormalization)  (None, 4)  -> (None, 4)  16 params
    between one and two

+ act  (ReLU)  (None, 4)  -> (None, 4)
    between one and two

~ two (Dense)
    trainable  yes  ->  no

params         37 -> 25 (-12)
trainable      29 -> 20 (-9)
non-trainable  8 -> 5 (-3)"""
    assert diff and list(diff.removed) == ["norm"]
    assert diff.changed["one"][0] == ("input", "(None, 3)", "(None, 5)")


def test_diff_of_nested_layers_names_the_way_there() -> None:
    def table(units: int) -> ShapeTable:
        inner = Sequential([Input((3,)), Dense(units, name="dense")], name="inner")
        return shape_table(Sequential([Input((3,)), inner], name="outer"))

    assert list(table(4).diff(table(5)).changed) == ["inner", "inner/dense"]


# ---- torch modules ---------------------------------------------------------------------------------------------------


def test_a_compiled_model() -> None:
    model = Sequential([Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3), name="conv"),
                        BatchNormalization(name="bn"), Flatten(name="flat"), Dense(2, name="dense")], name="net")
    table = shape_table(model.to_torch())
    assert [(row.name, row.class_name, row.output_shape, row.params) for row in table] == [
        ("conv", "Conv2d", (None, 6, 6, 4), 112), ("relu", "relu", (None, 6, 6, 4), 0),
        ("bn", "BatchNorm2d", (None, 6, 6, 4), 16), ("flat", "Flatten", (None, 144), 0),
        ("dense", "Linear", (None, 2), 290)]
    assert (table.params, table.non_trainable.params) == (model.count_params(), model.count_params(trainable=False))
    assert (table.input_shape, table.output_shape) == ((None, 8, 8, 3), (None, 2))
    assert table["conv"].weights[0] == Weight("weight", (4, 3, 3, 3))  # as torch has it


def test_a_compiled_model_with_shared_layers() -> None:
    model = branched()
    table = shape_table(model.to_torch())
    assert table.params == model.count_params()
    assert [row.name for row in table].count("inner.p") == 2
    assert table.output_shape == [(None, 7), (None, 3)]


def test_any_module() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    assert str(shape_table(net, (3, 8, 8))) == """\
Sequential: (None, 3, 8, 8) -> (None, 2), 418 parameters, 8 of them not trainable
layer  class        input            output           weights                                                  params
0      Conv2d       (None, 3, 8, 8)  (None, 4, 6, 6)  weight (4, 3, 3, 3), bias (4)                               112
1      BatchNorm2d  (None, 4, 6, 6)  (None, 4, 6, 6)  weight (4), bias (4), running_mean (4), running_var (4)      16
2      Flatten      (None, 4, 6, 6)  (None, 144)      -                                                             0
3      Linear       (None, 144)      (None, 2)        weight (2, 144), bias (2)                                   290"""
    assert not any(part._forward_hooks for part in net.modules()) and int(net[1].num_batches_tracked) == 0


@pytest.mark.parametrize(("module", "shape", "output"), [
    (nn.Linear(3, 4), 3, (None, 4)),
    (nn.Embedding(10, 4), (5,), (None, 5, 4)),
    (nn.LSTM(3, 4, batch_first=True), (None, None, 3), [(None, None, 4), (1, None, 4), (1, None, 4)]),
], ids=["Linear", "Embedding", "LSTM"])
def test_one_module_is_one_row(module: nn.Module, shape: Any, output: Any) -> None:
    row, = shape_table(module, shape)
    assert (row.name, row.output_shape) == (type(module).__name__, output)
    assert row.params == sum(parameter.numel() for parameter in module.parameters())


class Tied(nn.Module):
    """Has a parameter of its own, a part whose parts do not run by themselves, and one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 10, bias=False)
        self.head.weight = self.embed.weight
        self.start = nn.Parameter(torch.zeros(8))

    def forward(self, x: torch.Tensor) -> Any:
        y = self.embed(x) + self.start
        return self.head(self.attend(y, y, y)[0])


def test_every_parameter_of_a_module_counts_once() -> None:
    module = Tied()
    table = shape_table(module, (None, 5))
    assert table.params == sum(parameter.numel() for parameter in module.parameters())
    assert {row.name: row.params for row in table} == {"embed": 80, "attend": 288, "head": 80, "Tied": 8}
    assert table["attend"].weights[-1] == Weight("out_proj.bias", (8,))
    twice = nn.Linear(4, 4)
    assert [row.params for row in shape_table(nn.Sequential(twice, nn.ReLU(), twice), 4)] == [20, 0]


def test_modules_that_have_no_table() -> None:
    with pytest.raises(KerashapeError, match=r"Linear knows no shapes by itself: shape_table\(module, input_shape\)"):
        shape_table(nn.Linear(3, 4))
    with pytest.raises(ShapeError, match=r"Linear cannot take \(None, 5\)\n  .*5.*3"):
        shape_table(nn.Linear(3, 4), (5,))
    with pytest.raises(KerashapeError, match="a lazy module has no shapes before its first call"):
        shape_table(LSTM(7).to_torch())
    assert shape_table(Sequential([Embedding(10, 4), LSTM(2)]), (5,)).params == 40 + 8 * (4 + 2 + 1)

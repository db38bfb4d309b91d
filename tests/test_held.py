"""What a shape table can be had of: any torch module, at several sizes and without memory; configs; live Keras."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import harness
import keras
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

from kerashape_torch import load_model, shape_table
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.structure import flatten

# ---- a ResNet-50 in plain torch --------------------------------------------------------------------------------------


class Bottleneck(nn.Module):
    def __init__(self, taken: int, width: int, stride: int) -> None:
        super().__init__()
        given = 4 * width
        self.conv1 = nn.Conv2d(taken, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, given, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(given)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None
        if stride != 1 or taken != given:
            self.shortcut = nn.Sequential(nn.Conv2d(taken, given, 1, stride, bias=False), nn.BatchNorm2d(given))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.shortcut is None else self.shortcut(x)
        return self.relu(y)


class ResNet50(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
                                  nn.MaxPool2d(3, 2, 1))
        taken = 64
        for i, (width, depth) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], 1):
            blocks = []
            for j in range(depth):
                blocks.append(Bottleneck(taken, width, 2 if i > 1 and j == 0 else 1))
                taken = 4 * width
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(taken, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


@functools.cache
def resnet50() -> ResNet50:
    return ResNet50()


class RealTensors(TorchDispatchMode):
    """Notes the size of each tensor with data that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        self.calls += 1
        self.sizes += [x.numel() for x in flatten(result) if isinstance(x, Tensor) and x.device.type != "meta"]
        return result


def test_resnet50() -> None:
    net = resnet50()
    with RealTensors() as made:
        table = shape_table(net, (None, 3, None, None))
    assert made.calls > 500 and max(made.sizes, default=0) <= 1000
    assert (table.params, table.trainable.params) == (25_610_152, 25_557_032)
    assert (table.input_shape, table.output_shape) == ((None, 3, None, None), (None, 1000))
    assert table["layer1.0.shortcut.1"].output_shape == (None, 256, None, None)
    whole = shape_table(net, (3, 224, 224))
    assert [row.name for row in whole] == [row.name for row in table] and len(whole) == 125
    assert whole["layer4.2.conv2"][2:4] == ((None, 512, 7, 7), (None, 512, 7, 7))
    assert net.training and not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_connections_go_through_functions_and_in_place_sums() -> None:
    table = shape_table(resnet50(), (3, 224, 224))
    assert [str(each) for each in table["layer1.0.shortcut.0"].connected_to] == ["stem.3[0][0]"]
    assert [str(each) for each in table["layer1.0.relu"].connected_to] == [
        "layer1.0.bn1[0][0]", "layer1.0.bn2[0][0]", "layer1.0.bn3[0][0]", "layer1.0.shortcut.1[0][0]"]
    assert [str(each) for each in table["layer1.1.conv1"].connected_to] == ["layer1.0.relu[2][0]"]
    assert [str(each) for each in table["fc"].connected_to] == ["layer4.2.relu[2][0]"]


# ---- forms of modules ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Output:
    logits: Tensor
    states: tuple[Any, ...]


class Words(nn.Module):
    """Arguments by name, positions made on the way, containers, functional weights, a part that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.place = nn.Embedding(77, 4)
        self.unused = nn.Linear(3, 3)
        self.weights_only = nn.Linear(4, 4, bias=False)
        self.blocks = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
        self.blocks["b"].weight = self.blocks["a"].weight
        self.seen: list[Tensor] = []
        self.register_buffer("causal", torch.ones(77, 77).tril(), persistent=True)

    def forward(self, ids: Tensor, *, mask: Tensor | None = None, **_: Any) -> Output:
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1]))
        self.seen.append(x)
        x = F.linear(x, self.weights_only.weight)
        for block in self.blocks.values():
            x = block(x)
        x = x * self.causal[:ids.shape[1], :1].to("cuda")
        if mask is not None:
            x = x.masked_fill(mask[..., None] == 0, 0.0)
        return Output(x.cpu().mean(1), (x, collections.OrderedDict(last=x[:, -1])))


def test_arguments_by_name_and_outputs_of_any_form() -> None:
    module = Words().half()
    table = shape_table(module, {"ids": (None, None), "mask": (None, None)})
    assert table.input_shape == [(None, None), (None, None)]
    assert table.output_shape == {"logits": (None, 4), "states": [(None, None, 4), {"last": (None, 4)}]}
    assert {row.name: row.output_shape for row in table if row.name != "Words"} == {
        "embed": (None, None, 4), "place": (None, 4), "blocks.a": (None, None, 4), "blocks.b": (None, None, 4),
        "unused": None}
    assert [weight.name for weight in table["Words"].weights] == ["causal", "weights_only.weight"]
    assert [weight.dtype for weight in table["embed"].weights] == ["float16"]
    assert table.params == sum(x.numel() for x in (*module.parameters(), *module.buffers()))
    assert module.seen == [] and module.training


@pytest.mark.parametrize("dtype", ["int32", torch.int64, {"ids": "int64", "mask": "bool"}, ["int64", "half"]],
                         ids=str)
def test_dtypes_may_be_said(dtype: Any) -> None:
    shapes = {"ids": (None, None), "mask": (None, None)}
    assert shape_table(Words().half(), shapes, input_dtype=dtype)["place"].input_shape == (None,)


def test_dtypes_that_are_none() -> None:
    with pytest.raises(ConfigError, match="input_dtype must be a dtype of torch, such as 'int64', got 'word'"):
        shape_table(Words(), (None, None), input_dtype="word")
    with pytest.raises(ConfigError, match="input_dtype has 2 dtypes for 1 inputs"):
        shape_table(Words(), (None, None), input_dtype=["int64", "bool"])


class OfList(nn.Module):
    def forward(self, xs: list[Tensor]) -> Tensor:
        return torch.cat(xs, 1)


class OfDict(nn.Module):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["a"] + batch["b"]


class Sides(nn.Module):
    """Height and width are different axes."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x.flatten(2), x.transpose(2, 3), x[:, :, :5], F.pad(x, (0, max(0, 128 - x.shape[-1])))]


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        side = int(x.shape[1] ** 0.5)
        return x.reshape(-1, side, side, x.shape[2])[:, :, :, :2]


class Sevens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] % 7:
            raise ValueError("the steps come in weeks")
        return x.unflatten(1, (-1, 7))


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, 2))


LSTM = nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
BOTH = {"query": (None, None, 8), "key": (None, None, 8), "value": (None, None, 8)}


@pytest.mark.parametrize(("module", "shape", "output"), [
    (LSTM, (None, None, 3), [(None, None, 8), (4, None, 4), (4, None, 4)]),
    (nn.GRU(3, 4), [(None, None, 3), (1, None, 4)], [(None, None, 4), (1, None, 4)]),
    (nn.RNN(3, 4, batch_first=True), (7, 3), [(None, 7, 4), (1, None, 4)]),
    (nn.MultiheadAttention(8, 2, batch_first=True), BOTH, [(None, None, 8), (None, None, None)]),
    (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (None, None, 8), (None, None, 8)),
    (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), [(None, None, 8), (None, 5, 8)], (None, 5, 8)),
    (nn.Bilinear(3, 4, 5), [(3,), (4,)], (None, 5)),
    (nn.Conv2d(3, 4, 3), (1, 3, 8, 8), (1, 4, 6, 6)),
    (OfList(), [(3,), (4,)], (None, 7)),
    (OfDict(), {"a": (None, 3), "b": (None, 3)}, (None, 3)),
    (Sides(), (1, None, None), [(None, 1, None), (None, 1, None, None), (None, 1, None, None), (None, 1, None, None)]),
    (Square(), (None, None, 3), (None, None, None, 2)),
    (Sevens(), (None, None, 3), (None, None, 7, 3)),
    (Halves(), (3,), (None, 2, 3)),
], ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "")
def test_outputs(module: nn.Module, shape: Any, output: Any) -> None:
    assert shape_table(module, shape).output_shape == output


def test_each_axis_is_free_by_itself() -> None:
    assert shape_table(Sides(), (1, 8, None)).output_shape == [
        (None, 1, None), (None, 1, None, 8), (None, 1, 5, None), (None, 1, 8, None)]
    assert shape_table(Sides(), (1, None, 8)).output_shape == [
        (None, 1, None), (None, 1, 8, None), (None, 1, None, 8), (None, 1, None, 128)]


def test_weights_that_are_made_of_others_are_the_parts() -> None:
    net = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.utils.spectral_norm(nn.Linear(4, 4)))
    table = shape_table(net, 3)
    assert [(row.name, row.class_name) for row in table] == [("0", "Linear"), ("1", "Linear")]
    assert [weight.name for weight in table["0"].weights] == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert table.params == 4 + 4 + 12 + 4 + 16 + 4 + 4


def test_a_part_that_is_called_again_shows_its_last_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.MaxPool1d(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.pool(self.pool(x))

    row, = shape_table(Twice(), (3, 8))
    assert (row.input_shape, row.output_shape) == ((None, 3, 4), (None, 3, 2))
    assert [str(each) for each in row.connected_to] == ["pool[0][0]"]


# ---- what cannot be seen ---------------------------------------------------------------------------------------------


class Gate(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 4, 3)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        if self.kind == "if" and x.sum() > 0:
            x = x * 2
        if self.kind == "item":
            x = x[:, :int(x[0, 0, 0, 0].item())]
        if self.kind == "nonzero":
            x = x.nonzero()
        if self.kind == "mask":
            x = x[x > 0]
        if self.kind == "numpy":
            x = torch.tensor(x.cpu().numpy())
        return x


@pytest.mark.parametrize(("kind", "line", "function"), [
    ("if", 'if self.kind == "if" and x.sum() > 0:', "bool"), ("item", "x = x[:, :int(x[0, 0, 0, 0].item())]", "item"),
    ("nonzero", "x = x.nonzero()", "nonzero"), ("mask", "x = x[x > 0]", "getitem"),
    ("numpy", "x = torch.tensor(x.cpu().numpy())", "numpy")])
def test_shapes_that_depend_on_numbers(kind: str, line: str, function: str) -> None:
    with pytest.raises(ShapeError) as caught:
        shape_table(nn.Sequential(nn.Conv2d(3, 3, 1), Gate(kind)), (None, 3, None, None))
    number = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if text.strip() == line)
    assert str(caught.value) == f"""\
1 = Gate cannot take (None, 3, None, None)
  its shapes depend on numbers, and here are none: {function}, in: {line} (test_held.py, line {number})
  reached by: 0 (None, 3, None, None) -> 1.before (None, 4, None, None)
  Way out: shape_table(part, input_shape) of the parts before and after it, one by one"""


def test_an_axis_that_cannot_be_free() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((None, 6)), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(ShapeError) as caught:
        shape_table(net, (3, None, None))
    assert re.fullmatch(r"""Sequential cannot take \(None, 3, None, None\)
  axis 2 cannot be None: it runs at \(None, 3, 8, None\), but not at half or at twice that size: 3 = Linear fails: .+
  Way out: input_shape=\(None, 3, 8, None\)""", str(caught.value))
    assert shape_table(net, (None, 3, 8, None)).output_shape == (None, 2)


def test_a_size_that_changes_the_number_of_tensors_and_then_fails() -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return list(x.unbind(1))

    with pytest.raises(ShapeError, match="1 = Linear cannot take"):
        shape_table(nn.Sequential(Steps(), nn.Linear(3, 4)), (None, None, 3))


def test_sizes_that_round_to_one_do_not_make_an_axis_free() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1, stride=32), nn.Flatten(), nn.Linear(4 * 7 * 7, 2))
    with pytest.raises(ShapeError, match=r"axis 2 and axis 3 cannot be None: it runs at \(None, 3, 224, 224\), but"):
        shape_table(net, (3, None, None))
    shallow = nn.Sequential(nn.Conv2d(3, 4, 1, stride=64), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ShapeError, match="axis 2 and axis 3 cannot be None"):
        shape_table(shallow, (3, None, None))


def test_attributes_that_cannot_be_copied_are_shared() -> None:
    module = nn.Sequential(nn.Linear(3, 4))
    module.lock, module.source = threading.Lock(), torch.Generator()
    assert shape_table(module, 3).params == 16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Linear(3, 4))
    with pytest.raises(KerashapeError, match=r"is compiled by torch\.jit, where its parts cannot be seen"):
        shape_table(scripted, 3)


def test_a_number_of_tensors_that_is_free() -> None:
    class Each(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return list(x.unbind(1))

    with pytest.raises(ShapeError, match="depends on the sizes of axes that are None: 64 tensors of rank 2, or 128"):
        shape_table(Each(), (None, None, 3))
    assert shape_table(Each(), (2, 3)).output_shape == [(None, 3), (None, 3)]


def test_what_a_module_cannot_take_names_the_part_and_the_way_there() -> None:
    with pytest.raises(ShapeError) as caught:
        shape_table(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)), (3, 9, 9))
    first, _, last = str(caught.value).split("\n")
    assert first == "2 = Linear cannot take (None, 196)"
    assert last == "  reached by: 0 (None, 4, 7, 7) -> 1 (None, 196)"


# ---- configs and live Keras ------------------------------------------------------------------------------------------


def net() -> Any:
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(),
                             keras.layers.Dense(2)], name="net")


def test_dicts_of_any_version() -> None:
    for name in ("functional/unet.json", "legacy/k2_attention.json"):
        path = harness.DATA / name
        assert str(shape_table(json.loads(path.read_text()))) == str(shape_table(path))
    model = load_model(harness.DATA / "functional" / "unet.json")
    assert str(shape_table(model.get_config())) == str(shape_table(model))
    assert shape_table({"class_name": "Dense", "config": {"name": "d", "output_dim": 4}}, 3).params == 16
    for wrong in ({}, {"class_name": "Dense"}, {"class_name": "Adam", "config": {}, "module": "keras.optimizers"}):
        with pytest.raises(KerashapeError):
            shape_table(wrong)


def test_a_live_keras_model_is_the_file_that_it_writes(tmp_path: Path) -> None:
    model = net()
    model.save(tmp_path / "net.keras")
    table = shape_table(model)
    assert str(table) == str(shape_table(tmp_path / "net.keras")) and table.params == model.count_params()
    assert shape_table(keras.Sequential([keras.layers.Dense(3)]), 4).params == 15


def test_a_live_keras_layer() -> None:
    layer = keras.layers.LSTM(3)
    assert shape_table(layer, (5, 4)).params == 96
    with pytest.raises(ShapeError, match="is not known yet"):
        shape_table(layer)
    layer(keras.Input((7, 4)))
    assert shape_table(layer).input_shape == (None, 7, 4)


def test_a_live_model_that_no_config_describes() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.first = keras.layers.Dense(4, name="first")
            self.inner = keras.Sequential([keras.layers.Dense(5, name="second")], name="inner")

        def call(self, x: Any) -> Any:
            return self.inner(self.first(x))

    model = Own()
    with pytest.raises(KerashapeError, match=r"Own has no config that says its shapes.* Way out: call it once"):
        shape_table(model)
    model(torch.zeros(2, 3))
    table = shape_table(model)
    assert [(row.name, row.output_shape, row.params, row.depth) for row in table] == [
        ("first", (2, 4), 16, 0), ("inner", (2, 5), 25, 0), ("second", (2, 5), 25, 1)]
    assert table.params == 41
    with pytest.raises(KerashapeError, match="own has no config that can be read"):
        shape_table(model, 3)


def test_a_live_model_with_a_lambda_or_of_integers_has_keras_own_shapes() -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Lambda(lambda z: z * 2, (4,), name="twice")(keras.layers.Dense(4, name="d")(x)))
    assert [(row.name, row.input_shape, row.output_shape) for row in shape_table(model)] == [
        (name, (None, 4), (None, 4)) for name in ("x", "d", "twice")]
    quantized = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")])
    quantized.layers[0].quantize("int8")
    assert {weight.dtype for weight in shape_table(quantized)["d"].weights} == {"int8", "float32"}


def test_keras_is_never_imported() -> None:
    code = f"""
import sys, kerashape_torch
kerashape_torch.shape_table({{"class_name": "Dense", "config": {{"name": "d", "units": 4}}}}, 3)
kerashape_torch.shape_table({str(harness.DATA / "functional" / "unet.keras")!r})
assert not {{"torch", "keras", "tensorflow"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

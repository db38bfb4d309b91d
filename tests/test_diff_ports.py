"""A model and its port to torch are the same up to layout; where they are not, the layer is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffed import FILES, application, paths
from torch import nn

import kerashape_torch as kt
from kerashape_torch.differences import TableDiff, diff
from kerashape_torch.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    GlobalAveragePooling2D,
    LayerNormalization,
    MaxPooling2D,
    ReLU,
    SeparableConv2D,
    ZeroPadding2D,
)
from kerashape_torch.models import Input, Model, Sequential
from kerashape_torch.shape_table import ShapeTable, shape_table


class Block(nn.Module):
    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding=1)
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn(self.conv(x)))


class UNet(nn.Module):
    """As a person writes it: other names, activations as functions, channels first."""

    def __init__(self, bottom: int = 16) -> None:
        super().__init__()
        self.down = Block(3, 8)
        self.pool = nn.MaxPool2d(2)
        self.bottom = Block(8, bottom)
        self.up = nn.ConvTranspose2d(bottom, 8, 2, 2)
        self.out = nn.Sequential(Block(16, 8), nn.Conv2d(8, 2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = self.down(x)
        return self.out(torch.cat([self.up(self.bottom(self.pool(skip))), skip], 1))


def unet() -> Model:
    def block(x: Any, filters: int, name: str) -> Any:
        y = Conv2D(filters, 3, padding="same", name=f"{name}_c")(x)
        return ReLU(name=f"{name}_r")(BatchNormalization(name=f"{name}_n")(y))

    x = Input((16, 16, 3), name="image")
    skip = block(x, 8, "enc")
    y = Conv2DTranspose(8, 2, strides=2, name="wider")(block(MaxPooling2D(name="smaller")(skip), 16, "deep"))
    y = block(Concatenate(name="both")([y, skip]), 8, "dec")
    return Model(x, Conv2D(2, 1, name="classes")(y), name="unet")


def ported(model: Any, module: nn.Module, shape: Any, **options: Any) -> TableDiff:
    return shape_table(model).diff(shape_table(module, shape), layout="any", **options)


def test_a_port_is_the_same_up_to_layout() -> None:
    found = ported(unet(), UNet(), (3, 16, 16))
    assert not found and str(found) == "no difference up to layout, in 9 layers"
    assert found.names["enc_c"] == "down.conv" and found.names["wider"] == "up" and found.names["smaller"] == "pool"
    assert str(diff(shape_table(unet()), shape_table(UNet(), (3, 16, 16)))).endswith(
        'One is of Keras and one of torch: layout="any", or --layout any, compares them by meaning.')


def test_a_port_that_departs() -> None:
    assert str(ported(unet(), UNet(bottom=24), (3, 16, 16))).split("\n\nparams")[0] == """\
unet -> UNet: 1 layer changed, 2 follow

~ deep_c -> bottom.conv (Conv2d)
    output            (None, 8, 8, 16)  ->  (None, 24, 8, 8)
                                   ^^              ^^
    kernel -> weight  (3, 3, 8, 16)     ->  (24, 8, 3, 3)
                                ^^           ^^
    bias              (16)              ->  (24)
    2 layers follow:
      bottom.bn  (None, 8, 8, 16) -> (None, 24, 8, 8)    64 -> 96 params
      up         (None, 16, 16, 8) -> (None, 8, 16, 16)  520 -> 776 params"""


class Bottleneck(nn.Module):
    """As torchvision has it: the stride in the window of three, and no biases."""

    def __init__(self, channels: int, width: int, stride: int, is_first: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = nn.Sequential(nn.Conv2d(channels, 4 * width, 1, stride, bias=False),
                                        nn.BatchNorm2d(4 * width)) if is_first else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def torch_resnet50() -> nn.Module:
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels, stages = 64, []
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        stages.append(nn.Sequential(*(Bottleneck(4 * width if i else channels, width, 1 if i else stride, not i)
                                      for i in range(blocks))))
        channels = 4 * width
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def test_the_resnet_of_keras_and_that_of_torch() -> None:
    """Two models of one name, of which the shapes say how they differ."""
    with torch.device("meta"):
        module = torch_resnet50()
    found = str(shape_table(kt.load_model(application("ResNet50"))).diff(
        shape_table(module, (3, 224, 224)), layout="any"))
    assert found.startswith("""\
resnet50 -> Sequential: 53 layers changed, 3 follow

~ 50 layers: 0, 4.0.conv1, 4.0.conv2, ..., 7.2.conv3
    bias  (64), (256), (128), ...  ->  nothing

~ conv3_block1_1_conv -> 5.0.conv1 (Conv2d)
    output  (None, 28, 28, 128)  ->  (None, 128, 56, 56)
                   ^^  ^^                        ^^  ^^
    bias    (128)                ->  nothing
    1 layer follows:
      5.0.bn1  (None, 28, 28, 128) -> (None, 128, 56, 56)
""")
    assert "~ conv4_block1_1_conv -> 6.0.conv1" in found and "~ conv5_block1_1_conv -> 7.0.conv1" in found


class Stem(nn.Module):
    """Padding inside the convolution, depthwise and pointwise apart, pooled to one pixel."""

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 8, 3, groups=8, bias=False)
        self.point = nn.Conv2d(8, 6, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        return self.fc(self.pool(self.point(self.depth(x))).flatten(1))


def test_what_a_port_does_in_another_number_of_layers() -> None:
    model = Sequential([Input((16, 16, 3)), ZeroPadding2D(), Conv2D(8, 3, strides=2, use_bias=False),
                        BatchNormalization(), ReLU(), SeparableConv2D(6, 3), Dropout(0.5), GlobalAveragePooling2D(),
                        Dense(4)])
    assert not ported(model, Stem(), (3, 16, 16))
    departed = ported(model, Stem(stride=1), (3, 16, 16))
    assert paths(departed)[0] == "conv" and "output  (None, 8, 8, 8)  ->  (None, 8, 16, 16)" in str(departed)


def test_a_port_with_depthwise_layers_follows() -> None:
    def model(filters: int) -> Model:
        return Sequential([Input((16, 16, 3)), Conv2D(filters, 3, name="conv"), DepthwiseConv2D(3, name="depth"),
                           Conv2D(6, 1, name="point")])

    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 1))
    assert not ported(model(8), module, (3, 16, 16))
    assert paths(ported(model(12), module, (3, 16, 16))) == ["0"]


def test_windows_of_one_size_are_not_the_same() -> None:
    model = Sequential([Input((16, 16, 3)), Conv2D(8, 3, padding="same", name="conv"),
                        DepthwiseConv2D(3, 2, depth_multiplier=2)])
    depth = nn.Conv2d(8, 16, 3, 2, groups=8)
    assert not ported(model, nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), depth), (3, 16, 16))
    assert "kernel -> weight  (3, 3, 3, 8)  ->  (8, 3, 1, 9)" in str(
        ported(model, nn.Sequential(nn.Conv2d(3, 8, (1, 9), padding="same"), depth), (3, 16, 16)))


class Recurrent(nn.Module):
    def __init__(self, units: int = 5) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 4)
        self.lstm = nn.LSTM(4, units, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(2 * units, 3, batch_first=True)
        self.norm = nn.LayerNorm(3)
        self.fc = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.gru(self.lstm(self.embed(x))[0])[0][:, -1]))


def test_a_port_of_recurrent_layers() -> None:
    model = Sequential([Input((None,), dtype="int32"), Embedding(11, 4), Bidirectional(LSTM(5, return_sequences=True)),
                        GRU(3), LayerNormalization(), Dense(2)])
    assert not ported(model, Recurrent(), (None, None))
    assert paths(ported(model, Recurrent(6), (None, None)))[0] == "lstm"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_compiled_is_the_same_up_to_layout(path: Path) -> None:
    """Compiled modules have rows of their own classes, in torch's order of weights."""
    model = kt.load_model(path)
    if model.built:
        found = shape_table(model).diff(shape_table(model.to_torch()), layout="any")
        assert not found, str(found)


def test_the_page_shows_what_is_printed() -> None:
    page = (Path(__file__).parent.parent / "docs" / "diff.md").read_text()
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0].replace("print(found)", ""), names)
    port = str(ported(unet(), UNet(bottom=24), (3, 16, 16))).split("\n\nparams")[0]
    for text in (str(names["found"]), port):
        assert f"```\n{text}\n```" in page


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_any_weight_of_a_port_that_departs_is_found(path: Path) -> None:
    model = kt.load_model(path)
    if not model.built:
        return
    before, after = shape_table(model), shape_table(model.to_torch())
    seen = set()
    for i, row in enumerate(after):
        if not row.weights or row.name in seen:
            continue
        seen.add(row.name)
        first = row.weights[0]
        wider = [first._replace(shape=(first.shape[0] + 1, *first.shape[1:])), *row.weights[1:]]
        rows = [*after.rows[:i], row._replace(weights=wider), *after.rows[i + 1:]]
        found = before.diff(ShapeTable("net", rows, [], after.input_shape, after.output_shape), layout="any")
        assert row.name in {cause.path for cause in found.causes}, row.name

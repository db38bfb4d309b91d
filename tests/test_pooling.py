"""Pooling: what the recorded cases leave out. Every size and remainder, stock torch, orders of axes, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.shape import same_padding
from kerashape_torch.torch_modules.pooling import same_pool

FORMATS = ("channels_last", "channels_first")
INPUTS = {1: (2, 9, 3), 2: (2, 9, 10, 3), 3: (2, 5, 6, 7, 3)}


def against_keras(name: str, shape: tuple[int, ...], **arguments: Any) -> None:
    """Our layer and Keras' own give the same config, shape and numbers; with sizes known, and with None."""
    theirs = getattr(keras.layers, name)(**arguments)
    ours = getattr(layers, name)(**arguments)
    assert {**ours.get_config(), "name": ""} == {**theirs.get_config(), "name": ""}
    x = torch.linspace(-3, 3, int(np.prod(shape))).sin().reshape(shape)
    expected = theirs(x).detach()
    channels = 1 if arguments.get("data_format") == "channels_first" else len(shape) - 1
    free = tuple(size if axis == channels else None for axis, size in enumerate(shape))
    for known in ((None, *shape[1:]), free):
        module = ours.to_torch(known)
        torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(module(x[:1]), expected[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_numbers_are_those_of_keras(rank: int, data_format: str) -> None:
    shape = INPUTS[rank]
    for size, strides, padding in itertools.product((2, 3), (None, 1, 2), ("valid", "same")):
        arguments = {"pool_size": size, "strides": strides, "padding": padding, "data_format": data_format}
        against_keras(f"MaxPooling{rank}D", shape, **arguments)
        if padding == "valid" or (size == 3 and strides == 1):  # Keras on torch repeats the edge in uneven padding
            against_keras(f"AveragePooling{rank}D", shape, **arguments)
    for keepdims in (False, True):
        against_keras(f"GlobalMaxPooling{rank}D", shape, data_format=data_format, keepdims=keepdims)
        against_keras(f"GlobalAveragePooling{rank}D", shape, data_format=data_format, keepdims=keepdims)
    for size in (1, 2, 4):
        against_keras(f"AdaptiveMaxPooling{rank}D", shape, output_size=size, data_format=data_format)
        against_keras(f"AdaptiveAveragePooling{rank}D", shape, output_size=size, data_format=data_format)


def real_elements(kind: str, x: torch.Tensor, window: int, stride: int) -> torch.Tensor:
    """Padding 'same' by its definition, along the last axis: windows hold real elements only."""
    size = x.shape[-1]
    before, _ = same_padding(size, window, stride)
    starts = range(-before, -(-size // stride) * stride - before, stride)
    windows = [x[..., max(start, 0):min(start + window, size)] for start in starts]
    return torch.stack([w.amax(-1) if kind == "max" else w.mean(-1) for w in windows], -1)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_same_is_exact_for_every_remainder(kind: str) -> None:
    for window, stride, size in itertools.product(range(1, 6), range(1, 5), range(1, 12)):
        x = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(size))
        expected = real_elements(kind, x, window, stride)
        for known in (size, None):
            torch.testing.assert_close(same_pool(kind, (known,), (window,), (stride,))(x), expected)


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(("window", "stride", "sizes"), [
    ((2, 3), (1, 2), (5, 8)), ((4, 2), (3, 1), (7, 4)), ((3, 3), (2, 2), (6, 7)), ((5, 1), (1, 2), (2, 5)),
    ((2, 3, 2), (1, 2, 2), (4, 5, 3)), ((2, 2, 2), (2, 2, 2), (1, 4, 5)), ((4, 3, 2), (1, 1, 1), (2, 2, 1)),
])
def test_same_mixes_axes(kind: str, window: Any, stride: Any, sizes: Any) -> None:
    x = torch.randn(2, 3, *sizes, generator=torch.Generator().manual_seed(1))
    expected = x
    for axis in range(len(sizes)):
        expected = real_elements(kind, expected.movedim(2 + axis, -1), window[axis], stride[axis]).movedim(-1, 2 + axis)
    for known in (sizes, (None,) * len(sizes), (None, *sizes[1:])):
        torch.testing.assert_close(same_pool(kind, known, window, stride)(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("layer", "shape", "expected"), [
    (layers.MaxPooling2D(), (None, 8, 8, 3), nn.MaxPool2d(2, 2)),
    (layers.MaxPooling2D(2, padding="same"), (None, 8, 8, 3), nn.MaxPool2d(2, 2)),
    (layers.MaxPooling2D(2, padding="same"), (None, 9, 9, 3), nn.MaxPool2d(2, 2, ceil_mode=True)),
    (layers.MaxPooling2D(2, padding="same"), (None, None, None, 3), nn.MaxPool2d(2, 2, ceil_mode=True)),
    (layers.MaxPooling2D(3, 2, padding="same"), (None, 112, 112, 3), nn.MaxPool2d(3, 2, ceil_mode=True)),
    (layers.MaxPooling2D(3, 2, padding="same"), (None, 113, 113, 3), nn.MaxPool2d(3, 2, padding=1)),
    (layers.MaxPooling1D(3, 1, padding="same"), (None, None, 3), nn.MaxPool1d(3, 1, padding=1)),
    (layers.AveragePooling2D(3, 1, padding="same"), (None, None, None, 3),
     nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)),
    (layers.AveragePooling3D((1, 2, 2), padding="same"), (None, 4, 5, 6, 3),
     nn.AvgPool3d((1, 2, 2), (1, 2, 2), ceil_mode=True, count_include_pad=False)),
    (layers.AdaptiveAveragePooling2D((1, 1)), (None, 8, 8, 3), nn.AdaptiveAvgPool2d(1)),
    (layers.AdaptiveMaxPooling1D(4), (None, 8, 3), nn.AdaptiveMaxPool1d(4)),
])
def test_stock_torch_says_it(layer: Any, shape: Any, expected: nn.Module) -> None:
    module = layer.module(shape)
    assert type(module) is type(expected)
    assert vars(module).get("count_include_pad") == vars(expected).get("count_include_pad")
    assert repr(module) == repr(expected)


@pytest.mark.parametrize("layer", [
    layers.MaxPooling2D(3, 2, padding="same"), layers.AveragePooling2D(2, 1, padding="same"),
    layers.MaxPooling2D(2, 1, padding="same"), layers.GlobalAveragePooling2D(), layers.AdaptiveMaxPooling2D(2),
])
def test_compiles_and_exports(layer: Any) -> None:
    """Also where the height and width are known only when it runs."""
    for shape in ((None, 6, 7, 3), (None, None, None, 3)):
        module = layer.to_torch(shape)
        x = torch.randn(2, 6, 7, 3)
        expected = module(x)
        torch.testing.assert_close(torch.compile(module, backend="eager", fullgraph=True)(x), expected)
        batch = {0: torch.export.Dim("batch", min=1, max=64)}
        exported = torch.export.export(module, (x,), dynamic_shapes=(batch,)).module()
        larger = torch.randn(5, 6, 7, 3)
        torch.testing.assert_close(exported(larger), module(larger))


def permutes(module: Any) -> int:
    return sum(node.target is torch.permute for node in module.graph.nodes)


def test_global_pooling_of_steps_takes_them_in_any_order() -> None:
    x = inputs = kt.Input((8, 4))
    module = kt.Model(inputs, layers.GlobalAveragePooling1D()(x)).to_torch()
    assert permutes(module) == 0
    after_pool = kt.Model(inputs, layers.GlobalMaxPooling1D(keepdims=True)(layers.MaxPooling1D()(x))).to_torch()
    assert permutes(after_pool) == 2  # at the input and at the output
    given = torch.randn(2, 8, 4)
    torch.testing.assert_close(after_pool(given), given.amax(1, keepdim=True))


def test_a_stack_runs_channels_first_throughout() -> None:
    x = inputs = kt.Input((8, 8, 4))
    for layer in (layers.MaxPooling2D(), layers.AveragePooling2D(2, 1, "same"), layers.GlobalAveragePooling2D()):
        x = layer(x)
    module = kt.Model(inputs, x).to_torch()
    assert permutes(module) == 1
    torch_layout = kt.Model(inputs, x).to_torch(layout="torch")
    given = torch.randn(2, 8, 8, 4)
    torch.testing.assert_close(torch_layout(given.permute(0, 3, 1, 2)), module(given))


def test_the_smallest_numbers_survive() -> None:
    """Padding is no number: where all are very negative, none of it shows."""
    x = torch.full((1, 5, 1), torch.finfo(torch.float32).min)
    assert torch.equal(layers.MaxPooling1D(2, 1, "same").to_torch((5, 1))(x), x)


def test_gradients_flow_through_a_dropped_place() -> None:
    x = torch.randn(1, 4, 1, requires_grad=True)
    layers.AveragePooling1D(2, 1, "same").to_torch((4, 1))(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad.flatten(), torch.tensor([0.5, 1, 1, 1.5]))


@pytest.mark.parametrize(("alias", "name"), [
    (f"{short}{rank}D", f"{long}{rank}D") for rank in (1, 2, 3) for short, long in (
        ("MaxPool", "MaxPooling"), ("AvgPool", "AveragePooling"), ("GlobalMaxPool", "GlobalMaxPooling"),
        ("GlobalAvgPool", "GlobalAveragePooling"))])
def test_aliases(alias: str, name: str) -> None:
    assert getattr(layers, alias) is getattr(layers, name)
    assert getattr(keras.layers, alias) is getattr(keras.layers, name)


@pytest.mark.parametrize(("make", "error", "text"), [
    (lambda: layers.MaxPooling2D((2, 2, 2)), ConfigError,
     r"MaxPooling2D(pool_size=...) must be one integer or 2 of them, got (2, 2, 2)"),
    (lambda: layers.MaxPooling2D(0), ConfigError, "MaxPooling2D(pool_size=...) must be 1 or more, got 0"),
    (lambda: layers.AveragePooling1D(), ConfigError, "AveragePooling1D needs the argument 'pool_size'"),
    (lambda: layers.MaxPooling1D(padding="causal"), ConfigError,
     "MaxPooling1D(padding=...) must be one of 'valid', 'same', got 'causal'."),
    (lambda: layers.MaxPooling2D(3).compute_output_shape((None, 2, 8, 3)), ShapeError,
     "max_pooling2d = MaxPooling2D(pool_size=3) cannot take (None, 2, 8, 3)\n"
     "  height: a window of 3 with padding 'valid' needs at least 3, got 2"),
    (lambda: layers.GlobalMaxPooling1D()(kt.Input((5,))), ShapeError,
     "global_max_pooling1d = GlobalMaxPooling1D() cannot take (None, 5)\n"
     "  expected rank 3, (batch, steps, channels), got rank 2\n"
     "  reached by: input_layer (None, 5)"),
    (lambda: layers.AdaptiveMaxPooling1D(0).to_torch((4, 2)), ShapeError,
     "adaptive_max_pooling1d = AdaptiveMaxPooling1D(output_size=0) cannot take (None, 4, 2)\n"
     "  output_size=0 leaves no region to pool"),
    (lambda: layers.AdaptiveMaxPooling1D(2).to_torch((None, 4)), ShapeError,
     "adaptive_max_pooling1d = AdaptiveMaxPooling1D(output_size=2) cannot take (None, 4)\n"
     "  expected rank 3, (batch, steps, channels), got rank 2"),
])
def test_refusals_say_why(make: Any, error: type[KerashapeError], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text

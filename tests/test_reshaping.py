"""Layers that move elements: what the recorded cases leave out."""

from __future__ import annotations

import operator
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError

FORMATS = ("channels_last", "channels_first")
INPUTS = {1: (2, 6, 3), 2: (2, 6, 7, 3), 3: (2, 5, 6, 7, 3)}


def numbers(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.linspace(-3, 3, int(np.prod(shape))).sin().reshape(shape)


def against_keras(name: str, shape: tuple[int, ...], *args: Any, free: bool = True, **arguments: Any) -> None:
    """Our layer and Keras' own give the same config, shapes and numbers; with sizes known, and with None."""
    theirs = getattr(keras.layers, name)(*args, **arguments)
    ours = getattr(layers, name)(*args, **arguments)
    assert {**ours.get_config(), "name": ""} == {**theirs.get_config(), "name": ""}
    x = numbers(shape)
    expected = theirs(x).detach()
    channels = 1 if arguments.get("data_format") == "channels_first" else len(shape) - 1
    unknown = tuple(size if axis == channels else None for axis, size in enumerate(shape))
    for known in ((None, *shape[1:]), *((unknown,) if free else ())):
        assert ours.compute_output_shape(known) == theirs(keras.Input(batch_shape=known)).shape
        module = ours.to_torch(known)
        torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(module(x[:1]), expected[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("rank", [2, 3])
def test_spatial_sizes_as_keras_changes_them(rank: int, data_format: str) -> None:
    shape = INPUTS[rank]
    if data_format == "channels_first":
        shape = (2, 6, 7, 8, 5)[:rank + 2]
    uneven = ((1, 0), (2, 1), (0, 3))[:rank]
    for amount in (1, 0, (2, 1, 0)[:rank], uneven, (1, *uneven[1:]), [list(pair) for pair in uneven]):
        against_keras(f"ZeroPadding{rank}D", shape, amount, data_format=data_format)
        against_keras(f"Cropping{rank}D", shape, amount, data_format=data_format)
    for factor in (1, 2, (3, 1, 2)[:rank]):
        against_keras(f"UpSampling{rank}D", shape, factor, data_format=data_format)
    if rank == 2:
        against_keras("UpSampling2D", shape, (2, 3), data_format=data_format, interpolation="bilinear")


def test_steps_as_keras_changes_them() -> None:
    for amount in (0, 1, (2, 1), (0, 3)):
        against_keras("Cropping1D", INPUTS[1], amount)
        for data_format in FORMATS:
            against_keras("ZeroPadding1D", INPUTS[1], amount, data_format=data_format)
    against_keras("UpSampling1D", INPUTS[1], 3)


@pytest.mark.parametrize("layer", ["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D", "Cropping2D",
                                   "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D", "Flatten"])
def test_defaults_are_those_of_keras(layer: str) -> None:
    against_keras(layer, INPUTS[int(layer[-2]) if layer[-1] == "D" else 2])


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 2), (2, 7), (2,)])
def test_flatten_keeps_the_order_of_keras(shape: tuple[int, ...], data_format: str) -> None:
    against_keras("Flatten", shape, data_format=data_format, free=len(shape) > 2)


@pytest.mark.parametrize(("shape", "known", "target"), [
    ((2, 3, 4), (None, None, 4), (-1, 2)), ((2, 3, 4), (None, None, 4), (6, 2)),
    ((2, 6, 4), (None, None, None), (3, -1, 4)),
    ((2, 3, 4), (None, 3, 4), (6, None)), ((2, 12), (None, None), (3, -1)), ((2, 3, 4), (None, 3, 4), (-1,)),
    ((2,), (None,), (1, 1)), ((2, 1), (None, 1), ()), ((2, 0, 4), (None, 0, 4), (4, 0)),
    ((2, 3, 4), (2, 3, 4), (12, 1)),
])
def test_reshape_as_keras(shape: Any, known: Any, target: Any) -> None:
    x = numbers(shape)
    layer = layers.Reshape(target)
    theirs = keras.layers.Reshape(target)
    assert layer.compute_output_shape(known) == theirs(keras.Input(batch_shape=known)).shape
    for batch in (x, x[:1]) if known[0] is None else (x,):
        torch.testing.assert_close(layer.to_torch(known)(batch), torch.as_tensor(theirs(batch)))


def test_reshape_never_takes_from_the_batch() -> None:
    """(2, 14, 4) has twice the numbers of (7, 4): that is an error, not a batch of 4."""
    module = layers.Reshape((7, 4)).to_torch((None, None, 4))
    assert module(torch.zeros(2, 7, 4)).shape == (2, 7, 4)
    with pytest.raises(RuntimeError):
        module(torch.zeros(2, 14, 4))


@pytest.mark.parametrize("factor", [7, 40, 41, 47, 128])
def test_large_factors_repeat_each_element(factor: int) -> None:
    x = torch.arange(60.0).reshape(1, 60, 1)
    torch.testing.assert_close(layers.UpSampling1D(factor).to_torch((60, 1))(x), x.repeat_interleave(factor, 1))


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos3", "lanczos5"])
def test_kernels_keep_a_constant_image(interpolation: str) -> None:
    """Weights sum to 1, at the edges too; sizes may be unknown."""
    module = layers.UpSampling2D((2, 3), interpolation=interpolation).to_torch((None, None, None, 2))
    torch.testing.assert_close(module(torch.ones(1, 4, 9, 2)), torch.ones(1, 8, 27, 2))


@pytest.mark.parametrize("size", [(3, 1), (1, 3), (2, 2)])
def test_a_kernel_does_not_mind_where_the_channels_lie(size: tuple[int, int]) -> None:
    """torch 2.13 on a CPU computes an only column wrong with antialias where they lie last."""
    x = numbers((2, *size, 3))
    last, first = (layers.UpSampling2D((2, 1), data_format, "bicubic") for data_format in (None, "channels_first"))
    expected = first.to_torch((None, 3, *size))(x.movedim(-1, 1).contiguous()).movedim(1, -1)
    torch.testing.assert_close(last.to_torch((None, *size, 3))(x), expected)


def test_bicubic_is_tensorflows_where_its_table_rounds() -> None:
    """Recorded from tf_keras 2.21: a third is no step of its table, and the kernel itself is off by up to 8e-4."""
    x = torch.tensor([0.0, 1, 4, -9, 2]).reshape(1, 1, 5, 1)
    found = layers.UpSampling2D((1, 3), interpolation="bicubic").to_torch((1, 5, 1))(x)
    torch.testing.assert_close(found.flatten(), torch.tensor([
        -0.10520631, 0.0, 0.1722118, 0.46467635, 1.0, 2.4426, 4.1121955, 4.0, -0.03150393, -5.85695, -9.0, -6.3973236,
        -1.4782131, 2.0, 3.1572692]), rtol=1e-4, atol=1e-5)


def test_area_is_nearest_at_whole_factors() -> None:
    x = numbers((1, 4, 5, 2))
    area, nearest = (layers.UpSampling2D(2, interpolation=name).to_torch((4, 5, 2))(x) for name in ("area", "nearest"))
    assert torch.equal(area, nearest)


@pytest.mark.parametrize(("layer", "shape", "expected"), [
    (layers.ZeroPadding1D((1, 2)), (None, 8, 3), nn.ZeroPad1d((1, 2))),
    (layers.ZeroPadding2D(((1, 2), (3, 4))), (None, 8, 8, 3), nn.ZeroPad2d((3, 4, 1, 2))),
    (layers.ZeroPadding3D(((1, 2), (3, 4), (5, 6))), (None, 8, 8, 8, 3), nn.ZeroPad3d((5, 6, 3, 4, 1, 2))),
    (layers.ZeroPadding2D(0), (None, 8, 8, 3), nn.Identity()),
    (layers.UpSampling2D(), (None, 8, 8, 3), nn.Upsample(scale_factor=(2.0, 2.0))),
    (layers.UpSampling2D(interpolation="bilinear"), (None, 8, 8, 3),
     nn.Upsample(scale_factor=(2.0, 2.0), mode="bilinear")),
    (layers.Flatten(), (None, 8, 8, 3), nn.Flatten()),
    (layers.Reshape((2, 3)), (None, None), nn.Unflatten(1, (2, 3))),
])
def test_stock_torch_says_it(layer: Any, shape: Any, expected: nn.Module) -> None:
    module = layer.module(shape)
    assert type(module) is type(expected)
    assert repr(module) == repr(expected)


@pytest.mark.parametrize(("layer", "shape"), [
    (layers.Cropping2D(((1, 0), (0, 2))), (6, 7, 3)), (layers.Reshape((3, -1)), (None, 6)),
    (layers.Reshape((3, 2)), (6,)),
    (layers.UpSampling2D(), (None, None, 3)), (layers.UpSampling2D(2, interpolation="bicubic"), (4, 5, 2)),
    (layers.UpSampling2D(2, interpolation="lanczos3"), (4, 5, 2)), (layers.RepeatVector(3), (5,)),
    (layers.Flatten("channels_first"), (3, None, 4)), (layers.Permute((3, 1, 2)), (4, 5, 6)),
    (layers.ZeroPadding1D(), (None, 4)),
])
def test_compiles_and_exports(layer: Any, shape: Any) -> None:
    module = layer.to_torch((None, *shape))
    x = numbers((2, *(4 if size is None else size for size in shape)))
    expected = module(x)
    torch.testing.assert_close(torch.compile(module, backend="eager", fullgraph=True)(x), expected)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    exported = torch.export.export(module, (x,), dynamic_shapes=(batch,)).module()
    larger = numbers((5, *x.shape[1:]))
    torch.testing.assert_close(exported(larger), module(larger))


def test_steps_are_cropped_in_any_order() -> None:
    inputs = kt.Input((8, 4))
    module = kt.Model(inputs, layers.Cropping1D(2)(layers.MaxPooling1D(1)(inputs))).to_torch()
    assert [node.target for node in module.graph.nodes if node.op == "call_function"] == [
        torch.permute, operator.getitem, torch.permute]
    x = numbers((2, 8, 4))
    assert torch.equal(module(x), x[:, 2:-2])
    alone = kt.Model(inputs, layers.Cropping1D(2)(inputs)).to_torch()
    assert torch.equal(alone(x), x[:, 2:-2])


def test_repeating_copies_nothing() -> None:
    x = numbers((2, 4))
    repeated = layers.RepeatVector(3).to_torch((4,))(x)
    assert torch.equal(repeated, torch.stack([x] * 3, 1))
    assert repeated.data_ptr() == x.data_ptr()


@pytest.mark.parametrize("layer", [layers.Flatten(), layers.Reshape((3, 4)), layers.Permute((2, 1))])
def test_integers_stay_integers(layer: Any) -> None:
    x = kt.Input((4, 3), dtype="int32")
    assert layer(x).dtype == getattr(keras.layers, type(layer).__name__).from_config(layer.get_config())(
        keras.Input((4, 3), dtype="int32")).dtype == "int32"


@pytest.mark.parametrize(("make", "error", "text"), [
    (lambda: layers.ZeroPadding1D((1, 2, 3)), ConfigError,
     "ZeroPadding1D(padding=...) must be one number, or a pair (before, after), none of them negative, got (1, 2, 3)"),
    (lambda: layers.Cropping2D(-1), ConfigError,
     "Cropping2D(cropping=...) must be one number, or 2 numbers, or a pair (before, after) for each of 2 axes, "
     "none of them negative, got -1"),
    (lambda: layers.Cropping2D(((1, 3), (2, 2))).compute_output_shape((None, 4, 8, 1)), ShapeError,
     "cropping2d = Cropping2D(cropping=((1, 3), (2, 2))) cannot take (None, 4, 8, 1)\n"
     "  height: cropping (1, 3) leaves nothing of 4"),
    (lambda: layers.UpSampling1D((2,)), ConfigError, "UpSampling1D(size=...) must be an integer, got (2,)"),
    (lambda: layers.UpSampling2D(2, interpolation="bilinea"), ConfigError,
     "UpSampling2D(interpolation=...) must be one of 'nearest', 'bilinear', 'bicubic', 'lanczos3', 'lanczos5', 'area', "
     "got 'bilinea'. Did you mean 'bilinear'?"),
    (lambda: layers.Reshape((5, 2)).compute_output_shape((None, 3, 4)), ShapeError,
     "reshape = Reshape(target_shape=(5, 2)) cannot take (None, 3, 4)\n"
     "  (3, 4) holds 12 numbers, and target_shape (5, 2) holds 10"),
    (lambda: layers.Reshape((-1, 5)).compute_output_shape((None, 3, 4)), ShapeError,
     "reshape = Reshape(target_shape=(-1, 5)) cannot take (None, 3, 4)\n"
     "  (3, 4) holds 12 numbers, and target_shape (-1, 5) needs a multiple of 5"),
    (lambda: layers.Reshape((None, -1)).to_torch((3, 4)), ShapeError,
     "reshape = Reshape(target_shape=(None, -1)) cannot take (None, 3, 4)\n"
     "  target_shape (None, -1) leaves 2 sizes to work out from the tensor, and only one can be"),
    (lambda: layers.Reshape((-1, -1)), ConfigError,
     "Reshape(target_shape=...) may hold -1 once, and no other negative number, got (-1, -1)"),
    (lambda: layers.Reshape(12), ConfigError,
     "Reshape(target_shape=...) must be a tuple of integers and None, got 12"),
    (lambda: layers.Permute((0, 1)), ConfigError,
     "Permute(dims=...) must hold each axis from 1 on once (the batch axis 0 stays where it is), got (0, 1)"),
    (lambda: layers.Permute((2, 1)).compute_output_shape((None, 2, 3, 4)), ShapeError,
     "permute = Permute(dims=(2, 1)) cannot take (None, 2, 3, 4)\n"
     "  expected rank 3, the batch and 2 axes that dims=(2, 1) names, got rank 4"),
    (lambda: layers.RepeatVector(0), ConfigError, "RepeatVector(n=...) must be a positive integer, got 0"),
])
def test_refusals_say_why(make: Any, error: type[KerashapeError], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text

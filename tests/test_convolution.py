"""Convolutions beyond the recorded cases: live against Keras, how plain the modules are, and how refusals read."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import TORCH, agrees, plain
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from kerashape_torch import Input, Model, set_keras_weights
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.kinds import per_axis
from kerashape_torch.layer import Layer
from kerashape_torch.layers import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from kerashape_torch.torch_modules.convolution import convolution, transposed_convolution

RANKS = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3, "Conv1DTranspose": 1, "Conv2DTranspose": 2, "Conv3DTranspose": 3,
         "DepthwiseConv1D": 1, "DepthwiseConv2D": 2, "SeparableConv1D": 1, "SeparableConv2D": 2}


def numbers(seed: int, shape: Any) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=tuple(shape)).astype("float32")


# ---- live against Keras ----------------------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, dict[str, Any], tuple[int, ...], bool]:
    """A class, its arguments, an input shape, and whether the module is compiled with free sizes."""
    name = draw(st.sampled_from(sorted(RANKS)))
    rank = RANKS[name]

    def each(low: int, high: int) -> Any:
        return draw(st.one_of(st.integers(low, high), st.tuples(*[st.integers(low, high)] * rank)))

    groups = draw(st.integers(1, 2)) if name in ("Conv1D", "Conv2D", "Conv3D") else 1
    arguments: dict[str, Any] = {
        "kernel_size": each(1, 4), "use_bias": draw(st.booleans()),
        "padding": draw(st.sampled_from(["valid", "same", *(["causal"] if name == "Conv1D" else [])])),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
        draw(st.sampled_from(["strides", "dilation_rate"])): each(1, 3),
        "activation": draw(st.sampled_from([None, "relu", "softmax"])), "bias_initializer": "random_normal"}
    if groups > 1:
        arguments["groups"] = groups
    if not name.startswith("Depthwise"):
        arguments["filters"] = groups * draw(st.integers(1, 3))
    if name.startswith(("Depthwise", "Separable")):
        arguments["depth_multiplier"] = draw(st.integers(1, 3))
    if name.endswith("Transpose") and draw(st.booleans()):
        arguments["output_padding"] = draw(st.integers(0, min(per_axis(arguments.get("strides", 1), rank)) - 1))
    channels, sizes = groups * draw(st.integers(1, 3)), [draw(st.integers(3, 11)) for _ in range(rank)]
    shape = (channels, *sizes) if arguments["data_format"] == "channels_first" else (*sizes, channels)
    return name, arguments, shape, draw(st.booleans())


def torch_is_wrong(name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Where oneDNN (torch 2.13 on a CPU) differs from float64: one channel that lies channels last, and of the last two
    axes only the last has a stride, and yields one place. Keras on torch is wrong there too, with yet other numbers.
    """
    if arguments["data_format"] == "channels_first" or shape[-1] > 1 or RANKS[name] == 1:
        return False
    stride, window = (per_axis(arguments.get(key, 1), RANKS[name]) for key in ("strides", "kernel_size"))
    return stride[-1] > 1 == stride[-2] and shape[-2] < window[-1] + stride[-1]


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_agrees_with_keras(case: tuple[str, dict[str, Any], tuple[int, ...], bool]) -> None:
    name, arguments, shape, free = case
    theirs, ours = getattr(keras.layers, name)(**arguments), Layer.catalog()[name](**arguments)
    expected = {key: value for key, value in theirs.get_config().items() if key != "name"}
    assert plain({key: value for key, value in ours.get_config().items() if key != "name"}) == plain(expected)
    x = numbers(0, (2, *shape))
    assume(not torch_is_wrong(name, arguments, shape))
    try:
        want = np.asarray(theirs(x).detach().cpu())
    except ValueError:
        with pytest.raises(KerashapeError):
            ours.to_torch((None, *shape))
        return
    assume(0 not in want.shape)
    assert ours.compute_output_shape((None, *shape)) == (None, *want.shape[1:])
    if free:
        at = 0 if arguments["data_format"] == "channels_first" else len(shape) - 1
        shape = tuple(size if axis == at else None for axis, size in enumerate(shape))  # type: ignore[misc]
    module = ours.to_torch((None, *shape))
    set_keras_weights(module, theirs.get_weights())
    got = module(torch.from_numpy(x)).detach().numpy()
    assert agrees(got, [want]), (got.shape, want.shape)


def in_keras(layer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A Keras layer's output and kernel, both channels first as torch has them."""
    y = np.asarray(layer(x.transpose(0, 2, 1)).detach().cpu())
    return y.transpose(0, 2, 1), layer.get_weights()[0].transpose(2, 1, 0)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_same_is_that_of_keras_for_every_remainder(stride: int) -> None:
    """With the size known, and left to the tensor."""
    for window, size in itertools.product(range(1, 6), range(3, 9)):
        x = numbers(size, (1, 1, size))
        want, kernel = in_keras(keras.layers.Conv1D(1, window, stride, "same", use_bias=False), x)
        for known in (size, None):
            module = convolution(1, 1, (known,), (window,), (stride,), (1,), "same", bias=False)
            module.weight.data = torch.from_numpy(kernel.copy())
            assert agrees(module(torch.from_numpy(x)).detach().numpy(), [want]), (window, size, module)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_crops_are_those_of_keras(padding: str, stride: int) -> None:
    x = numbers(0, (1, 1, 5))
    for window, extra in itertools.product(range(1, 7), [None, *range(stride)]):
        layer = keras.layers.Conv1DTranspose(1, window, stride, padding, extra, use_bias=False)
        want, kernel = in_keras(layer, x)
        module = transposed_convolution(1, 1, (window,), (stride,), (1,), padding, (extra,), False)
        module.weight.data = torch.from_numpy(kernel.copy())
        assert agrees(module(torch.from_numpy(x)).detach().numpy(), [want]), (window, extra, module)


# ---- how plain the modules are ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "shape", "padding"), [
    ({"kernel_size": 3}, (28, 28, 3), (0, 0)),
    ({"kernel_size": 3, "strides": 2}, (None, None, 3), (0, 0)),
    ({"kernel_size": 3, "padding": "same"}, (28, 28, 3), (1, 1)),
    ({"kernel_size": (5, 3), "padding": "same", "dilation_rate": 2}, (None, None, 3), (4, 2)),
    ({"kernel_size": 7, "strides": 2, "padding": "same"}, (27, 27, 3), (3, 3)),
    ({"kernel_size": 1, "strides": 2, "padding": "same"}, (None, None, 3), (0, 0)),
])
def test_symmetric_padding_is_a_stock_convolution(arguments: dict[str, Any], shape: Any, padding: Any) -> None:
    """Nothing stands around it but the two permutes of Keras' order, which are views."""
    compiled = Conv2D(8, **arguments).to_torch((None, *shape))
    (module,) = compiled.children()
    assert type(module) is nn.Conv2d
    assert module.padding == padding
    steps = [node.target for node in compiled.graph.nodes if node.op.startswith("call")]
    assert steps == [torch.permute, "conv2d", torch.permute]


def test_channels_first_needs_no_permute() -> None:
    compiled = Conv2D(8, 3, data_format="channels_first").to_torch((3, 28, 28))
    assert [node.target for node in compiled.graph.nodes if node.op.startswith("call")] == ["conv2d"]


@pytest.mark.parametrize("size", [None, 28])
@pytest.mark.parametrize(("layer", "keys"), [
    (Conv2D(8, 3, 2, "same"), ["conv2d.weight", "conv2d.bias"]),
    (Conv2DTranspose(8, 3, 2, "same"), ["conv2d_transpose.weight", "conv2d_transpose.bias"]),
    (DepthwiseConv2D(3, 2, "same"), ["depthwise_conv2d.weight", "depthwise_conv2d.bias"]),
    (SeparableConv2D(8, 3, 2, "same"), ["separable_conv2d.depthwise.weight", "separable_conv2d.pointwise.weight",
                                        "separable_conv2d.pointwise.bias"]),
])
def test_one_sided_padding_keeps_the_names(layer: Layer, keys: list[str], size: int | None) -> None:
    assert list(layer.to_torch((None, size, size, 3)).state_dict()) == keys


@pytest.mark.parametrize("layer", [Conv2D(8, 3, padding="same"), DepthwiseConv2D(2, 2), SeparableConv2D(4, 3),
                                   Conv2DTranspose(4, 2, 2), Conv2DTranspose(4, 4, 2, "same")])
def test_only_stock_modules(layer: Layer) -> None:
    modules = list(layer.to_torch((None, None, None, 3)).modules())[1:]
    assert {type(m).__module__.partition(".nn")[0] for m in modules} == {"torch"}


def test_one_layer_on_two_sizes_shares_its_weights() -> None:
    first, second = Input((9, 9, 2)), Input((8, 8, 2))
    layer = Conv2D(3, 3, 2, "same")
    module = Model([first, second], [layer(first), layer(second)]).to_torch()
    assert len(list(module.parameters())) == 2
    a, b = module(torch.ones(1, 9, 9, 2), torch.ones(1, 8, 8, 2))
    assert (a.shape, b.shape) == ((1, 5, 5, 3), (1, 4, 4, 3))
    assert torch.allclose(a[:, 1:4, 1:4], b[:, 1:2, 1:2].expand(1, 3, 3, 3), atol=1e-6)


def test_causal_sees_nothing_later() -> None:
    module = Conv1D(1, 3, padding="causal", dilation_rate=2).to_torch((None, None, 1))
    x = torch.ones(1, 12, 1, requires_grad=True)
    module(x)[0, 6, 0].backward()
    assert x.grad is not None
    assert x.grad.flatten().nonzero().flatten().tolist() == [2, 4, 6]


# ---- graphs that other tools take ------------------------------------------------------------------------------------


@pytest.mark.skipif(TORCH < (2, 11), reason="torch 2.6 exports no padding that is computed from a free size")
@pytest.mark.parametrize(("window", "stride"), [(3, 2), (2, 3), (5, 3)])
def test_free_sizes_export(window: int, stride: int) -> None:
    module = Conv2D(4, window, stride, "same").to_torch((None, None, None, 3))
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("height", min=4), 2: torch.export.Dim("width", min=4)}
    exported = torch.export.export(module, (torch.rand(2, 16, 17, 3),), dynamic_shapes=(free,), strict=False).module()
    for height, width in itertools.product((15, 16, 18), (7, 20)):
        x = torch.rand(3, height, width, 3)
        torch.testing.assert_close(exported(x), module(x))


@pytest.mark.parametrize("layer", [Conv2D(4, 3, 2, "same"), Conv2DTranspose(4, 3, 2, "same"),
                                   SeparableConv2D(4, 2, 2, "same"), Conv2D(4, 2, padding="same")])
def test_compiles_whole(layer: Layer) -> None:
    module = layer.to_torch((None, None, None, 3))
    whole = torch.compile(module, fullgraph=True, dynamic=True, backend="eager")
    for size in (9, 12):
        x = torch.rand(2, size, size + 1, 3)
        torch.testing.assert_close(whole(x), module(x))


# ---- names and refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alias", "name"), [
    ("Convolution1D", "Conv1D"), ("Convolution2D", "Conv2D"), ("Convolution3D", "Conv3D"),
    ("Convolution1DTranspose", "Conv1DTranspose"), ("Convolution2DTranspose", "Conv2DTranspose"),
    ("Convolution3DTranspose", "Conv3DTranspose"), ("SeparableConvolution1D", "SeparableConv1D"),
    ("SeparableConvolution2D", "SeparableConv2D"), ("Deconvolution2D", "Conv2DTranspose"),
    ("Deconvolution3D", "Conv3DTranspose"),
])
def test_other_names(alias: str, name: str) -> None:
    assert Layer.catalog()[alias] is Layer.catalog()[name]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Conv2D(4, 3, padding="causal"), "only Conv1D has an axis that is time"),
    (lambda: Conv2D(5, 3, groups=2), "filters=5 cannot be divided into groups=2"),
    (lambda: Conv3D(4, 3, strides=2, dilation_rate=2), "strides and dilation_rate cannot both be larger than 1"),
    (lambda: Conv1DTranspose(4, 3, 2, output_padding=2), "output_padding must be smaller than strides"),
    (lambda: SeparableConv1D(4, 3, padding="causal"), "must be one of 'valid', 'same'"),
    (lambda: DepthwiseConv1D(3, depth_multiplier=0), "depth_multiplier=...* must be a positive integer"),
    (lambda: Conv2D(4, (3, 3, 3)), "must be one integer or 2 of them"),
])
def test_bad_arguments_fail_where_they_are_given(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(("layer", "shape", "message"), [
    (Conv2D(4, 3), (None, 2, 8, 3), "height: a window of 3 with padding 'valid' needs at least 3, got 2"),
    (Conv1D(4, 3, dilation_rate=4), (None, 8, 3), r"steps: a window of 3 \(dilated by 4: 9\).* got 8"),
    (Conv2D(4, 3), (None, 28, 28), r"expected rank 4, \(batch, height, width, channels\), got rank 3"),
    (Conv2D(4, 3, groups=2), (None, 8, 8, 3), "channels: 3 cannot be divided into groups=2"),
    (DepthwiseConv2D(3), (None, 8, 8, None), "channels: the size of this axis is None"),
    (Conv2D(4, 3, data_format="channels_first"), (None, None, 8, 8), "channels: the size of this axis is None"),
])
def test_bad_shapes_name_the_axis(layer: Layer, shape: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer(Input(batch_shape=shape))

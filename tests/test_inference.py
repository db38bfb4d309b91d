"""Modules optimized for inference: the same numbers from fewer operations, and a clear no to everything else."""

from __future__ import annotations

import copy
import io
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import torch
from harness import DATA, Case, own_generator
from seeded import seeded
from test_applications import read
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import kerashape_torch as kt
from kerashape_torch import Input, Model, Sequential, layers
from kerashape_torch.errors import ConfigError, KerashapeError, WeightsError
from kerashape_torch.lowering import keras_weights
from kerashape_torch.structure import flatten


def counts(module: Any) -> Counter[str]:
    """The calls of a module by what they call."""
    return Counter(type(module.get_submodule(node.target)).__name__ if node.op == "call_module" else
                   getattr(node.target, "__name__", node.target)
                   for node in module.graph.nodes if node.op.startswith("call_"))


def filled(module: Any) -> Any:
    """The module with numbers in all weights: variances are not 1, means not 0."""
    kt.set_keras_weights(module, [seeded(spec.full_path, spec.shape) for spec in keras_weights(module).specs])
    return module


def agree(module: Any, *inputs: Any, rtol: float = 1e-4, atol: float = 1e-5) -> Any:
    """Optimizes a module; the numbers stay, and so do the module and the inputs. Gives the optimized one."""
    kept = copy.deepcopy(module.state_dict())
    optimized = kt.optimize_for_inference(module)
    given = [x.clone() if isinstance(x, torch.Tensor) else x for x in inputs]
    with torch.inference_mode():
        got = flatten(optimized(*given))
        want = flatten(module(*inputs))
    for a, b in zip(got, want, strict=True):
        if isinstance(b, torch.Tensor):
            scale = max(1.0, float(b.abs().max())) if b.is_floating_point() and b.numel() else 1.0
            torch.testing.assert_close(a, b, rtol=rtol, atol=atol * scale, equal_nan=True)
    for a, b in zip(given, inputs):
        if isinstance(b, torch.Tensor):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    stateful = [name for name in kept if "state_" in name]
    for name, x in module.state_dict().items():
        if isinstance(x, torch.Tensor) and name not in stateful:
            torch.testing.assert_close(x, kept[name], rtol=0, atol=0, equal_nan=True)
    return optimized


# ---- whole models ----------------------------------------------------------------------------------------------------

FILES = sorted(path for path in (DATA / "functional").glob("*.keras") if not path.stem.startswith("lambda_"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_model_files(path: Path) -> None:
    module = kt.load_model(path).to_torch()
    with np.load(path.with_suffix(".npz")) as stored:
        inputs = [torch.as_tensor(stored[key]) for key in sorted(stored.files) if key.startswith("input_")]
    half = any(x.dtype in (torch.float16, torch.bfloat16) for x in flatten(module(*inputs))) or "mixed" in path.stem
    agree(module, *inputs, **({"rtol": 2e-2, "atol": 2e-2} if half else {}))


@pytest.mark.parametrize("case", harness.replayable_cases(), ids=lambda c: c["id"])
def test_recorded_layers(case: Case) -> None:
    """Keras' own numbers come out of every recorded layer as before."""
    stored = harness.arrays(case)
    inputs = [*(stored[f"input_{i}"] for i in range(case["n_inputs"])),
              *(stored[f"kwarg_{i}"] for i in range(case["n_kwargs"]))]
    module: Any = harness.compiled(case, harness.make(case), inputs)
    kt.set_keras_weights(module, [stored[f"weight_{i}"] for i in range(sum(n.startswith("weight_") for n in stored))])
    with torch.inference_mode():
        got = kt.optimize_for_inference(module)(*[harness.as_input(x) for x in inputs])
    for x, accepted in zip(flatten(got), harness.recorded_outputs(case), strict=True):
        assert harness.agrees(x.numpy() if isinstance(x, torch.Tensor) else x, accepted)


NO_NORM_LEFT = ["EfficientNetB0", "MobileNet__alpha025_96_notop_avg", "MobileNetV2", "MobileNetV3Small", "ResNet50",
                "EfficientNetV2B0", "InceptionV3__notop_none", "Xception__notop_avg", "InceptionResNetV2"]
NORMS_LEFT = {"ResNet50V2": 17, "DenseNet169": 86, "NASNetMobile__96": 4, "ConvNeXtTiny__notop_max": 0}
"""What normalizes a sum or a joint before an activation has no neighbour that it could go into."""


def norms(found: Counter[str]) -> int:
    return sum(number for name, number in found.items() if name.startswith("Batch"))


@pytest.mark.parametrize("name", [*NO_NORM_LEFT, *NORMS_LEFT])
def test_what_is_left_of_the_applications(name: str) -> None:
    optimized: Any = kt.load_model(read(f"{name}.json.gz")).to_torch(device="meta", optimize="inference")
    found = counts(optimized)
    assert norms(found) == NORMS_LEFT.get(name, 0)
    assert not any("Dropout" in each or each in ("Identity", "Sequential", "Scale") for each in found)


@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV2", "ResNet50", "ConvNeXtTiny__notop_max",
                                  "MobileNetV3Small", "NASNetMobile__96", "Xception__notop_avg", "EfficientNetV2B0"])
def test_numbers_of_the_applications(name: str) -> None:
    model = kt.load_model(read(f"{name}.json.gz"))
    sizes = [size or 224 for size in model.input_shape[1:]]
    x = torch.rand(1, *sizes, generator=torch.Generator().manual_seed(0)) * 2
    optimized = agree(filled(model.to_torch()), x)
    with torch.inference_mode():
        assert float(optimized(x).std()) > 0


def test_counts_before_and_after() -> None:
    model = kt.load_model(read("MobileNetV2.json.gz"))
    before, after = (counts(model.to_torch(device="meta", optimize=how)) for how in (None, "inference"))
    assert before == {"permute": 1, "PaddedConv2d": 1, "BatchNorm2d": 52, "ReLU6": 35, "Conv2d": 51, "ZeroPad2d": 4,
                      "add": 10, "mean": 1, "Linear": 1, "softmax": 1}
    assert after == {"permute": 1, "PaddedConv2d": 1, "ReLU6": 1, "FusedConv2d": 51, "mean": 1,
                     "Linear": 1, "softmax": 1}


# ---- folding ---------------------------------------------------------------------------------------------------------

X = Input((8, 8, 4))
NORM = layers.BatchNormalization


@pytest.mark.parametrize("layer", [
    layers.Conv2D(6, 3), layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False), layers.Conv2D(6, 3, groups=2),
    layers.DepthwiseConv2D(3, depth_multiplier=2), layers.SeparableConv2D(6, 3, padding="same"),
    layers.Conv2DTranspose(6, 3, strides=2), layers.Conv2DTranspose(6, 3, strides=2, padding="same", use_bias=False),
    layers.Dense(6), layers.Dense(6, use_bias=False)], ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("norm", [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False},
                                  {"renorm": True}], ids=str)
def test_into_the_one_before(layer: Any, norm: dict[str, Any]) -> None:
    own = layer.copy(nodes=[], _namer=None, name="weighing")
    module = filled(Model(X, NORM(**norm)(own(X))).to_torch())
    optimized = agree(module, torch.randn(2, 8, 8, 4))
    assert norms(counts(optimized)) == 0 and norms(counts(module)) == 1


@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks(rank: int) -> None:
    convolution = {1: layers.Conv1D, 3: layers.Conv3D}[rank]
    x = Input((8,) * rank + (4,))
    for padding in ("valid", "same"):
        module = filled(Model(x, NORM()(convolution(3, 3, padding=padding)(NORM()(x)))).to_torch())
        optimized = agree(module, torch.randn(2, *x.shape[1:]))
        assert norms(counts(optimized)) == (padding == "same")


@pytest.mark.parametrize(("layer", "left"), [
    (layers.Conv2D(6, 3), 0), (layers.Conv2D(6, 3, groups=2), 0), (layers.DepthwiseConv2D(3), 0), (layers.Dense(6), 0),
    (layers.Conv2D(6, 3, padding="same"), 1), (layers.Conv2D(6, 3, strides=2, padding="same"), 1),
    (layers.Conv2DTranspose(6, 3), 1)])
def test_into_the_one_after(layer: Any, left: int) -> None:
    """Zeros beside the image would be shifted with it, so what pads takes no shift."""
    module = filled(Model(X, layer.copy(nodes=[], _namer=None, name="weighing")(NORM()(X))).to_torch())
    assert norms(counts(agree(module, torch.randn(2, 8, 8, 4)))) == left


def test_a_scale_goes_into_what_pads() -> None:
    module = filled(Model(X, layers.Conv2D(6, 3, padding="same")(layers.Rescaling(0.25)(X))).to_torch())
    assert counts(agree(module, torch.randn(2, 8, 8, 4))) == {"permute": 2, "FusedConv2d": 1}


def test_two_rescalings_are_one_that_is_on_no_device() -> None:
    x = Input((6, 6, 3))
    y = layers.Rescaling(0.5, 1.0)(layers.Rescaling(3.0, 4.0)(x))
    found = agree(Model(x, layers.Conv2D(2, 3, padding="same")(y)).to_torch(), torch.randn(2, 6, 6, 3))
    assert counts(found)["rescale"] == 1 and not dict(found.named_buffers())


def test_preprocessing() -> None:
    x = Input((8, 8, 3))
    y = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 0.5])(layers.Rescaling(1 / 127.5, -1.0)(x))
    images = torch.rand(2, 8, 8, 3) * 255
    valid = filled(Model(x, layers.Conv2D(4, 3)(y)).to_torch())
    assert counts(agree(valid, images)) == {"permute": 2, "FusedConv2d": 1}
    padded = filled(Model(x, layers.Conv2D(4, 3, padding="same")(y)).to_torch())
    assert counts(agree(padded, images)) == {"Affine": 1, "permute": 2, "FusedConv2d": 1}


def test_integers_stay_for_what_makes_floats_of_them() -> None:
    x = Input((8, 8, 3), dtype="uint8")
    module = filled(Model(x, layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(x))).to_torch())
    agree(module, torch.randint(256, (2, 8, 8, 3), dtype=torch.uint8))


def test_numbers_far_from_zero_keep_their_digits() -> None:
    """A mean of many deviations would cancel against the product of the weights."""
    x = Input((6,))
    y = layers.Normalization(mean=[1e5] * 6, variance=[1.0] * 6)(x)
    module = filled(Model(x, layers.Dense(3)(y)).to_torch())
    optimized = agree(module, 1e5 + torch.randn(4, 6))
    assert counts(optimized)["Normalize"] == 1


def test_a_layer_with_two_users_or_two_calls_stays() -> None:
    convolution = layers.Conv2D(4, 3, padding="same")
    y = convolution(X)
    both = filled(Model(X, [NORM()(y), y]).to_torch())
    assert norms(counts(agree(both, torch.randn(2, 8, 8, 4)))) == 1
    shared = layers.Conv2D(4, 3, padding="same")
    twice = filled(Model(X, NORM()(shared(layers.ReLU()(shared(X))))).to_torch())
    assert norms(counts(agree(twice, torch.randn(2, 8, 8, 4)))) == 1


def test_a_shared_norm_goes_into_both() -> None:
    norm, x = NORM(), Input((8, 8, 4))
    y = layers.Add()([norm(layers.Conv2D(4, 3)(x)), norm(layers.Conv2D(4, 3)(x))])
    assert norms(counts(agree(filled(Model(x, y).to_torch()), torch.randn(2, 8, 8, 4)))) == 0


def test_nested_models_and_the_layer_of_time_distributed() -> None:
    inner = Sequential([Input((8, 8, 4)), layers.Conv2D(4, 3, name="c"), NORM(name="n"), layers.Dropout(0.3)],
                       name="inner")
    x = Input((3, 8, 8, 4))
    module = filled(Model(x, layers.TimeDistributed(inner)(x)).to_torch())
    optimized = agree(module, torch.randn(2, 3, 8, 8, 4))
    assert not any(isinstance(part, (nn.modules.batchnorm._BatchNorm, nn.Dropout)) for part in optimized.modules())
    nested = filled(Model(X, inner(X)).to_torch())
    assert counts(agree(nested, torch.randn(2, 8, 8, 4))) == {"permute": 2, "FusedConv2d": 1}


def test_statistics_that_are_gathered_still_stay() -> None:
    module = filled(Model(X, layers.Dropout(0.5)(NORM()(layers.Conv2D(4, 3)(X), training=True),
                                                 training=True)).to_torch())
    found = counts(kt.optimize_for_inference(module))
    assert norms(found) == 1 and found["Dropout"] == 1


# ---- the other passes ------------------------------------------------------------------------------------------------


def test_what_does_nothing_is_gone() -> None:
    x = Input((8, 6))
    y = layers.Dense(4)(layers.GaussianNoise(0.1)(layers.GaussianDropout(0.1)(layers.AlphaDropout(0.2)(x))))
    y = layers.SpatialDropout1D(0.2)(layers.Dropout(0.1, noise_shape=(None, 1, 4))(y))
    y = layers.ActivityRegularization(0.1)(y)
    assert counts(agree(Model(x, layers.Identity()(y)).to_torch(), torch.randn(2, 8, 6))) == {"Linear": 1}


def test_constants_and_what_is_computed_twice() -> None:
    x = Input((4,))
    module: Any = Model(x, layers.Concatenate()([kt.ops.sin(x) * 2.0, kt.ops.sin(x) + 1.0])).to_torch()
    first, last = next(iter(module.graph.nodes)), module.graph.output_node().args[0]
    module.register_buffer("table", torch.arange(8.0).reshape(1, 8), persistent=False)
    with module.graph.inserting_after(first):
        table = module.graph.get_attr("table")
    with module.graph.inserting_before(module.graph.output_node()):
        table = module.graph.call_function(torch.exp, (module.graph.call_function(torch.neg, (table,)),))
        noise = module.graph.call_function(torch.rand_like, (table,))
        shifted = module.graph.call_function(torch.add, (last, table))
        module.graph.output_node().args = ([shifted, noise],)
    module.recompile()
    before, optimized = counts(module), kt.optimize_for_inference(module)
    after = counts(optimized)
    assert (before["sin"], before["exp"], before["neg"]) == (2, 1, 1)
    assert (after["sin"], after["exp"], after["neg"], after["rand_like"]) == (1, 0, 0, 1)
    assert set(optimized.state_dict()) == {"_extra_state"}
    torch.testing.assert_close(optimized(torch.ones(3, 4))[0], module(torch.ones(3, 4))[0], rtol=0, atol=0)


def test_outputs_stay_apart() -> None:
    x = Input((4,))
    module = Model(x, [kt.ops.sin(x), kt.ops.sin(x)]).to_torch()
    first, second = kt.optimize_for_inference(module)(torch.ones(1, 4))
    assert first.data_ptr() != second.data_ptr()


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "sigmoid", "tanh", "hard_silu", "leaky_relu", "elu"])
def test_activations_write_in_place_only_where_nobody_sees_it(activation: str) -> None:
    y = layers.Conv2DTranspose(4, 1)(X)
    seen = Model(X, [layers.Activation(activation)(X), layers.Activation(activation)(y), y]).to_torch()
    text = agree(filled(seen), torch.randn(2, 8, 8, 4)).code
    assert "inplace=True" not in text.replace(" ", "") and f"{activation}_(" not in text
    alone = Model(X, layers.Activation(activation)(layers.Conv2DTranspose(4, 1)(X))).to_torch()
    text = agree(filled(alone), torch.randn(2, 8, 8, 4)).code.replace(" ", "")
    assert "inplace=True" in text or f"{activation}_(" in text


def test_sums_write_in_place_where_shapes_are_known_to_be_alike() -> None:
    y = layers.Conv2DTranspose(4, 1)(X)
    two = layers.Add()([y, layers.Conv2DTranspose(4, 1)(X)])
    assert counts(agree(filled(Model(X, two).to_torch()), torch.randn(2, 8, 8, 4)))["add_"] == 1
    small = layers.GlobalAveragePooling2D(keepdims=True)(y)
    assert not counts(agree(filled(Model(X, layers.Add()([small, y])).to_torch()), torch.randn(2, 8, 8, 4)))["add_"]
    free = Input((None, None, 4))
    two = layers.Add()([layers.Conv2DTranspose(4, 1)(free), layers.Conv2DTranspose(4, 1)(free)])
    wide = Model(free, two).to_torch()
    assert not counts(agree(filled(wide), torch.randn(2, 8, 8, 4)))["add_"]


# ---- fused convolutions ----------------------------------------------------------------------------------------------

BIG = Input((64, 64, 16))  # in a batch of two: enough for one operation of oneDNN


def fused_calls(module: Any, x: torch.Tensor) -> int:
    with torch.inference_mode(), torch.profiler.profile() as profile:
        module(x)
    return sum("_convolution_pointwise" in event.name for event in profile.events())


def gone_in(module: Any) -> list[str]:
    """What went into the convolutions of a module."""
    return [what for name, part in module.named_children() if type(part).__name__ == "FusedConv2d"
            for node in module.graph.nodes if node.target == name
            for what in (["sum"] if len(node.args) > 1 else []) + [part.activation.name] if what != "none"]


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hard_silu", "hard_sigmoid"])
@pytest.mark.parametrize("added", [False, True])
def test_activations_and_sums_go_into_convolutions(activation: str, added: bool) -> None:
    def model(x: Any) -> Any:
        y = layers.BatchNormalization()(layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False)(x))
        y = layers.Add()([layers.MaxPooling2D(3, 1, padding="same")(x), y]) if added else y
        return filled(Model(x, layers.Activation(activation)(y)).to_torch())

    for x, count in ((BIG, 1), (X, 0)):  # what is small takes the way of every other device
        found = agree(model(x), sample := torch.randn(2, *x.shape[1:]))
        assert counts(found) == {"permute": 2, "FusedConv2d": 1, **({"MaxPool2d": 1} if added else {})}
        assert len(gone_in(found)) == 1 + added
        assert fused_calls(found, sample) == count
        copied = pickle.loads(pickle.dumps(copy.deepcopy(found)))
        torch.testing.assert_close(copied(sample), found(sample))
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            assert found(sample).dtype == model(x)(sample).dtype == (torch.float32 if added else torch.bfloat16)
        found.to(torch.float64)
        torch.testing.assert_close(found(sample.double()).float(), copied(sample), rtol=1e-4, atol=1e-4)
        watched = sample.requires_grad_()
        copied(watched).sum().backward()
        assert watched.grad is not None


def test_kernels_in_the_order_of_onednn_follow_the_kernel_and_the_shape() -> None:
    x = Input((None, None, 16))
    y = layers.DepthwiseConv2D(3, padding="same")(layers.Conv2D(16, 3, padding="same")(x))
    plain = filled(Model(x, y).to_torch())
    found = agree(plain, big := torch.randn(2, 64, 64, 16))
    assert fused_calls(found, big) == 2
    assert fused_calls(found, torch.randn(1, 5, 5, 16)) == 1  # in groups it pays always
    for sample in (big, torch.randn(3, 80, 48, 16), big[:1]):
        torch.testing.assert_close(found(sample), plain(sample), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        for part in found.children():
            part.weight.mul_(2)
    doubled = found(big)
    found.load_state_dict(copy.deepcopy(found.state_dict()))
    torch.testing.assert_close(found(big), doubled)
    with torch.no_grad():
        for module in (plain, found):
            for each in module.parameters():
                each.fill_(0.5)
    torch.testing.assert_close(found(big), plain(big), rtol=1e-4, atol=1e-4)
    stored = io.BytesIO()
    torch.save(found, stored)
    numbers = 4 * sum(each.numel() for each in found.parameters())
    assert stored.tell() < numbers + 20_000  # the kernels once


def test_who_follows_operations_sees_those_that_every_device_has() -> None:
    x = torch.randn(2, 64, 64, 16)
    found = agree(filled(Model(BIG, layers.ReLU()(layers.Conv2D(16, 3)(BIG))).to_torch()), x)
    assert fused_calls(found, x) == 1
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert found(torch.empty(2, 64, 64, 16)).shape == (2, 62, 62, 16)
    torch.testing.assert_close(torch.vmap(found)(torch.stack([x, x]))[1], found(x))
    called = {node.target for node in make_fx(found)(x).graph.nodes if node.op == "call_function"}
    assert called == {torch.ops.aten.permute.default, torch.ops.aten.convolution.default, torch.ops.aten.relu_.default}


def test_what_does_not_go_into_a_convolution() -> None:
    y = layers.Conv2D(16, 1)(BIG)
    for outputs in ([layers.ReLU()(y), y], layers.ReLU(negative_slope=0.1)(y), layers.Add()([y, y]),
                    layers.Add()([y, layers.GlobalAveragePooling2D(keepdims=True)(BIG)])):
        assert not gone_in(agree(filled(Model(BIG, outputs).to_torch()), torch.randn(2, 64, 64, 16)))
    one, other = Input((64, 64, 16)), Input((64, 64, 16))  # which may have one sample
    both = filled(Model([one, other], layers.Add()([layers.Conv2D(16, 1)(one), other])).to_torch())
    assert not gone_in(agree(both, torch.randn(2, 64, 64, 16), torch.randn(2, 64, 64, 16)))
    free = Input((None, None, 16))
    wide = filled(Model(free, layers.Add()([layers.Conv2D(16, 1)(free), free])).to_torch())
    assert not gone_in(agree(wide, torch.randn(2, 64, 64, 16)))


def test_the_later_one_of_two_convolutions_takes_the_sum() -> None:
    two = layers.ReLU()(layers.Add()([layers.Conv2D(16, 3, padding="same")(BIG), layers.Conv2D(16, 1)(BIG)]))
    found = agree(filled(Model(BIG, two).to_torch()), torch.randn(2, 64, 64, 16))
    assert counts(found) == {"permute": 2, "FusedConv2d": 2}
    assert gone_in(found) == ["sum", "relu"]


@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize("window", [2, 3, 4, 5])
@pytest.mark.parametrize("explicit", [False, True], ids=["same", "ZeroPadding2D"])
def test_uneven_padding_of_depthwise_convolutions(size: int, window: int, explicit: bool) -> None:
    x = Input((size, size, 4))
    padded = layers.ZeroPadding2D(((0, 1), (1, 2)))(x) if explicit else x
    y = layers.DepthwiseConv2D(window, strides=2, padding="valid" if explicit else "same")(padded)
    found = counts(agree(filled(Model(x, NORM()(y)).to_torch()), torch.randn(2, size, size, 4)))
    assert found == {"permute": 2, "FusedConv2d": 1}


def test_causal_depthwise_convolution() -> None:
    x = Input((9, 4))
    for dilation in (1, 2):
        y = layers.Conv1D(4, 3, padding="causal", groups=4, dilation_rate=dilation)(x)
        assert counts(agree(filled(Model(x, y).to_torch()), torch.randn(2, 9, 4))) == {"permute": 2, "Conv1d": 1}


def test_kernels_lie_channels_last() -> None:
    optimized: Any = filled(Model(X, layers.Conv2D(8, 3)(X)).to_torch())
    optimized = kt.optimize_for_inference(optimized)
    assert optimized.conv2d.weight.is_contiguous(memory_format=torch.channels_last)
    assert not optimized.conv2d.weight.is_contiguous()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_casts_once(policy: str) -> None:
    x = Input((8, 8, 4))
    y = NORM(dtype=policy)(layers.Conv2D(8, 3, dtype=policy)(x))
    module = filled(Model(x, layers.Dense(3, dtype=policy)(layers.Flatten(dtype=policy)(y))).to_torch())
    optimized = agree(module, torch.randn(2, 8, 8, 4), rtol=2e-2, atol=2e-2)
    assert not any(type(part).__name__ == "MixedPrecision" for part in optimized.modules())
    assert {p.dtype for p in optimized.parameters()} == {getattr(torch, policy.removeprefix("mixed_"))}


# ---- what it is, and is not ------------------------------------------------------------------------------------------


def small() -> Model:
    return Model(X, layers.Dense(3)(layers.GlobalAveragePooling2D()(NORM()(layers.Conv2D(6, 3)(X)))))


def test_it_is_an_ordinary_graph() -> None:
    optimized: Any = small().to_torch(optimize="inference")
    assert isinstance(optimized, fx.GraphModule) and not optimized.training
    assert not any(p.requires_grad for p in optimized.parameters())
    x = torch.randn(2, 8, 8, 4)
    again = pickle.loads(pickle.dumps(optimized))
    for other in (copy.deepcopy(optimized), again):
        torch.testing.assert_close(other(x), optimized(x), rtol=0, atol=0)
        with pytest.raises(KerashapeError, match="optimized for inference"):
            other.train()
    assert optimized.eval() is optimized
    other.load_state_dict(optimized.state_dict())


def test_what_it_refuses(tmp_path: Path) -> None:
    model = small()
    model.compile("sgd", "mse")
    plain, optimized = model.to_torch(), model.to_torch(optimize="inference")
    way_out = "what to_torch.. gives, then pass (it|that) to optimize_for_inference"
    model.save_weights(tmp_path / "m.weights.h5", plain)
    kt.saving.save_weights(plain, tmp_path / "m.safetensors")
    for refused in (lambda: optimized.train(), lambda: kt.get_keras_weights(optimized),
                    lambda: kt.set_keras_weights(optimized, []), lambda: kt.regularization_loss(optimized),
                    lambda: kt.saving.load_weights(optimized, tmp_path / "m.weights.h5"),
                    lambda: kt.saving.load_weights(optimized, tmp_path / "m.safetensors"),
                    lambda: kt.saving.save_weights(optimized, tmp_path / "n.weights.h5"),
                    lambda: kt.saving.save_weights(optimized, tmp_path / "n.safetensors"),
                    lambda: kt.training.of(model, optimized), lambda: kt.optimize_for_inference(optimized)):
        with pytest.raises(KerashapeError, match=way_out):
            refused()
    with pytest.raises(WeightsError, match=way_out):
        optimized.load_state_dict(plain.state_dict())
    assert not list(tmp_path.glob("n.*"))


def test_other_words_and_other_modules() -> None:
    with pytest.raises(ConfigError, match="optimize must be 'inference' or None, got 'training'"):
        small().to_torch(optimize="training")
    with pytest.raises(KerashapeError, match="not what to_torch"):
        kt.optimize_for_inference(nn.Linear(2, 2))


def test_lazy_modules() -> None:
    lazy = Sequential([layers.Dense(4), NORM()])
    for refused in (lazy, layers.Dense(4)):
        with pytest.raises(ConfigError, match="no input shape yet"):
            refused.to_torch(optimize="inference")
    module = lazy.to_torch()
    with pytest.raises(KerashapeError, match="call it once first"):
        kt.optimize_for_inference(module)
    module(torch.zeros(2, 3))
    assert counts(agree(module, torch.randn(2, 3))) == {"Linear": 1}
    assert layers.Dense(4).to_torch((3,), optimize="inference")(torch.zeros(2, 3)).shape == (2, 4)


def test_after_training() -> None:
    with own_generator():
        module = small().to_torch().train()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        for _ in range(3):
            module(torch.randn(8, 8, 8, 4)).square().sum().backward()
            optimizer.step()
        optimized = kt.optimize_for_inference(module)
        assert module.training
        x = torch.randn(2, 8, 8, 4)
        torch.testing.assert_close(optimized(x), module.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_dtypes(dtype: str) -> None:
    kind = getattr(torch, dtype)
    exact = dtype == "float64"
    module = filled(small().to_torch(dtype=dtype))
    optimized = agree(module, torch.randn(2, 8, 8, 4, dtype=kind), **({} if exact else {"rtol": 2e-2, "atol": 2e-2}))
    assert {p.dtype for p in optimized.parameters()} == {kind}


def test_layouts_and_devices() -> None:
    model = small()
    plain: Any = filled(model.to_torch(layout="torch"))
    agree(plain, torch.randn(2, 4, 8, 8))
    meta: Any = model.to_torch(device="meta", optimize="inference")
    assert all(p.is_meta for p in meta.parameters()) and norms(counts(meta)) == 0


def test_a_part_that_is_watched_is_left_alone() -> None:
    module: Any = filled(small().to_torch())
    seen: list[Any] = []
    module.batch_normalization.register_forward_hook(lambda *_: seen.append(1))
    optimized = kt.optimize_for_inference(module)
    assert norms(counts(optimized)) == 1
    optimized(torch.randn(2, 8, 8, 4))
    assert seen


def test_its_table_of_shapes() -> None:
    optimized = small().to_torch(optimize="inference")
    table = kt.shape_table(optimized)
    assert [row.output_shape for row in table][-1] == (None, 3)
    assert "BatchNorm" not in str(table)

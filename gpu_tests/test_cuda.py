"""Recorded numbers of layers and models on a CUDA device, and what only a device has: placement, streams, memory."""

from __future__ import annotations

from typing import Any

import harness
import numpy as np
import pytest
import torch
from harness import Case

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.layer import Layer
from kerashape_torch.structure import flatten

FILES = ["unet", "text_cnn", "seq2seq_lstm_states", "func_inception_branches", "conv3d_net", "bidirectional_modes",
         "wide_and_deep", "autoencoder_conv", "td_cnn_lstm", "wavenet"]

pytestmark = [  # what torch says of speed where exact numbers are asked for
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning"),
    pytest.mark.filterwarnings("ignore:Please use the new API settings to control TF32:UserWarning"),
    pytest.mark.filterwarnings("ignore:\\s*Online softmax is disabled:UserWarning"),
]


@pytest.fixture(autouse=True)
def exact_float32() -> None:
    """Full float32 products: TF32 keeps ten bits, and the recorded numbers have more."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@pytest.mark.parametrize("case", harness.replayable_cases(), ids=lambda c: c["id"])
def test_numbers_on_cuda(case: Case) -> None:
    got = harness.run_numeric(case, harness.make(case), device="cuda")
    for array, accepted in zip(got, harness.recorded_outputs(case), strict=True):
        assert harness.agrees(array, accepted)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compile"])
def test_model_files_on_cuda(name: str, compiled: bool) -> None:
    module = kt.load_model(harness.DATA / "functional" / f"{name}.keras").to_torch(device="cuda")
    assert all(p.is_cuda for p in module.parameters())
    with np.load(harness.DATA / "functional" / f"{name}.npz") as stored:
        inputs = [torch.as_tensor(stored[k]).cuda() for k in sorted(stored.files) if k.startswith("input_")]
        want = [stored[k] for k in sorted(stored.files) if k.startswith("output_")]
    run = torch.compile(module) if compiled else module  # in parts: it takes no nn.LSTM into a graph
    with torch.inference_mode():
        got = flatten(run(*inputs))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.float().cpu().numpy(), b, rtol=1e-4, atol=1e-5)


def test_lazy_on_cuda() -> None:
    module = kt.Sequential([kt.layers.Dense(4), kt.layers.Dense(2)]).to_torch(device="cuda")
    assert module(torch.zeros(3, 5, device="cuda")).is_cuda
    moved = kt.Sequential([kt.layers.Dense(4)]).to_torch().to("cuda")
    assert moved(torch.zeros(3, 5, device="cuda")).is_cuda


def test_predict_moves_arrays_to_the_device() -> None:
    module = kt.load_model(harness.DATA / "functional" / "unet.keras").to_torch(device="auto")
    assert next(module.parameters()).is_cuda
    assert kt.predict(module, np.zeros((5, 32, 32, 1), "float32"), batch_size=2).shape[0] == 5


@pytest.mark.parametrize("layer", [
    layers.RandomRotation((0.1, 0.1)), layers.RandomPerspective((0, 0)), layers.RandomPosterization((3, 3)),
    layers.RandomSaturation((0.3, 0.3)), layers.RandomSharpness((0.9, 0.9)), layers.Equalization(),
    layers.Resizing(5, 7, "lanczos3"), layers.ContrastLimitedAdaptiveHistogramEqualization()], ids=repr)
def test_images_in_training_are_those_of_the_cpu(layer: Layer) -> None:
    x = torch.rand(4, 16, 16, 3) * 255
    module = layer.to_torch((16, 16, 3)).train()
    want = module(x)
    torch.testing.assert_close(module.cuda()(x.cuda()).cpu(), want, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("layer", [
    layers.RandomFlip(seed=1), layers.RandomCrop(5, 6, seed=1), layers.RandomElasticTransform(seed=1),
    layers.RandomErasing(seed=1), layers.RandAugment(seed=1), layers.AugMix(seed=1), layers.MixUp(seed=1),
    layers.CutMix(seed=1)], ids=repr)
def test_images_draw_on_the_device(layer: Layer) -> None:
    x = torch.rand(8, 16, 16, 3, device="cuda") * 255
    first, again = (layer.to_torch((16, 16, 3)).train()(x) for _ in range(2))
    assert first.is_cuda and first.isfinite().all()
    assert torch.equal(first, again)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon", "adafactor"])
def test_training_steps_are_those_on_the_cpu(optimizer: str) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(3, 8, 6, 6, 2)).astype("float32"), random.integers(0, 3, (3, 8))
    made = []
    for device in ("cpu", "cuda"):
        model = kt.Sequential([kt.Input((6, 6, 2)), layers.Conv2D(4, 3, activity_regularizer="l2"),
                               layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["acc"])
        module = model.to_torch(device=device)
        kt.set_keras_weights(module, made[0][0] if made else [w * 0 + 0.1 for w in kt.get_keras_weights(module)])
        start = kt.get_keras_weights(module)
        training = kt.training.of(model, module)
        for step in range(3):
            training.step(x[step], y[step])
        made.append((start, kt.get_keras_weights(module), training.results()))
    for cpu, cuda in zip(made[0][1], made[1][1], strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-3, atol=1e-4)
    assert made[1][2] == pytest.approx(made[0][2], rel=1e-3)


# ---- inference -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", harness.replayable_cases(), ids=lambda c: c["id"])
@pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk:UserWarning")
def test_layers_in_bfloat16_are_near(case: Case) -> None:
    """A layer of weights and numbers of 16 bits beside itself in 32; what torch has no such kernel for says so. Its own
    recurrent modules lay only weights of other dtypes side by side, and warn."""
    stored = harness.arrays(case)
    inputs = [*(stored[f"input_{i}"] for i in range(case["n_inputs"])),
              *(stored[f"kwarg_{i}"] for i in range(case["n_kwargs"]))]
    if any(x.dtype.kind in "US" for x in inputs) or harness.is_half(case):
        pytest.skip("strings, or half precision already")
    module = harness.compiled(case, harness.make(case), inputs, "cuda")
    kt.set_keras_weights(module, [stored[f"weight_{i}"] for i in range(sum(n.startswith("weight_") for n in stored))])
    given = [torch.as_tensor(x, device="cuda") for x in inputs]
    with torch.inference_mode():
        want = flatten(module(*given))
        kt.reset_states(module)
        try:
            got = flatten(module.to(torch.bfloat16)(*[x.bfloat16() if x.is_floating_point() else x for x in given]))
        except RuntimeError as error:
            reasons = ("not implemented for", "only supports", "unable to find an engine")
            if not any(reason in str(error) for reason in reasons):
                raise
            pytest.skip(f"torch: {str(error).splitlines()[0]}")
    for a, b in zip(got, want, strict=True):
        if b.is_floating_point() and bool(b.isfinite().all()):
            torch.testing.assert_close(a.float(), b.float(), rtol=5e-2, atol=5e-2 * max(1.0, float(b.abs().max())))


def from_file(name: str) -> tuple[kt.Model, list[np.ndarray]]:
    with np.load(harness.DATA / "functional" / f"{name}.npz") as stored:
        inputs = [stored[key] for key in sorted(stored.files) if key.startswith("input_")]
    return kt.load_model(harness.DATA / "functional" / f"{name}.keras"), inputs  # type: ignore[return-value]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compile"])
def test_optimized_files(name: str, compiled: bool) -> None:
    model, inputs = from_file(name)
    module = model.to_torch(device="cuda", optimize="inference")
    run = torch.compile(module, fullgraph=True) if compiled else module
    with torch.inference_mode():
        got = flatten(run(*[torch.as_tensor(x).cuda() for x in inputs]))
        want = flatten(model.to_torch()(*map(torch.as_tensor, inputs)))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["unet", "text_cnn", "wide_and_deep", "conv3d_net", "autoencoder_conv"])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_graphs_replay_and_the_last_batch_is_filled_up(name: str, batch_size: int) -> None:
    model, inputs = from_file(name)
    many: Any = [np.concatenate([x] * 4)[:7] for x in inputs]
    many = many if len(many) > 1 else many[0]
    module = model.to_torch(device="cuda")
    want, got = (flatten(kt.predict(module, many, batch_size, cuda_graph=how)) for how in (False, True))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_streams_give_what_plain_calls_give() -> None:
    """Many small batches, so that a copy that is not waited for is seen."""
    module = kt.Sequential([kt.Input((64,)), layers.Dense(64, activation="tanh"), layers.Dense(32)]).to_torch(
        device="cuda")
    x = np.random.default_rng(0).normal(size=(5000, 64)).astype("float32")
    with torch.inference_mode():
        want = module(torch.as_tensor(x).cuda()).cpu().numpy()
    for given in (x, (x[i:i + 100] for i in range(0, 5000, 100))):
        np.testing.assert_allclose(kt.predict(module, given, 16), want, rtol=1e-4, atol=1e-5)


def test_memory_that_runs_out() -> None:
    class Hungry(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("here", torch.zeros((), device="cuda"))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            free, _ = torch.cuda.mem_get_info()
            torch.empty(len(x) * free // 6, dtype=torch.uint8, device="cuda")
            return x * 2

    x = np.ones((32, 3), "float32")
    with pytest.warns(UserWarning) as warned:
        np.testing.assert_array_equal(kt.predict(Hungry(), x, 16), x * 2)
    assert str(warned[0].message).startswith("there is no memory for batches of 16 samples")


def test_a_module_is_moved_and_stays() -> None:
    module = kt.Sequential([kt.Input((3,)), layers.Dense(2)]).to_torch()
    assert kt.predict(module, np.zeros((5, 3), "float32"), device="cuda").shape == (5, 2)
    assert module.dense.weight.is_cuda

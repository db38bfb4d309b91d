"""Nothing is made on the wrong device: layers and models on CUDA that is pretended, with Keras' numbers."""

from __future__ import annotations

from typing import Any

import harness
import numpy as np
import pytest
import torch
from harness import Case
from pretended_cuda import pretended_cuda

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.lowering.weights import to_numpy
from kerashape_torch.structure import flatten

CASES: dict[str, Case] = {}
for _case in harness.replayable_cases():
    CASES.setdefault(_case["class_name"], _case)


def on_cuda(module: Any, inputs: list[Any]) -> list[np.ndarray]:
    outputs = flatten(module(*inputs))
    assert all(x.is_cuda for x in outputs if isinstance(x, torch.Tensor))
    return [to_numpy(x) if isinstance(x, torch.Tensor) else x for x in outputs]


@pytest.mark.parametrize("class_name", sorted(CASES))
def test_layers(class_name: str) -> None:
    case = CASES[class_name]
    stored = harness.arrays(case)
    arrays = [*(stored[f"input_{i}"] for i in range(case["n_inputs"])),
              *(stored[f"kwarg_{i}"] for i in range(case["n_kwargs"]))]
    weights = [stored[f"weight_{i}"] for i in range(sum(name.startswith("weight_") for name in stored))]
    with pretended_cuda():
        module = harness.compiled(case, harness.make(case), arrays, "cuda")
        kt.set_keras_weights(module, weights)
        inputs = [harness.as_input(x, "cuda") for x in arrays]
        optimized = kt.optimize_for_inference(module)
        found = [on_cuda(module, inputs), on_cuda(optimized, inputs)]
        on_cuda(module.train(), inputs)
    for outputs in found:
        for array, accepted in zip(outputs, harness.recorded_outputs(case), strict=True):
            assert harness.agrees(array, accepted), case["id"]


@pytest.mark.parametrize("name", ["unet", "bidirectional_modes", "text_cnn", "wide_and_deep"])
@pytest.mark.parametrize("optimize", [None, "inference"])
def test_model_files(name: str, optimize: str | None) -> None:
    model = kt.load_model(harness.DATA / "functional" / f"{name}.keras")
    with np.load(harness.DATA / "functional" / f"{name}.npz") as stored:
        arrays, wanted = ([stored[key] for key in sorted(stored.files) if key.startswith(kind)]
                          for kind in ("input_", "output_"))
    with pretended_cuda():
        got = on_cuda(model.to_torch(device="cuda", optimize=optimize), [harness.as_input(x, "cuda") for x in arrays])
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_two_rescalings() -> None:
    x = kt.Input((3,))
    with pretended_cuda():
        module = kt.Model(x, layers.Rescaling(0.5, 1.0)(layers.Rescaling(3.0)(x))).to_torch(optimize="inference")
        np.testing.assert_allclose(on_cuda(module, [torch.ones(2, 3, device="cuda")])[0], np.full((2, 3), 2.5))


def test_what_is_on_the_cpu_is_found() -> None:
    with pretended_cuda():
        x = torch.ones(3, device="cuda")
        assert x.is_cuda and (x + torch.tensor(1)).is_cuda and x[torch.tensor([0])].is_cuda and float(x.sum()) == 3
        for wrong in (lambda: x + torch.ones(3), lambda: torch.cat([x, torch.ones(3)]),
                      lambda: x.index_select(0, torch.tensor([0]))):
            with pytest.raises(RuntimeError, match="one on the CPU"):
                wrong()

"""What a plan says of memory, against what CUDA's allocator has given out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_plan import MODELS

from kerashape_torch.planning.liveness import run_without_numbers


def bytes_of(when: str) -> list[int]:
    """What tensors asked for, and the blocks that they were given, which may be larger by up to a MiB each."""
    torch.cuda.init()
    stats = torch.cuda.memory_stats()
    return [stats[f"{what}_bytes.all.{when}"] for what in ("requested", "allocated")]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("name", MODELS)
def test_memory_is_what_cuda_gives_out(name: str, batch: int, training: bool) -> None:
    torch.backends.cudnn.benchmark = False
    model = MODELS[name]()
    shapes = [(batch, *x.shape[1:]) for x in model.graph.flat_inputs]
    wanted = run_without_numbers(model, shapes, device="cuda", training=training)
    before = bytes_of("current")
    module: Any = model.to_torch(device="cuda").train(training)
    inputs = [torch.zeros(shape, dtype=getattr(torch, x.dtype), device="cuda")
              for shape, x in zip(shapes, model.graph.flat_inputs)]

    def run() -> None:
        with torch.set_grad_enabled(training):
            result = module(*inputs)
            if training:
                result.sum().backward()

    run()  # cuBLAS takes its workspace once
    module.zero_grad()
    torch.cuda.synchronize()
    workspace = max(bytes_of("current")[1] - before[1] - wanted.weights - wanted.inputs, 0)
    torch.cuda.reset_peak_memory_stats()
    run()
    asked, given = (peak - start - workspace for peak, start in zip(bytes_of("peak"), before))
    assert 0.9 * asked <= wanted.total <= 1.1 * given

"""No tensor is copied that hand-written torch would not copy: counted in a profile of the workloads that are timed."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import TORCH
from torch import nn
from torch.profiler import ProfilerActivity, profile

import kerashape_torch as kt
from kerashape_torch.torch_modules.fused import FusedConv2d

_FILE = Path(__file__).resolve().parent.parent / "scripts" / "workloads.py"
_SPEC = importlib.util.spec_from_file_location("workloads", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
workloads = importlib.util.module_from_spec(_SPEC)
sys.modules["workloads"] = workloads
_SPEC.loader.exec_module(workloads)

COPYING = ("aten::copy_", "aten::clone", "aten::cat", "aten::constant_pad_nd")


@pytest.fixture(autouse=True)
def two_threads() -> Any:
    """torch picks other kernels, which copy otherwise, where it has one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def copies(module: nn.Module, x: torch.Tensor) -> Counter[str]:
    with torch.inference_mode():
        module(x)
        with profile(activities=[ProfilerActivity.CPU]) as found:
            module(x)
    return Counter({event.key.removeprefix("aten::"): event.count for event in found.key_averages()
                    if event.key in COPYING})


MORE_THAN_BY_HAND = {
    # torch.lstm puts the steps of a batch-first tensor in front, in each of two layers; packing did it once for both.
    "masked LSTM": {"clone": 1},
    # Rescaling multiplies and adds, two numbers that torch makes tensors of, where one writes one division by hand.
    "EfficientNetB0": {"copy_": 1},
}
"""What ours copy more often, and why."""


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_no_more_copies_than_by_hand(name: str) -> None:
    work = workloads.WORKLOADS[name]
    ours, hand = (workloads.randomized(module) for module in (work.build(kt).to_torch(), work.by_hand().eval()))
    x, ready = work.inputs(2, "cpu")
    workloads.alike(ours, hand, x, ready)
    by_hand = copies(hand.to(memory_format=torch.channels_last), ready)
    fast = kt.optimize_for_inference(ours)
    plain, optimized = copies(ours, x), copies(fast, x)
    if TORCH < (2, 13):  # torch 2.11 copies what it hands to oneDNN to be added to
        sums = sum(isinstance(fast.get_submodule(node.target), FusedConv2d) and len(node.args) == 2
                   for node in fast.graph.find_nodes(op="call_module"))
        optimized -= Counter(clone=sums, copy_=sums)
    allowed = Counter(MORE_THAN_BY_HAND.get(name, {}))
    for kind in by_hand | plain | optimized:
        assert plain[kind] <= by_hand[kind] + allowed[kind], kind
        assert optimized[kind] <= plain[kind], kind


@pytest.mark.parametrize(("name", "pads"), [("MobileNetV2", (5, 1)), ("EfficientNetB0", (5, 1)), ("ResNet50", (1, 1))])
def test_padded_copies(name: str, pads: tuple[int, int]) -> None:
    """Left are the first convolution, which is none by channels, and the padding of a maximum."""
    model = workloads.WORKLOADS[name].build(kt)
    x = torch.rand(1, 224, 224, 3)
    found = [copies(model.to_torch(optimize=how), x)["constant_pad_nd"] for how in (None, "inference")]
    assert tuple(found) == pads

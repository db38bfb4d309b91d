"""Forward times side by side: ours, hand-written torch, and Keras on its torch backend where it is installed.

``python scripts/bench.py [--eager] [--device cuda] [--rounds 30] [--threads 1] [--only NAME] [--markdown FILE]``. The
competitors take turns within each round, so that a machine that slows down slows all; medians are compared, and ratios
are the figures to quote. Equal outputs are checked first, with the same weights.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from sections import machine, table, write_section
from torch import nn
from workloads import WORKLOADS, Workload, alike, randomized

import kerashape_torch as kt

BY_HAND = "by hand, channels last"
COLUMNS = ("ours", "ours, inference", "ours, inference, compiled", "ours, CUDA graph", "by hand, NCHW",
           "by hand, compiled", "Keras on torch")
"""Each is given as its time over that of the hand-written module in the same memory format."""

Ways = dict[str, Callable[[], Any]]


def competitors(work: Workload, batch: int, device: str, compiled: bool) -> Ways:
    """Every way to run one workload, ready to call."""
    model = work.build(kt)
    ours = randomized(model.to_torch(device=device))
    hand = work.by_hand().to(device).eval()
    x, ready = work.inputs(batch, device)
    optimized = compared(work, ours, hand, x)
    contiguous, last = hand, copy.deepcopy(hand).to(memory_format=torch.channels_last)
    ways: Ways = {BY_HAND: lambda: last(ready), "ours": lambda: ours(x), "ours, inference": lambda: optimized(x)}
    if work.channels_first:
        plain = ready.contiguous()
        ways["by hand, NCHW"] = lambda: contiguous(plain)
    if compiled:
        fast, fast_hand = torch.compile(optimized), torch.compile(last)
        ways |= {"ours, inference, compiled": lambda: fast(x), "by hand, compiled": lambda: fast_hand(ready)}
    if device == "cuda":
        ways["ours, CUDA graph"] = graphed(optimized, x)
    theirs = keras_model(work)
    if theirs is not None:
        ways["Keras on torch"] = lambda: theirs(x, training=False)
    return ways


def compared(work: Workload, ours: Any, hand: nn.Module, x: torch.Tensor) -> nn.Module:
    """Ours optimized for inference, after all three gave the same numbers in full float32; TF32 keeps ten bits."""
    default, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    alike(ours, hand, *work.inputs(2, x.device.type))
    optimized = kt.optimize_for_inference(ours)
    with torch.inference_mode():
        torch.testing.assert_close(optimized(x), ours(x), rtol=1e-3, atol=1e-4)
    torch.backends.cudnn.allow_tf32 = default
    return optimized


def graphed(module: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    from kerashape_torch.lowering.batches import Replay

    replay = Replay(module, len(x))
    return lambda: replay(x)


def keras_model(work: Workload) -> Any:
    try:
        import keras
    except ImportError:
        return None
    keras.utils.clear_session()
    return work.build(keras)


def medians(ways: Ways, rounds: int, device: str) -> dict[str, float]:
    """Median milliseconds of each way; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    clock = on_cuda if device == "cuda" else on_cpu
    with torch.inference_mode():
        for way in ways.values():
            for _ in range(3):
                way()
        for _ in range(rounds):
            for name, way in ways.items():
                times[name].append(clock(way))
    return {name: statistics.median(values) for name, values in times.items()}


def on_cpu(way: Callable[[], Any]) -> float:
    start = time.perf_counter()
    way()
    return (time.perf_counter() - start) * 1e3


def on_cuda(way: Callable[[], Any]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    way()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def cells(title: str, found: dict[str, float], columns: list[str]) -> list[str]:
    base = found[BY_HAND]
    return [title, f"{base:.3f}", *(f"{found[name] / base:.2f}" if name in found else "" for name in columns)]


def said(given: argparse.Namespace) -> str:
    where = f"{machine()}, {given.threads} thread(s)"
    if given.device == "cuda":
        where = f"{torch.cuda.get_device_name()}, convolutions and recurrent layers in TF32, as torch has it,"
    return (f"{where}, torch {torch.__version__}. Medians of {given.rounds} rounds in which all take turns. Times are "
            "over that of the hand-written module with channels-last weights and inputs, the memory format of ours: "
            "below 1 is faster. Outputs were compared first. `scripts/workloads.py` has the models, ours and "
            "hand-written.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--eager", action="store_true", help="nothing compiled by torch.compile, which takes long")
    parser.add_argument("--quick", action="store_true", help="three rounds, nothing compiled: does it run?")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="this workload; may be given again")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    given.rounds = 3 if given.quick else given.rounds
    compiled = not (given.quick or given.eager)
    os.environ.setdefault("KERAS_TORCH_DEVICE", given.device)
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    rows: list[tuple[str, dict[str, float]]] = []
    for title, work in WORKLOADS.items():
        for batch in (1, work.large) if given.only is None or title in given.only else ():
            torch._dynamo.reset()
            found = medians(competitors(work, batch, given.device, compiled), given.rounds, given.device)
            rows.append((f"{title}, batch {batch}", found))
            print(rows[-1][0], {name: round(value, 3) for name, value in found.items()}, flush=True)
    columns = [name for name in COLUMNS if any(name in found for _, found in rows)]
    text = table(["workload", f"{BY_HAND}, ms", *columns], [cells(title, found, columns) for title, found in rows])
    print(f"\n{text}")
    if given.markdown:
        write_section(given.markdown, f"Forwards on {'CUDA' if given.device == 'cuda' else 'the CPU'}",
                      f"{said(given)}\n\n{text}")


if __name__ == "__main__":
    main()

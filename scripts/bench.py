"""Forward times side by side: ours, hand-written torch, and Keras on its torch backend where it is installed.

``python scripts/bench.py [--device cuda] [--rounds 40] [--threads 1] [--markdown FILE]``. The competitors take turns
within each round, so that a machine that slows down slows all; medians are compared, and ratios to the hand-written
module are the figures to quote. Equal outputs are checked first, with the same weights.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from torch import nn

import kerashape_torch as kt


class Workload(NamedTuple):
    """One model, as Keras code that is run by us and by Keras, and as a person would write it in torch."""

    build: Callable[[Any], Any]
    by_hand: Callable[[], nn.Module]
    shape: tuple[int, ...]
    channels_first: bool = False
    padded: bool = False
    """The samples have different lengths: zeros follow."""


def mlp(k: Any) -> Any:
    dense = k.layers.Dense
    return k.Sequential([k.layers.Input((784,)), dense(512, activation="relu"), dense(512, activation="relu"),
                         dense(10)])


def mlp_by_hand() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def deep(k: Any) -> Any:
    return k.Sequential([k.layers.Input((32,)), *(k.layers.Dense(32, activation="relu") for _ in range(20))])


def deep_by_hand() -> nn.Module:
    return nn.Sequential(*(layer for _ in range(20) for layer in (nn.Linear(32, 32), nn.ReLU())))


def cnn(k: Any) -> Any:
    layers = k.layers
    return k.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(32, 3, padding="same", activation="relu"),
                         layers.MaxPooling2D(), layers.Conv2D(64, 3, padding="same", activation="relu"),
                         layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"),
                         layers.GlobalAveragePooling2D(), layers.Dense(10)])


def cnn_by_hand() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1),
                         nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(64, 10))


def separable(k: Any) -> Any:
    layers = k.layers
    return k.Sequential([layers.Input((56, 56, 64)), layers.Conv2D(128, 1, use_bias=False), layers.BatchNormalization(),
                         layers.ReLU(6), layers.DepthwiseConv2D(3, padding="same", use_bias=False),
                         layers.BatchNormalization(), layers.ReLU(6), layers.Conv2D(64, 1, use_bias=False),
                         layers.BatchNormalization()])


def separable_by_hand() -> nn.Module:
    def norm(width: int) -> nn.Module:
        return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)

    return nn.Sequential(nn.Conv2d(64, 128, 1, bias=False), norm(128), nn.ReLU6(),
                         nn.Conv2d(128, 128, 3, padding=1, groups=128, bias=False), norm(128), nn.ReLU6(),
                         nn.Conv2d(128, 64, 1, bias=False), norm(64))


def lstm(k: Any) -> Any:
    return k.Sequential([k.layers.Input((128, 32)), k.layers.LSTM(64, return_sequences=True), k.layers.LSTM(64)])


class _Last(nn.Module):
    def __init__(self, *recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.recurrent = nn.ModuleList(recurrent)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.recurrent:
            x, _ = layer(x)
        return x[:, -1]


def lstm_by_hand() -> nn.Module:
    return _Last(nn.LSTM(32, 64, batch_first=True), nn.LSTM(64, 64, batch_first=True))


def gru(k: Any) -> Any:
    return k.Sequential([k.layers.Input((128, 32)), k.layers.GRU(64)])


def gru_by_hand() -> nn.Module:
    return _Last(nn.GRU(32, 64, batch_first=True))


def masked_lstm(k: Any) -> Any:
    return k.Sequential([k.layers.Input((128, 32)), k.layers.Masking(), k.layers.LSTM(64, return_sequences=True),
                         k.layers.LSTM(64)])


class _Packed(nn.Module):
    """As one writes it for padding at the end, which is all that packing knows."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(32, 64, batch_first=True)
        self.second = nn.LSTM(64, 64, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lengths = (x != 0).any(-1).sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (state, _) = self.second(self.recurrent(packed)[0])
        return state[0]


WORKLOADS = {
    "MLP 784-512-512-10, batch 1": Workload(mlp, mlp_by_hand, (1, 784)),
    "20 small Dense, batch 8": Workload(deep, deep_by_hand, (8, 32)),
    "small CNN 32x32, batch 64": Workload(cnn, cnn_by_hand, (64, 32, 32, 3), channels_first=True),
    "depthwise block 56x56, batch 8": Workload(separable, separable_by_hand, (8, 56, 56, 64), channels_first=True),
    "2 LSTM, 128 steps, batch 32": Workload(lstm, lstm_by_hand, (32, 128, 32)),
    "2 LSTM of masked samples, batch 32": Workload(masked_lstm, _Packed, (32, 128, 32), padded=True),
    "GRU, 128 steps, batch 32": Workload(gru, gru_by_hand, (32, 128, 32)),
}


def competitors(work: Workload, device: str) -> dict[str, Callable[[], Any]]:
    """Every way to run one workload, ready to call."""
    model = work.build(kt)
    ours, hand = model.to_torch(device=device), work.by_hand().to(device).eval()
    x = torch.randn(work.shape, device=device)
    if work.padded:
        lengths = torch.randint(32, x.shape[1], (len(x), 1), device=device)
        x = x * (torch.arange(x.shape[1], device=device) < lengths).unsqueeze(-1)
    ready = x.movedim(-1, 1).contiguous() if work.channels_first else x
    target = dict(zip([name for name, _ in hand.named_parameters()], ours.parameters()))
    if all(p.shape == target[name].shape for name, p in hand.named_parameters()):
        with torch.no_grad():
            for name, parameter in hand.named_parameters():
                parameter.copy_(target[name])
        want, got = hand(ready), ours(x)
        torch.testing.assert_close(got, want.movedim(1, -1) if got.dim() > 3 else want, rtol=1e-3, atol=1e-3)
    ways: dict[str, Callable[[], Any]] = {"by hand": lambda: hand(ready), "ours": lambda: ours(x)}
    if device == "cuda" or os.environ.get("KERASHAPE_BENCH_COMPILE"):
        fast, fast_hand = torch.compile(ours), torch.compile(hand)
        ways |= {"by hand, compiled": lambda: fast_hand(ready), "ours, compiled": lambda: fast(x)}
    try:
        import keras
    except ImportError:
        return ways
    theirs = work.build(keras)
    ways["Keras on torch"] = lambda: theirs(x, training=False)
    return ways


def medians(ways: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of each way; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    with torch.inference_mode():
        for way in ways.values():
            for _ in range(5):
                way()
        for _ in range(rounds):
            for name, way in ways.items():
                wait()
                start = time.perf_counter()
                way()
                wait()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    lines = [f"torch {torch.__version__}, {given.device}, {given.threads} thread(s), median of {given.rounds} rounds; "
             "time over the hand-written module's", ""]
    names: list[str] = []
    for title, work in WORKLOADS.items():
        found = medians(competitors(work, given.device), given.rounds, given.device)
        if not names:
            names = list(found)
            lines += ["| workload | by hand, ms | " + " | ".join(names[1:]) + " |", "|---" * (len(names) + 1) + "|"]
        base = found["by hand"]
        row = " | ".join(f"{found[name] / base:.2f}" if name in found else "" for name in names[1:])
        lines.append(f"| {title} | {base * 1e3:.3f} | {row} |")
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(f"\n{text}")
    if given.markdown:
        given.markdown.write_text(text)


if __name__ == "__main__":
    main()

"""From a ``.keras`` file to a module that runs: time and memory, here and in Keras, side by side.

``python scripts/bench_loading.py [--models EfficientNetB7 ConvNeXtBase] [--rounds 5] [--markdown FILE]``. Keras, on its
torch backend, writes the files first, with seeded weights. Each load is a process of its own, and the competitors take
turns. Time is the processor time of the load alone, without imports; memory is the peak of the process above what it
held before the load, in units of the weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sections import machine, table, write_section

OURS = """
import torch
import kerashape_torch as kt, kerashape_torch.lowering, kerashape_torch.saving, h5py, torch.fx
from kerashape_torch.ops import Operation
Operation.catalog()  # it imports what Keras has imported by itself
def load(path):
    return kt.load_model(path).to_torch()
"""
KERAS = """
import keras
def load(path):
    return keras.models.load_model(path, compile=False)
"""
MEASURE = """
import gc, json, resource, sys, time, torch
torch.set_num_threads(1)
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small, path = sys.argv[1:]
load(small)  # what is imported on the way, and warmed up once
gc.collect()
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")  # the peak begins anew
before, start, wall = resident(), time.process_time(), time.perf_counter()
module = load(path)
done, wall = time.process_time() - start, time.perf_counter() - wall
high = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(json.dumps({"cpu": done, "wall": wall, "kib": high - before}))
"""
WRITE = """
import sys, keras
name, path, small = sys.argv[1:]
keras.utils.set_random_seed(0)
model = getattr(keras.applications, name)(weights=None)
model.save(path)
print(sum(w.numpy().nbytes for w in model.weights))
keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(),
                  keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]).save(small)
"""


def run(code: str, *arguments: str) -> str:
    """What a program prints, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout.splitlines()[-1]


def measure(name: str, rounds: int, folder: str) -> list[str]:
    """A row of the table for one model."""
    path, small = f"{folder}/{name}.keras", f"{folder}/small.keras"
    weights = int(run(WRITE, name, path, small))
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "keras": []}
    for _ in range(rounds):
        for who, code in (("ours", OURS), ("keras", KERAS)):
            found[who].append(json.loads(run(code + MEASURE, small, path)))
    middle = {who: {key: statistics.median(each[key] for each in all_of) for key in ("cpu", "wall", "kib")}
              for who, all_of in found.items()}
    ours, theirs = middle["ours"], middle["keras"]
    return [name, f"{weights / 2**20:.0f} MiB", f"{ours['cpu']:.2f} s", f"{theirs['cpu']:.2f} s",
            f"{theirs['cpu'] / ours['cpu']:.1f}", f"{theirs['wall'] / ours['wall']:.1f}",
            *(f"{each['kib'] * 1024 / weights:.2f}" for each in (ours, theirs))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["EfficientNetB7", "ConvNeXtBase"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    head = ["model", "weights", "ours", "Keras", "Keras / ours, CPU", "Keras / ours, wall", "peak, ours", "peak, Keras"]
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(name, options.rounds, folder) for name in options.models]
    text = table(head, rows)
    print(text)
    if options.markdown:
        write_section(options.markdown, "Loading", f"{machine()}. One thread; medians of {options.rounds} runs, each a "
                      "process of its own, taking turns. Times are CPU time without imports; peaks are above what the "
                      f"process held before, in units of the weights.\n\n{text}")


if __name__ == "__main__":
    main()

"""All shapes of large models, side by side with Keras, torchinfo, fx and torch.export; run it by hand.

Every figure is CPU time of this process, the best of some runs; where others are named, the last column is theirs over
ours. What is not installed is left out. ``--markdown FILE`` puts the tables into
a page.

    python scripts/bench_shapes.py --layers 10000 --markdown shapes.md
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sections import machine, table, write_section

import kerashape_torch as kt
from kerashape_torch.layers import Dense
from kerashape_torch.models import model_from_json

ROOT = Path(__file__).resolve().parent.parent
NASNET = ROOT / "tests" / "data" / "applications" / "NASNetLarge.json.gz"
WIDTH = 16


def best(run: Callable[[], Any], times: int) -> float:
    """Seconds of CPU time."""
    found = []
    for _ in range(times):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def chain(layers: int) -> kt.Model:
    """Dense layers one after the other, every shape of them asked for."""
    x = inputs = kt.Input((WIDTH,))
    for _ in range(layers):
        x = Dense(WIDTH)(x)
    model = kt.Model(inputs, x)
    assert len([layer.output_shape for layer in model.layers]) == layers + 1
    return model


def ours(layers: int, times: int) -> list[tuple[str, str]]:
    rows = []
    for count in (layers, 10 * layers):
        seconds = best(lambda count=count: chain(count), times if count == layers else 1)
        rows.append((f"{count:,} Dense layers from Python", f"{seconds:.3f} s"))
    text = chain(layers).to_json()
    rows.append((f"{layers:,} Dense layers from their JSON", f"{best(lambda: model_from_json(text), times):.3f} s"))
    nasnet = gzip.decompress(NASNET.read_bytes())
    rows.append(("NASNetLarge from its JSON", f"{best(lambda: model_from_json(nasnet), 2 * times) * 1000:.0f} ms"))
    tracemalloc.start()
    model = chain(layers)
    rows.append(("memory", f"{tracemalloc.get_traced_memory()[0] / layers / 1024:.2f} KiB a layer"))
    tracemalloc.stop()
    del model
    assert "torch" not in sys.modules
    rows.append(("`kerashape summary NASNetLarge.json`, the whole process", f"{summary_of(nasnet, times):.2f} s"))
    return rows


def summary_of(config: bytes, times: int) -> float:
    """CPU seconds of the command as a process of its own. The first run writes the bytecode, as pip does."""
    import resource

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "NASNetLarge.json"
        file.write_bytes(config)
        with_bytecode = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with_bytecode["PYTHONPYCACHEPREFIX"] = folder
        found = []
        for _ in range(1 + times):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-m", "kerashape_torch.cli", "summary", str(file)], check=True,
                           stdout=subprocess.DEVNULL, env=with_bytecode)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found[1:])


# ---- the others ------------------------------------------------------------------------------------------------------


def of_keras(layers: int, times: int) -> float:
    """``from_config`` of a functional model; Keras walks a chain recursively, so the limit is raised."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    sys.setrecursionlimit(100 * layers)
    text = chain(layers).to_json()
    configs = [json.loads(text)["config"] for _ in range(times)]  # Keras takes one apart as it reads it
    with keras.device("meta"):
        return best(lambda: keras.Model.from_config(configs.pop()), times)


def _torch_chain(layers: int) -> Any:
    import torch

    with torch.device("meta"):
        return torch.nn.Sequential(*[torch.nn.Linear(WIDTH, WIDTH) for _ in range(layers)])


def of_torchinfo(layers: int, times: int) -> float:
    import torchinfo

    return best(lambda: torchinfo.summary(_torch_chain(layers), (2, WIDTH), device="meta", verbose=0), times)


def of_fake_tensors(layers: int, times: int) -> float:
    import torch
    from torch import fx
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.passes.fake_tensor_prop import FakeTensorProp

    def run() -> None:
        traced = fx.symbolic_trace(_torch_chain(layers))
        FakeTensorProp(traced, FakeTensorMode(allow_non_fake_inputs=True)).propagate(
            torch.empty(2, WIDTH, device="meta"))

    return best(run, times)


def of_export(layers: int, times: int) -> float:
    import torch

    return best(lambda: torch.export.export(_torch_chain(layers), (torch.empty(2, WIDTH, device="meta"),),
                                            dynamic_shapes=({0: torch.export.Dim("batch")},)), times)


OTHERS = {"Keras 3 `from_config` on meta": ("keras", of_keras), "torchinfo on meta": ("torchinfo", of_torchinfo),
          "fx and FakeTensor": ("torch", of_fake_tensors), "torch.export, dynamic batch": ("torch", of_export)}


def others(layers: int, times: int) -> list[tuple[str, str, str]]:
    mine = best(lambda: chain(layers), times)
    rows = [("kerashape_torch", f"{mine:.3f} s", "1")]
    for name, (package, run) in OTHERS.items():
        if importlib.util.find_spec(package) is not None:
            try:
                seconds = run(layers, times)
                rows.append((name, f"{seconds:.2f} s", f"{seconds / mine:.0f}"))
            except (RecursionError, RuntimeError) as error:
                rows.append((name, type(error).__name__, ""))
            print(" | ".join(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=1_000, metavar="N", help="layers for the comparison; 0: none")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    options = parser.parse_args()
    text = table(("shapes, without torch", "CPU time"), ours(options.layers, options.times))
    print(text, flush=True)
    if options.others:
        head = (f"{options.others:,} Dense layers", "CPU time", "over ours")
        compared = table(head, others(options.others, options.times))
        text += f"\n\n{compared}"
        print(compared)
    if options.markdown:
        write_section(options.markdown, "Shapes", f"{machine()}, one core, CPU time, the best of {options.times} runs."
                                                  f"\n\n{text}")


if __name__ == "__main__":
    main()

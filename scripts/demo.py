"""The main job on real files: ``python scripts/demo.py``. Sets up the active virtual environment, or makes ``.venv``.

For each model file that Keras wrote in ``examples/``: the shape table, compiled to torch, run on CUDA if there is one,
compared with the outputs that Keras recorded, timed, and drawn.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import environment

EXAMPLES = environment.ROOT / "examples"
PICTURES = environment.ROOT / "demo_output"
RTOL, ATOL = 1e-4, 1e-5


def main() -> int:
    if not environment.ready():
        environment.ensure("plot")
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # it keeps ten bits of the numbers, and those compared have more
    PICTURES.mkdir(exist_ok=True)
    lines = [show(path, device) for path in sorted(EXAMPLES.glob("*.keras"))]
    print(f"{'model':24} {'device':7} {'same numbers':14} {'largest difference':20} {'forward, median':17} picture")
    for name, good, difference, seconds, picture in lines:
        verdict = "yes" if good else "NO"
        print(f"{name:24} {device:7} {verdict:14} {difference:<20.2e} {seconds * 1e3:9.3f} ms      {picture}")
    return 0 if all(good for _, good, *_ in lines) else 1


def show(path: Path, device: str) -> tuple[str, bool, float, float, str]:
    """One file, from its shapes to its picture."""
    import numpy as np

    import kerashape_torch as kt
    from kerashape_torch.structure import flatten

    model = kt.load_model(path)
    print(f"== {path.name}: {model.name}\n{kt.shape_table(model)}\n")
    module = model.to_torch(device=device)
    with np.load(path.with_suffix(".npz")) as stored:
        inputs = [stored[name] for name in sorted(stored.files) if name.startswith("input_")]
        recorded = [stored[name] for name in sorted(stored.files) if name.startswith("output_")]
    outputs = flatten(kt.predict(module, inputs if len(inputs) > 1 else inputs[0]))
    good = all(np.allclose(got, want, rtol=RTOL, atol=ATOL) for got, want in zip(outputs, recorded, strict=True))
    difference = max(float(np.abs(got - want).max()) for got, want in zip(outputs, recorded))
    picture = PICTURES / f"{path.stem}.png"
    kt.utils.plot_model(model, to_file=picture, show_shapes=True)
    seconds = median_seconds(module, inputs, device)
    return path.stem, good, difference, seconds, str(picture.relative_to(environment.ROOT))


def median_seconds(module: Any, inputs: list[Any], device: str, rounds: int = 30) -> float:
    """The median time of one forward on the recorded inputs."""
    import torch

    tensors = [torch.as_tensor(x).to(device) for x in inputs]
    times = []
    with torch.inference_mode():
        for _ in range(rounds + 5):
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            module(*tensors)
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return statistics.median(times[5:])


if __name__ == "__main__":
    raise SystemExit(main())

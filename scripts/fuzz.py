"""Random layers and models, here and in Keras: ``python scripts/fuzz.py --draws 20000 --seed 1 --kind layers``.

Prints how many were drawn, taken and refused, and how many failed in which way; each way of failing is made smaller
once and appended to a file.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path.insert(0, str(ROOT / "tests"))


def fuzz(kind: str, draws: int, seed: int) -> tuple[collections.Counter[str], list[dict[str, Any]]]:
    """One process' share."""
    import torch

    torch.set_num_threads(1)
    import fuzz_graphs
    import fuzz_layers
    import fuzz_smaller
    import fuzzing
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    counts: collections.Counter[str] = collections.Counter()
    failures: dict[Any, dict[str, Any]] = {}
    strategy = fuzz_layers.layer_cases() if kind == "layers" else fuzz_graphs.graph_cases()

    @seeded(seed)
    @settings(max_examples=draws, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(strategy)
    def run(program: Any) -> None:
        outcome = fuzzing.check(program)
        counts[outcome.kind] += 1
        if outcome.kind in fuzzing.FINE:
            return
        classes = tuple(sorted({each["object"] for each in program["layers"] if "object" in each}))
        what = (outcome.kind, classes) if kind == "layers" else (outcome.kind, outcome.text[:60])
        if what not in failures and len(failures) < 200:
            small = fuzz_smaller.minimised(program, outcome.kind)
            failures[what] = {"kind": outcome.kind, "text": fuzzing.check(small).text, "program": small}

    run()
    return counts, list(failures.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=["layers", "graphs"], default="layers")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument("--out", type=Path, default=Path("fuzz_failures.jsonl"))
    options = parser.parse_args()
    start, share = time.time(), -(-options.draws // options.processes)
    counts: collections.Counter[str] = collections.Counter()
    with ProcessPoolExecutor(options.processes) as pool, options.out.open("a") as out:
        shares = [pool.submit(fuzz, options.kind, share, options.seed * 1000 + i) for i in range(options.processes)]
        for each in shares:
            found, failures = each.result()
            counts += found
            out.writelines(json.dumps(failure) + "\n" for failure in failures)
    print(f"{sum(counts.values())} draws of {options.kind}, seed {options.seed}, {time.time() - start:.0f} s")
    for kind, count in counts.most_common():
        print(f"{count:7d}  {kind}")
    import fuzzing  # only now: it loads torch, which must not be there when the processes start

    return 1 if set(counts) - set(fuzzing.FINE) else 0


if __name__ == "__main__":
    raise SystemExit(main())

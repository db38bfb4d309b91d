"""Broken model files for an hour: ``python scripts/fuzz_files.py --minutes 60``.

Prints how many were read, how many were refused with one of our errors, and what failed in any other way: an error of
another class, a hang, a jump in memory, a crash of the process. Each way of failing is shown once, with the number of
its case, which ``--case`` runs again.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
CHUNK = 100
PATIENCE = 900
"""Seconds for a chunk, which takes some ten."""


def work(first: int, count: int) -> int:
    """One process' share: a line for each case."""
    import fuzz_files
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for case in range(first, first + count):
            print(f"{case}\tbegun\t", flush=True)
            path = fuzz_files.broken(case, Path(folder))
            outcome = fuzz_files.check(path)
            path.unlink()
            print(f"{case}\t{outcome.kind}\t{outcome.text!r}", flush=True)
    return 0


def share(first: int) -> list[tuple[int, str, str]]:
    """The outcomes of a chunk of cases, in a process of their own. If it dies, the rest of the chunk is not run."""
    command = [sys.executable, __file__, "--work", str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            printed, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, errors = process.communicate()
    lines = [line.split("\t", 2) for line in printed.splitlines() if line.count("\t") == 2]
    found = [(int(case), kind, text) for case, kind, text in lines if kind != "begun"]
    if process.returncode:
        case = int(lines[-1][0]) if lines else first
        found.append((case, "crash", f"the process ended with {process.returncode}: {errors[-300:]}"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=0, metavar="CASE", help="the number of the first case")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument("--case", type=int, help="one case alone; its file is kept in the folder")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        return work(options.work, CHUNK)
    import fuzz_files

    if options.case is not None:
        path = fuzz_files.broken(options.case, Path())
        print(path, *fuzz_files.check(path))
        return 0
    start, counts, shown = time.time(), collections.Counter[str](), set[tuple[str, str]]()
    chunk = options.first
    with concurrent.futures.ThreadPoolExecutor(options.processes) as pool:
        running = set()
        while running or time.time() - start < 60 * options.minutes:
            while len(running) < options.processes and time.time() - start < 60 * options.minutes:
                running.add(pool.submit(share, chunk))
                chunk += CHUNK
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for case, kind, text in (each for future in done for each in future.result()):
                counts[kind] += 1
                if kind not in fuzz_files.FINE and (kind, text[:60]) not in shown:
                    shown.add((kind, text[:60]))
                    print(f"case {case}: {kind}: {text}", flush=True)
    print(f"{sum(counts.values())} files, cases {options.first} to {chunk - 1}, {time.time() - start:.0f} s")
    for kind, count in counts.most_common():
        print(f"{count:7d}  {kind}")
    return 1 if set(counts) - set(fuzz_files.FINE) else 0


if __name__ == "__main__":
    raise SystemExit(main())

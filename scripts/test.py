"""All tests: ``python scripts/test.py [pytest options]``. Sets up the active virtual environment, or a ``.venv``."""

from __future__ import annotations

import os
import subprocess
import sys

import environment


def main() -> int:
    if not environment.ready():
        environment.ensure("test")
    options = sys.argv[1:] or ["-n", str(min(os.cpu_count() or 1, 8)), "-q"]
    return subprocess.run([sys.executable, "-m", "pytest", *options], cwd=environment.ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())

"""Makes this checkout ready to run, in the active virtual environment or a fresh ``.venv``. Standard library only."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"  # what the tests run with; any torch from 2.6 on that is already there is kept


def ensure(extra: str) -> None:
    """Installs the checkout with an extra, and goes on under a Python that has it."""
    python = _python()
    if not _has(python, "torch"):
        _say(f"installing {TORCH}")
        _pip(python, TORCH)
    _say(f"installing kerashape_torch[{extra}]")
    _pip(python, "-e", f"{ROOT}[{extra}]")
    if Path(sys.executable) != python or "KERASHAPE_READY" not in os.environ:
        done = subprocess.run([str(python), *sys.argv], env={**os.environ, "KERASHAPE_READY": "1"}, check=False)
        raise SystemExit(done.returncode)


def ready() -> bool:
    """Whether this process was started by :func:`ensure`."""
    return "KERASHAPE_READY" in os.environ


def _python() -> Path:
    if sys.prefix != sys.base_prefix:
        return Path(sys.executable)
    home = ROOT / ".venv"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        _say(f"making {home}")
        venv.create(home, with_pip=True)
    return python


def _has(python: Path, module: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([str(python), "-c", code], check=False).returncode == 0


def _pip(python: Path, *what: str) -> None:
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what], check=True)


def _say(text: str) -> None:
    print(f"[set-up] {text}", flush=True)

"""What is kept clean: lint, types, runnable docstrings, and a tree that speaks of nothing but the project."""

from __future__ import annotations

import doctest
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import TORCH

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "kerashape_torch").rglob("*.py")) + sorted((ROOT / "layers").glob("*.py"))
CODE = [*SOURCES, *sorted((ROOT / "scripts").glob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("kerashape_torch", *parts) if parts[0] == "layers" else parts
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_examples_in_docstrings_run(path: Path) -> None:
    """By import name: pytest's own collection by path would enter each layer in the catalog twice."""
    module = importlib.import_module(module_name(path))
    users = {"__name__": "__main__"}  # a class of this package would enter the catalog, for all tests after this one
    failed, _ = doctest.testmod(module, extraglobs=users, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failed == 0


def test_ruff() -> None:
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", str(ROOT)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(TORCH < (2, 13), reason="torch has said its types in another way in each version")
def test_types(tmp_path: Path) -> None:
    """On a copy laid out as it is installed, where the layers are inside the package."""
    shutil.copytree(ROOT / "kerashape_torch", tmp_path / "kerashape_torch")
    shutil.copytree(ROOT / "layers", tmp_path / "kerashape_torch" / "layers")
    shutil.copy(ROOT / "pytest_kerashape.py", tmp_path)
    done = subprocess.run([sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir",
                           str(tmp_path / "cache"), str(tmp_path / "kerashape_torch"),
                           str(tmp_path / "pytest_kerashape.py")], capture_output=True, text=True,
                          check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_two_files(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600


def test_contributing_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 50


def test_the_page_of_layers_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "document_layers.py"), "--check"], check=False)
    assert done.returncode == 0, "run python scripts/document_layers.py"


def test_the_readme_runs() -> None:
    """The Python blocks that stand on their own, in order, in one process."""
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    code = [block.split("```")[0] for block in blocks][:2]
    done = subprocess.run([sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=False,
                          cwd=ROOT)
    assert done.returncode == 0, done.stderr

"""What lies in ``examples`` runs, and does what the documentation shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REGRESSION = ROOT / "examples" / "regression"


def run(folder: Path, *options: str, ci: str = "1") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."], cwd=folder,
                          capture_output=True, text=True, check=False, env={**os.environ, "CI": ci})


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(REGRESSION, tmp_path / "regression", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "regression" / "pytest.ini").write_text("[pytest]")
    return tmp_path / "regression"


def test_the_shapes_that_are_kept_hold(copied: Path) -> None:
    done = run(copied, "-Werror")
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout


def test_the_pull_request_of_the_documentation(copied: Path) -> None:
    blocks = (ROOT / "docs" / "regression-tests.md").read_text().split("## A pull request")[1].split("```")
    change, failure, review = (blocks[i].split("\n", 1)[1].splitlines() for i in (1, 3, 5))
    source = (copied / "unet.py").read_text()
    for sign in "-+":
        lines = "\n".join(line[1:] for line in change if line[0] == sign)
        if sign == "-":
            assert lines in source
            before = lines
    (copied / "unet.py").write_text(source.replace(before, lines))
    done = run(copied)
    said = [line.removeprefix("E").removeprefix("       ").rstrip() for line in done.stdout.splitlines()]
    start = said.index(failure[0])
    assert said[start:start + len(failure)] == failure
    old = next((copied / "__shapes__").rglob("test_unet?64*")).read_text().splitlines()
    assert run(copied, "--shapes-update", ci="").returncode == 0
    new = next((copied / "__shapes__").rglob("test_unet?64*")).read_text().splitlines()
    assert run(copied).returncode == 0
    assert {line[1:] for line in review if line[0] == "-"} <= set(old) - set(new)
    assert {line[1:] for line in review if line[0] == "+"} <= set(new) - set(old)

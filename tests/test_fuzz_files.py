"""Broken files end in a model or in one of our own errors. ``scripts/fuzz_files.py`` breaks more of them."""

from __future__ import annotations

from pathlib import Path

import fuzz_files
import pytest

FOUND = [5_000_443, 5_000_596, 5_002_333]
"""Cases that once failed: no initializer, of a weight and of a gate of an LSTM; a header over which the breaking itself
tripped."""


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_is_mended(case: int, tmp_path: Path) -> None:
    outcome = fuzz_files.check(fuzz_files.broken(case, tmp_path))
    assert outcome.kind in fuzz_files.FINE, outcome


@pytest.mark.parametrize("first", range(0, 600, 50))
def test_broken_files(first: int, tmp_path: Path) -> None:
    for case in range(first, first + 50):
        path = fuzz_files.broken(case, tmp_path)
        outcome = fuzz_files.check(path)
        path.unlink()
        assert outcome.kind in fuzz_files.FINE, f"case {case}: {outcome}"


def test_the_check_sees_other_errors_and_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> None:
        raise KeyError("x")

    def hangs(_: Path) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz_files, "load_model", fails)
    assert fuzz_files.check(tmp_path).kind == "error"
    monkeypatch.setattr(fuzz_files, "load_model", hangs)
    monkeypatch.setattr(fuzz_files, "SECONDS", 1)
    assert fuzz_files.check(tmp_path).kind == "hang"


def test_files_are_broken_in_many_ways(tmp_path: Path) -> None:
    outcomes = [fuzz_files.check(fuzz_files.broken(case, tmp_path)).kind for case in range(60)]
    assert {"read", "refused"} <= set(outcomes)
    assert {path.suffix for path in tmp_path.iterdir()} >= {".keras", ".json"}

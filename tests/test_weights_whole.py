"""Weights are loaded whole or not at all, and files are open no longer than somebody may read from them."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import kerashape_torch as kt
from kerashape_torch.errors import WeightsError
from kerashape_torch.saving import h5, load_weights, save_weights


def model() -> Any:
    layers = kt.layers
    return kt.Sequential([layers.Input((4, 3)), layers.LSTM(5), layers.Dense(64, name="last"), layers.Dense(2)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights in which the last arrays are compressed."""
    torch.manual_seed(1)
    save_weights(model().to_torch(), tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as opened:
        group = opened["layers/dense/vars"]
        kernel = group["0"][()]
        del group["0"]
        group.create_dataset("0", data=kernel, compression="gzip", chunks=(5, 8))
    return tmp_path / "w.weights.h5"


def numbers(module: torch.nn.Module) -> list[np.ndarray]:
    return [array.copy() for array in kt.get_keras_weights(module)]


def assert_unchanged(module: torch.nn.Module, load: Callable[[], None], message: str) -> None:
    before = numbers(module)
    with pytest.raises(WeightsError, match=message):
        load()
    assert all(np.array_equal(x, y) for x, y in zip(before, numbers(module)))
    module(torch.zeros(1, 4, 3))


def test_damage_in_the_last_array_changes_nothing(file: Path) -> None:
    with h5py.File(file) as opened:
        chunk = opened["layers/dense/vars/0"].id.get_chunk_info(7)
    data = bytearray(file.read_bytes())
    data[chunk.byte_offset + 9:chunk.byte_offset + 40] = bytes(31)
    file.write_bytes(data)
    module = model().to_torch()
    assert_unchanged(module, lambda: load_weights(module, file), "damaged")


def test_a_flipped_bit_in_an_archive_changes_nothing(tmp_path: Path) -> None:
    made = model()
    made.save(tmp_path / "m.keras", made.to_torch())
    data = bytearray((tmp_path / "m.keras").read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "m.keras").write_bytes(data)
    module = model().to_torch()
    assert_unchanged(module, lambda: load_weights(module, tmp_path / "m.keras"), "checksum")


def test_safetensors_are_checked_before_any_is_read(tmp_path: Path) -> None:
    module, other = model().to_torch(), kt.Sequential([kt.Input((4, 3)), kt.layers.LSTM(5)]).to_torch()
    save_weights(other, tmp_path / "other.safetensors")
    assert_unchanged(module, lambda: load_weights(module, tmp_path / "other.safetensors"), "missing")
    save_weights(model().to_torch(), tmp_path / "m.safetensors")
    data = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(data[:-40])
    assert_unchanged(module, lambda: load_weights(module, tmp_path / "m.safetensors"), "not a sound safetensors file")


def test_a_disk_that_fails_at_the_last_moment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, whole = model().to_torch(), h5.H5Array.blocks
    seen: list[str] = []

    def failing(self: Any) -> Any:
        seen.append(self.where)
        if len(seen) > 3:
            raise WeightsError("the disk does not answer")
        return whole(self)

    monkeypatch.setattr(h5.H5Array, "blocks", failing)
    with pytest.raises(WeightsError, match=r"does not answer\. \d of 7 weights of the module are those of the file"):
        load_weights(module, file)
    with pytest.raises(WeightsError, match="failed half-way"):
        module(torch.zeros(1, 4, 3))
    monkeypatch.undo()
    load_weights(module, file)
    fresh = model()
    fresh.load_weights(file)
    x = torch.ones(1, 4, 3)
    assert torch.equal(module(x), fresh.to_torch()(x))


# ---- open files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_may_be_written_over_by_the_model_that_came_from_it(tmp_path: Path, suffix: str) -> None:
    path, made = tmp_path / f"m{suffix}", model()
    made.save(path, made.to_torch())
    read = kt.load_model(path)
    first = numbers(read.to_torch())
    read.save(path)
    changed = read.to_torch()
    kt.set_keras_weights(changed, [x + 1 for x in first])
    read.save(path, changed)
    assert all(np.array_equal(x, y) for x, y in zip(first, numbers(read.to_torch())))  # of the file that it came from
    assert all(np.array_equal(x + 1, y) for x, y in zip(first, numbers(kt.load_model(path).to_torch())))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts open files where Linux lists them")
def test_a_file_is_closed_with_the_last_model_that_may_read_from_it(tmp_path: Path) -> None:
    def is_open() -> bool:
        names = [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()]
        return any(name.startswith(str(tmp_path)) for name in names)

    made = model()
    made.save(tmp_path / "m.keras", made.to_torch())
    shutil.copy(tmp_path / "m.keras", tmp_path / "copy.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        read = kt.load_model(tmp_path / "m.keras")
        module = read.to_torch()
        assert is_open()
        del read
        gc.collect()
        assert not is_open()
        load_weights(module, tmp_path / "copy.keras")
        gc.collect()
        assert not is_open()
    assert module(torch.zeros(1, 4, 3)).shape == (1, 2)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_hdf5_has_no_file_open(suffix: str, tmp_path: Path) -> None:
    """It would close it after Python is gone, and crash."""
    made = model()
    made.save(tmp_path / f"m{suffix}", made.to_torch())
    before = h5py.h5f.get_obj_count()
    loaded = kt.load_model(tmp_path / f"m{suffix}")
    assert h5py.h5f.get_obj_count() == before
    loaded.to_torch()
    assert h5py.h5f.get_obj_count() == before

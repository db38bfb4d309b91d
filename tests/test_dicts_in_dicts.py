"""Models that give dicts with dicts in them, keys in no order: Keras' torch backend counts their outputs and layers in
another order than its other backends, and files keep the numbers of whoever wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras.src.tree import torchtree_impl

import kerashape_torch as kt
from kerashape_torch.structure import flatten, sorted_inside

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")

STRUCTURES: dict[str, Any] = {
    "dict": lambda z, a, m: {"z": z, "a": [a, m]},
    "dict in a dict": lambda z, a, m: {"q": {"z": z, "a": a}, "b": m},
    "dict in a list in a dict": lambda z, a, m: {"q": [m, {"z": z, "a": a}]},
    "dict in a list": lambda z, a, m: [{"z": z, "a": a}, m],
}
LEVELS = {"alone": 0, "in one model": 1, "in two models": 2}


@pytest.fixture(params=["torch", "another backend"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The torch backend of Keras as it is, and with dicts sorted as the other backends have it."""
    if request.param != "torch":
        monkeypatch.setattr(torchtree_impl, "_dict_to_ordered_dict", lambda x: sorted_inside(x, inside=True))
    return str(request.param)


def built(K: Any, structure: str, levels: int, goes_on: bool) -> Any:
    x = K.Input((3,), name="x")
    tensors = [K.layers.Dense(2, name=name)(x) for name in ("z", "a", "m")]
    model = K.Model(x, STRUCTURES[structure](*tensors), name="at_0")
    for level in range(levels):
        model = K.Model(x, model(x), name=f"at_{level + 1}")
    return K.Model(x, K.layers.Dense(2, name="end")(picked(model(x))), name="last") if goes_on else model


def picked(found: Any) -> Any:
    """What is called z."""
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, item in items:
        hit = item if key == "z" else picked(item)
        if hit is not None:
            return hit
    return None


def assert_same(want: Any, module: torch.nn.Module) -> None:
    for a, b in zip(flatten(want), flatten(module(torch.tensor(X))), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


every = pytest.mark.parametrize(("structure", "levels", "goes_on"), [
    pytest.param(structure, levels, goes_on, id=f"{structure} {where}{', used' if goes_on else ''}")
    for structure in STRUCTURES for where, levels in LEVELS.items() for goes_on in (False, True)])


@every
def test_files_of_keras(structure: str, levels: int, goes_on: bool, backend: str, tmp_path: Path) -> None:
    theirs = built(keras, structure, levels, goes_on)
    for name in ("m.keras", "m.h5"):
        theirs.save(tmp_path / name)
        ours = kt.load_model(tmp_path / name)
        names = [spec.path.split("/")[-2:] for spec in ours.weights]
        assert names == [weight.path.split("/") for weight in theirs.weights]
        assert_same(theirs(X), ours.to_torch())
        kt.load_model(tmp_path / name).save(tmp_path / "again.keras")
        assert_same(keras.models.load_model(tmp_path / "again.keras")(X), ours.to_torch())
    theirs.save_weights(tmp_path / "m.weights.h5")
    ours = kt.models.model_from_json(theirs.to_json())
    ours.load_weights(tmp_path / "m.weights.h5")
    assert_same(theirs(X), ours.to_torch())


@every
def test_files_of_ours(structure: str, levels: int, goes_on: bool, backend: str, tmp_path: Path) -> None:
    ours = built(kt, structure, levels, goes_on)
    module = ours.to_torch()
    for name in ("m.keras", "m.h5"):
        ours.save(tmp_path / name, module)
        assert_same(keras.models.load_model(tmp_path / name)(X), module)

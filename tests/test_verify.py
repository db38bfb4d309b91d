"""verify: the same file here and in Keras, and the first layer that departs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerashape_torch import get_keras_weights, load_model, set_keras_weights
from kerashape_torch.cli import main
from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.saving import save_model
from kerashape_torch.testing import oracle, verify

DATA = Path(__file__).parent / "data" / "functional"
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:keras")  # of files by an older Keras, which Keras itself remarks upon


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(3, name="b")],
                             name="inner")
    x = keras.Input((4,), name="x")
    y = keras.layers.Dense(2, name="last")(inner(keras.layers.Dense(4, name="first")(x)))
    keras.Model(x, y, name="outer").save(tmp_path / "nested.keras")
    return tmp_path / "nested.keras"


@pytest.fixture
def departing(nested: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose weights are not those that Keras is given."""
    model, asked = load_model(nested), oracle.load
    module = model.to_torch()
    arrays = get_keras_weights(module)
    arrays[4] = arrays[4] + 1  # of inner/b
    set_keras_weights(module, arrays)
    other = nested.with_name("other.keras")
    save_model(model, other, module)
    monkeypatch.setattr(oracle, "load", lambda _: asked(nested))
    return other


@pytest.mark.parametrize("name", [
    "unet", "mask_embedding_lstm_dense", "ops_manual_attention", "nested_model_called_twice", "mixed_float16_cnn",
    "bfloat16_mlp", "dict_inputs_dict_outputs"])
def test_files_that_agree(name: str) -> None:
    found = verify(DATA / f"{name}.keras")
    assert found.agrees and found.departure is None and len(found.rows) > 1
    assert found.against.startswith(f"keras {keras.__version__} on ") and "agree" in found.verdict


def test_the_first_layer_that_departs_is_named(departing: Path) -> None:
    found = verify(departing)
    assert not found.agrees and found.departure is not None
    assert found.departure.name == "inner/b"
    assert [row.name for row in found.rows if row.agrees] == ["first", "inner/a"]
    assert "3 of 5 depart, inner/b first" in str(found)


def test_the_command(departing: Path, nested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(departing), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["departure"] == "inner/b"
    assert main(["verify", str(nested)]) == 0
    assert "all 3 agree" in capsys.readouterr().out


def test_a_recorded_case_where_there_is_no_keras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(_: Any) -> Any:
        raise KerashapeError("Keras is not installed here")

    monkeypatch.setattr(oracle, "load", missing)
    found = verify(DATA / "unet.keras")
    assert found.agrees and found.against == "unet.npz"
    with np.load(DATA / "unet.npz") as file:
        arrays = dict(file)
    arrays["output_0"] = arrays["output_0"] + 0.1
    np.savez(tmp_path / "case.npz", **arrays)
    wrong = verify(DATA / "unet.keras", tmp_path / "case.npz")
    assert wrong.departure is not None and wrong.departure.difference == pytest.approx(0.1, rel=1e-3)
    lonely = tmp_path / "lonely.keras"
    lonely.write_bytes((DATA / "unet.keras").read_bytes())
    with pytest.raises(KerashapeError, match=r"not installed here\. Way out: .* recorded case"):
        verify(lonely)
    np.savez(tmp_path / "short.npz", input_0=np.zeros(3))
    with pytest.raises(ConfigError, match="has 1 inputs and 0 outputs"):
        verify(lonely, tmp_path / "short.npz")


def test_no_keras_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(oracle.importlib, "import_module", absent)
    with pytest.raises(KerashapeError, match="Keras is not installed"):
        oracle.load(DATA / "unet.keras")

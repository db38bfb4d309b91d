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
    monkeypatch.setattr(oracle, "load", lambda *_: asked(nested))
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
    def missing(*_: Any) -> Any:
        raise oracle.Unavailable("Keras is not installed here")

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


# ---- tf_keras --------------------------------------------------------------------------------------------------------

LEGACY = Path(__file__).parent / "data" / "legacy"


@pytest.fixture
def tf_keras() -> Any:
    return pytest.importorskip("tf_keras", reason="tf_keras, which is Keras 2, is not installed: it takes TensorFlow")


@pytest.mark.filterwarnings("ignore")  # of TensorFlow and tf_keras, about themselves
@pytest.mark.parametrize("name", ["k2_seq_cnn.h5", "k2_bidirectional.h5", "k2_lstm_default.keras", "k2_nested.h5",
                                  "k2_tfop_reductions.h5", "k2_slicing_op_lambda.h5", "k2_time_distributed.h5"])
def test_files_of_keras_2_are_held_against_keras_2(tf_keras: Any, name: str) -> None:
    found = verify(LEGACY / name)
    assert found.agrees and len(found.rows) > 1
    assert found.against == f"tf_keras {tf_keras.__version__} on tensorflow"


@pytest.mark.filterwarnings("ignore")
def test_the_first_layer_that_departs_from_keras_2_is_named(tf_keras: Any, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    k = tf_keras
    inner = k.Sequential([k.Input((4,)), k.layers.Dense(3, name="a"), k.layers.Dense(3, name="b")], name="inner")
    x = k.Input((4,), name="x")
    outer = k.Model(x, k.layers.Dense(2, name="last")(inner(k.layers.Dense(4, name="first")(x))), name="outer")
    outer.save(tmp_path / "nested.h5")
    inner.layers[-1].bias.assign_add([1.0, 1.0, 1.0])
    outer.save(tmp_path / "other.h5")
    asked = oracle.load
    assert verify(tmp_path / "nested.h5").agrees
    monkeypatch.setattr(oracle, "load", lambda _, version: asked(tmp_path / "nested.h5", version))
    found = verify(tmp_path / "other.h5")
    assert found.departure is not None and found.departure.name == "inner/b"
    assert [row.name for row in found.rows if row.agrees] == ["first", "inner/a"]


@pytest.mark.filterwarnings("ignore")
def test_what_keras_2_cannot_run_here_is_said(tf_keras: Any, tmp_path: Path) -> None:
    (tmp_path / "cudnn.h5").write_bytes((LEGACY / "k2_cudnn_rnn.h5").read_bytes())
    with pytest.raises(KerashapeError, match=r"cannot run it.*Way out"):
        verify(tmp_path / "cudnn.h5")

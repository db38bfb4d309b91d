"""The shapes that Keras wrote into its files, held against those that are inferred here."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from live import keras

from kerashape_torch import load_model
from kerashape_torch.cli import main
from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.saving.recorded_shapes import Recorded
from kerashape_torch.testing import check_recorded_shapes

UNET = harness.DATA / "functional" / "unet.json"
NEED_A_FUNCTION = "k2_lambda"  # of which the file holds bytecode


def files(folder: str) -> Iterator[tuple[str, Any]]:
    """Each config and file of a folder of the corpus, packed configs as dicts."""
    for path in sorted((harness.DATA / folder).iterdir()):
        if ".shapes" in path.name or path.stem == NEED_A_FUNCTION:
            continue
        if path.suffix == ".gz":
            found = json.loads(gzip.decompress(path.read_bytes()))
            if "class_name" in found:
                yield path.name, found
        elif path.suffix == ".keras" or (path.suffix == ".h5" and "weights" not in path.name) or (
                path.suffix == ".json" and "class_name" in path.read_text()):
            yield path.name, path


@pytest.mark.parametrize(("folder", "shapes", "empty"), [
    ("functional", 892, ["ops_conv_pool.json", "ops_conv_pool.keras"]),  # whose ops all take an input
    ("applications", 24277, []),
    ("legacy", 190, None)])  # of which Keras 1 and 2 wrote shapes into few
def test_the_whole_corpus(folder: str, shapes: int, empty: list[str] | None) -> None:
    found = {name: check_recorded_shapes(file, harness.MODEL_LAMBDAS.get(name.partition(".")[0]))
             for name, file in files(folder)}
    assert [(name, held.departure) for name, held in found.items() if not held.agrees] == []
    assert sum(len(held.rows) for held in found.values()) == shapes
    assert empty is None or [name for name, held in found.items() if not held.rows] == empty


def doctored(change: Any) -> dict[str, Any]:
    """The U-Net, in which a function has changed the entries of the layers, by name."""
    config = json.loads(UNET.read_text())
    change({layer["name"]: layer for layer in config["config"]["layers"]})
    return config


def names() -> list[str]:
    return [layer.name for layer in load_model(UNET).layers if type(layer).__name__ == "Conv2D"]


def test_what_a_layer_was_built_for_is_held() -> None:
    third = names()[2]
    held = check_recorded_shapes(doctored(lambda layers: layers[third]["build_config"]["input_shape"].append(7)))
    assert [row.layer for row in held.rows if not row.agrees] == [third]
    first = held.departure
    assert first is not None and first.what == "takes" and first.recorded == f"{first.inferred[:-1]}, 7)"


def test_tensors_between_layers_are_held_with_their_dtypes() -> None:
    def change(layers: dict[str, Any]) -> None:
        tensors = [layers[names()[i]]["inbound_nodes"][0]["args"][0]["config"] for i in (1, 2)]
        tensors[0]["shape"][1], tensors[1]["dtype"] = 5, "float16"

    rows = [row for row in check_recorded_shapes(doctored(change)).rows if not row.agrees]
    assert [row.what for row in rows] == ["gives", "gives"]
    assert rows[0].recorded.startswith("(None, 5, ") and rows[1].recorded.endswith(" float16")


def test_another_argument_departs_where_it_starts() -> None:
    first, second = names()[:2]
    held = check_recorded_shapes(doctored(lambda layers: layers[first]["config"].update(filters=5)))
    assert held.departure is not None and held.departure[:3] == (first, "Conv2D", "gives")
    assert held.departure.inferred.endswith(", 5) float32")
    assert any(row.layer == second and not row.agrees for row in held.rows)
    assert f"depart, {first} first: it gives" in held.verdict


def test_layers_inside_layers_are_held() -> None:
    held = check_recorded_shapes(harness.DATA / "functional" / "stacked_rnn_cells.keras")
    assert Recorded("rnn/stacked_rnn_cells/gru_cell", "GRUCell", "takes", "(None, 4)", "(None, 4)") in held.rows
    nested = check_recorded_shapes(harness.DATA / "functional" / "td_nested_model.keras")
    assert {row.layer.count("/") for row in nested.rows} >= {0, 1, 2}


def test_what_keras_writes_today(tmp_path: Path) -> None:
    """Layers of several inputs, of shapes in a dict, in wrappers, and one that is called twice."""
    layers = keras.layers
    steps, words = keras.Input((5, 6), name="steps"), keras.Input((None,), dtype="int32", name="words")
    shared = layers.Dense(6, name="shared")
    attended = layers.MultiHeadAttention(2, 3, name="attend")(shared(steps), layers.Embedding(9, 6, name="e")(words))
    cells = layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True, name="rnn")(shared(attended))
    step = layers.Dense(3, name="dense")
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True, name="lstm"), name="both")(cells)
    out = layers.TimeDistributed(step, name="each")(layers.Concatenate(name="cat")([both, cells]))
    keras.Model([steps, words], out).save(tmp_path / "m.keras")
    held = check_recorded_shapes(tmp_path / "m.keras")
    assert held.agrees and held.without == []
    assert {"shared", "attend", "e", "rnn", "both", "both/forward_lstm", "cat", "each", "each/dense"} <= {
        row.layer for row in held.rows}


def test_what_holds_nothing() -> None:
    held = check_recorded_shapes(harness.DATA / "legacy" / "keras224_sequential.json")
    assert (held.rows, held.agrees) == ([], True) and held.without
    assert held.verdict.startswith("keras224_sequential.json carries no shapes but those of its inputs")
    unbuilt = keras.Sequential([keras.layers.Dense(3)])
    with pytest.raises(KerashapeError, match="has no input shape, so there is nothing to hold"):
        check_recorded_shapes(json.loads(unbuilt.to_json()))
    with pytest.raises(ConfigError):
        check_recorded_shapes({})


@pytest.mark.parametrize("written", [
    {"build_config": [3]}, {"build_config": {"input_shape": 3}}, {"build_config": {"input_shape": [None, "x"]}},
    {"build_config": {"input_shape": [[1, 2], "abc"]}}, {"build_config": {"shapes_dict": 4}}, {"shape": "x"},
    {"shape": None}, {"dtype": None}, {"dtype": ["x"]}], ids=str)
def test_nonsense_is_refused_or_departs(written: dict[str, Any]) -> None:
    def change(layers: dict[str, Any]) -> None:
        third = layers[names()[2]]
        (third if "build_config" in written else third["inbound_nodes"][0]["args"][0]["config"]).update(written)

    with contextlib.suppress(KerashapeError):
        assert not check_recorded_shapes(doctored(change)).agrees


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = harness.DATA / "functional" / "stacked_rnn_cells.keras"
    assert main(["check", "--shapes", str(cells)]) == 0
    assert capsys.readouterr().out == "stacked_rnn_cells.keras: all 8 shapes that Keras saw are inferred here\n"
    first = names()[0]
    (tmp_path / "doctored.json").write_text(json.dumps(
        doctored(lambda layers: layers[first]["build_config"].update(input_shape=[None, 32, 32, 7]))))
    assert main(["check", "--shapes", str(tmp_path / "doctored.json")]) == 1
    assert capsys.readouterr().out == f"""\
layer   class          in the file        inferred here
{first}  Conv2D  takes  (None, 32, 32, 7)  (None, 32, 32, 1)

doctored.json: 1 of the 64 shapes that Keras saw depart, {first} first: it takes (None, 32, 32, 7) there, (None, 32, 32, 1) here
"""  # noqa: E501
    (tmp_path / "doctored.json").write_text(json.dumps(
        doctored(lambda layers: layers[first]["config"].update(filters=5))))
    assert main(["check", "--shapes", "--json", str(tmp_path / "doctored.json")]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["departure"] == first and found["held"] == len(found["rows"]) and not found["agrees"]
    assert main(["check", "--shapes", str(harness.DATA / "legacy" / "k2_nested.h5")]) == 2
    assert "carries no shapes but those of its inputs" in capsys.readouterr().out


def test_the_command_needs_neither_torch_nor_keras() -> None:
    code = f"""
import sys
from kerashape_torch.cli import main
assert main(["check", "--shapes", {str(UNET)!r}]) == 0
assert not {{"torch", "keras", "tensorflow"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

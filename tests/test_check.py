"""check: what a file needs, layer by layer, before a weight is read; and what load_model says of it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import kerashape_torch
from kerashape_torch import load_model
from kerashape_torch.cli import main
from kerashape_torch.errors import ConfigError, UnsafeConfigError
from kerashape_torch.lambda_source import in_torch
from kerashape_torch.saving import check

DATA = Path(__file__).parent / "data"


def keras2(*layers: tuple[str, dict[str, Any]], version: str = "2.2.4") -> dict[str, Any]:
    first, *others = [{"class_name": name, "config": {"name": f"{name.lower()}_{i}", **config}}
                      for i, (name, config) in enumerate(layers)]
    first["config"]["batch_input_shape"] = [None, 4]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first, *others]}, "keras_version": version,
            "backend": "tensorflow"}


def written(folder: Path, config: Any) -> Path:
    (folder / "model.json").write_text(json.dumps(config))
    return folder / "model.json"


@pytest.mark.parametrize(("file", "form"), [
    ("functional/unet.keras", "a .keras archive, Keras 3"),
    ("legacy/k2_attention.h5", "a whole model in HDF5, Keras 2"),
    ("legacy/k2_attention.json", "a config, Keras 2")])
def test_sound_files(file: str, form: str) -> None:
    found = check(DATA / file)
    assert found.is_exact and form in str(found)
    assert found.weights == ("none" if file.endswith("json") else "all of the right shape")


def test_what_is_needed_what_is_refused_and_what_has_changed(tmp_path: Path) -> None:
    path = written(tmp_path, keras2(
        ("Dense", {"units": 3, "activation": "hard_sigmoid"}), ("Mine", {}),
        ("Lambda", {"function": "lambda x: x / 2.0", "function_type": "function", "arguments": {}}),
        ("Lambda", {"function": ["4wEAAA==", None, None], "function_type": "lambda", "arguments": {}}),
        ("TFSMLayer", {"filepath": "x"}), ("Dense", {"units": 2})))
    found = check(path)
    verdicts = {each.layer: each.verdict for each in found.layers}
    assert verdicts == {"dense_0_input": "exact", "dense_0": "exact", "mine_1": "needs you", "lambda_2": "needs you",
                        "lambda_3": "needs you", "tfsmlayer_4": "refused", "dense_5": "exact"}
    said = {each.layer: each.way_out for each in found.layers}
    assert said["mine_1"] == "from your_code import Mine\nmodel = load_model(file, custom_objects={'Mine': Mine})"
    assert said["lambda_2"].startswith("lambda_2 = lambda x: x / 2.0  # as the file has it\n")
    assert said["lambda_3"].startswith("lambda_3 = lambda x: ...")
    assert [note for note in found.notes if "hard_sigmoid" in note] and not found.is_exact
    with pytest.raises(ConfigError, match="4 layers of this model need something") as error:
        load_model(path)
    for name in ("mine_1", "lambda_2", "lambda_3", "tfsmlayer_4"):
        assert name in str(error.value)
    assert "custom_objects={'Mine': ..., 'lambda_2': ..., 'lambda_3': ...}" in str(error.value)


def test_a_function_of_ones_own_may_be_passed(tmp_path: Path) -> None:
    file = written(tmp_path, keras2(("Dense", {"units": 3, "activation": "swish2"})))
    (needed,) = [each for each in check(file).layers if each.verdict != "exact"]
    assert needed.verdict == "needs you" and "custom_objects={'swish2': swish2}" in needed.way_out
    with pytest.raises(ConfigError, match=r"'swish2' is not one of .*custom_objects=\{'swish2': \.\.\.\}"):
        load_model(file)
    assert check(file, {"swish2": torch.tanh}).is_exact


def test_the_lines_that_it_offers_run(tmp_path: Path) -> None:
    file = written(tmp_path, keras2(("Dense", {"units": 3}), ("Lambda", {
        "function": "lambda x: tf.cast(x, 'float32') / 2.0", "function_type": "function", "arguments": {}})))
    scope = {"load_model": load_model, "file": file, "torch": torch}
    (needed,) = [each for each in check(file).layers if each.verdict != "exact"]
    exec(needed.way_out, scope)
    assert scope["model"].output_shape == (None, 3)
    assert check(file, {needed.layer: scope[needed.layer]}).is_exact


def test_one_layer_alone_is_named_by_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(UnsafeConfigError, match=r"^TFSMLayer runs"):
        load_model(written(tmp_path, keras2(("Dense", {"units": 3}), ("TFSMLayer", {"filepath": "x"}))))


def test_what_is_wrong_with_the_whole(tmp_path: Path) -> None:
    found = check(written(tmp_path, keras2(("Dense", {"units": 3}), ("Conv2D", {"filters": 2, "kernel_size": 3}))))
    assert all(each.verdict == "exact" for each in found.layers)
    assert not found.is_exact and "conv2d_1" in found.problem


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    config = json.loads((DATA / "functional" / "unet.json").read_text())
    sound = zipfile.ZipFile(DATA / "functional" / "unet.keras")
    with sound, zipfile.ZipFile(tmp_path / "x.keras", "w") as file:
        first = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D")
        first["config"]["kernel_size"] = [5, 5]
        file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", sound.read("model.weights.h5"))
    found = check(tmp_path / "x.keras")
    assert not found.is_exact and "kernel is (5, 5" in found.problem and found.weights == "not looked at"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DATA / "functional" / "unet.keras"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exact"] is True
    assert main(["check", str(written(tmp_path, keras2(("Mine", {})))), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["layers"][-1]["verdict"] == "needs you"
    assert main(["check", str(written(tmp_path, keras2(("Mine", {}))))]) == 1
    assert "from your_code import Mine" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "want"), [
    ("lambda x: x / 127.5 - 1", lambda x: x / 127.5 - 1), ("lambda x: x[:, 0]", lambda x: x[:, 0]),
    ("lambda x: K.mean(x, axis=1, keepdims=True)", lambda x: x.mean(1, keepdim=True)),
    ("lambda x: tf.reduce_mean(tf.square(x), axis=[1, 2]) * 2", lambda x: x.square().mean([1, 2]) * 2),
    ("lambda x: K.l2_normalize(x, axis=1)", lambda x: torch.nn.functional.normalize(x, dim=1)),
    ("lambda x: tf.expand_dims(tf.abs(x), -1)", lambda x: x.abs().unsqueeze(-1)),
    ("lambda x: K.clip(x, 0, 0.5)", lambda x: x.clamp(0, 0.5)),
    ("lambda x: tf.nn.softmax(x)", lambda x: x.softmax(-1))])
def test_source_text_of_lambdas(text: str, want: Any) -> None:
    x = torch.linspace(-1, 1, 24).reshape(2, 3, 4)
    torch.testing.assert_close(eval(in_torch(text) or "", {"torch": torch})(x), want(x))


def test_an_image_is_resized_as_tensorflow_does() -> None:
    found = in_torch("lambda x: tf.image.resize(x, (4, 6))")
    assert found is not None
    assert eval(found, {"kerashape_torch": kerashape_torch})(torch.ones(1, 2, 3, 3)).shape == (1, 4, 6, 3)


@pytest.mark.parametrize("text", [
    "lambda x: __import__('os').system('x')", "lambda x: open(x)", "lambda x: x.shape",
    "lambda x: tf.io.read_file('x')",
    "lambda x: (lambda y: y)(x)", "lambda x: x if x else 1", "lambda x: [y for y in x]", "lambda x=1: x", "x / 2",
    "def", "lambda x: y", "lambda x: tf.cast(x, z)", "lambda x: tf.image.resize(x, (1, x))",
    "(" * 500, "lambda x: f'{x}'"])
def test_text_that_is_not_known(text: str) -> None:
    assert in_torch(text) is None

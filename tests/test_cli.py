"""The ``kerashape`` command as its users see it: tables on a terminal, plain text in a pipe, JSON, and refusals."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kerashape_torch as kt
from kerashape_torch import config, sources
from kerashape_torch.cli import main, value
from kerashape_torch.layers import LSTM, BatchNormalization, Dense, Embedding
from kerashape_torch.models import Input, Model, Sequential
from kerashape_torch.reports import explain, explanation
from kerashape_torch.shape_table import shape_table

EXAMPLES = Path(__file__).parent.parent / "examples"
TEXT_CNN, UNET = str(EXAMPLES / "text_cnn.keras"), str(EXAMPLES / "unet.keras")
Captured = pytest.CaptureFixture[str]


def says(capsys: Captured, *arguments: str) -> str:
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def data(capsys: Captured, *arguments: str) -> Any:
    return json.loads(says(capsys, *arguments, "--json"))


def refuses(capsys: Captured, *arguments: str) -> str:
    """The message of an error, of which there is one."""
    try:
        status: Any = main(arguments)
    except SystemExit as ended:  # argparse ends the program by itself
        status = ended.code
    printed = capsys.readouterr()
    assert status == 2 and printed.out == "" and "Traceback" not in printed.err
    assert [line.startswith("kerashape") for line in printed.err.splitlines()].count(True) == 1
    return printed.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shows(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a command prints on a terminal 72 wide, which no line goes beyond."""
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stdout(Terminal()) as terminal:
        assert main(arguments) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())
    assert max(map(len, shown.splitlines())) <= 72
    return shown


@pytest.fixture
def free(tmp_path: Path) -> str:
    """A model without an input shape."""
    path = tmp_path / "free.json"
    Sequential([Dense(4), BatchNormalization(), Dense(1)], name="free").save(path)
    return str(path)


# ---- summary ---------------------------------------------------------------------------------------------------------


def test_summary(capsys: Captured) -> None:
    assert says(capsys, "summary", TEXT_CNN) == f"{shape_table(TEXT_CNN)}\n"
    assert says(capsys, "summary", TEXT_CNN).startswith("text_cnn: (None, 20) -> (None, 1), 613 parameters\n")
    assert data(capsys, "summary", TEXT_CNN) == json.loads(shape_table(TEXT_CNN).to_json())


def test_summary_of_a_model_without_a_shape(capsys: Captured, free: str) -> None:
    assert says(capsys, "summary", free).startswith("free: ? -> ?, ? parameters\n")
    for shape in ("3", "(3,)", "(None, 3)"):
        assert says(capsys, "summary", free, "--input-shape", shape).startswith(
            "free: (None, 3) -> (None, 1), 37 parameters, 8 of them not trainable\n")


def test_summary_of_nested_models(capsys: Captured, tmp_path: Path) -> None:
    inner = Sequential([Input((3,)), Dense(2, name="deep")], name="inner")
    Sequential([Input((3,)), inner], name="outer").save(tmp_path / "nested.json")
    path = str(tmp_path / "nested.json")
    assert "deep" not in says(capsys, "summary", path)
    assert "\n  deep " in says(capsys, "summary", path, "--expand-nested")
    assert [layer["name"] for layer in data(capsys, "summary", path)["layers"]][-1] == "deep"


def test_summary_on_a_terminal_is_the_table_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shows(monkeypatch, "summary", TEXT_CNN)
    assert 'Model: "text_cnn"' in shown and "Total params: 613" in shown and "┃" in shown
    assert max(map(len, shows(monkeypatch, "summary", TEXT_CNN, "--line-length", "60").splitlines())) <= 60


# ---- explain ---------------------------------------------------------------------------------------------------------


def test_explain(capsys: Captured) -> None:
    assert says(capsys, "explain", "Dense", "units=4", "input_shape=3") == f"{explain(Dense(4), 3)}\n"
    assert says(capsys, "explain", "LSTM", "units=7", "input_shape=(5, 3)") == f"{explain(LSTM(7), (5, 3))}\n"
    assert "forward_lstm/lstm_cell/kernel" in says(
        capsys, "explain", "Bidirectional", "layer=LSTM(4, return_sequences=True)", "input_shape=(5, 3)")


@pytest.mark.parametrize("place", range(4))
def test_options_stand_anywhere(capsys: Captured, place: int) -> None:
    arguments = ["Dense", "units=4", "input_shape=3"]
    arguments.insert(place, "--json")
    found = json.loads(says(capsys, "explain", *arguments))
    assert found["layer"] == "Dense(units=4)" and found["params"] == 16
    assert found["shapes"]["output"] == {"shape": [None, 4], "axes": "batch, units"}
    assert [(w["name"], w["shape"], w["params"]) for w in found["weights"]] == [("kernel", [3, 4], 12),
                                                                                ("bias", [4], 4)]


def test_explain_keeps_to_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shows(monkeypatch, "explain", "Dense", "units=4", "input_shape=3")
    assert " ".join(shown.split()).endswith("12 + 4 = 16 parameters")
    meaning = explanation(Dense(4), 3).arguments[0].meaning
    assert meaning is not None and set(meaning.split()) <= set(shown.split())
    assert "[(None, 3), (None, 5)]" in shows(monkeypatch, "explain", "Concatenate", "input_shape=[(3,), (5,)]")


def test_values() -> None:
    assert value("3") == 3 and value("(5, None)") == (5, None) and value("[(3,), (5,)]") == [(3,), (5,)]
    assert value("relu") == "relu" and value("same") == "same" and value("ab,bc->ac") == "ab,bc->ac"
    assert value("[Dense(4), Dense(units=5)]")[1].units == 5
    assert value("a + b") == "a + b" and value("") == ""  # nothing is evaluated


# ---- plot ------------------------------------------------------------------------------------------------------------


def test_plot(capsys: Captured, tmp_path: Path) -> None:
    picture = tmp_path / "unet.svg"
    assert says(capsys, "plot", UNET, "-o", str(picture)) == f"drawn: {picture}\n"
    bare = picture.read_text()
    assert "<svg" in bare and "Conv2D" in bare and "(None, 32, 32, 1)" not in bare
    assert data(capsys, "plot", UNET, "-o", str(picture), "--show-shapes") == {"file": str(picture)}
    assert "(None, 32, 32, 1)" in picture.read_text()
    assert says(capsys, "plot", TEXT_CNN, "-o", str(tmp_path / "cnn")) == f"drawn: {tmp_path}/cnn.png\n"
    assert (tmp_path / "cnn.png").read_bytes().startswith(b"\x89PNG")


def test_plot_refuses(capsys: Captured, tmp_path: Path, free: str) -> None:
    assert "must end in .png or .svg" in refuses(capsys, "plot", UNET, "-o", str(tmp_path / "x.jpg"))
    assert f"there is no directory {tmp_path}/no\n" in refuses(capsys, "plot", UNET, "-o", f"{tmp_path}/no/x.svg")
    assert "the input shape of free is not known yet" in refuses(capsys, "plot", free, "-o", str(tmp_path / "x.svg"))


# ---- run -------------------------------------------------------------------------------------------------------------


def test_run(capsys: Captured) -> None:
    lines = says(capsys, "run", TEXT_CNN, "--batch", "3", "--device", "cpu", "--repeat", "2").splitlines()
    assert [line.split("  ")[0] for line in lines] == ["model", "device", "input input_layer", "output dense",
                                                       "time per batch", "samples per second", "peak memory"]
    assert "cpu, " in lines[1] and lines[2].endswith("(None, 20), here (3, 20) int32")
    assert lines[3].endswith("(None, 1), here (3, 1) float32") and lines[4].endswith(" ms, the median of 2")


def test_run_as_data(capsys: Captured) -> None:
    found = data(capsys, "run", TEXT_CNN, "--batch", "3", "--device", "cpu", "--repeat", "1", "--dtype", "bfloat16")
    assert found["inputs"] == [{"name": "input_layer", "shape": [None, 20], "real_shape": [3, 20], "dtype": "int32"}]
    assert found["outputs"] == [{"name": "dense", "shape": [None, 1], "real_shape": [3, 1], "dtype": "bfloat16"}]
    assert found["median_seconds"] > 0 and found["samples_per_second"] == pytest.approx(3 / found["median_seconds"])
    assert found["peak_memory_bytes"] > 2**20


def test_run_of_a_model_without_a_shape(capsys: Captured, free: str) -> None:
    found = data(capsys, "run", free, "--input-shape", "3", "--device", "auto", "--repeat", "1")
    assert [x["real_shape"] for x in (*found["inputs"], *found["outputs"])] == [[32, 3], [32, 1]]


def test_run_makes_up_free_axes_and_integers(capsys: Captured, tmp_path: Path) -> None:
    words, number = Input((None,), name="words", dtype="int32"), Input((2,), name="number")
    outputs = {"state": LSTM(3, name="state")(Embedding(2, 4)(words)), "same": Dense(5, name="same")(number)}
    Model([words, number], outputs, name="two").save(tmp_path / "two.json")
    found = data(capsys, "run", str(tmp_path / "two.json"), "--batch", "2", "--device", "cpu", "--repeat", "1")
    assert [(x["name"], x["real_shape"]) for x in found["inputs"]] == [("words", [2, 16]), ("number", [2, 2])]
    assert sorted((x["name"], x["real_shape"]) for x in found["outputs"]) == [("same", [2, 5]), ("state", [2, 3])]


def test_run_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "│ time per batch" in shows(monkeypatch, "run", TEXT_CNN, "--device", "cpu", "--repeat", "1")


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_files_that_are_no_models(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "dense.json").write_text(json.dumps(Dense(3).serialize()))
    (tmp_path / "text.keras").write_text("text")
    (tmp_path / "cut.keras").write_bytes(Path(UNET).read_bytes()[:2000])
    for command in ("summary", "plot", "run"):
        assert "there is no file nothing.keras" in refuses(capsys, command, "nothing.keras")
        assert "describes a Dense, which is no model" in refuses(capsys, command, str(tmp_path / "dense.json"))
        assert "text.keras is not JSON" in refuses(capsys, command, str(tmp_path / "text.keras"))
        assert "cut.keras is a damaged archive" in refuses(capsys, command, str(tmp_path / "cut.keras"))
        assert "has no config.json" in refuses(capsys, command, str(tmp_path))


@pytest.mark.parametrize(("arguments", "message"), [
    ("Densse", "there is no layer 'Densse'. Did you mean 'Dense'?"),
    ("Model", "Model is a model of layers: kerashape summary FILE shows one"),
    ("Dense", "Dense needs the argument 'units'"),
    ("Dense 4", "arguments of a layer are written NAME=VALUE, got '4'"),
    ("Dense unit=4", "Dense has no argument 'unit'. Did you mean 'units'?"),
    ("Dense units=four", "Dense(units=...) must be an integer, got 'four'"),
    ("Dense units=4 units=5", "units is given twice"),
    ("Dense units=4 input_shape=x", "input_shape must be a tuple of integers and None, got 'x'"),
    ("TimeDistributed layer=Densse(4)", "there is no layer 'Densse'. Did you mean 'Dense'?"),
    ("Dense units=4 input_shape=(None,None)", "features: the size of this axis is None, and the weights need it"),
])
def test_explain_refuses(capsys: Captured, arguments: str, message: str) -> None:
    assert message in refuses(capsys, "explain", *arguments.split())


def test_run_refuses(capsys: Captured, free: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "free has no input shape yet: give it one with --input-shape" in refuses(capsys, "run", free)
    for option, given, message in [
            ("--device", "gpu", "device must be 'auto', 'cpu', 'cuda' or 'meta', got 'gpu'"),
            ("--device", "cuda", "device 'cuda' is asked for and torch finds none"),
            ("--device", "mps", "torch cannot run free on mps"),
            ("--batch", "0", "batch and repeat must be positive"),
            ("--batch", "many", "argument --batch: invalid int value: 'many'"),
            ("--batch", str(10**15), "torch cannot run free on cpu with batch="),
            ("--dtype", "int32", "dtype must be a torch dtype of floats or its name, got 'int32'")]:
        assert message in refuses(capsys, "run", free, "--input-shape", "3", option, given)
    assert "input_shape must be a tuple" in refuses(capsys, "run", free, "--input-shape", "x")


def test_unknown_options(capsys: Captured) -> None:
    assert "kerashape explain: error: unrecognized arguments: --no" in refuses(capsys, "explain", "Dense", "--no",
                                                                              "units=4")
    assert "unrecognized arguments: more" in refuses(capsys, "summary", TEXT_CNN, "more")
    assert "the following arguments are required: COMMAND" in refuses(capsys)


OWN = '''
import kerashape_torch as kt
from kerashape_torch import config, sources
from kerashape_torch.saving import register_keras_serializable
class Twice(kt.layers.Layer):
    def call(self, x):
        return x * 2
@register_keras_serializable("mine")
class Plus(kt.layers.Layer):
    by: float = 1.0
    def forward(self, x):
        return x + self.by
def halved(x):
    return x / 2
_hidden = by_other_names = {"a lambda": halved}
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Saves a model of classes that a file has the code of; gives both paths."""
    monkeypatch.setattr(config, "_registered", {})
    code = tmp_path / f"own_{tmp_path.name}.py"
    code.write_text(OWN)
    found = sources.custom_objects([str(code)])
    lambda_ = kt.layers.Lambda(found["halved"], name="a lambda")
    model = Sequential([Input((3,)), found["Twice"](), found["Plus"](by=2.0)], name="of_mine")
    with_function = Sequential([Input((3,)), lambda_], name="with_function")
    for each in (model, with_function):
        each.save(tmp_path / f"{each.name}.json")
    model.save(tmp_path / "of_mine.keras")
    monkeypatch.setattr(config, "_registered", {})
    return tmp_path, str(code)


@pytest.mark.parametrize("command", ["summary", "plot -o {}/drawn.svg", "port -o {}/out", "run --batch 2 --repeat 1",
                                     "plan --batch 2", "check", "check --shapes", "diff {}/of_mine.json"])
def test_objects_of_the_users_own(capsys: Captured, own: Any, command: str) -> None:
    """Every command that reads a file takes them, and without them says how."""
    folder, code = own
    name, *more = command.format(folder).split()
    arguments = [name, str(folder / "of_mine.keras"), *more]
    if command == "check":
        assert main(arguments) == 1
        assert "Twice" in capsys.readouterr().out
    else:
        assert "On the command line: --custom-objects FILE.py" in refuses(capsys, *arguments)
    said = says(capsys, *arguments, "--custom-objects", code)
    assert "is not one of keras.layers" not in said and (name == "plot" or "Plus" in said or name != "summary")


def test_objects_of_the_users_own_by_name(capsys: Captured, own: Any) -> None:
    folder, code = own
    file = str(folder / "of_mine.json")
    assert "Plus" in says(capsys, "summary", file, "--custom-objects", f"{code}:Twice,Plus")
    assert "'Twice' is not one of keras.layers" in refuses(capsys, "summary", file, "--custom-objects", f"{code}:Plus")
    assert "input_shape" in says(capsys, "explain", "Plus", "input_shape=3", "--custom-objects", code)
    function = str(folder / "with_function.json")
    assert "a lambda" in refuses(capsys, "summary", function, "--custom-objects", f"{code}:Plus")
    assert "(None, 3)" in says(capsys, "summary", function, "--custom-objects", f"{code}:by_other_names")


def test_code_that_cannot_be_had(capsys: Captured, own: Any, tmp_path: Path) -> None:
    _, code = own
    assert "there is no file" in refuses(capsys, "summary", UNET, "--custom-objects", "nowhere.py")
    assert "has no attribute 'Thrice'" in refuses(capsys, "summary", UNET, "--custom-objects", f"{code}:Thrice")
    (tmp_path / "broken.py").write_text("1 / 0")
    said = refuses(capsys, "summary", UNET, "--custom-objects", str(tmp_path / "broken.py"))
    assert "ZeroDivisionError: division by zero" in said


def test_version_and_help(capsys: Captured) -> None:
    for arguments, expected in ([["--version"], f"kerashape_torch {kt.__version__}\n"],
                                [["--help"], "Explains a layer: its arguments, shapes and weights."],
                                [["explain", "--help"], "units=4 input_shape=3"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0 and expected in capsys.readouterr().out


# ---- the program by itself -------------------------------------------------------------------------------------------


def test_summary_and_explain_load_no_torch() -> None:
    code = f"""
import sys
from kerashape_torch.cli import main
assert main(["summary", {UNET!r}]) == main(["explain", "LSTM", "units=4", "input_shape=(5, 3)"]) == 0
assert main(["summary", "nothing.keras"]) == 2
assert not {{"torch", "h5py"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_reader_that_has_seen_enough() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run([sys.executable, "-m", "kerashape_torch.cli", "summary", UNET], stdout=writing,
                               stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")

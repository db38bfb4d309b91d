"""The command ``kerashape diff``: files and code of the user in, text, JSON and annotations out."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from diffed import residual, twins

from kerashape_torch import shape_text
from kerashape_torch.cli import main
from kerashape_torch.differences import diff
from kerashape_torch.layers import Conv2D, Dense, Flatten
from kerashape_torch.models import Input, Sequential
from kerashape_torch.shape_table import shape_table
from kerashape_torch.testing.snapshots import ShapeSnapshot, SnapshotFile


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    before, after = str(tmp_path / "before.json"), str(tmp_path / "after.json")
    residual("a").save(before)
    residual("a", strides=2).save(after)
    return before, after


def said(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    assert main(["diff", *arguments]) == status
    printed = capsys.readouterr()
    return printed.err if status == 2 else printed.out


def test_exit_status(capsys: pytest.CaptureFixture[str], files: tuple[str, str], tmp_path: Path) -> None:
    assert said(capsys, 0, files[0], files[0]) == "no difference\n"
    assert said(capsys, 1, *files) == f"{diff(*files)}\n"
    assert "kerashape: " in said(capsys, 2, files[0], str(tmp_path / "none.json"))


def test_as_json(capsys: pytest.CaptureFixture[str], files: tuple[str, str]) -> None:
    found = json.loads(said(capsys, 1, *files, "--json"))
    assert found == json.loads(diff(*files).to_json()) and found["same"] is False
    cause, = found["causes"]
    assert (cause["how"], cause["name"], cause["class_name"]) == ("changed", "stem", "Conv2D")
    assert cause["changes"] == [{"what": "output", "before": "(None, 16, 16, 8)", "after": "(None, 8, 8, 8)"}]
    assert [each["name"] for each in cause["follows"]] == ["a_conv", "a_bn", "a_add", "a_act", "pool"]


def test_annotations(capsys: pytest.CaptureFixture[str], files: tuple[str, str], tmp_path: Path) -> None:
    name = files[1].replace(":", "%3A").replace(",", "%2C")
    assert said(capsys, 1, *files, "--github") == (
        f"::error file={name},title=changed%3A stem::output: (None, 16, 16, 8) -> (None, 8, 8, 8)%0A"
        "followed by a_conv ... pool (5)\n")
    many = [Sequential([Input((3,)), *(Dense(n + i % 2, name=f"d{i}:x,%\n") for i in range(20))]) for n in (4, 6)]
    for model, path in zip(many, files):
        model.save(path)
    lines = said(capsys, 1, *files, "--github").splitlines()
    assert len(lines) == 10 and all(line.startswith("::error file=") for line in lines)
    assert "title=changed%3A d0%3Ax%2C%25%0A::output: (None, 4) -> (None, 6)%0A" in lines[0]
    assert lines[-1].endswith("::sequential: 20 layers changed")


def test_names_in_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("before.json", "after.json", "names.json")]
    twins("a", "b").save(files[0])
    twins("p", "q").save(files[1])
    said(capsys, 1, files[0], files[1], "--write-map", files[2])
    assert json.loads(Path(files[2]).read_text()) == {"a": "p", "b": "q"}
    assert "a -> p" in said(capsys, 1, files[0], files[1], "--map", files[2])
    for text, problem in (('{"x y": "p"}', "there is no layer 'x y' before"), ("[1]", "must hold names of layers"),
                          ('{"a": 1}', "must hold names of layers"), ("{", "names.json")):
        Path(files[2]).write_text(text)
        assert problem in said(capsys, 2, files[0], files[1], "--map", files[2])


MODULE = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, filters=8):
        super().__init__(nn.Conv2d(3, filters, 3), nn.Flatten(1), nn.Linear(filters * 36, 4))

def wide():
    return Net(12)

ready = Net()

def compiled():
    import kerashape_torch as kt
    from kerashape_torch.layers import Conv2D, Dense, Flatten
    return kt.Sequential([kt.Input((8, 8, 3)), Conv2D(8, 3), Flatten(), Dense(4)]).to_torch()

class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no weights here")
"""


def test_code_of_the_user(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, code = str(tmp_path / "m.json"), tmp_path / "code_of_mine.py"
    Sequential([Input((8, 8, 3)), Conv2D(8, 3), Flatten(), Dense(4)], name="net").save(model)
    code.write_text(MODULE)
    options = ("--import", "--layout", "any")
    for name in ("Net", "ready", "compiled"):  # gets the shape of the other, channels first
        assert said(capsys, 0, model, f"{code}:{name}", *options) == "no difference up to layout, in 2 layers\n"
    assert said(capsys, 0, f"{code}:Net", model, *options, "--input-shape", "(3, 8, 8)").startswith("no difference")
    assert said(capsys, 1, model, f"{code}:wide", *options).startswith("net -> Net: 1 layer changed, 1 follows")
    assert "--import runs it" in said(capsys, 2, model, f"{code}:Net")
    assert "Broken: RuntimeError: no weights here" in said(capsys, 2, model, f"{code}:Broken", *options)
    assert "AttributeError" in said(capsys, 2, model, f"{code}:Nut", *options)
    assert "there is no file" in said(capsys, 2, model, f"{tmp_path / 'none.py'}:Net", *options)
    assert "nothing_of_this_name" in said(capsys, 2, model, "nothing_of_this_name:Net", *options)


def test_in_colours(monkeypatch: pytest.MonkeyPatch, files: tuple[str, str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with contextlib.redirect_stdout(Terminal()) as terminal:
        assert main(["diff", *files]) == 1
    text = terminal.getvalue()
    assert "\x1b[" in text and "^^" not in text
    bare = [line for line in str(diff(*files)).splitlines() if set(line) - {" ", "^"} or not line]
    assert [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()] == bare


def test_snapshots(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What the plugin keeps is compared with a file and with another snapshot; by its title where there are several."""
    small, large = residual("a"), residual("a", strides=2)
    folder, large_file = tmp_path / "__shapes__", tmp_path / "large.json"
    snapshot = ShapeSnapshot(folder, "test_one", "tests.py::test_one", update=True)
    snapshot.check(small)
    snapshot.check(large, name="large", values=True)
    file = SnapshotFile(folder, "test_one")
    file.write(snapshot.fresh)
    large.save(large_file)
    assert "has the snapshots 1, large; say which: test_one.txt::1" in said(capsys, 2, str(file.path), str(large_file))
    assert said(capsys, 0, f"{file.path}::large", str(large_file)) == "no difference\n"
    assert said(capsys, 1, f"{file.path}::1", f"{file.path}::large") == f"{diff(small, large)}\n"
    plain = tmp_path / "table.txt"
    plain.write_text(shape_text.write(shape_table(small)))
    assert said(capsys, 0, f"{file.path}::1", str(plain)) == "no difference\n"
    plain.write_text("kerashape shapes 1")
    assert "table.txt, line 1: the text ends before the totals" in said(capsys, 2, str(plain), str(plain))
    assert "none.txt" in said(capsys, 2, str(tmp_path / "none.txt"), str(plain))

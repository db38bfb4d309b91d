"""What a file must never get done: nothing is run, imported, written, fetched, or read from elsewhere."""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from threats import MARK, SECRET, THREATS

import kerashape_torch
from kerashape_torch import load_model
from kerashape_torch.errors import KerashapeError
from kerashape_torch.saving.containers import Stretch
from kerashape_torch.saving.h5_headers import text_lengths

_FORBIDDEN = (
    "exec", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.", "marshal.load",
    "pickle.find_class", "urllib.", "ctypes.dlopen", "shutil.", "os.remove", "os.rename", "os.mkdir", "os.link")
_WATCHING: list[list[str]] = []


def _importing() -> bool:
    """Whether Python is just loading one of its own or our modules, which execs and unmarshals, as it always does."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _hook(event: str, arguments: Any) -> None:
    if _WATCHING and event.startswith(_FORBIDDEN) and not _importing():
        _WATCHING[-1].append(f"{event} {arguments!r}"[:200])
    elif _WATCHING and event == "open" and isinstance(arguments[0], str):
        writes = isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
        if writes or os.path.realpath(arguments[0]) == SECRET:
            _WATCHING[-1].append(f"open {arguments!r}"[:200])


sys.addaudithook(_hook)  # it cannot be taken away, and does nothing unless a test watches


@pytest.fixture
def watched() -> Iterator[list[str]]:
    """What happens in the process, of what must not; what the library itself imports late is loaded before."""
    import yaml

    assert h5py and np and yaml and kerashape_torch.saving
    events: list[str] = []
    _WATCHING.append(events)
    yield events
    _WATCHING.pop()


@pytest.mark.parametrize("name", THREATS)
def test_threats(name: str, tmp_path: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    threat = THREATS[name]
    monkeypatch.chdir(tmp_path)
    _WATCHING.append([])  # what making the file does is not looked at
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = threat.make(tmp_path)
    _WATCHING.pop()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = path.stat().st_size if path.is_file() else 0
    if threat.says:
        with pytest.raises(KerashapeError, match=threat.says):
            load_model(path)
    else:
        load_model(path)
    assert not watched
    assert not (tmp_path / MARK).exists() and not Path(MARK).exists()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < (300 << 20) + 3 * size


def test_the_watch_sees(tmp_path: Path, watched: list[str]) -> None:
    exec("1")
    (tmp_path / "x").write_text("")
    Path(SECRET).read_bytes()
    assert [event.split()[0] for event in watched] == ["exec", "open", "open"]


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
def test_lengths_of_texts_are_found_in_headers_of_all_versions(libver: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w", libver=libver) as file:
        for i in range(6):
            file.create_group(f"group_{i}").attrs["long"] = "x" * 200
            file.attrs[f"more_{i}"] = np.zeros(100)  # so that the header goes on elsewhere
        file["group_3"].attrs.create("texts", ["one", "three", "x" * 5_000], dtype=h5py.string_dtype())
        file.attrs["config"] = "c" * 12_345
    with h5py.File(tmp_path / "m.h5") as file:
        root, inner = (h5py.h5o.get_info(file[path].id).addr for path in ("/", "group_3"))
    with Stretch.of(tmp_path / "m.h5") as stretch:
        assert text_lengths(stretch, root, "config", 1, 16) == [12_345]
        assert text_lengths(stretch, inner, "texts", 3, 48) == [3, 5, 5_000]
        assert text_lengths(stretch, inner, "others", 1, 16) is text_lengths(stretch, 7, "texts", 3, 48) is None

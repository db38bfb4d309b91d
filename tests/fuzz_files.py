"""Model files broken at random: JSON, HDF5 and zip, from sound files of the tests' data.

Whatever is in a file, reading it must end in a model or in one of our own errors, soon, and without memory beyond what
an honest file of that size could need. A case is a number: it says which file is broken, and how.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import resource
import signal
import sys
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from kerashape_torch import load_model
from kerashape_torch.errors import KerashapeError

DATA = Path(__file__).parent / "data"
SECONDS = 20
"""CPU time that one file may take, of some that take a tenth of a second when they are sound."""
MEMORY = 700 << 20
"""By how much the whole process may grow from one file to the next; the limits of the reader itself are below it."""
SMALL = 2_000_000
"""Up to how many weights a model that could be read is compiled as well."""


class Outcome(NamedTuple):
    """What came of one case: ``read``, ``refused`` or a way of failing."""

    kind: str
    text: str = ""


FINE = ("read", "refused")


def corpus() -> list[Path]:
    """The sound files."""
    kinds = (".keras", ".json", ".h5")
    return sorted(path for folder in ("functional", "legacy") for path in (DATA / folder).rglob("*")
                  if path.suffix in kinds and ".shapes" not in path.name)


# ---- one case --------------------------------------------------------------------------------------------------------


def broken(case: int, folder: Path) -> Path:
    """The file of a case, written into a folder."""
    source = random.Random(case)
    path = source.choice(corpus())
    data = path.read_bytes()
    for turn in range(source.choice((1, 1, 2, 4))):
        data = _broken(data, source, is_sound=turn == 0)
    made = folder / f"case_{case}{path.suffix}"
    made.write_bytes(data)
    return made


def check(path: Path) -> Outcome:
    """Reads a file, and compiles what is not too large."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with _at_most(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = load_model(path)
            if model.built and model.count_params() < SMALL:
                model.to_torch()
        kind = "read"
    except KerashapeError:
        kind = "refused"
    except _TooLong:
        return Outcome("hang", f"more than {SECONDS} s")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome("error", f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {error}"[:300])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    return Outcome("memory", f"{grown >> 20} MiB more") if grown > MEMORY else Outcome(kind)


class _TooLong(BaseException):
    """Nothing that anybody would catch by mistake."""


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of this process: a busy machine is no fault of the file
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# ---- ways to break bytes ---------------------------------------------------------------------------------------------


def _broken(data: bytes, source: random.Random, is_sound: bool) -> bytes:
    """Bytes broken as what they are, or as bytes. HDF5 writes into sound files alone: else it may not end."""
    if source.random() < 0.2:
        return source.choice(_BYTES)(data, source)
    with contextlib.suppress(OSError, RuntimeError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error,
                             NotImplementedError, EOFError, AttributeError, IndexError, OverflowError):
        if data.startswith(b"PK"):
            return _broken_zip(data, source, is_sound)
        if not data.startswith(b"\x89HDF"):
            return _broken_json(data, source)
        if is_sound:
            return _broken_h5(data, source)
    return source.choice(_BYTES)(data, source)  # it was broken already


def _flipped(data: bytes, source: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(source.choice((1, 8, 64))):
        if made:
            made[source.randrange(len(made))] = source.randrange(256)
    return bytes(made)


def _cut(data: bytes, source: random.Random) -> bytes:
    return data[:source.randrange(len(data) + 1)]


def _doubled(data: bytes, source: random.Random) -> bytes:
    at, size = source.randrange(len(data) + 1), source.randrange(1, 4096)
    return data[:at] + data[at:at + size] + data[at:]


def _zeroed(data: bytes, source: random.Random) -> bytes:
    at, size = source.randrange(len(data) + 1), source.randrange(1, 512)
    return data[:at] + bytes(len(data[at:at + size])) + data[at + size:]


_BYTES = (_flipped, _cut, _doubled, _zeroed)


def _broken_zip(data: bytes, source: random.Random, is_sound: bool) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [[info.filename, archive.read(info)] for info in archive.infolist()]
    what = source.random()
    chosen = source.choice(members)
    if what < 0.75:
        chosen[1] = _broken(chosen[1], source, is_sound)
    elif what < 0.85:
        members.remove(chosen)
    elif what < 0.9:
        members.append(list(chosen))
    else:
        chosen[0] = source.choice(("../../evil", "/etc/evil", "config.json", "model.weights.npz", "assets/x", "\\x"))
    buffer = io.BytesIO()
    kind = source.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


# ---- ways to break JSON ----------------------------------------------------------------------------------------------


def _broken_json(data: bytes, source: random.Random) -> bytes:
    value = json.loads(data)
    for _ in range(source.choice((1, 1, 2, 5))):
        places = list(_places(value))
        if not places:
            break
        holder, key = source.choice(places)
        source.choice(_EDITS)(holder, key, source, places)
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    stack = [value]
    while stack:
        each = stack.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        for key in keys:
            yield each, key
            stack.append(each[key])


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _odd(source: random.Random) -> Any:
    return source.choice([
        None, True, -1, 0, 1, 2, 7, 1 << 31, 1 << 62, 10 ** 30, -(10 ** 12), 0.5, float("nan"), float("inf"), "", "x",
        "relu", "Dense", "keras.layers", "__lambda__", "os.system", "../../x", "\x00", "a" * 5000, [], {}, [None], [[]],
        [1, 2, 3], [1 << 40] * 3, {"class_name": "Dense", "config": {}}, {"class_name": "Lambda", "config": {}},
        {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None, "closure": None}},
        {"class_name": "function", "config": "system", "module": "os"}, {"class_name": "__tensor__", "config": {}},
        {"class_name": "__typespec__", "config": {}},
        {"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}},
        {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}, _nested(200), _nested(2000)])


def _replaced(holder: Any, key: Any, source: random.Random, places: list[Any]) -> None:
    holder[key] = _odd(source)


def _removed(holder: Any, key: Any, source: random.Random, places: list[Any]) -> None:
    del holder[key]


def _copied(holder: Any, key: Any, source: random.Random, places: list[Any]) -> None:
    other, name = source.choice(places)
    holder[key] = json.loads(json.dumps(other[name]))


def _repeated(holder: Any, key: Any, source: random.Random, places: list[Any]) -> None:
    if isinstance(holder, list):
        holder.append(json.loads(json.dumps(holder[key])))
    else:
        holder[source.choice(("units", "name", "dtype", "batch_shape", "axis", "activation", "extra"))] = _odd(source)


def _scaled(holder: Any, key: Any, source: random.Random, places: list[Any]) -> None:
    if isinstance(holder[key], int):
        holder[key] = holder[key] * source.choice((-1, 0, 2, 1000, 1 << 40)) + source.choice((-1, 0, 1))
    else:
        _replaced(holder, key, source, places)


_EDITS: tuple[Callable[[Any, Any, random.Random, list[Any]], None], ...] = (
    _replaced, _replaced, _removed, _copied, _repeated, _scaled)


# ---- ways to break HDF5 ----------------------------------------------------------------------------------------------


def _broken_h5(data: bytes, source: random.Random) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        datasets = [name for name in names if isinstance(file[name], h5py.Dataset)]
        for _ in range(source.choice((1, 2, 5))):
            source.choice(_H5)(file, names, datasets, source)
    return buffer.getvalue()


def _reshaped(file: Any, names: list[str], datasets: list[str], source: random.Random) -> None:
    name = source.choice(datasets)
    del file[name]
    shape = source.choice([(), (0,), (3,), (2, 2), (1 << 20, 1 << 20), (1 << 40,)])
    chunks = tuple(min(size, 64) for size in shape) if shape and all(shape) else None
    file.create_dataset(name, shape, source.choice(("f4", "f8", "i4", "u1")), chunks=chunks)


def _of_odd_kind(file: Any, names: list[str], datasets: list[str], source: random.Random) -> None:
    name = source.choice(datasets)
    shape = file[name].shape
    del file[name]
    if source.random() < 0.5:
        file.create_dataset(name, shape, h5py.string_dtype())
    else:
        file.create_dataset(name, shape, np.dtype([("a", "f4"), ("b", "i4")]))


def _linked(file: Any, names: list[str], datasets: list[str], source: random.Random) -> None:
    name = source.choice(names)
    del file[name]
    file[name] = source.choice((h5py.SoftLink("/layers"), h5py.SoftLink("/nowhere"),
                                h5py.ExternalLink("/etc/hostname", "/"), h5py.ExternalLink("other.h5", "/x")))


def _elsewhere(file: Any, names: list[str], datasets: list[str], source: random.Random) -> None:
    name = source.choice(datasets)
    shape = file[name].shape
    del file[name]
    if source.random() < 0.5:
        file.create_dataset(name, shape, "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource("/etc/hostname", "x", shape)
        file.create_virtual_dataset(name, layout)


def _looped(file: Any, names: list[str], datasets: list[str], source: random.Random) -> None:
    group = source.choice([name for name in names if name not in datasets])
    file[f"{group}/again"] = file[group]


def _gone(file: Any, names: list[str], datasets: list[str], source: random.Random) -> None:
    del file[source.choice(names)]


def _attribute(file: Any, names: list[str], datasets: list[str], source: random.Random) -> None:
    holders = [x for x in (file, *(file[name] for name in names)) if len(x.attrs)] or [file]
    holder = source.choice(holders)
    name = source.choice([*holder.attrs, "layer_names", "model_config", "keras_version"])
    if name in ("model_config", "training_config") and name in holder.attrs and source.random() < 0.7:
        text = holder.attrs[name]
        holder.attrs[name] = _broken_json(text if isinstance(text, bytes) else text.encode(), source)
        return
    holder.attrs[name] = source.choice(["", "x", b"\xff", 7, 1e300, np.zeros(3), np.array([b"a", b"b"]), "{}", "[]"])


_H5: tuple[Callable[[Any, list[str], list[str], random.Random], None], ...] = (
    _reshaped, _of_odd_kind, _linked, _elsewhere, _looped, _gone, _attribute, _attribute)

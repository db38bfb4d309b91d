"""Files as bytes: what a path holds, read within limits, and written so that a failure leaves the old file alone.

Nothing is ever extracted: the members of a ``.keras`` archive that matter are read in memory, by exact names.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.saving.upgrade.yaml_text import parse_yaml

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
CONFIG_LIMIT = 64 << 20
"""A config may have 64 MiB; that of a model of a thousand layers has two or three."""
RATIO_LIMIT, RATIO_FLOOR = 200, 64 << 20
"""Above 64 MiB a member may be at most 200 times as large as it is in the archive: weights hardly compress."""
DEPTH_LIMIT, NODE_LIMIT = 256, 2_000_000
"""How deep JSON may be nested, and how many nodes a model may come to once models in models are written out."""


class Contents(NamedTuple):
    """What a path holds: the model's config as parsed JSON, and the bytes of its weights, if it has them."""

    config: Any
    weights: bytes | None


def read(path: Any, weights: bool = True) -> Contents:
    """A model file of any kind, told by its content and not by its name.

    Raises:
        ConfigError: it is no model file, or one that goes beyond the limits.
    """
    where = local_path(path)
    if where.is_dir():
        return _read_directory(where, weights)
    start = first_bytes(where)
    if start.startswith(b"PK"):
        return _read_zip(where, weights)
    if start.startswith(b"\x89HDF"):
        raise ConfigError(f"{where.name} is an HDF5 file. If it holds weights only, make the model and use "
                          "kerashape_torch.saving.load_weights(model, path); "
                          "whole models of Keras 1 and 2 in HDF5 are not read")
    parse = parse_yaml if where.suffix in (".yaml", ".yml") else parse_json
    return Contents(parse(_limited(where), where.name), None)


def weight_bytes(path: Any) -> bytes:
    """The HDF5 bytes of a ``.weights.h5`` file, or of the weights inside a ``.keras`` archive or directory."""
    where = local_path(path)
    if not where.is_dir() and not first_bytes(where).startswith(b"PK"):
        return where.read_bytes()
    found = _read_directory(where, True, config=False) if where.is_dir() else _read_zip(where, True, config=False)
    if found.weights is None:
        raise ConfigError(f"{where.name} holds no {WEIGHTS}")
    return found.weights


def members(path: Any, names: Iterable[str]) -> dict[str, bytes]:
    """Those of some members that an archive or directory has; each at most as large as a config may be."""
    where = local_path(path)
    if where.is_dir():
        return {name: _limited(where / name) for name in names if (where / name).is_file()}
    if not first_bytes(where).startswith(b"PK"):
        return {}
    with zipfile.ZipFile(where) as archive:
        there = set(archive.namelist())
        return {name: _member(archive, name, CONFIG_LIMIT) for name in names if name in there}


def local_path(path: Any) -> Path:
    """A path that exists on this machine."""
    text = os.fspath(path)
    if isinstance(text, str) and "://" in text:
        raise ConfigError(f"{text} is not a path on this machine: download it first")
    where = Path(os.fsdecode(text))
    if not where.exists():
        raise ConfigError(f"there is no file {where}")
    return where


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _limited(path: Path) -> bytes:
    with path.open("rb") as file:
        found = file.read(CONFIG_LIMIT + 1)
    if len(found) > CONFIG_LIMIT:
        raise ConfigError(f"{path.name} is larger than {CONFIG_LIMIT >> 20} MiB: it is no model config")
    return found


def _read_directory(where: Path, weights: bool, config: bool = True) -> Contents:
    if config and not (where / CONFIG).is_file():
        raise ConfigError(f"the directory {where.name} has no {CONFIG}")
    parsed = parse_json(_limited(where / CONFIG), CONFIG) if config else None
    _refuse_other_weights(where.name, [p.name for p in where.iterdir()], weights)
    found = (where / WEIGHTS).read_bytes() if weights and (where / WEIGHTS).is_file() else None
    return Contents(parsed, found)


def _read_zip(where: Path, weights: bool, config: bool = True) -> Contents:
    try:
        with zipfile.ZipFile(where) as archive:
            names = archive.namelist()
            _refuse_other_weights(where.name, names, weights)
            if config and CONFIG not in names:
                raise ConfigError(f"{where.name} is a zip archive without {CONFIG}: it is no .keras file")
            parsed = parse_json(_member(archive, CONFIG, CONFIG_LIMIT), CONFIG) if config else None
            found = _member(archive, WEIGHTS) if weights and WEIGHTS in names else None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, zipfile.LargeZipFile) as error:
        raise ConfigError(f"{where.name} is a damaged archive: {error}") from error
    return Contents(parsed, found)


def _refuse_other_weights(where: str, names: list[str], weights: bool) -> None:
    for name in ("model.weights.npz", "model.weights.json"):
        if weights and name in names and WEIGHTS not in names:
            raise ConfigError(f"{where} keeps its weights in {name}, which is not read. "
                              "Save it in Keras as HDF5, in one file")


def _member(archive: zipfile.ZipFile, name: str, limit: int | None = None) -> bytes:
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) > 1:
        raise ConfigError(f"the archive has {len(found)} members named {name}")
    info = found[0]
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ConfigError(f"{name} is encrypted or compressed in a way that Keras does not use")
    if limit is not None and info.file_size > limit:
        raise ConfigError(f"{name} is larger than {limit >> 20} MiB")
    if info.file_size > RATIO_FLOOR and info.file_size > RATIO_LIMIT * max(info.compress_size, 1):
        raise ConfigError(f"{name} unpacks to {info.file_size} bytes from {info.compress_size}: this is a zip bomb")
    with archive.open(info) as member:
        return member.read()  # zipfile gives no more than the size that was checked


# ---- JSON ------------------------------------------------------------------------------------------------------------


def parse_json(text: str | bytes, name: str = "the text") -> Any:
    """JSON, and nothing that is nested beyond reason."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ConfigError(f"{name} is nested deeper than {DEPTH_LIMIT} levels") from None
    except ValueError as error:
        raise ConfigError(f"{name} is not JSON: {error}") from None
    return found


def check_config(config: Any) -> None:
    """Refuses a config that is nested too deep or that comes to too many nodes.

    A model inside a model counts once for each of its calls, and so do the models inside that one: thirty small models,
    each calling the next one twice, would come to a billion calls.
    """
    if _nodes(config, 0) > NODE_LIMIT:
        raise ConfigError(f"the config comes to more than {NODE_LIMIT} nodes once its models are written out")


def _nodes(value: Any, depth: int) -> int:
    if depth > DEPTH_LIMIT:
        raise ConfigError(f"the config is nested deeper than {DEPTH_LIMIT} levels")
    if isinstance(value, Mapping):
        calls = value.get("inbound_nodes")
        times = max(len(calls), 1) if isinstance(calls, (list, tuple)) else 1
        return 1 + sum(_nodes(item, depth + 1) * (times if key == "config" else 1) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_nodes(item, depth + 1) for item in value)
    return 0


@contextlib.contextmanager
def refusing_nonsense() -> Any:
    """A config that makes no sense is a ConfigError, whatever it trips over; the cause is kept."""
    try:
        yield
    except KerashapeError:
        raise
    except RecursionError:
        raise ConfigError("the config is nested too deep") from None
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError, AssertionError) as error:
        raise ConfigError(f"the config cannot be read: {type(error).__name__}: {error}") from error


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(path: Any, fill: Callable[[Path], object]) -> None:
    """Lets ``fill`` write a file beside the wanted one, and puts it in its place when it is whole."""
    where = Path(os.fsdecode(os.fspath(path)))
    beside = where.with_name(f".{where.name}.{secrets.token_hex(4)}")
    try:
        fill(beside)
        beside.replace(where)
    finally:
        beside.unlink(missing_ok=True)


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """The members as they are: Keras does not compress either."""
    with zipfile.ZipFile(path, "x") as archive:
        for name, data in members.items():
            archive.writestr(name, data)

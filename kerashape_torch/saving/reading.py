"""What a path holds: the config of a model, its weights, and what lies beside them. Contents say it, not names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from kerashape_torch.errors import ConfigError, WeightsError
from kerashape_torch.saving.archive import parse_json
from kerashape_torch.saving.by_path import by_path
from kerashape_torch.saving.containers import Directory, Stretch, Zip, first_bytes, limited, local_path
from kerashape_torch.saving.h5 import H5File
from kerashape_torch.saving.legacy_h5 import by_layer, is_by_layer
from kerashape_torch.saving.npz import npz_weights
from kerashape_torch.saving.sharded import is_shard_map, sharded_weights
from kerashape_torch.saving.stored import Stored
from kerashape_torch.saving.tfjs import is_tfjs, tfjs_config, tfjs_weights
from kerashape_torch.saving.upgrade.yaml_text import parse_yaml
from kerashape_torch.weight_paths import Kept, Layout

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
SHARD_MAP = "model.weights.json"


class Weights(Protocol):
    """The weights of a file, of whatever layout."""

    name: str

    def find(self, layout: Layout, by_name: bool = False, skip_mismatch: bool = False) -> list[Stored | None]: ...

    def vector(self, wanted: Kept) -> list[float]: ...

    def training_state(self) -> Sequence[Stored]: ...


class Contents(NamedTuple):
    """What a path holds.

    Attributes:
        form: what sort of file it is, in words.
        config: of the model, as parsed JSON.
        weights: checked and read later; None where there are none, or none were asked for.
        version, backend: of the Keras that wrote it, where the file says so.
        compile_config: how the model was compiled, as the file has it.
        beside: the directory or archive that holds the file's assets.
    """

    form: str
    config: Any
    weights: Weights | None = None
    version: str | None = None
    backend: str | None = None
    compile_config: Any = None
    beside: Directory | Zip | None = None


def read(path: Any, weights: bool = True) -> Contents:
    """A model file of any kind.

    Raises:
        ConfigError: it is no model file, or one that goes beyond the limits.
        WeightsError: its weights lie in no sound file.
    """
    where = readable_path(path)
    if where.is_dir():
        return _of_container(Directory(where), weights)
    start = first_bytes(where)
    if start.startswith(b"PK"):
        return _of_container(Zip(Stretch.of(where)), weights)
    if start.startswith(b"\x89HDF"):
        return _of_h5(where, weights)
    return _of_json(where, weights)


def read_or_take(given: Any, weights: bool = True) -> Contents:
    """A model file, or the dict that stands for one, which has no weights."""
    if isinstance(given, (str, bytes, os.PathLike)):
        return read(given, weights)
    return Contents("a dict", given, compile_config=given.get("compile_config") if isinstance(given, Mapping) else None)


def read_weights(path: Any) -> Weights:
    """The weights in a file of weights, or in a whole model's file, whose config is not looked at."""
    where = readable_path(path)
    found: Weights | None
    if where.is_dir():
        found = _weights_of_container(Directory(where))
    elif first_bytes(where).startswith(b"PK"):
        found = _weights_of_container(Zip(Stretch.of(where)))
    elif first_bytes(where).lstrip().startswith(b"{"):
        found = _weights_of_json(where)
    else:
        found = _weights_of_h5(H5File(Stretch.of(where), where.name))
    if found is None:
        raise WeightsError(f"{where.name} holds no weights")
    return found


def readable_path(path: Any) -> Path:
    """A path that exists, of a file or a directory.

    Raises:
        ConfigError: there is no such path, or TensorFlow wrote what is there, for itself alone.
    """
    given = Path(os.fsdecode(path))
    if Path(f"{given}.index").is_file() and not given.exists():  # what `save_weights` was given
        raise _of_tensorflow(given.name, _CHECKPOINT)
    where = local_path(path)
    is_foreign = where.is_dir() and not (where / CONFIG).is_file()
    is_ours = where.is_file() and first_bytes(where).lstrip().startswith((b"PK", b"\x89HDF", b"{"))
    if (where.suffix == ".pb" and not is_ours) or (is_foreign and (where / "saved_model.pb").is_file()):
        raise _of_tensorflow(where.name, _SAVED_MODEL)
    is_part = where.suffix == ".index" or ".data-0" in where.name
    if (is_part and not is_ours) or (is_foreign and any(where.glob("*.index"))):
        raise _of_tensorflow(where.name, _CHECKPOINT)
    return where


_SAVED_MODEL = "SavedModel of TensorFlow, which holds a program", ".keras or .h5"
_CHECKPOINT = "checkpoint of TensorFlow, which has weights in a form of its own", ".h5, as save_weights('w.h5')"


def _of_tensorflow(name: str, what: tuple[str, str]) -> ConfigError:
    return ConfigError(f"{name} is a {what[0]}, and is not read. Way out: load it in the Keras that wrote it, and save "
                       f"it there as {what[1]}")


def _of_container(container: Directory | Zip, weights: bool) -> Contents:
    if not container.has(CONFIG):
        raise ConfigError(f"{container.name} has no {CONFIG}: it is no .keras file")
    config = parse_json(container.text(CONFIG), CONFIG)
    metadata = parse_json(container.text(METADATA), METADATA) if container.has(METADATA) else {}
    version = metadata.get("keras_version") if isinstance(metadata, Mapping) else None
    form = "a .keras archive" if isinstance(container, Zip) else "the directory of a .keras archive"
    return Contents(form, config, _weights_of_container(container) if weights else None,
                    version if isinstance(version, str) else None,
                    compile_config=config.get("compile_config") if isinstance(config, Mapping) else None,
                    beside=container)


def _weights_of_container(container: Directory | Zip) -> Weights | None:
    if container.has(WEIGHTS):
        return _weights_of_h5(H5File(container.open(WEIGHTS), container.name))
    if container.has(SHARD_MAP):
        found = parse_json(container.text(SHARD_MAP), SHARD_MAP)
        if not is_shard_map(found):
            raise WeightsError(f"{container.name}: {SHARD_MAP} is no map of weights")
        return sharded_weights(found, container, container.name)
    if container.has("model.weights.npz"):
        return npz_weights(Zip(container.open("model.weights.npz")))
    return None


def _weights_of_h5(file: H5File) -> Weights:
    with file.reading():  # once for both
        return by_layer(file) if is_by_layer(file) else by_path(file.name, [file])


def _of_h5(where: Path, weights: bool) -> Contents:
    file = H5File(Stretch.of(where), where.name)
    with file.reading():
        text = file.text("model_config")
        training = file.text("training_config")
        version, backend = file.text("keras_version"), file.text("backend")
        stored = by_layer(file, names_are_known=True) if weights and text is not None else None
    if text is None:
        raise ConfigError(f"{where.name} holds weights only, and no model. Make the model and use "
                          "kerashape_torch.saving.load_weights(model, path)")
    return Contents("a whole model in HDF5", parse_json(text, "model_config"), stored,
                    version, backend, None if training is None else parse_json(training, "training_config"))


def _of_json(where: Path, weights: bool) -> Contents:
    parse = parse_yaml if where.suffix in (".yaml", ".yml") else parse_json
    found = parse(limited(where), where.name)
    if is_shard_map(found):
        raise ConfigError(f"{where.name} holds weights only, and no model. Make the model and use "
                          "kerashape_torch.saving.load_weights(model, path)")
    if not is_tfjs(found):
        return Contents("a config", found)
    topology = found["modelTopology"]
    config = tfjs_config(found, where.name)
    version, backend = (str(topology.get(key) or config.get(key) or "") for key in ("keras_version", "backend"))
    stored = tfjs_weights(found, Directory(where.parent), where.name) if weights else None
    return Contents("a model of TensorFlow.js", config, stored,
                    version if version[:1].isdigit() else None, backend or None,
                    found.get("trainingConfig", topology.get("training_config")))


def _weights_of_json(where: Path) -> Weights | None:
    found = parse_json(limited(where), where.name)
    if is_shard_map(found):
        return sharded_weights(found, Directory(where.parent), where.name)
    return tfjs_weights(found, Directory(where.parent), where.name) if is_tfjs(found) else None

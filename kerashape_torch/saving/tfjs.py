"""TensorFlow.js: a Keras model as ``model.json``, and its weights one after the other in files of bytes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import ConfigError, WeightsError
from kerashape_torch.saving.by_path import fitting, warn_of
from kerashape_torch.saving.containers import Directory, Stretch
from kerashape_torch.saving.stored import Stored
from kerashape_torch.shape import count, to_text
from kerashape_torch.weight_paths import Kept, Layout

if TYPE_CHECKING:
    import numpy as np

_DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|u1", "float16": "<f2", "uint8": "|u1", "uint16": "<u2"}


def is_tfjs(found: Any) -> bool:
    """Whether JSON is a model of TensorFlow.js."""
    return isinstance(found, Mapping) and "modelTopology" in found


def tfjs_config(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The Keras config in it, with the version of Keras beside it.

    Raises:
        ConfigError: it is a graph of TensorFlow, and no Keras model.
    """
    topology = found["modelTopology"]
    if not isinstance(topology, Mapping) or not ("model_config" in topology or "class_name" in topology):
        raise ConfigError(f"{name} is a graph of TensorFlow and no Keras model, which is not read. Way out: convert "
                          "the Keras model itself, with tensorflowjs_converter --input_format=keras")
    config = topology.get("model_config", topology)
    if not isinstance(config, Mapping):
        raise ConfigError(f"{name} has no 'model_config'")
    return config


class ByVariable:
    """Weights by the names of their variables: ``dense_1/kernel``."""

    def __init__(self, name: str, arrays: Mapping[str, Stored]) -> None:
        self.name, self._arrays = name, arrays

    def find(self, layout: Layout, by_name: bool = False, skip_mismatch: bool = False) -> list[Stored | None]:
        """The arrays of a model's weights, in their order; None for those that are passed over.

        A name may have more in the middle than the model's, or less: versions of Keras differ there.

        Raises:
            WeightsError: one is missing or has another shape, or the file holds weights that nobody asked for.
        """
        left = dict(self._arrays)
        found: list[Stored | None] = []
        problems: list[tuple[Kept, WeightsError]] = []
        for kept in layout.kept:
            name = _name_of(kept, left)
            array = left.pop(name) if name is not None else None
            try:
                if array is None and not by_name:
                    raise WeightsError(f"{kept.owner}: {self.name} has no weight {kept.layer}/{kept.spec.full_path}")
                found.append(fitting(array, kept, self.name) if array is not None else None)
            except WeightsError as error:
                if not skip_mismatch:
                    raise
                problems.append((kept, error))
                found.append(None)
        if problems:
            warn_of(problems)
        elif left and not by_name and not skip_mismatch:
            raise WeightsError(f"{self.name} has weights {', '.join(list(left)[:9])}, and the model has no layer for "
                               "them")
        return found

    def vector(self, wanted: Kept) -> list[float]:
        """Keras keeps no vocabularies in such files."""
        raise WeightsError(f"{self.name} has no {wanted.path}")

    def training_state(self) -> Sequence[Stored]:
        """Such files hold no optimizer."""
        return []


def _name_of(kept: Kept, names: Mapping[str, Any]) -> str | None:
    """The name that a file has for a weight: the first of those that share the most steps with the model's."""
    *above, variable = steps = [kept.layer, *kept.spec.full_path.split("/")]
    exact = "/".join(steps)
    if exact in names:
        return exact
    shared = {name: len(set(above) & set(name.split("/")[:-1])) for name in names
              if name.rpartition("/")[2] == variable}
    best = max(shared, key=shared.__getitem__, default=None)
    return best if best is not None and shared[best] else None


# ---- reading ---------------------------------------------------------------------------------------------------------


def tfjs_weights(found: Mapping[str, Any], directory: Directory, name: str) -> ByVariable | None:
    """The weights that ``weightsManifest`` lists, or None if there is none.

    Raises:
        WeightsError: the list makes no sense, or the files beside it do not hold what it says.
    """
    manifest = found.get("weightsManifest")
    if manifest is None:
        return None
    arrays: dict[str, Stored] = {}
    try:
        for group in manifest:
            files = [_shard(directory, path, name) for path in group["paths"]]
            at = 0
            for entry in group["weights"]:
                array = TfjsArray(name, files, at, entry)
                at += array.size
                if array.where in arrays:
                    raise WeightsError(f"{name} has two weights named {array.where}")
                arrays[array.where] = array
            if at > sum(map(len, files)):
                raise WeightsError(f"{name} lists {at} bytes of weights, and the files beside it have "
                                   f"{sum(map(len, files))}")
    except (KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"the weightsManifest of {name} cannot be read: {type(error).__name__}: {error}") from error
    return ByVariable(name, arrays)


def _shard(directory: Directory, path: Any, name: str) -> Stretch:
    if not isinstance(path, str) or not directory.has(path):
        raise WeightsError(f"{name} says that weights lie in {path!r}, and there is no such file beside it")
    return directory.open(path)


class TfjsArray(Stored):
    """An array in the bytes of some files, one after the other; small integers stand for evenly spaced numbers.

    Attributes:
        size: how many bytes it has.
    """

    def __init__(self, file: str, files: Sequence[Stretch], start: int, entry: Mapping[str, Any]) -> None:
        self._file, self._files, self._start = file, files, start
        shape, dtype = entry["shape"], entry["dtype"]
        self.where = str(entry["name"])
        self._quantization: Mapping[str, Any] | None = entry.get("quantization")
        held = dtype if self._quantization is None else self._quantization["dtype"]
        if dtype not in ("float32", "int32", "bool") or held not in _DTYPES:
            raise WeightsError(f"{file}: {self.where} holds {held} for {dtype}, which is no weight of a Keras model")
        if any(type(size) is not int or size < 0 for size in shape):
            raise WeightsError(f"{file}: {self.where} has the shape {shape!r}")
        self.shape, self._dtype, self._held = tuple(shape), dtype, _DTYPES[held]
        self.size = count(self.shape) * int(self._held[2:])

    def read(self) -> np.ndarray[Any, Any]:
        import numpy as np

        data = bytearray(self.size)
        done = 0
        for piece in self._pieces(memoryview(data)):
            done += piece
        if done != self.size:
            raise WeightsError(f"{self._file}: the files beside it end within {self.where} of {to_text(self.shape)}")
        array = np.frombuffer(data, self._held).reshape(self.shape)
        if self._quantization is not None and "scale" in self._quantization:
            spaced = array * float(self._quantization["scale"]) + float(self._quantization["min"])
            array = np.floor(spaced + 0.5) if self._dtype == "int32" else spaced  # as JavaScript rounds
        return array.astype(self._dtype)

    def _pieces(self, data: memoryview) -> Iterator[int]:
        before = done = 0
        for file in self._files:
            start = self._start + done - before
            if done < len(data) and 0 <= start < len(file):
                file.check()
                file.seek(start)
                read = file.readinto(data[done:])
                done += read
                yield read
            before += len(file)

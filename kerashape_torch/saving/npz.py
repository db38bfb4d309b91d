"""Weights in a ``.npz`` archive: plain arrays called as Keras 3 calls those of an HDF5 file, ``layers/dense/vars/0``.

Keras' own ``.npz`` has pickled objects in place of arrays. Keras refuses to load them today, and so it is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import WeightsError
from kerashape_torch.saving.by_path import ByPath
from kerashape_torch.saving.containers import Stretch, Zip
from kerashape_torch.saving.stored import Stored
from kerashape_torch.shape import count

if TYPE_CHECKING:
    import numpy as np


def npz_weights(archive: Zip) -> ByPath:
    """The weights of an archive.

    Raises:
        WeightsError: a member is no plain array.
    """
    groups: dict[str, dict[str, Stored]] = {}
    for member in sorted(archive.names()):
        path, _, name = member.removesuffix(".npy").rpartition("/")
        groups.setdefault(path, {})[name] = NpzArray(archive.open(member), f"{archive.name}: {member}")
    return ByPath(archive.name, groups)


class NpzArray(Stored):
    """An array in NumPy's own format."""

    def __init__(self, file: Stretch, where: str) -> None:
        from numpy.lib import format as npy

        self._file, self.where = file, where
        try:
            version = npy.read_magic(file)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            self.shape, self._by_columns, self._dtype = read_header(file)
            self.dtype = str(self._dtype)
        except (ValueError, SyntaxError, TypeError) as error:
            raise WeightsError(f"{where} is no array: {error}") from error
        if self._dtype.hasobject:
            raise WeightsError(f"{where} is a pickled object, which is never read; Keras does not load it either. "
                               "Way out: save the model as .weights.h5 in the Keras that wrote it")
        self._start = file.tell()

    def check(self) -> None:
        if self._dtype.kind not in "fiub" or self._dtype.itemsize > 8:
            raise WeightsError(f"{self.where} holds {self._dtype}, which is no number")
        if self._start + count(self.shape) * self._dtype.itemsize > len(self._file):
            raise WeightsError(f"{self.where} says that it is larger than it is")

    def try_out(self) -> None:
        self.check()
        self._file.check()

    def read(self) -> np.ndarray[Any, Any]:
        import numpy as np

        self.check()
        self._file.check()
        data = bytearray(count(self.shape) * self._dtype.itemsize)
        if self._file.read_at(self._start, data) != len(data):
            raise WeightsError(f"{self.where} is damaged: it ends too early")
        array = np.frombuffer(data, self._dtype).reshape(self.shape, order="F" if self._by_columns else "C")
        return array.astype(self._dtype.newbyteorder("="), copy=False)

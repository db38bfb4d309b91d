"""HDF5 files, read with care: no link is followed, nothing outside the file is opened, no plugin is loaded.

An array is checked before it is read, and read when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import KerashapeError, WeightsError
from kerashape_torch.saving.containers import CONFIG_LIMIT, Stretch
from kerashape_torch.saving.stored import Stored

if TYPE_CHECKING:
    import h5py
    import numpy as np

_FILTERS = {1, 2, 3, 32000}
"""gzip, shuffle, fletcher32 and lzf. Any other would make HDF5 look for a plugin to load."""
_GROWTH_LIMIT, _GROWTH_FLOOR = 200, 256 << 20
"""All arrays together may be at most 200 times as large as the file, once they have more than 256 MiB."""
_DEPTH_LIMIT = 32


class H5File:
    """An HDF5 file, open for reading.

    Raises:
        WeightsError: here and in all methods: the file is damaged, or one that is refused.
    """

    def __init__(self, file: Stretch, name: str) -> None:
        import h5py

        self.name, self._file = name, file
        self._allowed = max(_GROWTH_FLOOR, _GROWTH_LIMIT * len(file))
        try:
            self.root = h5py.File(file, "r")
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise WeightsError(f"{name} is not a sound HDF5 file: {error}") from error

    @contextmanager
    def refusing_damage(self) -> Iterator[None]:
        """Whatever HDF5 trips over becomes a WeightsError."""
        try:
            yield
        except KerashapeError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError,
                MemoryError) as error:
            raise WeightsError(f"{self.name} is damaged: {error}") from error

    def check(self) -> None:
        """Makes sure that the file has not changed since it was opened."""
        self._file.check()

    # ---- groups ------------------------------------------------------------------------------------------------------

    def child(self, group: Any, name: str) -> Any:
        """What a group holds under a name, or None. Only what lies in the file itself: no link leads out of it."""
        import h5py

        links, key = group.id.links, name.encode()
        if not name or not links.exists(key):  # unlike ``name in group`` it does not look where a link leads
            return None
        if links.get_info(key).type != h5py.h5l.TYPE_HARD:
            raise WeightsError(f"{self.name}: {group.name}/{name} is a link, which is never followed")
        return group[name]

    def at(self, path: str, group: Any = None) -> Any:
        """What lies at a path of several steps, or None."""
        found = self.root if group is None else group
        for step in path.split("/"):
            found = self.child(found, step) if hasattr(found, "keys") else None
        return found

    def groups(self) -> Iterator[tuple[str, h5py.Group]]:
        """Every group of the file that holds arrays, by its path."""
        yield from self._groups(self.root, "", set(), 0)

    def _groups(self, group: Any, path: str, seen: set[Any], depth: int) -> Iterator[tuple[str, h5py.Group]]:
        import h5py

        address = h5py.h5o.get_info(group.id).addr
        if depth > _DEPTH_LIMIT or address in seen:
            raise WeightsError(f"{self.name} is nested deeper than {_DEPTH_LIMIT} groups, "
                               "or has one group in two places")
        seen.add(address)
        has_arrays = False
        for name in group:
            child = self.child(group, name)
            if isinstance(child, h5py.Group):
                yield from self._groups(child, f"{path}/{name}" if path else name, seen, depth + 1)
            else:
                has_arrays = True
        if has_arrays:
            yield path, group

    # ---- attributes --------------------------------------------------------------------------------------------------

    def text(self, name: str, group: Any = None) -> str | None:
        """An attribute of text, or None if there is none."""
        found = self._attribute(self.root if group is None else group, name)
        if found is None or getattr(found, "shape", ()) != ():
            return None
        return found.decode("utf8", "replace") if isinstance(found, bytes) else str(found)

    def texts(self, name: str, group: Any) -> list[str]:
        """An attribute of several texts; a long one lies in parts ``name0``, ``name1`` and on."""
        whole = self._attribute(group, name)
        parts, found = [whole] if whole is not None else [], []
        while whole is None and (part := self._attribute(group, f"{name}{len(parts)}")) is not None:
            parts.append(part)
        for part in parts:
            found += [text.decode("utf8", "replace") if isinstance(text, bytes) else str(text) for text in part]
        return found

    def _attribute(self, group: Any, name: str) -> Any:
        if name not in group.attrs:
            return None
        kind = group.attrs.get_id(name)
        size = kind.dtype.itemsize
        for length in kind.shape or ():
            size *= length
        if size > CONFIG_LIMIT:
            raise WeightsError(f"{self.name}: the attribute {name} is larger than {CONFIG_LIMIT >> 20} MiB")
        return group.attrs[name]

    # ---- arrays ------------------------------------------------------------------------------------------------------

    def array(self, group: Any, name: str) -> Stored | None:
        """An array that lies in a group, checked but not read, or None if there is none of that name."""
        import h5py

        dataset = self.child(group, name)
        return H5Array(self, dataset) if isinstance(dataset, h5py.Dataset) else None

    def check_storage(self, dataset: h5py.Dataset, is_bfloat16: bool) -> None:
        """Refuses an array that is no plain array of numbers in this file, or that is a bomb."""
        where = f"{self.name}: {dataset.name.lstrip('/')}"
        if dataset.dtype.kind not in "fiub" and not is_bfloat16:
            raise WeightsError(f"{where} holds {dataset.dtype}, which is no number")
        if dataset.external or dataset.is_virtual:
            raise WeightsError(f"{where} takes its numbers from another file, which is never opened")
        plist = dataset.id.get_create_plist()
        if any(plist.get_filter(i)[0] not in _FILTERS for i in range(plist.get_nfilters())):
            raise WeightsError(f"{where} is compressed in a way that Keras does not use")
        chunk = 1
        for size in dataset.chunks or ():
            chunk *= size
        self._allowed -= max(dataset.size, chunk) * dataset.dtype.itemsize
        if self._allowed < 0:
            raise WeightsError(f"{where} unpacks to far more than its size: it is a bomb")


class H5Array(Stored):
    """An array in an HDF5 file, which it keeps open."""

    def __init__(self, file: H5File, dataset: h5py.Dataset) -> None:
        self._file, self._dataset = file, dataset
        self.where = dataset.name.lstrip("/")
        if dataset.shape is None:
            raise WeightsError(f"{file.name} has nothing in {self.where}")
        self.shape = tuple(dataset.shape)
        self._checked = False

    def check(self) -> None:
        """Refuses what must not be read; asked once the shape is found to be right."""
        if not self._checked:
            dtype = self._dataset.dtype  # bfloat16, which NumPy lacks, is kept as two bytes of no kind
            self._is_bfloat16 = dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None
            self._file.check_storage(self._dataset, self._is_bfloat16)
            self._checked = True

    def read(self) -> np.ndarray[Any, Any]:
        import numpy as np

        self.check()
        self._file.check()
        with self._file.refusing_damage():
            array = np.asarray(self._dataset[()])
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32) if self._is_bfloat16 else array

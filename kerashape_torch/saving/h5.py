"""HDF5 files, read with care: no link is followed, nothing outside the file is opened, no plugin is loaded.

An array is checked before it is read, and read when it is needed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import KerashapeError, WeightsError
from kerashape_torch.saving.containers import CONFIG_LIMIT, Stretch
from kerashape_torch.saving.h5_headers import text_lengths
from kerashape_torch.saving.stored import Stored
from kerashape_torch.shape import count

if TYPE_CHECKING:
    import numpy as np

_FILTERS = {1, 2, 3, 32000}
"""gzip, shuffle, fletcher32 and lzf. Any other would make HDF5 look for a plugin to load."""
_GROWTH_LIMIT, _GROWTH_FLOOR = 200, 256 << 20
"""All arrays together may be at most 200 times as large as the file, once they have more than 256 MiB."""
_DEPTH_LIMIT = 32
_WHOLE, _BLOCK = 16 << 20, 4 << 20
"""An array of more than 16 MiB is read in pieces of about 4 MiB. Others come whole: torch transposes those faster."""


class _Guarded(io.RawIOBase):
    """A file as HDF5 reads it. A heap of texts that HDF5 would walk for ever, or out of, is refused before it does."""

    def __init__(self, file: Stretch) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell()
        read = self._file.readinto(buffer)
        if read >= 16 and bytes(memoryview(buffer)[:4]) == b"GCOL":
            self._check_heap(at)
            self._file.seek(at + read)
        return read

    def _check_heap(self, at: int) -> None:
        """Each object in it says how long it is: 0 is the free space, and others have a head of 16 bytes."""
        self._file.seek(at)
        size = int.from_bytes(self._file.read(16)[8:], "little")
        if size > CONFIG_LIMIT:
            raise OSError(f"a heap of texts has {size} bytes")
        self._file.seek(at)
        heap, here = self._file.read(size) or b"", 16
        while here + 16 <= len(heap):
            number = int.from_bytes(heap[here:here + 2], "little")
            length = int.from_bytes(heap[here + 8:here + 16], "little")
            step = 16 + (length + 7) // 8 * 8 if number else length
            if step < 16 or here + step > len(heap):
                raise OSError("a heap of texts is not sound")
            here += step


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
            self._h5 = h5py.File(_Guarded(file), "r")
            self.root = self._h5["/"].id
        except (OSError, RuntimeError, ValueError, KeyError, OverflowError) as error:
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
        """The group or array that a group holds under a name, or None. No link is followed: it lies in the file itself.

        Groups and arrays are HDF5's own handles here, which are made faster than h5py's.
        """
        import h5py

        key = name.encode()
        if not name or not group.links.exists(key):  # it does not look where a link leads
            return None
        if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
            raise WeightsError(f"{self.name}: {self.path_of(group)}/{name} is a link, which is never followed")
        return h5py.h5o.open(group, key)

    def at(self, path: str, group: Any = None) -> Any:
        """What lies at a path of several steps, or None."""
        found = self.root if group is None else group
        for step in path.split("/"):
            found = self.child(found, step) if self.is_group(found) else None
        return found

    def path_of(self, item: Any) -> str:
        import h5py

        return (h5py.h5i.get_name(item) or b"").decode("utf8", "replace").lstrip("/")

    def is_group(self, item: Any) -> bool:
        import h5py

        return isinstance(item, h5py.h5g.GroupID)

    def groups(self) -> Iterator[tuple[str, Any]]:
        """Every group of the file that holds arrays, by its path."""
        yield from self._groups(self.root, "", set(), 0)

    def _groups(self, group: Any, path: str, seen: set[Any], depth: int) -> Iterator[tuple[str, Any]]:
        import h5py

        address = h5py.h5o.get_info(group).addr
        if depth > _DEPTH_LIMIT or address in seen:
            raise WeightsError(f"{self.name} is nested deeper than {_DEPTH_LIMIT} groups, "
                               "or has one group in two places")
        seen.add(address)
        has_arrays = False
        for key in group:
            name = key.decode("utf8", "surrogateescape")
            if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                self.child(group, name)
            if h5py.h5o.get_info(group, key).type == h5py.h5o.TYPE_GROUP:
                yield from self._groups(h5py.h5o.open(group, key), f"{path}/{name}" if path else name, seen, depth + 1)
            else:
                has_arrays = True
        if has_arrays:
            yield path, group

    # ---- attributes --------------------------------------------------------------------------------------------------

    def text(self, name: str, group: Any = None) -> str | None:
        """An attribute of text, or None if there is none."""
        found = self._attribute(self.root if group is None else group, name, is_text=True)
        if found is None or getattr(found, "shape", ()) != () or isinstance(found, list):
            return None
        return found.decode("utf8", "replace") if isinstance(found, bytes) else str(found)

    def texts(self, name: str, group: Any) -> list[str]:
        """An attribute of several texts; a long one lies in parts ``name0``, ``name1`` and on."""
        whole = self._attribute(group, name, is_text=True)
        parts, found = [whole] if whole is not None else [], []
        while whole is None and (part := self._attribute(group, f"{name}{len(parts)}", is_text=True)) is not None:
            parts.append(part)
        for part in parts:
            found += [text.decode("utf8", "replace") if isinstance(text, bytes) else str(text) for text in part]
        return found

    def has_attribute(self, name: str, group: Any = None) -> bool:
        import h5py

        return bool(h5py.h5a.exists(self.root if group is None else group, name.encode()))

    def integer(self, name: str, group: Any) -> int:
        """An attribute that is a number."""
        return int(self._attribute(group, name, is_text=False))

    def _attribute(self, group: Any, name: str, is_text: bool) -> Any:
        import h5py

        if not self.has_attribute(name, group):
            return None
        kind = h5py.h5a.open(group, name.encode())
        if 0 in (kind.shape or ()):
            return []  # Keras writes an empty list as one of floats
        if kind.get_type().get_class() != (h5py.h5t.STRING if is_text else h5py.h5t.INTEGER):  # HDF5 crashes on some
            raise WeightsError(f"{self.name}: the attribute {name} is no {'text' if is_text else 'number'}")
        size = kind.dtype.itemsize
        for length in kind.shape or ():
            size *= length
        if is_text and kind.get_type().is_variable_str():
            size = max(size, self._text_size(group, name, kind))
        if size > CONFIG_LIMIT:
            raise WeightsError(f"{self.name}: the attribute {name} is larger than {CONFIG_LIMIT >> 20} MiB")
        return h5py.Group(group).attrs[name]

    def _text_size(self, group: Any, name: str, kind: Any) -> int:
        """How long the texts of an attribute say that they are, all together."""
        import h5py

        address = h5py.h5o.get_info(group).addr
        lengths = text_lengths(self._file, address, name, count(kind.shape or ()), kind.get_storage_size())
        if lengths is None:
            raise WeightsError(f"{self.name}: the attribute {name} is kept in a way that Keras does not use")
        return sum(lengths)

    # ---- arrays ------------------------------------------------------------------------------------------------------

    def array(self, group: Any, name: str) -> Stored | None:
        """An array that lies in a group, checked but not read, or None if there is none of that name."""
        import h5py

        dataset = self.child(group, name)
        return H5Array(self, dataset) if isinstance(dataset, h5py.h5d.DatasetID) else None

    def offset_of(self, dataset: Any) -> int | None:
        """Where in the file an array lies in one piece, as it is in memory but for the order of bytes; or None."""
        plist = dataset.get_create_plist()
        if plist.get_nfilters():
            return None
        offset = dataset.get_offset()  # None where it lies in chunks, or has not been written
        return offset if offset and offset + count(dataset.shape) * dataset.dtype.itemsize <= len(self._file) else None

    def read_into(self, array: np.ndarray[Any, Any], offset: int) -> None:
        """Reads what lies at an offset, without HDF5."""
        with self.refusing_damage():
            self._file.seek(offset)
            if self._file.readinto(array.reshape(-1).view("u1")) != array.nbytes:
                raise OSError("it ends too early")

    def check_storage(self, dataset: Any, is_bfloat16: bool) -> None:
        """Refuses an array that is no plain array of numbers in this file, or that is a bomb."""
        import h5py

        where, plist = f"{self.name}: {self.path_of(dataset)}", dataset.get_create_plist()
        kind = dataset.get_type().get_class()
        is_number = kind in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM) and dataset.dtype.kind in "fiub" \
            and dataset.dtype.itemsize <= 8
        if not is_number and not is_bfloat16:
            raise WeightsError(f"{where} holds {dataset.dtype}, which is no number")
        if plist.get_external_count() or plist.get_layout() == h5py.h5d.VIRTUAL:
            raise WeightsError(f"{where} takes its numbers from another file, which is never opened")
        if any(plist.get_filter(i)[0] not in _FILTERS for i in range(plist.get_nfilters())):
            raise WeightsError(f"{where} is compressed in a way that Keras does not use")
        chunk = plist.get_chunk() if plist.get_layout() == h5py.h5d.CHUNKED else ()
        self._allowed -= max(count(dataset.shape), count(chunk)) * dataset.dtype.itemsize
        if self._allowed < 0:
            raise WeightsError(f"{where} unpacks to far more than its size: it is a bomb")


class H5Array(Stored):
    """An array in an HDF5 file. It holds a path and no handle of HDF5, of which each would take some 20 KiB."""

    def __init__(self, file: H5File, dataset: Any) -> None:
        import h5py

        self._file, self.where = file, file.path_of(dataset)
        if dataset.shape is None:
            raise WeightsError(f"{file.name} has nothing in {self.where}")
        self.shape, self._stored_dtype = tuple(dataset.shape), dataset.dtype
        self._dtype = self._stored_dtype.newbyteorder("=")
        self.dtype = str(self._dtype)
        # bfloat16, which NumPy lacks, is kept as two bytes of no kind
        self._is_bfloat16 = self._dtype.itemsize == 2 and dataset.get_type().get_class() == h5py.h5t.OPAQUE
        self._checked = False
        self._offset: int | None = None

    def check(self) -> None:
        if not self._checked:
            dataset = self._dataset()
            self._file.check_storage(dataset, self._is_bfloat16)
            if self._stored_dtype == self._dtype:
                self._offset = self._file.offset_of(dataset)
            self._checked = True

    def _dataset(self) -> Any:
        with self._file.refusing_damage():
            return self._file.at(self.where)

    def try_out(self) -> None:
        self.check()
        if self._offset is None:  # what is compressed may be damaged in ways that only reading shows
            self.read()
        else:
            self._file.check()

    def read(self) -> np.ndarray[Any, Any]:
        return self._rows(0, self.shape[0]) if self.shape else self._rows(0, 1)

    def blocks(self) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
        self.check()
        row = count(self.shape[1:]) * self._dtype.itemsize
        if self._offset is None or not self.shape or row * self.shape[0] <= _WHOLE:
            yield ..., self.read()
            return
        rows = max(1, _BLOCK // max(1, row))
        for start in range(0, self.shape[0], rows):
            yield slice(start, start + rows), self._rows(start, min(start + rows, self.shape[0]))

    def _rows(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        import h5py
        import numpy as np

        self.check()
        self._file.check()
        array = np.empty((stop - start, *self.shape[1:]) if self.shape else (), self._dtype)
        if self._offset is not None:
            self._file.read_into(array, self._offset + start * count(self.shape[1:]) * self._dtype.itemsize)
        else:
            with self._file.refusing_damage():
                self._dataset().read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32) if self._is_bfloat16 else array

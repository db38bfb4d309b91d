"""HDF5 files, read with care: no link is followed, nothing outside the file is opened, no plugin is loaded.

An array is checked before it is read, and read when it is needed.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

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
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset if whence == 0 else self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        read = self._file.read_at(self._at, view)
        if read >= 16 and bytes(view[:4]) == b"GCOL":
            self._check_heap(self._at)
        self._at += read
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
    """An HDF5 file, for reading. HDF5 has it open in :meth:`reading` alone: it must not have it when Python ends.

    Raises:
        WeightsError: here and in all methods: the file is damaged, or one that is refused.
    """

    root: Any  # the handle of the outermost group, in :meth:`reading`

    def __init__(self, file: Stretch, name: str) -> None:
        self.name, self._file = name, file
        self._allowed = max(_GROWTH_FLOOR, _GROWTH_LIMIT * len(file))
        self._lock, self._depth = threading.RLock(), 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Has the file open; whatever HDF5 trips over becomes a WeightsError."""
        with self._lock:
            try:
                with contextlib.nullcontext() if self._depth else self._open():
                    self._depth += 1
                    try:
                        yield
                    finally:
                        self._depth -= 1
            except KerashapeError:
                raise
            except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError,
                    MemoryError) as error:
                raise WeightsError(f"{self.name} is damaged: {error}") from error

    def _open(self) -> Any:
        import h5py

        try:
            opened = h5py.File(_Guarded(self._file), "r")
            self.root = h5py.h5g.open(opened.id, b"/")
            return opened
        except (OSError, RuntimeError, ValueError, KeyError, OverflowError) as error:
            raise WeightsError(f"{self.name} is not a sound HDF5 file: {error}") from error

    def check(self) -> None:
        """Makes sure that the file has not changed since it was opened."""
        self._file.check()

    # ---- groups ------------------------------------------------------------------------------------------------------

    def child(self, group: Any, name: str) -> Any:
        """The group or array that a group holds under a name, or None. No link is followed: it lies in the file itself.

        Groups and arrays are HDF5's own handles here, which are made faster than h5py's.
        """
        import h5py

        key = _bytes(name)
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

        return _text(h5py.h5i.get_name(item) or b"").lstrip("/")

    def is_group(self, item: Any) -> bool:
        import h5py

        return isinstance(item, h5py.h5g.GroupID)

    def arrays(self) -> dict[str, dict[str, Stored]]:
        """All arrays by their groups' paths and their names, looked at but not read."""
        import h5py

        found: dict[str, dict[str, Stored]] = {}
        with self.reading():
            links = self._links()
            groups = {path.rpartition(b"/")[0] for path in links}
            for path in links:
                if path in groups:
                    continue
                item = h5py.h5o.open(self.root, path)
                if self.is_group(item) and item.get_num_objs():  # whose members came under its other name
                    raise WeightsError(f"{self.name} has one group in two places")
                array = self._looked_at(item)
                if array is not None:
                    group, _, name = _text(path).rpartition("/")
                    found.setdefault(group, {})[name] = array
        return found

    def _links(self) -> list[bytes]:
        """The paths of all that lies in the file; none leads elsewhere."""
        import h5py

        links = list[bytes]()

        def link(path: bytes, info: Any) -> str | None:  # comes before what lies beyond it is looked at
            if path.count(b"/") >= _DEPTH_LIMIT:
                return f"{self.name} is nested deeper than {_DEPTH_LIMIT} groups"
            if info.type != h5py.h5l.TYPE_HARD:
                return f"{self.name}: {_text(path)} is a link, which is never followed"
            links.append(path)
            return None

        refusal = self.root.links.visit(link, info=True)  # it ends at once when it is given something
        if refusal:
            raise WeightsError(refusal)
        return links

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
        """An array that lies in a group, looked at but not read, or None if there is none of that name."""
        return self._looked_at(self.child(group, name))

    def _looked_at(self, found: Any) -> Stored | None:
        import h5py

        return H5Array(self, found) if isinstance(found, h5py.h5d.DatasetID) else None

    def read_into(self, array: np.ndarray[Any, Any], offset: int) -> None:
        """Reads what lies at an offset, without HDF5."""
        if self._file.read_at(offset, array.reshape(-1).view("u1")) != array.nbytes:
            raise WeightsError(f"{self.name} is damaged: it ends too early")

    def allow(self, size: int) -> bool:
        """Whether an array may still be unpacked to so many bytes, with all that were before it."""
        self._allowed -= size
        return bool(self._allowed >= 0)

    def __len__(self) -> int:
        return len(self._file)


class _Form(NamedTuple):
    """In what form a file has an array.

    Attributes:
        dtype: of its numbers, in the machine's order of bytes.
        is_plain: whether they lie in the file as they lie in memory.
        is_bfloat16: two bytes of no kind: NumPy lacks it.
        refusal: why it is no array of numbers, if it is none.
        chunk: the shape of the pieces that it lies in.
    """

    dtype: Any
    is_plain: bool = True
    is_bfloat16: bool = False
    refusal: str | None = None
    chunk: tuple[int, ...] = ()


def _form(kind: Any, plist: Any) -> _Form:
    import h5py

    stored = kind.dtype
    dtype = stored.newbyteorder("=")
    is_bfloat16 = dtype.itemsize == 2 and kind.get_class() == h5py.h5t.OPAQUE
    refusal = _refusal(kind, dtype, is_bfloat16, plist)
    is_plain = refusal is None and stored == dtype and not plist.get_nfilters()
    chunk = plist.get_chunk() if plist.get_layout() == h5py.h5d.CHUNKED else ()
    return _Form(dtype, is_plain, is_bfloat16, refusal, chunk)


def _refusal(kind: Any, dtype: Any, is_bfloat16: bool, plist: Any) -> str | None:
    """Why this is no plain array of numbers in its own file, if it is none."""
    import h5py

    is_number = kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM) and dtype.kind in "fiub" \
        and dtype.itemsize <= 8
    if not is_number and not is_bfloat16:
        return f"holds {dtype}, which is no number"
    layout = plist.get_layout()
    if plist.get_external_count() or layout == h5py.h5d.VIRTUAL:
        return "takes its numbers from another file, which is never opened"
    if any(plist.get_filter(i)[0] not in _FILTERS for i in range(plist.get_nfilters())):
        return "is compressed in a way that Keras does not use"
    return None


class H5Array(Stored):
    """An array in an HDF5 file. It holds a path and no handle of HDF5, of which each would take some 20 KiB."""

    def __init__(self, file: H5File, dataset: Any) -> None:
        import h5py
        import numpy as np

        self._file, self.where = file, file.path_of(dataset)
        shape, kind = dataset.shape, dataset.get_type()
        if shape is None:
            raise WeightsError(f"{file.name} has nothing in {self.where}")
        self.shape = tuple(shape)
        offset = dataset.get_offset()  # None where it lies in chunks or in another file, or has not been written
        if offset and kind == h5py.h5t.NATIVE_FLOAT:  # as nearly all do: asking for more takes five times as long
            self._form = _Form(np.dtype("float32"))
        else:
            self._form = _form(kind, dataset.get_create_plist())
        self.dtype = str(self._form.dtype)
        self._size = max(count(self.shape), count(self._form.chunk)) * self._form.dtype.itemsize
        ends = (offset or 0) + count(self.shape) * self._form.dtype.itemsize
        self._offset: int | None = offset if offset and self._form.is_plain and ends <= len(file) else None
        self._checked = False

    def check(self) -> None:
        if self._checked:
            return
        if self._form.refusal:
            raise WeightsError(f"{self._file.name}: {self.where} {self._form.refusal}")
        if not self._file.allow(self._size):
            raise WeightsError(f"{self._file.name}: {self.where} unpacks to far more than its size: it is a bomb")
        self._checked = True

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
        row = count(self.shape[1:]) * self._form.dtype.itemsize
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
        array = np.empty((stop - start, *self.shape[1:]) if self.shape else (), self._form.dtype)
        if self._offset is not None:
            self._file.read_into(array, self._offset + start * count(self.shape[1:]) * self._form.dtype.itemsize)
        else:
            with self._file.reading():
                self._file.at(self.where).read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32) if self._form.is_bfloat16 else array


def _text(name: bytes) -> str:
    return name.decode("utf8", "surrogateescape")


def _bytes(name: str) -> bytes:
    return name.encode("utf8", "surrogateescape")

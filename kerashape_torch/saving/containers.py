"""Files as they lie on disk: a directory or a zip archive as names with contents, and a stretch of a file as a file.

Nothing is ever extracted by a name from a file: a member that matters is opened by its exact name, within limits.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import weakref
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from kerashape_torch.errors import ConfigError, WeightsError

CONFIG_LIMIT = 64 << 20
"""A config may have 64 MiB; that of a model of a thousand layers has two or three."""
RATIO_LIMIT, RATIO_FLOOR = 200, 64 << 20
"""Above 64 MiB a member may be at most 200 times as large as it is in the archive: weights hardly compress."""
_BLOCK = 1 << 20


def local_path(path: Any) -> Path:
    """A path that exists on this machine."""
    text = os.fspath(path)
    if isinstance(text, str) and "://" in text:
        raise ConfigError(f"{text} is not a path on this machine: download it first")
    where = Path(os.fsdecode(text))
    if not where.exists():
        raise ConfigError(f"there is no file {where}")
    return where


class Stretch(io.RawIOBase):
    """A stretch of a file on disk, as a file for reading. It stays open: the path may go, the contents may not change.

    Args:
        file: the file on disk, open.
        name: how errors speak of it.
        start, size: the stretch; all of the file if not given.
        checksum: the CRC-32 of the contents, where it is known; :meth:`check` holds the contents against it.
        within: the stretch that this one is a part of.
    """

    def __init__(self, file: IO[bytes], name: str, start: int = 0, size: int | None = None,
                 checksum: int | None = None, within: Stretch | None = None) -> None:
        super().__init__()
        self.name, self._file, self._within = name, file, within
        if within is None:
            weakref.finalize(self, file.close)
        self._lock: Any = threading.RLock() if within is None else within._lock
        self._state: tuple[int, int] = self._now() if within is None else within._state
        self._start, self._size = start, self._state[0] - start if size is None else size
        self._at = 0
        self._checksum = checksum

    @classmethod
    def of(cls, path: Path) -> Stretch:
        """All of a file."""
        return cls(path.open("rb", buffering=0), path.name)

    def part(self, start: int, size: int, checksum: int | None = None) -> Stretch:
        """A stretch of this one."""
        return Stretch(self._file, self.name, self._start + start, size, checksum, self)

    def _now(self) -> tuple[int, int]:
        state = os.fstat(self._file.fileno())
        return state.st_size, state.st_mtime_ns

    def check(self) -> None:
        """Makes sure that the contents are those that were there when the file was opened.

        Raises:
            WeightsError: they have changed since, or are not what the archive says they are.
        """
        if self._now() != self._state:
            raise WeightsError(f"{self.name} has changed since it was loaded: load the model again")
        with self._lock:
            if self._checksum is not None:
                found, at, block = 0, 0, bytearray(_BLOCK)
                while read := self.read_at(at, block):
                    found, at = zlib.crc32(memoryview(block)[:read], found), at + read
                if found != self._checksum:
                    raise WeightsError(f"{self.name} is damaged: its contents do not have the checksum they should")
                self._checksum = None

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there are; the system gives a large read in several pieces."""
        done = self.read_at(self._at, buffer)
        self._at += done
        return done

    def read_at(self, at: int, buffer: Any) -> int:
        """The same at any place; several threads may do it at once."""
        view = memoryview(buffer).cast("B")
        view = view[:max(0, min(len(view), self._size - at))]
        done = 0
        while done < len(view):
            read = self._read_into(view[done:], self._start + at + done)
            if not read:
                break
            done += read
        return done

    def _read_into(self, view: memoryview, at: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [view], at)
        with self._lock:
            self._file.seek(at)
            return self._file.readinto(view) or 0  # type: ignore[attr-defined]


class Directory:
    """A directory on disk; only files that lie in it itself are seen, and no link that leads out of it is followed."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def names(self) -> set[str]:
        return {path.name for path in self.path.iterdir()}

    def has(self, name: str) -> bool:
        return _is_inside(name) and (self.path / name).is_file()

    def text(self, name: str) -> bytes:
        """The contents of a small file, such as a config."""
        return limited(self._inside(name))

    def open(self, name: str) -> Stretch:
        return Stretch.of(self._inside(name))

    def _inside(self, name: str) -> Path:
        if not _is_inside(name):
            raise ConfigError(f"{self.name} speaks of a file {name!r}, which does not lie beside it")
        where = self.path / name
        if not where.is_file():
            raise ConfigError(f"{self.name} has no file {name!r}")
        if not where.resolve().is_relative_to(self.path.resolve()):
            raise ConfigError(f"{name!r} in {self.name} is a link that leads out of it, which is never followed. "
                              "Way out: a copy of the directory that has the files themselves (cp -rL)")
        return where


def _is_inside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return not name.startswith(("/", "\\")) and ".." not in parts and ":" not in parts[0] and bool(parts[-1])


class Zip:
    """A zip archive. Members that lie in it uncompressed, as Keras writes them, are read where they lie."""

    def __init__(self, file: Stretch) -> None:
        self._file, self.name = file, file.name
        try:
            with zipfile.ZipFile(file) as archive:
                self._members: dict[str, list[zipfile.ZipInfo]] = {}
                for info in archive.infolist():
                    self._members.setdefault(info.filename.replace("\\", "/"), []).append(info)
        except (*_DAMAGE, KeyError) as error:
            raise ConfigError(f"{self.name} is a damaged archive: {error}") from error

    def names(self) -> set[str]:
        return set(self._members)

    def has(self, name: str) -> bool:
        return name in self._members

    def text(self, name: str) -> bytes:
        """The contents of a small member, such as a config."""
        info = self._member(name, CONFIG_LIMIT)
        try:
            with zipfile.ZipFile(self._file) as archive, archive.open(info) as member:
                return member.read()  # zipfile gives no more than the size that was checked
        except _DAMAGE as error:
            raise ConfigError(f"{self.name} is a damaged archive: {error}") from error

    def open(self, name: str) -> Stretch:
        """A member as a file: where it lies in the archive or, if it is compressed, unpacked to a nameless one."""
        info = self._member(name)
        try:
            if info.compress_type != zipfile.ZIP_STORED:
                return self._unpacked(info)
            self._file.seek(info.header_offset)
            header = self._file.read(30) or b""
            if header[:4] != b"PK\x03\x04" or info.compress_size != info.file_size:
                raise ConfigError(f"{self.name} is a damaged archive: the header of {name} is not sound")
            # the lengths of the name and the extra field stand before the data, and may differ from the directory's
            start = info.header_offset + 30 + int.from_bytes(header[26:28], "little") \
                + int.from_bytes(header[28:30], "little")
            if start + info.file_size > len(self._file):
                raise ConfigError(f"{self.name} is a damaged archive: it ends within {name}")
            return self._file.part(start, info.file_size, info.CRC)
        except _DAMAGE as error:
            raise ConfigError(f"{self.name} is a damaged archive: {error}") from error

    def _unpacked(self, info: zipfile.ZipInfo) -> Stretch:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # the stretch closes it
        try:
            with zipfile.ZipFile(self._file) as archive, archive.open(info) as member:
                while block := member.read(_BLOCK):
                    file.write(block)
        except BaseException:
            file.close()
            raise
        return Stretch(file, self.name)

    def _member(self, name: str, limit: int | None = None) -> zipfile.ZipInfo:
        found = self._members.get(name, [])
        if len(found) != 1:
            raise ConfigError(f"the archive has {len(found) or 'no'} members named {name}")
        info = found[0]
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ConfigError(f"{name} is encrypted or compressed in a way that Keras does not use")
        if limit is not None and info.file_size > limit:
            raise ConfigError(f"{name} is larger than {limit >> 20} MiB")
        if info.file_size > RATIO_FLOOR and info.file_size > RATIO_LIMIT * max(info.compress_size, 1):
            raise ConfigError(f"{name} unpacks to {info.file_size} bytes from {info.compress_size}: this is a zip bomb")
        return info


_DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, UnicodeError, zipfile.LargeZipFile,
           zlib.error)


def limited(path: Path) -> bytes:
    """The contents of a file, if it is no larger than a config may be."""
    with path.open("rb") as file:
        found = file.read(CONFIG_LIMIT + 1)
    if len(found) > CONFIG_LIMIT:
        raise ConfigError(f"{path.name} is larger than {CONFIG_LIMIT >> 20} MiB: it is no model config")
    return found


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)

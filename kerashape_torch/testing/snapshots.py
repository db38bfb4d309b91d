"""Snapshots of shape tables: the text file of a test, what a check does, and what is left over when all tests have run.

A file has a section for each check of its test, so that a review sees one file for a test. Nothing here needs pytest:
:mod:`pytest_kerashape` is the plugin.
"""

from __future__ import annotations

import json
import re
import shlex
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.saving import archive
from kerashape_torch.shape_table import ShapeTable, shape_table
from kerashape_torch.shape_text import quoted, read, write

_FIRST = "kerashape snapshots of "
_HINT = "# To accept what has moved: pytest --shapes-update"
_SECTION = "=== "
_VALUES = " values"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.,+=@()\[\]-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 100


class Section(NamedTuple):
    """A part of a file, and the line that it begins at."""

    text: str
    line: int = 0


class SnapshotFile:
    """The snapshots of one test, in the folder of its module."""

    def __init__(self, folder: Path, test: str) -> None:
        self.test = test
        self.path = _path(folder, test)

    def sections(self) -> dict[str, Section]:
        """What it keeps, by title; nothing where there is no file.

        Raises:
            ConfigError: it is no such file; the error names the line.
        """
        return sections_of(self.path) if self.path.exists() else {}

    def write(self, sections: Mapping[str, str]) -> None:
        """Puts the file in its place when it is whole."""
        parts = [f"{_FIRST}{quoted(self.test)}\n{_HINT}\n",
                 *(f"{_SECTION}{title}\n{text}\n" for title, text in sections.items())]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        archive.write(self.path, lambda beside: beside.write_text("\n".join(parts), "utf8", newline="\n"))


def sections_of(path: Path) -> dict[str, Section]:
    """What a file of snapshots keeps, by title.

    Raises:
        ConfigError: it is no such file; the error names the line.
    """
    try:
        lines = path.read_text("utf8").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not text in UTF-8: {error}") from error
    if owner(path) is None:
        raise ConfigError(f"{path.name}, line 1: expected {_FIRST!r} and the name of a test")
    found: dict[str, list[str]] = {}
    starts: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        if line.startswith(_SECTION):
            title = line[len(_SECTION):].strip()
            if title in found:
                raise ConfigError(f"{path.name}, line {number}: a second snapshot {title}")
            found[title], starts[title] = [], number + 1
        elif found:
            found[title].append(line)
        elif line.strip() and not line.startswith("#"):
            raise ConfigError(f"{path.name}, line {number}: expected {_SECTION!r} and a name, got {line!r}")
    return {title: Section("\n".join(text).strip("\n"), starts[title]) for title, text in found.items()}


def read_table(path: Path, title: str = "") -> ShapeTable:
    """The table that a text file keeps: one that ``shape_text.write`` made, or a snapshot, by its title if there are
    several."""
    if owner(path) is None:
        return read(path.read_text("utf8", "replace"), path.name)
    tables = {name: each for name, each in sections_of(path).items() if not name.endswith(_VALUES)}
    wanted = title or (next(iter(tables)) if len(tables) == 1 else "")
    if wanted not in tables:
        raise ConfigError(f"{path.name} has the snapshots {', '.join(tables) or 'of nothing'}; say which: "
                          f"{path.name}::{next(iter(tables), 'name')}")
    return read(tables[wanted].text, path.name, tables[wanted].line)


def owner(path: Path) -> str | None:
    """The test that a file belongs to, or None if it does not say."""
    try:
        with path.open(encoding="utf8") as file:
            first = file.readline().strip()
        if not first.startswith(_FIRST):
            return None
        name = first[len(_FIRST):]
        return str(json.loads(name)) if name.startswith('"') else name
    except (OSError, ValueError):
        return None


def _path(folder: Path, test: str) -> Path:
    """A file name that every system takes and that no other test has, whatever its parameters are called: what was
    changed or cut, and what another test has but for its case, is told apart by a checksum."""
    safe = _UNSAFE.sub("_", test)[:_LONGEST]
    plain = folder / f"{safe}.txt"
    taken = next((each for each in _files(folder) if each.name.lower() == plain.name.lower()), plain)
    is_own = safe == test and not _RESERVED.match(safe) and owner(taken) in (None, test)
    return plain if is_own else folder / f"{safe}-{zlib.crc32(test.encode('utf8', 'surrogatepass')):08x}.txt"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt")) if folder.is_dir() else []


# ---- checks ----------------------------------------------------------------------------------------------------------


class ShapeSnapshot:
    """The fixture ``shape_snapshot`` of one test.

    Args:
        folder: of the snapshots of the test's module.
        test: its name, with its class and parameters.
        node_id: as pytest takes it on its command line.
        update: whether to take what is given instead of comparing it.
    """

    def __init__(self, folder: Path, test: str, node_id: str = "", update: bool = False) -> None:
        self.file = SnapshotFile(folder, test)
        self.node_id = node_id
        self.update = update
        self.used: list[str] = []
        self.fresh: dict[str, str] = {}
        self._count = 0

    def __repr__(self) -> str:
        return f"<ShapeSnapshot of {self.file.test}>"

    def check(self, model: Any, input_shape: Any = None, *, name: str | None = None, values: bool = False,
              input_dtype: Any = None, layout: str | None = None, names: Mapping[str, str] | None = None) -> None:
        """Holds a model's shapes, weights and parameters against the snapshot.

        Args:
            model: whatever ``kerashape_torch.shape_table`` takes: a model, a layer, a file, a torch module; or a table.
            input_shape: for what knows none by itself.
            name: of this snapshot, where a test has several; else they are numbered.
            values: holds a few numbers of the outputs too: see :mod:`kerashape_torch.testing.fingerprint`.
            input_dtype: of the inputs of a torch module, as ``shape_table`` takes it.
            layout, names: as ``ShapeTable.diff`` takes them: what counts as the same.

        Raises:
            AssertionError: something has moved, or there is no snapshot yet.
        """
        __tracebackhide__ = True
        self._count += name is None
        title = quoted(str(self._count) if name is None else name)
        if title in self.used:
            raise KerashapeError(f"{self.file.test} has two snapshots of the name {title}")
        inputs = _given(input_dtype=input_dtype)
        table = model if isinstance(model, ShapeTable) else shape_table(model, input_shape, **inputs)

        def shapes_moved(kept: ShapeTable) -> str:
            found = kept.diff(table, **_given(layout=layout, names=names))
            return str(found) if found else ""

        self._hold(title, "shapes", write(table), read, shapes_moved)
        if values:
            from kerashape_torch.testing import fingerprint

            now = fingerprint.fingerprint(model, input_shape, **inputs)
            self._hold(title + _VALUES, "numbers", str(now), fingerprint.read, lambda kept: kept.moved_to(now))

    assert_match = check

    def _hold(self, title: str, what: str, now: str, read: Callable[..., Any], moved: Callable[[Any], str]) -> None:
        """Compares a text with what is kept under a title: ``read`` takes a text and its place, and ``moved`` says what
        has moved since."""
        __tracebackhide__ = True
        self.used.append(title)
        if self.update:
            self.fresh[title] = self._unmoved(title, read, moved) or now
            return
        where = "/".join(self.file.path.parts[-3:])
        command = f"pytest --shapes-update {shlex.quote(self.node_id)}".rstrip()
        try:
            kept = self.file.sections().get(title)
            then = None if kept is None else read(kept.text, self.file.path.name, kept.line)
        except ConfigError as error:
            raise ConfigError(f"{error}\nTo write {where} anew:\n    {command}") from None
        if then is None:
            raise AssertionError(f"there is no snapshot {title} of {self.file.test} yet. To write it to {where}:\n"
                                 f"    {command}")
        if found := moved(then):
            raise AssertionError(f"{what} moved: snapshot {title} of {where}\n{found}\n"
                                 f"If this is meant:\n    {command}")

    def _unmoved(self, title: str, read: Callable[..., Any], moved: Callable[[Any], str]) -> str:
        """What is kept, if it has moved no further than it may: numbers differ a little from machine to machine."""
        try:
            kept = self.file.sections()[title].text
            return "" if moved(read(kept)) else kept
        except (KeyError, ConfigError):
            return ""


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


# ---- after all tests -------------------------------------------------------------------------------------------------


class Ran(NamedTuple):
    """What is known of the tests of a session. A test is a pair: the folder of its module's snapshots, and its name.

    Attributes:
        collected: the tests of each folder; None for a folder of which not all are known.
        passed: those that ran to their end.
        used, fresh: the titles that a test asked for, and the texts that it is to be given.
    """

    collected: dict[str, list[str] | None]
    passed: list[tuple[str, str]]
    used: list[tuple[str, str, list[str]]]
    fresh: list[tuple[str, str, dict[str, str]]]


class Settled(NamedTuple):
    """What was done, and what is left over: a path and what is to be said of it."""

    wrote: list[tuple[Path, str]]
    stale: list[tuple[Path, str]]


def settle(ran: Iterable[Ran], update: bool) -> Settled:
    """Writes what is fresh and removes what no test uses, if ``update``; else only says what no test uses."""
    wrote: list[tuple[Path, str]] = []
    stale: list[tuple[Path, str]] = []
    ran = list(ran)
    fresh = {(folder, test): texts for each in ran for folder, test, texts in each.fresh}
    used = {(folder, test): titles for each in ran for folder, test, titles in each.used}
    passed = {(folder, test) for each in ran for folder, test in each.passed}
    owned = {(folder, owner(path)) for folder in {folder for folder, _ in passed} for path in _files(Path(folder))}
    for folder, test in sorted({*fresh, *(passed & owned)}):
        file = SnapshotFile(Path(folder), test)
        texts, unused = _merged(file, fresh.get((folder, test), {}),
                                used.get((folder, test), []) if (folder, test) in passed else None)
        if not update:
            stale += [(file.path, f"snapshot {title}, which its test does not use") for title in unused]
        elif (said := _put(file, texts)) is not None:
            wrote.append((file.path, said))
    for path in _without_test(ran):
        stale.append((path, "no test uses it"))
    if update:
        for path, _ in stale:
            path.unlink()
            wrote.append((path, "removed"))
            _remove_empty(path.parent)
        stale = []
    return Settled(wrote, stale)


def _merged(file: SnapshotFile, fresh: dict[str, str], used: list[str] | None) -> tuple[dict[str, str], list[str]]:
    """The sections that a file is to have, and those that are in it and that its test, which passed, does not use."""
    try:
        old = {title: section.text for title, section in file.sections().items()}
    except ConfigError:
        old = {}
    unused = [title for title in old if title not in used] if used is not None else []
    kept = {title: text for title, text in old.items() if title not in fresh and title not in unused}
    return {**fresh, **kept}, unused


def _put(file: SnapshotFile, texts: dict[str, str]) -> str | None:
    """Writes a file if it differs, removes it if it is empty, and says so."""
    try:
        old: dict[str, str] | None = {title: section.text for title, section in file.sections().items()}
    except ConfigError:
        old = None
    if old is not None and list(old.items()) == list(texts.items()):
        return None
    if not texts:
        file.path.unlink()
        _remove_empty(file.path.parent)
        return "removed"
    is_new = not file.path.exists()
    file.write(texts)
    if is_new or old is None:
        return "new" if is_new else "written anew, it could not be read"
    counts = {"new": len(texts.keys() - old.keys()), "removed": len(old.keys() - texts.keys()),
              "changed": sum(texts[title] != old[title] for title in texts.keys() & old.keys())}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "order changed"


def _without_test(ran: list[Ran]) -> Iterator[Path]:
    """Files of tests that are gone, and of whole modules that are."""
    collected: dict[str, set[str] | None] = {}
    for each in ran:
        for folder, tests in each.collected.items():
            known = collected.setdefault(folder, set())
            collected[folder] = None if tests is None or known is None else known | set(tests)
    for folder, names in sorted(collected.items()):
        if names is not None:
            yield from (path for path in _files(Path(folder)) if owner(path) not in (None, *names))
    for parent in sorted({Path(folder).parent for folder in collected}):
        for inside in sorted(parent.iterdir()) if parent.is_dir() else ():
            if inside.is_dir() and not parent.with_name(f"{inside.name}.py").exists():
                yield from (path for path in _files(inside) if owner(path) is not None)


def _remove_empty(folder: Path) -> None:
    for each in (folder, folder.parent):
        try:
            each.rmdir()
        except OSError:  # it is not empty
            return

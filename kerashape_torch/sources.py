"""What the command line is told to read: files of models, snapshots, and Python code of the user."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.shape import channels_first_shape
from kerashape_torch.shape_table import ShapeTable, shape_table
from kerashape_torch.structure import map_shapes
from kerashape_torch.testing.snapshots import read_table


def read_both(before: str, after: str, input_shape: Any = None, layout: str | None = None,
              may_import: bool = False) -> tuple[ShapeTable, ShapeTable]:
    """The tables of what two arguments name.

    Args:
        before, after: files, or ``module:attribute``.
        input_shape: for what knows none; where one of them is a torch module it is for that. Without it, a torch module
            gets the shape of the other, with its channels first under ``layout``.
        layout: as of ``diff``.
        may_import: whether ``module:attribute`` may be imported, which runs the code of that module.
    """
    one, other = (_read(text, may_import) for text in (before, after))
    if _is_torch(one) and not _is_torch(other):
        table = _table(other)
        return _table(one, input_shape, table, layout), table
    table = _table(one, None if _is_torch(other) and not _is_torch(one) else input_shape)
    return table, _table(other, input_shape, table, layout)


def _is_torch(found: Any) -> bool:
    return hasattr(found, "named_modules")


def _table(found: Any, input_shape: Any = None, other: ShapeTable | None = None,
           layout: str | None = None) -> ShapeTable:
    """The table of what was read; a torch module that knows no shapes may have those of the other table."""
    if isinstance(found, ShapeTable):
        return found
    if input_shape is None and other is not None and _is_torch(found) and "keras" not in getattr(found, "meta", ()):
        input_shape = map_shapes(_channels_first if layout else tuple, other.input_shape)
    return shape_table(found, input_shape)


def read_names(path: str) -> dict[str, str]:
    """A file of names: ``{"name before": "name after"}``."""
    from kerashape_torch.saving.archive import parse_json

    found = parse_json(Path(path).read_bytes(), path)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ConfigError(f'{path} must hold names of layers as JSON: {{"before": "after"}}')
    return found


def write_names(path: str, names: Mapping[str, str]) -> None:
    """Writes such a file, to be looked through and kept."""
    from kerashape_torch.saving import archive

    archive.write(path, lambda where: where.write_text(json.dumps(names, indent=2) + "\n"))


def _channels_first(shape: Any) -> Any:
    return channels_first_shape(shape) if len(shape) > 3 else tuple(shape)


def _read(text: str, may_import: bool) -> Any:
    file, _, title = text.partition("::")
    if file.endswith(".txt"):
        return read_table(Path(file), title)
    path = Path(text)
    module, colon, attribute = text.rpartition(":")
    if not path.exists() and colon and module:
        if not may_import:
            raise ConfigError(f"there is no file {text}; if it is Python code of yours, --import runs it")
        return _made_by(module, attribute)
    from kerashape_torch.saving import load_model

    return load_model(path, weights=False)


def custom_objects(named: Sequence[str]) -> dict[str, Any]:
    """Classes and functions of Python code, by the names that configs have for them. The code is run.

    Args:
        named: ``FILE.py`` or ``package.module`` for what is public and defined there, ``FILE.py:NAME,NAME`` for these;
            what a dict of that name holds is known by its keys.
    """
    found: dict[str, Any] = {}
    for text in named:
        module, colon, names = (text, "", "") if text.endswith(".py") else text.partition(":")
        loaded = _imported(module)
        wanted = names.split(",") if colon else [
            name for name, obj in vars(loaded).items() if not name.startswith("_") and callable(obj)
            and getattr(obj, "__module__", None) == loaded.__name__]
        for name in wanted:
            obj = _attribute(loaded, name, module)
            found.update(obj if isinstance(obj, Mapping) else {name: obj})
    return found


def _made_by(module: str, attribute: str) -> Any:
    """The model that an attribute of a module is, or makes without arguments."""
    found = _attribute(_imported(module), attribute, module)
    is_made = not isinstance(found, type) and (hasattr(found, "named_modules") or hasattr(found, "layers"))
    if is_made or not callable(found):
        return found
    with _of_the_user(f"{module}:{attribute}"):
        return found()


def _attribute(loaded: Any, names: str, module: str) -> Any:
    with _of_the_user(f"{module}:{names}"):
        return functools.reduce(getattr, names.split("."), loaded)


def _imported(module: str) -> Any:
    with _of_the_user(module):
        return _by_path(Path(module)) if module.endswith(".py") else importlib.import_module(module)


@contextlib.contextmanager
def _of_the_user(what: str) -> Iterator[None]:
    """Runs code of the user, which may import from the directory that it is run in; what it raises is a ConfigError."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    except KerashapeError:
        raise
    except Exception as error:
        raise ConfigError(f"{what}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)


def _by_path(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise ConfigError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module

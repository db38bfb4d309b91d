"""JSON within limits, and files written so that a failure leaves the old one alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.structure import levels

_SURROGATE = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
DEPTH_LIMIT, NODE_LIMIT = 256, 2_000_000
"""How deep JSON may be nested, and how many nodes a model may come to once models in models are written out."""


# ---- JSON ------------------------------------------------------------------------------------------------------------


def parse_json(text: str | bytes, name: str = "the text") -> Any:
    """JSON, and nothing that is nested beyond reason."""
    try:
        found = json.loads(text)
        if _has_surrogates(text):
            json.dumps(found, ensure_ascii=False).encode()  # half a character, which no name may have
    except RecursionError:
        raise ConfigError(f"{name} is nested deeper than {DEPTH_LIMIT} levels") from None
    except ValueError as error:
        raise ConfigError(f"{name} is not JSON: {error}") from None
    return found


def _has_surrogates(text: str | bytes) -> bool:
    escape: Any = "\\u" if isinstance(text, str) else b"\\u"
    if text.isascii() and escape not in text:
        return False
    return _SURROGATE.search(text if isinstance(text, str) else text.decode("utf8", "replace")) is not None


def check_config(config: Any) -> list[Mapping[str, Any]]:
    """Every dict inside a config that is not nested too deep and does not come to too many nodes.

    A model inside a model counts once for each of its calls, and so do the models inside that one: thirty small models,
    each calling the next one twice, would come to a billion calls.

    Raises:
        ConfigError: it is nested deeper, or comes to more nodes.
    """
    found: list[Mapping[str, Any]] = []
    for depth, dicts in enumerate(levels(config)):
        if depth > DEPTH_LIMIT:
            raise ConfigError(f"the config is nested deeper than {DEPTH_LIMIT} levels")
        found += dicts
        if len(found) > NODE_LIMIT:
            break
    several = any(len(_calls(item)) > 1 for item in found if "inbound_nodes" in item)
    if (_nodes_written_out(config) if several else len(found)) > NODE_LIMIT:
        raise ConfigError(f"the config comes to more than {NODE_LIMIT} nodes once its models are written out")
    return found


def _calls(item: Mapping[str, Any]) -> Sequence[Any]:
    calls = item.get("inbound_nodes")
    return calls if isinstance(calls, (list, tuple)) else ()


def _nodes_written_out(value: Any) -> int:
    """Level by level, no further than the limit; what is called several times is left to a count of its own."""
    nodes, level = 0, [value]
    while level and nodes <= NODE_LIMIT:
        below: list[Any] = []
        for item in level:
            if isinstance(item, (dict, Mapping)):
                nodes += 1
                if len(_calls(item)) > 1:
                    nodes += len(_calls(item)) * _nodes_written_out(item.get("config"))
                    item = {key: each for key, each in item.items() if key != "config"}
                below += item.values()
            elif isinstance(item, (list, tuple)):
                below += item
        level = below
    return nodes


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


def write_zip(path: Path, members: Mapping[str, bytes | Callable[[IO[bytes]], object]]) -> None:
    """The members as they are: Keras does not compress either. A large one is written by a function, to a file."""
    with zipfile.ZipFile(path, "x") as archive:
        for name, data in members.items():
            if isinstance(data, bytes):
                archive.writestr(name, data)
                continue
            with tempfile.TemporaryFile(dir=path.parent) as file:
                data(file)
                file.seek(0)
                with archive.open(name, "w", force_zip64=True) as member:
                    shutil.copyfileobj(file, member, 1 << 20)

"""Weights in several HDF5 files, and JSON that says which has what, as ``max_shard_size`` makes Keras write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerashape_torch.errors import WeightsError
from kerashape_torch.saving.by_path import ByPath, by_path
from kerashape_torch.saving.containers import Directory, Zip
from kerashape_torch.saving.h5 import H5File

SHARD_LIMIT = 10_000


def is_shard_map(found: Any) -> bool:
    """Whether JSON is the map of such files."""
    return isinstance(found, Mapping) and isinstance(found.get("weight_map"), Mapping)


def sharded_weights(found: Mapping[str, Any], container: Directory | Zip, name: str) -> ByPath:
    """The weights of all files that a map names; they lie beside it.

    Raises:
        WeightsError: a file is not there, or is named in a way that leads elsewhere.
    """
    shards: dict[str, None] = {}
    for files in found["weight_map"].values():
        for file in files if isinstance(files, (list, tuple)) else [files]:
            if not isinstance(file, str) or "/" in file or "\\" in file or not container.has(file):
                raise WeightsError(f"{name} says that weights lie in {file!r}, and there is no such file beside it")
            shards[file] = None
    if len(shards) > SHARD_LIMIT:
        raise WeightsError(f"{name} names more than {SHARD_LIMIT} files")
    return by_path(name, (H5File(container.open(file), file) for file in shards))

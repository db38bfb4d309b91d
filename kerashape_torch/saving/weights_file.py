"""Arrays in a Keras 3 weights file, ``model.weights.h5``: each read only after its shape has been found to be right."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import WeightsError
from kerashape_torch.shape import to_text
from kerashape_torch.weight_paths import Kept

if TYPE_CHECKING:
    import h5py
    import numpy as np

_FILTERS = {1, 2, 3, 32000}
"""gzip, shuffle, fletcher32 and lzf. Any other would make HDF5 look for a plugin to load."""
_GROWTH_LIMIT, _GROWTH_FLOOR = 200, 256 << 20
"""All arrays together may be at most 200 times as large as the file, once they have more than 256 MiB."""
_DEPTH_LIMIT = 32


class WeightsFile:
    """The weights of one file, open for reading.

    Args:
        data: the bytes of the file.
        name: how errors speak of it.
    """

    def __init__(self, data: bytes, name: str = "the weights file") -> None:
        import h5py

        self.name = name
        self.allowed = max(_GROWTH_FLOOR, _GROWTH_LIMIT * len(data))
        try:
            self.file = h5py.File(io.BytesIO(data), "r")
        except (OSError, RuntimeError, ValueError) as error:
            raise WeightsError(f"{name} is not a sound HDF5 file: {error}") from error

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, wanted: Sequence[Kept]) -> list[np.ndarray[Any, Any]]:
        """The arrays of these weights, in their order.

        Raises:
            WeightsError: one is missing or has another shape, or the file holds weights that nobody asked for.
        """
        try:
            if "layer_names" in self.file.attrs or self.file.id.links.exists(b"model_weights"):
                raise WeightsError(f"{self.name} is laid out layer by layer, as Keras 2 wrote it, which is not read")
            stored = [kept for kept in wanted if kept.path]
            groups = [self._group(kept.group, kept) for kept in stored]
            self._check_counts(stored, groups)
            self._check_for_others(stored)
            arrays = iter([self._array(group, kept) for kept, group in zip(stored, groups)])
            return [next(arrays) if kept.path else _nothing_added(kept) for kept in wanted]
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, WeightsError):
                raise
            raise WeightsError(f"{self.name} is damaged: {error}") from error

    def vector(self, wanted: Kept) -> list[float]:
        """The numbers of one array that has one axis, and that is no weight of the model's."""
        return self._array(self._group(wanted.group, wanted), wanted).tolist()  # type: ignore[no-any-return]

    # ---- groups ------------------------------------------------------------------------------------------------------

    def _group(self, path: str, kept: Kept) -> h5py.Group:
        """A group by its path, step by step; Keras has called some of its attributes ``_x`` and ``x`` in turn."""
        import h5py

        group: Any = self.file
        for step in path.split("/"):
            other = step[1:] if step.startswith("_") else f"_{step}"
            found = _child(group, step, self.name)
            if found is None:
                found = _child(group, other, self.name)
            if not isinstance(found, h5py.Group):
                raise WeightsError(f"{_of(kept)}: {self.name} has no {path}")
            group = found
        return group

    def _check_counts(self, wanted: Sequence[Kept], groups: Sequence[h5py.Group]) -> None:
        expected = Counter(kept.group for kept in wanted)
        expected.update(copy.rpartition("/")[0] for kept in wanted for copy in kept.copies)
        for kept, group in zip(wanted, groups):
            if len(group) != expected[kept.group]:
                raise WeightsError(f"{_of(kept)}: the layer has {expected[kept.group]} weights in {kept.group}, and "
                                   f"{self.name} has {len(group)}")

    def _check_for_others(self, wanted: Sequence[Kept]) -> None:
        layers = _child(self.file, "layers", self.name)
        if layers is None:
            return
        paths = [path for kept in wanted for path in (kept.path, *kept.copies)]
        known = {path.rpartition("/")[0].replace("_", "") for path in paths}
        for path in _groups_with_arrays(layers, "layers", self.name, set()):
            if path.replace("_", "") not in known and "generator" not in path:
                raise WeightsError(f"{self.name} has weights in {path}, and the model has no layer for them")

    # ---- arrays ------------------------------------------------------------------------------------------------------

    def _array(self, group: h5py.Group, kept: Kept) -> np.ndarray[Any, Any]:
        import h5py
        import numpy as np

        dataset = _child(group, kept.path.rpartition("/")[2], self.name)
        if not isinstance(dataset, h5py.Dataset):
            raise WeightsError(f"{_of(kept)}: {self.name} has no array {kept.path}")
        if dataset.shape != kept.spec.shape:
            got = "nothing" if dataset.shape is None else to_text(dataset.shape)
            raise WeightsError(f"{_of(kept)} is {to_text(kept.spec.shape)}, and {self.name} has {got} in {kept.path}")
        dtype = dataset.dtype
        is_bfloat16 = dtype.kind == "V" and dtype.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16"
        self._check_storage(dataset, is_bfloat16, kept)
        array = np.asarray(dataset[()])
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32) if is_bfloat16 else array

    def _check_storage(self, dataset: h5py.Dataset, is_bfloat16: bool, kept: Kept) -> None:
        if dataset.dtype.kind not in "fiub" and not is_bfloat16:
            raise WeightsError(f"{_of(kept)}: {kept.path} holds {dataset.dtype}, which is no number")
        if dataset.external or dataset.is_virtual:
            raise WeightsError(f"{_of(kept)}: {kept.path} takes its numbers from another file, which is never opened")
        plist = dataset.id.get_create_plist()
        if any(plist.get_filter(i)[0] not in _FILTERS for i in range(plist.get_nfilters())):
            raise WeightsError(f"{_of(kept)}: {kept.path} is compressed in a way that Keras does not use")
        chunk = 1
        for size in dataset.chunks or ():
            chunk *= size
        self.allowed -= max(dataset.size, chunk) * dataset.dtype.itemsize
        if self.allowed < 0:
            raise WeightsError(f"{_of(kept)}: {self.name} unpacks to far more than its size: it is a bomb")


def _nothing_added(kept: Kept) -> np.ndarray[Any, Any]:
    """Keras sets LoRA's narrow weights to zero when it loads: the kernel in the file has their product in it."""
    import numpy as np

    return np.zeros(kept.spec.shape, "float32")


def _of(kept: Kept) -> str:
    return f"{kept.owner}: {kept.spec.full_path}"


def _child(group: Any, name: str, where: str) -> Any:
    """What a group holds under a name, or None. Only what lies in the file itself: no link leads out of it."""
    import h5py

    links, key = group.id.links, name.encode()
    if not links.exists(key):  # unlike ``name in group`` it does not look where a link leads
        return None
    if links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise WeightsError(f"{where}: {group.name}/{name} is a link, which is never followed")
    return group[name]


def _groups_with_arrays(group: Any, path: str, where: str, seen: set[Any], depth: int = 0) -> Iterator[str]:
    import h5py

    address = h5py.h5o.get_info(group.id).addr
    if depth > _DEPTH_LIMIT or address in seen:
        raise WeightsError(f"{where} is nested deeper than {_DEPTH_LIMIT} groups, or has one group in two places")
    seen.add(address)
    has_arrays = False
    for name in group:
        child = _child(group, name, where)
        if isinstance(child, h5py.Group):
            yield from _groups_with_arrays(child, f"{path}/{name}", where, seen, depth + 1)
        elif name != "idf_weights":  # of a vocabulary, and no weight that is trained
            has_arrays = True
    if has_arrays:
        yield path


def weights_bytes(kept: Sequence[Kept], arrays: Sequence[Any]) -> bytes:
    """A weights file in Keras 3's layout, which Keras loads."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for place, array in zip(kept, _folded(kept, arrays)):
            for path in (place.path, *place.copies):
                if path:
                    file.create_dataset(path, data=array)
    return buffer.getvalue()


def _folded(kept: Sequence[Kept], arrays: Sequence[Any]) -> list[Any]:
    """The arrays, where LoRA's product is added to its kernel, as Keras does when it saves."""
    folded = list(arrays)
    names = [place.spec.name for place in kept]
    for i, place in enumerate(kept):
        if place.spec.factor is not None and names[i].endswith("_a"):
            kernel = names.index(names[i].removeprefix("lora_").removesuffix("_a"), _start_of_layer(kept, i))
            folded[kernel] = folded[kernel] + place.spec.factor * folded[i] @ folded[i + 1]
    return folded


def _start_of_layer(kept: Sequence[Kept], i: int) -> int:
    while i and kept[i - 1].owner == kept[i].owner:
        i -= 1
    return i

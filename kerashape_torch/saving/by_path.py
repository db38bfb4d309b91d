"""Weights as Keras 3 lays them out: an array ``layers/dense_1/vars/0`` for each, in whatever kind of file.

tf_keras writes the same layout with slips of its own: attributes with an underscore, the ``layers`` of 2.13 under the
name of another attribute, on Windows whole paths as one name, and other ways to the layers of a class with a ``call``.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kerashape_torch.errors import WeightsError
from kerashape_torch.saving.h5 import H5File
from kerashape_torch.saving.quantized import Found, Quantized, quantized
from kerashape_torch.saving.stored import Stored, zeros
from kerashape_torch.shape import to_text
from kerashape_torch.weight_paths import Kept, Layout

STATE = "optimizer/vars"


Group = Mapping[str, Stored]
"""Arrays by name."""


def by_path(name: str, files: Iterable[H5File]) -> ByPath:
    """The weights of one HDF5 file, or of several that have parts of them."""
    groups: dict[str, dict[str, Stored]] = {}
    for file in files:
        for path, arrays in file.arrays().items():
            groups[path] = {**arrays, **groups.get(path, {})}
    return ByPath(name, groups)


class ByPath:
    """The weights of a file in Keras 3's layout.

    Args:
        name: how errors speak of the file.
        groups: its groups by path.
    """

    def __init__(self, name: str, groups: Mapping[str, Group]) -> None:
        self.name, self._groups = name, groups
        self._plain: dict[str, list[str]] = {}
        for path in groups:
            self._plain.setdefault(_plain(path), []).append(path)

    def find(self, layout: Layout, by_name: bool = False, skip_mismatch: bool = False) -> list[Stored | None]:
        """The arrays of a model's weights, in their order; None for those that are passed over.

        Raises:
            WeightsError: one is missing or has another shape, or the file holds weights that nobody asked for.
        """
        if by_name:
            raise WeightsError(f"{self.name} keeps weights by their place in the model: by_name=True is for files that "
                               "keep them by the layer's name, as Keras 2 wrote them")
        found: dict[str, Stored] = {}
        problems: list[tuple[Kept, WeightsError]] = []
        parts: dict[str, list[Kept]] = {}
        all_kept = self._as_kept_here(layout.kept)
        for kept in all_kept:
            if kept.path:
                parts.setdefault(kept.group, []).append(kept)
        expected = Counter(path.rpartition("/")[0] for kept in all_kept for path in (kept.path, *kept.copies))
        for group, wanted in parts.items():
            try:
                self._find_part(group, wanted, expected[group], found)
            except WeightsError as error:  # as in Keras, what came before it in its group has been taken
                if not skip_mismatch:
                    raise
                problems.append((wanted[0], error))
        if problems:
            warn_of(problems)
        elif not skip_mismatch:
            self._check_for_others(all_kept)
        return [found.get(kept.path) if kept.path else zeros(kept.spec.shape) for kept in all_kept]

    def _as_kept_here(self, kept: Sequence[Kept]) -> Sequence[Kept]:
        """The weights with the paths of tf_keras, if those are in the file where Keras 3's are not."""
        if all(self._has(place.path) for place in kept) or not all(self._has(place.older) for place in kept):
            return kept
        return [place._replace(path=place.older) for place in kept]

    def _has(self, path: str) -> bool:
        return not path or _plain(path.rpartition("/")[0]) in self._plain

    def vector(self, wanted: Kept) -> list[float]:
        """The numbers of one array that has one axis, and that is no weight of the model's."""
        return self._array(self._group(wanted.group, wanted), wanted).read().tolist()  # type: ignore[no-any-return]

    def training_state(self) -> Sequence[Stored]:
        """What the optimizer had kept: empty where its arrays are not numbered from 0."""
        group = self._groups.get(STATE)
        held = [] if group is None else [group.get(str(i)) for i in range(len(group))]
        return [array for array in held if array is not None] if None not in held else []

    def _find_part(self, path: str, wanted: Sequence[Kept], count: int, found: dict[str, Stored]) -> None:
        group = self._group(path, wanted[0])
        way = self._way(group, wanted) if len(group) > count else None
        if way is not None:
            wanted, count = way.stored, len(way.stored)
        if len(group) != count:
            raise WeightsError(f"{_of(wanted[0])}: the layer has {count} weights in {path}, and {self.name} has "
                               f"{len(group)}")
        arrays = [self._array(group, kept) for kept in wanted]
        found.update(way.made(arrays) if way else zip((kept.path for kept in wanted), arrays))

    @staticmethod
    def _way(group: Group, wanted: Sequence[Kept]) -> Quantized | None:
        """How weights are quantized for which a group has more arrays than they are."""
        held = [group.get(str(i)) for i in range(len(group))]
        return quantized(wanted, [Found(each.shape, each.dtype == "int8") if each else Found(()) for each in held])

    def _group(self, path: str, kept: Kept) -> Group:
        if path in self._groups:
            return self._groups[path]
        near = self._plain.get(_plain(path), [])
        if len(near) != 1:
            raise WeightsError(f"{_of(kept)}: {self.name} has {'two ways to' if near else 'no'} {path}")
        return self._groups[near[0]]

    def _array(self, group: Group, kept: Kept) -> Stored:
        array = group.get(kept.path.rpartition("/")[2])
        if array is None:
            raise WeightsError(f"{_of(kept)}: {self.name} has no array {kept.path}")
        return fitting(array, kept, self.name)

    def _check_for_others(self, wanted: Sequence[Kept]) -> None:
        paths = [path for kept in wanted for path in (kept.path, *kept.copies)]
        known = {_plain(path.rpartition("/")[0]) for path in paths}
        for plain, (path, *_) in self._plain.items():
            is_other = plain.startswith("layers/") and plain not in known and "generator" not in plain
            group = self._groups[path]
            if is_other and not (len(group) == 1 and "idf_weights" in group):  # of a vocabulary: not trained
                raise WeightsError(f"{self.name} has weights in {path}, and the model has no layer for them")


def fitting(array: Stored, kept: Kept, name: str) -> Stored:
    """The array, if it is one that may be read as this weight."""
    if array.shape != kept.spec.shape:
        raise WeightsError(f"{_of(kept)} is {to_text(kept.spec.shape)}, and {name} has {to_text(array.shape)} in "
                           f"{array.where}")
    try:
        array.check()
    except WeightsError as error:
        raise WeightsError(f"{_of(kept)}: {error}") from None
    return array


def _plain(path: str) -> str:
    """A path without what writers have varied."""
    steps = [step.lstrip("_") for step in path.replace("\\", "/").split("/")]
    return "/".join("layers" if step == "layer_checkpoint_dependencies" else step for step in steps)


def _of(kept: Kept) -> str:
    return f"{kept.owner}: {kept.spec.full_path}"


def warn_of(problems: Sequence[tuple[Kept, WeightsError]]) -> None:
    """As Keras does: once, with the first cause and the list."""
    owners = ", ".join(dict.fromkeys(kept.owner.split(" = ")[0] for kept, _ in problems))
    warnings.warn(f"{len(problems)} objects could not be loaded and were skipped: {owners}. The first: "
                  f"{problems[0][1]}", stacklevel=5)


# ---- writing ---------------------------------------------------------------------------------------------------------


def write_by_path(file: Any, kept: Sequence[Kept], arrays: Sequence[Any],
                  others: Mapping[str, Any] = MappingProxyType({})) -> None:
    """A weights file in Keras 3's layout, which Keras loads; each array is read only when it is written.

    ``others`` are more arrays by their paths.
    """
    import h5py
    import numpy as np

    with h5py.File(file, "w") as out:
        for place, array in zip(kept, _folded(kept, arrays)):
            numbers = np.asarray(array)
            for path in (place.path, *place.copies):
                if path:
                    out.create_dataset(path, data=numbers)
        for path, array in others.items():
            out.create_dataset(path, data=np.asarray(array))


def _folded(kept: Sequence[Kept], arrays: Sequence[Any]) -> list[Any]:
    """The arrays, where LoRA's product is added to its kernel, as Keras does when it saves."""
    import numpy as np

    folded = list(arrays)
    names = [place.spec.name for place in kept]
    for i, place in enumerate(kept):
        if place.spec.factor is not None and names[i].endswith("_a"):
            kernel = names.index(names[i].removeprefix("lora_").removesuffix("_a"), _start_of_layer(kept, i))
            folded[kernel] = np.asarray(folded[kernel]) + place.spec.factor * (
                np.asarray(folded[i]) @ np.asarray(folded[i + 1]))
    return folded


def _start_of_layer(kept: Sequence[Kept], i: int) -> int:
    while i and kept[i - 1].owner == kept[i].owner:
        i -= 1
    return i

"""Weights as Keras 1 and 2 lay them out, and Keras 3 in a whole model's ``.h5``: one list of arrays for each layer.

The layers of a model inside a model are one list: all that is trainable, then all that is not.
"""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kerashape_torch.errors import WeightsError
from kerashape_torch.saving.by_path import fitting
from kerashape_torch.saving.h5 import H5File
from kerashape_torch.saving.old_arrays import in_todays_form, old_count
from kerashape_torch.saving.quantized import Found, quantized
from kerashape_torch.saving.stored import Stored
from kerashape_torch.shape import to_text
from kerashape_torch.weight_paths import TOP, Kept, Layout

STATE = "optimizer_weights"


class ByLayer:
    """The weights of a file that keeps them layer by layer.

    Args:
        name: how errors speak of the file.
        layers: the name of each layer that has weights, and its arrays.
        version: of the Keras that wrote them.
        backend: that they were computed with.
        names_are_known: the model comes from the same file, so its layers have the same names.
        state: what the optimizer had kept.
    """

    def __init__(self, name: str, layers: Sequence[tuple[str, Sequence[Stored]]], version: str = "3",
                 backend: str | None = None, names_are_known: bool = False, state: Sequence[Stored] = ()) -> None:
        self._state = state
        self.name, self._version, self._backend = name, version, backend
        self._layers = [(layer, arrays) for layer, arrays in layers if arrays]
        self._names_are_known = names_are_known

    def find(self, layout: Layout, by_name: bool = False, skip_mismatch: bool = False) -> list[Stored | None]:
        """The arrays of a model's weights, in their order; None for those that are passed over.

        Layers are taken in order, as Keras takes them, or by name.

        Raises:
            WeightsError: a layer has another number of arrays, or arrays of other shapes.
        """
        found: list[Stored | None] = [None] * len(layout.kept)
        for numbers, arrays in self._pairs(layout, by_name):
            for number, array in self._of_layer(layout.kept, numbers, arrays, by_name, skip_mismatch):
                found[number] = array
        return found

    def vector(self, wanted: Kept) -> list[float]:
        """Keras keeps no vocabularies in such files."""
        raise WeightsError(f"{self.name} has no {wanted.path}")

    def training_state(self) -> Sequence[Stored]:
        """What the optimizer had kept."""
        return self._state

    def _pairs(self, layout: Layout, by_name: bool) -> Iterator[tuple[list[int], Sequence[Stored]]]:
        """For each layer of the file, which weights of the model its arrays are for."""
        by_layer = dict(layout.layers)
        names = [name for name, _ in self._layers]
        if by_name:
            yield from ((by_layer[name], arrays) for name, arrays in self._layers if name in by_layer)
            return
        if self._names_are_known and set(names) >= set(by_layer) and len(names) == len(set(names)):
            # What leads to no output, as to a loss of `add_loss` alone, is in the file and not in the model.
            yield from ((by_layer[name], arrays) for name, arrays in self._layers if name in by_layer)
            return
        own = [numbers for _, numbers in layout.layers]
        if len(own) != len(names):
            own = _single_layers(layout.kept)  # Keras 1 wrote the layers of a Sequential in a Sequential one by one
        if len(own) != len(names):
            raise WeightsError(f"{self.name} has weights for {len(names)} layers, {', '.join(names[:9]) or 'none'}"
                               f"{', ...' if len(names) > 9 else ''}; the model has {len(layout.layers)}: "
                               f"{', '.join(list(by_layer)[:9])}{', ...' if len(by_layer) > 9 else ''}. "
                               "by_name=True takes those whose names agree")
        yield from ((numbers, arrays) for numbers, (_, arrays) in zip(own, self._layers))

    def _of_layer(self, kept: Sequence[Kept], numbers: Sequence[int], arrays: Sequence[Stored], by_name: bool,
                  skip_mismatch: bool) -> Iterator[tuple[int, Stored]]:
        parts = _parts(kept, numbers)
        counts = [len(part) for part in parts]
        if len(arrays) != sum(counts) and self._version.startswith(("0", "1")):
            counts = [old_count([kept[number] for number in part]) for part in parts]
        if len(arrays) > sum(counts):
            found = _of_quantized(kept, numbers, arrays, self.name)
            if found is not None:
                yield from found
                return
        if len(arrays) != sum(counts):
            owner = kept[numbers[0]].owner
            problem = WeightsError(f"{owner} has {len(numbers)} weights, and {self.name} has {len(arrays)} for it")
            if not (by_name and skip_mismatch):
                raise problem
            warnings.warn(f"weights of a layer are skipped: {problem}", stacklevel=6)
            return
        start = 0
        for part, count in zip(parts, counts):
            wanted = [kept[number] for number in part]
            given = in_todays_form(wanted, arrays[start:start + count], self._version, self._backend)
            start += count
            for number, place, array in zip(part, wanted, given, strict=True):
                if skip_mismatch and array.shape != place.spec.shape:
                    warnings.warn(f"a weight is skipped: {place.owner}: {place.spec.full_path} is "
                                  f"{to_text(place.spec.shape)}, and {self.name} has {to_text(array.shape)}",
                                  stacklevel=6)
                    continue
                yield number, fitting(array, place, self.name)


def _of_quantized(kept: Sequence[Kept], all_numbers: Sequence[int], arrays: Sequence[Stored],
                  name: str) -> list[tuple[int, Stored]] | None:
    """The weights of a layer that has more arrays than weights, as quantized ones do; None if it is not one.

    What belongs to one part lies in the file in two places, what is trained and what is not: names tell.
    """
    held: dict[str, dict[str, Stored]] = {}
    for array in arrays:
        group, _, variable = array.where.rpartition("/")
        held.setdefault(group, {})[variable] = array
    parts: dict[str, list[int]] = {}
    for number in all_numbers:
        parts.setdefault(kept[number].part, []).append(number)
    found: list[tuple[int, Stored]] = []
    for numbers in parts.values():
        wanted = [kept[number] for number in numbers]
        nearest = _nearest(held, wanted)
        if nearest is None:
            return None
        own = held.pop(nearest)
        made = _made_of_quantized([place for place in wanted if place.spec.factor is None], own, name)
        if made is None:
            return None
        found += [(number, made.get(place.path) or fitting(own[place.spec.name], place, name))
                  for number, place in zip(numbers, wanted)]
    return None if held else found


def _nearest(groups: Mapping[str, Mapping[str, Stored]], wanted: Sequence[Kept]) -> str | None:
    """The group that has weights of these names, and whose path ends as theirs does for the most steps.

    Names of models around a layer are in the file alone: of several groups the smallest, and then the first, is meant.
    """
    path = f"{wanted[0].layer}/{wanted[0].spec.full_path}".split("/")[:-1]

    def shared(group: str) -> int:
        both = zip(reversed(group.split("/")), reversed(path))
        return sum(1 for _ in itertools.takewhile(lambda steps: steps[0] == steps[1], both))

    names = {place.spec.name for place in wanted}
    alike = [group for group, arrays in groups.items() if shared(group) and names <= arrays.keys()]
    return max(alike, key=lambda group: (shared(group), -len(groups[group])), default=None)


def _made_of_quantized(wanted: Sequence[Kept], own: Mapping[str, Stored], name: str) -> dict[str, Stored] | None:
    """The weights of one part by their paths, of its arrays by name; none where it is not quantized."""
    rest = {each: array for each, array in own.items() if not each.startswith("lora_")}
    if len(rest) == len(wanted):
        return {}
    first = next((place.spec.name for place in wanted if place.spec.scales), wanted[0].spec.name)
    unscaled = [place.spec.name for place in wanted if not place.spec.scales]
    order = [first, *unscaled, *(each for each in rest if each not in (first, *unscaled))]  # as .weights.h5 has it
    given = [rest[each] for each in order]
    way = quantized(wanted, [Found(array.shape, array.dtype == "int8") for array in given])
    if way is None or len(way.stored) != len(given):
        return None
    return way.made([fitting(array, place, name) for array, place in zip(given, way.stored)])


def _parts(kept: Sequence[Kept], numbers: Sequence[int]) -> list[list[int]]:
    """Neighbours that belong to one part of a layer."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and kept[parts[-1][-1]].part == kept[number].part:
            parts[-1].append(number)
        else:
            parts.append([number])
    return parts


def _single_layers(kept: Sequence[Kept]) -> list[list[int]]:
    found: dict[Any, list[int]] = {}
    for number, place in enumerate(kept):
        found.setdefault(place.holder, []).append(number)
    return [sorted(numbers, key=lambda number: not kept[number].spec.trainable) for numbers in found.values()]


# ---- reading ---------------------------------------------------------------------------------------------------------


def is_by_layer(file: H5File) -> bool:
    """Whether a file, at its root, is laid out layer by layer."""
    with file.reading():
        return any(map(file.has_attribute, ("layer_names", "layer_names0", "nb_layers"))) \
            or file.child(file.root, "model_weights") is not None


def by_layer(file: H5File, names_are_known: bool = False) -> ByLayer:
    """The weights of a whole model's file, or of a file of weights alone."""
    with file.reading():
        group = file.child(file.root, "model_weights")
        group = file.root if group is None else group
        if file.has_attribute("nb_layers", group):
            layers, version = _numbered(file, group), "0"
        else:
            layers = [(name, _arrays(file, group, name)) for name in file.texts("layer_names", group)]
            version = file.text("keras_version", group) or "1"
            top = _arrays(file, group, TOP) if file.child(group, TOP) is not None else []
            layers += [(TOP, top)] if top else []
        backend = file.text("backend", group) or file.text("backend")
        optimizer = file.child(file.root, STATE)
        state = [_array(file, optimizer, path) for path in file.texts("weight_names", optimizer)] \
            if file.is_group(optimizer) else []
        return ByLayer(file.name, layers, version, backend, names_are_known, state)


def _arrays(file: H5File, group: Any, name: str) -> list[Stored]:
    layer = file.at(name, group)
    if not file.is_group(layer):
        raise WeightsError(f"{file.name} names a layer {name}, and has no group for it")
    return [_array(file, layer, path) for path in file.texts("weight_names", layer)]


def _numbered(file: H5File, group: Any) -> list[tuple[str, list[Stored]]]:
    """The first of all layouts: ``layer_0/param_0``."""
    found = []
    for i in range(min(file.integer("nb_layers", group), len(group))):
        layer = file.child(group, f"layer_{i}")
        if not file.is_group(layer):
            raise WeightsError(f"{file.name} has no layer_{i}")
        count = min(file.integer("nb_params", layer), len(layer))
        found.append((f"layer_{i}", [_array(file, layer, f"param_{j}") for j in range(count)]))
    return found


def _array(file: H5File, layer: Any, path: str) -> Stored:
    above, _, name = path.rpartition("/")
    group = file.at(above, layer) if above else layer
    found = file.array(group, name) if file.is_group(group) else None
    if found is None:
        raise WeightsError(f"{file.name} names an array {path} of {file.path_of(layer)}, and has none there")
    return found


# ---- writing ---------------------------------------------------------------------------------------------------------

_HEADER_LIMIT = 64_512
"""What Keras puts into one attribute; HDF5 takes no more than 64 KiB."""


def write_by_layer(path: Any, names: Sequence[str], layout: Layout, arrays: Sequence[Any],
                   attributes: Mapping[str, str]) -> None:
    """A whole model's ``.h5``, which Keras 2 and 3 load; each array is read only when it is written.

    Args:
        path: of the file.
        names: all layers of the model, in Keras' order.
        layout: of its weights.
        arrays: for each weight.
        attributes: of the file: the config and the version of Keras.
    """
    import h5py
    import numpy as np

    own = dict(layout.layers)
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        group = file.create_group("model_weights")
        group.attrs["keras_version"], group.attrs["backend"] = attributes["keras_version"], attributes["backend"]
        _write_texts(group, "layer_names", names)
        for name in [*sorted(names), TOP]:  # sorted, as Keras does, so that no name is in the way of a longer one
            layer = group.create_group(name)
            numbers = own.get(name, [])
            paths = _unique(f"{layout.kept[i].layer}/{layout.kept[i].spec.full_path}" for i in numbers)
            _write_texts(layer, "weight_names", paths)
            for number, place in zip(numbers, paths):
                layer.create_dataset(place, data=np.asarray(arrays[number]))


def _unique(paths: Iterable[str]) -> list[str]:
    counts: Counter[str] = Counter()
    found = []
    for path in paths:
        found.append(f"{path}_{counts[path]}" if counts[path] else path)
        counts[path] += 1
    return found


def _write_texts(group: Any, name: str, texts: Sequence[str]) -> None:
    """An attribute of several texts, in parts where it would be too long, as Keras parts it."""
    import numpy as np

    data = np.array([text.encode() for text in texts], dtype="S") if texts else np.zeros(0, "S1")
    parts = 1
    while any(part.nbytes > _HEADER_LIMIT for part in np.array_split(data, parts)):
        parts += 1
    for i, part in enumerate(np.array_split(data, parts)):
        group.attrs[f"{name}{i}" if parts > 1 else name] = part

"""What Keras stores in place of a kernel or a table that it has quantized, and the floats that this stands for.

Keras keeps 8-bit integers with a scale for each output (``int8``); two 4-bit integers in a byte, with a scale for each
output or for each block of inputs (``int4``); or floats beside the scales of its 8-bit products (``float8``). Of
``gptq`` and ``awq`` it leaves out what the integers mean, so these are refused. How arrays lie follows from the mode
and the shape of the float weight, so all of their shapes are checked before one is read, as those of other weights are.

The mode is in the dtype policy of a layer. Parts of a layer, such as the projections of ``MultiHeadAttention``, have
theirs in no config that Keras writes, and a float model may be given the weights of a quantized one: there the one mode
is meant that has just these arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kerashape_torch.dtype_policies import quantization
from kerashape_torch.errors import WeightsError
from kerashape_torch.saving.stored import Made, Stored
from kerashape_torch.shape import count
from kerashape_torch.weight_paths import Kept
from kerashape_torch.weights import Scales, WeightSpec

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Sizes = tuple[int, ...]
_UNTOLD = ("int8", "int4/-1", "int4/?", "float8")
"""Modes that the arrays may be of where no policy says it. ``?``: the file has as many scales as there are blocks."""


class Found(NamedTuple):
    """An array of a file, not read yet."""

    shape: Sizes
    is_int8: bool = False


class Recipe(NamedTuple):
    """How a weight is made: from the arrays of these names, by a function of them."""

    parts: tuple[str, ...]
    make: Callable[..., Array]


class Quantized(NamedTuple):
    """How a group of a file keeps the weights of a layer, or of a part of one.

    Attributes:
        wanted: the weights.
        stored: the place and shape of each array, in the file's order.
        recipes: for each weight that is not among them as it is, by its name.
    """

    wanted: Sequence[Kept]
    stored: list[Kept]
    recipes: dict[str, Recipe]

    def made(self, arrays: Sequence[Stored]) -> dict[str, Stored]:
        """Each weight by its path, of the arrays that are stored; they are read when it is."""
        named = {kept.spec.name: array for kept, array in zip(self.stored, arrays)}
        found = {}
        for kept in self.wanted:
            recipe = self.recipes.get(kept.spec.name)
            found[kept.path] = named[kept.spec.name] if recipe is None else Made(
                kept.spec.shape, [named[name] for name in recipe.parts], recipe.make)
        return found


def quantized(wanted: Sequence[Kept], found: Sequence[Found]) -> Quantized | None:
    """How the weights of one group are kept, where the file has other arrays there than they are; None: in no such way.

    Raises:
        WeightsError: their numbers are not in the file, or they may be quantized in two ways.
    """
    first = wanted[0]
    if not any(kept.spec.scales for kept in wanted):
        return None
    told, _ = quantization(first.policy)
    if told and told.startswith(("gptq", "awq")):
        raise WeightsError(f"{first.owner}: its weights are quantized as {told}, and Keras leaves their zero points "
                           f"out of {first.group}, so the numbers are lost. Way out: save before quantize(), or after "
                           "quantize('int4')")
    layouts = {mode: layout for mode in ([told] if told else _UNTOLD) if (layout := _layout(mode, wanted, found))}
    fitting = [mode for mode, (arrays, _) in layouts.items() if [*arrays.values()] == [*found]]
    if len(fitting) > 1:
        raise WeightsError(f"{first.owner}: the arrays in {first.group} are quantized, as {' or '.join(fitting)}. "
                           "Way out: give the layer the policy that it had, such as dtype='int8_from_float32'")
    mode = fitting[0] if fitting else told or ""
    return _placed(wanted, mode, layouts[mode], found) if mode in layouts else None


def _placed(wanted: Sequence[Kept], mode: str, layout: _Layout, found: Sequence[Found]) -> Quantized:
    owner, group = wanted[0].owner, wanted[0].group
    copies = {kept.spec.name: kept.copies for kept in wanted}
    stored = [Kept(owner, WeightSpec(name, array.shape, path=f"{name} of {mode}"), f"{group}/{i}", copies.get(name, ()))
              for i, (name, array) in enumerate(layout.arrays.items())]
    for kept, asked, got in zip(stored, layout.arrays.values(), found):
        if asked.shape == got.shape and asked.is_int8 != got.is_int8:
            raise WeightsError(f"{owner}: {kept.spec.full_path} is of {'int8' if asked.is_int8 else 'floats'}, and "
                               f"{kept.path} in the file is not")
    return Quantized(wanted, stored, layout.recipes)


# ---- how arrays lie --------------------------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """All arrays of a group by their names, in the file's order, and how floats are made of them."""

    arrays: dict[str, Found]
    recipes: dict[str, Recipe]


def _layout(mode: str, wanted: Sequence[Kept], found: Sequence[Found]) -> _Layout | None:
    """The arrays of a mode; None where Keras has no such mode for these weights."""
    name, _, block = mode.partition("/")
    tables = [(kept.spec, kept.spec.scales) for kept in wanted if kept.spec.scales is not None]
    others = {kept.spec.name: Found(kept.spec.shape) for kept in wanted if kept.spec.scales is None}
    if name == "int8":
        own = [_int8(spec, scales) for spec, scales in tables]
    elif name == "int4":
        beside = _shape_at(found, 1 + len(others))
        own = [_int4(wanted[0].owner, spec, scales, block, beside) for spec, scales in tables]
    elif tables[0][1].along:
        return None  # an embedding
    else:
        own = [_float8(tables[0][0], _shape_at(found, 2 + len(others)))]
    kernel = tables[0][0].name
    arrays = {kernel: own[0].arrays[kernel], **others}
    for layout in own:
        arrays |= layout.arrays
    return _Layout(arrays, {name: recipe for layout in own for name, recipe in layout.recipes.items()})


def _shape_at(found: Sequence[Found], i: int) -> Sizes:
    return found[i].shape if i < len(found) else ()


def _int8(spec: WeightSpec, scales: Scales) -> _Layout:
    name, scale = spec.name, f"{spec.name}_scale"
    beside = tuple(1 if axis is None else spec.shape[axis] for axis in scales.order)
    return _Layout({name: Found(spec.shape, True), scale: Found(beside)},
                   {name: Recipe((name, scale), functools.partial(_from_int8, spec.shape, scales))})


def _int4(owner: str, spec: WeightSpec, scales: Scales, block: str, beside: Sizes) -> _Layout:
    name, scale, zero = spec.name, f"{spec.name}_scale", f"{spec.name}_zero"
    rows = count([spec.shape[axis] for axis in scales.over])
    columns = count([size for axis, size in enumerate(spec.shape) if axis not in scales.over])
    matrix = (columns, rows) if scales.along else (rows, columns)
    packed = tuple(-(-size // 2) if axis == scales.packed else size for axis, size in enumerate(matrix))
    make = functools.partial(_from_int4, owner, spec.shape, scales, matrix[scales.packed])
    if block in ("", "-1"):
        return _Layout({name: Found(packed, True), scale: Found((columns,))}, {name: Recipe((name, scale), make)})
    found = beside[scales.along] if len(beside) == 2 else 1
    blocks = found if block == "?" else -(-rows // int(block))
    each = (columns, blocks) if scales.along else (blocks, columns)
    zeros = Found(each, scales.packed == 1)  # on an embedding's way back they are floats, and g_idx is the same
    return _Layout({name: Found(packed, True), scale: Found(each), zero: zeros, "g_idx": Found((rows,))},
                   {name: Recipe((name, scale, zero, "g_idx"), make)})


def _float8(spec: WeightSpec, history: Sizes) -> _Layout:
    """The kernel stays in floats; the scales are those of the products that Keras computes."""
    arrays = {spec.name: Found(spec.shape)}
    for what in ("inputs", spec.name, "outputs_grad"):
        arrays |= {f"{what}_scale": Found(()), f"{what}_amax_history": Found(history[:1])}
    return _Layout(arrays, {})


# ---- floats ----------------------------------------------------------------------------------------------------------


def _from_int8(shape: Sizes, scales: Scales, integers: Array, scale: Array) -> Array:
    import numpy as np

    axes = [axis for axis in scales.order if axis is not None]
    scale = scale.reshape([shape[axis] for axis in axes]).transpose(sorted(range(len(axes)), key=axes.__getitem__))
    return _divided(integers.astype("float32"), np.expand_dims(scale, scales.over))


def _from_int4(owner: str, shape: Sizes, scales: Scales, length: int, packed: Array, scale: Array,
               zero: Array | None = None, block_of: Array | None = None) -> Array:
    import numpy as np

    integers = (_halves(packed, scales.packed, length) ^ 8).astype("float32") - 8  # 0 to 7, then -8 to -1
    if zero is None or block_of is None:
        floats = _divided(integers, np.expand_dims(scale, scales.along))
    else:
        if not ((block_of >= 0) & (block_of < scale.shape[scales.along])).all():
            raise WeightsError(f"{owner}: g_idx names blocks beyond the {scale.shape[scales.along]} that have scales")
        places = block_of.astype("int64")
        floats = (integers - zero.take(places, scales.along)) * scale.take(places, scales.along)
    return floats.reshape(shape)


def _halves(packed: Array, axis: int, length: int) -> Array:
    """The 4-bit numbers of bytes, the lower half of each first, as many as the axis has."""
    import numpy as np

    halves = np.stack([packed.view("uint8") & 15, packed.view("uint8") >> 4], axis + 1)
    joined = [2 * size if i == axis else size for i, size in enumerate(packed.shape)]
    return halves.reshape(joined).take(range(length), axis)


def _divided(integers: Array, scale: Array) -> Array:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):  # as Keras does, in a file with scales of zero
        floats: Array = integers / scale
    return floats

"""Ops that arrange elements: reshape, permute, put side by side, cut, repeat, pad."""

from collections.abc import Mapping
from typing import Annotated, Any

from kerashape_torch.graph import SymbolicTensor
from kerashape_torch.kinds import Axis, Choice
from kerashape_torch.ops import moves, rules
from kerashape_torch.ops.operation import (
    PUBLIC,
    DTypeName,
    Numbers,
    Recipe,
    Rule,
    TorchFunction,
    as_tuple,
    enter,
    op,
    own,
    stock,
    torch_dtype,
)

Indexing = Annotated[str, Choice("xy", "ij")]
PadMode = Annotated[str, Choice("constant", "reflect", "symmetric", "edge", "replicate")]

# ---- axes ------------------------------------------------------------------------------------------------------------


@op("numpy", moves.reshaped)
def reshape(x: Any, /, newshape: Numbers) -> TorchFunction:
    """The same elements in another shape; -1 is what is left."""
    return stock("reshape", shape=tuple(-1 if size is None else size for size in newshape))


_reshape = PUBLIC["reshape"]


def _reshaping(x: Any, newshape: Any) -> Any:
    """The same elements in another shape; -1 is what is left, and None in front of it is the batch."""
    return _reshape(x, moves.with_batch_in_front(newshape, x) if isinstance(x, SymbolicTensor) else newshape)


enter("numpy", "reshape", _reshaping)


@op("numpy", moves.flattened)
def ravel(x: Any, /) -> TorchFunction:
    """All elements in a row."""
    return stock("ravel")


@op("numpy", moves.transposed)
def transpose(x: Any, /, axes: Any = None) -> TorchFunction:
    """The axes in another order; in reverse where none is given."""
    return stock("permute", dims=tuple(axes if axes is not None else reversed(range(x.ndim))))


@op("numpy", moves.swapped)
def swapaxes(x: Any, /, axis1: int, axis2: int) -> TorchFunction:
    """Two axes in each other's place."""
    return stock("transpose", dim0=axis1, dim1=axis2)


@op("numpy", moves.moved)
def moveaxis(x: Any, /, source: Any, destination: Any) -> TorchFunction:
    """Some axes in other places; the rest keeps its order."""
    return stock("movedim", source=as_tuple(source), destination=as_tuple(destination))


@op("numpy", moves.expanded)
def expand_dims(x: Any, /, axis: Any) -> TorchFunction:
    """With new axes of size 1."""
    return stock("unsqueeze", dim=axis) if isinstance(axis, int) else own("shaping.unsqueeze", axes=tuple(axis))


@op("numpy", moves.squeezed)
def squeeze(x: Any, /, axis: Any = None) -> TorchFunction:
    """Without axes of size 1; an axis that is None stays, whatever size comes."""
    ones = tuple(i for i, size in enumerate(x.shape) if size == 1)
    return stock("squeeze", dim=ones if axis is None else as_tuple(axis))


@op("numpy", moves.stretched)
def broadcast_to(x: Any, /, shape: Any) -> TorchFunction:
    """Repeated along axes of size 1 until it has a shape."""
    return stock("broadcast_to", size=tuple(-1 if size is None else size for size in shape))


@op("einops")
def rearrange(tensor: Any, pattern: Any, /, **axes_lengths: Any) -> TorchFunction:
    """Axes permuted, split and merged by a pattern such as ``"b (h w) c -> b h w c"``."""
    return own("shaping.rearrange")


# ---- side by side, and apart -----------------------------------------------------------------------------------------


@op("numpy", moves.concatenated, elementwise=True)
def concatenate(xs: Any, /, axis: Axis = 0) -> TorchFunction:
    """Tensors side by side along one axis."""
    return stock("cat", dim=axis)


@op("numpy", moves.stacked)
def stack(x: Any, /, axis: int = 0) -> TorchFunction:
    """Tensors side by side along a new axis."""
    return stock("stack", dim=axis)


@op("numpy", moves.appended)
def append(x1: Any, x2: Any, /, axis: Any = None) -> TorchFunction:
    """One tensor after the other, in a row where no axis is given."""
    return own("shaping.append", dim=axis)


@op("numpy", moves.hstacked)
def hstack(xs: Any, /) -> TorchFunction:
    """Tensors side by side along the second axis."""
    return stock("hstack")


@op("numpy", moves.vstacked)
def vstack(xs: Any, /) -> TorchFunction:
    """Tensors side by side along the first axis."""
    return stock("vstack")


@op("numpy", moves.dstacked)
def dstack(xs: Any, /) -> TorchFunction:
    """Tensors side by side along the third axis."""
    return stock("dstack")


def _cut(sections: Any, axis: int) -> TorchFunction:
    return own("shaping.split", sections=as_tuple(sections), dim=axis)


@op("numpy", moves.split)
def split(x: Any, /, indices_or_sections: Any, axis: int = 0) -> TorchFunction:
    """Cut into equal parts, or before some indices."""
    return _cut(indices_or_sections, axis)


@op("numpy", moves.nearly_split)
def array_split(x: Any, /, indices_or_sections: int, axis: int = 0) -> TorchFunction:
    """Cut into parts as equal as they can be."""
    return _cut(indices_or_sections, axis)


@op("numpy", moves.hsplit)
def hsplit(x: Any, /, indices_or_sections: Any) -> TorchFunction:
    """Cut along the second axis, or the only one."""
    return _cut(indices_or_sections, min(1, x.ndim - 1))


@op("numpy", moves.vsplit)
def vsplit(x: Any, /, indices_or_sections: Any) -> TorchFunction:
    """Cut along the first axis."""
    return _cut(indices_or_sections, 0)


@op("numpy", moves.dsplit)
def dsplit(x: Any, /, indices_or_sections: Any) -> TorchFunction:
    """Cut along the third axis."""
    return _cut(indices_or_sections, 2)


@op("core", moves.unstacked)
def unstack(x: Any, /, num: Any = None, axis: int = 0) -> TorchFunction:
    """The tensors that lie along one axis."""
    return stock("unbind", dim=axis)


@op("numpy")
def meshgrid(*x: Any, indexing: Indexing = "xy") -> TorchFunction:
    """The coordinates of all points of a grid. (Keras' rule forgets the dtype for ``indexing="ij"``.)"""
    return own("shaping.meshgrid", indexing=indexing)


# ---- repeated, turned, padded ----------------------------------------------------------------------------------------


@op("numpy", moves.tiled)
def tile(x: Any, /, repeats: Any) -> TorchFunction:
    """The whole tensor several times along each axis."""
    return stock("tile", dims=(repeats,) if isinstance(repeats, int) else tuple(map(int, as_tuple(repeats))))


@op("numpy", moves.repeated)
def repeat(x: Any, /, repeats: Any, axis: Any = None) -> TorchFunction:
    """Each element several times."""
    counts = as_tuple(repeats)
    if isinstance(counts, tuple) and len(counts) > 1:
        return own("shaping.repeat_each", repeats=counts, dim=axis)
    return stock("repeat_interleave", repeats=counts[0] if isinstance(counts, tuple) else counts, dim=axis)


@op("numpy", moves.turned)
def flip(x: Any, /, axis: Any = None) -> TorchFunction:
    """The elements in reverse along some axes, or all."""
    axes = tuple(range(x.ndim)) if axis is None else as_tuple(axis)
    return stock("flip", dims=axes if isinstance(axes, tuple) else (axes,))


@op("numpy", rules.same)
def fliplr(x: Any, /) -> TorchFunction:
    """The second axis in reverse."""
    moves.require_axes(x, 2)
    return stock("fliplr")


@op("numpy", rules.same)
def flipud(x: Any, /) -> TorchFunction:
    """The first axis in reverse."""
    moves.require_axes(x, 1)
    return stock("flipud")


@op("numpy", moves.turned)
def roll(x: Any, /, shift: Any, axis: Any = None) -> TorchFunction:
    """The elements moved on; those from the end come to the front."""
    return stock("roll", shifts=as_tuple(shift), dims=as_tuple(axis))


@op("numpy", moves.rotated)
def rot90(array: Any, /, k: int = 1, axes: Any = (0, 1)) -> TorchFunction:
    """Turned by 90 degrees ``k`` times. (Keras' rule swaps the two sizes for an even ``k`` too.)"""
    return stock("rot90", k=k, dims=as_tuple(axes))


@op("numpy", moves.padded, named=("constant_values",))
def pad(x: Any, /, pad_width: Any, mode: PadMode = "constant", constant_values: Any = None) -> TorchFunction:
    """More elements around each axis: a constant, the edge mirrored (``reflect``, ``symmetric``), or the edge itself.
    (Keras' torch backend repeats the edge for ``symmetric``; this mirrors it, as NumPy and TensorFlow do.)"""
    return own("shaping.pad", widths=tuple(moves.pad_widths(pad_width, x.ndim)), mode=mode)


# ---- diagonals -------------------------------------------------------------------------------------------------------


def _triangles(names: Mapping[str, str], rule: Rule) -> None:
    def recipe_of(torch_name: str) -> Recipe:
        return lambda x, /, k=0: stock(torch_name, diagonal=k)

    for name, what in names.items():
        op("numpy", rule, name=name, doc=f"``keras.ops.{name}``: {what}.")(recipe_of(name))


_triangles({"tril": "0 above the diagonal", "triu": "0 below the diagonal"}, rules.same)
_triangles({"diag": "the diagonal of a matrix, or a matrix of a diagonal"}, moves.diag)


@op("numpy", moves.diagonal_matrix)
def diagflat(x: Any, /, k: int = 0) -> TorchFunction:
    """A matrix with all elements on its diagonal."""
    return stock("diagflat", offset=k)


@op("numpy", moves.diagonal)
def diagonal(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TorchFunction:
    """The diagonal of two axes, as the last axis."""
    return stock("diagonal", offset=offset, dim1=axis1, dim2=axis2)


@op("numpy", moves.traced)
def trace(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TorchFunction:
    """The sum of the diagonal of two axes."""
    return own("shaping.trace", offset=offset, dim1=axis1, dim2=axis2,
               dtype=torch_dtype(rules.summed_dtype(x.dtype)))


@op("numpy", moves.differences)
def diff(a: Any, /, n: int = 1, axis: int = -1) -> TorchFunction:
    """Each element less the one before, ``n`` times."""
    return stock("diff", n=n, dim=axis)


@op("numpy")
def view(x: Any, /, dtype: DTypeName = None) -> TorchFunction:
    """The same bytes read as another dtype."""
    return stock("Tensor.view", dtype=torch_dtype(dtype or x.dtype))


@op("numpy")
def size(x: Any, /) -> TorchFunction:
    """The number of elements, as a tensor."""
    return own("shaping.size")

"""Ops that pick elements, order them, or put them in their places."""

import operator
from typing import Annotated, Any

from kerashape_torch.kinds import Choice
from kerashape_torch.ops import picks
from kerashape_torch.ops.operation import (
    PUBLIC,
    FloatName,
    Off,
    Recipe,
    TorchFunction,
    as_tuple,
    enter,
    op,
    own,
    torch_dtype,
)

Reduction = Annotated[str | None, Choice("add", "max", "min", "mul")]
Sparse = Annotated[bool, Off("gives a sparse tensor, which layers do not take")]


@op("numpy", picks.sliced)
def get_item(x: Any, key: Any, /) -> TorchFunction:
    """``x[key]``, with integers, slices, ``...`` and None."""
    keys = key if isinstance(key, (tuple, list)) else (key,)
    backwards = any(isinstance(k, slice) and k.step is not None and k.step < 0 for k in keys)
    return own("indexing.get_item") if backwards or isinstance(key, list) else operator.getitem


_get_item = PUBLIC["get_item"]


def _getting(x: Any, key: Any) -> Any:
    """``x[key]``, with integers, slices, ``...`` and None."""
    return _get_item(x, (key,) if isinstance(key, (slice, type(None), type(Ellipsis))) else key)  # as Keras reads it


enter("numpy", "get_item", _getting)


@op("numpy", picks.taken)
def take(x: Any, indices: Any, /, axis: Any = None) -> TorchFunction:
    """Elements by their indices along an axis; negative ones count from the end."""
    return own("indexing.take", dim=axis)


@op("numpy", picks.taken_along)
def take_along_axis(x: Any, indices: Any, /, axis: Any = None) -> TorchFunction:
    """For each place of ``indices``, the element of that index along an axis."""
    return own("indexing.take_along_axis", dim=axis)


@op("core", picks.cut_out)
def slice_(inputs: Any, start_indices: Any, /, shape: Any) -> TorchFunction:
    """A block of a shape, from where it starts; -1 goes to the end."""
    if isinstance(start_indices, (list, tuple)):
        return own("indexing.block", shape=as_tuple(shape))
    return own("indexing.block_at", shape=as_tuple(shape))


@op("core", picks.updated)
def slice_update(inputs: Any, start_indices: Any, updates: Any, /) -> TorchFunction:
    """``inputs`` with a block of it replaced."""
    return own("indexing.block_update" if isinstance(start_indices, (list, tuple)) else "indexing.block_update_at")


@op("core", picks.scattered)
def scatter(indices: Any, values: Any, /, shape: Any) -> TorchFunction:
    """Zeros of a shape with values at some places; those at one place are added up."""
    return own("indexing.scatter", shape=as_tuple(shape))


@op("core", picks.updated)
def scatter_update(inputs: Any, indices: Any, updates: Any, /, reduction: Reduction = None) -> TorchFunction:
    """``inputs`` with some places replaced, or added to, multiplied, kept at least (``max``) or at most (``min``)."""
    return own("indexing.scatter_update", reduction=reduction)


# ---- in order --------------------------------------------------------------------------------------------------------


@op("numpy", picks.ordered)
def sort(x: Any, /, axis: Any = -1) -> TorchFunction:
    """In order of size along an axis, or all in a row."""
    return own("indexing.sort", dim=axis)


@op("numpy", picks.order)
def argsort(x: Any, /, axis: Any = -1) -> TorchFunction:
    """The indices that would sort, as int32; equal elements keep their order."""
    return own("indexing.argsort", dim=axis)


@op("numpy", picks.order)
def argpartition(x: Any, /, kth: int, axis: Any = -1) -> TorchFunction:
    """Indices that put the smallest ``kth + 1`` elements first. Here in order of size, which is one of the orders that
    it may have. (Keras' torch backend compares floats as integers.)"""
    return own("indexing.argsort", dim=axis)


@op("math", picks.largest)
def top_k(x: Any, /, k: int, sorted: bool = True) -> TorchFunction:
    """The largest elements of the last axis, and their indices as int32."""
    return own("indexing.top_k", k=k, sorted=sorted)


@op("math", picks.in_largest)
def in_top_k(targets: Any, predictions: Any, /, k: int) -> TorchFunction:
    """Whether the class of each target is among the ``k`` that are predicted most."""
    return own("indexing.in_top_k", k=k)


@op("numpy", picks.places, class_name="SearchSorted")
def searchsorted(sorted_sequence: Any, values: Any, /, side: str = "left") -> TorchFunction:
    """Where values would go in a row that is sorted, as int32."""
    return own("indexing.searchsorted", side=side)


@op("numpy", picks.bins)
def digitize(x: Any, bins: Any, /) -> TorchFunction:
    """The number of the bin that each element falls in, as int32."""
    return own("indexing.digitize")


@op("numpy", picks.members, class_name="IsIn")
def isin(x1: Any, x2: Any, /, assume_unique: bool = False, invert: bool = False) -> TorchFunction:
    """Whether each element of ``x1`` is among those of ``x2``."""
    return own("indexing.isin", assume_unique=assume_unique, invert=invert)


@op("numpy", picks.unraveled)
def unravel_index(indices: Any, /, shape: Any) -> TorchFunction:
    """The index along each axis of a shape, for indices into all its elements in a row."""
    return own("indexing.unravel_index", shape=as_tuple(shape))


# ---- classes and segments --------------------------------------------------------------------------------------------


@op("nn", picks.one_hot)
def one_hot(x: Any, /, num_classes: int, axis: int = -1, dtype: FloatName = None,
            sparse: Sparse = False) -> TorchFunction:
    """A 1 at the place of each class, 0 elsewhere; a negative class has no 1."""
    return own("indexing.one_hot", num_classes=num_classes, dim=axis, dtype=torch_dtype(dtype or "float32"))


@op("nn", picks.multi_hot)
def multi_hot(inputs: Any, /, num_classes: int, axis: int = -1, dtype: FloatName = None,
              sparse: Sparse = False) -> TorchFunction:
    """A 1 at the place of each class that comes along the second axis. (Keras' rule says the dtype of the classes.)"""
    return own("indexing.multi_hot", num_classes=num_classes, dim=axis, dtype=torch_dtype(dtype or "float32"))


def _segments(how: str) -> Recipe:
    def recipe(data: Any, segment_ids: Any, /, num_segments: Any = None, sorted: bool = False) -> TorchFunction:
        return own("indexing.segments", num_segments=num_segments, reduce=how)

    return recipe


for _name, _how in {"segment_sum": "sum", "segment_max": "amax", "segment_min": "amin", "segment_prod": "prod"}.items():
    op("math", picks.segments, name=_name,
       doc=f"``keras.ops.{_name}``: of the elements with the same id.")(_segments(_how))


@op("numpy", picks.counts)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0, sparse: Sparse = False) -> TorchFunction:
    """How often each number comes; as many counts as the largest number asks for."""
    return own("indexing.bincount", weights=as_tuple(weights), minlength=minlength)


@op("numpy", picks.histogram)
def histogram(x: Any, /, bins: int = 10, range: Any = None) -> TorchFunction:
    """How many elements fall in each of equal bins, and the edges of the bins."""
    return own("indexing.histogram", bins=bins, range=as_tuple(range))


@op("numpy", picks.nonzero)
def nonzero(x: Any, /) -> TorchFunction:
    """The indices of the elements that are not 0, a row for each axis."""
    return own("indexing.nonzero")


@op("numpy", picks.unique)
def unique(x: Any, /, sorted: bool = True, return_index: bool = False, return_inverse: bool = False,
           return_counts: bool = False, axis: Any = None, size: Any = None, fill_value: Any = None) -> TorchFunction:
    """Each element once, in order of size; cut or filled to ``size`` of them, if it is given."""
    return own("indexing.unique", return_index=return_index, return_inverse=return_inverse,
               return_counts=return_counts, dim=axis, size=size, fill_value=fill_value)



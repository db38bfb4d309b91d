"""``keras.InputSpec``: what a layer of one's own says of the tensors that it takes, as ``self.input_spec``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.shape import Shape, to_text
from kerashape_torch.structure import flatten_shapes


class InputSpec:
    """How many axes a tensor has, and sizes of some. Its dtype is not looked at: a layer casts what comes.

    Args:
        dtype: kept.
        shape: sizes, with None for any.
        ndim, max_ndim, min_ndim: the number of axes, or its bounds.
        axes: sizes by axis.
        allow_last_axis_squeeze: takes a last axis of 1 too many, or too few.
        optional: whether the tensor may be None.
        name: of the tensor.
    """

    def __init__(self, dtype: Any = None, shape: Sequence[int | None] | None = None, ndim: int | None = None,
                 max_ndim: int | None = None, min_ndim: int | None = None, axes: Mapping[int, int | None] | None = None,
                 allow_last_axis_squeeze: bool = False, name: str | None = None, optional: bool = False) -> None:
        self.dtype, self.max_ndim, self.min_ndim = dtype, max_ndim, min_ndim
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional

    def check(self, shape: Shape) -> None:
        """Refuses a shape that is none of these.

        Raises:
            ShapeError: with what was expected.

        >>> InputSpec(ndim=4).check((None, 8, 8, 3))
        >>> InputSpec(axes={-1: 3}).check((None, 4))
        Traceback (most recent call last):
        kerashape_torch.errors.ShapeError: input_spec: axis -1 must be 3, got 4
        """
        rank = len(shape)
        if self.allow_last_axis_squeeze and self.ndim is not None and abs(self.ndim - rank) == 1:
            longer = shape if rank > self.ndim else self.shape or ()
            if longer and longer[-1] == 1:
                return
        for bound, says, holds in ((self.ndim, "", rank == self.ndim),
                                   (self.max_ndim, "at most ", rank <= (self.max_ndim or rank)),
                                   (self.min_ndim, "at least ", rank >= (self.min_ndim or 0))):
            if bound is not None and not holds:
                raise ShapeError(f"input_spec: {says}{bound} axes are expected, got {rank}")
        for axis, size in [*self.axes.items(), *enumerate(self.shape or ())]:
            if size is not None and axis < rank and shape[axis] not in (size, None):
                raise ShapeError(f"input_spec: axis {axis} must be {size}, got {shape[axis]}")


def check_input_spec(layer: Any, shapes: Sequence[Any]) -> None:
    """Holds the shapes of a call to what a layer says of them, if it does.

    Raises:
        ShapeError: one does not fit.
    """
    said = vars(layer).get("input_spec")
    specs = said if isinstance(said, (list, tuple)) else [said]
    if not any(isinstance(spec, InputSpec) for spec in specs):
        return
    found = flatten_shapes([shape for shape in shapes[:1] if shape is not None])
    if len(found) != len(specs):
        raise ShapeError(f"input_spec: {len(specs)} tensors are expected, got {len(found)}")
    for spec, shape in zip(specs, found):
        if isinstance(spec, InputSpec):
            try:
                spec.check(shape)
            except ShapeError as error:
                raise error.at(layer.describe(), to_text(shape)) from None

"""Layers that make one tensor of a list of tensors."""

from functools import reduce
from typing import Any

from kerashape_torch.config import Axis
from kerashape_torch.errors import ShapeError
from kerashape_torch.layer import ANY, Layer
from kerashape_torch.shape import Shape, Size, axis_index, broadcast, to_text
from kerashape_torch.structure import is_shape


class _Merge(Layer, catalog=False):
    """Element by element, with broadcasting.

    Input shape:  a list of shapes that broadcast
    Output shape: the broadcast shape
    """

    supports_masking = True

    def layout(self, shapes: list[Shape]) -> str:
        return ANY

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        if is_shape(shapes):
            return shapes  # type: ignore[return-value]
        if not shapes:
            raise ShapeError("needs a list of one tensor or more, got an empty list")
        return reduce(broadcast, shapes)


class Add(_Merge):
    """The sum of a list of tensors.

    >>> Add().compute_output_shape([(None, 8, 1), (None, 1, 4)])
    (None, 8, 4)
    """

    def module(self, shapes: list[Shape]) -> Any:
        import torch

        from kerashape_torch.torch_modules import Fold

        return Fold(torch.add)


class Concatenate(_Merge):
    """Tensors side by side along one axis.

    Input shape:  a list of shapes alike but for that axis
    Output shape: that axis is the sum

    >>> Concatenate().compute_output_shape([(None, 8, 4), (None, 8, 6)])
    (None, 8, 10)
    """

    axis: Axis = -1

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        if is_shape(shapes):
            return shapes  # type: ignore[return-value]
        if len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(f"the ranks of the inputs differ: {to_text(shapes)}")
        axis = axis_index(self.axis, len(shapes[0]))
        merged: list[Size] = list(shapes[0])
        for shape in shapes[1:]:
            for i, (a, b) in enumerate(zip(merged, shape)):
                if i == axis:
                    merged[i] = None if a is None or b is None else a + b
                elif a is None or b is None or a == b:
                    merged[i] = b if a is None else a
                else:
                    raise ShapeError(f"axis {i}: {a} and {b} differ, and only axis {axis} may, in {to_text(shapes)}")
        return tuple(merged)

    def module(self, shapes: list[Shape]) -> Any:
        import torch

        from kerashape_torch.torch_modules import Function

        return Function(torch.cat, dim=self.axis)

"""Layers that make one tensor of a list of tensors, and the functions of the same names in lower case."""

import functools
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from kerashape_torch import ops
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.kinds import Axis, Kind
from kerashape_torch.layer import ANY, KERAS, Layer
from kerashape_torch.shape import Shape, Size, axis_index, elements, to_text
from kerashape_torch.structure import is_shape


class _Merge(Layer, catalog=False):
    """Element by element, with broadcasting after the batch axis.

    Input shape:  a list of shapes that broadcast; one of fewer axes gets axes of 1 after the batch axis
    Output shape: the broadcast shape. As in Keras, an axis that is None in one of them is None

    Args:
        keras2_masks: in a file of Keras 1 or 2, masks mean what they meant there: a step counts where it counts in all
            tensors that have a mask, and numbers under a mask are merged like all others.
    """

    supports_masking = True
    exactly_two = False
    keras2_masks: ClassVar[bool] = False

    def __init__(self, *args: Any, keras2_masks: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__dict__.update(keras2_masks=keras2_masks, uses_mask=type(self).uses_mask and not keras2_masks)

    def get_config(self) -> dict[str, Any]:
        """Keras 3 cannot say that it means Keras 2's masks, so it is written only where there is a mask."""
        is_masked = any(x.mask is not None for node in self.nodes for x in node.inputs)
        return {**super().get_config(), **({"keras2_masks": True} if self.keras2_masks and is_masked else {})}

    def layout(self, shapes: list[Shape]) -> str:
        return ANY

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        _require_list(shapes, 2 if self.exactly_two else None)
        batches = {shape[0] for shape in shapes if shape and shape[0] is not None}
        if len(batches) > 1:
            raise ShapeError(f"batch: the sizes differ, in {to_text(shapes)}")
        merged = shapes[0][1:]
        for shape in shapes[1:]:
            merged = tuple(_broadcast(merged, shape[1:], shapes))
        return (batches.pop() if batches else None, *merged)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """A step counts where it counts in one of the tensors; a tensor without a mask leaves none."""
        masks = [mask for mask in previous_mask or () if mask is not None]
        if not masks or (len(masks) < len(previous_mask) and not self.keras2_masks):
            return None
        return functools.reduce(ops.logical_and if self.keras2_masks else ops.logical_or, masks)

    def function(self) -> Any:
        """The torch function of two tensors."""
        raise NotImplementedError

    def module(self, shapes: list[Shape]) -> Any:
        from kerashape_torch.torch_modules import Fold
        from kerashape_torch.torch_modules.merging import AlignedFold

        alike = len({len(shape) for shape in shapes}) == 1
        return Fold(self.function()) if alike else AlignedFold(self.function())


def _masked_fold(function: str) -> Any:
    from kerashape_torch.torch_modules import Function
    from kerashape_torch.torch_modules.masking import masked_fold

    return Function(masked_fold, of_two=function)


def _require_list(shapes: Any, count: int | None = None) -> None:
    if is_shape(shapes) and shapes:
        raise ShapeError("takes a list of tensors, got one tensor", hint="write layer([a, b])")
    if not shapes or (count is not None and len(shapes) != count):
        raise ShapeError(f"takes a list of {'one tensor or more' if count is None else f'{count} tensors'}, "
                         f"got {len(shapes)}")


def _broadcast(first: Shape, second: Shape, shapes: list[Shape]) -> Iterator[Size]:
    """The axes after the batch. Unlike NumPy's rule, None with a known size stays None: Keras waits for the tensor."""
    rank = max(len(first), len(second))
    left, right = (1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second
    for axis, (a, b) in enumerate(zip(left, right), start=1):
        if a is None or b is None:
            yield None
        elif a != b and a != 1 and b != 1:
            raise ShapeError(f"axis {axis}: {a} and {b} differ and neither is 1, in {to_text(shapes)}")
        else:
            yield b if a == 1 else a


class Add(_Merge):
    """The sum of a list of tensors.

    >>> Add().compute_output_shape([(None, 8, 1), (None, 1, 4)])
    (None, 8, 4)
    """

    def function(self) -> Any:
        import torch

        return torch.add


class Subtract(_Merge):
    """The first tensor less the second.

    >>> Subtract().compute_output_shape([(None, 8, 4), (None, 4)])
    (None, 8, 4)
    """

    exactly_two = True

    def function(self) -> Any:
        import torch

        return torch.sub


class Multiply(_Merge):
    """The product of a list of tensors.

    >>> Multiply().compute_output_shape([(None, 8, 8, 4), (None, 1, 1, 4)])
    (None, 8, 8, 4)
    """

    uses_mask = True  # what is masked counts as 1, and is 0 where nothing else counts

    def function(self) -> Any:
        import torch

        return torch.mul

    def masked_module(self, shapes: list[Shape]) -> Any:
        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.masking import masked_product

        return Function(masked_product)


class Average(_Merge):
    """The mean of a list of tensors.

    >>> Average().compute_output_shape([(None, 4), (None, 4), (None, 4)])
    (None, 4)
    """

    def module(self, shapes: list[Shape]) -> Any:
        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.merging import average

        return Function(average)


class Maximum(_Merge):
    """The largest of a list of tensors, element by element.

    >>> Maximum().compute_output_shape([(None, 4), (None, 1)])
    (None, 4)
    """

    uses_mask = True  # what is masked leaves the other tensor's number

    def function(self) -> Any:
        import torch

        return torch.maximum

    def masked_module(self, shapes: list[Shape]) -> Any:
        return _masked_fold("maximum")


class Minimum(_Merge):
    """The smallest of a list of tensors, element by element.

    >>> Minimum().compute_output_shape([(None, 4), (None, 1)])
    (None, 4)
    """

    uses_mask = True

    def function(self) -> Any:
        import torch

        return torch.minimum

    def masked_module(self, shapes: list[Shape]) -> Any:
        return _masked_fold("minimum")


class Concatenate(_Merge):
    """Tensors side by side along one axis.

    Input shape:  a list of shapes alike but for that axis
    Output shape: that axis is the sum; the others are the first tensor's, even where they are None

    >>> Concatenate().compute_output_shape([(None, 8, 4), (None, 8, 6)])
    (None, 8, 10)
    """

    axis: Axis = -1

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        _require_list(shapes)
        if len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(f"the ranks of the inputs differ: {to_text(shapes)}")
        axis = axis_index(self.axis, len(shapes[0]))
        for other in range(len(shapes[0])):
            sizes = dict.fromkeys(shape[other] for shape in shapes if shape[other] is not None)
            if other != axis and len(sizes) > 1:
                given = " and ".join(map(str, sizes))
                raise ShapeError(f"axis {other}: {given} differ, and only axis {axis} may, in {to_text(shapes)}")
        sizes_along = [shape[axis] for shape in shapes]
        total = None if None in sizes_along else sum(size for size in sizes_along if size is not None)
        return (*shapes[0][:axis], total, *shapes[0][axis + 1:])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """A step counts where one of its features does; a tensor without a mask counts throughout."""
        if previous_mask is None or all(mask is None for mask in previous_mask):
            return None
        masks = [_as_wide(x, mask) for x, mask in zip(inputs, previous_mask)]
        return (ops.all if self.keras2_masks else ops.any)(ops.concatenate(masks, axis=self.axis), axis=-1)

    def module(self, shapes: list[Shape]) -> Any:
        import torch

        from kerashape_torch.torch_modules import Function

        return Function(torch.cat, dim=self.axis)


def _as_wide(x: Any, mask: Any) -> Any:
    """A mask with the axes of its tensor."""
    if mask is None:
        return ops.ones_like(x, dtype="bool")
    if mask.ndim == x.ndim:
        return mask
    return ops.logical_or(ops.expand_dims(mask, axis=-1), ops.zeros_like(x, dtype="bool"))


class _DotAxes(Kind):
    """One axis of both tensors, or one of each."""

    def read(self, value: Any, where: str) -> Any:
        axes = list(value) if isinstance(value, (list, tuple)) else [value]
        if any(not isinstance(axis, int) or isinstance(axis, bool) for axis in axes):
            raise ConfigError(f"{where} must be an integer or two of them, got {value!r}")
        if isinstance(value, int):
            return value
        if len(axes) != 2:
            raise ConfigError(f"{where} must be one axis of both tensors or one of each, got {value!r}")
        return tuple(axes)


class Dot(_Merge):
    """Products of two tensors summed along one axis of each, sample by sample.

    Input shape:  two shapes whose sizes agree at ``axes``; the batch axis counts, so ``axes=1`` is the first after it
    Output shape: the first without its axis, then the second without its axis and its batch; (batch, 1) if none is left

    Keras' shape rule takes the batch axis, ``axes=0``, and its computation refuses it: so does compiling here.

    >>> Dot(axes=(1, 2)).compute_output_shape([(None, 3, 4), (None, 5, 3)])
    (None, 4, 5)
    >>> Dot(axes=1).compute_output_shape([(None, 4), (None, 4)])
    (None, 1)
    """

    axes: Annotated[int | tuple[int, int], _DotAxes()]
    normalize: bool = False

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def layout(self, shapes: list[Shape]) -> str:
        return KERAS

    def summed(self, shapes: list[Shape]) -> tuple[int, int]:
        """The axis of each tensor that is summed over, counted from the front."""
        _require_list(shapes, 2)
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        left, right = (axis_index(axis, len(shape), "axes") for axis, shape in zip(axes, shapes))
        return left, right

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        left, right = self.summed(shapes)
        first, second = shapes
        if first[left] != second[right]:
            raise ShapeError(f"axes: {first[left]} at axis {left} of the first and {second[right]} at axis {right} of "
                             f"the second differ, in {to_text(shapes)}")
        rest = list(second[:right] + second[right + 1:])
        output = (*first[:left], *first[left + 1:], *rest[1:])
        return output if len(output) != 1 else (*output, 1)

    def flops(self, shapes: list[Shape]) -> int:
        return 2 * elements(self.compute_output_shape(shapes)) * elements([shapes[0][self.summed(shapes)[0]]])

    def module(self, shapes: list[Shape]) -> Any:
        from kerashape_torch.torch_modules.merging import BatchDot

        left, right = self.summed(shapes)
        if 0 in (left, right):
            raise ShapeError(f"axes: the batch axis cannot be summed over, got axes={self.axes!r}",
                             hint="the first axis of a sample is axis 1").at(self.describe(), to_text(shapes))
        return BatchDot(len(shapes[0]), len(shapes[1]), left, right, self.normalize)


# ---- the same as functions -------------------------------------------------------------------------------------------


def add(inputs: Any, **kwargs: Any) -> Any:
    """The sum of symbolic tensors: ``Add()(inputs)``.

    >>> from kerashape_torch import Input
    >>> add([Input((4,)), Input((4,))]).shape
    (None, 4)
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """The first symbolic tensor less the second: ``Subtract()(inputs)``."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """The product of symbolic tensors: ``Multiply()(inputs)``."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """The mean of symbolic tensors: ``Average()(inputs)``."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """The largest of symbolic tensors: ``Maximum()(inputs)``."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """The smallest of symbolic tensors: ``Minimum()(inputs)``."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Symbolic tensors side by side: ``Concatenate(axis)(inputs)``."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: int | tuple[int, int] = -1, **kwargs: Any) -> Any:
    """The products of two symbolic tensors summed along an axis of each: ``Dot(axes)(inputs)``."""
    return Dot(axes=axes, **kwargs)(inputs)

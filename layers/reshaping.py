"""Layers without weights that move elements: other axes, zeros around them, edges cut off, elements repeated."""

import operator
from typing import Annotated, Any

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.kinds import Choice, DataFormat, Kind, Positive, Sizes, per_axis
from kerashape_torch.layer import Layer
from kerashape_torch.layers._spatial import AnyOrder, Spatial
from kerashape_torch.shape import Shape, Size, count, product, require_min_rank, require_rank, to_text


class Flatten(Layer):
    """All axes but the batch become one.

    Input shape:  (batch, ...)
    Output shape: (batch, product of the others)

    With ``data_format="channels_first"`` the channels are moved to the end first, as Keras does, so that the weights of
    a Dense layer behind it mean the same in both formats.

    >>> Flatten().compute_output_shape((None, 7, 7, 64)), Flatten().compute_output_shape((None, None, 64))
    ((None, 3136), (None, None))
    """

    data_format: DataFormat = None
    keeps_dtype = True

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_min_rank(shape, 1, "(batch, ...)")
        return (shape[0], product(shape[1:]))

    def module(self, shape: Shape) -> Any:
        import torch
        from torch import nn

        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.reshaping import FlattenChannelsLast

        if len(shape) == 1:
            return Function(torch.unsqueeze, 1)
        if len(shape) == 2:
            return nn.Identity()
        return FlattenChannelsLast() if self.data_format == "channels_first" else nn.Flatten()


class _TargetShape(Kind):
    """A shape without its batch axis; one axis may be -1, and several None."""

    def read(self, value: Any, where: str) -> Any:
        try:
            axes = tuple(None if axis is None else axis.__index__() for axis in value)
        except (TypeError, AttributeError):
            raise ConfigError(f"{where} must be a tuple of integers and None, got {value!r}") from None
        if any(axis is not None and axis < -1 for axis in axes) or axes.count(-1) > 1:
            raise ConfigError(f"{where} may hold -1 once, and no other negative number, got {value!r}")
        return axes


class Reshape(Layer):
    """The same numbers in another shape.

    Input shape:  (batch, ...)
    Output shape: (batch, *target_shape)

    As in Keras, -1 is worked out only where every other size is known; a None in ``target_shape`` stays None, and is
    worked out from the tensor.

    >>> Reshape((4, 3)).compute_output_shape((None, 12)), Reshape((-1, 2)).compute_output_shape((None, 6))
    ((None, 4, 3), (None, 3, 2))
    >>> Reshape((-1, 2)).compute_output_shape((None, None, 4))
    (None, None, 2)
    """

    built_when_made = True
    target_shape: Annotated[tuple[int | None, ...], _TargetShape()]
    keeps_dtype = True

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_min_rank(shape, 1, "(batch, ...)")
        return (shape[0], *self._resolved(shape[1:]))

    def _resolved(self, given: Shape) -> Shape:
        target = self.target_shape
        total = product(given)
        if total is None or None in target:
            return tuple(None if axis == -1 else axis for axis in target)
        known = count([axis for axis in target if axis is not None and axis != -1])
        fits = known == total if -1 not in target else known > 0 and total % known == 0
        if not fits:
            raise ShapeError(f"{to_text(given)} holds {total} numbers, and target_shape {to_text(target)} "
                             f"{'holds' if -1 not in target else 'needs a multiple of'} {known}")
        return tuple(total // known if axis == -1 else axis for axis in target)

    def module(self, shape: Shape) -> Any:
        import torch
        from torch import nn

        from kerashape_torch.torch_modules import Function

        sizes = self._resolved(shape[1:])
        if product((*shape[1:], *sizes)):  # all known and none 0: the batch is what remains
            return Function(torch.reshape, (-1, *sizes))
        unknown = sizes.count(None)
        if unknown > 1 or not sizes:
            raise ShapeError(f"target_shape {to_text(self.target_shape)} leaves {unknown} sizes to work out from the "
                             "tensor, and only one can be").at(self.describe(), to_text(shape))
        split = nn.Unflatten(1, tuple(-1 if axis is None else axis for axis in sizes))
        return split if len(shape) == 2 else nn.Sequential(nn.Flatten(), split)


class _Order(Kind):
    def read(self, value: Any, where: str) -> Any:
        order: tuple[Any, ...] = tuple(value) if isinstance(value, (list, tuple)) else ()
        if not isinstance(value, (list, tuple)) or sorted(order) != list(range(1, len(order) + 1)):
            raise ConfigError(f"{where} must hold each axis from 1 on once (the batch axis 0 stays where it is), "
                              f"got {value!r}")
        return order


class Permute(Layer):
    """The axes in another order; axis 1 is the first after the batch.

    Input shape:  (batch, ...)
    Output shape: (batch, *the others in the order of dims)

    >>> Permute((2, 1)).compute_output_shape((None, 10, 64))
    (None, 64, 10)
    """

    dims: Annotated[tuple[int, ...], _Order()]
    keeps_dtype = True

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_rank(shape, len(self.dims) + 1, f"the batch and {len(self.dims)} axes that dims={self.dims} names")
        return (shape[0], *(shape[axis] for axis in self.dims))

    def module(self, shape: Shape) -> Any:
        import torch

        from kerashape_torch.torch_modules import Function

        return Function(torch.permute, (0, *self.dims))


class RepeatVector(Layer):
    """A vector, ``n`` times over, as a sequence.

    Input shape:  (batch, features)
    Output shape: (batch, n, features)

    >>> RepeatVector(3).compute_output_shape((None, 32))
    (None, 3, 32)
    """

    n: Positive

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_rank(shape, 2, "(batch, features)")
        features: Size = shape[1]
        return (shape[0], self.n, features)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.reshaping import repeat_rows

        return Function(repeat_rows, self.n)


# ---- spatial sizes: what is added or cut, before and after each axis -------------------------------------------------

Side = tuple[int, int]


class _Sides(Kind):
    """How much before and after each axis: one number for all, one for each axis, or a pair for each axis."""

    def read(self, value: Any, where: str) -> Any:
        return tuple(self.read(item, where) for item in value) if isinstance(value, (list, tuple)) else value

    def check(self, value: Any, record: Any, where: str) -> None:
        pairs = sides(value, record.rank)
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for pair in pairs for n in pair)
        if not whole or any(len(pair) != 2 for pair in pairs) or len(pairs) != record.rank:
            pair = "a pair (before, after)"
            wanted = pair if record.rank == 1 else f"{record.rank} numbers, or {pair} for each of {record.rank} axes"
            raise ConfigError(f"{where} must be one number, or {wanted}, none of them negative, got {value!r}")

    def write(self, value: Any, record: Any) -> Any:
        pairs = sides(value, record.rank)
        return pairs[0] if record.rank == 1 else pairs


Sides = Annotated[int | tuple[Any, ...], _Sides()]


def sides(value: Any, rank: int) -> tuple[Side, ...]:
    """(before, after) for each axis.

    >>> sides(1, 2), sides((1, 2), 2), sides((1, 2), 1), sides(((1, 2), 3), 2)
    (((1, 1), (1, 1)), ((1, 1), (2, 2)), ((1, 2),), ((1, 2), (3, 3)))
    """
    if not isinstance(value, tuple):
        return ((value, value),) * rank
    if rank == 1:
        return (value,)
    return tuple(each if isinstance(each, tuple) else (each, each) for each in value)


# ---- zeros around ----------------------------------------------------------------------------------------------------


class _ZeroPadding(Spatial, catalog=False):
    padding: Sides = 1
    data_format: DataFormat = None

    def compute_output_shape(self, shape: Shape) -> Shape:
        axes = zip(self.spatial(shape), sides(self.padding, self.rank))
        return self.with_spatial(shape, [None if size is None else size + sum(pair) for size, pair in axes])

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from_the_last_axis = tuple(n for pair in reversed(sides(self.padding, self.rank)) for n in pair)
        if not any(from_the_last_axis):
            return nn.Identity()
        return getattr(nn, f"ZeroPad{self.rank}d")(from_the_last_axis)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, before + steps + after, channels)

    >>> ZeroPadding1D((1, 2)).compute_output_shape((None, 10, 3))
    (None, 13, 3)
    """

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, top + height + bottom, left + width + right, channels)

    >>> ZeroPadding2D(((0, 1), (2, 3))).compute_output_shape((None, 8, 8, 3))
    (None, 9, 13, 3)
    """

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, *each axis with what is added before and after it, channels)

    >>> ZeroPadding3D((0, 1, 2)).compute_output_shape((None, 4, 8, None, 3))
    (None, 4, 10, None, 3)
    """

    rank = 3


# ---- edges cut off ---------------------------------------------------------------------------------------------------


class _Cropping(AnyOrder, catalog=False):
    cropping: Sides = 1

    def compute_output_shape(self, shape: Shape) -> Shape:
        axes = zip(self.spatial(shape), sides(self.cropping, self.rank), self.axis_names)
        return self.with_spatial(shape, [self._left(*axis) for axis in axes])

    @staticmethod
    def _left(size: Size, pair: Side, name: str) -> Size:
        if size is None:
            return None
        if size <= sum(pair):
            raise ShapeError(f"{name}: cropping {pair} leaves nothing of {size}")
        return size - sum(pair)

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules import Function

        if not any(map(sum, sides(self.cropping, self.rank))):
            return nn.Identity()
        cuts = [slice(before, -after if after else None) for before, after in sides(self.cropping, self.rank)]
        return Function(operator.getitem, (*[slice(None)] * self.axes_at_work(shape)[0], *cuts))


class Cropping1D(_Cropping):
    """Cuts off steps at both ends.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, steps - before - after, channels)

    >>> Cropping1D((1, 2)).compute_output_shape((None, 10, 3))
    (None, 7, 3)
    """

    rank = 1


class Cropping2D(_Cropping):
    """Cuts off the edges of an image.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, height - top - bottom, width - left - right, channels)

    >>> Cropping2D(((1, 0), (2, 2))).compute_output_shape((None, 8, None, 3))
    (None, 7, None, 3)
    """

    rank = 2
    cropping: Sides = 0
    data_format: DataFormat = None


class Cropping3D(_Cropping):
    """Cuts off the faces of a volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, *each axis without what is cut before and after it, channels)

    >>> Cropping3D().compute_output_shape((None, 4, 8, 8, 3))
    (None, 2, 6, 6, 3)
    """

    rank = 3
    cropping: Sides = 1
    data_format: DataFormat = None


# ---- elements repeated -----------------------------------------------------------------------------------------------

_NEAREST_IS_EXACT_TO = 40
"""Above this factor torch's ``nearest`` may pick a neighbour: it multiplies by 1/41, which float32 rounds down."""


class _UpSampling(Spatial, catalog=False):
    size: Sizes = 2

    @property
    def _factors(self) -> tuple[int, ...]:
        return per_axis(self.size, self.rank)

    def compute_output_shape(self, shape: Shape) -> Shape:
        axes = zip(self.spatial(shape), self._factors)
        return self.with_spatial(shape, [None if size is None else size * factor for size, factor in axes])

    def module(self, shape: Shape) -> Any:
        from torch import nn

        mode = "nearest" if max(self._factors) <= _NEAREST_IS_EXACT_TO else "nearest-exact"
        return nn.Upsample(scale_factor=tuple(map(float, self._factors)), mode=mode)


class UpSampling1D(_UpSampling):
    """Each step ``size`` times over.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, size * steps, channels)

    >>> UpSampling1D(3).compute_output_shape((None, 10, 3))
    (None, 30, 3)
    """

    rank = 1
    size: Positive = 2


class UpSampling2D(_UpSampling):
    """An image enlarged by whole factors.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, factor * height, factor * width, channels)

    Keras' backends disagree on ``bicubic``; TensorFlow's kernel is followed, in which most models were trained.
    ``area`` equals ``nearest`` at whole factors.

    >>> UpSampling2D().compute_output_shape((None, 8, None, 3))
    (None, 16, None, 3)
    >>> UpSampling2D((1, 3), interpolation="bilinear").compute_output_shape((None, 8, 8, 3))
    (None, 8, 24, 3)
    """

    rank = 2
    size: Sizes = 2
    data_format: DataFormat = None
    interpolation: Annotated[str, Choice("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")] = "nearest"

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.functions_images import interpolated
        from kerashape_torch.torch_modules.reshaping import KernelUpsample

        if self.interpolation == "bilinear":
            return nn.Upsample(scale_factor=tuple(map(float, self._factors)), mode="bilinear")
        # TensorFlow looks `bicubic` up in a table of 1024 steps. Where those are the places, torch has the same kernel
        # in a function, and none of it in nn.Upsample.
        is_exact = all(1024 % (2 * factor) == 0 for factor in self._factors)
        if self.interpolation == "bicubic" and is_exact:
            return Function(interpolated, "bicubic", antialias=True, scale_factor=tuple(map(float, self._factors)))
        if self.interpolation == "bicubic" or self.interpolation.startswith("lanczos"):
            return KernelUpsample((self._factors[0], self._factors[1]), self.interpolation)
        return super().module(shape)


class UpSampling3D(_UpSampling):
    """Each element of a volume repeated along the three axes.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, *each axis times its factor, channels)

    >>> UpSampling3D((1, 2, 2)).compute_output_shape((None, 4, 8, 8, 3))
    (None, 4, 16, 16, 3)
    """

    rank = 3
    size: Sizes = 2
    data_format: DataFormat = None

"""Layers that bring raw numbers to a scale: by given factors, or by the mean and variance of data."""

from collections.abc import Mapping
from typing import Annotated, Any

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import Constant, Value
from kerashape_torch.kinds import Kind
from kerashape_torch.layer import ANY, KERAS, Layer
from kerashape_torch.layers.category import batches, host
from kerashape_torch.shape import Shape, axis_index, fixed, to_text
from kerashape_torch.weights import Place, WeightSpec, weight


def _numbers(value: Any) -> Any:
    """A number, or nested lists of numbers, from any form in which Keras keeps an array."""
    if isinstance(value, Mapping):
        value = value["config"]["value"]
    return value.tolist() if hasattr(value, "tolist") else value


def _array_shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists of numbers."""
    if isinstance(value, (list, tuple)):
        inner = {_array_shape(each) for each in value} or {()}
        if len(inner) > 1:
            raise ConfigError(f"lists of different lengths are no array: {value!r}")
        return (len(value), *inner.pop())
    if not hasattr(value, "__float__"):
        raise ConfigError(f"an array must hold numbers, got {value!r}")
    return ()


class Rescaling(Layer):
    """``inputs * scale + offset``, as floats; either may be a list, with a number for each channel.

    Input shape:  any
    Output shape: the same

    >>> Rescaling(1 / 255).compute_output_shape((None, 28, 28, 3))
    (None, 28, 28, 3)
    """

    scale: Value
    offset: Value = 0.0
    supports_masking = True

    @property
    def _by_number(self) -> bool:
        return not _array_shape(_numbers(self.scale)) and not _array_shape(_numbers(self.offset))

    def layout(self, shape: Shape) -> str:
        return ANY if self._by_number else KERAS

    def module(self, shape: Shape) -> Any:
        import torch

        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.preprocessing import Rescale, rescale

        scale, offset = _numbers(self.scale), _numbers(self.offset)
        if not self._by_number:
            return Rescale(scale, offset, getattr(torch, self.compute_dtype))
        return Function(rescale, scale=float(scale), offset=float(offset))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Rescaling":
        return cls(**config)  # arrays stay in the form that Keras wrote


class _KeptAxes(Kind):
    def read(self, value: Any, where: str) -> Any:
        axes = () if value is None else value if isinstance(value, (list, tuple)) else (value,)
        if not all(isinstance(axis, int) and not isinstance(axis, bool) for axis in axes):
            raise ConfigError(f"{where} must be an integer, several, or None, got {value!r}")
        return tuple(axes)

    def write(self, value: Any, record: Any) -> Any:
        return self.read(value, "axis")


class Normalization(Layer):
    """``(inputs - mean) / sqrt(variance)``, with one mean and variance for each index along ``axis``.

    Mean and variance are given, or taken from data by :meth:`adapt`, or loaded as weights. With ``axis=None`` there is
    one for all. ``invert=True`` turns normalized numbers back.

    Input shape:  any, with known sizes on ``axis``
    Output shape: the same

    >>> Normalization(axis=-1, input_shape=(8, 3)).count_params()
    7
    >>> Normalization(axis=None, mean=3.0, variance=2.0, input_shape=(8, 3)).weights
    []
    """

    axis: Annotated[int | tuple[int, ...] | None, _KeptAxes()] = -1
    mean: Any = None
    variance: Any = None
    invert: bool = False
    supports_masking = True
    weights_may_be_refused = True  # by the size of mean and variance

    def __post_init__(self) -> None:
        self._adapted: tuple[Any, Any] | None = None
        if (self.mean is None) != (self.variance is None):
            raise ConfigError("Normalization(mean=..., variance=...) are given together or not at all, "
                              f"got mean={self.mean!r} and variance={self.variance!r}")
        if self.mean is None:
            return
        mean, variance = self._given_shape(), _array_shape(_numbers(self.variance))
        if mean != variance:
            raise ConfigError(f"Normalization: mean has shape {to_text(mean)} and variance {to_text(variance)}")
        if len(mean) > len(self._axes):
            raise ConfigError(f"Normalization: mean has rank {len(mean)}, and axis={self.axis!r} names fewer axes")

    @property
    def _axes(self) -> tuple[int, ...]:
        return _KeptAxes().read(self.axis, "axis")  # type: ignore[no-any-return]

    def _kept(self, rank: int) -> list[int]:
        return sorted(axis_index(axis, rank) for axis in self._axes)

    def _given_shape(self) -> tuple[int, ...]:
        return _array_shape(_numbers(self.mean))

    def _sizes(self, shape: Shape) -> tuple[int, ...]:
        return tuple(fixed(shape[axis], f"axis {axis}", "mean and variance") for axis in self._kept(len(shape)))

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        sizes = self._sizes(shape)
        if self.mean is not None:
            for given, axis in zip(reversed(self._given_shape()), reversed(self._kept(len(shape)))):
                if given not in (1, shape[axis]):
                    raise ShapeError(f"axis {axis}: mean and variance have {given} numbers, got {shape[axis]}")
            return []
        if self._adapted is not None and self._adapted[0].shape != sizes:
            raise ShapeError(f"adapted to data with {to_text(self._adapted[0].shape)} along axis={self.axis!r}, "
                             f"got {to_text(sizes)}")
        mean, variance = map(Constant, self._adapted) if self._adapted is not None else ("zeros", "ones")
        return [weight("mean", sizes, mean, trainable=False), weight("variance", sizes, variance, trainable=False),
                WeightSpec("count", (), trainable=False, places=(Place("count"),), dtype="int32")]

    def module(self, shape: Shape) -> Any:
        import torch

        from kerashape_torch.torch_modules.preprocessing import Normalize

        sizes = self._sizes(shape) if self.mean is None else self._given_shape()
        broadcast = [1] * len(shape)
        for axis, size in zip(reversed(self._kept(len(shape))), reversed(sizes)):
            broadcast[axis] = size
        if self.mean is None:
            return Normalize(broadcast, self.invert, sizes)
        return Normalize(broadcast, self.invert, mean=_numbers(self.mean), variance=_numbers(self.variance),
                         dtype=getattr(torch, self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": _numbers(self.mean), "variance": _numbers(self.variance)}

    def adapt(self, data: Any) -> None:
        """Takes mean and variance from data: an array or tensor, or batches of them.

        A module compiled from here on begins with them; one that is there already is not changed.

        >>> import numpy as np
        >>> layer = Normalization(axis=-1, input_shape=(2,))
        >>> layer.adapt(np.array([[0.0, 5.0], [2.0, 5.0]]))
        >>> layer.to_torch().normalization.mean
        tensor([1., 5.])
        """
        if self.mean is not None:
            raise ConfigError(f"{self.describe()} has its mean and variance already, and adapt() would change them")
        merged: tuple[int, Any, Any] | None = None
        for batch in batches(data):
            found = self._moments(batch)
            merged = found if merged is None else _merge(merged, found)
        if merged is None:
            raise ConfigError("adapt() takes an array or batches of arrays, got no batch")
        self._adapted = merged[1:]

    def _moments(self, batch: Any) -> tuple[int, Any, Any]:
        """The number of elements behind each mean, the means, and the variances."""
        import numpy as np

        batch = batch[0] if isinstance(batch, tuple) else batch
        if not hasattr(batch, "shape"):
            raise ConfigError(f"adapt() takes an array or batches of arrays, got a batch of {type(batch).__name__}")
        array = np.asarray(host(batch))
        known = self.call_shapes()[0] if self.built else array.shape
        try:
            kept = self._kept(array.ndim)
            if len(known) != array.ndim or any(array.shape[axis] != known[axis] for axis in kept):
                raise ShapeError(f"the input is {to_text(known)} and the data are {to_text(array.shape)}")
        except ShapeError as error:
            raise error.at(self.describe(), to_text(array.shape)) from None
        rest = tuple(axis for axis in range(array.ndim) if axis not in kept)
        count = int(np.prod([array.shape[axis] for axis in rest])) if rest else 1
        return count, np.asarray(array.mean(axis=rest)), np.asarray(array.var(axis=rest))


def _merge(first: tuple[int, Any, Any], second: tuple[int, Any, Any]) -> tuple[int, Any, Any]:
    """The moments of two sets of data together."""
    (n, mean_a, var_a), (m, mean_b, var_b) = first, second
    if mean_a.shape != mean_b.shape:
        raise ConfigError(f"adapt(): the batches differ, {to_text(mean_a.shape)} and {to_text(mean_b.shape)}")
    share = m / (n + m)
    mean = mean_a + (mean_b - mean_a) * share
    spread = (mean_b - mean_a) ** 2 * share * (1 - share)
    return n + m, mean, var_a * (1 - share) + var_b * share + spread

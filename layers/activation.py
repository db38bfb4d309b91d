"""Activations as layers."""

from collections.abc import Callable
from typing import Annotated, Any

from kerashape_torch import activations
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Axes, Kind
from kerashape_torch.layer import ANY, CHANNELS_FIRST, KERAS, Layer
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, axis_index, fixed
from kerashape_torch.weights import WeightSpec, weight


class _ElementWise(Layer, catalog=False):
    """Each element for itself, in whatever order the axes are."""

    built_when_made = True
    supports_masking = True
    takes_integers = True

    def layout(self, shape: Shape) -> str:
        return ANY

    def _require_not_negative(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise ConfigError(f"{type(self).__name__}({name}=...) must be a number of 0 or more, got {value!r}")


class ReLU(_ElementWise):
    """``x`` above ``threshold``, at most ``max_value``; ``negative_slope * (x - threshold)`` below.

    Input shape:  any
    Output shape: the same

    >>> ReLU(max_value=6).compute_output_shape((None, 8, 8, 3))
    (None, 8, 8, 3)
    """

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        self._require_not_negative("negative_slope", "threshold")
        if self.max_value is not None:
            self._require_not_negative("max_value")

    def module(self, shape: Shape) -> Any:
        from torch import nn

        if not self.threshold and self.max_value is None:
            return nn.LeakyReLU(self.negative_slope) if self.negative_slope else nn.ReLU()
        if not self.threshold and not self.negative_slope and self.max_value == 6:
            return nn.ReLU6()
        return _function("relu", max_value=self.max_value, negative_slope=self.negative_slope, threshold=self.threshold)


class LeakyReLU(_ElementWise):
    """``x`` where positive, ``negative_slope * x`` elsewhere.

    The slope is 0.3 here and 0.2 in ``activations.leaky_relu``. Keras 2's name of it, ``alpha``, is taken too.

    Input shape:  any
    Output shape: the same

    >>> LeakyReLU(alpha=0.1).get_config()["negative_slope"]
    0.1
    """

    negative_slope: float = 0.3

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            kwargs["negative_slope"] = kwargs.pop("alpha")
        super().__init__(*args, **kwargs)

    def __post_init__(self) -> None:
        self._require_not_negative("negative_slope")

    def module(self, shape: Shape) -> Any:
        from torch import nn

        return nn.LeakyReLU(self.negative_slope)


class ELU(_ElementWise):
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Input shape:  any
    Output shape: the same

    >>> ELU().compute_output_shape((None, 4))
    (None, 4)
    """

    alpha: float = 1.0

    def module(self, shape: Shape) -> Any:
        from torch import nn

        return nn.ELU(self.alpha)


class _SharedAxes(Kind):
    def read(self, value: Any, where: str) -> Any:
        axes = value if isinstance(value, (list, tuple)) else (value,)
        if not all(isinstance(axis, int) and not isinstance(axis, bool) for axis in axes):
            raise ConfigError(f"{where} must be an integer or several, got {value!r}")
        return tuple(axes)

    def write(self, value: Any, record: Any) -> Any:
        return None if value is None else list(value)


class PReLU(_ElementWise):
    """``x`` where positive, a learned slope times ``x`` elsewhere; one slope for each element of a sample.

    Along ``shared_axes`` the slope is the same: for images ``shared_axes=(1, 2)`` leaves one for each channel. As in
    Keras the batch is axis 0 there, and negative axes are off by one: -1 is the last axis but one.

    Input shape:  any, with known sizes on the axes that are not shared
    Output shape: the same

    >>> PReLU(shared_axes=(1, 2), input_shape=(8, 8, 3)).weights[0].shape
    (1, 1, 3)
    """

    takes_integers = False  # the slopes are floats
    weights_may_be_refused = True  # by the axes that they share
    alpha_initializer: InitializerLike = "zeros"
    alpha_regularizer: RegularizerLike = None
    alpha_constraint: ConstraintLike = None
    built_when_made = False
    shared_axes: Annotated[int | tuple[int, ...] | None, _SharedAxes()] = None

    def _alpha(self, shape: Shape) -> tuple[int, ...]:
        free = list(shape[1:])
        shared: Any = self.shared_axes or ()
        for axis in shared:
            if not -len(free) < axis <= len(free):
                raise ShapeError(f"shared_axes={list(shared)} has {axis}, which is not an axis of rank {len(shape)}")
            free[axis - 1] = 1
        return tuple(fixed(size, f"axis {axis}") for axis, size in enumerate(free, start=1))

    def _channel_axis(self, shape: Shape) -> int | None:
        """The one axis of the slopes that is longer than 1, as the module sees it, if it is the channels'."""
        alpha = self._alpha(shape)
        if all(size == 1 for size in alpha[:-1]):
            return len(alpha)
        return 1 if all(size == 1 for size in alpha[1:]) else None

    def layout(self, shape: Shape) -> str:
        axis = self._channel_axis(shape)
        return KERAS if axis is None or axis == 1 else CHANNELS_FIRST

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        alpha, axis = self._alpha(shape), self._channel_axis(shape)
        pattern = None
        if axis is not None and len(alpha) > 1:
            pattern = f"{' '.join('c' if i == axis else '1' for i in range(1, len(alpha) + 1))} -> c"
        return [weight("alpha", alpha, self.alpha_initializer, at="weight", pattern=pattern,
                       regularizer=self.alpha_regularizer, constraint=self.alpha_constraint)]

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.activation import PReLUByElement

        alpha, axis = self._alpha(shape), self._channel_axis(shape)
        return PReLUByElement(alpha) if axis is None else nn.PReLU(alpha[axis - 1])


class Softmax(_ElementWise):
    """``exp(x)`` over its sum along ``axis``, or along several axes together.

    Input shape:  any that has these axes
    Output shape: the same

    >>> Softmax(axis=(1, 2)).compute_output_shape((None, 5, 3))
    (None, 5, 3)
    """

    axis: Axes = -1
    call_arguments = ("inputs", "mask")
    uses_mask = True

    def masked_module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.activation import MaskedSoftmax

        return MaskedSoftmax(self.axis)

    def module(self, shape: Shape) -> Any:
        from torch import nn

        rank = len(shape)
        axes = self.axis[0] if isinstance(self.axis, tuple) and len(self.axis) == 1 else self.axis
        if isinstance(axes, int):
            return nn.Softmax(dim=axis_index(axes, rank))
        return _function("softmax", axis=None if axes is None else tuple(axis_index(axis, rank) for axis in axes))


def _function(name: str, **arguments: Any) -> Any:
    """The activation of this name as a module that lowering dissolves into a bare call."""
    from kerashape_torch.torch_modules import Function

    found: Callable[..., Any] = activations.lowered(name, arguments=arguments)  # type: ignore[assignment]
    return Function(found.func, **found.keywords)  # type: ignore[attr-defined]

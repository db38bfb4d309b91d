"""Layers that bring numbers to a common scale: by batch, by sample, by group, or to length one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kerashape_torch import initializers
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Axes, Axis
from kerashape_torch.layer import ANY, CHANNELS_FIRST, KERAS, Layer
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, axis_index, fixed
from kerashape_torch.weights import Place, WeightSpec, said_of, weight


class _Normalization(Layer, catalog=False):
    """The shape stays; ``axis`` must be one of its axes, or several where the layer takes several."""

    if TYPE_CHECKING:
        axis: Any = None
    several_axes: ClassVar[bool] = False
    supports_masking = True

    def __post_init__(self) -> None:
        axis = self.axis
        if axis is None or (isinstance(axis, tuple) and not self.several_axes):
            wanted = "an integer or several" if self.several_axes else "an integer"
            raise ConfigError(f"{type(self).__name__}(axis=...) must be {wanted}, got {axis!r}")

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes, counted from the front, in the order in which Keras sorts them: as written, so -1 precedes 1."""
        axis = self.axis
        written = sorted(axis) if isinstance(axis, tuple) else [axis]
        return tuple(axis_index(each, rank) for each in written)

    def compute_output_shape(self, shape: Shape) -> Shape:
        self.axes(len(shape))
        return shape

    def sizes(self, shape: Shape) -> tuple[int, ...]:
        """The sizes of these axes, which must be known: the weights have this shape."""
        return tuple(fixed(shape[axis], f"axis {axis}") for axis in self.axes(len(shape)))

    def _gamma_and_beta(self, shape: Shape, scale: bool, center: bool) -> list[WeightSpec]:
        """Scale and offset, with the initializers, regularizers and constraints that the layer was given."""
        if not scale and not center:
            return []
        sizes = self.sizes(shape)
        axes = ("channels",) if len(sizes) == 1 else ()
        return [WeightSpec(name, sizes, True, *said_of(self, name), axes, (Place(place),))
                for name, place, used in (("gamma", "weight", scale), ("beta", "bias", center)) if used]


class _SquareRoot(initializers.Initializer, catalog=False):
    """The square roots of what another initializer gives."""

    of: InitializerLike

    def __call__(self, shape: Sequence[int], dtype: Any = None, device: Any = None, generator: Any = None) -> Any:
        return initializers.of_weight(self.of)(shape, dtype=dtype, device=device).sqrt()


class BatchNormalization(_Normalization):
    """Normalizes each channel by its mean and variance, in training those of the batch, else their moving averages.

    The moving variance follows the biased variance of the batches, as in Keras; torch's own module follows the unbiased
    one. A layer with ``trainable=False`` uses the moving averages in training too. ``synchronized`` changes nothing on
    one device; Keras refuses it on all backends but TensorFlow.

    Input shape:  any, with a known size on ``axis``
    Output shape: the same

    >>> layer = BatchNormalization(input_shape=(28, 28, 3))
    >>> layer.output_shape, layer.count_params(), layer.count_params(trainable=True)
    ((None, 28, 28, 3), 12, 6)
    """

    axis: Axis = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerLike = "zeros"
    gamma_initializer: InitializerLike = "ones"
    moving_mean_initializer: InitializerLike = "zeros"
    moving_variance_initializer: InitializerLike = "ones"
    beta_regularizer: RegularizerLike = None
    gamma_regularizer: RegularizerLike = None
    beta_constraint: ConstraintLike = None
    gamma_constraint: ConstraintLike = None
    renorm: bool = False
    renorm_clipping: Mapping[str, float] | None = None
    renorm_momentum: float = 0.99
    synchronized: bool = False
    call_arguments = ("inputs", "training", "mask")
    uses_mask = True  # in training, for the statistics of the batch

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.renorm:
            return
        self.renorm_clipping = clipping = self.renorm_clipping or {}
        unknown = set(clipping) - {"rmin", "rmax", "dmax"}
        if unknown:
            raise ConfigError("BatchNormalization(renorm_clipping=...) takes rmin, rmax and dmax, "
                              f"got {sorted(unknown)}")
        rmin, rmax, dmax = (clipping.get(name) for name in ("rmin", "rmax", "dmax"))
        if rmin is not None and rmax is not None and rmax < rmin:
            raise ConfigError(f"BatchNormalization(renorm_clipping=...): rmax={rmax} is less than rmin={rmin}")
        if dmax is not None and dmax < 0:
            raise ConfigError(f"BatchNormalization(renorm_clipping=...): dmax={dmax} is negative")

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        channels = self.sizes(shape)
        mean, variance = self.moving_mean_initializer, self.moving_variance_initializer
        statistics = [("moving_mean", "running_mean", mean), ("moving_variance", "running_var", variance)]
        if self.renorm:
            stddev = _SquareRoot(variance)
            statistics += [("moving_stddev", "moving_stddev", stddev), ("renorm_mean", "renorm_mean", mean),
                           ("renorm_stddev", "renorm_stddev", stddev)]
        return [*self._gamma_and_beta(shape, self.scale, self.center),
                *(weight(name, channels, initializer, at=place, trainable=False, axes=("channels",))
                  for name, place, initializer in statistics)]

    def layout(self, shape: Shape) -> str:
        axis, = self.axes(len(shape))
        return CHANNELS_FIRST if axis == len(shape) - 1 and axis > 1 else KERAS

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules import normalization as modules

        channels, = self.sizes(shape)
        axis = 1 if self.layout(shape) == CHANNELS_FIRST else self.axes(len(shape))[0]
        momentum = round(1 - self.momentum, 12)
        options = self._options()
        if self.renorm:
            return modules.BatchRenorm(axis, channels, self.epsilon, momentum, **options)
        stock = {2: modules.BatchNorm1d, 3: modules.BatchNorm1d, 4: modules.BatchNorm2d, 5: modules.BatchNorm3d}
        if axis == 1 and len(shape) in stock:
            return stock[len(shape)](channels, self.epsilon, momentum, **options)
        return modules.BatchNormOnAxis(axis, channels, self.epsilon, momentum, **options)

    def masked_module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules import normalization as modules

        channels, = self.sizes(shape)
        moved = self.layout(shape) == CHANNELS_FIRST
        masked = modules.MaskedBatchRenorm if self.renorm else modules.MaskedBatchNorm
        return masked(1 if moved else self.axes(len(shape))[0], channels, self.epsilon,
                      round(1 - self.momentum, 12), moved=moved, **self._options())

    def _options(self) -> dict[str, Any]:
        """What all modules for this layer are told alike."""
        options = {"scale": self.scale, "center": self.center, "frozen": not self.trainable}
        if not self.renorm:
            return options
        return {**options, "clipping": dict(self.renorm_clipping or {}),
                "renorm_momentum": round(1 - self.renorm_momentum, 12)}


class LayerNormalization(_Normalization):
    """Normalizes each sample by the mean and variance over ``axis``.

    With ``rms_scaling`` the input is divided by its standard deviation without being centered, as in Keras; that is not
    :class:`RMSNormalization`.

    Input shape:  any, with known sizes on ``axis`` if there are weights
    Output shape: the same

    >>> LayerNormalization(input_shape=(8, 16)).count_params()
    32
    >>> [spec.shape for spec in LayerNormalization(axis=(1, 2)).weight_specs((None, 8, 16))]
    [(8, 16), (8, 16)]
    """

    axis: Axes = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerLike = "zeros"
    gamma_initializer: InitializerLike = "ones"
    beta_regularizer: RegularizerLike = None
    gamma_regularizer: RegularizerLike = None
    beta_constraint: ConstraintLike = None
    gamma_constraint: ConstraintLike = None
    rms_scaling: bool = False
    several_axes = True

    @property
    def _scaled(self) -> bool:
        return self.scale or self.rms_scaling

    @property
    def _centered(self) -> bool:
        return self.center and not self.rms_scaling

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        return self._gamma_and_beta(shape, self._scaled, self._centered)

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.normalization import LayerNormOnAxes, without_unused

        axes, rank = self.axes(len(shape)), len(shape)
        weighed = self._scaled or self._centered
        sizes = self.sizes(shape) if weighed else ()
        if not self.rms_scaling and weighed and _are_last(axes, rank):
            stock = nn.LayerNorm(sizes, eps=self.epsilon, elementwise_affine=self.scale or self.center)
            return without_unused(stock, self.scale, self.center)
        broadcast = [shape[axis] if axis in axes else 1 for axis in range(rank)]
        return LayerNormOnAxes(axes, sizes, broadcast, self.epsilon, self._scaled, self._centered,  # type: ignore[arg-type]
                               subtract_mean=not self.rms_scaling)

    def get_config(self) -> dict[str, Any]:
        return _with_list_of_axes(self, super().get_config())


class RMSNormalization(_Normalization):
    """Divides each sample by its root mean square over ``axis``, which must be the last axis or axes.

    Keras accepts other axes as far as shapes go, and fails when it computes; here compiling fails.

    Input shape:  any, with known sizes on ``axis``
    Output shape: the same

    >>> RMSNormalization(input_shape=(8, 16)).count_params()
    16
    """

    axis: Axes = -1
    epsilon: float = 1e-6
    several_axes = True
    supports_masking = False

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        sizes = self.sizes(shape)
        return [weight("scale", sizes, "ones", at="weight", axes=("channels",) if len(sizes) == 1 else ())]

    def module(self, shape: Shape) -> Any:
        from torch import nn

        if not _are_last(self.axes(len(shape)), len(shape)):
            raise ShapeError(f"axis={self.axis} is not the last axis of rank {len(shape)}, and Keras computes no other",
                             hint="permute the tensor so that the axis is the last")
        return nn.RMSNorm(self.sizes(shape), eps=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return _with_list_of_axes(self, super().get_config())


class GroupNormalization(_Normalization):
    """Normalizes each sample by the mean and variance of groups of channels; ``groups=-1`` makes each channel a group.

    Input shape:  any, with a known size on ``axis`` that ``groups`` divides
    Output shape: the same

    >>> GroupNormalization(groups=4, input_shape=(8, 8, 16)).count_params()
    32
    """

    weights_may_be_refused = True  # by their groups
    groups: int = 32
    axis: Axis = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerLike = "zeros"
    gamma_initializer: InitializerLike = "ones"
    beta_regularizer: RegularizerLike = None
    gamma_regularizer: RegularizerLike = None
    beta_constraint: ConstraintLike = None
    gamma_constraint: ConstraintLike = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups <= 0 and self.groups != -1:
            raise ConfigError(f"GroupNormalization(groups=...) must be a positive integer or -1, got {self.groups}")

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        self._groups(shape)
        return self._gamma_and_beta(shape, self.scale, self.center)

    def _groups(self, shape: Shape) -> int:
        axis, = self.axes(len(shape))
        channels, = self.sizes(shape)
        groups = channels if self.groups == -1 else self.groups
        if axis == 0:
            raise ShapeError("axis 0 is the batch, and each sample is normalized on its own")
        if channels % groups:
            raise ShapeError(f"axis {axis}: {channels} channels do not make {groups} groups of equal size")
        return groups

    def layout(self, shape: Shape) -> str:
        axis, = self.axes(len(shape))
        return CHANNELS_FIRST if axis == len(shape) - 1 and axis > 1 else KERAS

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.normalization import GroupNormOnAxis, without_unused

        groups, (channels,) = self._groups(shape), self.sizes(shape)
        axis = 1 if self.layout(shape) == CHANNELS_FIRST else self.axes(len(shape))[0]
        affine = self.scale or self.center
        if axis == 1 and groups < channels and self.scale >= self.center:
            made: nn.Module = nn.GroupNorm(groups, channels, eps=self.epsilon, affine=affine)
        else:
            made = GroupNormOnAxis(axis, groups, channels, self.epsilon, affine)
        return without_unused(made, self.scale, self.center)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.groups == -1 and self.nodes:  # Keras' layer forgets the -1 once it knows its input
            config["groups"] = self._groups(self.input_shape)
        return config


class UnitNormalization(_Normalization):
    """Divides each sample by its Euclidean norm over ``axis``.

    Input shape:  any
    Output shape: the same

    >>> UnitNormalization().compute_output_shape((None, 5, 3))
    (None, 5, 3)
    """

    built_when_made = True
    axis: Axes = -1
    several_axes = True

    def layout(self, shape: Shape) -> str:
        return ANY

    def module(self, shape: Shape) -> Any:
        import torch.nn.functional as F

        from kerashape_torch.torch_modules import Function

        return Function(F.normalize, dim=self.axis, eps=1e-12)


def _are_last(axes: Sequence[int], rank: int) -> bool:
    """Whether these are the last axes in their order, as torch's modules take them."""
    return list(axes) == list(range(rank - len(axes), rank))


def _with_list_of_axes(layer: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Keras' layer makes a sorted list of its axis once it knows its input, and writes that."""
    if layer.nodes:
        config["axis"] = sorted(layer.axis) if isinstance(layer.axis, tuple) else [layer.axis]
    return config

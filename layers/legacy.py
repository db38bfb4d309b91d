"""Small layers of Keras 1 and 2 that Keras 3 has dropped, so that models made of them can be described and run."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from kerashape_torch import initializers
from kerashape_torch.activations import Activation as ActivationLike
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Positive
from kerashape_torch.layer import ANY, CHANNELS_FIRST, Layer
from kerashape_torch.layers import merging
from kerashape_torch.layers.function import Lambda
from kerashape_torch.layers.normalization import BatchNormalization
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, fixed, require_rank
from kerashape_torch.weights import Place, WeightSpec, weight


class ThresholdedReLU(Layer):
    """``x`` where it is above ``theta``, 0 elsewhere.

    Input shape:  any
    Output shape: the same

    >>> ThresholdedReLU(theta=0.5).compute_output_shape((None, 8))
    (None, 8)
    """

    theta: float = 1.0
    built_when_made = True
    supports_masking = True

    def __post_init__(self) -> None:
        if self.theta < 0:
            raise ConfigError(f"ThresholdedReLU(theta=...) must be 0 or more, got {self.theta}")

    def layout(self, shape: Shape) -> str:
        return ANY

    def module(self, shape: Shape) -> Any:
        from torch import nn

        return nn.Threshold(self.theta, 0.0)


class SyncBatchNormalization(BatchNormalization):
    """:class:`BatchNormalization` over all devices of a tf.distribute strategy; on one device there is no difference.

    >>> SyncBatchNormalization().compute_output_shape((None, 8, 8, 3))
    (None, 8, 8, 3)
    """

    synchronized = True


class RandomFourierFeatures(Layer):
    """Random features whose products approximate a kernel: ``cos(inputs @ unscaled_kernel / kernel_scale + bias)``.

    Only the scale can be trained, and is with ``trainable=True``. Without ``scale`` it begins at ``sqrt(features / 2)``
    for the ``gaussian`` kernel, and at 1 for others.

    Input shape:  (batch, features)
    Output shape: (batch, output_dim)

    >>> RandomFourierFeatures(16).compute_output_shape((None, 3))
    (None, 16)
    """

    output_dim: Positive
    kernel_initializer: Any = "gaussian"
    scale: float | None = None
    trainable = False  # the default of the argument, not the property

    def __post_init__(self) -> None:
        if isinstance(self.kernel_initializer, str) and self.kernel_initializer.lower() not in _RANDOM_FEATURES:
            raise ConfigError("RandomFourierFeatures(kernel_initializer=...) must be 'gaussian', 'laplacian' or an "
                              f"initializer, got {self.kernel_initializer!r}")
        if self.scale is not None and self.scale <= 0:
            raise ConfigError(f"RandomFourierFeatures(scale=...) must be above 0, got {self.scale}")

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_rank(shape, 2, "(batch, features)")
        return (shape[0], self.output_dim)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        features = fixed(shape[-1], "features")
        kernel: Any = self.kernel_initializer
        gaussian = False
        if isinstance(kernel, str):
            gaussian = kernel.lower() == "gaussian"
            kernel = _RANDOM_FEATURES[kernel.lower()]()
        scale = self.scale or (math.sqrt(features / 2) if gaussian else 1.0)
        return [weight("kernel_scale", (1,), initializers.Constant(scale), constraint="NonNeg"),
                weight("unscaled_kernel", (features, self.output_dim), kernel, pattern="i o -> o i", trainable=False,
                       axes=("input features", "output_dim")),
                weight("bias", (self.output_dim,), initializers.RandomUniform(0.0, 2 * math.pi), trainable=False,
                       axes=("output_dim",))]

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.legacy import RandomFourierFeatures as Module

        return Module(fixed(shape[-1], "features"), self.output_dim)


class _Cauchy(initializers.Initializer, catalog=False):
    """Draws from the Cauchy distribution, whose Fourier transform is the Laplacian kernel."""

    def __call__(self, shape: Sequence[int], dtype: Any = None, device: Any = None, generator: Any = None) -> Any:
        uniform = initializers.RandomUniform(-math.pi / 2, math.pi / 2)
        return uniform(tuple(shape), dtype=dtype, device=device, generator=generator).tan()


_RANDOM_FEATURES: dict[str, Callable[[], Any]] = {"gaussian": lambda: initializers.RandomNormal(stddev=1.0),
                                                  "laplacian": _Cauchy}


class _RandomSize(Layer, catalog=False):
    """Resizes a batch of images along one axis by a random factor in training; leaves them alone otherwise.

    ``factor`` is how much smaller and larger, as (-0.2, 0.3), or both at once, as 0.2. ``seed`` and
    ``rng_type`` do not reach torch.
    """

    axis: ClassVar[int]

    factor: float | tuple[float, float] | list[float]
    interpolation: str = "bilinear"
    seed: int | None = None
    rng_type: Any = None

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest factor, without the 1 that is added to it."""
        factor = self.factor
        return (-factor, factor) if isinstance(factor, (int, float)) else (factor[0], factor[1])

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not -1 <= low <= high:
            raise ConfigError(f"{type(self).__name__}(factor=...) must be -1 or more, the smaller bound first, "
                              f"got {self.factor}")

    def layout(self, shape: Shape) -> str:
        return CHANNELS_FIRST

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_rank(shape, 4, "(batch, height, width, channels)")
        return tuple(None if axis == self.axis else size for axis, size in enumerate(shape))

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.legacy import RandomSize

        return RandomSize(self.axis + 1, *self.bounds, self.interpolation)


class RandomHeight(_RandomSize):
    """Stretches images to a random height in training.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, None, width, channels)

    >>> RandomHeight(0.2).compute_output_shape((None, 32, 32, 3))
    (None, None, 32, 3)
    """

    axis = 1


class RandomWidth(_RandomSize):
    """Stretches images to a random width in training.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, height, None, channels)

    >>> RandomWidth((-0.2, 0.3)).compute_output_shape((None, 32, 32, 3))
    (None, 32, None, 3)
    """

    axis = 2


class DenseFeatures(Layer):
    """TensorFlow's feature columns, which are code of TensorFlow's own: refused, with the way out."""

    feature_columns: Any = None
    partitioner: Any = None

    def __post_init__(self) -> None:
        raise ConfigError("DenseFeatures: feature columns are objects of TensorFlow, which are not read. Way out: an "
                          "Input for each column, with Normalization, CategoryEncoding, StringLookup or Embedding, "
                          "and Concatenate")


# ---- Keras 1 ---------------------------------------------------------------------------------------------------------


def _keras1_weight(layer: Any, name: str, shape: tuple[int, ...], place: Place) -> WeightSpec:
    """``W`` or ``b``, by the names that Keras 1 had for its arguments."""
    initializer = layer.init if name == "W" else "zeros"
    return WeightSpec(name, shape, True, initializer, getattr(layer, f"{name}_regularizer"),
                      getattr(layer, f"{name}_constraint"), (), (place,))


class MaxoutDense(Layer):
    """The largest of ``nb_feature`` dense layers, output by output. From Keras 1.

    Input shape:  (batch, features)
    Output shape: (batch, output_dim)

    >>> layer = MaxoutDense(output_dim=8, nb_feature=3, input_dim=4)
    >>> layer.output_shape, layer.count_params()
    ((None, 8), 120)
    """

    output_dim: Positive
    nb_feature: Positive = 4
    init: InitializerLike = "glorot_uniform"
    W_regularizer: RegularizerLike = None
    b_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    W_constraint: ConstraintLike = None
    b_constraint: ConstraintLike = None
    bias: bool = True

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_rank(shape, 2, "(batch, features)")
        return (shape[0], self.output_dim)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        features = fixed(shape[-1], "features")
        sizes = {"k": self.nb_feature}
        kernel = Place("weight", "k i o -> (k o) i", sizes=sizes)
        specs = [_keras1_weight(self, "W", (self.nb_feature, features, self.output_dim), kernel)]
        if self.bias:
            bias = Place("bias", "k o -> (k o)", sizes=sizes)
            specs.append(_keras1_weight(self, "b", (self.nb_feature, self.output_dim), bias))
        return specs

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.legacy import MaxoutLinear

        return MaxoutLinear(fixed(shape[-1], "features"), self.output_dim, self.nb_feature, self.bias)


class Highway(Layer):
    """A dense layer and its input, mixed by a gate: ``gate * activation(dense(x)) + (1 - gate) * x``. From Keras 1.

    Input shape:  (batch, features)
    Output shape: the same

    >>> layer = Highway(activation="relu", input_dim=4)
    >>> layer.output_shape, [spec.name for spec in layer.weights]
    ((None, 4), ['W', 'W_carry', 'b', 'b_carry'])
    """

    activation_is_inside = True

    init: InitializerLike = "glorot_uniform"
    activation: ActivationLike = None
    W_regularizer: RegularizerLike = None
    b_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    W_constraint: ConstraintLike = None
    b_constraint: ConstraintLike = None
    bias: bool = True

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_rank(shape, 2, "(batch, features)")
        return shape

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        n = fixed(shape[-1], "features")
        specs = [_keras1_weight(self, "W", (n, n), Place("dense.weight", "i o -> o i")),
                 weight("W_carry", (n, n), self.init, at="gate.weight", pattern="i o -> o i")]
        if self.bias:
            specs += [_keras1_weight(self, "b", (n,), Place("dense.bias")),
                      weight("b_carry", (n,), "ones", at="gate.bias")]
        return specs

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.layers.recurrent_cells import activation_inside
        from kerashape_torch.torch_modules.legacy import Highway as Module

        return Module(fixed(shape[-1], "features"), self.bias, activation_inside(self, "activation", shape))


def Merge(layers: Any = None, mode: Any = "sum", concat_axis: int = -1, dot_axes: Any = -1, output_shape: Any = None,
          arguments: Any = None, name: str | None = None) -> Layer:
    """Keras 1's layer for lists of tensors, as the layer that does the same today.

    ``cos`` is :class:`Dot` of unit vectors. A function as ``mode`` is a :class:`Lambda` of a list of torch tensors.

    >>> Merge(mode="concat", concat_axis=1)
    Concatenate(axis=1)
    """
    if layers:
        raise ConfigError("Merge([left, right]) at the bottom of a Sequential is not taken: merge tensors. Way out: "
                          "Model([left.input, right.input], Merge(mode=...)([left.output, right.output]))")
    if callable(mode):
        return Lambda(mode, output_shape=output_shape, arguments=arguments, name=name)
    dot_axes = tuple(dot_axes) if isinstance(dot_axes, (list, tuple)) else dot_axes
    modes: dict[str, Callable[[], Layer]] = {
        "sum": lambda: merging.Add(name=name), "mul": lambda: merging.Multiply(name=name),
        "ave": lambda: merging.Average(name=name), "max": lambda: merging.Maximum(name=name),
        "concat": lambda: merging.Concatenate(axis=concat_axis, name=name),
        "dot": lambda: merging.Dot(axes=dot_axes, name=name),
        "cos": lambda: merging.Dot(axes=dot_axes, normalize=True, name=name)}
    if mode not in modes:
        raise ConfigError(f"Merge(mode=...) must be a function or one of {', '.join(map(repr, modes))}, got {mode!r}")
    return modes[mode]()


def merge(inputs: Sequence[Any], mode: Any = "sum", **arguments: Any) -> Any:
    """Keras 1's function for lists of tensors: ``Merge(mode=mode)(inputs)``.

    >>> from kerashape_torch import Input
    >>> merge([Input((4,)), Input((4,))], mode="concat").shape
    (None, 8)
    """
    return Merge(mode=mode, **arguments)(inputs)

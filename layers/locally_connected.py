"""Convolutions of Keras 2 whose window has other weights at each place."""

from typing import Any

from kerashape_torch.activations import Activation as ActivationLike
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import DataFormat, Padding, Positive, Sizes
from kerashape_torch.layers.convolution import AXES_IN_EINOPS, Convolving
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, count, fixed
from kerashape_torch.weights import WeightSpec

_PLACES_IN_EINOPS = {1: "x", 2: "y x"}


class _LocallyConnected(Convolving, catalog=False):
    """The rules of both. As in tf.keras, the kernel's shape depends on ``implementation``:

    1. (places, window * channels, filters), for padding ``valid`` alone;
    2. every input element to every output element, of which those in no window change nothing;
    3. one axis with the weights of 2 that do, in the order of the output and then of the input.

    Padding ``same`` puts windows around every ``strides``-th element; one of even size reaches farther to the front.
    """

    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    activation: ActivationLike = None
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    implementation: int = 1
    dilation_rate = 1

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.implementation not in (1, 2, 3):
            raise ConfigError(f"{name}(implementation=...) must be 1, 2 or 3, got {self.implementation}")
        if self.implementation == 1 and self.padding != "valid":
            raise ConfigError(f"{name}(padding={self.padding!r}): implementation 1 has padding 'valid' only. "
                              "Way out: implementation=2 or 3")

    def compute_output_shape(self, shape: Shape) -> Shape:
        return self.slid_over(shape, self.filters)

    def _known_sizes(self, shape: Shape) -> tuple[int, ...]:
        return tuple(fixed(size, axis) for size, axis in zip(self.spatial(shape), self.axis_names))

    def _windows(self, shape: Shape) -> list[list[range]]:
        """For each spatial axis the input elements that each place sees."""
        axes = zip(self._known_sizes(shape), self.numbers("kernel_size"), self.numbers("strides"), self._before(),
                   self.spatial(self.compute_output_shape(shape)))
        return [[range(max(start, 0), min(start + window, size))
                 for start in range(-before, -before + (places or 0) * stride, stride)]
                for size, window, stride, before, places in axes]

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        channels, sizes, windows = self.channels(shape), self._known_sizes(shape), self._windows(shape)
        places = tuple(len(axis) for axis in windows)
        along = tuple(f"places along {axis}" for axis in self.axis_names)
        spatial, out = AXES_IN_EINOPS[self.rank], _PLACES_IN_EINOPS[self.rank]
        lengths: dict[str, Any] = dict(zip([*spatial.split(), *out.split(), "c", "f"],
                                           [*sizes, *places, channels, self.filters]))
        first = self.is_channels_first
        if self.implementation == 1:
            window = count(self.numbers("kernel_size")) * channels
            kernel = self.kernel_spec("kernel", (count(places), window, self.filters),
                                 f"o {'(c k)' if first else '(k c)'} f -> o k c f",
                                 ("places", "window * input channels", "filters"), **lengths)
        elif self.implementation == 2:
            before = self._ordered(sizes, channels), self._ordered(self.axis_names, "input channels")
            after = self._ordered(places, self.filters), self._ordered(along, "filters")
            pattern = f"c {spatial} f {out}" if first else f"{spatial} c {out} f"
            kernel = self.kernel_spec("kernel", before[0] + after[0], f"{pattern} -> f ({out}) c ({spatial})",
                                 before[1] + after[1], **lengths)
        else:
            connections = count([sum(map(len, axis)) for axis in windows])
            kernel = self.kernel_spec("kernel", (connections * channels * self.filters,), None, ("connections",))
        if not self.use_bias:
            return [kernel]
        pattern = f"{out} f -> f ({out})"
        if first:  # tf.keras reads the same numbers as (filters, places), and moves no axis
            pattern = f"{out} f -> ({out} f); (f o) -> f o"
        return [kernel, self.kernel_spec("bias", (*places, self.filters), pattern, (*along, "filters"), name="bias",
                                    at="bias", **lengths)]

    def _ordered(self, spatial: tuple[Any, ...], channels: Any) -> tuple[Any, ...]:
        return (channels, *spatial) if self.is_channels_first else (*spatial, channels)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules import locally_connected

        kind = (locally_connected.LocallyConnected, locally_connected.DenselyStored,
                locally_connected.SparselyStored)[self.implementation - 1]
        places = tuple(map(len, self._windows(shape)))
        return kind(self.channels(shape), self.filters, self._known_sizes(shape), places, self.numbers("kernel_size"),
                    self.numbers("strides"), self._before(), bias=self.use_bias,
                    filters_last=not self.is_channels_first)

    def _before(self) -> tuple[int, ...]:
        """How many elements are padded in front of each axis."""
        return tuple(window // 2 if self.padding == "same" else 0 for window in self.numbers("kernel_size"))


class LocallyConnected1D(_LocallyConnected):
    """Slides windows over steps, with other weights at each place.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, windows, filters)

    >>> LocallyConnected1D(4, 3).compute_output_shape((None, 10, 2))
    (None, 8, 4)
    """

    rank = 1


class LocallyConnected2D(_LocallyConnected):
    """Slides windows over an image, with other weights at each place.

    With ``data_format="channels_first"`` the numbers of the bias, which is (rows, columns, filters), are read as if
    they were (filters, rows, columns), as tf.keras does.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, windows down, windows across, filters)

    >>> layer = LocallyConnected2D(4, 3, input_shape=(8, 8, 2))
    >>> layer.output_shape, [spec.shape for spec in layer.weights]
    ((None, 6, 6, 4), [(36, 18, 4), (6, 6, 4)])
    """

    rank = 2

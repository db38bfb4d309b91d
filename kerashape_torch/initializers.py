"""The initializers of Keras 3: how the weights of a layer begin.

An initializer is a description. Called with a shape in Keras' layout, it gives a torch tensor that follows the same
distribution as Keras'; the numbers themselves differ, as they do between Keras' own backends.

>>> GlorotUniform(seed=1)
GlorotUniform(seed=1)
>>> tuple(get("glorot_uniform")((3, 4)).shape)
(3, 4)
>>> serialize(Constant(2.0))["config"]
{'value': 2.0}
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from kerashape_torch import config
from kerashape_torch.config import Record
from kerashape_torch.errors import ConfigError, ShapeError, did_you_mean
from kerashape_torch.identifiers import FamilyIdentifiers
from kerashape_torch.kinds import Choice, Kind
from kerashape_torch.shape import count, to_text

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self


Shape = Sequence[int]


class _Seed(Kind):
    """An integer, None, or Keras' ``SeedGenerator`` as its config."""

    def read(self, value: Any, where: str) -> Any:
        generator = isinstance(value, Mapping) and value.get("class_name") == "SeedGenerator"
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is None or whole or generator or hasattr(value, "get_config"):
            return value
        raise ConfigError(f"{where} must be an integer, got {value!r}")


def seed_of(value: Any) -> int | None:
    """The integer of a seed, if it has one: its last 64 bits, which is what torch takes."""
    if hasattr(value, "get_config"):
        value = {"config": value.get_config()}
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner.get("seed") if isinstance(inner, Mapping) else None
    if not isinstance(value, int):
        return None
    return value if -2 ** 63 <= value < 2 ** 64 else value % 2 ** 64


class _Value(Kind):
    """A number, or an array, which Keras writes as a dict of its numbers; such a dict is kept as it came."""

    def read(self, value: Any, where: str) -> Any:
        inner = value.get("config") if isinstance(value, Mapping) else {"value": value}
        if not isinstance(inner, Mapping) or "value" not in inner:
            raise ConfigError(f"{where} must be a number or an array, got {value!r}")
        return value

    def write(self, value: Any, record: Any) -> Any:
        if not hasattr(value, "tolist") or getattr(value, "shape", ()) == ():
            return config.to_config(value)
        dtype = str(value.dtype).removeprefix("torch.")
        return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": dtype}}


Seed = Annotated[int | Mapping[str, Any] | None, _Seed()]
Value = Annotated[Any, _Value()]
FanAxes = Sequence[int] | None


def _array(value: Any) -> Any:
    """What ``torch.as_tensor`` takes, from anything that :class:`_Value` keeps."""
    return value["config"]["value"] if isinstance(value, Mapping) else value


def _dtype(dtype: Any) -> "torch.dtype":
    import torch

    found = torch.float32 if dtype is None else getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"dtype must be a torch dtype or the name of one, got {dtype!r}")
    return found


class Initializer(Record, family=True):
    """Base of all initializers. Your own overrides ``__call__(shape, dtype=None)``, as in Keras."""

    keras_module = "keras.initializers"

    def __call__(self, shape: Shape, dtype: Any = None, device: Any = None,
                 generator: "torch.Generator | None" = None) -> "torch.Tensor":
        """A tensor of this shape, drawn in float32 (or float64) and then cast.

        Args:
            dtype: a torch dtype or its name; None is float32.
            generator: draws for an initializer without a seed; one with a seed always draws the same numbers.
        """
        import torch

        target = torch.empty(0, device=device).device  # get_default_device() sees no `with` in torch 2.6
        made = _dtype(dtype)
        shape = tuple(shape)
        self._check(shape)
        if target.type == "meta":  # nothing to draw
            return torch.empty(shape, dtype=made, device=target)
        seed = seed_of(getattr(self, "seed", None))
        if seed is not None:
            generator = torch.Generator(target).manual_seed(seed)
        like = torch.empty(0, dtype=torch.float64 if made == torch.float64 else torch.float32,
                           device=target if generator is None else generator.device)
        return self._values(shape, like, generator).to(target, made)

    def _check(self, shape: tuple[int, ...]) -> None:
        """Raises ShapeError for a shape that cannot be initialized this way."""

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        """The numbers, in the dtype and on the device of ``like``."""
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(shape, dtype=None)")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Self":
        return cls._of(dict(config))  # arrays and seeds stay in the form that Keras wrote


# ---- constants -------------------------------------------------------------------------------------------------------


class Zeros(Initializer, aliases=("zeros", "zero")):
    """All 0."""

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        return like.new_zeros(shape)


class Ones(Initializer, aliases=("ones", "one")):
    """All 1."""

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        return like.new_ones(shape)


class Constant(Initializer, aliases=("constant",)):
    """All ``value``, which may also be an array that broadcasts to the shape."""

    value: Value = 0.0

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        import torch

        value = torch.as_tensor(_array(self.value)).to(like)
        try:
            return value.broadcast_to(shape).clone()
        except RuntimeError:
            raise ShapeError(f"a value of shape {to_text(value.shape)} does not fill {to_text(shape)}") from None


class Identity(Initializer, aliases=("identity", "IdentityInitializer")):
    """``gain`` on the diagonal of a matrix, 0 elsewhere."""

    gain: float = 1.0

    def get_config(self) -> dict[str, Any]:
        # Keras writes no gain, so that one other than 1 is lost in its files; but it reads one.
        return {} if self.gain == 1 else super().get_config()

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ShapeError(f"Identity fills a matrix, got {to_text(shape)} of rank {len(shape)}")

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        import torch

        return self.gain * torch.eye(*shape, dtype=like.dtype, device=like.device)


# ---- distributions ---------------------------------------------------------------------------------------------------


def _uniform(shape: Shape, low: float, high: float, like: "torch.Tensor", generator: Any) -> "torch.Tensor":
    low, high = min(low, high), max(low, high)  # Keras does not mind which is which
    return like.new_empty(tuple(shape)).uniform_(low, high, generator=generator)


def _normal(shape: Shape, mean: float, stddev: float, like: "torch.Tensor", generator: Any) -> "torch.Tensor":
    return like.new_empty(tuple(shape)).normal_(mean, stddev, generator=generator)


def _truncated(shape: Shape, mean: float, stddev: float, like: "torch.Tensor", generator: Any) -> "torch.Tensor":
    import torch

    drawn = torch.nn.init.trunc_normal_(like.new_empty(tuple(shape)), a=-2.0, b=2.0, generator=generator)
    return drawn.mul_(stddev).add_(mean)  # scaled afterwards: a standard deviation of 0 is allowed


class RandomUniform(Initializer, aliases=("random_uniform", "uniform")):
    """Evenly between ``minval`` and ``maxval``."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: Seed = None

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        return _uniform(shape, self.minval, self.maxval, like, generator)


class RandomNormal(Initializer, aliases=("random_normal", "normal")):
    """Normally around ``mean``."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: Seed = None

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        return _normal(shape, self.mean, self.stddev, like, generator)


class TruncatedNormal(Initializer, aliases=("truncated_normal",)):
    """Normally around ``mean``, at most two ``stddev`` away; ``stddev`` is the one before values are cut off."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: Seed = None

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        return _truncated(shape, self.mean, self.stddev, like, generator)


class Orthogonal(Initializer, aliases=("orthogonal", "OrthogonalInitializer")):
    """``gain`` times a matrix with orthonormal columns, or rows if there are fewer of them.

    A tensor of higher rank is such a matrix with all but its last axis flattened.
    """

    gain: float = 1.0
    seed: Seed = None

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal needs two axes or more, got {to_text(shape)} of rank {len(shape)}")

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        import torch

        rows, columns = count(shape[:-1]), shape[-1]
        drawn = _normal((max(rows, columns), min(rows, columns)), 0.0, 1.0, like, generator)
        q, r = torch.linalg.qr(drawn)
        q = q * torch.sign(torch.diagonal(r))  # makes all orthogonal matrices equally likely
        matrix: torch.Tensor = self.gain * q
        return (matrix if rows >= columns else matrix.T).reshape(shape)


# ---- distributions scaled by the number of connections ---------------------------------------------------------------


def compute_fans(shape: Shape, input_axes: FanAxes = None, output_axes: FanAxes = None) -> tuple[int, int]:
    """How many inputs one output of a kernel sees, and how many outputs see one input, from the shape in Keras' layout.

    As in Keras, the axes count only if both are given.

    >>> compute_fans((784, 10)), compute_fans((3, 3, 16, 32)), compute_fans((5,))
    ((784, 10), (144, 288), (5, 5))
    """
    if input_axes is not None and output_axes is not None:
        return count([shape[axis] for axis in input_axes]), count([shape[axis] for axis in output_axes])
    if len(shape) < 2:
        return count(shape), count(shape)
    window = count(shape[:-2])
    return window * shape[-2], window * shape[-1]


_CUT_STDDEV = 0.87962566103423978  # standard deviation of a standard normal that is cut off at -2 and 2


class _Scaled(Initializer, catalog=False):
    """Draws with variance ``scale / fan``."""

    scale: ClassVar[float] = 1.0
    mode: ClassVar[str] = "fan_in"
    distribution: ClassVar[str] = "truncated_normal"

    seed: Seed = None
    input_axes: FanAxes = None
    output_axes: FanAxes = None

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return _uniform(shape, -limit, limit, like, generator)
        if self.distribution == "untruncated_normal":
            return _normal(shape, 0.0, math.sqrt(variance), like, generator)
        return _truncated(shape, 0.0, math.sqrt(variance) / _CUT_STDDEV, like, generator)


class _Distribution(Choice):
    def read(self, value: Any, where: str) -> Any:
        value = super().read(value, where)
        return "truncated_normal" if value == "normal" else value  # Keras 1's name, which Keras 3 takes and rewrites


class VarianceScaling(_Scaled, aliases=("variance_scaling",)):
    """Variance ``scale / fan``, with the fan that ``mode`` names, after truncation where there is one."""

    scale: float = 1.0  # type: ignore[misc]
    mode: Annotated[str, Choice("fan_in", "fan_out", "fan_avg")] = "fan_in"  # type: ignore[misc]
    distribution: Annotated[  # type: ignore[misc]
        str, _Distribution("uniform", "truncated_normal", "untruncated_normal", "normal")] = "truncated_normal"
    seed: Seed = None
    input_axes: FanAxes = None
    output_axes: FanAxes = None

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ConfigError(f"VarianceScaling(scale=...) must be positive, got {self.scale}")


class GlorotUniform(_Scaled, aliases=("glorot_uniform",)):
    """Uniform with variance ``2 / (fan_in + fan_out)``. The default kernel initializer of most layers."""

    mode, distribution = "fan_avg", "uniform"


class GlorotNormal(_Scaled, aliases=("glorot_normal",)):
    """Truncated normal with variance ``2 / (fan_in + fan_out)``."""

    mode = "fan_avg"


class LecunUniform(_Scaled, aliases=("lecun_uniform",)):
    """Uniform with variance ``1 / fan_in``."""

    distribution = "uniform"


class LecunNormal(_Scaled, aliases=("lecun_normal",)):
    """Truncated normal with variance ``1 / fan_in``."""


class HeUniform(_Scaled, aliases=("he_uniform",)):
    """Uniform with variance ``2 / fan_in``."""

    scale, distribution = 2.0, "uniform"


class HeNormal(_Scaled, aliases=("he_normal",)):
    """Truncated normal with variance ``2 / fan_in``."""

    scale = 2.0


# ---- Fourier kernels -------------------------------------------------------------------------------------------------

# Windows that are sums of cosines, by their coefficients; SciPy, which Keras asks for them, has the same numbers.
_COSINE_SUMS = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
_WINDOWS = (*_COSINE_SUMS, "bartlett", "cosine")


def _window(window: Any, size: int, periodic: bool) -> "torch.Tensor":
    import torch

    if isinstance(window, str) and window in _COSINE_SUMS:
        return torch.signal.windows.general_cosine(size, a=_COSINE_SUMS[window], sym=not periodic, dtype=torch.float64)
    if isinstance(window, str):
        made: torch.Tensor = getattr(torch.signal.windows, window)(size, sym=not periodic, dtype=torch.float64)
        return made
    values = torch.as_tensor(_array(window), dtype=torch.float64, device="cpu")
    if values.shape != (size,):
        raise ShapeError(f"the window has the shape {to_text(values.shape)}, the frame is {size} long")
    return values


class STFT(Initializer, aliases=("stft", "STFTInitializer")):
    """The real or the imaginary side of a short-time Fourier transform, as a convolution kernel.

    Args:
        side: ``"real"`` or ``"imag"``.
        window: the name of a window, its values, or None.
        scaling: ``"density"`` divides by the window's L2 norm, ``"spectrum"`` by its L1 norm.
        periodic: whether a named window is periodic rather than symmetric.
    """

    side: Annotated[str, Choice("real", "imag")] = "real"
    window: Value = "hann"
    scaling: str | None = "density"
    periodic: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.window, str) and self.window not in _WINDOWS:
            raise ConfigError(f"STFT(window=...) must be one of {', '.join(map(repr, _WINDOWS))}, or the values of a "
                              f"window, got {self.window!r}.{did_you_mean(self.window, _WINDOWS)}")
        if self.scaling not in (None, "density", "spectrum"):
            raise ConfigError(f"STFT(scaling=...) must be None, 'density' or 'spectrum', got {self.scaling!r}")

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3:
            raise ShapeError(f"STFT fills (frame length, 1, frequencies), got {to_text(shape)} of rank {len(shape)}")

    def _values(self, shape: tuple[int, ...], like: "torch.Tensor", generator: Any) -> "torch.Tensor":
        import torch

        frame, _, bins = shape
        # In float64: the angles grow with the length of the frame, and the cosine needs their last digits.
        time = torch.arange(frame, dtype=torch.float64, device="cpu").reshape(-1, 1, 1)
        frequency = torch.arange(bins, dtype=torch.float64, device="cpu") / (2 * (bins - 1) or math.nan)
        angle = -2 * math.pi * time * frequency
        kernel = torch.cos(angle) if self.side == "real" else torch.sin(angle)
        if self.window is None:
            return kernel
        window = _window(self.window, frame, self.periodic)
        if self.scaling is not None:
            window = window / torch.linalg.vector_norm(window, 2 if self.scaling == "density" else 1)
        return kernel * window.reshape(-1, 1, 1)


# ---- identifiers -----------------------------------------------------------------------------------------------------


class _Initializers(FamilyIdentifiers):
    def get(self, identifier: Any) -> Any:
        """The initializer that a name, config, class, object or array stands for."""
        if isinstance(identifier, Initializer):
            return identifier
        is_array = hasattr(identifier, "tolist") and hasattr(identifier, "shape")
        return Constant(identifier) if is_array else super().get(identifier)


_identifiers = _Initializers(Initializer)
get = _identifiers.get


def of_weight(identifier: Any) -> Any:
    """What a weight is drawn by, called with a shape, a dtype and a device: as in Keras, ``None`` is Glorot's uniform
    numbers. Keras tells no device, so what a class or a function written for Keras draws is
    moved there.

    >>> of_weight(None), of_weight("zeros")
    (GlorotUniform(), Zeros())
    """
    found = get("glorot_uniform" if identifier is None else identifier)
    if not callable(found):
        return found
    try:
        own = inspect.signature(found).parameters
    except ValueError:  # one written in C
        return found
    if "device" in own or any(p.kind is p.VAR_KEYWORD for p in own.values()):
        return found
    as_keras_calls_it: Any = found
    return lambda shape, dtype=None, device=None: as_keras_calls_it(shape, dtype=dtype).to(device)


serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

InitializerLike = Annotated[str | Mapping[str, Any] | Callable[..., Any] | Initializer | None, _identifiers]
"""A field of a layer that holds an initializer; written as its full config."""

# keras.initializers has each class under its names in snake case, too.
zeros, ones, constant, identity, stft, orthogonal = Zeros, Ones, Constant, Identity, STFT, Orthogonal
random_uniform, random_normal, truncated_normal = RandomUniform, RandomNormal, TruncatedNormal
variance_scaling, glorot_uniform, glorot_normal = VarianceScaling, GlorotUniform, GlorotNormal
he_uniform, he_normal, lecun_uniform, lecun_normal = HeUniform, HeNormal, LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT

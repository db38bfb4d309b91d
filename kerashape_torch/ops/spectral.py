"""Ops of frequencies and of complex numbers."""

from typing import Any

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.ops import rules
from kerashape_torch.ops.operation import Recipe, TorchFunction, as_tuple, op, own, stock
from kerashape_torch.shape import Size, to_text

Parts = tuple[TensorSpec, TensorSpec]


def _parts(x: Any, rank: int, known: int = 0) -> TensorSpec:
    """The real part of a pair (real, imaginary), which the imaginary part must be like."""
    if not isinstance(x, (list, tuple)) or len(x) != 2:
        raise ShapeError("takes a pair of tensors: the real and the imaginary part")
    if x[0].shape != x[1].shape:
        raise ShapeError(f"the real part is {to_text(x[0].shape)}, the imaginary part {to_text(x[1].shape)}")
    real: TensorSpec = x[0]
    if real.ndim < rank:
        raise ShapeError(f"expected rank {rank} or more, got {to_text(real.shape)}")
    if None in real.shape[real.ndim - known:]:
        raise ShapeError(f"the last {known or ''} axes of {to_text(real.shape)} must be known")
    return real


def _resized(x: TensorSpec, *last: Size, axes: int = 1) -> TensorSpec:
    return TensorSpec((*x.shape[:x.ndim - axes], *last), x.dtype)


def _pair(x: TensorSpec) -> Parts:
    return x, TensorSpec(x.shape, x.dtype)


def _transforms(names: dict[str, int]) -> None:
    def rule_of(axes: int) -> Any:
        return lambda op, x: _pair(_parts(x, axes, known=axes))

    def recipe_of(name: str) -> Recipe:
        return lambda x, /: own("spectral.transform", function=name)

    for name, axes in names.items():
        op("math", rule_of(axes), class_name=name.upper(), name=name,
           doc=f"``keras.ops.{name}`` of a pair (real, imaginary), as such a pair.")(recipe_of(name))


_transforms({"fft": 1, "fft2": 2, "ifft2": 2})


def _rfft(op: Any, x: TensorSpec) -> Parts:
    if not x.shape:
        raise ShapeError("rfft takes rank 1 or more, got a number")
    length = op.fft_length if op.fft_length is not None else x.shape[-1]
    return _pair(_resized(x, None if length is None else length // 2 + 1))


@op("math", _rfft, class_name="RFFT")
def rfft(x: Any, /, fft_length: Any = None) -> TorchFunction:
    """The Fourier transform of real numbers, as a pair (real, imaginary) of the frequencies from 0 up."""
    return own("spectral.rfft", n=fft_length)


def _irfft(op: Any, x: Any) -> TensorSpec:
    real = _parts(x, 1)
    size = real.shape[-1]
    return _resized(real, op.fft_length if op.fft_length is not None else None if size is None else 2 * (size - 1))


@op("math", _irfft, class_name="IRFFT")
def irfft(x: Any, /, fft_length: Any = None) -> TorchFunction:
    """What :func:`rfft` did, undone."""
    return own("spectral.irfft", n=fft_length)


def _stft(op: Any, x: TensorSpec) -> Parts:
    _check_window(op)
    size = x.shape[-1]
    frames = None
    if size is not None:
        frames = 1 + (size + (op.fft_length // 2 * 2 if op.center else 0) - op.fft_length) // op.sequence_stride
    return _pair(_resized(x, frames, op.fft_length // 2 + 1))


@op("math", _stft, class_name="STFT")
def stft(x: Any, /, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann",
         center: bool = True) -> TorchFunction:
    """The frequencies in a window that moves along the last axis, as a pair (real, imaginary)."""
    return own("spectral.stft", sequence_length=sequence_length, sequence_stride=sequence_stride,
               fft_length=fft_length, window=as_tuple(window), center=center)


def _istft(op: Any, x: Any) -> TensorSpec:
    _check_window(op)
    real = _parts(x, 2)
    frames, length = real.shape[-2], op.length
    if length is None and frames is not None:
        length = (frames - 1) * op.sequence_stride + op.fft_length - (op.fft_length // 2 * 2 if op.center else 0)
    return _resized(real, length, axes=2)


@op("math", _istft, class_name="ISTFT")
def istft(x: Any, /, sequence_length: int, sequence_stride: int, fft_length: int, length: Any = None,
          window: Any = "hann", center: bool = True) -> TorchFunction:
    """What :func:`stft` did, undone."""
    return own("spectral.istft", sequence_length=sequence_length, sequence_stride=sequence_stride,
               fft_length=fft_length, length=length, window=as_tuple(window), center=center)


def _check_window(op: Any) -> None:
    if op.sequence_stride <= 0 or op.fft_length < op.sequence_length:
        raise ConfigError(f"fft_length={op.fft_length} must be at least sequence_length={op.sequence_length}, and "
                          f"sequence_stride={op.sequence_stride} positive")
    if isinstance(op.window, str) and op.window not in ("hann", "hamming"):
        raise ConfigError(f"window must be 'hann', 'hamming', None or a list of numbers, got {op.window!r}")


def _sequences(op: Any, x: TensorSpec) -> TensorSpec:
    size = x.shape[-1]
    count = None if size is None else 1 + (size - op.sequence_length) // op.sequence_stride
    return _resized(x, count, op.sequence_length)


@op("math", _sequences)
def extract_sequences(x: Any, /, sequence_length: int, sequence_stride: int) -> TorchFunction:
    """Pieces of the last axis, each some steps after the one before."""
    return stock("unfold_copy", dimension=-1, size=sequence_length, step=sequence_stride)


# ---- complex numbers -------------------------------------------------------------------------------------------------


def _complex(op: Any, x: TensorSpec) -> TensorSpec:
    if not x.shape or x.shape[-1] not in (2, None):
        raise ShapeError(f"the last axis holds a real and an imaginary part, got {to_text(x.shape)}")
    return TensorSpec(x.shape[:-1], "complex64")


@op("math", _complex)
def view_as_complex(x: Any, /) -> TorchFunction:
    """Complex numbers of the pairs in the last axis."""
    return own("spectral.view_as_complex")


@op("math", lambda op, x: TensorSpec((*x.shape, 2), rules.real_dtype(rules.as_float(x.dtype))))
def view_as_real(x: Any, /) -> TorchFunction:
    """Real and imaginary part in a new last axis."""
    return own("spectral.view_as_real")


@op("nn", lambda op, abs_, angle: TensorSpec(rules.broadcast_same(op, abs_, angle).shape, "complex64"))
def polar(abs_: Any, angle: Any, /) -> TorchFunction:
    """Complex numbers of length and angle. (Keras' rule says float32.)"""
    return own("spectral.polar")

"""Functions of signals: frames, Fourier and cosine transforms."""

from __future__ import annotations

import math
from typing import Any

from kerashape_torch.saving.upgrade.constants import array, within_reason
from kerashape_torch.saving.upgrade.expressions import Op, Output, Slice, along
from kerashape_torch.saving.upgrade.sizes import Shapes
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Function,
    Untranslated,
    axis_of,
    fixed,
    tf,
    word,
)

# ---- frames ----------------------------------------------------------------------------------------------------------


@tf("signal.frame")
def frame(signal: Any, frame_length: Any, frame_step: Any, pad_end: bool = False, pad_value: Any = 0, axis: int = -1, *,
          shapes: Shapes) -> Any:
    """With ``pad_end``, a frame begins at every step."""
    shape = shapes.of(signal)
    if axis_of(axis) not in (-1, len(shape) - 1):
        raise Untranslated(f"axis={axis} is not had, but for the last")
    length, step = fixed(frame_length, "frame_length"), fixed(frame_step, "frame_step")
    if pad_end:
        if not shape or shape[-1] is None:
            raise Untranslated("pad_end=True of a signal whose length is not known before there are tensors")
        more = max(0, length + step * (-(-shape[-1] // step) - 1) - shape[-1])
        signal = Op("Pad", signal, pad_width=[[0, 0]] * (len(shape) - 1) + [[0, more]], mode="constant",
                    **({"constant_values": pad_value} if pad_value else {}))
    return Op("ExtractSequences", signal, sequence_length=length, sequence_stride=step)


@tf("signal.overlap_and_add")
def overlap_and_add(signal: Any, frame_step: Any, *, shapes: Shapes) -> Any:
    return _added(signal, shapes.of(signal), fixed(frame_step, "frame_step"))


def _added(frames: Any, shape: Any, step: int) -> Any:
    """Frames (..., count, length) laid where they were, and added up: each as many pieces of ``step``."""
    if len(shape) < 2 or shape[-1] is None or shape[-2] is None or None in shape[1:-2]:
        raise Untranslated("how many frames there are, and how long, is not known before there are tensors")
    count, length = shape[-2:]
    pieces = -(-length // step)
    pads = [[0, 0]] * (len(shape) - 2)
    frames = Op("Pad", frames, pad_width=[*pads, [0, pieces], [0, pieces * step - length]])
    cut = Op("Reshape", frames, newshape=[-1, *shape[1:-2], count + pieces, pieces, step])
    turned = Op("Reshape", Op("Swapaxes", cut, axis1=-3, axis2=-2),
                newshape=[-1, *shape[1:-2], (count + pieces) * pieces, step])
    shifted = Op("Reshape", along(turned, -2, Slice(0, (count + pieces - 1) * pieces, None)),
                 newshape=[-1, *shape[1:-2], pieces, count + pieces - 1, step])
    flat = Op("Reshape", Op("Sum", shifted, axis=-3), newshape=[-1, *shape[1:-2], (count + pieces - 1) * step])
    return along(flat, -1, Slice(0, (count - 1) * step + length, None))


def _window(window_fn: Any, length: int) -> Any:
    """A window that is periodic, as the functions of TensorFlow make it when they are told nothing else."""
    import numpy as np

    if window_fn is None:
        return None
    name = window_fn.get("config", window_fn.get("class_name")) if isinstance(window_fn, dict) else window_fn
    within_reason(length)
    a = word(str(name).split(" ")[1 if str(name).startswith("<function") else 0], "window_fn", {
        "HANN_WINDOW": 0.5, "HAMMING_WINDOW": 0.54})
    turns = np.arange(length) / max(length - length % 2, 1)
    return array(a - (1 - a) * np.cos(2 * math.pi * turns), "float32")


def _size_of(fft_length: Any, frame_length: int) -> int:
    """The next power of two, where no size is given."""
    if fft_length is None:
        return int(2 ** math.ceil(math.log2(frame_length)))
    return int(fixed(fft_length, "fft_length"))


@tf("signal.stft")
def _stft(signals: Any, frame_length: Any, frame_step: Any, fft_length: Any = None, window_fn: Any = "hann_window",
          pad_end: bool = False, *, shapes: Shapes) -> Any:
    frames = frame(signals, frame_length, frame_step, pad_end, shapes=shapes)
    window = _window(window_fn, frame_length)
    frames = frames if window is None else Op("Multiply", frames, window)
    size = _size_of(fft_length, frame_length)
    if size < frame_length:
        raise Untranslated(f"fft_length={size} is less than frame_length={frame_length}")
    return _complex(Op("RFFT", frames, fft_length=size))


@tf("signal.inverse_stft")
def _inverse_stft(stfts: Any, frame_length: Any, frame_step: Any, fft_length: Any = None,
                  window_fn: Any = "hann_window", *, shapes: Shapes) -> Any:
    length, shape = fixed(frame_length, "frame_length"), shapes.of(stfts)
    size = _size_of(fft_length, length)
    frames = along(Op("IRFFT", _parts(stfts), fft_length=size), -1, Slice(0, length, None))
    window = _window(window_fn, length)
    frames = frames if window is None else Op("Multiply", frames, window)
    return _added(frames, (*shape[:-1], length), fixed(frame_step, "frame_step"))


# ---- transforms ------------------------------------------------------------------------------------------------------


def _parts(x: Any) -> list[Op]:
    return [Op("Real", x), Op("Imag", x)]


def _complex(pair: Op) -> Op:
    return Op("ViewAsComplex", Op("Stack", [Output(pair, 0), Output(pair, 1)], axis=-1))


@tf("dtypes.complex", "complex")
def _of_parts(real: Any, imag: Any) -> Any:
    return Op("ViewAsComplex", Op("Stack", [real, imag], axis=-1))


def _transform(op: str) -> Function:
    return lambda input: _complex(Op(op, _parts(input)))


FUNCTIONS.update({"signal.fft": _transform("FFT"), "signal.fft2d": _transform("FFT2"),
                  "signal.ifft2d": _transform("IFFT2")})


@tf("signal.ifft")
def _ifft(input: Any, *, shapes: Shapes) -> Any:
    """The forward transform backwards: of the conjugate, conjugated, over the number of elements."""
    size = (shapes.of(input) or (None,))[-1]
    if size is None:
        raise Untranslated("how long the last axis is, is not known before there are tensors")
    found = Op("FFT", [Op("Real", input), Op("Negative", Op("Imag", input))])
    return Op("ViewAsComplex", Op("Stack", [
        Op("TrueDivide", Output(found, 0), size), Op("TrueDivide", Output(found, 1), -size)], axis=-1))


def _shifted(forwards: bool) -> Function:
    def function(x: Any, axes: Any = None, *, shapes: Shapes) -> Any:
        shape = shapes.of(x)
        along_axes = list(range(len(shape))) if axes is None else axes if isinstance(axes, list) else [axes]
        found = [shape[axis] if shape else None for axis in along_axes]
        sizes = [size for size in found if size is not None]
        if len(sizes) < len(found):
            raise Untranslated("how long an axis is, is not known before there are tensors")
        return Op("Roll", x, shift=[size // 2 if forwards else -(size // 2) for size in sizes], axis=along_axes)

    return function


FUNCTIONS.update({"signal.fftshift": _shifted(forwards=True), "signal.ifftshift": _shifted(forwards=False)})


# ---- cosines ---------------------------------------------------------------------------------------------------------

_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}


def _cosines(kind: int, size: int, ortho: bool) -> Any:
    """The matrix (in, out) of a cosine transform."""
    import numpy as np

    within_reason(size, size)
    n, k = np.arange(size)[:, None], np.arange(size)[None, :]
    if kind == 1:
        return 2 * np.cos(math.pi * n * k / (size - 1)) / np.where((n == 0) | (n == size - 1), 2, 1)
    if kind == 2:
        found = 2 * np.cos(math.pi * (n + 0.5) * k / size)
        return found * np.where(k == 0, math.sqrt(0.25 / size), math.sqrt(0.5 / size)) if ortho else found
    if kind == 3:
        if ortho:
            return _cosines(2, size, ortho).T
        return 2 * np.cos(math.pi * n * (k + 0.5) / size) / np.where(n == 0, 2, 1)
    return 2 * np.cos(math.pi * (n + 0.5) * (k + 0.5) / size) * (math.sqrt(0.5 / size) if ortho else 1)


def _cosine_transform(inverse: bool) -> Function:
    def function(input: Any, type: int = 2, n: Any = None, axis: int = -1, norm: Any = None, *,
                 shapes: Shapes) -> Any:
        size = (shapes.of(input) or (None,))[-1]
        if n is not None or size is None or type not in _INVERSE or (type == 1 and norm):
            raise Untranslated(f"type={type}, n={n}, norm={norm!r} of a last axis of size {size} is not had")
        matrix = _cosines(_INVERSE[type] if inverse else type, size, norm == "ortho")
        return Op("Matmul", input, array(matrix, "float32"))

    return function


FUNCTIONS.update({"signal.dct": _cosine_transform(inverse=False), "signal.idct": _cosine_transform(inverse=True)})


@tf("signal.mfccs_from_log_mel_spectrograms")
def _mfccs(log_mel_spectrograms: Any, *, shapes: Shapes) -> Any:
    size = (shapes.of(log_mel_spectrograms) or (None,))[-1]
    if size is None:
        raise Untranslated("how many mel bins there are is not known before there are tensors")
    return Op("Matmul", log_mel_spectrograms, array(_cosines(2, size, False) / math.sqrt(2 * size), "float32"))

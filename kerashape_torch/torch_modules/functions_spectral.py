"""Functions that torch lacks, for ops of frequencies and of complex numbers: Keras takes and gives pairs of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kerashape_torch.torch_modules.spectrogram import named_window

Parts = tuple[Tensor, Tensor]


def _parts(x: Tensor) -> Parts:
    return x.real, x.imag


def transform(x: Sequence[Tensor], function: str) -> Parts:
    """A transform of ``torch.fft`` on a pair of parts."""
    return _parts(getattr(torch.fft, function)(torch.complex(*x)))


def rfft(x: Tensor, n: int | None) -> Parts:
    """``torch.fft.rfft`` as a pair of parts."""
    return _parts(torch.fft.rfft(x, n=n))


def irfft(x: Sequence[Tensor], n: int | None) -> Tensor:
    """``torch.fft.irfft`` of a pair of parts."""
    found: Tensor = torch.fft.irfft(torch.complex(*x), n=n)
    return found


def stft(x: Tensor, sequence_length: int, sequence_stride: int, fft_length: int, window: Any, center: bool) -> Parts:
    """``torch.stft`` of the last axis, with the frequencies last, as a pair of parts."""
    found = torch.stft(x.reshape(-1, x.shape[-1]), fft_length, sequence_stride, sequence_length,
                       named_window(window, sequence_length, x.dtype, x.device), center=center, return_complex=True)
    return _parts(found.reshape(*x.shape[:-1], *found.shape[-2:]).transpose(-2, -1))


def istft(x: Sequence[Tensor], sequence_length: int, sequence_stride: int, fft_length: int, length: int | None,
          window: Any, center: bool) -> Tensor:
    """The signal whose frames have these frequencies: the frames laid over one another, less what the windows did."""
    frames = irfft(x, fft_length)
    count = frames.shape[-2]
    total = fft_length + sequence_stride * (count - 1)
    if window is None:
        signal = _laid_over(frames, sequence_stride, total)
    else:
        kernel = named_window(window, sequence_length, frames.dtype, frames.device)
        before = (fft_length - sequence_length) // 2
        kernel = F.pad(kernel, (before, fft_length - sequence_length - before))
        if center and sequence_length == fft_length:
            weight = _laid_over(kernel.square().expand(count, -1), sequence_stride, total)
            signal = _laid_over(frames * kernel, sequence_stride, total) / torch.where(weight > 1e-11, weight, 1)
        else:  # as if the signal went on at both ends
            signal = _laid_over(frames * kernel / _steady(kernel, sequence_stride), sequence_stride, total)
    start = fft_length // 2 if center else 0
    end = start + length if length is not None else total - start
    return F.pad(signal, (0, max(end - total, 0)))[..., start:end]


def _steady(kernel: Tensor, stride: int) -> Tensor:
    """What the squared windows that lie over each place of a frame come to, far from the ends."""
    size = kernel.shape[0]
    overlaps = -(-size // stride)
    sums = F.pad(kernel.square(), (0, overlaps * stride - size)).reshape(overlaps, stride).sum(0)
    return sums.repeat(overlaps)[:size]


def _laid_over(frames: Tensor, stride: int, total: int) -> Tensor:
    """Frames added up where they lie in the signal."""
    flat = frames.reshape(-1, *frames.shape[-2:]).transpose(1, 2)
    signal = F.fold(flat, (1, total), (1, frames.shape[-1]), stride=(1, stride))
    return signal.reshape(*frames.shape[:-2], total)


# ---- complex numbers -------------------------------------------------------------------------------------------------


def view_as_complex(x: Tensor) -> Tensor:
    """``torch.view_as_complex`` of any dtype."""
    return torch.complex(x[..., 0].to(torch.float32), x[..., 1].to(torch.float32))


def view_as_real(x: Tensor) -> Tensor:
    """``torch.view_as_real`` of real numbers too."""
    return torch.stack((x.real, x.imag), -1) if x.is_complex() else torch.stack((x, torch.zeros_like(x)), -1)


def polar(abs_: Tensor, angle: Tensor) -> Tensor:
    """``torch.polar`` of any dtypes."""
    length, turn = abs_ + torch.zeros_like(angle), angle + torch.zeros_like(abs_)  # both of the shape of both
    return torch.polar(length.to(torch.float32), turn.to(torch.float32))

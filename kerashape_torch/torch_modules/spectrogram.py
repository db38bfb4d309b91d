"""Spectrograms: by convolution with kernels that can be trained, and by ``torch.stft`` on the mel scale."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from kerashape_torch.shape import Size
from kerashape_torch.torch_modules.convolution import convolution

_EPSILON = 1e-7


class STFTSpectrum(nn.Module):
    """The spectrum of each channel's frames: (batch, channels, steps) to (batch, channels * frequencies, frames).

    Args:
        steps: how many there are, where they are known.
        frame, stride, bins: the length of a frame, the distance between two, and the number of frequencies.
        mode: what is given of each complex number: ``real``, ``imag``, both (``stft``), ``angle``, ``psd``,
            ``magnitude``, or its logarithm (``log``).
        padding: ``valid`` or ``same``.
        expand: gives (batch, channels, frames, frequencies).
    """

    def __init__(self, steps: Size, frame: int, stride: int, bins: int, mode: str, padding: str, expand: bool) -> None:
        super().__init__()
        self.steps, self.frame, self.stride, self.bins, self.padding = steps, frame, stride, bins, padding
        for side in ("real", "imag"):
            if mode != {"real": "imag", "imag": "real"}[side]:
                self.add_module(side, convolution(1, bins, (steps,), (frame,), (stride,), (1,), padding, bias=False))
        self.mode = mode
        self.expand = expand

    def forward(self, x: Tensor) -> Tensor:
        frames = rearrange(x, "b c t -> (b c) 1 t")
        spectrum = self._spectrum([side(frames) for side in self.children()])
        pattern = "(b c) f t -> b c t f" if self.expand else "(b c) f t -> b (c f) t"
        return rearrange(spectrum, pattern, c=x.shape[1])

    def _spectrum(self, sides: list[Tensor]) -> Tensor:
        if self.mode in ("real", "imag", "stft"):
            return torch.cat(sides, dim=1)
        real, imag = sides
        if self.mode == "angle":
            return torch.atan2(imag, real)
        power = real.square() + imag.square()
        if self.mode == "psd":  # all frequencies but the first and the last stand for two
            return power + F.pad(power[:, 1:-1], (0, 0, 1, 1))
        magnitude = power.clamp(min=_EPSILON).sqrt()
        return magnitude if self.mode == "magnitude" else magnitude.clamp(min=_EPSILON).log()

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}, expand={self.expand}"


def mel_matrix(bins: int, mels: int, sampling_rate: float, lowest: float, highest: float) -> Tensor:
    """Weights (bins, mels) from frequencies in hertz to bands that are even on the mel scale, each a triangle.

    In float32, as in Keras. The first bin, which is no frequency, has none.

    >>> mel_matrix(5, 2, 8000, 0.0, 4000.0).shape
    torch.Size([5, 2])
    """

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log(1.0 + hertz / 700.0)

    def evenly(first: Tensor, last: Tensor, count: int) -> Tensor:
        return first + torch.arange(count, device="cpu") / (count - 1) * (last - first)

    zero, low, high, top = torch.tensor([0.0, lowest, highest, sampling_rate / 2.0], device="cpu")
    edges = evenly(mel(low), mel(high), mels + 2)
    start, center, end = edges[:-2], edges[1:-1], edges[2:]
    at = mel(evenly(zero, top, bins)[1:])[:, None]
    triangles = torch.minimum((at - start) / (center - start), (end - at) / (end - center)).clamp(min=0)
    return F.pad(triangles, (0, 0, 1, 0))


class MelSpectrum(nn.Module):
    """The power of each mel band in each frame, in decibels if asked: (..., samples) to (..., mels, frames).

    Args:
        fft_length, stride: of ``torch.stft``, whose frames are centred and mirrored at both ends.
        window: of one frame.
        matrix: see :func:`mel_matrix`.
        exponent: of the magnitudes.
        decibels: None, or the least power, the power of 0 dB, and how far below the loudest is cut off.
    """

    window: Tensor
    matrix: Tensor

    def __init__(self, fft_length: int, stride: int, window: Tensor, matrix: Tensor, exponent: float,
                 decibels: tuple[float, float, float] | None) -> None:
        super().__init__()
        self.fft_length = fft_length
        self.stride = stride
        self.exponent = exponent
        self.decibels = decibels
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        dtype, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        spectrum = torch.stft(x.reshape(-1, x.shape[-1]), self.fft_length, self.stride, len(self.window),
                              self.window.to(x.dtype), center=True, return_complex=True).abs().pow(self.exponent)
        bands = self.matrix.to(x.dtype).mT @ spectrum
        if self.decibels is not None:
            least, reference, range_ = self.decibels
            bands = 10.0 * bands.clamp(min=least).log10() - 10.0 * math.log10(max(abs(reference), least))
            bands = torch.maximum(bands, bands.max() - range_)  # of the whole batch, as in Keras
        return bands.reshape(*x.shape[:-1], *bands.shape[-2:]).to(dtype)

    def extra_repr(self) -> str:
        return f"fft_length={self.fft_length}, stride={self.stride}, mels={self.matrix.shape[1]}"


def named_window(name: Any, size: int, dtype: torch.dtype, device: Any = "cpu") -> Tensor:
    """A periodic window by name, ones for None, or the values given."""
    if name is None:
        return torch.ones(size, dtype=dtype, device=device)
    if isinstance(name, str):
        made = {"hann": torch.hann_window, "hamming": torch.hamming_window}[name]
        return made(size, periodic=True, dtype=dtype, device=device)
    return torch.as_tensor(name, dtype=dtype, device=device)

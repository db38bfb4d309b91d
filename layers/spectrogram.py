"""Sound as pictures: what frequencies there are at what time."""

from collections.abc import Mapping
from typing import Annotated, Any

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import STFT, Value
from kerashape_torch.kinds import Choice, ChoiceOrNone, DataFormat, Kind, Padding, Positive, PositiveOrNone
from kerashape_torch.layer import Layer
from kerashape_torch.layers._spatial import Spatial
from kerashape_torch.layers.category import host
from kerashape_torch.shape import Shape, fixed, require_min_rank, window_output
from kerashape_torch.weights import WeightSpec, weight


class _Window(Kind):
    """The name of a window, its values, or None."""

    def read(self, value: Any, where: str) -> Any:
        return value  # the initializer, which makes it, checks it

    def write(self, value: Any, record: Any) -> Any:
        return STFT(window=value).get_config()["window"]


class STFTSpectrogram(Spatial):
    """The short-time Fourier transform of a signal, by convolution with cosines and sines, which can be trained.

    ``mode`` says what is given of each complex number: ``log`` of the magnitude, ``magnitude``, ``psd``, ``real``,
    ``imag``, ``angle``, or ``stft``, the real parts and the imaginary ones. Each channel is transformed for itself.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, frames, channels * frequencies); with ``expand_dims`` (batch, frames, frequencies, channels).
                  There are ``fft_length // 2 + 1`` frequencies, and twice as many with ``stft``

    >>> STFTSpectrogram(frame_length=256, frame_step=128, fft_length=512).compute_output_shape((None, 160000, 1))
    (None, 1249, 257)
    >>> STFTSpectrogram(frame_length=64, padding="same", expand_dims=True).compute_output_shape((None, 640, 3))
    (None, 20, 33, 3)
    """

    rank = 1

    mode: Annotated[str, Choice("log", "magnitude", "psd", "real", "imag", "angle", "stft")] = "log"
    frame_length: Positive = 256
    frame_step: PositiveOrNone = None
    fft_length: PositiveOrNone = None
    window: Annotated[Any, _Window()] = "hann"
    periodic: bool = False
    scaling: Annotated[str | None, ChoiceOrNone("density", "spectrum")] = "density"
    padding: Padding = "valid"
    expand_dims: bool = False
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        if not 1 <= self._step <= self.frame_length:
            raise ConfigError(f"STFTSpectrogram(frame_step=...) must be from 1 to frame_length={self.frame_length}, "
                              f"got {self.frame_step}")
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise ConfigError(f"STFTSpectrogram(fft_length={self.fft_length}) is less than "
                              f"frame_length={self.frame_length}")
        self._side("real")

    @property
    def _step(self) -> int:
        return self.frame_step or self.frame_length // 2

    @property
    def _bins(self) -> int:
        """The number of frequencies; the transform is as long as a power of two that holds a frame."""
        return (self.fft_length or 1 << (self.frame_length - 1).bit_length()) // 2 + 1

    def _side(self, side: str) -> STFT:
        return STFT(side, self.window, self.scaling, self.periodic)

    def _steps_and_channels(self, shape: Shape) -> Shape:
        steps, = self.spatial(shape)
        return steps, shape[1] if self.is_channels_first else shape[2]

    def compute_output_shape(self, shape: Shape) -> Shape:
        steps, channels = self._steps_and_channels(shape)
        frames = window_output(steps, self.frame_length, self._step, self.padding, axis="steps")
        bins = self._bins * (2 if self.mode == "stft" else 1)
        if self.expand_dims:
            return (shape[0], channels, frames, bins) if self.is_channels_first else (shape[0], frames, bins, channels)
        return self.with_spatial(shape, (frames,), fixed(channels, "channels", "the output's channels") * bins)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        sides = [side for side, other in (("real", "imag"), ("imag", "real")) if self.mode != other]
        return [weight(f"{side}_kernel", (self.frame_length, 1, self._bins), self._side(side), at=f"{side}.weight",
                       pattern="t i f -> f i t", axes=("frame length", "one channel", "frequencies")) for side in sides]

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.spectrogram import STFTSpectrum

        steps, _ = self._steps_and_channels(shape)
        return STFTSpectrum(steps, self.frame_length, self._step, self._bins, self.mode, self.padding, self.expand_dims)


class MelSpectrogram(Layer):
    """How loud each band of the mel scale is in each frame of a signal, in decibels unless ``power_to_db=False``.

    Frames are centred, and the signal is mirrored at both ends. What Keras computes is followed where its shape rule
    says something else: every axis before the samples is kept, and there are ``1 + samples // sequence_stride`` frames
    (of an even ``fft_length``), also where the rule counts one more. ``top_db`` is counted from the loudest band of the
    whole batch, as in Keras.

    Input shape:  (..., samples)
    Output shape: (..., num_mel_bins, frames)

    >>> layer = MelSpectrogram(num_mel_bins=80, sampling_rate=8000, sequence_stride=128)
    >>> layer.compute_output_shape((None, 16000))
    (None, 80, 126)
    """

    fft_length: Positive = 2048
    sequence_stride: Positive = 512
    sequence_length: int | None = None
    window: Value = "hann"
    sampling_rate: float = 16000
    num_mel_bins: Positive = 128
    min_freq: float = 20.0
    max_freq: float | None = None
    power_to_db: bool = True
    top_db: float = 80.0
    mag_exp: float = 2.0
    min_power: float = 1e-10
    ref_power: float = 1.0

    def __post_init__(self) -> None:
        if self.fft_length < self._length:
            raise ConfigError(f"MelSpectrogram(sequence_length={self._length}) is more than "
                              f"fft_length={self.fft_length}")
        if isinstance(self.window, str) and self.window not in ("hann", "hamming"):
            raise ConfigError("MelSpectrogram(window=...) must be 'hann', 'hamming', the values of a window or None, "
                              f"got {self.window!r}")
        values = self._window_values()
        if isinstance(values, list) and len(values) != self._length:
            raise ConfigError(f"MelSpectrogram: the window has {len(values)} values, and a frame is {self._length}")

    def _window_values(self) -> Any:
        """The window's name, None, or a list of its values."""
        given = self.window["config"]["value"] if isinstance(self.window, Mapping) else self.window
        return given if given is None or isinstance(given, str) else list(host(given))

    @property
    def _length(self) -> int:
        return self.sequence_length or self.fft_length

    @property
    def _highest(self) -> float:
        return self.max_freq or int(self.sampling_rate / 2)

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_min_rank(shape, 1, "(..., samples)")
        samples, half = shape[-1], self.fft_length // 2
        if samples is not None and samples <= half:
            raise ShapeError(f"samples: mirrored by fft_length // 2 = {half} at both ends, they must be more, "
                             f"got {samples}")
        mirrored = None if samples is None else samples + 2 * half
        return (*shape[:-1], self.num_mel_bins, window_output(mirrored, self.fft_length, self.sequence_stride))

    def module(self, shape: Shape) -> Any:
        import torch

        from kerashape_torch.torch_modules.spectrogram import MelSpectrum, mel_matrix, named_window

        dtype = torch.float64 if self.compute_dtype == "float64" else torch.float32
        matrix = mel_matrix(self.fft_length // 2 + 1, self.num_mel_bins, self.sampling_rate, self.min_freq,
                            self._highest)
        decibels = (self.min_power, self.ref_power, self.top_db) if self.power_to_db else None
        window = named_window(self._window_values(), self._length, dtype)
        return MelSpectrum(self.fft_length, self.sequence_stride, window, matrix, self.mag_exp, decibels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sequence_length": self._length, "max_freq": self._highest}

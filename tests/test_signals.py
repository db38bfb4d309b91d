"""Bins, categories and spectrograms against Keras itself, in what the recorded cases miss."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import close, compiled, numbers, run_keras, same_layer

import kerashape_torch as kt
from kerashape_torch import Input, Model
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.layers import CategoryEncoding, Discretization, HashedCrossing, MelSpectrogram, STFTSpectrogram
from kerashape_torch.lowering import get_keras_weights


def agree(oracle: keras.layers.Layer, x: np.ndarray, **kwargs: Any) -> None:
    """The same numbers and shapes, where the batch axis is free and where all are known."""
    want = run_keras(oracle, x, **kwargs)
    dtype = str(x.dtype)
    for shape in ((None, *x.shape[1:]), x.shape):
        layer = same_layer(oracle)
        tensor = Input(batch_shape=shape, dtype=dtype)
        named = {name: Input(batch_shape=shape) for name in kwargs}
        output = layer(tensor, **named)
        module = Model([tensor, *named.values()], output).to_torch()
        got = module(*map(torch.as_tensor, (x, *kwargs.values())))
        assert all(size in (None, real) for size, real in zip(output.shape, want.shape, strict=True))
        assert str(got.dtype) == f"torch.{output.dtype}" == f"torch.{want.dtype}"
        close(got, want)


SHAPES = [(3,), (3, 1), (3, 4), (2, 3, 1), (2, 3, 4), (2, 1, 1), (2, 3, 4, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_encoding_of_every_rank(shape: tuple[int, ...], mode: str) -> None:
    indices = np.random.default_rng(0).integers(0, 6, shape)
    agree(keras.layers.CategoryEncoding(6, output_mode=mode), indices)
    agree(keras.layers.Discretization([-0.5, 0.0, 0.7], output_mode=mode), numbers(*shape))
    if mode == "count" and len(shape) < 3:
        agree(keras.layers.CategoryEncoding(6, output_mode=mode), indices, count_weights=numbers(*shape))


@pytest.mark.parametrize("dtype", ["int32", "int64", "float16", "float64", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_dtypes_of_encodings(mode: str, dtype: str) -> None:
    """Keras says the compute dtype, and gives the dtype of the weights for indices without weights."""
    indices, values = torch.tensor([[0, 2, 1]]), torch.tensor([[0.1, 1.5, -1.0]])
    for name, arguments, inputs in (
            ("CategoryEncoding", {"num_tokens": 4}, [indices]),
            ("Discretization", {"bin_boundaries": [0.0, 1.0]}, [values]),
            *([("CategoryEncoding", {"num_tokens": 4}, [indices, values])] if mode == "count" else [])):
        theirs, ours = (getattr(k.layers, name)(output_mode=mode, dtype=dtype, **arguments) for k in (keras, kt))
        symbolic = [Input(batch_shape=x.shape, dtype=str(x.dtype)[6:]) for x in inputs]
        output = ours(*symbolic)
        named = {"count_weights": inputs[1]} if len(inputs) > 1 else {}
        got, want = Model(symbolic, output).to_torch()(*inputs), theirs(inputs[0], **named)
        assert got.dtype == want.dtype
        assert output.dtype == theirs.compute_dtype
        torch.testing.assert_close(got.double(), want.double(), rtol=1e-2 if dtype.endswith("16") else 1e-5, atol=1e-5)


def test_an_index_that_is_no_category_counts_nowhere() -> None:
    module = CategoryEncoding(2, output_mode="count").to_torch()
    assert module(torch.tensor([[0, -1, 5, 0]])).tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize(("bins", "epsilon"), [(4, 0.01), (7, 0.1), (1, 0.01), (30, 0.3)])
def test_boundaries_from_data(bins: int, epsilon: float) -> None:
    theirs, ours = (cls(num_bins=bins, epsilon=epsilon) for cls in (keras.layers.Discretization, Discretization))
    assert ours.compute_output_shape((None, 4)) == (None, 4)
    data = [numbers(50, 3, seed=seed) for seed in range(4)]
    for given in (data[0], data, np.zeros((3, 1), "float32")):
        theirs.reset_state()  # what its adapt() does, which asks for TensorFlow first
        for batch in given if isinstance(given, list) else [given]:
            theirs.update_state(batch)
        theirs.finalize_state()
        ours.adapt(given)
        np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)
    agree(theirs, numbers(5, 2))
    assert same_layer(theirs).bin_boundaries == theirs.bin_boundaries


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Discretization(num_bins=3).to_torch(input_shape=(1,)), "has no boundaries yet"),
    (lambda: Discretization([0.0], num_bins=3), "both is given"),
    (lambda: Discretization([0.0]).adapt(np.zeros(3)), "was given its boundaries"),
    (lambda: Discretization([0.0], output_mode="one_hot", sparse=True), "sparse=False gives the same numbers"),
    (lambda: Discretization("01"), "must be a list of numbers"),
    (lambda: CategoryEncoding(3)(Input((2,)), count_weights=Input((2,))), "count_weights are for"),
    (lambda: CategoryEncoding(0), "must be 1 or more"),
    (lambda: STFTSpectrogram(frame_length=8, frame_step=9), "must be from 1 to frame_length=8"),
    (lambda: STFTSpectrogram(window="hanning"), "window"),
    (lambda: STFTSpectrogram(frame_length=8, fft_length=4), "less than frame_length=8"),
    (lambda: MelSpectrogram(fft_length=8, sequence_length=9), "more than fft_length=8"),
    (lambda: MelSpectrogram(window="kaiser"), "must be 'hann', 'hamming'"),
    (lambda: MelSpectrogram(fft_length=8, window=[1.0]), "has 1 values"),
])
def test_arguments_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(("layer", "shape", "message"), [
    (MelSpectrogram(fft_length=64), (None, 32), "samples: mirrored by fft_length // 2 = 32"),
    (STFTSpectrogram(frame_length=64), (None, 32, 1), "steps: a window of 64"),
    (STFTSpectrogram(frame_length=64), (None, 200), r"\(batch, steps, channels\)"),
    (HashedCrossing(3), [(None, 3), (None, 3)], r"each feature is \(batch\) or \(batch, 1\)"),
    (HashedCrossing(3), [(None, 1), (None,)], "must have one shape"),
    (HashedCrossing(3), [(None, 1)], "call it on a list of two tensors"),
])
def test_shapes_that_cannot_be(layer: Any, shape: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer.compute_output_shape(shape)


def test_features_to_cross_are_no_floats() -> None:
    with pytest.raises(ShapeError, match="features are integers or strings, got float32"):
        HashedCrossing(3)([Input((1,)), Input((1,))])


# ---- spectrograms ----------------------------------------------------------------------------------------------------

STFT_OPTIONS: list[dict[str, Any]] = [
    *({"mode": mode} for mode in ("log", "magnitude", "psd", "real", "imag", "stft")),
    {"padding": "same"}, {"padding": "same", "frame_step": 7}, {"frame_step": 16, "padding": "same"},
    {"expand_dims": True, "mode": "stft"}, {"window": "hamming", "periodic": True, "scaling": "spectrum"},
    {"window": None, "scaling": None}, {"frame_length": 20}, {"frame_length": 20, "fft_length": 64},
    {"window": [float(i) for i in range(1, 17)]},
]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("options", STFT_OPTIONS, ids=str)
def test_short_time_fourier(options: dict[str, Any], data_format: str) -> None:
    oracle = keras.layers.STFTSpectrogram(**{"frame_length": 16, **options}, data_format=data_format)
    for shape in ((2, 100, 3), (2, 101, 1)):
        x = numbers(*shape) if data_format == "channels_last" else numbers(shape[0], *reversed(shape[1:]))
        agree(oracle, x.astype(options.get("dtype", "float32")))


def test_the_transform_of_any_length() -> None:
    oracle = keras.layers.STFTSpectrogram(frame_length=16, padding="same", expand_dims=True)
    module = compiled(oracle, None, None, 2)
    for steps in (90, 91, 16):
        close(module(torch.as_tensor(numbers(2, steps, 2))), run_keras(oracle, numbers(2, steps, 2)))


def test_kernels_are_keras_own() -> None:
    oracle = keras.layers.STFTSpectrogram(frame_length=16, fft_length=32, window="hamming")
    oracle.build((None, 100, 1))
    module = same_layer(oracle).to_torch(input_shape=(100, 1))
    for got, want in zip(get_keras_weights(module), oracle.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    assert all(parameter.requires_grad for parameter in module.parameters())


MEL = {"fft_length": 64, "sequence_stride": 16, "num_mel_bins": 8}
MEL_OPTIONS: list[dict[str, Any]] = [
    {}, {"window": "hamming"}, {"window": None}, {"window": [float(i) for i in range(1, 65)]}, {"sequence_length": 40},
    {"power_to_db": False, "mag_exp": 1.0}, {"top_db": 10.0, "min_power": 1e-3, "ref_power": -3.0}, {"fft_length": 63},
    {"min_freq": 0.0, "max_freq": 3000.0, "sampling_rate": 8000}, {"sequence_stride": 7}, {"dtype": "float64"},
    {"num_mel_bins": 40},
]


@pytest.mark.parametrize("options", MEL_OPTIONS, ids=str)
def test_mel_bands(options: dict[str, Any]) -> None:
    oracle = keras.layers.MelSpectrogram(**{**MEL, **options})
    for shape in ((2, 400), (2, 399), (2, 3, 401), (200,)):
        agree(oracle, numbers(*shape).astype(options.get("dtype", "float32")))

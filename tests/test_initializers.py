"""Initializers: configs are those of Keras itself, values follow the same distributions."""

import doctest
import json
import math

import keras
import numpy as np
import pytest
import torch
from keras.src.initializers.random_initializers import compute_fans as keras_fans

import kerashape_torch as kt
from kerashape_torch import config, initializers
from kerashape_torch.errors import ConfigError, ShapeError

CASES = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {"value": 3}),
    ("Identity", {}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0, "seed": 5}),
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.5}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 0.5}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal", "seed": 1}),
    ("VarianceScaling", {"distribution": "normal"}),
    ("VarianceScaling", {"input_axes": [0], "output_axes": [1, 2]}),
    ("GlorotUniform", {}),
    ("GlorotNormal", {"seed": 3}),
    ("HeUniform", {}),
    ("HeNormal", {"input_axes": [0], "output_axes": [1, 2]}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("Orthogonal", {}),
    ("Orthogonal", {"gain": 2.0, "seed": 3}),
    ("STFT", {"window": None, "side": "imag", "scaling": None}),
]
KERAS_NAMES = [name for name in dir(keras.initializers)
               if not name.startswith("_") and name not in ("Initializer", "get", "serialize", "deserialize")]


def test_uniform_numbers_between_two_ends_in_any_order():
    drawn = initializers.RandomUniform(2.0, 0.5)((1000,))
    assert drawn.min() >= 0.5 and drawn.max() <= 2.0


def test_a_seed_of_more_bits_than_torch_takes():
    large, small = (initializers.RandomNormal(seed=seed)((3,)) for seed in (2 ** 64 + 5, 5))
    assert torch.equal(large, small)


@pytest.mark.parametrize("name", [*KERAS_NAMES, "uniform", "normal", "zero", "one"])
def test_every_name_of_keras_is_here(name):
    try:
        theirs = type(keras.initializers.get(name)).__name__
    except ImportError:  # Keras' STFT wants SciPy
        theirs = "STFT"
    except KeyError:  # Keras' Constant cannot be had by name alone
        theirs = "Constant"
    assert type(initializers.get(name)).__name__ == theirs
    if name in KERAS_NAMES:
        assert getattr(initializers, name).__name__ == theirs


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_config_is_that_of_keras(name, arguments):
    ours = getattr(initializers, name)(**arguments)
    theirs = getattr(keras.initializers, name)(**arguments)
    assert ours.get_config() == theirs.get_config()
    written = initializers.serialize(ours)
    assert written == keras.initializers.serialize(theirs)
    again = json.loads(json.dumps(written))
    assert initializers.serialize(initializers.deserialize(again)) == again
    assert keras.initializers.serialize(keras.initializers.deserialize(again)) == again


def test_arguments_by_position_are_those_of_keras():
    for name, arguments in CASES:
        ours, theirs = getattr(initializers, name), getattr(keras.initializers, name)
        positional = [arguments[key] for key in ours._positional if key in arguments]
        if list(ours._positional[:len(positional)]) == [key for key in ours._positional if key in arguments]:
            assert ours(*positional).get_config() == theirs(*positional).get_config()


def test_arrays_are_written_as_keras_writes_them():
    array = np.array([1.0, 2.0])
    written = initializers.serialize(initializers.Constant(array))
    assert written == keras.initializers.serialize(keras.initializers.Constant(array))
    again = initializers.deserialize(json.loads(json.dumps(written)))
    assert initializers.serialize(again) == written
    assert again((3, 2)).tolist() == [[1, 2]] * 3
    assert initializers.serialize(initializers.Constant(np.float32(2)))["config"] == {"value": 2.0}
    assert initializers.get(array)((2,)).tolist() == [1, 2]
    with pytest.raises(ShapeError, match=r"a value of shape \(2\) does not fill \(3\)"):
        again((3,))


def test_a_seed_generator_stays_in_the_config():
    written = keras.initializers.serialize(keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(3)))
    read = initializers.deserialize(written)
    assert initializers.serialize(read) == written
    assert torch.equal(read((4,)), initializers.RandomNormal(seed=3)((4,)))
    unseeded = keras.initializers.serialize(keras.initializers.HeNormal(seed=keras.random.SeedGenerator()))
    assert initializers.serialize(initializers.deserialize(unseeded)) == unseeded


def test_a_gain_is_not_lost():
    written = initializers.serialize(initializers.Identity(gain=2.0))
    assert initializers.deserialize(written)((2, 2)).tolist() == [[2, 0], [0, 2]]
    assert keras.initializers.deserialize(written).gain == 2.0


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 4, 5), (3, 3, 16, 32), (2, 3, 3, 16, 32)])
def test_fans_are_those_of_keras(shape):
    assert initializers.compute_fans(shape) == keras_fans(shape)
    if len(shape) > 2:
        for axes in [([0], [1, 2]), ((0, 1), (2,)), ([0], None), (None, [1])]:
            assert initializers.compute_fans(shape, *axes) == keras_fans(shape, *axes)


def test_constants():
    assert initializers.Zeros()((2, 3)).tolist() == [[0] * 3] * 2
    assert initializers.Ones()((2,), dtype="int64").dtype == torch.int64
    assert initializers.Constant(2)((2, 2)).tolist() == [[2, 2], [2, 2]]
    assert torch.equal(initializers.Identity()((2, 3)), torch.eye(2, 3))


SHAPE = (30, 40, 60)  # fans 1200 and 1800
SCALED = {
    "glorot_uniform": (2 / 3000, "uniform"), "glorot_normal": (2 / 3000, "truncated_normal"),
    "he_uniform": (2 / 1200, "uniform"), "he_normal": (2 / 1200, "truncated_normal"),
    "lecun_uniform": (1 / 1200, "uniform"), "lecun_normal": (1 / 1200, "truncated_normal"),
}


def check(values, mean, stddev, bound):
    assert values.dtype == torch.float32
    assert values.std().item() == pytest.approx(stddev, rel=0.02)
    assert values.mean().item() == pytest.approx(mean, abs=0.02 * stddev)
    assert (values - mean).abs().max() <= bound * (1 + 1e-6)
    if bound < math.inf:
        assert (values - mean).abs().max() > 0.99 * bound


@pytest.mark.parametrize("name", SCALED)
def test_scaled_distributions(name):
    variance, distribution = SCALED[name]
    stddev = math.sqrt(variance)
    bound = math.sqrt(3) * stddev if distribution == "uniform" else 2 * stddev / 0.8796256610342398
    generator = torch.Generator().manual_seed(0)
    check(initializers.get(name)(SHAPE, generator=generator), 0, stddev, bound)
    theirs = keras.initializers.get({"class_name": name, "config": {"seed": 0}})(SHAPE).cpu()
    check(theirs, 0, stddev, math.inf)  # on torch, Keras lets a few values in a million pass the bound


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 1200), ("fan_out", 1800), ("fan_avg", 1500)])
def test_variance_scaling(mode, fan):
    stddev = math.sqrt(0.7 / fan)
    made = initializers.VarianceScaling(0.7, mode, "untruncated_normal", seed=1)
    check(made(SHAPE), 0, stddev, math.inf)
    assert made(SHAPE).abs().max() > 3 * stddev
    axes = initializers.VarianceScaling(0.7, mode, "uniform", 1, input_axes=[0], output_axes=[2])
    fan = {"fan_in": 30, "fan_out": 60, "fan_avg": 45}[mode]
    check(axes(SHAPE), 0, math.sqrt(0.7 / fan), math.sqrt(3 * 0.7 / fan))


def test_plain_distributions():
    check(initializers.RandomUniform(-1, 3, seed=1)(SHAPE), 1, 4 / math.sqrt(12), 2)
    check(initializers.RandomNormal(1, 0.5, seed=1)(SHAPE), 1, 0.5, math.inf)
    check(initializers.TruncatedNormal(1, 0.5, seed=1)(SHAPE), 1, 0.5 * 0.8796256610342398, 1)
    assert initializers.TruncatedNormal(1.0, 0.0)((3,)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (3, 3, 2, 7), (1, 2, 2, 9)])
def test_orthogonal(shape):
    matrix = initializers.Orthogonal(gain=2.0, seed=4)(shape).reshape(-1, shape[-1])
    rows, columns = matrix.shape
    product = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    torch.testing.assert_close(product, 4 * torch.eye(min(rows, columns)), rtol=0, atol=1e-5)


def test_seeds_and_generators():
    seeded = initializers.GlorotUniform(seed=7)
    assert torch.equal(seeded((3, 4)), seeded((3, 4)))
    assert not torch.equal(seeded((3, 4)), initializers.GlorotUniform(seed=8)((3, 4)))
    unseeded = initializers.GlorotUniform()
    assert not torch.equal(unseeded((3, 4)), unseeded((3, 4)))
    first, second = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    assert torch.equal(unseeded((3, 4), generator=first), unseeded((3, 4), generator=second))
    assert torch.equal(seeded((3, 4), generator=first), seeded((3, 4)))
    torch.manual_seed(5)
    drawn = unseeded((3, 4))
    torch.manual_seed(5)
    assert torch.equal(unseeded((3, 4)), drawn)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_dtypes_and_the_meta_device(name, arguments):
    made = getattr(initializers, name)(**arguments)
    shape = {"Identity": (4, 4), "STFT": (8, 1, 5)}.get(name, (4, 4, 3))
    assert made(shape).dtype == torch.float32
    assert made(shape, dtype="float64").dtype == torch.float64
    half = made(shape, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16 and half.isfinite().all() and tuple(half.shape) == shape
    assert made(shape, device="meta").device.type == "meta"
    with torch.device("meta"):
        assert made(shape).device.type == "meta"


# ---- STFT ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize("window", [None, np.hanning(16)])
def test_stft_is_that_of_keras(side, scaling, window):
    theirs = keras.initializers.STFT(side, window, scaling)((16, 1, 17))
    ours = initializers.STFT(side, window, scaling)((16, 1, 17))
    torch.testing.assert_close(ours, theirs.cpu(), rtol=1e-4, atol=1e-5)


def test_a_named_window():
    named, values = initializers.STFT(window="hann"), initializers.STFT(window=np.hanning(16))
    torch.testing.assert_close(named((16, 1, 9)), values((16, 1, 9)))


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("window", initializers._WINDOWS)
def test_windows_are_those_of_scipy(window, periodic):
    signal = pytest.importorskip("scipy.signal")
    ours = initializers._window(window, 20, periodic)
    np.testing.assert_allclose(ours.numpy(), signal.get_window(window, 20, periodic), atol=1e-8)


# ---- refusals and identifiers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "words"), [
    (lambda: initializers.VarianceScaling(scale=0), "must be positive"),
    (lambda: initializers.VarianceScaling(mode="fan"), "must be one of 'fan_in'"),
    (lambda: initializers.VarianceScaling(distribution="gauss"), "must be one of 'uniform'"),
    (lambda: initializers.Constant({"class_name": "__numpy__"}), "must be a number or an array"),
    (lambda: initializers.RandomNormal(seed="a"), "RandomNormal.seed=.... must be an integer"),
    (lambda: initializers.STFT(window="han"), "Did you mean 'hann'"),
    (lambda: initializers.STFT(scaling="power"), "must be None, 'density'"),
    (lambda: initializers.get("glorot_unifrom"), "not one of keras.initializers. Did you mean 'glorot_uniform'"),
    (lambda: initializers.get({"class_name": "GlorotUnifrom", "config": {}}), "Did you mean"),
    (lambda: initializers.get({"module": "keras.layers", "class_name": "Dense", "config": {}}), "not one of"),
    (lambda: initializers.get({"class_name": "Zeros"}), "needs the keys"),
    (lambda: initializers.get(3), "3 is not one of keras.initializers"),
    (lambda: initializers.Zeros()((2,), dtype="float33"), "dtype must be"),
])
def test_refusals(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize(("name", "shape"), [("identity", (3,)), ("orthogonal", (3,)), ("stft", (3, 4))])
def test_shapes_that_cannot_be_filled(name, shape):
    with pytest.raises(ShapeError, match="of rank"):
        initializers.get(name)(shape)


def mine(shape, dtype=None):
    return torch.zeros(shape)


class Holder(config.Record, catalog=False):
    kernel_initializer: initializers.InitializerLike = "glorot_uniform"
    bias_initializer: initializers.InitializerLike = None


def test_field():
    dense = keras.layers.Dense(1, kernel_initializer="he_normal").get_config()
    held = Holder("he_normal", "zeros")
    assert held.kernel_initializer == "he_normal"
    assert held.get_config() == {key: dense[key] for key in held.get_config()}
    again = Holder.from_config(held.get_config())
    assert isinstance(again.kernel_initializer, initializers.HeNormal)
    assert again.get_config() == held.get_config()
    assert Holder().get_config()["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert Holder().get_config()["bias_initializer"] is None
    assert Holder(initializers.Ones).get_config()["kernel_initializer"]["class_name"] == "Ones"
    with pytest.raises(ConfigError, match=r"^Holder\(kernel_initializer=...\): 'he' is not one of"):
        Holder("he")


def test_a_users_function():
    theirs = keras.layers.Dense(1, kernel_initializer=mine).get_config()["kernel_initializer"]
    held = Holder(mine)
    assert held.kernel_initializer is mine and held.get_config()["kernel_initializer"] == theirs
    assert initializers.deserialize(theirs, {"mine": mine}) is mine
    with config.custom_object_scope({"mine": mine}):
        held = Holder("mine")
    assert held.get_config()["kernel_initializer"] == theirs


def test_doctests():
    assert doctest.testmod(initializers).failed == 0


def test_no_initializer_is_glorots_uniform_as_in_keras() -> None:
    theirs = keras.layers.Dense(50, kernel_initializer=None, bias_initializer=None)
    theirs.build((None, 70))
    layer = kt.layers.Dense(50, kernel_initializer=None, bias_initializer=None, input_shape=(70,))
    for x, y in zip(theirs.get_weights(), kt.get_keras_weights(layer.to_torch()), strict=True):
        limit = np.sqrt(6 / (sum(x.shape) if x.ndim > 1 else 2 * len(x)))
        for array in (x, y):
            assert 0.8 * limit < np.abs(array).max() <= limit
    model = kt.Sequential([kt.Input((3, 4)), kt.layers.LSTM(5, bias_initializer=None)])
    assert np.abs(kt.get_keras_weights(model.to_torch())[2]).min() > 0


def test_a_function_that_knows_no_device_draws_as_in_keras() -> None:
    def steps(shape, dtype=None):
        return kt.ops.reshape(kt.ops.arange(6, dtype=dtype), shape)

    layer = kt.layers.Dense(2, kernel_initializer=steps, input_shape=(3,))
    np.testing.assert_array_equal(kt.get_keras_weights(layer.to_torch())[0], [[0, 1], [2, 3], [4, 5]])

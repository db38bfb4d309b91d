"""Image layers in training: Keras' own results where both draw the same numbers, and the numbers that are drawn."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import own_generator
from images import both, close, keras_trained, module_of, pictures, same_draws, shown, trained
from keras import layers as theirs
from live import same_layer

from kerashape_torch import layers
from kerashape_torch.torch_modules.images import Draws

pytestmark = pytest.mark.filterwarnings(  # Keras' own, in Equalization
    "ignore:Tensor.T is deprecated on 0-D tensors:UserWarning")
FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")


def _geometry(order: str) -> list[keras.layers.Layer]:
    first, made = {"data_format": order}, []
    for mode in FILL_MODES:
        for interpolation in INTERPOLATIONS:
            filled = {"fill_mode": mode, "interpolation": interpolation, "fill_value": 7.0, **first}
            made += [theirs.RandomRotation((0.25, 0.25), **filled), theirs.RandomRotation((-0.2, 0.4), **filled),
                     theirs.RandomTranslation(0.4, (0.1, 0.9), **filled),
                     theirs.RandomTranslation((0.25, 0.25), (-0.5, -0.5), **filled),
                     theirs.RandomZoom(0.4, **filled), theirs.RandomZoom((-0.4, 0.3), (0.2, 0.8), **filled),
                     theirs.RandomShear(0.3, (0.1, 0.6), **filled)]
    return made + [
        *(theirs.RandomFlip(mode, **first) for mode in ("horizontal", "vertical", "horizontal_and_vertical", "none")),
        theirs.RandomPerspective((0.2, 0.9), 0.7, **first), theirs.RandomPerspective(1.0, 1.0, "nearest", 3.0, **first),
        theirs.RandomPerspective(scale=0.0, **first), theirs.RandomElasticTransform((0.5, 0.9), (0.3, 1.0), **first),
        theirs.RandomElasticTransform((1, 1), 1.0, "nearest", "constant", 4.0, **first),
        theirs.RandomElasticTransform((1, 1), 1.0, "bilinear", "mirror", value_range=(20, 200), **first),
        theirs.RandomElasticTransform(scale=0.0, value_range=(20, 200), **first), theirs.RandomCrop(12, 5, **first),
        theirs.RandomCrop(12, 14, **first), theirs.RandomCrop(8, 5, **first), theirs.RandomCrop(5, 12, **first)]


def _colors(order: str) -> list[keras.layers.Layer]:
    first = {"data_format": order}
    return [
        theirs.RandomContrast(0.6, **first), theirs.RandomContrast((0.3, 0.6), value_range=(30, 200), **first),
        theirs.RandomBrightness(0.4, **first), theirs.RandomBrightness((-0.9, 0.2), (10, 100), **first),
        theirs.RandomHue(0.7, **first), theirs.RandomHue((1, 1), value_range=(-10, 300), **first),
        theirs.RandomSaturation(0.7, **first), theirs.RandomSaturation((0.2, 0.9), (0, 1), **first),
        theirs.RandomGrayscale(0.4, **first), theirs.RandomColorDegeneration((0.1, 0.8), **first),
        theirs.RandomColorDegeneration(0.8, (30, 200), **first), theirs.RandomPosterization(7, **first),
        theirs.RandomPosterization((3, 6), (-10, 260), **first), theirs.RandomPosterization((5, 5), **first),
        theirs.RandomSharpness(1.0, **first), theirs.RandomSharpness((0.2, 0.9), (30, 200), **first),
        theirs.RandomGaussianBlur((0.5, 0.9), 5, (0.2, 0.9), (30, 200), **first), theirs.RandomGaussianBlur(**first),
        theirs.RandomInvert((0.4, 0.9), (-5, 300), **first),
        theirs.RandomErasing((0.4, 0.9), fill_value=7.0, **first),
        theirs.RandomErasing((1, 1), 0.9, value_range=(0, 60), **first),
        theirs.Solarization(0.3, 0.6, **first), theirs.Solarization((0.2, 0.5), (0.3, 0.9), (-10, 300), **first),
        theirs.RandomColorJitter((0, 255), 0.3, 0.4, **first), theirs.AutoContrast((0, 300), **first),
        theirs.Equalization(**first), theirs.Equalization(bins=16, value_range=(0, 300), **first),
        theirs.ContrastLimitedAdaptiveHistogramEqualization(clip_limit=60.0, tile_grid_size=(3, 4), **first),
        theirs.ContrastLimitedAdaptiveHistogramEqualization((0, 300), 0.0, **first)]


def _mixing(order: str) -> list[keras.layers.Layer]:
    first = {"data_format": order}
    return [theirs.MixUp(**first), theirs.CutMix(**first), theirs.CutMix((0.3, 0.8), **first),
            theirs.RandAugment(**first), theirs.RandAugment((0, 300), 11, 0.9, **first),
            theirs.RandAugment((0, 255), 3, (0.2, 0.4), "nearest", **first), theirs.AugMix(**first),
            theirs.AugMix((0, 300), 3, 3, 0.8, all_ops=True, interpolation="nearest", **first)]


def by_text(oracles: list[keras.layers.Layer]) -> Any:
    return pytest.mark.parametrize("oracle", oracles, ids=lambda oracle: oracle.name)


ALL = [oracle for order in ("channels_last", "channels_first")
       for oracle in (*_geometry(order), *_colors(order), *_mixing(order))]
ALL += [theirs.RandomColorJitter((0, 255), 0.3, 0.4, 0.5, 0.6), theirs.RandomErasing(1.0, 0.9, [5.0, 100.0, 300.0])]
CHAINS = [[0, 5, 10], [11, 11, 3], [6, 7, 8]]


@by_text(ALL)
def test_the_same_draws_give_the_images_of_keras(oracle: keras.layers.Layer) -> None:
    for x in (shown(oracle), shown(oracle, 7, seed=1), shown(oracle)[0]):
        with same_draws(CHAINS):
            got, want = both(oracle, x)
        close(got, want)


@by_text([theirs.RandomRotation((0.25, 0.25)), theirs.RandomRotation((0.5, 0.5), fill_mode="constant"),
          theirs.RandomTranslation((0.5, 0.5), (-0.3, -0.3)), theirs.RandomZoom((0.5, 0.5)),
          theirs.RandomZoom((-0.5, -0.5), (0.25, 0.25)), theirs.RandomBrightness((0.3, 0.3)),
          theirs.RandomSaturation((0.3, 0.3)), theirs.RandomPosterization((3, 3)), theirs.RandomSharpness((0.9, 0.9)),
          theirs.RandomGrayscale(1.0), theirs.RandomInvert((1, 1)), theirs.RandomGaussianBlur((1, 1), 3, (0.7, 0.7))])
def test_factors_without_choice(oracle: keras.layers.Layer) -> None:
    got, want = both(oracle, shown(oracle))
    close(got, want)


@by_text([theirs.RandomRotation((0.1, 0.1)), theirs.RandomZoom((0.3, 0.3)), theirs.RandomContrast((0.2, 0.7)),
          theirs.RandomBrightness(0.6), theirs.RandomHue(0.5), theirs.RandomSaturation(0.6), theirs.RandomInvert(),
          theirs.RandomSharpness(0.8), theirs.RandomGaussianBlur(), theirs.RandomErasing(fill_value=3),
          theirs.Solarization(0.2, 0.5), theirs.RandomPerspective(), theirs.RandomElasticTransform(), theirs.MixUp(),
          theirs.CutMix(), theirs.AutoContrast(), theirs.Resizing(5, 7), theirs.CenterCrop(9, 12),
          theirs.Resizing(9, 4, antialias=True), theirs.RandomColorDegeneration(0.5)])
def test_gradients_are_those_of_keras(oracle: keras.layers.Layer) -> None:
    x = shown(oracle)
    ours, other = (torch.tensor(x, requires_grad=True) for _ in range(2))
    with same_draws():
        module = module_of(same_layer(oracle), x.shape).train()
        result = module(ours)
        expected = oracle(other * 1, training=True)
        weights = torch.tensor(pictures(*result.shape, seed=3, most=1.0))
        (result * weights).sum().backward()
        (expected * weights).sum().backward()
    np.testing.assert_allclose(ours.grad, other.grad, rtol=1e-4, atol=1e-4)


# ---- what is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments"), [
    ("RandomFlip", {}), ("RandomRotation", {"factor": 0.3}), ("RandomZoom", {"height_factor": 0.4}),
    ("RandomTranslation", {"height_factor": 0.4, "width_factor": 0.2}), ("RandomPerspective", {"factor": 0.8}),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": 0.6}), ("RandomShear", {"x_factor": 0.4, "y_factor": 0.2}),
    ("RandomContrast", {"factor": 0.6}), ("RandomBrightness", {"factor": 0.4}), ("RandomHue", {"factor": 0.7}),
    ("RandomSaturation", {"factor": 0.7}), ("RandomColorDegeneration", {"factor": 0.8}), ("RandomInvert", {}),
    ("RandomGrayscale", {"factor": 0.3}), ("RandomPosterization", {"factor": 6}), ("RandomSharpness", {"factor": 1.0}),
    ("RandomErasing", {"scale": (0.1, 0.5)}), ("RandomErasing", {"fill_value": 2}),
    ("Solarization", {"addition_factor": 0.3, "threshold_factor": 0.8}),
    ("RandomColorJitter", {"brightness_factor": 0.3, "contrast_factor": 0.5, "saturation_factor": 0.6,
                           "hue_factor": 0.5})])
def test_images_are_as_likely_as_in_keras(name: str, arguments: dict[str, Any]) -> None:
    """Mean, deviation and how pixels move together, over many draws on one image: each image draws for itself."""
    oracle = getattr(theirs, name)(seed=3, **arguments)
    many = np.repeat(pictures(1, 4, 5, 3), 2000, axis=0)
    got, want = trained(getattr(layers, name)(**arguments), many), keras_trained(oracle, many)
    np.testing.assert_allclose(got.mean(0), want.mean(0), atol=9)
    np.testing.assert_allclose(got.std(0), want.std(0), atol=9)
    a, b = (np.cov(y.reshape(len(y), -1).T) for y in (got, want))
    assert np.abs(a - b).max() < 0.15 * np.abs(b).max()
    assert len(np.unique(got.reshape(len(got), -1), axis=0)) > 1


def _calls(layer: Any, x: np.ndarray, count: int) -> np.ndarray:
    with own_generator():
        module = module_of(layer, x.shape).train()
        return np.stack([module(torch.tensor(x)).numpy() for _ in range(count)])


def test_a_batch_is_cropped_at_one_place() -> None:
    x = np.arange(2 * 4 * 5).reshape(2, 4, 5, 1).astype("float32")
    found = _calls(layers.RandomCrop(2, 3), x, 600)
    assert found.shape == (600, 2, 2, 3, 1)
    places, counts = np.unique(found[:, 0, 0, 0, 0], return_counts=True)
    assert places.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert counts.min() > 40
    np.testing.assert_array_equal(found[:, 1] - found[:, 0], np.full_like(found[:, 0], 20))


@pytest.mark.parametrize("layer", [layers.RandomGaussianBlur((1, 1)), layers.RandomElasticTransform((1, 1)),
                                   layers.RandAugment(), layers.AugMix()], ids=repr)
def test_what_a_batch_shares_changes_from_call_to_call(layer: Any) -> None:
    found = _calls(layer, pictures(2, 8, 8, 3), 6)
    assert len(np.unique(found.reshape(6, -1), axis=0)) > 3


def test_erased_boxes_have_the_size_that_scale_gives() -> None:
    x = np.ones((500, 40, 60, 3), "float32")
    erased = trained(layers.RandomErasing((1, 1), (0.25, 0.25), fill_value=0), x)[..., 0] == 0
    assert set(erased.any(2).sum(1)) <= {20} and set(erased.any(1).sum(1)) <= {30}
    np.testing.assert_array_equal(erased, erased.any(2)[:, :, None] & erased.any(1)[:, None])
    tops = erased.any(2).argmax(1)
    assert (tops.min(), tops.max()) == (1, 20)  # the first place at or after a number from 0 to 20


def test_cut_mix_takes_boxes_of_beta_shares() -> None:
    x = np.arange(3000, dtype="float32")[:, None, None, None] * np.ones((1, 20, 20, 1), "float32")
    mixed = trained(layers.CutMix((1, 1)), x)[..., 0]
    own = mixed == x[..., 0]
    assert all(len(np.unique(image)) <= 2 for image in mixed)
    share = own.mean((1, 2))
    assert share.mean() == pytest.approx(0.5, abs=0.03)  # evenly from 0 to 1: Beta(1, 1)
    assert share.std() == pytest.approx(12 ** -0.5, abs=0.03)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_beta_and_gamma(alpha: float) -> None:
    with own_generator():
        draws = Draws()
        many = torch.full((40_000,), alpha)
        beta, gamma = draws.beta(many), draws.gamma(many)
    assert beta.mean().item() == pytest.approx(0.5, abs=0.01)
    assert beta.var().item() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.03)
    assert gamma.mean().item() == pytest.approx(alpha, rel=0.05)
    assert gamma.var().item() == pytest.approx(alpha, rel=0.1)
    assert draws.beta(torch.full((100,), 1e-6)).isfinite().all()


# ---- generators ------------------------------------------------------------------------------------------------------

SEEDED = [layers.RandomFlip(seed=3), layers.RandomRotation(0.2, seed=3), layers.RandomCrop(3, 4, seed=3),
          layers.RandomErasing(seed=3), layers.RandAugment(seed=3), layers.AugMix(seed=3), layers.MixUp(seed=3),
          layers.CutMix(seed=3), layers.RandomPosterization(6, seed=3), layers.RandomElasticTransform(seed=3)]


@pytest.mark.parametrize("layer", SEEDED, ids=repr)
def test_a_seed_repeats_itself_and_touches_nothing_else(layer: Any) -> None:
    x = torch.tensor(pictures(8, 6, 8, 3))
    with own_generator():
        before = torch.random.get_rng_state()
        module = module_of(layer, x.shape).train()
        first, second = module(x), module(x)
        again = copy.deepcopy(module_of(layer, x.shape)).train()(x)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(pickle.loads(pickle.dumps(module)).eval()(x), x)


def test_without_a_seed_torch_s_own_generator_counts() -> None:
    x, layer = pictures(8, 6, 8, 3), layers.RandomRotation(0.2)
    np.testing.assert_array_equal(trained(layer, x, seed=1), trained(layer, x, seed=1))
    assert np.abs(trained(layer, x, seed=1) - trained(layer, x, seed=2)).max() > 1


@pytest.mark.parametrize("layer", [
    layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomCrop(3, 4), layers.RandomPerspective(),
    layers.RandomElasticTransform(), layers.RandomColorJitter((0, 255), 0.1, 0.1, 0.1, 0.1), layers.RandomErasing(),
    layers.RandomGaussianBlur(), layers.Equalization(), layers.CutMix(), layers.MixUp(), layers.Resizing(5, 6),
    layers.Resizing(5, 6, "bicubic"), layers.ContrastLimitedAdaptiveHistogramEqualization()], ids=repr)
def test_compiles_whole(layer: Any) -> None:
    module = module_of(layer, (2, 8, 10, 3)).train()
    whole = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=False)
    x = torch.tensor(pictures(2, 8, 10, 3))
    assert whole(x).shape == module(x).shape

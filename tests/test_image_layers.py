"""Image layers: sizes, inference, dicts of images with what belongs to them, configs, Pipeline and refusals."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import own_generator, plain
from images import close, keras_trained, module_of, pictures, same_draws, shown, trained
from keras import layers as theirs
from live import same_layer

from kerashape_torch import Input, Model, load_model, set_keras_weights
from kerashape_torch.config import deserialize
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layers import (
    AutoContrast,
    CenterCrop,
    Conv2D,
    CutMix,
    Dense,
    MaxNumBoundingBoxes,
    MixUp,
    Pipeline,
    RandAugment,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHue,
    RandomPosterization,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    Rescaling,
    Resizing,
    Solarization,
)
from kerashape_torch.models import model_from_json

# ---- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize("size", [(5, 7), (13, 12), (20, 3), (3, 20), (8, 10), (1, 1)], ids=str)
def test_resizing(order: str, size: tuple[int, int]) -> None:
    """torch's side of Keras has no Lanczos, and another bicubic: see the test below."""
    for interpolation in ("bilinear", "nearest"):
        for options in ({}, {"antialias": True}, {"crop_to_aspect_ratio": True},
                        {"pad_to_aspect_ratio": True, "fill_value": 9.0}):
            oracle = theirs.Resizing(*size, interpolation, data_format=order, **options)
            for x in (shown(oracle), shown(oracle)[0], shown(oracle, height=7, width=7)):
                for training in (False, True):
                    got = module_of(same_layer(oracle), x.shape).train(training)(torch.tensor(x)).numpy()
                    close(got, oracle(x, training=training))


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos3", "lanczos5"])
def test_kernels_that_are_tensorflow_s(interpolation: str) -> None:
    """Constants stay, ramps stay ramps away from the edges, and antialiasing changes nothing where images grow."""
    layer = Resizing(24, 30, interpolation)
    ones = torch.full((1, 8, 10, 2), 3.0)
    close(module_of(layer, ones.shape)(ones), np.full((1, 24, 30, 2), 3.0))
    ramp = torch.arange(24.0)[None, :, None, None].expand(1, 24, 10, 1).clone()
    grown = module_of(Resizing(48, 10, interpolation), ramp.shape)(ramp)[0, 12:36, 0, 0]
    close(grown, np.arange(12, 36) / 2 - 0.25, atol=0.05)
    x = torch.tensor(pictures(2, 8, 10, 3))
    smooth = module_of(Resizing(24, 30, interpolation, antialias=True), x.shape)(x)
    close(module_of(layer, x.shape)(x), smooth, atol=0.3)  # bicubic is read off a table


def test_whole_numbers_stay_whole() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 10, 3)).astype("uint8")
    for interpolation in ("bilinear", "nearest"):
        oracle = theirs.Resizing(5, 7, interpolation)
        module = Model(images := Input((8, 10, 3), dtype="uint8"), same_layer(oracle)(images)).to_torch()
        got, want = module(torch.tensor(x)), oracle(x)
        assert got.dtype == torch.uint8 == want.dtype
        np.testing.assert_array_equal(got, want)
    bicubic = Model(images := Input((8, 10, 3), dtype="uint8"), Resizing(20, 20, "bicubic")(images)).to_torch()
    assert bicubic(torch.tensor(x)).dtype == torch.uint8


def test_whole_numbers_become_floats_elsewhere() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 10, 3)).astype("uint8")
    for layer in (RandomFlip(), RandomRotation(0.1), CenterCrop(4, 4), RandomBrightness(0.1), AutoContrast()):
        images = Input((8, 10, 3), dtype="uint8")
        outputs = layer(images)
        module = Model(images, outputs).to_torch()
        assert outputs.dtype == "float32"
        assert module(torch.tensor(x)).dtype == module.train()(torch.tensor(x)).dtype == torch.float32


@pytest.mark.parametrize("size", [(5, 7), (4, 4), (12, 14), (5, 12), (12, 5), (8, 10)], ids=str)
def test_center_crop(size: tuple[int, int]) -> None:
    for order in ("channels_last", "channels_first"):
        oracle = theirs.CenterCrop(*size, data_format=order)
        for x in (shown(oracle), shown(oracle)[0], shown(oracle, height=9, width=13)):
            close(module_of(same_layer(oracle), x.shape)(torch.tensor(x)), oracle(x, training=False))


def test_sizes_that_are_not_known_yet() -> None:
    for layer, shape in ((Resizing(4, 5), (None, 4, 5, 3)), (CenterCrop(4, 5), (None, 4, 5, 3)),
                         (RandomFlip(), (None, None, None, 3))):
        assert layer.compute_output_shape((None, None, None, 3)) == shape
        module = layer.to_torch((None, None, None, 3))
        assert module(torch.zeros(2, 9, 8, 3)).shape[1:3] == (shape[1] or 9, shape[2] or 8)


# ---- inference -------------------------------------------------------------------------------------------------------

STILL = [
    theirs.RandomCrop(4, 4), theirs.RandomFlip(), theirs.RandomRotation(0.2), theirs.RandomTranslation(0.2, 0.2),
    theirs.RandomZoom(0.2), theirs.RandomShear(0.2), theirs.RandomContrast(0.2), theirs.RandomBrightness(0.2),
    theirs.RandomHue(0.2), theirs.RandomSaturation(0.2), theirs.RandomGrayscale(), theirs.RandomColorDegeneration(0.2),
    theirs.RandomColorJitter((0, 255), 0.2, 0.2), theirs.RandomPosterization(4), theirs.RandomSharpness(0.2),
    theirs.RandomGaussianBlur(), theirs.RandomInvert(), theirs.RandomErasing(), theirs.RandomElasticTransform(),
    theirs.RandomPerspective(), theirs.Equalization(), theirs.Solarization(0.2, 0.5), theirs.AugMix(),
    theirs.RandAugment(), theirs.CutMix(), theirs.MixUp(), theirs.MaxNumBoundingBoxes(3)]


@pytest.mark.parametrize("oracle", STILL, ids=lambda oracle: type(oracle).__name__)
def test_inference_gives_the_images_back(oracle: keras.layers.Layer) -> None:
    layer = deserialize(plain(keras.saving.serialize_keras_object(oracle)))
    for x in (shown(oracle), shown(oracle)[0]):
        module = module_of(layer, x.shape)
        assert torch.equal(module(torch.tensor(x)), torch.tensor(x))
        np.testing.assert_array_equal(oracle(x, training=False), x)


def test_keras_says_training_in_a_call_that_says_nothing() -> None:
    """What is written so holds for neither side: a module acts in training, and ``training=False`` holds."""
    images = Input((8, 10, 3))
    model = Model(images, RandomRotation((0.25, 0.25))(images))
    written = json.loads(model.to_json())["config"]["layers"][1]["inbound_nodes"][0]
    assert written["kwargs"] == {"training": True}
    x = torch.tensor(pictures(2, 8, 10, 3))
    for each in (model, model_from_json(model.to_json())):
        module = each.to_torch()
        assert torch.equal(module(x), x)
        assert not torch.equal(module.train()(x), x)
    still = Model(images, RandomRotation((0.25, 0.25))(images, training=False)).to_torch().train()
    assert torch.equal(still(x), x)


def test_a_whole_model_round_trips_through_keras(tmp_path: Any) -> None:
    """One model with every image layer: Keras reads what we write, we read what Keras writes."""
    x = inputs = keras.Input((16, 16, 3))
    for oracle in STILL:
        # Keras loads no RandomShear, and takes Equalization for a loop; RandomCrop has other shapes than it says
        if type(oracle).__name__ not in ("RandomShear", "Equalization", "RandomCrop"):
            x = type(oracle).from_config(oracle.get_config())(x)
    model = keras.Model(inputs, x)
    model.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    config = json.loads(ours.to_json())["config"]
    assert [each["config"] for each in config["layers"]] == plain(
        [each["config"] for each in json.loads(model.to_json())["config"]["layers"]])
    assert [each.get("build_config") for each in config["layers"]] == plain(
        [each.get("build_config") for each in json.loads(model.to_json())["config"]["layers"]])
    ours.save(tmp_path / "ours.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras")
    images = pictures(2, 16, 16, 3)
    np.testing.assert_array_equal(again(images, training=False), ours.to_torch()(torch.tensor(images)))


# ---- dicts -----------------------------------------------------------------------------------------------------------


def _data(batch: int = 4) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"images": pictures(batch, 8, 10, 3), "labels": np.eye(5, dtype="float32")[random.integers(0, 5, batch)],
            "segmentation_masks": random.integers(0, 4, (batch, 8, 10, 1)).astype("int32")}


def _inputs(data: dict[str, Any], batched: bool = True) -> Any:
    if isinstance(data, dict):
        return {key: _inputs(value, batched) for key, value in data.items()}
    return Input(batch_shape=(None, *data.shape[1:]) if batched else data.shape, dtype=str(data.dtype))


def _tensors(data: Any) -> Any:
    return {key: _tensors(value) for key, value in data.items()} if isinstance(data, dict) else torch.tensor(data)


def _both(oracle: keras.layers.Layer, data: dict[str, Any], training: bool = True) -> tuple[Any, Any]:
    layer = same_layer(oracle)
    given = _inputs(data, data["images"].ndim == 4)
    module = Model(given, layer(given)).to_torch().train(training)
    with same_draws([[0, 5, 10], [11, 11, 3], [6, 7, 8]]):
        return module(_tensors(data)), oracle(_tensors(data), training=training)


@pytest.mark.parametrize("oracle", [
    theirs.RandomFlip(), theirs.RandomRotation(0.2, fill_mode="constant"), theirs.RandomTranslation(0.2, 0.3),
    theirs.RandomZoom(0.3), theirs.RandomShear(0.3), theirs.RandomContrast(0.3), theirs.RandomErasing(),
    theirs.Solarization(0.3, 0.3), theirs.RandomHue(0.3), theirs.CutMix(), theirs.Resizing(5, 7),
    theirs.AutoContrast()],
    ids=lambda oracle: type(oracle).__name__)
def test_what_belongs_to_the_images_moves_along(oracle: keras.layers.Layer) -> None:
    for data in (_data(), _data(1)):
        for training in (True, False):
            got, want = _both(oracle, data, training)
            assert set(got) == set(want)
            if isinstance(oracle, theirs.CutMix):  # Keras repeats the mask for each channel of the image
                want["segmentation_masks"] = want["segmentation_masks"][..., :1]
            for key in want:
                close(got[key], want[key])


def test_one_image_in_a_dict() -> None:
    data = {key: value[0] for key, value in _data().items()}
    for oracle in (theirs.RandomFlip(), theirs.RandomRotation(0.2), theirs.RandomBrightness(0.3)):
        got, want = _both(oracle, data)
        for key in data:
            close(got[key], want[key])


def test_mix_up_mixes_labels() -> None:
    data = {key: value for key, value in _data().items() if key != "segmentation_masks"}
    got, want = _both(theirs.MixUp(), data)
    for key in data:
        close(got[key], want[key])
    with own_generator():
        given = _inputs(_data())
        mixed = Model(given, MixUp()(given)).to_torch().train()(_tensors(_data()))
    assert mixed["segmentation_masks"].shape == (4, 8, 10, 1)


def _with_boxes(batch: int = 4, count: int = 3) -> dict[str, Any]:
    boxes = np.sort(np.random.default_rng(0).uniform(0, 8, (batch, count, 2, 2)), axis=2).reshape(batch, count, 4)
    return {**_data(batch), "bounding_boxes": {"boxes": boxes.astype("float32"),
                                               "labels": np.arange(batch * count).reshape(batch, count)}}


@pytest.mark.parametrize("oracle", [
    *(theirs.MaxNumBoundingBoxes(count, bounding_box_format="xyxy") for count in (5, 2, 3)),
    theirs.RandomContrast(0.3, bounding_box_format="xyxy"), theirs.MixUp(bounding_box_format="xyxy")],
    ids=lambda oracle: oracle.name)
def test_bounding_boxes(oracle: keras.layers.Layer) -> None:
    data = _with_boxes()
    if isinstance(oracle, theirs.MixUp):  # Keras fails on the masks
        del data["segmentation_masks"]
    for training in (True, False):
        if isinstance(oracle, theirs.MixUp) and not training:
            continue
        got, want = _both(oracle, data, training)
        for key in want["bounding_boxes"]:
            close(got["bounding_boxes"][key], want["bounding_boxes"][key])
    layer = same_layer(oracle)
    outputs = layer(_inputs(data))["bounding_boxes"]
    assert {key: x.shape[1:] for key, x in outputs.items()} == {
        key: tuple(x.shape[1:]) for key, x in want["bounding_boxes"].items()}


def test_filled_up_boxes_have_the_value() -> None:
    layer = MaxNumBoundingBoxes(5, fill_value=7, bounding_box_format="xyxy")
    assert layer.get_config()["fill_value"] == 7
    given = _inputs(_with_boxes())
    boxes = Model(given, layer(given)).to_torch()(_tensors(_with_boxes()))["bounding_boxes"]
    assert boxes["boxes"].shape == (4, 5, 4) and (boxes["boxes"][:, 3:] == 7).all()
    assert boxes["labels"].shape == (4, 5) and (boxes["labels"][:, 3:] == 7).all()


@pytest.mark.parametrize("layer", [RandomRotation(0.1, bounding_box_format="xyxy"), CutMix(), RandAugment(),
                                   Resizing(4, 5), RandomCrop(4, 5)], ids=repr)
def test_boxes_that_would_have_to_move_are_refused(layer: Any) -> None:
    given = _inputs(_with_boxes())
    with pytest.raises(KerashapeError, match="bounding boxes do not move along"):
        Model(given, layer(given)).to_torch()


def test_refused_dicts() -> None:
    given = _inputs(_with_boxes())
    with pytest.raises(ConfigError, match=r"bounding_box_format=..., such as 'xyxy'"):
        Model(given, RandomContrast(0.1)(given)).to_torch()
    with pytest.raises(KerashapeError, match="needs the key 'images', got 'labels'"):
        MixUp().compute_output_shape({"labels": (None, 3)})
    with pytest.raises(ShapeError, match="'boxes' and 'labels', got 'scores' too"):
        MaxNumBoundingBoxes(3).compute_output_shape(
            {"images": (None, 8, 8, 3), "bounding_boxes": {"scores": (None, 3)}})
    with pytest.raises(ShapeError, match="images come alone or in a dict"):
        MixUp().compute_output_shape([(None, 8, 8, 3), (None, 4)])


# ---- Pipeline --------------------------------------------------------------------------------------------------------


def test_pipeline() -> None:
    oracle = theirs.Pipeline([theirs.Resizing(6, 6), theirs.RandomRotation((0.25, 0.25)), theirs.Dense(2, "relu"),
                              theirs.Rescaling(0.1)])
    x = pictures(2, 8, 10, 3)
    layer = same_layer(oracle)
    oracle(x)  # builds it
    module = module_of(layer, x.shape)
    set_keras_weights(module, oracle.get_weights())
    close(module(torch.tensor(x)).detach(), oracle(x, training=False).detach())
    close(module.train()(torch.tensor(x)).detach(), oracle(x, training=True).detach())
    assert Pipeline([CenterCrop(4, 5), Dense(2)], input_shape=(8, 10, 3)).count_params() == 8
    with pytest.raises(ConfigError, match="takes a list of layers"):
        Pipeline(Dense(3))
    with pytest.raises(ConfigError, match="takes a list of layers"):
        Pipeline([3])


def test_a_pipeline_with_weights_from_a_file(tmp_path: Any) -> None:
    model = keras.Sequential([keras.Input((8, 10, 3)), theirs.Pipeline(
        [theirs.CenterCrop(4, 5), theirs.Dense(2), theirs.RandomFlip(seed=1), theirs.Dense(3)])])
    model.save(tmp_path / "model.keras")
    x = pictures(2, 8, 10, 3)
    close(load_model(tmp_path / "model.keras").to_torch()(torch.tensor(x)).detach(), model(x, training=False).detach())


# ---- where the axes are ----------------------------------------------------------------------------------------------


def test_no_permute_between_convolutions() -> None:
    x = inputs = Input((8, 8, 3))
    for layer in (Conv2D(3, 1), Resizing(6, 6), RandomFlip(), RandomContrast(0.1), AutoContrast(), CenterCrop(4, 4)):
        x = layer(x)
    module = Model(inputs, Conv2D(2, 1)(x)).to_torch()
    assert sum(node.target is torch.permute for node in module.graph.nodes) == 2


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float64", "mixed_float16"])
def test_dtypes(policy: str) -> None:
    for make in (theirs.RandomRotation, theirs.RandomBrightness, theirs.RandomSharpness):
        oracle = make((0.2, 0.2), dtype=policy)
        x = shown(oracle)
        got = trained(same_layer(oracle), x)
        assert np.abs(got - keras_trained(oracle, x)).max() < (1e-3 if policy == "float64" else 4)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "wrong"), [
    (lambda: RandomRotation(2), r"RandomRotation\(factor=...\) must be between -1 and 1, or two such numbers, got 2"),
    (lambda: RandomRotation("a"), "must be a number, or two as the ends of a range, got 'a'"),
    (lambda: RandomRotation((1, 2, 3)), "must be a number, or two as the ends of a range"),
    (lambda: RandomRotation(0.1, "black"), r"fill_mode=...\) must be one of 'reflect', 'wrap', 'constant', 'nearest'"),
    (lambda: RandomRotation(0.1, interpolation="cubic"), "must be one of 'nearest', 'bilinear', got 'cubic'"),
    (lambda: RandomZoom(-1), "must be above -1 and at most 1, or two such numbers, got -1"),
    (lambda: RandomZoom(0.1, (0.1, 1.5)), r"width_factor=...\) must be above -1"),
    (lambda: RandomTranslation(0.1, 1.5), r"width_factor=...\) must be between -1 and 1"),
    (lambda: RandomShear((-0.2, 0.3)), r"x_factor=...\) must be between 0 and 1"),
    (lambda: RandomContrast(-0.1), "must be between 0 and 1"),
    (lambda: RandomContrast((2, 3)), "must be between 0 and 1"),
    (lambda: Solarization((-0.5, 0.5)), "must be between 0 and 1"),
    (lambda: RandomPosterization(9), "must be between 1 and 8"),
    (lambda: RandomGrayscale(1.5), "must be between 0 and 1, got 1.5"),
    (lambda: RandomBrightness(0.1, 255), "must be the least and the greatest value of a pixel, got 255"),
    (lambda: RandomGaussianBlur(kernel_size=4), "must be an odd number, or two, got 4"),
    (lambda: Resizing(0, 4), r"Resizing\(height=...\) must be a positive integer, got 0"),
    (lambda: RandomFlip(seed="a"), r"RandomFlip\(seed=...\) must be an integer")])
def test_refused_arguments(make: Any, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        make()


@pytest.mark.parametrize(("layer", "wrong"), [
    (Resizing(4, 4, "bogus"), "interpolation must be one of 'bilinear'"),
    (Resizing(4, 4, fill_mode="wrap"), "fill_mode must be 'constant', got 'wrap'"),
    (Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "not both"),
    (RandomErasing(value_range=[0]), "value_range must be the least and the greatest value of a pixel, got .0."),
    (RandomErasing(fill_value="red"), "fill_value must be a number or three, got 'red'")], ids=repr)
def test_what_keras_finds_when_it_runs_is_found_when_it_is_compiled(layer: Any, wrong: str) -> None:
    assert len(layer.compute_output_shape((None, 8, 8, 3))) == 4
    with pytest.raises(ConfigError, match=wrong):
        layer.to_torch((8, 8, 3))


def test_refused_shapes() -> None:
    with pytest.raises(ShapeError, match=r"expected rank 3 or 4, \(batch, height, width, channels\) or \(height"):
        CenterCrop(2, 2).compute_output_shape((None, 3))
    with pytest.raises(ShapeError, match="expected rank 3 or 4"):
        RandomFlip().to_torch((5,))
    with pytest.raises(ShapeError, match="red, green and blue are needed, got 4"):
        RandomColorDegeneration(0.1).compute_output_shape((None, 8, 8, 4))
    with pytest.raises(ShapeError, match="red, green and blue are needed, got 2"):
        RandomHue(0.1).to_torch((8, 8, 2)).train()(torch.zeros(1, 8, 8, 2))


def test_a_shear_of_keras_can_be_loaded() -> None:
    for oracle in (theirs.RandomShear(0.2, (0.1, 0.3)), theirs.RandomShear(), theirs.RandomShear((0.1, 0.4))):
        assert same_layer(oracle).get_config()["x_factor"] == oracle.x_factor


def test_rescaled_after_resizing_of_bytes() -> None:
    images = Input((None, None, 3), dtype="uint8")
    x = Conv2D(4, 3)(Rescaling(1 / 255)(RandomFlip("horizontal")(Resizing(8, 8)(images))))
    module = Model(images, x).to_torch()
    assert module(torch.zeros(2, 9, 7, 3, dtype=torch.uint8)).shape == (2, 6, 6, 4)


def test_contrast_of_booleans() -> None:
    given = torch.rand(2, 6, 6, 3, generator=torch.Generator().manual_seed(0)) > 0.5
    oracle = theirs.ContrastLimitedAdaptiveHistogramEqualization((0, 1))
    x = Input((6, 6, 3), dtype="bool")
    assert torch.equal(Model(x, same_layer(oracle)(x)).to_torch()(given), oracle(given))

"""The models of keras.applications: shapes and counts of all, and numbers of one of each family."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import flat_shapes, plain
from keras.src.applications import convnext, inception_resnet_v2
from live import numbers
from seeded import seeded

import kerashape_torch as kt
from kerashape_torch import Input, Model, layers, load_model, set_keras_weights
from kerashape_torch.config import deserialize
from kerashape_torch.lowering import keras_weights

DATA = Path(__file__).parent / "data" / "applications"
NAMES = sorted(path.name.removesuffix(".shapes.json.gz") for path in DATA.glob("*.shapes.json.gz"))


def read(name: str) -> Any:
    return json.loads(gzip.decompress((DATA / name).read_bytes()))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_counts(name: str) -> None:
    model, recorded = load_model(read(f"{name}.json.gz")), read(f"{name}.shapes.json.gz")
    assert [layer.name for layer in model.operations] == [each["name"] for each in recorded["layers"]]
    for layer, each in zip(model.operations, recorded["layers"], strict=True):
        assert flat_shapes(layer.output_shape) == flat_shapes(each["output_shape"]), layer.name
        assert layer.count_params() == each["params"], layer.name
    assert model.count_params() == recorded["params"]
    shapes = [list(spec.shape) for layer in model.layers for spec in layer.weights]
    assert shapes == [shape for _, shape in recorded["weights"]]


FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "MobileNet": (keras.applications.MobileNet, {"alpha": 0.25}),
    "MobileNetV2": (keras.applications.MobileNetV2, {"alpha": 0.35}),
    "MobileNetV3Small": (keras.applications.MobileNetV3Small, {}),
    "EfficientNetB0": (keras.applications.EfficientNetB0, {}),
    "EfficientNetV2B0": (keras.applications.EfficientNetV2B0, {}),
    "ResNet50": (keras.applications.ResNet50, {}),
    "ResNet50V2": (keras.applications.ResNet50V2, {}),
    "DenseNet121": (keras.applications.DenseNet121, {}),
    "VGG16": (keras.applications.VGG16, {"include_top": False}),
    "Xception": (keras.applications.Xception, {}),
    "InceptionV3": (keras.applications.InceptionV3, {}),
    "InceptionResNetV2": (keras.applications.InceptionResNetV2, {}),
    "ConvNeXtTiny": (keras.applications.ConvNeXtTiny, {}),
}
SIZE = 96


def assert_near(got: np.ndarray, want: np.ndarray) -> None:
    """Within 1e-4, and 1e-5 of the largest: what a hundred layers add up is exact to that."""
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", FAMILIES)
def test_numbers(name: str, tmp_path: Path) -> None:
    make, arguments = FAMILIES[name]
    if arguments.get("include_top", True):
        arguments = {**arguments, "classifier_activation": None}
    keras.utils.clear_session(free_memory=False)
    theirs = make(weights=None, input_shape=(SIZE, SIZE, 3), **arguments)
    theirs.set_weights([seeded(w.path, tuple(w.shape)) for w in theirs.weights])
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it keeps a copy of its weights
    theirs.save(tmp_path / "model.keras")
    x = torch.as_tensor(numbers(1, SIZE, SIZE, 3))
    with torch.inference_mode():
        got, want = load_model(tmp_path / "model.keras").to_torch()(x), theirs(x, training=False)
    assert float(want.std()) > 0.01
    assert_near(got.numpy(), want.numpy())


def test_numbers_of_nasnet() -> None:
    """Recorded from TensorFlow: Keras does not build it on torch."""
    module = load_model(read("NASNetMobile__96.json.gz")).to_torch()
    set_keras_weights(module, [seeded(spec.full_path, spec.shape) for spec in keras_weights(module).specs])
    with np.load(DATA / "NASNetMobile__96.npz") as file, torch.inference_mode():
        assert_near(module(torch.as_tensor(numbers(1, SIZE, SIZE, 3))).numpy(), file["output_0"])


# ---- the layers that only these models have --------------------------------------------------------------------------


def same(theirs: Any, *shapes: tuple[int, ...], training: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    written = keras.saving.serialize_keras_object(theirs)
    ours = deserialize(plain(written))
    assert plain(ours.get_config()) == plain(written["config"])
    given, wanted = ([k.Input(shape) for shape in shapes] for k in (kt, keras))
    mine, symbolic = ours(_or_one(given)), theirs(_or_one(wanted))
    assert tuple(symbolic.shape) == mine.shape and symbolic.dtype == mine.dtype
    module = Model(given, mine).to_torch()
    arrays = [numbers(*w.shape) for w in theirs.weights]
    theirs.set_weights(arrays)
    set_keras_weights(module, arrays)
    x = [torch.as_tensor(numbers(2, *shape, seed=i)) for i, shape in enumerate(shapes)]
    return module.train(training)(*x), theirs(_or_one(x))


def _or_one(values: list[Any]) -> Any:
    return values if len(values) > 1 else values[0]


@pytest.mark.parametrize(("theirs", "shapes"), [
    (convnext.LayerScale(0.5, 6), [(4, 4, 6)]), (convnext.LayerScale(0.5, 6), [(4, 6)]),
    (convnext.StochasticDepth(0.3), [(4, 4, 6)]),
    (inception_resnet_v2.CustomScaleLayer(0.17), [(4, 4, 6), (4, 4, 6)])])
def test_layers(theirs: Any, shapes: list[tuple[int, ...]]) -> None:
    got, want = same(theirs, *shapes)
    torch.testing.assert_close(got, want)


def test_stochastic_depth_in_training() -> None:
    x = Input((4,))
    module = Model(x, layers.StochasticDepth(0.25)(x)).to_torch().train()
    kept = module(torch.ones(20_000, 4))
    assert torch.equal(kept, kept[:, :1].expand_as(kept)) and kept.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert float((kept[:, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.02)

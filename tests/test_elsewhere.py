"""Names that code imports beside those that it describes models with: where Keras 2 had them, and what is not here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.elsewhere import MOVED
from kerashape_torch.errors import KerashapeError, ShapeError

OLD = """
from {0}layers.core import Activation, Dense, Dropout, Flatten, Lambda, Permute, RepeatVector, Reshape
from {0}layers.convolutional import Conv1D, Conv2D, Convolution2D, MaxPooling2D, UpSampling2D, ZeroPadding2D
from {0}layers.pooling import GlobalAveragePooling2D
from {0}layers.normalization import BatchNormalization
from {0}layers.normalization.batch_normalization import BatchNormalization
from {0}layers.advanced_activations import ELU, LeakyReLU, PReLU
from {0}layers.recurrent import GRU, LSTM
from {0}layers.merge import Concatenate, add, concatenate
from {0}layers.embeddings import Embedding
from {0}layers.wrappers import Bidirectional, TimeDistributed
from {0}layers.noise import GaussianNoise
from {0}layers.local import LocallyConnected2D
from {0}engine import InputSpec, Layer
from {0}engine.topology import Input, InputSpec, Layer
from {0}engine.training import Model
from {0}models import Input, Model, Sequential, load_model, model_from_json, save_model
from {0}utils.generic_utils import get_custom_objects
from {0}utils.vis_utils import plot_model
from {0}utils import deserialize_keras_object, plot_model, serialize_keras_object
from {0}callbacks import EarlyStopping, ModelCheckpoint
from {0}datasets import mnist
from {0}datasets.cifar10 import load_data
from {0}preprocessing import image, sequence
from {0}preprocessing.image import ImageDataGenerator
from {0}applications import ResNet50
from {0}applications.vgg16 import VGG16
from {0}utils import Sequence, np_utils, to_categorical
from {0}utils.np_utils import to_categorical
from {0}wrappers.scikit_learn import KerasClassifier
import {0}backend as K
import {0}preprocessing.image
"""


def test_code_of_keras_2_finds_its_names() -> None:
    """In a process of its own, line by line, so that nothing is found because something else was imported."""
    code = OLD.format("kerashape_torch.") + "\nassert Dropout is Layer.catalog()['Dropout'] and issubclass(LSTM, Layer)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", [
    "backend", "tree", "input_spec", "layers.core", "callbacks", "engine"])
def test_a_module_may_be_the_first_to_be_imported(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import kerashape_torch.{module} as m; dir(m)"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_not_here_says_what_to_do_once_it_is_used() -> None:
    from kerashape_torch.callbacks import Callback, EarlyStopping  # type: ignore[import-not-found, unused-ignore]
    from kerashape_torch.datasets import mnist  # type: ignore[import-not-found, unused-ignore]

    class Stop(Callback):  # a class of one's own may be defined
        def on_epoch_end(self) -> None: ...

    with pytest.raises(KerashapeError, match=r"^keras.callbacks.EarlyStopping is not here: .* Way out: kerashape"):
        EarlyStopping(patience=3)
    with pytest.raises(KerashapeError, match=r"callbacks.Callback is not here"):
        Stop()
    with pytest.raises(KerashapeError, match=r"datasets.mnist.load_data is not here: data come from elsewhere"):
        mnist.load_data()
    with pytest.raises(KerashapeError, match=r"make one with Keras, model.save\(file\)"):
        kt.applications.VGG16(weights=None)


def test_a_name_that_is_nowhere_is_no_name() -> None:
    for path in [*MOVED, "layers.core", "models", "utils"]:
        module = __import__(f"kerashape_torch.{path}", fromlist=["x"])
        assert (not hasattr(module, "Dnse") and not hasattr(module, "__path__")) or path.startswith("layers.rnn")
    with pytest.raises(ImportError, match=r"cannot import name 'Dnse'"):
        from kerashape_torch.layers.core import Dnse  # type: ignore[attr-defined, unused-ignore]  # noqa: F401


@pytest.mark.parametrize("name", ["fit", "predict", "evaluate", "train_on_batch", "get_weights", "set_weights"])
def test_methods_that_need_numbers_say_where_they_are(name: str) -> None:
    model = kt.Sequential([layers.Dense(2, input_dim=3)])
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=rf"no '{name}' here: .* Way out: module = model.to_torch\(\); kerashape"):
        getattr(model, name)


def test_names_at_the_top() -> None:
    assert isinstance(kt.regularizers.L2(0.1), kt.Regularizer) and isinstance(kt.initializers.Zeros(), kt.Initializer)
    assert isinstance(kt.losses.Huber(), kt.Loss) and isinstance(kt.metrics.AUC(), kt.Metric)
    assert isinstance(kt.optimizers.SGD(), kt.Optimizer) and isinstance(kt.Input((3,)), kt.KerasTensor)
    assert kt.DTypePolicy("mixed_float16").compute_dtype == "float16"
    config = layers.serialize(layers.Dense(3))
    assert layers.deserialize(config).units == 3 and kt.utils.deserialize_keras_object(config).units == 3


class Spatial(layers.Layer):
    """Says what it takes when it is made, and more when it is built."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(ndim=4)

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.input_spec = [kt.InputSpec(ndim=4, axes={-1: 3})]

    def call(self, x: object) -> object:
        return kt.ops.mean(x, axis=(1, 2))


def test_input_spec_is_held() -> None:
    assert Spatial()(kt.Input((8, 8, 3))).shape == (None, 3)
    with pytest.raises(ShapeError, match=r"(?s)^spatial = Spatial.*\(None, 8, 3\).*4 axes are expected, got 3"):
        Spatial()(kt.Input((8, 3)))
    with pytest.raises(ShapeError, match=r"(?s)cannot take \(None, 8, 8, 4\).*axis -1 must be 3, got 4"):
        Spatial()(kt.Input((8, 8, 4)))


@pytest.mark.parametrize(("said", "shape", "why"), [
    ({"shape": (None, 5)}, (None, 4), "axis 1 must be 5, got 4"),
    ({"min_ndim": 3}, (None, 4), "at least 3 axes are expected, got 2"),
    ({"max_ndim": 1}, (None, 4), "at most 1 axes are expected, got 2"),
    ({"ndim": 3, "allow_last_axis_squeeze": True}, (None, 4), "3 axes are expected, got 2"),
])
def test_input_spec_says_what_it_expects(said: dict[str, object], shape: tuple[int | None, ...], why: str) -> None:
    with pytest.raises(ShapeError, match=why):
        kt.InputSpec(**said).check(shape)  # type: ignore[arg-type]


@pytest.mark.parametrize(("said", "shape"), [
    ({"shape": (None, 5, None)}, (3, None, 4)), ({"min_ndim": 2, "max_ndim": 3}, (None, 4)), ({}, (1, 2, 3)),
    ({"shape": (None, 1), "allow_last_axis_squeeze": True}, (None,)),
    ({"ndim": 1, "allow_last_axis_squeeze": True}, (None, 1))])
def test_input_spec_takes_what_fits(said: dict[str, object], shape: tuple[int | None, ...]) -> None:
    kt.InputSpec(**said).check(shape)  # type: ignore[arg-type]


def test_tree() -> None:
    assert kt.tree.map_structure(lambda a, b: a + b, [1, {"x": 2}], [10, {"x": 20}]) == [11, {"x": 22}]
    assert kt.tree.flatten({"b": 1, "a": (2, 3)}) == [2, 3, 1] and kt.tree.is_nested(()) and not kt.tree.is_nested("a")
    with pytest.raises(KerashapeError, match="not nested alike"):
        kt.tree.map_structure(max, [1], [1, 2])
    with pytest.raises(KerashapeError, match="2 leaves do not fit a structure of 1"):
        kt.tree.pack_sequence_as([0], [1, 2])


def test_the_page_of_old_code_runs() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "old_code.md"
    code = page.read_text().split("```python\n")[1].split("```")[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

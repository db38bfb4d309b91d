"""Names that code imports beside those that it describes models with: where Keras 2 had them, and what is not here.

Code that defines a model and trains it in one file imports callbacks and data sets before it comes to the model. Such
names can be imported, and say what to do instead once they are used:

>>> from kerashape_torch.layers.core import Dense, Dropout
>>> from kerashape_torch.callbacks import EarlyStopping
>>> EarlyStopping(patience=3)
Traceback (most recent call last):
kerashape_torch.errors.KerashapeError: keras.callbacks.EarlyStopping is not here: kerashape_torch trains in a loop of \
your own. Way out: kerashape_torch.training.of(model, module).step(x, y), and ``if`` where a callback would be
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from types import ModuleType
from typing import Any

from kerashape_torch.errors import KerashapeError

_ROOT = __name__.rpartition(".")[0]

MOVED = {
    **{f"layers.{name}": ("layers",) for name in (
        "advanced_activations", "convolutional", "cudnn_recurrent", "dense_attention", "embeddings", "local", "merge",
        "noise", "rnn", "normalization.batch_normalization", "normalization.layer_normalization")},
    **dict.fromkeys(("engine", "engine.base_layer", "engine.input_layer", "engine.input_spec", "engine.topology",
                     "engine.training", "engine.sequential", "engine.network"), ("layers", "models", "utils")),
    **{f"utils.{name}": ("utils", "layers") for name in (
        "data_utils", "generic_utils", "layer_utils", "np_utils", "vis_utils", "io_utils", "conv_utils", "tf_utils")},
}
"""Modules of Keras 2, and the rooms that have their names now."""

_DATA = "data come from elsewhere. Way out: keras.{0} itself, or torch.utils.data"
ABSENT = {
    "callbacks": "kerashape_torch trains in a loop of your own. Way out: kerashape_torch.training.of(model, module)."
                 "step(x, y), and ``if`` where a callback would be",
    "applications": "the models come from files. Way out: make one with Keras, model.save(file), and "
                    "kerashape_torch.load_model(file)",
    "datasets": _DATA.format("datasets"),
    "preprocessing": _DATA.format("preprocessing") + ", or layers such as Rescaling, RandomFlip and TextVectorization",
    "wrappers": "kerashape_torch trains in a loop of your own",
    "utils": _DATA.format("utils"),
}
"""Rooms of Keras that are not here, and what to do instead."""

_MODULES = {
    "applications": ("convnext", "densenet", "efficientnet", "efficientnet_v2", "imagenet_utils", "inception_resnet_v2",
                     "inception_v3", "mobilenet", "mobilenet_v2", "mobilenet_v3", "nasnet", "resnet", "resnet50",
                     "resnet_v2", "vgg16", "vgg19", "xception"),
    "callbacks": (),
    "datasets": ("boston_housing", "california_housing", "cifar10", "cifar100", "fashion_mnist", "imdb", "mnist",
                 "reuters"),
    "preprocessing": ("image", "sequence", "text", "timeseries"),
    "wrappers": ("scikit_learn",),
}
_ALSO = {**{f"layers.{name}": "layers" for name in (
    "attention", "convolution", "convolutional_recurrent", "core", "normalization", "pooling", "recurrent",
    "wrappers")}, "models": "saving"}
"""Modules that have the names of Keras', and where the rest of what is in those is here."""


class _Absent(type):
    """The class of what is not here: it can be imported and inherited from, and refuses to be called."""

    path: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise KerashapeError(f"keras.{cls.path} is not here: {ABSENT[cls.path.partition('.')[0]]}")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return absent(f"{cls.path}.{name}")


def absent(path: str) -> Any:
    """What stands for something of Keras that is not here, by its path below ``keras``."""
    return _Absent(path.rpartition(".")[2], (), {"path": path})


class _Room(ModuleType):
    """A module of Keras that is none here."""

    def __getattr__(self, name: str) -> Any:
        path = self.__name__.removeprefix(f"{_ROOT}.")
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if path not in MOVED:
            return absent(f"{path}.{name}")
        for room in MOVED[path]:
            found = getattr(importlib.import_module(f"{_ROOT}.{room}"), name, None)
            if found is not None:
                return found
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _enter(path: str) -> None:
    """Lets a module be imported, and be found as an attribute of the one around it."""
    above, _, name = f"{_ROOT}.{path}".rpartition(".")
    made = sys.modules.setdefault(f"{above}.{name}", _Room(f"{above}.{name}"))
    if above in sys.modules and name not in vars(sys.modules[above]):
        setattr(sys.modules[above], name, made)


def open_rooms() -> None:
    """Lets the modules of Keras 2, and those that are not here, be imported."""
    for path in MOVED:
        _enter(path)
    for path, inside in _MODULES.items():
        for each in (path, *(f"{path}.{name}" for name in inside)):
            _enter(each)
    for path, room in _ALSO.items():
        vars(importlib.import_module(f"{_ROOT}.{path}"))["__getattr__"] = partial(_found_in, path, room)


def _found_in(path: str, room: str, name: str) -> Any:
    if name.startswith("_"):  # Python asks modules for names such as __path__
        raise AttributeError(name)
    try:
        return getattr(importlib.import_module(f"{_ROOT}.{room}"), name)
    except AttributeError:
        raise AttributeError(f"module '{_ROOT}.{path}' has no attribute {name!r}") from None

"""Whole models: from a file or a config to a description, and from a description to a file that Keras loads."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerashape_torch import config as configs
from kerashape_torch.errors import ConfigError, KerashapeError, WeightsError
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.optimizers import state
from kerashape_torch.saving import archive
from kerashape_torch.saving.by_path import write_by_path
from kerashape_torch.saving.legacy_h5 import write_by_layer
from kerashape_torch.saving.preflight import explained
from kerashape_torch.saving.reading import (
    CONFIG,
    METADATA,
    WEIGHTS,
    Contents,
    Weights,
    read_or_take,
    read_weights,
    readable_path,
)
from kerashape_torch.saving.stored import Stored
from kerashape_torch.saving.upgrade import to_keras3
from kerashape_torch.saving.vocabularies import give_vocabularies, idf_weights
from kerashape_torch.shape import to_text
from kerashape_torch.structure import map_shapes, without_collecting
from kerashape_torch.weight_paths import Kept, Layout, kept_weights, weight_layout
from kerashape_torch.weights import WeightSpec

if TYPE_CHECKING:
    from torch import nn

    from kerashape_torch.training import Training

KERAS_VERSION = "3.15.1"
"""The Keras whose form of configs is written."""
_NO_STATE_IN_H5 = ("Keras 3 stumbles over the state of an optimizer in .h5, its own too: it builds one for no weights, "
                   "and then trains none")


# ---- objects and configs ---------------------------------------------------------------------------------------------


def serialize_keras_object(obj: Any) -> Any:
    """Any object as Keras 3 writes it in a config: ``{"module", "class_name", "config", "registered_name"}``.

    >>> from kerashape_torch.layers import Dropout
    >>> serialize_keras_object(Dropout(0.5))["class_name"]
    'Dropout'
    """
    return obj.serialize() if isinstance(obj, Layer) else configs.to_config(obj)


def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None,
                             safe_mode: bool = True) -> Any:
    """What :func:`serialize_keras_object` wrote, here or in any Keras, as an object again.

    Names are looked up in the catalog and in ``custom_objects``, and nowhere else: nothing is imported or evaluated,
    whatever ``safe_mode`` says.
    """
    return object_of(config, custom_objects=custom_objects)


def object_of(config: Any, version: str | None = None, backend: str | None = None,
              custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The same, where the version of Keras that wrote the config stands beside it."""
    dicts = archive.check_config(config)
    with configs.custom_object_scope(custom_objects), archive.refusing_nonsense():
        return configs.from_config_value(to_keras3(config, version, backend, dicts))


# ---- models ----------------------------------------------------------------------------------------------------------


def load_model(filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True,
               safe_mode: bool = True, *, weights: bool = True) -> Any:
    """A model from ``.keras``, its directory, ``.h5``, TensorFlow.js' ``model.json``, ``to_json()``, or a dict.

    Files of Keras 1 and 2 come in as well, each word with the meaning that it had in the version that wrote it.
    If the file has weights, ``to_torch()`` of the model, of a part of it, or of a model built on its layers has Keras'
    numbers. Now they are checked against the shapes of the layers; ``to_torch()`` reads them from the file, which must
    not change until then.

    A quantized model (``int8``, ``int4``, ``float8``) becomes the float model that its integers and scales stand for,
    with float weights, their counts and, when it is saved, their dtype policy. Keras also rounds the inputs of int8
    layers, and inputs and kernels of float8 ones, whenever they run; a module here rounds nothing, so its numbers are
    Keras' for int4, and differ by what such rounding does for the others. Keras' ``TimeDistributed`` forgets the scales
    of the layer inside, and it cannot load a quantized ``MultiHeadAttention``; here both have the numbers of the file.

    Args:
        filepath: a path, or the dict itself.
        custom_objects: classes and functions of yours that the file names.
        compile: False leaves unread how the file says to train the model: see :meth:`Model.compile`.
        safe_mode: taken for Keras' sake; there is no unsafe mode.
        weights: False leaves the weights unread: shapes and counts need none.

    Raises:
        ConfigError: it is no model, or beyond reason in size. UnsafeConfigError: it asks for code to be run.
        WeightsError: an array does not fit its layer.
    """
    with without_collecting():
        contents = read_or_take(filepath, weights)
        model = model_of(contents, custom_objects)
    return _compiled(model, contents, custom_objects) if compile else model


def model_of(contents: Contents, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that a file holds. Its weights are checked, and read when they are asked for."""
    model = _model(contents.config, custom_objects, contents.version, contents.backend)
    give_vocabularies(model, contents)
    if contents.weights is not None:
        _attach(model, contents.weights)
    return model


def _compiled(model: Model, contents: Contents, custom_objects: Mapping[str, Any] | None) -> Model:
    with configs.custom_object_scope(custom_objects):
        model.compile_from_config(contents.compile_config)
    if model.compiled and contents.weights is not None:
        from kerashape_torch.compiling import is_old_optimizer

        form = state.KERAS_3
        if (contents.version or "3").startswith(("0", "1", "2")):
            form = state.OLD if is_old_optimizer(contents.compile_config) else state.TF_KERAS
        _keep_state(model, contents.weights, form)
    return model


def _keep_state(model: Model, weights: Weights, form: str) -> None:
    arrays = weights.training_state()
    if arrays:
        model.saved_state = state.SavedState(arrays, form)


def _model(config: Any, custom_objects: Mapping[str, Any] | None, version: str | None = None,
           backend: str | None = None) -> Any:
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise ConfigError("the config of a model is a dict with 'class_name' and 'config'")
    try:
        model = object_of(config, version, backend, custom_objects)
    except ConfigError as error:
        raise explained(error, config, custom_objects, version, backend) from error
    if not isinstance(model, Model):
        raise ConfigError(f"the config describes a {type(model).__name__}, which is no model")
    if model.follows_call:
        _build_as_saved(model, config.get("build_config"))
    return model


def _build_as_saved(model: Model, written: Any) -> None:
    """Builds a model with a call of its own for the shapes that Keras saw first, whatever their batch."""
    said = written if isinstance(written, Mapping) else {}
    first, named = (map_shapes(lambda each: (None, *each[1:]) if each else each, said.get(name))
                    for name in ("input_shape", "shapes_dict"))
    if first is None and not named:
        raise ConfigError(f"the file does not say for which input shape {type(model).__name__} was built. Way out: "
                          "make the model yourself, model.build((None, ...)), and load_weights")
    model.build(**named) if first is None else model.build(first)


def save_model(model: Model, filepath: Any, weights: nn.Module | Training | None = None) -> None:
    """Writes a model to ``.keras`` or ``.h5``, which Keras loads, or its architecture alone to ``.json``.

    Args:
        model: the description.
        filepath: the extension says the form. The file is replaced only once the new one is whole.
        weights: the compiled module that holds the numbers. Without it the numbers are those of the file that a layer
            came from, and for the other layers new ones by their initializers: a model in Keras always has some.
            A ``Training`` stands for its module, and ``.keras`` has the state of its optimizer too.

    Raises:
        ConfigError: the extension is another one, or the file cannot hold what it is given.
    """
    module, state_arrays = _module_and_state(model, weights)
    is_training = module is not weights
    suffix = Path(os.fsdecode(os.fspath(filepath))).suffix
    if suffix == ".json":
        if weights is not None:
            raise ConfigError("a .json file holds no weights; save to .keras")
        text = model.to_json()
        archive.write(filepath, lambda path: path.write_text(text))
    elif suffix == ".keras":
        kept, arrays = _numbers(model, module)
        for mine, more in zip((kept, arrays), idf_weights(model)):
            mine.extend(more)
        metadata = {"keras_version": KERAS_VERSION, "date_saved": _now()}
        members: dict[str, Any] = {METADATA: json.dumps(metadata).encode(), CONFIG: model.to_json().encode(),
                                   WEIGHTS: lambda file: write_by_path(file, kept, arrays, state_arrays)}
        archive.write(filepath, lambda path: archive.write_zip(path, members))
    elif suffix in (".h5", ".hdf5"):
        if model.follows_call:
            raise ConfigError("a model with a call of its own is saved as .keras: Keras loads it from nothing else")
        if state_arrays and is_training:
            raise ConfigError(f"{_NO_STATE_IN_H5}. Save to .keras; or give the module alone, and save the training by "
                              "save_weights(training, 'm.weights.h5')")
        if state_arrays:
            warnings.warn(f"the state of the optimizer is left out: {_NO_STATE_IN_H5}. .keras has it", stacklevel=3)
        _, arrays = _numbers(model, module)
        layout = weight_layout(model) if model.built else Layout([], [])
        attributes = {"model_config": model.to_json(), "keras_version": KERAS_VERSION, "backend": "torch"}
        said = model.get_compile_config()
        if said:
            attributes["training_config"] = json.dumps({"optimizer_config": said.pop("optimizer"), **said})
        archive.write(filepath, lambda path: write_by_layer(path, [layer.name for layer in model.layers], layout,
                                                            arrays, attributes))
    else:
        raise ConfigError(f"a model is saved as .keras, .h5 or .json, got {os.fspath(filepath)!r}")


def _module_and_state(model: Any, given: Any) -> tuple[Any, dict[str, Any]]:
    """A module, and what the optimizer keeps, by its paths in a file: the state of a training, or that of the file that
    the model came from."""
    if given is not None:
        from kerashape_torch.training import Training

        if not isinstance(given, Training):
            return given, {}
        return given.module, state.by_path(model.optimizer, given.state())
    found = _state_of_file(model)
    return None, state.by_path(model.optimizer, found) if found else {}


def _state_of_file(model: Model) -> list[tuple[str, Any]]:
    saved = model.saved_state
    if saved is None or saved.form == state.KERAS_3:
        return [(str(i), array) for i, array in enumerate(saved.arrays)] if saved else []
    variables = [(place.spec.full_path, place.spec.shape) for _, places in kept_weights(model) for place in places
                 if place.spec.trainable]
    return state.rewritten(saved, model.optimizer, variables)


def _numbers(model: Model, module: nn.Module | None) -> tuple[list[Kept], list[Any]]:
    """The places of all weights, and the numbers for each: a module's, or what :func:`_arrays` finds."""
    layers = kept_weights(model) if model.built else []
    kept = [place for _, places in layers for place in places]
    return kept, _arrays(layers) if module is None else _arrays_of_module(module, kept)


def _now() -> str:
    return time.strftime("%Y-%m-%d@%H:%M:%S")


# ---- weights ---------------------------------------------------------------------------------------------------------


def _attach(model: Model, weights: Weights, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Checks all arrays, and lets each layer know its own."""
    if not model.built:
        return
    layout = weight_layout(model)
    arrays = weights.find(layout, by_name, skip_mismatch)
    of_layers: dict[Any, list[Stored | None]] = {}
    for place, array in zip(layout.kept, arrays, strict=True):
        of_layers.setdefault(place.holder, []).append(array)
    for layer, found in of_layers.items():
        before = layer.saved_weights or [None] * len(found)
        if any(array is not None for array in found):
            layer.saved_weights = [new if new is not None else old for new, old in zip(found, before)]


def _arrays(layers: Sequence[tuple[Layer, list[Kept]]]) -> list[Any]:
    """The numbers that layers came with, and new ones for the others."""
    from kerashape_torch import initializers

    def fresh(spec: WeightSpec) -> Any:
        return initializers.of_weight(spec.initializer)(spec.shape, dtype=spec.dtype or "float32").numpy()

    return [fresh(place.spec) if array is None else array for layer, kept in layers
            for array, place in zip(layer.saved_weights or [None] * len(kept), kept)]


def _arrays_of_module(module: nn.Module, kept: Sequence[Kept]) -> list[Any]:
    from kerashape_torch.lowering import get_keras_weights

    arrays = get_keras_weights(module)
    if [array.shape for array in arrays] != [place.spec.shape for place in kept]:
        shapes = ", ".join(to_text(array.shape) for array in arrays)
        wanted = ", ".join(f"{place.spec.full_path} {to_text(place.spec.shape)}" for place in kept)
        raise WeightsError(f"the module is not of this model: it has {shapes}; the model has {wanted}")
    return arrays


def load_weights(target: Any, filepath: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Weights from a file into a model's description or a compiled module. All are checked before any is set.

    A description keeps them for ``to_torch()``, which reads them from the file.

    Args:
        target: a model, or what ``to_torch()`` gave.
        filepath: ``.weights.h5``, a whole model's ``.keras`` or ``.h5``, or weights that Keras 1 or 2 saved, told by
            the content; or ``.safetensors`` for a module.
        by_name: only layers whose names are in the file, as Keras 2 does; others keep what they have.
        skip_mismatch: what does not fit keeps what it has, and is warned about.

    Raises:
        WeightsError: what is in the file does not fit or is damaged; nothing has been changed. Only if the disk fails
            between a first look at all arrays and the reading does a module keep some of the new ones; it says so, and
            refuses to run until weights have been loaded into it.
    """
    where = readable_path(filepath)
    if isinstance(target, Model):
        if not target.built:
            raise WeightsError(f"{target.name} has no weights before its input shape is known; call build(shape) first")
        found = read_weights(where)
        _attach(target, found, by_name, skip_mismatch)
        if target.compiled and not by_name:
            _keep_state(target, found, state.ANY)
    elif where.suffix == ".safetensors":
        if by_name or skip_mismatch:
            raise WeightsError("by_name and skip_mismatch are for files of Keras, not for .safetensors")
        _load_safetensors(target, where)
    else:
        from kerashape_torch.lowering import fill_all, keras_weights

        known = keras_weights(target)
        arrays = read_weights(where).find(known.layout, by_name, skip_mismatch)
        for array in arrays:
            if array is not None:
                array.try_out()
        fill_all(target, zip(known.specs, arrays, strict=True))


def save_weights(source: Model | nn.Module | Training, filepath: Any) -> None:
    """Weights as ``.weights.h5``, which Keras loads, or a module's state dict as ``.safetensors``.

    Args:
        source: what ``to_torch()`` gave, or a description, whose numbers are those of the file that it came from. A
            ``Training`` stands for its module, and ``.weights.h5`` has the state of its optimizer too.
        filepath: the extension says the form. The file is replaced only once the new one is whole.
    """
    name = os.fsdecode(os.fspath(filepath))
    if name.endswith(".weights.h5"):
        model: Any = source if isinstance(source, Model) else getattr(source, "model", None)
        module, state_arrays = _module_and_state(model, None if source is model else source)
        kept, arrays = _numbers(model, None) if module is None else _numbers_of_module(module)
        archive.write(filepath, lambda path: write_by_path(path, kept, arrays, state_arrays))
    elif name.endswith(".safetensors") and not isinstance(source, Model):
        module, _ = _module_and_state(getattr(source, "model", None), source)
        from safetensors.torch import save_file

        from kerashape_torch.lowering.weights import refuse_folded

        refuse_folded(module)
        tensors, metadata = _each_once(module.state_dict())
        archive.write(filepath, lambda path: save_file(tensors, path, metadata))
    else:
        raise KerashapeError(f"weights are saved as .weights.h5, or those of a module as .safetensors, got {name!r}")


def _each_once(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of a state dict, and metadata with the names of those that another name stands for, as safetensors
    keeps it."""
    tensors: dict[str, Any] = {}
    metadata = {"format": "pt"}
    names: dict[Any, str] = {}
    for name, tensor in state.items():
        first = names.setdefault((tensor.data_ptr(), tensor.shape), name) if tensor.numel() else name
        if first is name:
            tensors[name] = tensor.contiguous()
        else:
            metadata[name] = first
    return tensors, metadata


def _numbers_of_module(module: nn.Module) -> tuple[list[Kept], list[Any]]:
    from kerashape_torch.lowering import get_keras_weights, keras_weights

    return keras_weights(module).layout.kept, get_keras_weights(module)


def _load_safetensors(module: nn.Module, path: Path) -> None:
    import torch
    from safetensors import SafetensorError, safe_open

    from kerashape_torch.lowering.weights import refuse_folded

    refuse_folded(module)
    own = module.state_dict()
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            _check_safetensors(own, {name: tuple(file.get_slice(name).get_shape()) for name in names}, path.name)
            with torch.no_grad():
                for name in names:
                    own[name].copy_(file.get_tensor(name))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is not a sound safetensors file: {error}") from error


def _check_safetensors(own: dict[str, Any], found: dict[str, tuple[int, ...]], name: str) -> None:
    shared = {mine for mine, tensor in own.items() if mine not in found
              and any(tensor.data_ptr() == own[other].data_ptr() for other in found if other in own)}
    missing, extra = sorted(own.keys() - found.keys() - shared), sorted(found.keys() - own.keys())
    if missing or extra:
        raise WeightsError(f"{name}: missing {', '.join(missing) or 'none'}; not known {', '.join(extra) or 'none'}")
    for each, shape in found.items():
        if shape != tuple(own[each].shape):
            raise WeightsError(f"{name}: {each} is {to_text(tuple(own[each].shape))}, got {to_text(shape)}")

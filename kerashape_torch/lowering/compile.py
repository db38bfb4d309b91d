"""The doors of lowering: a model or a layer in, a GraphModule or a lazy module out."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.layer import Layer
from kerashape_torch.lowering.casting import cast_module
from kerashape_torch.lowering.fusion import fold_padding, lay_out_kernels, takes_images_channels_last
from kerashape_torch.lowering.lazy import LazyModel
from kerashape_torch.lowering.lower import Lowered, lower
from kerashape_torch.lowering.signature import KerasSignature
from kerashape_torch.lowering.weights import (
    KerasWeights,
    initialize,
    keras_weights,
    materialize,
    restore,
    weight_dtypes,
)
from kerashape_torch.models import Model
from kerashape_torch.own_weights import weight_layers
from kerashape_torch.standalone import alone, twin, with_batch
from kerashape_torch.structure import without_collecting
from kerashape_torch.weight_paths import weight_layout


def model_to_torch(model: Model, device: Any = None, dtype: Any = None, layout: str = "keras",
                   weights: bool = True, optimize: str | None = None) -> nn.Module:
    """Compiles a model; see :meth:`Model.to_torch`. ``weights=False`` leaves them uninitialised, for a file to fill."""
    if layout not in ("keras", "torch"):
        raise ConfigError(f"layout must be 'keras' or 'torch', got {layout!r}")
    device, dtype = torch_device(device), torch_dtype(dtype)
    _check_optimize(optimize, model.name, model.built)
    if not model.built:
        return LazyModel(lambda shape: _compile(twin(model, shape), None, None, layout, False), model.name, device,
                         dtype)
    with without_collecting():  # all that is made stays
        module = _compile(model, device, dtype, layout, weights)
    return _finished(module, optimize)


def layer_to_torch(layer: Layer, input_shape: Any = None, device: Any = None, dtype: Any = None,
                   optimize: str | None = None) -> nn.Module:
    """Compiles a layer alone; see :meth:`Layer.to_torch`."""
    device, dtype = torch_device(device), torch_dtype(dtype)
    _check_optimize(optimize, layer.name, layer.built or input_shape is not None)
    if input_shape is None and not layer.built:
        return LazyModel(lambda shape: _compile(alone(layer, shape), None, None, "keras", False), layer.name, device,
                         dtype)
    shape = with_batch(layer, input_shape) if input_shape is not None else layer.input_shape
    return _finished(_compile(alone(layer, shape), device, dtype, "keras", True), optimize)


def _check_optimize(optimize: str | None, name: str, built: bool) -> None:
    if optimize not in (None, "inference"):
        raise ConfigError(f"optimize must be 'inference' or None, got {optimize!r}")
    if optimize is not None and not built:
        raise ConfigError(f"{name} has no input shape yet, so there are no weights to fold. Give it one, or call what "
                          "to_torch() gives once and pass it to optimize_for_inference")


def _finished(module: fx.GraphModule, optimize: str | None) -> fx.GraphModule:
    if optimize is None:
        return module
    from kerashape_torch.lowering.inference import optimized

    return optimized(module)


def inner_module(layer: Layer, shape: Any, masked: bool = False) -> fx.GraphModule:
    """A layer or model as a part of another layer's module: in Keras' order, its activation in it, without memory yet.

    What it holds lies below the layer's name, as ``conv2d.weight``.
    """
    return part_of_model(alone(layer, shape, masked))


def part_of_model(model: Model, masks: bool = False) -> fx.GraphModule:
    """A model as a part of a layer's module, in Keras' order, without memory yet. If ``masks``, it gives those of its
    outputs beside them, None for one that has none."""
    return assemble(lower(model.graph, weight_layers(model), "keras", masks=masks), model.name)


def _compile(model: Model, device: Any, dtype: Any, layout: str, weights: bool) -> fx.GraphModule:
    lowered = lower(model.graph, weight_layers(model), layout)
    module = assemble(lowered, model.name)
    known = keras_weights(module)
    known.layout, known.order = weight_layout(model).described(), layout
    drawn_in = weight_dtypes(module)
    if dtype is not None:
        cast_module(module, dtype)  # while it has no memory
    if takes_images_channels_last(module):
        lay_out_kernels(module)
    materialize(module, device or torch.device("cpu"))
    if weights and (device is None or device.type != "meta"):
        known.restored = restore(module, lowered.bindings)
        initialize(module, only=lambda spec: id(spec) not in known.restored, dtypes=drawn_in)
    return module.eval()


def assemble(lowered: Lowered, name: str) -> fx.GraphModule:
    """A GraphModule of the parts, with the Keras signature and the list of Keras weights."""
    signature = KerasSignature(lowered.input_names, lowered.input_shapes, lowered.optional, lowered.structure,
                               lowered.strings)
    lowered.graph.set_codegen(signature)
    fold_padding(lowered.root, lowered.graph)
    class_name = "".join(ch if ch.isalnum() else "_" for ch in name) or "model"
    module = fx.GraphModule(lowered.root, lowered.graph, class_name=class_name)
    module._non_persistent_buffers_set |= lowered.root._non_persistent_buffers_set  # fx makes buffers anew
    module.meta["keras"] = KerasWeights(lowered.bindings)
    return module


def torch_device(device: Any) -> torch.device | None:
    """``"auto"`` is CUDA where there is one."""
    if device is None:
        return None
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device must be 'auto', 'cpu', 'cuda' or 'meta', got {device!r}") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise KerashapeError("device 'cuda' is asked for and torch finds none. device='auto' takes what there is")
    return found


def torch_dtype(dtype: Any) -> torch.dtype | None:
    if dtype is None:
        return None
    found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, str(dtype), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ConfigError(f"dtype must be a torch dtype of floats or its name, got {dtype!r}")
    return found



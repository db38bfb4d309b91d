"""The doors of lowering: a model or a layer in, a GraphModule or a lazy module out."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layer import Layer
from kerashape_torch.lowering.fusion import fuse
from kerashape_torch.lowering.lazy import LazyModel
from kerashape_torch.lowering.lower import Lowered, lower
from kerashape_torch.lowering.signature import KerasSignature
from kerashape_torch.lowering.weights import KerasWeights, initialize, materialize
from kerashape_torch.models import Model, Sequential
from kerashape_torch.shape import standardize


def model_to_torch(model: Model, device: Any = None, dtype: Any = None, layout: str = "keras",
                   weights: bool = True) -> nn.Module:
    """Compiles a model; see :meth:`Model.to_torch`. ``weights=False`` leaves them uninitialised, for a file to fill."""
    if layout not in ("keras", "torch"):
        raise ConfigError(f"layout must be 'keras' or 'torch', got {layout!r}")
    device, dtype = torch_device(device), torch_dtype(dtype)
    if not model.built:
        return LazyModel(model, lambda m: _compile(m, None, None, layout, False), device, dtype)
    return _compile(model, device, dtype, layout, weights)


def layer_to_torch(layer: Layer, input_shape: Any = None, device: Any = None, dtype: Any = None) -> nn.Module:
    """Compiles a layer alone; see :meth:`Layer.to_torch`."""
    if isinstance(layer, Model):
        raise ConfigError("a model takes no input_shape in to_torch; call build(shape) first")
    alone = Sequential([layer.copy(nodes=[], _namer=None)])
    shape = input_shape if input_shape is not None else (layer.call_shapes()[0] if layer.built else None)
    if shape is not None and not alone.built:
        alone.build(with_batch(layer, shape))
    return model_to_torch(alone, device, dtype)


def with_batch(layer: Layer, shape: Any) -> tuple[int | None, ...]:
    """An input shape with its batch axis, which may be left out: (3,) means (None, 3).

    A shape that begins with None is first tried as it is; ``LSTM`` then takes (None, 3) to be sequences of any length.
    """
    shape = standardize((shape,) if isinstance(shape, int) else shape, "input_shape")
    candidates = [(None, *shape)]
    if shape and shape[0] is None:
        candidates.insert(0, shape)
    for candidate in candidates[:-1]:
        try:
            layer.compute_output_shape(candidate)
        except ShapeError:
            continue
        return candidate
    return candidates[-1]


def _compile(model: Model, device: Any, dtype: Any, layout: str, weights: bool) -> fx.GraphModule:
    lowered = lower(model.graph, model.layers, layout)
    module = assemble(lowered, model.name)
    materialize(module, device or torch.device("cpu"))
    if weights and (device is None or device.type != "meta"):
        initialize(module)
    if dtype is not None:
        module.to(dtype)
    return module.eval()


def assemble(lowered: Lowered, name: str) -> fx.GraphModule:
    """A GraphModule of the parts, with the Keras signature and the list of Keras weights."""
    signature = KerasSignature(lowered.input_names, lowered.input_shapes, lowered.optional, lowered.structure)
    lowered.graph.set_codegen(signature)
    class_name = "".join(ch if ch.isalnum() else "_" for ch in name) or "model"
    module = fx.GraphModule(lowered.root, lowered.graph, class_name=class_name)
    module.meta["keras"] = KerasWeights(lowered.bindings)
    fuse(module)
    module.recompile()
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
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, str(dtype), None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"dtype must be a torch dtype or its name, got {dtype!r}")
    return found



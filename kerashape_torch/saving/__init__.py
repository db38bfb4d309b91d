"""Files in and out: models and weights as Keras 3 writes them, read without running anything that they contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerashape_torch.config import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from kerashape_torch.saving.checked import Checked, check
from kerashape_torch.saving.models import (
    deserialize_keras_object,
    load_model,
    load_weights,
    save_model,
    save_weights,
    serialize_keras_object,
)


def port(model: Any, out_dir: Any, **options: Any) -> Path:
    """Writes a model as PyTorch source, with its weights: see :func:`kerashape_torch.port.port`."""
    from kerashape_torch.port import port as write

    return write(model, out_dir, **options)


CustomObjectScope = custom_object_scope
__all__ = ["Checked", "CustomObjectScope", "check", "custom_object_scope", "deserialize_keras_object",
           "get_custom_objects", "get_registered_name", "get_registered_object", "load_model", "load_weights", "port",
           "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object"]

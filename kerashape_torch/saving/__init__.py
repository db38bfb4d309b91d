"""Files in and out: models and weights as Keras 3 writes them, read without running anything that they contain."""

from kerashape_torch.config import custom_object_scope, register_keras_serializable
from kerashape_torch.saving.models import (
    deserialize_keras_object,
    load_model,
    load_weights,
    save_model,
    save_weights,
    serialize_keras_object,
)

__all__ = ["custom_object_scope", "deserialize_keras_object", "load_model", "load_weights",
           "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object"]

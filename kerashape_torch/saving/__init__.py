"""Files in and out: models and weights as Keras 3 writes them, read without running anything that they contain."""

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

CustomObjectScope = custom_object_scope
__all__ = ["Checked", "CustomObjectScope", "check", "custom_object_scope", "deserialize_keras_object",
           "get_custom_objects", "get_registered_name", "get_registered_object", "load_model", "load_weights",
           "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object"]

"""Keras' ``utils`` for code that defines and draws models."""

import importlib
from typing import TYPE_CHECKING, Any

from kerashape_torch.config import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from kerashape_torch.elsewhere import absent

if TYPE_CHECKING:
    from kerashape_torch.reports.plot import model_to_svg, plot_model

_ELSEWHERE = {"model_to_svg": "reports.plot", "plot_model": "reports.plot", "clear_session": "backend",
              "is_keras_tensor": "backend", "standardize_dtype": "backend",
              "serialize_keras_object": "saving", "deserialize_keras_object": "saving"}
"""What is loaded when it is asked for."""

_ABSENT = ("FeatureSpace", "GeneratorEnqueuer", "HDF5Matrix", "OrderedEnqueuer", "Progbar", "PyDataset", "Sequence",
           "array_to_img", "audio_dataset_from_directory", "get_file", "get_source_inputs",
           "image_dataset_from_directory", "img_to_array", "load_img", "multi_gpu_model", "normalize",
           "pack_x_y_sample_weight", "pad_sequences", "save_img", "set_random_seed", "split_dataset",
           "text_dataset_from_directory", "timeseries_dataset_from_array", "to_categorical",
           "unpack_x_y_sample_weight")


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"kerashape_torch.{_ELSEWHERE[name]}"), name)
    if name in _ABSENT:
        return absent(f"utils.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


CustomObjectScope = custom_object_scope
__all__ = ["CustomObjectScope", "custom_object_scope", "get_custom_objects", "get_registered_name",
           "get_registered_object", "model_to_svg", "plot_model", "register_keras_serializable"]

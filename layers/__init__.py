"""Every layer, one family a file. A layer written in a family file is in the catalog, and here, by being written."""

from collections.abc import Mapping
from typing import Any

from kerashape_torch.config import custom_object_scope, serialize
from kerashape_torch.config import deserialize as _deserialize
from kerashape_torch.errors import did_you_mean
from kerashape_torch.input_spec import InputSpec
from kerashape_torch.layer import Layer
from kerashape_torch.layers import (  # noqa: F401  importing a family enters its layers in the catalog
    activation,
    applications,
    attention,
    category,
    convolution,
    convolutional_recurrent,
    core,
    cudnn_recurrent,
    einsum,
    embedding,
    experimental,
    function,
    image_color,
    image_geometry,
    image_histograms,
    image_mixing,
    image_resizing,
    legacy,
    locally_connected,
    lookup,
    merging,
    multi_head_attention,
    normalization,
    pipeline,
    pooling,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    separable_convolution,
    spectral_normalization,
    spectrogram,
    text,
    transposed_convolution,
    wrappers,
)
from kerashape_torch.layers.foreign import FlaxLayer, JaxLayer, TFSMLayer, TorchModuleWrapper
from kerashape_torch.layers.legacy import Merge, merge
from kerashape_torch.layers.merging import (
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from kerashape_torch.layers.recurrent_cells import Cell
from kerashape_torch.layers.wrappers import Wrapper
from kerashape_torch.models import Input, InputLayer

AbstractRNNCell = Cell

_catalog = {name: cls for name, cls in Layer.catalog().items() if name not in ("Model", "Functional", "Sequential")}
globals().update(_catalog)
__all__ = ["AbstractRNNCell", "Cell", "FlaxLayer", "Input", "InputLayer", "InputSpec", "JaxLayer", "Layer", "Merge",
           "TFSMLayer", "TorchModuleWrapper", "Wrapper", "add", "average", "concatenate", "deserialize", "dot",
           "experimental", "maximum", "merge", "minimum", "multiply", "serialize", "subtract", *_catalog]


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer that :func:`serialize` wrote; ``custom_objects`` are classes and functions of your own, by name."""
    with custom_object_scope(dict(custom_objects or {})):
        return _deserialize(config)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"kerashape_torch.layers has no {name!r}.{did_you_mean(name, __all__)}")

"""Keras models as descriptions: every shape before any tensor exists, compiled to ordinary PyTorch.

>>> from kerashape_torch.models import Sequential
>>> from kerashape_torch.layers import Dense
>>> model = Sequential([Dense(units=4, input_shape=(3,)), Dense(units=4), Dense(units=1)])
>>> model.output_shape
(None, 1)
"""

import importlib
from typing import TYPE_CHECKING, Any

from kerashape_torch import (
    activations,
    config,
    constraints,
    elsewhere,
    errors,
    initializers,
    layers,
    models,
    ops,
    regularizers,
    utils,
)
from kerashape_torch.graph import SymbolicTensor as KerasTensor
from kerashape_torch.initializers import Initializer
from kerashape_torch.input_spec import InputSpec
from kerashape_torch.layer import Layer
from kerashape_torch.models import Input, Model, Sequential
from kerashape_torch.regularizers import Regularizer
from kerashape_torch.shape_table import shape_table
from kerashape_torch.user_layers import Variable

if TYPE_CHECKING:
    from kerashape_torch import (
        backend,
        losses,
        metrics,
        mixed_precision,
        optimizers,
        planning,
        random,
        saving,
        training,
        tree,
    )
    from kerashape_torch.differences import diff
    from kerashape_torch.lowering import (
        constraint_hook,
        get_keras_weights,
        optimize_for_inference,
        predict,
        regularization_loss,
        reset_states,
        set_keras_weights,
    )
    from kerashape_torch.planning import plan
    from kerashape_torch.saving import load_model

__version__ = "0.1.0"

_ON_FIRST_USE = {"differences": ("diff",),
                 "saving": ("saving", "load_model"), "planning": ("planning", "plan"),
                 "lowering": ("constraint_hook", "get_keras_weights", "optimize_for_inference", "predict",
                              "regularization_loss", "reset_states", "set_keras_weights"),
                 "losses": ("losses", "Loss"), "metrics": ("metrics", "Metric"),
                 "optimizers": ("optimizers", "Optimizer"), "backend": ("backend", "name_scope"),
                 "dtype_policies": ("dtype_policies", "DTypePolicy"),
                 **{name: (name,) for name in ("mixed_precision", "random", "training", "tree")}}
"""Rooms that describing a model does without, two of which need torch, and the names that come from them."""


def __getattr__(name: str) -> Any:
    for room, names in _ON_FIRST_USE.items():
        if name in names:
            module = importlib.import_module(f"{__name__}.{room}")
            return module if name == room else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


elsewhere.open_rooms()

__all__ = ["Initializer", "Input", "InputSpec", "KerasTensor", "Layer", "Model", "Regularizer", "Sequential",
           "Variable", "activations", "backend", "config", "constraint_hook",
           "constraints", "diff", "errors", "get_keras_weights", "initializers", "layers", "load_model", "losses",
           "metrics", "mixed_precision", "models", "ops", "optimize_for_inference", "optimizers", "plan", "planning",
           "predict", "random", "regularization_loss", "regularizers", "reset_states", "saving", "set_keras_weights",
           "shape_table", "training", "tree", "utils"]

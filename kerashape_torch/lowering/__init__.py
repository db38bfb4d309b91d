"""From a model to a ``torch.fx.GraphModule``: layouts, activations, fusion, weights, each handled once for all."""

from kerashape_torch.lowering.compile import layer_to_torch, model_to_torch
from kerashape_torch.lowering.inference import optimize_for_inference
from kerashape_torch.lowering.run import predict, reset_states
from kerashape_torch.lowering.weights import (
    constraint_hook,
    fill_all,
    get_keras_weights,
    keras_weights,
    regularization_loss,
    set_keras_weights,
)

__all__ = ["constraint_hook", "fill_all", "get_keras_weights", "keras_weights", "layer_to_torch", "model_to_torch",
           "optimize_for_inference", "predict", "regularization_loss", "reset_states", "set_keras_weights"]

"""Training as Keras does it: what ``model.compile`` said, as torch objects.

>>> import torch
>>> import kerashape_torch as kt
>>> model = kt.Sequential([kt.layers.Dense(1, input_shape=(2,))])
>>> model.compile(optimizer=kt.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
>>> training = of(model)
>>> for _ in range(3):
...     loss = training.step(torch.ones(8, 2), torch.ones(8, 1))
>>> list(training.results())
['loss', 'mae']
"""

from __future__ import annotations

from torch import nn

from kerashape_torch.models import Model
from kerashape_torch.training.compiled import CompiledLoss, CompiledMetrics
from kerashape_torch.training.losses import KerasLoss
from kerashape_torch.training.metrics import MetricState
from kerashape_torch.training.optimizers import KerasOptimizer
from kerashape_torch.training.step import Training


def of(model: Model, module: nn.Module | None = None) -> Training:
    """Optimizer, loss and metrics of a compiled Keras model, as torch objects.

    Args:
        model: the description, on which ``compile`` has been called, or which came from a file that says how to train.
        module: what ``model.to_torch()`` gave, on the device where it is to be trained; None makes one.

    Raises:
        ConfigError: it is not known how to train the model.
        KerashapeError: the module was not made by ``to_torch``, or is lazy and has not been called yet.
    """
    return Training(model, model.to_torch() if module is None else module)


__all__ = ["CompiledLoss", "CompiledMetrics", "KerasLoss", "KerasOptimizer", "MetricState", "Training", "of"]

"""Arrays in, arrays out: running a compiled module without a thought for devices and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from kerashape_torch.lowering.weights import to_numpy, to_tensor
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.torch_modules.recurrent import Recurrent
from kerashape_torch.torch_modules.strings import gathered, is_text


def predict(module: nn.Module, inputs: Any, batch_size: int = 32) -> Any:
    """Runs a compiled module over arrays in batches, in evaluation mode and without gradients.

    Args:
        module: what ``to_torch()`` gave.
        inputs: an array or tensor, or a list or dict of them as the Keras model takes them; batch axis first. Strings
            are an array or a list; where several inputs are strings, arrays.
        batch_size: samples at a time.

    Returns:
        NumPy arrays in the structure that the Keras model gives.

    >>> from kerashape_torch.layers import Dense
    >>> predict(Dense(2, input_shape=(3,)).to_torch(), np.zeros((5, 3), "float32")).shape
    (5, 2)
    """
    device = next((t.device for t in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    tensors = map_structure(lambda x: as_input(x, device), gathered(inputs))
    total = max((len(x) for x in flatten(tensors)), default=0)
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            parts = [module(map_structure(lambda x, at=at: x[at:at + batch_size], tensors))  # type: ignore[misc]
                     for at in range(0, max(total, 1), batch_size)]
    finally:
        module.train(was_training)
    return _joined(parts)


def as_input(x: Any, device: torch.device) -> Any:
    if is_text(x):
        return x
    tensor = to_tensor(x)
    if tensor.dtype == torch.float64:
        tensor = tensor.float()  # NumPy's default; Keras casts it to the model's float as well
    return tensor.to(device)


def _joined(parts: list[Any]) -> Any:
    columns = list(zip(*(flatten(part) for part in parts)))
    joined = iter([np.concatenate([x if is_text(x) else to_numpy(x) for x in column]) for column in columns])
    return map_structure(lambda _: next(joined), parts[0])


def reset_states(module: nn.Module) -> None:
    """Every stateful recurrent layer of a compiled module begins anew, as ``reset_state`` of a Keras layer makes it.

    >>> from kerashape_torch.layers import LSTM
    >>> module = LSTM(2, stateful=True, batch_input_shape=(1, 4, 3)).to_torch()
    >>> first, second = module(torch.ones(1, 4, 3)), module(torch.ones(1, 4, 3))
    >>> reset_states(module)
    >>> again = module(torch.ones(1, 4, 3))
    >>> torch.equal(first, again), torch.equal(first, second)
    (True, False)
    """
    for part in module.modules():
        if isinstance(part, Recurrent):
            part.reset_state()

"""A compiled module made anew for inference alone: fewer operations, the same numbers.

Each file has one sort of pass; this one has their order, and what comes out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

from kerashape_torch.errors import KerashapeError, WeightsError
from kerashape_torch.lowering.fusion import lay_out_kernels
from kerashape_torch.lowering.inference.constants import merge_common, without_constants
from kerashape_torch.lowering.inference.edit import Editor
from kerashape_torch.lowering.inference.folding import into_weights
from kerashape_torch.lowering.inference.fusing import into_convolutions
from kerashape_torch.lowering.inference.inplace import write_in_place
from kerashape_torch.lowering.inference.padding import widen_kernels
from kerashape_torch.lowering.inference.removal import (
    sequences_apart,
    without_detours,
    without_mixed_precision,
    without_recurrent_modules,
    without_training,
)
from kerashape_torch.lowering.weights import FoldedWeights, keras_weights

_PASSES: tuple[Callable[[Editor], None], ...] = (
    without_training, sequences_apart, without_constants, merge_common, into_weights, without_detours, widen_kernels,
    into_convolutions, write_in_place)


class InferenceModule(fx.GraphModule):
    """What :func:`optimize_for_inference` gives: a graph of stock modules in evaluation mode, for good."""

    def train(self, mode: bool = True) -> InferenceModule:
        """Stays in evaluation mode.

        Raises:
            KerashapeError: training is asked for; the statistics and weights that it needs are folded away.
        """
        if mode:
            raise KerashapeError("this module is optimized for inference: it cannot be trained. Train what to_torch() "
                                 "gives, then pass it to optimize_for_inference")
        return super().train(False)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Takes a state dict of a module that was optimized alike.

        Raises:
            WeightsError: it is another module's: names may be the same where numbers mean something else.
        """
        if "_extra_state" not in state_dict:
            raise WeightsError("this module is optimized for inference, and the state dict is of one that is not. "
                               "Load it into what to_torch() gives, then pass that to optimize_for_inference")
        return super().load_state_dict(state_dict, *args, **kwargs)

    def get_extra_state(self) -> Any:
        """A mark in the state dict."""
        return "optimized for inference"

    def set_extra_state(self, state: Any) -> None:
        """Nothing: the mark has been looked at."""

    def __reduce__(self) -> Any:
        return _unpickled, super().__reduce__()[:2]  # fx itself would make a plain GraphModule


def _unpickled(function: Any, arguments: Any) -> InferenceModule:
    return _finished(function(*arguments))


def optimize_for_inference(module: nn.Module) -> InferenceModule:
    """A copy of a compiled module that gives the same numbers faster, and can do nothing else.

    Normalizations become a part of the convolutions and dense layers beside them, dropouts go, constants are computed
    once and common parts too, depthwise convolutions pad without a copy, activations write in place, and kernels of
    convolutions lie in torch's channels-last format. ``torch.compile`` takes what comes out as one graph, recurrent
    layers and masks too. The module given is left as it is.

    The copy has no gradients and no Keras weights: it stays in evaluation mode, and parts that were folded away are not
    there. Hooks on parts are kept, and such parts left alone. Numbers differ by rounding.

    Args:
        module: what ``to_torch()`` gave, after its first call if it was lazy.

    Raises:
        KerashapeError: the module was not made by ``to_torch``, or is lazy still.

    >>> from kerashape_torch.layers import BatchNormalization, Dense, Input
    >>> from kerashape_torch.models import Sequential
    >>> module = Sequential([Input((3,)), Dense(2), BatchNormalization()]).to_torch()
    >>> [name for name, _ in optimize_for_inference(module).named_children()]
    ['dense']
    """
    keras_weights(module)
    assert isinstance(module, fx.GraphModule)
    copied = copy.deepcopy(module, {id(module.meta): {}})
    copied._non_persistent_buffers_set |= module._non_persistent_buffers_set  # fx makes buffers anew
    return optimized(copied)


def optimized(module: fx.GraphModule) -> InferenceModule:
    """Like :func:`optimize_for_inference`; the module itself is used up."""
    module.eval()
    for each in _PASSES:
        for graph in [part for part in module.modules() if isinstance(part, fx.GraphModule)]:
            editor = Editor(module, graph)
            each(editor)
            editor.clean()
    without_mixed_precision(module)
    without_recurrent_modules(module)
    lay_out_kernels(module)
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            part.recompile()
    return _finished(module)


def _finished(module: fx.GraphModule) -> InferenceModule:
    made = InferenceModule(module, module.graph, type(module).__name__)
    made._non_persistent_buffers_set |= module._non_persistent_buffers_set
    made.meta["keras"] = FoldedWeights()
    return made.requires_grad_(False).eval()

